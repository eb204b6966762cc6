//! A Tasmota plug over real HTTP on loopback, with timers that run, and faults on demand.
//!
//! It imitates what decides about power, by firmware version ([`Profile`]): the commands
//! `Power`, `TimedPower`, `PulseTime`, `RuleTimer` with rules, `Backlog`, `PowerLock`,
//! `Interlock`, `Status`, `State`; what a restart keeps; the answers to unknown commands, bad
//! arguments and wrong passwords. Each imitated behaviour cites the firmware's source or a
//! report where it is written (`profile`, `device`, `command`, `http`). Nothing here was
//! compared with hardware. Blinking, lights, shutters, MQTT and the web pages are left out.
//!
//! A test drives it and looks inside: what is on, for how long by the plug's own timers, who
//! switched when, what was asked. Wait with [`FakePlug::until`], never by sleeping.

mod command;
mod device;
mod fault;
mod http;
mod profile;
mod request;
mod rules;
mod status;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

pub use fault::Fault;
pub use profile::{Profile, Version};

use device::Device;

/// Who switched a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A command over HTTP.
    Http,
    /// One of the plug's own timers: `PulseTime`, `TimedPower`, `RuleTimer`.
    Timer,
    /// A stored rule at boot.
    Rule,
    /// The button.
    Button,
    /// A restart.
    Restart,
}

/// A relay that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// When, on the monotonic clock.
    pub at: Instant,
    /// When, in milliseconds since the Unix epoch: to compare with the agent's instants.
    pub at_ms: u64,
    /// Which relay, from 1.
    pub relay: usize,
    /// What it became.
    pub on: bool,
    /// By whom.
    pub by: By,
}

/// A command that was asked for over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The command as it was sent, decoded; empty if there was none.
    pub command: String,
}

/// How a plug starts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// A watchdog, an exception, a `Restart 1`: the mains were there all along.
    Warm,
    /// The mains came back.
    Cold,
}

/// A running plug. Dropped, it is gone from the network.
#[derive(Debug)]
pub struct FakePlug {
    shared: Arc<Shared>,
    address: SocketAddr,
    tasks: [JoinHandle<()>; 2],
}

/// What the server, the timers and the test look at.
#[derive(Debug)]
struct Shared {
    inside: Mutex<Inside>,
    /// Counts changes.
    changes: watch::Sender<u64>,
    /// A restart: the connection at hand breaks.
    hang_up: Notify,
}

#[derive(Debug)]
struct Inside {
    device: Device,
    asked: Vec<Asked>,
    /// The fault and for how many more requests, `None` for all.
    fault: Option<(Fault, Option<u32>)>,
}

