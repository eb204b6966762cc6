//! Relays of Shelly plugs, over HTTP, of every generation.
//!
//! Facts this leans on:
//!
//! - A lease is the timer that goes with an on (`timer`, `toggle_after`): on now, flipped back
//!   after it. It is in RAM, so a restart loses it; the plug's uptime tells of that.
//! - It flips *back*: with an off it would switch on later. An off never has one, and nothing is
//!   ever toggled.
//! - That an off or a bare on ends a running timer is not documented. So both are read back, and
//!   a timer that still runs is told.
//! - `auto_off` is a second timer, in flash, that each on arms. One that would cut a lease short
//!   is made the longest, since it is somebody's backstop.
//! - A plug that switched off by itself tells why (`overpower`, …) and would do it again.

mod audit;
mod door;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod gen1;
mod gen2;
mod lease;
mod login;
mod plug;
mod reply;

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::error::{Error, Fault, Kind};
use crate::http::Hurry;
use crate::{
    Capabilities, Finding, FindingState, LONGEST_LEASE, LeaseLimits, LeaseReading, OFF_LIMIT,
    Outlet, Reading, Rest, Secret, Trip,
};
use door::Door;
use lease::{Armed, Timer};
use plug::Plug;
use reply::Status;

/// A lease is taken away by switching on without one, which must not meet the lease's end: two
/// requests and some seconds.
const TOO_SOON: Duration = Duration::from_secs(10);

/// Where a relay is.
#[derive(Debug, Clone)]
pub struct ShellySettings {
    /// `http://host[:port]`.
    pub url: String,
    /// Which of the plug's relays, from 1. (Plugs themselves count from 0.)
    pub relay: u8,
    /// The user of a plug of the first generation. Later ones know `admin` only; and without this
    /// the password is never sent as it is, whatever the plug claims to be.
    pub username: Option<String>,
    /// The password, if it has one.
    pub password: Option<Secret>,
}

/// One relay of a Shelly plug.
#[derive(Debug)]
pub struct Shelly {
    /// The plug and relay, as errors name them.
    device: String,
    plug: Plug,
    /// The lease that we armed, while the plug tells of the same.
    armed: Option<Armed>,
    /// The timer that was last told of, once one was asked for.
    last_timer: Option<Option<Timer>>,
    last_uptime: Option<Duration>,
    meters: bool,
}

/// What a relay is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Off, for good: never with a timer.
    Off,
    /// On; off after so many seconds.
    On { seconds: Option<u64> },
}

impl Turn {
    /// An off goes before whatever else waits for the plug.
    fn hurry(self) -> Hurry {
        match self {
            Self::Off => Hurry::Yes,
            Self::On { .. } => Hurry::No,
        }
    }
}

impl Shelly {
    /// A relay of a plug. No I/O: the first operation meets the plug.
    ///
    /// # Errors
    /// If the url is not `http://host[:port]`, or the relay is 0.
    pub fn new(settings: ShellySettings) -> Result<Self, Error> {
        let ShellySettings { url, relay, username, password } = settings;
        let configure =
            |source| Error::Configure { device: format!("Shelly relay {relay}"), source };
        let door = Door::new(&url, username, password).map_err(configure)?;
        let Some(index) = relay.checked_sub(1) else {
            let (setting, value) = ("relay", "0".to_owned());
            let remedy = "must be 1 or more: relays are counted from 1 here";
            return Err(configure(Fault::Setting { setting, value, remedy }));
        };
        Ok(Self {
            device: format!("Shelly {url} relay {relay}"),
            plug: Plug::new(door, index),
            armed: None,
            last_timer: None,
            last_uptime: None,
            meters: false,
        })
    }

    /// From now on it comes to `rest` when nothing covers it.
    pub(crate) fn rests(&mut self, rest: Rest) {
        self.plug.rests(rest);
    }

    async fn switch_on(&mut self, lease: Option<Duration>) -> Result<Reading, Fault> {
        // From now, however long it takes until the plug is told.
        let until = lease.map(|lease| Instant::now() + lease.min(LONGEST_LEASE));
        self.meet().await?;
        match until {
            Some(until) => self.on_until(until).await,
            None => self.on_without_lease().await,
        }
    }

