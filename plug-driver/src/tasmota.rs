//! Relays of Tasmota plugs, over HTTP.
//!
//! Facts this leans on, with the firmware versions they were found in:
//!
//! - `Power0` neither arms nor cancels timers, so each relay is switched by its own number.
//! - Status 200 is no success (see [`reply`]), so each switch is confirmed by its reply and again
//!   by a read-back.
//! - `TimedPower` (13.4) survives an off and ends with a restart; `PulseTime` ends with an off,
//!   starts again with a restart, and is in flash, which wears out.
//! - An argument with a leading zero is octal, so numbers are never padded.

mod http;
mod lease;
mod plug;
mod reply;

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::error::{Error, Fault};
use crate::{Capabilities, LONGEST_LEASE, LeaseReading, OFF_LIMIT, Outlet, Reading, Secret};
use http::Endpoint;
use lease::Timers;
use plug::{Plug, Timer};
use reply::State;
#[cfg(any(test, fuzzing))]
pub(crate) use reply::fuzz;

/// Where a relay is.
#[derive(Debug, Clone)]
pub struct TasmotaSettings {
    /// `http://host[:port]`.
    pub url: String,
    /// Which of the plug's relays, from 1.
    pub relay: u8,
    /// The user of the web interface: [`TasmotaSettings::DEFAULT_USERNAME`] unless the firmware
    /// was built with another.
    pub username: String,
    /// The password of the web interface, if it has one.
    pub password: Option<Secret>,
}

impl TasmotaSettings {
    /// The user that Tasmota's own builds have.
    pub const DEFAULT_USERNAME: &str = "admin";
}

/// One relay of a Tasmota plug.
#[derive(Debug)]
pub struct Tasmota {
    /// The plug and relay, as errors name them.
    device: String,
    plug: Plug,
}

impl Tasmota {
    /// A relay of a plug. No I/O: the first operation meets the plug.
    ///
    /// # Errors
    /// If the url is not `http://host[:port]`, or the relay is 0.
    pub fn new(settings: TasmotaSettings) -> Result<Self, Error> {
        let TasmotaSettings { url, relay, username, password } = settings;
        let configure =
            |source| Error::Configure { device: format!("Tasmota relay {relay}"), source };
        let endpoint = Endpoint::new(&url, username, password).map_err(configure)?;
        if relay == 0 {
            let (setting, value) = ("relay", "0".to_owned());
            let remedy = "is all relays at once; they are counted from 1";
            return Err(configure(Fault::Setting { setting, value, remedy }));
        }
        let device = format!("Tasmota {url} relay {relay}");
        Ok(Self { device, plug: Plug::new(endpoint, relay) })
    }

    async fn switch_on(&mut self, lease: Option<Duration>) -> Result<Reading, Fault> {
        match (lease, self.plug.timer().await?) {
            (Some(lease), Timer::TimedPower) => self.on_by_timed_power(lease).await,
            (Some(lease), Timer::PulseTime) => self.on_by_pulse_time(lease).await,
            (Some(_), Timer::Absent) => Err(Fault::NoLease),
            (None, Timer::TimedPower | Timer::PulseTime | Timer::Absent) => {
                self.on_without_lease().await
            }
        }
    }

    /// `TimedPower<n>` is the switch-on itself, and replaces its like.
    async fn on_by_timed_power(&mut self, lease: Duration) -> Result<Reading, Fault> {
        let milliseconds = lease::timed_power(lease);
        let wanted = Duration::from_millis(milliseconds);
        let standing = lease::pulse_length(self.plug.standing_pulse_time().await?);
        if !standing.is_zero() && standing < wanted {
            // It would cut first. It is somebody's backstop, so it is made longer, not taken away.
            self.plug.set_pulse_time(lease::pulse_time(LONGEST_LEASE)).await?;
        }
        let mut cleared = false;
        loop {
            let sent = Instant::now();
            self.plug.switch_on_for(milliseconds).await?;
            let state = self.state_after_switch(true).await?;
            let timers = self.plug.timers().await?;
            if timers.hold(self.plug.relay(), wanted, sent.elapsed()) {
                return Ok(self.reading(state, &timers));
            }
            if cleared {
                return Err(self.lease_contradicted(Some(wanted), &timers));
            }
            self.clear_timers().await?;
            cleared = true;
        }
    }

    /// The timer first, since it is the on that arms it.
    async fn on_by_pulse_time(&mut self, lease: Duration) -> Result<Reading, Fault> {
        let code = lease::pulse_time(lease);
        let wanted = lease::pulse_length(code);
        self.plug.set_pulse_time(code).await?;
        let sent = Instant::now();
        self.plug.switch(true).await?;
        let state = self.state_after_switch(true).await?;
        let timers = self.plug.timers().await?;
        if !timers.hold(self.plug.relay(), wanted, sent.elapsed()) {
            return Err(self.lease_contradicted(Some(wanted), &timers));
        }
        Ok(self.reading(state, &timers))
    }