impl FakePlug {
    /// Starts a plug on a free loopback port, its relays off.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(profile: Profile) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let device = Device::new(profile, Instant::now());
        let inside = Mutex::new(Inside { device, asked: vec![], fault: None });
        let (changes, _) = watch::channel(0);
        let shared = Arc::new(Shared { inside, changes, hang_up: Notify::new() });
        let server = tokio::spawn(http::serve(listener, Arc::clone(&shared)));
        let timers = tokio::spawn(run_timers(Arc::clone(&shared)));
        Ok(Self { shared, address, tasks: [server, timers] })
    }

    /// Where it is, as an agent's configuration names it: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the relay (from 1) is on, by what the plug believes. False for one it lacks.
    #[must_use]
    pub fn is_on(&self, relay: usize) -> bool {
        self.shared.look(|inside, _| inside.relay(relay).is_some_and(|relay| relay.on))
    }

    /// How long until the plug by itself switches the relay (from 1) off, by whichever of its
    /// timers is first; `None` if none would. Counts while the relay is off, too.
    #[must_use]
    pub fn lease_remaining(&self, relay: usize) -> Option<Duration> {
        self.shared.look(|inside, now| {
            inside.relay(relay)?;
            inside.device.lease_remaining(relay - 1, now)
        })
    }

    /// Every change of a relay since the start, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<Switch> {
        self.shared.look(|inside, _| inside.device.history.clone())
    }

    /// Every request that reached the plug, oldest first; those that a fault broke, too, but
    /// for [`Fault::Unreachable`].
    #[must_use]
    pub fn requests(&self) -> Vec<Asked> {
        self.shared.look(|inside, _| inside.asked.clone())
    }

    /// How often the flash was written, as far as we imitate it: settings, and power states
    /// while `SetOption0` is on. The real ones are gathered, so this is the most it can be.
    #[must_use]
    pub fn flash_writes(&self) -> u32 {
        self.shared.look(|inside, _| inside.device.flash_writes)
    }

    /// Sets what the load on a relay (from 1) draws while powered, in watts: 60 at the start.
    pub fn set_power_w(&self, relay: usize, power_w: f64) {
        self.shared.change(|inside, now| {
            inside.device.meter(now);
            if let Some(relay) = inside.relay(relay) {
                relay.power_w = power_w;
            }
        });
    }

    /// Welds the contacts of a relay (from 1), or frees them: welded, the load draws power
    /// whatever the plug believes. The meter tells only with `SetOption21` on.
    pub fn set_welded(&self, relay: usize, welded: bool) {
        self.shared.change(|inside, now| {
            inside.device.meter(now);
            if let Some(relay) = inside.relay(relay) {
                relay.welded = welded;
            }
        });
    }

    /// Keeps the rule engine busy: a rule timer that ends meanwhile is lost for good.
    pub fn set_rules_busy(&self, busy: bool) {
        self.shared.change(|inside, _| inside.device.rules_busy = busy);
    }

    /// A thumb on the button of a relay (from 1).
    pub fn press_button(&self, relay: usize) {
        self.shared.change(|inside, now| {
            if inside.relay(relay).is_some() {
                inside.device.press_button(relay - 1, now);
            }
        });
    }

    /// Restarts it at once: it is back with the next request, the one at hand breaks. Combine
    /// with [`Fault::Unreachable`] for the seconds that a real one takes.
    pub fn restart(&self, kind: Restart) {
        self.shared.change(|inside, now| inside.device.restart(kind, now));
        self.shared.hang_up.notify_waiters();
    }

    /// Runs a command as if typed at the plug's console and gives the answer: to set a plug up
    /// without HTTP. Not counted as a request.
    pub fn console(&self, command: &str) -> String {
        self.shared.change(|inside, now| inside.device.execute(command, By::Http, now))
    }

    /// From now on every request meets this fault.
    pub fn set_fault(&self, fault: Fault) {
        self.shared.change(|inside, _| inside.fault = Some((fault, None)));
    }

    /// The next `requests` requests meet this fault.
    pub fn set_fault_for(&self, fault: Fault, requests: u32) {
        self.shared.change(|inside, _| inside.fault = Some((fault, Some(requests))));
    }

    /// From now on all is well.
    pub fn clear_fault(&self) {
        self.shared.change(|inside, _| inside.fault = None);
    }

    /// Waits until `predicate` holds, looking at every change. Waits without end: the harness
    /// has the one time limit.
    pub async fn until(&self, predicate: impl Fn(&Self) -> bool) {
        let mut changes = self.shared.changes.subscribe();
        while !predicate(self) {
            // The sender lives in what `self` holds.
            let _ = changes.changed().await;
        }
    }

    /// Waits for the next change: a relay, a request, a setting.
    pub async fn changed(&self) {
        let mut changes = self.shared.changes.subscribe();
        // The sender lives in what `self` holds.
        let _ = changes.changed().await;
    }
}

impl Drop for FakePlug {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Inside {
    fn relay(&mut self, relay: usize) -> Option<&mut device::Relay> {
        self.device.relays.get_mut(relay.checked_sub(1)?)
    }

    /// The fault that the next request meets.
    fn next_fault(&mut self) -> Option<Fault> {
        let (fault, left) = self.fault.clone()?;
        match left {
            None => Some(fault),
            Some(0) => {
                self.fault = None;
                None
            }
            Some(left) => {
                self.fault = Some((fault.clone(), Some(left - 1)));
                Some(fault)
            }
        }
    }
}

impl Shared {
    /// Looks at it as it is now, all due timers done.
    fn look<T>(&self, look: impl FnOnce(&mut Inside, Instant) -> T) -> T {
        let now = Instant::now();
        let mut inside = self.lock();
        inside.device.advance(now);
        look(&mut inside, now)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inside, Instant) -> T) -> T {
        let outcome = self.look(change);
        self.changes.send_modify(|count| *count += 1);
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // A test that panicked half way through tells its own story; the plug goes on.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what the plug's timers are due to do, at the instant that they are.
async fn run_timers(shared: Arc<Shared>) {
    let mut changes = shared.changes.subscribe();
    loop {
        changes.mark_unchanged();
        let due = shared.look(|inside, _| inside.device.next_due());
        tokio::select! {
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                shared.change(|_, _| {});
            }
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}
