//! An outlet that exists only in this process: the agent runs whole on a laptop with it.
//!
//! It keeps a relay, a lease that runs out by itself and an uptime, all on tokio's clock, and can
//! be told through its [`SimulatedControl`] to behave as badly as real plugs do.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{Error, Fault};
use crate::{Capabilities, LONGEST_LEASE, LeaseLimits, LeaseReading, OFF_LIMIT, Outlet, Reading};

/// As a plug that does not answer is waited for.
const STALL: Duration = Duration::from_secs(3);
const SHORTEST_LEASE: Duration = Duration::from_secs(1);
const RESOLUTION: Duration = Duration::from_millis(50);

/// How a simulated outlet behaves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Behaviour {
    /// How it takes commands.
    pub conduct: Conduct,
    /// Whether it can hold a lease.
    pub leases: bool,
    /// What its load draws while the relay is closed, in watts; `None`: it has no meter.
    pub load_w: Option<f64>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { conduct: Conduct::Obey, leases: true, load_w: None }
    }
}

/// How a simulated outlet takes commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conduct {
    /// It does what it is told.
    Obey,
    /// It does not answer and does nothing; an operation fails after 3 s, an off sooner.
    Stall,
    /// It says and reads what it was told, and its contacts do not move, like a welded relay
    /// behind a plug that is well. Only its watts give it away.
    Lie,
    /// It answers reads, and everything else with no.
    Refuse,
    /// It says yes, its contacts do not move, and it reads what they are.
    Stick,
}

/// A simulated outlet.
#[derive(Debug)]
pub struct Simulated {
    device: Arc<Mutex<Device>>,
}

/// What can be done to a simulated outlet from beside its owner.
#[derive(Debug, Clone)]
pub struct SimulatedControl {
    device: Arc<Mutex<Device>>,
}

#[derive(Debug)]
struct Device {
    behaviour: Behaviour,
    /// What it says of its relay.
    on: bool,
    /// What its contacts are.
    closed: bool,
    off_at: Option<Instant>,
    started: Instant,
    boot_count: u64,
    energy_wh: f64,
    /// Up to when the energy is counted.
    metered: Instant,
}

impl Device {
    /// Counts the energy up to `until`; nothing that decides about it has changed since the last time.
    fn meter(&mut self, until: Instant) {
        let hours = until.saturating_duration_since(self.metered).as_secs_f64() / 3_600.0;
        if self.closed {
            self.energy_wh += self.behaviour.load_w.unwrap_or(0.0) * hours;
        }
        self.metered = until;
    }

    /// Moves the relay, if it moves.
    fn switch(&mut self, on: bool) {
        match self.behaviour.conduct {
            Conduct::Obey => (self.on, self.closed) = (on, on),
            Conduct::Lie => self.on = on,
            Conduct::Stick | Conduct::Stall | Conduct::Refuse => {}
        }
    }

    /// Does what the lease has done by now. A device that no longer answers still does that.
    fn settle(&mut self) {
        let now = Instant::now();
        if let Some(off_at) = self.off_at.filter(|off_at| *off_at <= now) {
            self.off_at = None;
            self.meter(off_at);
            match self.behaviour.conduct {
                Conduct::Obey | Conduct::Stall | Conduct::Refuse => {
                    (self.on, self.closed) = (false, false);
                }
                Conduct::Lie | Conduct::Stick => self.switch(false),
            }
        }
        self.meter(now);
    }

    fn reading(&self) -> Reading {
        let lease = match self.off_at {
            _ if !self.behaviour.leases => LeaseReading::Unsupported,
            None => LeaseReading::None,
            Some(off_at) => LeaseReading::Remaining(off_at - Instant::now()),
        };
        Reading {
            on: self.on,
            lease,
            uptime: Some(self.started.elapsed()),
            boot_count: Some(self.boot_count),
            power_w: self.behaviour.load_w.map(|watts| if self.closed { watts } else { 0.0 }),
            energy_wh: self.behaviour.load_w.map(|_| self.energy_wh),
            trip: None,
        }
    }
}

impl Simulated {
    /// An outlet that is off.
    #[must_use]
    pub fn new(behaviour: Behaviour) -> Self {
        let now = Instant::now();
        let device = Device {
            behaviour,
            on: false,
            closed: false,
            off_at: None,
            started: now,
            boot_count: 1,
            energy_wh: 0.0,
            metered: now,
        };
        Self { device: Arc::new(Mutex::new(device)) }
    }

    /// The handle for what happens to the outlet, good for as long as anyone keeps it.
    #[must_use]
    pub fn control(&self) -> SimulatedControl {
        SimulatedControl { device: Arc::clone(&self.device) }
    }

