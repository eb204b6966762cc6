//! A plug for tests: it answers like one firmware, keeps what it was told, and can be told to
//! answer certain commands badly. Its timers stand still, so that readings are exact.

use std::sync::{Arc, Mutex, MutexGuard};

use plug_driver::{AnyOutlet, Secret, TasmotaSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// `admin:joker`, as HTTP Basic has it.
const BASIC: &str = "Basic YWRtaW46am9rZXI=";
const PASSWORD_WARNING: &str = r#"{"WARNING":"Need user=<username>&password=<password>"}"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Firmware {
    /// No commands but those of an update.
    Minimal,
    /// `PulseTime` as text; the password only as an argument, and refused with status 200.
    Old,
    /// `PulseTime` as an object; HTTP Basic, refused with status 401; no rules in the build.
    Lite,
    /// Rules and `RuleTimer`.
    V12_4,
    /// `TimedPower` as well.
    V13_4,
}

impl Firmware {
    fn version(self) -> &'static str {
        match self {
            Self::Minimal => "12.4.0(minimal)",
            Self::Old => "6.5.0(release-basic)",
            Self::Lite => "12.4.0(lite)",
            Self::V12_4 => "12.4.0(tasmota)",
            Self::V13_4 => "13.4.0(tasmota)",
        }
    }

    fn has_rules(self) -> bool {
        match self {
            Self::V12_4 | Self::V13_4 => true,
            Self::Minimal | Self::Old | Self::Lite => false,
        }
    }
}

/// One of the three stored rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Rule {
    pub(crate) text: String,
    pub(crate) enabled: bool,
    pub(crate) once: bool,
}

/// How a reply travels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wire {
    /// In chunks of so many bytes, each written alone.
    Chunks(usize),
    /// This body instead of the true one; the command has no effect.
    Instead(String),
    /// This status; the command has no effect.
    Status(u16),
    /// The command takes effect and the connection closes without a byte.
    ObeyAndClose,
    /// The command takes effect and the connection is reset within the body.
    ResetInBody,
    /// Nothing comes, and the connection stays open.
    Stall,
    /// Bytes that are no HTTP.
    Noise,
}

#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) firmware: Firmware,
    pub(crate) password: Option<&'static str>,
    /// Relay 1 first.
    pub(crate) on: Vec<bool>,
    /// Relays that keep their state and answer with it.
    pub(crate) locked: bool,
    /// What they are said to be by `PowerLock`, if the firmware has it.
    pub(crate) power_lock: Option<bool>,
    pub(crate) power_on_state: u8,
    /// `Groups` of `Interlock`, if it is on.
    pub(crate) interlock: Option<&'static str>,
    /// `StateText1` and `StateText2`.
    pub(crate) words: [&'static str; 2],
    pub(crate) rules: [Rule; 3],
    /// What is left of each `RuleTimer`, in seconds.
    pub(crate) rule_timers: [u64; 8],
    pub(crate) meters_open: bool,
    /// `(Remaining, Command)`
    pub(crate) timed: Vec<(i64, String)>,
    /// What each relay's `PulseTime` is set to, and what is left of it.
    pub(crate) pulse: Vec<(u16, u16)>,
    pub(crate) uptime_s: u64,
    pub(crate) boot_count: u64,
    /// The value of `StatusSNS`' `ENERGY`, if the plug has a meter.
    pub(crate) energy: Option<&'static str>,
    /// How replies to commands that begin so travel; the first that fits counts.
    pub(crate) wire: Vec<(&'static str, Wire)>,
    commands: Vec<String>,
    being_served: usize,
    /// How many requests were being served at once, at most.
    pub(crate) most_at_once: usize,
}

#[derive(Clone)]
pub(crate) struct ScriptedPlug {
    device: Arc<Mutex<Device>>,
    port: u16,
}

impl ScriptedPlug {
    pub(crate) async fn start(firmware: Firmware, relays: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let device = Arc::new(Mutex::new(Device {
            firmware,
            password: None,
            on: vec![false; relays],
            locked: false,
            power_lock: None,
            power_on_state: 0,
            interlock: None,
            words: ["OFF", "ON"],
            rules: Default::default(),
            rule_timers: [0; 8],
            meters_open: false,
            timed: Vec::new(),
            pulse: vec![(0, 0); relays],
            uptime_s: 1_000,
            boot_count: 7,
            energy: None,
            wire: Vec::new(),
            commands: Vec::new(),
            being_served: 0,
            most_at_once: 0,
        }));
        let plug = Self { device: Arc::clone(&device), port };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&device)));
            }
        });
        plug
    }

    pub(crate) fn outlet(&self, relay: u8) -> AnyOutlet {
        self.outlet_with(relay, None)
    }

    pub(crate) fn outlet_with(&self, relay: u8, password: Option<&str>) -> AnyOutlet {
        AnyOutlet::tasmota(TasmotaSettings {
            url: format!("http://127.0.0.1:{}", self.port),
            relay,
            username: TasmotaSettings::DEFAULT_USERNAME.to_owned(),
            password: password.map(|password| Secret::new(password.to_owned())),
        })
        .unwrap()
    }

    pub(crate) fn device(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap()
    }

    /// Makes replies to commands that begin with `prefix` travel so.
    pub(crate) fn wire(&self, prefix: &'static str, wire: Wire) {
        self.device().wire.push((prefix, wire));
    }

    /// The commands since the last call.
    pub(crate) fn commands(&self) -> Vec<String> {
        std::mem::take(&mut self.device().commands)
    }
}

