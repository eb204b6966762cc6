//! A simulated plug behind real HTTP whose time passes only when the bench says so: a session of
//! hours is over in milliseconds, and the node dies at any request of it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use plug_driver::{AnyOutlet, Secret, TasmotaSettings};
use plug_sim::{Answer, Device, Profile, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// The longest that a request takes by the plug's clock. The driver's own does not see it, and so arms
/// no shorter lease for it, as it would.
const SLOWEST_MS: u64 = 100;

/// How many trials of a figure there are, in all.
pub(crate) fn trials(least: usize) -> usize {
    std::env::var("PLUG_TRIALS").map_or(least, |trials| trials.parse().unwrap())
}

/// Every firmware, with rules in its build and without.
pub(crate) fn profiles() -> Vec<(String, Profile)> {
    let each = Profile::tasmotas().into_iter().flat_map(|profile| {
        [true, false].map(|rules| {
            let version = profile.version;
            let lite = if rules { "" } else { " without rules" };
            (format!("{}.{}{lite}", version.0, version.1), Profile { rules, ..profile.clone() })
        })
    });
    each.collect()
}

/// The lease that a node asks for, so that the plug cuts after its deadline and not before.
pub(crate) fn with_guard(deadline: Duration) -> Duration {
    deadline + Duration::from_secs(5) + deadline / 10_000
}

/// Makes another answer of a command and of what its answer would be.
pub(crate) type Instead = Box<dyn FnMut(&str, &str, &mut fastrand::Rng) -> String + Send>;

/// What lies between driver and plug.
pub(crate) struct Between {
    pub(crate) device: Device,
    random: fastrand::Rng,
    /// Requests until the node is dead; the last may be obeyed and never answered.
    pub(crate) alive_for: Option<u32>,
    /// Of 100 replies, how many are lost after the plug has obeyed.
    pub(crate) lost_percent: u8,
    /// Says what a plug answers instead of doing what it was told.
    pub(crate) instead: Option<Instead>,
    /// The commands that the plug got.
    pub(crate) commands: Vec<String>,
}

/// One plug on the bench.
#[derive(Clone)]
pub(crate) struct Bench {
    between: Arc<Mutex<Between>>,
    port: u16,
}

impl Bench {
    pub(crate) async fn new(profile: Profile, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let between = Between {
            device: Device::new(profile),
            random: fastrand::Rng::with_seed(seed),
            alive_for: None,
            lost_percent: 0,
            instead: None,
            commands: Vec::new(),
        };
        let between = Arc::new(Mutex::new(between));
        let served = Arc::clone(&between);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                serve(&mut stream, &served).await;
            }
        });
        Self { between, port }
    }

    /// The driver of a relay of the plug, which has not met it yet.
    pub(crate) fn outlet(&self, relay: u8) -> AnyOutlet {
        AnyOutlet::tasmota(TasmotaSettings {
            url: format!("http://127.0.0.1:{}", self.port),
            relay,
            username: TasmotaSettings::DEFAULT_USERNAME.to_owned(),
            password: self.between().device.profile().password.clone().map(Secret::new),
        })
        .unwrap()
    }

    pub(crate) fn between(&self) -> MutexGuard<'_, Between> {
        self.between.lock().unwrap()
    }

    /// Puts another plug in the place of this one.
    pub(crate) fn replace(&self, device: Device) {
        let mut between = self.between();
        between.device = device;
        (between.alive_for, between.lost_percent, between.instead) = (None, 0, None);
        between.commands.clear();
    }

    pub(crate) fn now(&self) -> Duration {
        self.between().device.now()
    }

    /// When the plug will switch its first relay off by itself.
    pub(crate) fn cuts_at(&self) -> Duration {
        let between = self.between();
        between.device.now() + between.device.lease_remaining(1).unwrap()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.between().device.advance(by);
    }

    /// The commands since the last call.
    pub(crate) fn commands(&self) -> Vec<String> {
        std::mem::take(&mut self.between().commands)
    }
}

async fn serve(stream: &mut TcpStream, between: &Mutex<Between>) {
    let _ = stream.set_nodelay(true);
    let Some(request) = read(stream).await else { return };
    let reply = between.lock().unwrap().reply(&request);
    if let Some((status, body)) = reply {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n");
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = str::from_utf8(&bytes).ok()?;
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
        if body.len() < header("content-length: ").map_or(0, |length| length.parse().unwrap()) {
            continue;
        }
        let mut words = head.split(' ');
        return Some(Request {
            method: words.next()?.to_owned(),
            target: words.next()?.to_owned(),
            authorization: header("authorization: ").map(str::to_owned),
            body: body.to_owned(),
            ..Request::default()
        });
    }
}

impl Between {
    /// The status and body that reach the driver, if any do.
    fn reply(&mut self, request: &Request) -> Option<(u16, String)> {
        let heard = match &mut self.alive_for {
            None => true,
            // The node died before it could send this.
            Some(0) => return None,
            Some(left) => {
                *left -= 1;
                *left > 0
            }
        };
        let slow = Duration::from_millis(self.random.u64(5..SLOWEST_MS));
        self.device.advance(slow / 2);
        let command = command(&request.target);
        let answer = match &mut self.instead {
            None => self.device.handle(request).answer,
            Some(instead) => {
                // What it would have said had it obeyed.
                let reply = self.device.clone().handle(request);
                let (status, body) = reply.response()?;
                let body = instead(&command, body, &mut self.random);
                return Some((status, body));
            }
        };
        self.commands.push(command);
        self.device.advance(slow / 2);
        let lost = self.random.u8(0..100) < self.lost_percent;
        match answer {
            Answer::Response(response) if heard && !lost => Some((response.status, response.body)),
            Answer::Response(_) | Answer::Nothing | Answer::Reset | Answer::Silence => None,
        }
    }
}

/// The command that a target asks for.
fn command(target: &str) -> String {
    let mut pieces = target.strip_prefix("/cm?cmnd=").unwrap().split('%');
    let mut decoded = pieces.next().unwrap().to_owned();
    for piece in pieces {
        decoded.push(char::from(u8::from_str_radix(&piece[..2], 16).unwrap()));
        decoded.push_str(&piece[2..]);
    }
    decoded
}
