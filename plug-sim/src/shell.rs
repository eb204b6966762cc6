//! A plug that runs: a device behind sockets, in real time or held still until it is told.
//!
//! A test drives it and looks inside: what is on, for how long by the plug's own timers, who
//! switched when, what was asked. Wait with [`FakePlug::until`], never by sleeping.

mod coiot;
mod control;
mod http;
mod mqtt;
mod websocket;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

pub use mqtt::Broker;

use crate::{Asked, By, Device, Family, Fault, PlugClock, Profile, Restart, time};

/// A relay that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Switch {
    /// When, on the monotonic clock.
    pub at: Instant,
    /// When, in milliseconds since the Unix epoch: to compare with its owner's instants.
    pub at_ms: u64,
    /// Which relay, from 1.
    pub relay: usize,
    /// What it became.
    pub on: bool,
    /// By whom.
    pub by: By,
}

/// How time passes for a plug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As it does.
    #[default]
    Real,
    /// Only with [`FakePlug::advance`].
    Held,
}

/// A running plug. Dropped, it is gone from the network.
#[derive(Debug)]
pub struct FakePlug {
    shared: Arc<Shared>,
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

/// What the sockets, the timers and the test look at.
#[derive(Debug)]
struct Shared {
    device: Mutex<Device>,
    pace: Pace,
    started: Instant,
    /// Counts changes.
    changes: watch::Sender<u64>,
    /// A restart: the connections at hand break.
    hang_up: Notify,
}

impl FakePlug {
    /// Starts a plug on a free loopback port, its relays off.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn start(profile: Profile) -> io::Result<Self> {
        Self::start_at(profile, (Ipv4Addr::LOCALHOST, 0).into(), Pace::Real).await
    }