    async fn on_until(&mut self, until: Instant) -> Result<Reading, Fault> {
        let before = match self.last_timer {
            Some(before) => before,
            None => self.status().await?.timer,
        };
        let longest = lease::seconds_for(until.duration_since(Instant::now()));
        let standing = self.plug.auto_off().await?;
        if standing.is_some_and(|standing| standing < Duration::from_secs(longest)) {
            self.plug.set_auto_off(Some(LONGEST_LEASE)).await?;
        }
        let sent = Instant::now();
        let seconds = lease::seconds_for(until.duration_since(sent));
        let wanted = Duration::from_secs(seconds);
        self.plug.switch(Turn::On { seconds: Some(seconds) }).await?;
        let status = self.status_after_switch(true).await?;
        self.armed = lease::confirmed(wanted, sent, before, status.timer);
        if self.armed.is_none() {
            return Err(self.timer_contradicted(Some(wanted), &status));
        }
        Ok(self.reading(&status))
    }

    async fn on_without_lease(&mut self) -> Result<Reading, Fault> {
        self.never_auto_off().await?;
        self.plug.switch(Turn::On { seconds: None }).await?;
        let status = self.status_after_switch(true).await?;
        self.no_timer(status)
    }

    async fn switch_off(&mut self) -> Result<Reading, Fault> {
        // Only the command itself is hurried: a plug that took it and is slow is off.
        timeout(OFF_LIMIT, self.plug.switch(Turn::Off))
            .await
            .unwrap_or(Err(Fault::Slow { limit: OFF_LIMIT }))?;
        let status = self.status_after_switch(false).await?;
        Ok(self.reading(&status))
    }

    async fn clear_and_read(&mut self) -> Result<Reading, Fault> {
        self.meet().await?;
        let status = self.status().await?;
        let Some(timer) = status.timer else { return Ok(self.reading(&status)) };
        if status.on {
            let remaining = lease::remaining(timer, self.armed);
            if remaining.is_none_or(|remaining| remaining < TOO_SOON) {
                return Err(Fault::LeaseEnds);
            }
            self.never_auto_off().await?;
            self.plug.switch(Turn::On { seconds: None }).await?;
        } else {
            self.plug.switch(Turn::Off).await?;
        }
        let status = self.status().await?;
        self.no_timer(status)
    }

    async fn read_all(&mut self) -> Result<Reading, Fault> {
        self.meet().await?;
        let status = self.status().await?;
        Ok(self.reading(&status))
    }

    /// Takes a standing `auto_off` away: an on without a lease would arm it.
    async fn never_auto_off(&mut self) -> Result<(), Fault> {
        match self.plug.auto_off().await? {
            Some(_) => self.plug.set_auto_off(None).await,
            None => Ok(()),
        }
    }

    async fn meet(&mut self) -> Result<(), Fault> {
        if self.plug.meet().await? {
            (self.armed, self.last_timer, self.last_uptime) = (None, None, None);
        }
        Ok(())
    }

    async fn status(&mut self) -> Result<Status, Fault> {
        let status = self.plug.status().await?;
        if status.uptime < self.last_uptime {
            self.armed = None;
            self.plug.doubt();
        }
        self.last_uptime = status.uptime;
        self.last_timer = Some(status.timer);
        self.meters = status.power_w.is_some();
        Ok(status)
    }

    async fn status_after_switch(&mut self, on: bool) -> Result<Status, Fault> {
        let status = self.status().await?;
        match &status.trouble {
            _ if status.on == on => Ok(status),
            Some(word) if on => Err(Fault::Tripped { word: word.clone() }),
            Some(_) | None => {
                let word = |on| if on { "on" } else { "off" }.to_owned();
                Err(Fault::Contradicted { expected: word(on), found: word(status.on) })
            }
        }
    }

    /// The reading of a plug in which no timer may run.
    fn no_timer(&self, status: Status) -> Result<Reading, Fault> {
        match status.timer {
            None => Ok(self.reading(&status)),
            Some(_) => Err(self.timer_contradicted(None, &status)),
        }
    }