    async fn on_without_lease(&mut self) -> Result<Reading, Fault> {
        self.clear_timers().await?;
        if self.plug.standing_pulse_time().await? != 0 {
            self.plug.set_pulse_time(0).await?;
        }
        self.plug.switch(true).await?;
        let state = self.state_after_switch(true).await?;
        let timers = self.plug.timers().await?;
        if timers.remaining(self.plug.relay()).is_some() {
            return Err(self.lease_contradicted(None, &timers));
        }
        Ok(self.reading(state, &timers))
    }

    async fn switch_off(&mut self) -> Result<Reading, Fault> {
        // Only the command itself is hurried: a plug that took it and is slow is off, and would
        // never be read back if all three answers had to fit.
        timeout(OFF_LIMIT, self.plug.switch(false))
            .await
            .unwrap_or(Err(Fault::Slow { limit: OFF_LIMIT }))?;
        let state = self.state_after_switch(false).await?;
        let timers = self.plug.timers().await?;
        Ok(self.reading(state, &timers))
    }

    async fn clear_and_read(&mut self) -> Result<Reading, Fault> {
        let timers = self.clear_timers().await?;
        let state = self.plug.state().await?;
        Ok(self.reading(state, &timers))
    }

    async fn read_all(&mut self) -> Result<Reading, Fault> {
        let state = self.plug.state().await?;
        let timers = self.plug.timers().await?;
        self.plug.boot_count().await?;
        let power_w = self.plug.power_w().await?;
        Ok(Reading { power_w, ..self.reading(state, &timers) })
    }

    /// Clears every timer of the relay that runs, and gives the timers read back after it.
    async fn clear_timers(&mut self) -> Result<Timers, Fault> {
        let relay = self.plug.relay();
        let timers = self.plug.timers().await?;
        match &timers {
            Timers::Absent => return Ok(timers),
            // An off has cancelled it already; the flash is spared.
            Timers::PulseTime(timer) if timer.remaining == 0 => return Ok(timers),
            Timers::PulseTime(_) => self.plug.set_pulse_time(0).await?,
            Timers::TimedPower(commands) => {
                // Those of all relays together cut this one as well.
                for stale in [relay, 0] {
                    if !commands.iter().any(|command| command.relay == stale) {
                        continue;
                    }
                    if let Some(other) = commands.iter().find(|it| it.shares_prefix_with(stale)) {
                        return Err(Fault::SharedTimer { relay, other: other.relay });
                    }
                    self.plug.clear_timed_power(stale).await?;
                }
                if !commands.iter().any(|command| command.touches(relay)) {
                    return Ok(timers);
                }
            }
        }
        let timers = self.plug.timers().await?;
        match timers.remaining(relay) {
            None => Ok(timers),
            Some(_) => Err(self.lease_contradicted(None, &timers)),
        }
    }

    async fn state_after_switch(&mut self, on: bool) -> Result<State, Fault> {
        let state = self.plug.state().await?;
        if state.on == on {
            return Ok(state);
        }
        let word = |on| if on { "on" } else { "off" }.to_owned();
        Err(Fault::Contradicted { expected: word(on), found: word(state.on) })
    }

    fn lease_contradicted(&self, expected: Option<Duration>, timers: &Timers) -> Fault {
        let told = |lease| match lease {
            Some(lease) => format!("a lease of {lease:?}"),
            None => "no lease".to_owned(),
        };
        let found = told(timers.remaining(self.plug.relay()));
        Fault::Contradicted { expected: told(expected), found }
    }

    fn reading(&self, state: State, timers: &Timers) -> Reading {
        let lease = match (timers, timers.remaining(self.plug.relay())) {
            (Timers::Absent, _) => LeaseReading::Unsupported,
            (_, Some(remaining)) => LeaseReading::Remaining(remaining),
            (_, None) => LeaseReading::None,
        };
        let boot_count = self.plug.known_boot_count();
        Reading {
            on: state.on,
            lease,
            uptime: state.uptime,
            boot_count,
            power_w: None,
            energy_wh: None,
        }
    }

    /// Names the device of an error, and lets the plug be met anew.
    fn failed(&mut self) -> String {
        self.plug.forget();
        self.device.clone()
    }
}

impl Outlet for Tasmota {
    fn capabilities(&self) -> Capabilities {
        self.plug.capabilities()
    }

    async fn on(&mut self, lease: Option<Duration>) -> Result<Reading, Error> {
        let result = self.switch_on(lease).await;
        result.map_err(|source| Error::SwitchOn { device: self.failed(), source })
    }

    async fn off(&mut self) -> Result<Reading, Error> {
        let result = self.switch_off().await;
        result.map_err(|source| Error::SwitchOff { device: self.failed(), source })
    }

    async fn clear_lease(&mut self) -> Result<Reading, Error> {
        let result = self.clear_and_read().await;
        result.map_err(|source| Error::ClearLease { device: self.failed(), source })
    }

    async fn read(&mut self) -> Result<Reading, Error> {
        let result = self.read_all().await;
        result.map_err(|source| Error::Read { device: self.failed(), source })
    }
}
