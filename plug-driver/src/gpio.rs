//! Relays on the pins of this board: through rppal on a Raspberry Pi, through the kernel's
//! character device on any other, and as files for trials.
//!
//! A pin is taken over as it is found and left as it is when its owner ends, however it ends: the
//! outlet of a live session stays on through a restart of the agent. A pin by itself holds no
//! lease; behind a keeper, a process that outlives the agent, it holds one as a plug does.

mod cdev;
mod files;
pub mod keeper;
mod kept;
mod line;
mod relay;
mod rppal;
#[cfg(test)]
mod tests;

use std::time::Duration;

use self::kept::Kept;
pub use self::kept::{BootMs, KeeperSettings};
pub use self::line::{Backend, LineSettings, OnDeath};
pub use self::relay::Relay;
use crate::error::{Error, Fault};
use crate::{Capabilities, LONGEST_LEASE, LeaseLimits, LeaseReading, Outlet, Reading};

/// A keeper counts in milliseconds.
const RESOLUTION: Duration = Duration::from_millis(1);

/// Which line drives a relay, and who guards it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpioSettings {
    /// The line.
    pub line: LineSettings,
    /// The keeper that holds its leases; `None`: it is driven from here, without a lease.
    pub keeper: Option<KeeperSettings>,
}

/// A relay on a line of this board.
#[derive(Debug)]
pub struct Gpio {
    name: String,
    hand: Hand,
}

/// Whose hand is on the line.
#[derive(Debug)]
enum Hand {
    Own(Relay),
    Kept(Box<Kept>),
}

impl Gpio {
    /// The relay on a line. No I/O: the first operation claims the line, as it is, or meets the
    /// keeper.
    ///
    /// # Errors
    /// If no board has a line of that number.
    pub fn new(settings: GpioSettings) -> Result<Self, Error> {
        let name = settings.line.name();
        let hand = match settings.keeper {
            None => Hand::Own(Relay::new(settings.line)?),
            Some(keeper) => Hand::Kept(Box::new(Kept::new(settings.line, keeper)?)),
        };
        Ok(Self { name, hand })
    }

    async fn switch_on(&mut self, lease: Option<Duration>) -> Result<Reading, Fault> {
        match (&mut self.hand, lease) {
            (Hand::Own(_), Some(_)) => Err(Fault::NoLease),
            (Hand::Own(relay), None) => {
                relay.switch(true).await?;
                Ok(reading(true, LeaseReading::Unsupported))
            }
            (Hand::Kept(kept), lease) => {
                let (on, lease) = kept.on(lease).await?;
                confirmed(true, reading(on, lease))
            }
        }
    }

    async fn switch_off(&mut self) -> Result<Reading, Fault> {
        match &mut self.hand {
            Hand::Own(relay) => {
                relay.switch(false).await?;
                Ok(reading(false, LeaseReading::Unsupported))
            }
            Hand::Kept(kept) => {
                let (on, lease) = kept.off().await?;
                confirmed(false, reading(on, lease))
            }
        }
    }

    async fn look(&mut self) -> Result<Reading, Fault> {
        match &mut self.hand {
            Hand::Own(relay) => Ok(reading(relay.is_on()?, LeaseReading::Unsupported)),
            Hand::Kept(kept) => kept.read().await.map(|(on, lease)| reading(on, lease)),
        }
    }

    async fn clear(&mut self) -> Result<Reading, Fault> {
        match &mut self.hand {
            Hand::Own(_) => self.look().await,
            Hand::Kept(kept) => kept.clear().await.map(|(on, lease)| reading(on, lease)),
        }
    }
}

impl Outlet for Gpio {
    fn capabilities(&self) -> Capabilities {
        let limits = LeaseLimits { max: LONGEST_LEASE, resolution: RESOLUTION };
        let lease = match self.hand {
            Hand::Own(_) => None,
            Hand::Kept(_) => Some(limits),
        };
        Capabilities { lease, meters: false }
    }

    async fn on(&mut self, lease: Option<Duration>) -> Result<Reading, Error> {
        let result = self.switch_on(lease).await;
        result.map_err(|source| Error::SwitchOn { device: self.name.clone(), source })
    }

    async fn off(&mut self) -> Result<Reading, Error> {
        let result = self.switch_off().await;
        result.map_err(|source| Error::SwitchOff { device: self.name.clone(), source })
    }

    async fn clear_lease(&mut self) -> Result<Reading, Error> {
        let result = self.clear().await;
        result.map_err(|source| Error::ClearLease { device: self.name.clone(), source })
    }

    async fn read(&mut self) -> Result<Reading, Error> {
        let result = self.look().await;
        result.map_err(|source| Error::Read { device: self.name.clone(), source })
    }
}

fn reading(on: bool, lease: LeaseReading) -> Reading {
    Reading {
        on,
        lease,
        uptime: None,
        boot_count: None,
        power_w: None,
        energy_wh: None,
        trip: None,
    }
}

fn confirmed(on: bool, reading: Reading) -> Result<Reading, Fault> {
    if reading.on == on {
        return Ok(reading);
    }
    let word = |on| if on { "on" } else { "off" }.to_owned();
    Err(Fault::Contradicted { expected: word(on), found: word(reading.on) })
}