async fn converse(mut stream: TcpStream, device: Arc<Mutex<Device>>) {
    if !serve(&mut stream, &device).await {
        std::future::pending::<()>().await;
    }
}

/// Serves one request; `false`: the stream is to be kept open without an answer.
async fn serve(stream: &mut TcpStream, device: &Mutex<Device>) -> bool {
    let Some(request) = request(stream).await else { return true };
    let target = request.split(' ').nth(1).unwrap();
    assert!(request.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{request}");
    let command = decoded(target.split(['=', '&']).nth(1).unwrap());
    {
        let mut device = device.lock().unwrap();
        device.being_served += 1;
        device.most_at_once = device.most_at_once.max(device.being_served);
    }
    // Time for another to come in between, if another is sent.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let (wire, status, body) = {
        let mut device = device.lock().unwrap();
        device.being_served -= 1;
        device.commands.push(command.clone());
        let wire = device.wire.iter().find(|(prefix, _)| command.starts_with(prefix));
        let wire = wire.map_or(Wire::Chunks(usize::MAX), |(_, wire)| wire.clone());
        let (status, body) = match &wire {
            Wire::Instead(body) => (200, body.clone()),
            Wire::Status(status) => (*status, "no".to_owned()),
            Wire::Stall | Wire::Noise => (200, String::new()),
            Wire::Chunks(_) | Wire::ObeyAndClose | Wire::ResetInBody => {
                device.authorized(&request, target).unwrap_or_else(|| (200, device.obey(&command)))
            }
        };
        (wire, status, body)
    };
    let size = match wire {
        Wire::Chunks(size) => size,
        Wire::Instead(_) | Wire::Status(_) => usize::MAX,
        Wire::ObeyAndClose => return true,
        Wire::Stall => return false,
        Wire::Noise => {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await;
            return true;
        }
        Wire::ResetInBody => {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            let half = &body[..body.len() / 2];
            let _ = stream.write_all(format!("{head}{half}").as_bytes()).await;
            let _ = stream.set_zero_linger();
            return true;
        }
    };
    let head = format!("HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut pieces = vec![head];
    for chunk in body.as_bytes().chunks(size) {
        pieces.push(format!("{:x}\r\n{}\r\n", chunk.len(), str::from_utf8(chunk).unwrap()));
    }
    pieces.push("0\r\n\r\n".to_owned());
    for piece in pieces {
        // A client that has read enough closes first.
        if stream.write_all(piece.as_bytes()).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    true
}

fn decoded(text: &str) -> String {
    let mut pieces = text.split('%');
    let mut decoded = pieces.next().unwrap().to_owned();
    for piece in pieces {
        decoded.push(char::from(u8::from_str_radix(&piece[..2], 16).unwrap()));
        decoded.push_str(&piece[2..]);
    }
    decoded
}

async fn request(stream: &mut TcpStream) -> Option<String> {
    stream.set_nodelay(true).unwrap();
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = str::from_utf8(&bytes).ok()?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
            return Some(text.to_owned());
        }
    }
}

