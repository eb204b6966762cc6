//! A plug for tests: it answers like one firmware, keeps what it was told, and can be told to
//! answer certain commands badly. Its timers stand still, so that readings are exact.

mod device;

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