    fn conduct(&self) -> Conduct {
        settled(&self.device).behaviour.conduct
    }

    /// Lets the device answer, or not.
    async fn answer(&self, stall: Duration) -> Result<(), Fault> {
        match self.conduct() {
            Conduct::Stall => {
                sleep(stall).await;
                Err(Fault::Slow { limit: stall })
            }
            Conduct::Obey | Conduct::Lie | Conduct::Refuse | Conduct::Stick => Ok(()),
        }
    }

    /// Lets the device obey, or not.
    async fn command(&self, stall: Duration) -> Result<(), Fault> {
        self.answer(stall).await?;
        match self.conduct() {
            Conduct::Refuse => Err(Fault::SimulatedRefusal),
            Conduct::Obey | Conduct::Lie | Conduct::Stall | Conduct::Stick => Ok(()),
        }
    }

    async fn switch_on(&self, lease: Option<Duration>) -> Result<Reading, Fault> {
        self.command(STALL).await?;
        let mut device = settled(&self.device);
        if lease.is_some() && !device.behaviour.leases {
            return Err(Fault::NoLease);
        }
        device.switch(true);
        device.off_at = lease.map(|lease| Instant::now() + armed(lease));
        confirmed(&device, true)
    }

    async fn switch_off(&self) -> Result<Reading, Fault> {
        self.command(OFF_LIMIT).await?;
        let mut device = settled(&self.device);
        device.switch(false);
        confirmed(&device, false)
    }

    async fn clear(&self) -> Result<Reading, Fault> {
        self.command(STALL).await?;
        let mut device = settled(&self.device);
        device.off_at = None;
        Ok(device.reading())
    }
}

impl Outlet for Simulated {
    fn capabilities(&self) -> Capabilities {
        let behaviour = settled(&self.device).behaviour;
        let limits = LeaseLimits { max: LONGEST_LEASE, resolution: RESOLUTION };
        Capabilities {
            lease: behaviour.leases.then_some(limits),
            meters: behaviour.load_w.is_some(),
        }
    }

    async fn on(&mut self, lease: Option<Duration>) -> Result<Reading, Error> {
        let result = self.switch_on(lease).await;
        result.map_err(|source| Error::SwitchOn { device: device_name(), source })
    }

    async fn off(&mut self) -> Result<Reading, Error> {
        let result = self.switch_off().await;
        result.map_err(|source| Error::SwitchOff { device: device_name(), source })
    }

    async fn clear_lease(&mut self) -> Result<Reading, Error> {
        let result = self.clear().await;
        result.map_err(|source| Error::ClearLease { device: device_name(), source })
    }

    async fn read(&mut self) -> Result<Reading, Error> {
        let result = self.answer(STALL).await.map(|()| settled(&self.device).reading());
        result.map_err(|source| Error::Read { device: device_name(), source })
    }
}

impl SimulatedControl {
    /// Makes it behave otherwise from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        settled(&self.device).behaviour = behaviour;
    }

    /// Somebody presses the button: the relay changes, a lease goes on running.
    pub fn press_button(&self) {
        let mut device = settled(&self.device);
        let on = !device.on;
        (device.on, device.closed) = (on, on);
    }

    /// Its power fails and comes back: off, no lease, a new uptime.
    pub fn restart(&self) {
        let mut device = settled(&self.device);
        (device.on, device.closed) = (false, false);
        device.off_at = None;
        device.started = Instant::now();
        device.boot_count += 1;
    }

    /// Whether power flows, whatever the outlet says.
    #[must_use]
    pub fn is_powered(&self) -> bool {
        settled(&self.device).closed
    }
}

/// The device as it is now.
fn settled(device: &Mutex<Device>) -> MutexGuard<'_, Device> {
    // A panic elsewhere leaves nothing half done in here.
    let mut device = device.lock().unwrap_or_else(PoisonError::into_inner);
    device.settle();
    device
}

/// `lease` in range, and in whole steps.
fn armed(lease: Duration) -> Duration {
    let lease = lease.clamp(SHORTEST_LEASE, LONGEST_LEASE);
    let steps = lease.as_nanos().div_ceil(RESOLUTION.as_nanos());
    RESOLUTION * u32::try_from(steps).expect("18 h are 1.3 million steps")
}

fn confirmed(device: &Device, on: bool) -> Result<Reading, Fault> {
    if device.on == on {
        return Ok(device.reading());
    }
    let word = |on| if on { "on" } else { "off" }.to_owned();
    Err(Fault::Contradicted { expected: word(on), found: word(device.on) })
}

fn device_name() -> String {
    "simulated outlet".to_owned()
}

#[cfg(test)]
mod tests;