impl Device {
    /// The refusal, if the password is not as this firmware wants it.
    fn authorized(&self, request: &str, target: &str) -> Option<(u16, String)> {
        let password = self.password?;
        let form = format!("\r\n\r\nuser=admin&password={password}");
        let basic = request.contains(BASIC) && password == "joker";
        assert!(!target.contains("password"), "{target}");
        match self.firmware {
            Firmware::Old if !request.ends_with(&form) => Some((200, PASSWORD_WARNING.to_owned())),
            Firmware::Lite | Firmware::V12_4 | Firmware::V13_4 if !basic => {
                Some((401, PASSWORD_WARNING.to_owned()))
            }
            Firmware::Minimal
            | Firmware::Old
            | Firmware::Lite
            | Firmware::V12_4
            | Firmware::V13_4 => None,
        }
    }

    fn obey(&mut self, command: &str) -> String {
        let (name, argument) = command.split_once(' ').unwrap_or((command, ""));
        let word = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let index: usize = name[word.len()..].parse().unwrap_or(0);
        let known = match word {
            "Status" | "Power" | "StateText" => true,
            "PulseTime" => self.firmware != Firmware::Minimal,
            "TimedPower" => self.firmware == Firmware::V13_4,
            "RuleTimer" | "Rule" => self.firmware.has_rules(),
            "PowerLock" => self.power_lock.is_some(),
            "SetOption" | "Interlock" => true,
            _ => false,
        };
        match (word, argument) {
            _ if !known => r#"{"Command":"Unknown"}"#.to_owned(),
            ("StateText", "") => {
                let text = self.words.get(index - 1).unwrap_or(&"TOGGLE");
                format!("{{\"StateText{index}\":\"{text}\"}}")
            }
            ("SetOption", "") => {
                let on = index == 21 && self.meters_open;
                format!("{{\"SetOption{index}\":\"{}\"}}", self.words[usize::from(on)])
            }
            ("Rule", argument) => self.rule(index, argument),
            _ if index > self.on.len() => r#"{"Command":"Error"}"#.to_owned(),
            ("Status", number) => self.status(number),
            ("Power", "ON") => self.switch(index, true),
            ("Power", "OFF") => self.switch(index, false),
            ("PulseTime", code) => self.pulse_time(index, code),
            ("RuleTimer", seconds) => self.rule_timer(index, seconds),
            ("Interlock", "") => {
                let groups = self.interlock.map(|groups| format!(",\"Groups\":\"{groups}\""));
                let word = self.words[usize::from(self.interlock.is_some())];
                format!("{{\"Interlock\":\"{word}\"{}}}", groups.unwrap_or_default())
            }
            ("PowerLock", "") => {
                let word = self.words[usize::from(self.power_lock == Some(true))];
                format!("{{\"PowerLock{index}\":\"{word}\"}}")
            }
            ("TimedPower", "") => self.timed_power(name),
            ("TimedPower", ms) => {
                let entry = format!("Power{index} 0");
                self.timed.retain(|(_, command)| *command != entry);
                self.timed.push((ms.parse().unwrap(), entry));
                self.switch(index, true)
            }
            (_, _) => panic!("{command} must never be sent: it is a bare query, or no command"),
        }
    }

    fn key(&self, index: usize) -> String {
        if self.on.len() == 1 { "POWER".to_owned() } else { format!("POWER{index}") }
    }

    fn switch(&mut self, index: usize, on: bool) -> String {
        if !self.locked {
            self.on[index - 1] = on;
            let (set, remaining) = &mut self.pulse[index - 1];
            *remaining = if on { *set } else { 0 };
        }
        let text = self.words[usize::from(self.on[index - 1])];
        format!("{{\"{}\":\"{text}\"}}", self.key(index))
    }

