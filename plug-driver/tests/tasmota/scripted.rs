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
    /// `PulseTime` as text; the password only in the query, and refused with status 200.
    Old,
    /// `PulseTime` as an object; HTTP Basic, refused with status 401.
    V12_4,
    /// `TimedPower` as well.
    V13_4,
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
            timed: Vec::new(),
            pulse: vec![(0, 0); relays],
            uptime_s: 1_000,
            boot_count: 7,
            energy: None,
            wire: Vec::new(),
            commands: Vec::new(),
        }));
        let plug = Self { device: Arc::clone(&device), port };
        tokio::spawn(async move {
            let mut stalled = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                if !serve(&mut stream, &device).await {
                    stalled.push(stream);
                }
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

/// Serves one request; `false`: the stream is to be kept open without an answer.
async fn serve(stream: &mut TcpStream, device: &Mutex<Device>) -> bool {
    let Some(request) = request(stream).await else { return true };
    let target = request.split(' ').nth(1).unwrap();
    assert!(request.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{request}");
    let command = target.split(['=', '&']).nth(1).unwrap().replace("%20", " ");
    let (wire, status, body) = {
        let mut device = device.lock().unwrap();
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

async fn request(stream: &mut TcpStream) -> Option<String> {
    stream.set_nodelay(true).unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(bytes).ok()
}

impl Device {
    /// The refusal, if the password is not as this firmware wants it.
    fn authorized(&self, request: &str, target: &str) -> Option<(u16, String)> {
        let password = self.password?;
        let query = format!("&user=admin&password={password}");
        let basic = request.contains(BASIC) && password == "joker";
        match self.firmware {
            Firmware::Old if !target.ends_with(&query) => Some((200, PASSWORD_WARNING.to_owned())),
            Firmware::V12_4 | Firmware::V13_4 if !basic => Some((401, PASSWORD_WARNING.to_owned())),
            Firmware::Minimal | Firmware::Old | Firmware::V12_4 | Firmware::V13_4 => None,
        }
    }

    fn obey(&mut self, command: &str) -> String {
        let (name, argument) = command.split_once(' ').unwrap_or((command, ""));
        let word = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let index: usize = name[word.len()..].parse().unwrap_or(0);
        let known = match word {
            "Status" | "Power" => true,
            "PulseTime" => self.firmware != Firmware::Minimal,
            "TimedPower" => self.firmware == Firmware::V13_4,
            _ => false,
        };
        match (word, argument) {
            _ if !known => r#"{"Command":"Unknown"}"#.to_owned(),
            _ if index > self.on.len() => r#"{"Command":"Error"}"#.to_owned(),
            ("Status", number) => self.status(number),
            ("Power", "ON") => self.switch(index, true),
            ("Power", "OFF") => self.switch(index, false),
            ("PulseTime", code) => self.pulse_time(index, code),
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
        let text = if self.on[index - 1] { "ON" } else { "OFF" };
        format!("{{\"{}\":\"{text}\"}}", self.key(index))
    }

    fn status(&self, number: &str) -> String {
        match number {
            "1" => format!("{{\"StatusPRM\":{{\"BootCount\":{}}}}}", self.boot_count),
            "10" => {
                let energy = self.energy.map(|energy| format!(",\"ENERGY\":{energy}"));
                format!("{{\"StatusSNS\":{{\"Time\":\"x\"{}}}}}", energy.unwrap_or_default())
            }
            "11" => {
                let mut relays = String::new();
                for (index, on) in self.on.iter().enumerate() {
                    let text = if *on { "ON" } else { "OFF" };
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
