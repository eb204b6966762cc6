//! What systemd is told: ready, stopping, and that every part of the agent still makes progress.
//!
//! Run without systemd it does nothing. It must never vouch for a part that did not vouch for itself:
//! an agent that hangs is killed and started again, and recovery is a normal start.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

use crate::step::step;

/// The line to systemd.
#[derive(Debug)]
pub struct Systemd {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Systemd {
    /// The line that `NOTIFY_SOCKET` and `WATCHDOG_USEC` name; a dead one where nothing does.
    #[must_use]
    pub fn from_environment() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET").and_then(|name| {
            connect(&name)
                .inspect_err(|error| tracing::warn!(?name, %error, "systemd's socket is not there"))
                .ok()
        });
        Self { socket, watchdog: sd_notify::watchdog_enabled() }
    }

    /// Recovery is done, and the outlets are as they should be.
    pub fn ready(&self) {
        self.tell(&NotifyState::Ready);
    }

    /// A line for `systemctl status`.
    pub fn status(&self, text: &str) {
        // A second line would be a second message.
        self.tell(&NotifyState::Status(&text.replace('\n', " ")));
    }

    /// An orderly stop has begun.
    pub fn stopping(&self) {
        self.tell(&NotifyState::Stopping);
    }

    fn tell(&self, state: &NotifyState<'_>) {
        if let Some(socket) = &self.socket
            && let Err(error) = socket.send(format!("{state}\n").as_bytes())
        {
            tracing::warn!(%error, message = %state, "systemd did not take a message");
        }
    }
}

/// A leading `@` names an abstract socket. Not blocking: systemd too busy to read must not stall us.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _path => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// The sign of life of one long-lived part. Clones are the same part.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// This part just got further. It must come more often than [`Supervisor::period`].
    pub fn beat(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn beats(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Feeds systemd's watchdog for as long as every part makes progress.
#[derive(Debug)]
pub struct Supervisor {
    systemd: Arc<Systemd>,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    name: String,
    progress: Progress,
    /// Its beats when the watchdog was last fed.
    beats_when_fed: u64,
}

impl Supervisor {
    /// A supervisor of nothing yet.
    #[must_use]
    pub fn new(systemd: Arc<Systemd>) -> Self {
        Self { systemd, parts: Vec::new() }
    }

    /// Makes systemd's patience depend on the part `name` from now on.
    pub fn register(&mut self, name: impl Into<String>) -> Progress {
        let progress = Progress::default();
        let part = Part { name: name.into(), progress: progress.clone(), beats_when_fed: 0 };
        self.parts.push(part);
        progress
    }

    /// How often the watchdog is fed: half of systemd's patience; none where systemd keeps no watch.
    #[must_use]
    pub fn period(&self) -> Option<Duration> {
        Some(self.systemd.watchdog? / 2)
    }

    /// Feeds the watchdog until the process ends, unless a part stalls, which it names in the log.
    pub async fn run(mut self) {
        let Some(period) = self.period() else { return std::future::pending().await };
        loop {
            let stalled = self.feed();
            for name in &stalled {
                tracing::warn!(part = name, "no progress: systemd's watchdog is not fed");
            }
            // A part that is only late must not find systemd's patience gone with the next look.
            tokio::time::sleep(if stalled.is_empty() { period } else { period / 4 }).await;
        }
    }

    /// Sends `WATCHDOG=1` if every part has beaten since it last did; otherwise names those that have not.
    fn feed(&mut self) -> Vec<String> {
        let stalled: Vec<String> =
            self.parts.iter().filter(|part| part.stalled()).map(|part| part.name.clone()).collect();
        if stalled.is_empty() {
            self.systemd.tell(&NotifyState::Watchdog);
            step!("watchdog.fed");
            for part in &mut self.parts {
                part.beats_when_fed = part.progress.beats();
            }
        }
        stalled
    }
}

impl Part {
    fn stalled(&self) -> bool {
        self.progress.beats() == self.beats_when_fed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// systemd's end of the line, and ours with a watchdog of 10 s.
    fn systemd(name: &OsStr) -> (UnixDatagram, Arc<Systemd>) {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name).unwrap(),
            _path => SocketAddr::from_pathname(name).unwrap(),
        };
        let theirs = UnixDatagram::bind_addr(&address).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let ours = Systemd {
            socket: Some(connect(name).unwrap()),
            watchdog: Some(Duration::from_secs(10)),
        };
        (theirs, Arc::new(ours))
    }

    fn heard(socket: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 256];
        std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec()))
            .map(|message| String::from_utf8(message).unwrap())
            .collect()
    }

    #[test]
    fn systemd_hears_ready_status_and_stopping_in_order() {
        let room = tempfile::tempdir().unwrap();
        let (theirs, ours) = systemd(room.path().join("notify").as_os_str());
        ours.ready();
        ours.status("2 sessions\nREADY=1");
        ours.stopping();
        assert_eq!(heard(&theirs), ["READY=1\n", "STATUS=2 sessions READY=1\n", "STOPPING=1\n"]);
    }

    #[test]
    fn an_abstract_socket_is_as_good_as_a_path() {
        let name = format!("@edge-agent-test-{}", std::process::id());
        let (theirs, ours) = systemd(OsStr::new(&name));
        ours.ready();
        assert_eq!(heard(&theirs), ["READY=1\n"]);
    }

    #[test]
    fn without_systemd_nothing_happens() {
        let none = Systemd { socket: None, watchdog: None };
        none.ready();
        assert_eq!(Supervisor::new(Arc::new(none)).period(), None);
    }

    #[test]
    fn the_watchdog_is_fed_only_if_every_part_has_beaten_since_the_last_time() {
        let room = tempfile::tempdir().unwrap();
        let (theirs, ours) = systemd(room.path().join("notify").as_os_str());
        let mut supervisor = Supervisor::new(ours);
        let (agent, store) = (supervisor.register("agent"), supervisor.register("store"));
        assert_eq!(supervisor.feed(), ["agent", "store"]);
        agent.beat();
        assert_eq!(supervisor.feed(), ["store"]);
        assert_eq!(heard(&theirs), [""; 0]);
        store.beat();
        assert_eq!(supervisor.feed(), [""; 0]);
        assert_eq!(heard(&theirs), ["WATCHDOG=1\n"]);
        store.beat();
        assert_eq!(supervisor.feed(), ["agent"]);
        assert_eq!(heard(&theirs), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_living_agent_feeds_twice_within_systemds_patience_and_a_hung_one_not_at_all() {
        let room = tempfile::tempdir().unwrap();
        let (theirs, ours) = systemd(room.path().join("notify").as_os_str());
        let mut supervisor = Supervisor::new(ours);
        let agent = supervisor.register("agent");
        let beating = async {
            for _second in 0..20 {
                agent.beat();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let hung = async { tokio::time::sleep(Duration::from_secs(60)).await };
        let supervised = tokio::spawn(supervisor.run());
        beating.await;
        // One at the start, then each 5 s, the look of the 20th second included or not.
        assert!((4..=5).contains(&heard(&theirs).len()));
        tokio::time::sleep(Duration::from_secs(5)).await;
        heard(&theirs);
        hung.await;
        assert_eq!(heard(&theirs), [""; 0]);
        supervised.abort();
    }
}