    /// Starts a plug at this address.
    ///
    /// # Errors
    /// When the address is taken or none of ours.
    pub async fn start_at(profile: Profile, at: SocketAddr, pace: Pace) -> io::Result<Self> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        // Read before the wall clock: so what it tells of an instant is never earlier than that
        // showed then.
        let started = Instant::now();
        let device = Mutex::new(Device::made_at(profile, time::wall()));
        let (changes, _) = watch::channel(0);
        let hang_up = Notify::new();
        let shared = Arc::new(Shared { device, pace, started, changes, hang_up });
        let server = tokio::spawn(http::serve(listener, Arc::clone(&shared)));
        let timers = tokio::spawn(run_timers(Arc::clone(&shared)));
        Ok(Self { shared, address, tasks: vec![server, timers] })
    }

    /// Tasmota: connects it to a broker, from now on and again whenever the connection is lost.
    pub fn connect(&mut self, broker: Broker) {
        self.tasks.push(tokio::spawn(mqtt::run(broker, Arc::clone(&self.shared))));
    }

    /// Shelly's first generation: answers `CoIoT` questions at this address (port 5683 is the
    /// one that the world asks).
    ///
    /// # Errors
    /// When the address is taken or none of ours.
    pub async fn serve_coiot(&mut self, at: SocketAddr) -> io::Result<()> {
        let socket = UdpSocket::bind(at).await?;
        self.tasks.push(tokio::spawn(coiot::serve(socket, Arc::clone(&self.shared))));
        Ok(())
    }

    /// Serves the control interface at this address, and tells which it became.
    ///
    /// # Errors
    /// When the address is taken or none of ours.
    pub async fn serve_control(&mut self, at: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(at).await?;
        let address = listener.local_addr()?;
        self.tasks.push(tokio::spawn(control::serve(listener, Arc::clone(&self.shared))));
        Ok(address)
    }

    /// Where it is, as its owner's configuration names it: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Whose firmware it has.
    #[must_use]
    pub fn family(&self) -> Family {
        self.shared.look(|device| device.profile().family)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the relay (from 1) is on, by what the plug believes. False for one it lacks.
    #[must_use]
    pub fn is_on(&self, relay: usize) -> bool {
        self.shared.look(|device| device.is_on(relay))
    }

    /// How long until the plug by itself switches the relay (from 1) off, by whichever of its
    /// timers is first; `None` if none would. Counts while the relay is off, too.
    #[must_use]
    pub fn lease_remaining(&self, relay: usize) -> Option<Duration> {
        self.shared.look(|device| device.lease_remaining(relay))
    }

    /// Every change of a relay since the start, oldest first.
    #[must_use]
    pub fn history(&self) -> Vec<Switch> {
        let started = self.shared.started;
        self.shared.look(|device| {
            let switch = |change: &crate::Change| Switch {
                at: started + change.at,
                at_ms: device.board().wall_ms(change.at),
                relay: change.relay,
                on: change.on,
                by: change.by,
            };
            device.history().iter().map(switch).collect()
        })
    }

    /// Every request that reached the plug, oldest first; those that a fault broke, too, but
    /// for [`Fault::Unreachable`].
    #[must_use]
    pub fn requests(&self) -> Vec<Asked> {
        self.shared.look(|device| device.requests().to_vec())
    }

    /// How often the flash was written; see [`Device::flash_writes`].
    #[must_use]
    pub fn flash_writes(&self) -> u32 {
        self.shared.look(|device| device.flash_writes())
    }

    /// What the register of a relay (from 1) has counted, in watt-hours.
    #[must_use]
    pub fn energy_wh(&self, relay: usize) -> f64 {
        self.shared.look(|device| device.energy_wh(relay))
    }

    /// Sets what the load on a relay (from 1) draws while powered, in watts: 60 at the start.
    pub fn set_power_w(&self, relay: usize, power_w: f64) {
        self.shared.change(|device| device.set_power_w(relay, power_w));
    }

    /// Welds the contacts of a relay (from 1), or frees them; see [`Device::set_welded`].
    pub fn set_welded(&self, relay: usize, welded: bool) {
        self.shared.change(|device| device.set_welded(relay, welded));
    }

    /// Keeps the rule engine busy: a rule timer that ends meanwhile is lost for good.
    pub fn set_rules_busy(&self, busy: bool) {
        self.shared.change(|device| device.set_rules_busy(busy));
    }

    /// Something is wrong on a relay (from 1) of a Shelly; see [`Device::set_error`].
    pub fn set_error(&self, relay: usize, error: Option<&str>) {
        self.shared.change(|device| device.set_error(relay, error));
    }

    /// What a Shelly's clock says.
    pub fn set_clock(&self, clock: PlugClock) {
        self.shared.change(|device| device.set_clock(clock));
    }

    /// A Shelly forgets every login, as when others push them out.
    pub fn forget_logins(&self) {
        self.shared.change(Device::forget_logins);
    }

    /// A thumb on the button of a relay (from 1).
    pub fn press_button(&self, relay: usize) {
        self.shared.change(|device| device.press_button(relay));
    }

    /// Restarts it at once: it is back with the next request, the one at hand breaks. Combine
    /// with [`Fault::Unreachable`] for the seconds that a real one takes.
    pub fn restart(&self, kind: Restart) {
        self.shared.change(|device| device.restart(kind));
        self.shared.hang_up.notify_waiters();
    }

    /// Runs a command as if typed at the plug's console; see [`Device::console`].
    pub fn console(&self, command: &str) -> String {
        self.shared.change(|device| device.console(command))
    }

    /// Lets time pass; for [`Pace::Held`].
    pub fn advance(&self, by: Duration) {
        self.shared.change(|device| device.advance(by));
    }

    /// From now on every request meets this fault.
    pub fn set_fault(&self, fault: Fault) {
        self.shared.change(|device| device.set_fault(fault));
    }

    /// The next `requests` requests meet this fault.
    pub fn set_fault_for(&self, fault: Fault, requests: u32) {
        self.shared.change(|device| device.set_fault_for(fault, requests));
    }

    /// From now on all is well.
    pub fn clear_fault(&self) {
        self.shared.change(Device::clear_fault);
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

impl Shared {
    /// Looks at it as it is now, all due timers done.
    fn look<T>(&self, look: impl FnOnce(&mut Device) -> T) -> T {
        let mut device = self.lock();
        match self.pace {
            Pace::Real => device.advance_to(Instant::now().saturating_duration_since(self.started)),
            Pace::Held => {}
        }
        look(&mut device)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Device) -> T) -> T {
        let outcome = self.look(change);
        self.changes.send_modify(|count| *count += 1);
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Device> {
        // A test that panicked half way through tells its own story; the plug goes on.
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does what the plug's timers are due to do, at the instant that they are.
async fn run_timers(shared: Arc<Shared>) {
    let mut changes = shared.changes.subscribe();
    loop {
        changes.mark_unchanged();
        let due = shared.look(|device| device.next_due());
        let due = due.filter(|_| shared.pace == Pace::Real).map(|due| shared.started + due);
        tokio::select! {
            () = sleep_until(due.unwrap_or(shared.started)), if due.is_some() => {
                shared.change(|_| {});
            }
            changed = changes.changed() => if changed.is_err() { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_switch_is_never_told_earlier_than_the_clock_showed_it() {
        for _ in 0..200 {
            let plug = FakePlug::start(Profile::tasmota_14_4()).await.unwrap();
            let before_ms = time::whole_ms(time::wall());
            plug.press_button(1);
            let at_ms = plug.history()[0].at_ms;
            assert!(at_ms >= before_ms, "{} ms early", before_ms - at_ms);
        }
    }
}