    fn status(&self, number: &str) -> String {
        match number {
            "" => {
                let lock = self.power_lock.map(|lock| u8::from(lock).to_string());
                let lock = lock.map(|bits| format!(",\"PowerLock\":\"{bits}\""));
                let state = self.power_on_state;
                let lock = lock.unwrap_or_default();
                format!("{{\"Status\":{{\"Module\":1,\"PowerOnState\":{state}{lock}}}}}")
            }
            "0" => {
                let parts = ["", "1", "2", "10", "11"].map(|part| self.status(part));
                let inner: Vec<_> = parts.iter().map(|part| &part[1..part.len() - 1]).collect();
                format!("{{{}}}", inner.join(","))
            }
            "1" => format!("{{\"StatusPRM\":{{\"BootCount\":{}}}}}", self.boot_count),
            "2" => format!("{{\"StatusFWR\":{{\"Version\":\"{}\"}}}}", self.firmware.version()),
            "10" => {
                let energy = self.energy.map(|energy| format!(",\"ENERGY\":{energy}"));
                format!("{{\"StatusSNS\":{{\"Time\":\"x\"{}}}}}", energy.unwrap_or_default())
            }
            "11" => {
                let mut relays = String::new();
                for (index, on) in self.on.iter().enumerate() {
                    let text = self.words[usize::from(*on)];
                    relays.push_str(&format!(",\"{}\":\"{text}\"", self.key(index + 1)));
                }
                let uptime = self.uptime_s;
                format!(
                    "{{\"StatusSTS\":{{\"Uptime\":\"0T00:00:00\",\"UptimeSec\":{uptime}{relays},\
                     \"Wifi\":{{\"SSId\":\"x\"}}}}}}"
                )
            }
            _ => r#"{"Command":"Error"}"#.to_owned(),
        }
    }

    fn rule_timer(&mut self, index: usize, seconds: &str) -> String {
        if !seconds.is_empty() {
            self.rule_timers[index - 1] = seconds.parse().unwrap();
        }
        let timers =
            (1..).zip(self.rule_timers).map(|(timer, left)| format!("\"T{timer}\":{left}"));
        format!("{{{}}}", timers.collect::<Vec<_>>().join(","))
    }

    fn rule(&mut self, slot: usize, argument: &str) -> String {
        let words = self.words;
        let rule = &mut self.rules[slot - 1];
        match argument {
            "" => {}
            "1" => rule.enabled = true,
            "4" => rule.once = false,
            text => match text.strip_prefix("+ ") {
                Some(more) => rule.text = format!("{} {more}", rule.text),
                None => text.clone_into(&mut rule.text),
            },
        }
        let [state, once] = [rule.enabled, rule.once].map(|on| words[usize::from(on)]);
        let free = 511 - rule.text.len();
        format!(
            "{{\"Rule{slot}\":{{\"State\":\"{state}\",\"Once\":\"{once}\",\"Free\":{free},\
             \"Rules\":\"{}\"}}}}",
            rule.text
        )
    }

    fn pulse_time(&mut self, index: usize, code: &str) -> String {
        let timer = &mut self.pulse[index - 1];
        if !code.is_empty() {
            assert!(code == "0" || !code.starts_with('0'), "{code} is octal");
            let code = code.parse().unwrap();
            *timer = (code, code);
        }
        let (set, remaining) = *timer;
        if self.firmware == Firmware::Old {
            format!("{{\"PulseTime{index}\":\"{set} (Active {remaining})\"}}")
        } else {
            format!("{{\"PulseTime{index}\":{{\"Set\":{set},\"Remaining\":{remaining}}}}}")
        }
    }

    fn timed_power(&mut self, name: &str) -> String {
        if let Some(index) = name.strip_prefix("TimedPower").filter(|index| !index.is_empty()) {
            let prefix = format!("Power{index}");
            self.timed.retain(|(_, command)| !command.starts_with(&prefix));
            return r#"{"TimedPower":"Done"}"#.to_owned();
        }
        if self.timed.is_empty() {
            return r#"{"TimedPower":"Empty"}"#.to_owned();
        }
        let entries: Vec<_> = self
            .timed
            .iter()
            .map(|(ms, command)| format!("{{\"Remaining\":{ms},\"Command\":\"{command}\"}}"))
            .collect();
        format!("{{\"TimedPower\":[{}]}}", entries.join(","))
    }
}