    fn timer_contradicted(&self, expected: Option<Duration>, status: &Status) -> Fault {
        let told = |lease| match lease {
            Some(lease) => format!("a lease of {lease:?}"),
            None => "no lease".to_owned(),
        };
        let found = match status.timer {
            Some(timer) if status.on => match lease::remaining(timer, self.armed) {
                Some(remaining) => told(Some(remaining)),
                None => format!("another timer, {timer:?}"),
            },
            Some(_) => "a timer that will switch it on (auto_on must be off)".to_owned(),
            None => told(None),
        };
        Fault::Contradicted { expected: told(expected), found }
    }

    fn reading(&self, status: &Status) -> Reading {
        let lease = match status.timer {
            None => LeaseReading::None,
            Some(timer) => match (lease::remaining(timer, self.armed), timer) {
                (Some(remaining), _) => LeaseReading::Remaining(remaining),
                // Neither clock tells when it cuts, so it is no lease: its owner arms one anew.
                (None, _) if status.on => LeaseReading::None,
                // It will switch on, so that it must be seen and cleared.
                (None, Timer::Started { length, .. }) => LeaseReading::Remaining(length),
                (None, Timer::CountsDown(remaining)) => LeaseReading::Remaining(remaining),
            },
        };
        Reading {
            on: status.on,
            lease,
            uptime: status.uptime,
            boot_count: None,
            power_w: status.power_w,
            energy_wh: status.energy_wh,
            trip: status.trouble.as_deref().filter(|_| !status.on).map(Trip::of),
        }
    }

    async fn mend_and_read(&mut self, finding: &Finding) -> Result<(), Fault> {
        match finding.state {
            FindingState::Good => return Ok(()),
            FindingState::ByHand => return Err(Fault::ByHand),
            FindingState::Mendable => {}
        }
        self.plug.mend(&finding.setting).await?;
        let findings = self.plug.audit().await?;
        let same = findings.into_iter().find(|found| found.setting == finding.setting);
        match same {
            Some(found) if found.state == FindingState::Good => Ok(()),
            found => Err(Fault::Contradicted {
                expected: finding.wanted.clone(),
                found: found.map_or_else(|| "nothing".to_owned(), |found| found.actual),
            }),
        }
    }

    /// Names the device of an error, and lets the plug be met anew.
    fn failed(&mut self, fault: &Fault) -> String {
        match fault.kind() {
            Kind::Transient => self.plug.doubt(),
            Kind::Refused | Kind::Contradicted | Kind::Broken => self.plug.forget(),
        }
        self.device.clone()
    }
}

impl Outlet for Shelly {
    fn capabilities(&self) -> Capabilities {
        let lease = LeaseLimits { max: LONGEST_LEASE, resolution: lease::STEP };
        Capabilities { lease: Some(lease), meters: self.meters }
    }

    async fn on(&mut self, lease: Option<Duration>) -> Result<Reading, Error> {
        let result = self.switch_on(lease).await;
        result.map_err(|source| Error::SwitchOn { device: self.failed(&source), source })
    }

    async fn off(&mut self) -> Result<Reading, Error> {
        let result = self.switch_off().await;
        result.map_err(|source| Error::SwitchOff { device: self.failed(&source), source })
    }

    async fn clear_lease(&mut self) -> Result<Reading, Error> {
        let result = self.clear_and_read().await;
        result.map_err(|source| Error::ClearLease { device: self.failed(&source), source })
    }

    async fn read(&mut self) -> Result<Reading, Error> {
        let result = self.read_all().await;
        result.map_err(|source| Error::Read { device: self.failed(&source), source })
    }

    async fn audit(&mut self) -> Result<Vec<Finding>, Error> {
        let result = self.plug.audit().await;
        result.map_err(|source| Error::Audit { device: self.failed(&source), source })
    }

    async fn mend(&mut self, finding: &Finding) -> Result<(), Error> {
        let result = self.mend_and_read(finding).await;
        let setting = finding.setting.clone();
        result.map_err(|source| Error::Mend { device: self.failed(&source), setting, source })
    }
}
