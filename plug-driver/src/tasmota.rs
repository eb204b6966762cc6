//! Relays of Tasmota plugs, over HTTP or over a broker (see [`wire`]).
//!
//! Facts this leans on, with the firmware versions they were found in:
//!
//! - `Power0` neither arms nor cancels timers, so each relay is switched by its own number.
//! - Status 200 is no success (see [`reply`]), so each switch is confirmed by its reply and again
//!   by a read-back.
//! - The lease is in the best timer that the firmware has (see [`lease`]): `TimedPower`, else
//!   `RuleTimer` with a stored rule, else `PulseTime`. The first two are in memory: they survive
//!   an off, so they are cleared after it, and end with a restart. `PulseTime` ends with an off,
//!   starts again with a restart, and is in flash, which wears out.
//! - A bare `Power` would end a `PulseTime` before 9.4.0.1, so a relay is read by its status.
//! - An argument with a leading zero is octal, so numbers are never padded.

mod audit;
mod firmware;
mod http;
mod lease;
mod mqtt;
mod plug;
mod reply;
mod rule;
mod wire;

use std::time::Duration;

use tokio::time::{Instant, timeout};

use crate::error::{Error, Fault};
use crate::{
    Capabilities, Finding, FindingState, Kind, LONGEST_LEASE, LeaseReading, OFF_LIMIT, Outlet,
    Reading, Rest, Secret,
};
use http::Endpoint;
use lease::{Term, Timers};
pub use mqtt::{Line, Message, MqttPlug, PlugTopics};
use plug::{LeaseTimer, Plug};
#[cfg(any(test, fuzzing))]
pub(crate) use reply::fuzz;
use reply::{Load, State};
use wire::Wire;

/// How long the meter may take to be read after an off, which is no part of the off.
const METER_LIMIT: Duration = Duration::from_secs(1);

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
        let configure = configure(relay);
        let endpoint = Endpoint::new(&url, username, password).map_err(&configure)?;
        Self::on_wire(&url, Wire::Http(endpoint), relay).map_err(configure)
    }

    /// A relay, counted from 1, of a plug at a broker. No I/O: the first operation meets the plug.
    ///
    /// # Errors
    /// If the relay is 0.
    pub fn by_mqtt(plug: MqttPlug, relay: u8) -> Result<Self, Error> {
        Self::on_wire(&plug.name(), Wire::Mqtt(plug), relay).map_err(configure(relay))
    }

    fn on_wire(name: &str, wire: Wire, relay: u8) -> Result<Self, Fault> {
        if relay == 0 {
            let (setting, value) = ("relay", "0".to_owned());
            let remedy = "is all relays at once; they are counted from 1";
            return Err(Fault::Setting { setting, value, remedy });
        }
        let device = format!("Tasmota {name} relay {relay}");
        Ok(Self { device, plug: Plug::new(wire, relay) })
    }

    /// From now on it comes to `rest` when nothing covers it.
    pub(crate) fn rests(&mut self, rest: Rest) {
        self.plug.rests(rest);
    }

    async fn switch_on(&mut self, lease: Option<Duration>) -> Result<Reading, Fault> {
        let lease = lease.map(Term::from_now);
        self.plug.meet().await?;
        match (lease, self.plug.timer().await?) {
            (Some(lease), LeaseTimer::TimedPower) => self.on_by_timed_power(lease).await,
            (Some(lease), LeaseTimer::RuleTimer) => self.on_by_rule_timer(lease).await,
            (Some(lease), LeaseTimer::PulseTime) => self.on_by_pulse_time(lease).await,
            (Some(_), LeaseTimer::Absent) => Err(Fault::NoLease),
            (
                None,
                LeaseTimer::TimedPower
                | LeaseTimer::RuleTimer
                | LeaseTimer::PulseTime
                | LeaseTimer::Absent,
            ) => self.on_without_lease().await,
        }
    }

    /// `TimedPower<n>` is the switch-on itself, and replaces its like.
    async fn on_by_timed_power(&mut self, lease: Term) -> Result<Reading, Fault> {
        let standing = lease::pulse_length(self.plug.standing_pulse_time().await?);
        if !standing.is_zero() && standing < lease::within_range(lease.left()) {
            // It would cut first. It is somebody's backstop, so it is made longer, not taken away.
            self.plug.set_pulse_time(lease::pulse_time(LONGEST_LEASE)).await?;
        }
        let mut cleared = false;
        loop {
            let milliseconds = lease::timed_power(lease.left());
            let wanted = Duration::from_millis(milliseconds);
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

    /// The timer first: a command lost in between leaves a timer that cuts nothing, not a relay
    /// that nothing cuts. Each is a request of its own, since the answer to a backlog comes before
    /// any of it is done.
    async fn on_by_rule_timer(&mut self, lease: Term) -> Result<Reading, Fault> {
        if !self.plug.hold_lease_rule().await? {
            self.plug.distrust_rule_timer();
            return self.on_by_pulse_time(lease).await;
        }
        let standing = lease::pulse_length(self.plug.standing_pulse_time().await?);
        if standing < lease::within_range(lease.left()) {
            // The backstop: a rule timer that ends while the rules are at work is lost.
            self.plug.set_pulse_time(lease::pulse_time(LONGEST_LEASE)).await?;
        }
        let seconds = lease::rule_timer(lease.left());
        let wanted = Duration::from_secs(seconds);
        let sent = Instant::now();
        self.plug.set_rule_timer(seconds).await?;
        self.plug.switch(true).await?;
        let state = self.state_after_switch(true).await?;
        let timers = self.plug.timers().await?;
        if timers.hold(self.plug.relay(), wanted, sent.elapsed()) {
            return Ok(self.reading(state, &timers));
        }
        match timers {
            // It reckons in numbers that grow coarse, and wrong every 49.7 days of its uptime.
            Timers::RuleTimer(_) => {
                self.plug.set_rule_timer(0).await?;
                self.plug.distrust_rule_timer();
                self.on_by_pulse_time(lease).await
            }
            Timers::TimedPower(_) | Timers::PulseTime(_) | Timers::Absent => {
                Err(self.lease_contradicted(Some(wanted), &timers))
            }
        }
    }

    /// The timer first, since it is the on that arms it.
    async fn on_by_pulse_time(&mut self, lease: Term) -> Result<Reading, Fault> {
        let code = lease::pulse_time(lease.left());
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
        let (state, load) = if self.plug.is_known() {
            (self.plug.state().await?, None)
        } else {
            self.plug.whole().await?
        };
        confirmed(state, false)?;
        let timers = self.plug.timers().await?;
        let load = timeout(METER_LIMIT, self.load_after_off(state, load)).await;
        Ok(metered(self.reading(state, &timers), load.ok().and_then(Result::ok).flatten()))
    }

    /// Never a reason for an off to fail.
    async fn load_after_off(
        &mut self,
        state: State,
        known: Option<Load>,
    ) -> Result<Option<Load>, Fault> {
        let load = match known {
            Some(load) => Some(load),
            None => self.plug.load(state).await?,
        };
        self.plug.believable(load, state).await
    }

    async fn clear_and_read(&mut self) -> Result<Reading, Fault> {
        let timers = self.clear_timers().await?;
        let state = self.plug.state().await?;
        Ok(self.reading(state, &timers))
    }

    async fn read_all(&mut self) -> Result<Reading, Fault> {
        let (state, load) = self.plug.whole().await?;
        let timers = self.plug.timers().await?;
        let load = self.plug.believable(load, state).await?;
        let mut reading = metered(self.reading(state, &timers), load);
        let held = matches!(reading.lease, LeaseReading::Remaining(_));
        if held && self.plug.has_locks() && self.plug.power_lock().await? == Some(true) {
            // A locked relay does not obey its own timers.
            reading.lease = LeaseReading::None;
        }
        Ok(reading)
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
            Timers::RuleTimer(None) => return Ok(timers),
            Timers::RuleTimer(Some(_)) => self.plug.set_rule_timer(0).await?,
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
        confirmed(state, on)
    }

    fn lease_contradicted(&self, expected: Option<Duration>, timers: &Timers) -> Fault {
        let told = |lease| match lease {
            Some(lease) => format!("a lease of {lease:?}"),
            None => "no lease".to_owned(),
        };
        let found = told(timers.remaining(self.plug.relay()));
        Fault::Contradicted { expected: told(expected), found }
    }

    fn reading(&mut self, state: State, timers: &Timers) -> Reading {
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
            trip: self.plug.trip(state.on),
        }
    }

    /// Names the device of an error. What it says unexpectedly makes it a stranger; what the
    /// network loses does not, or an on would get the longer the more is lost.
    fn failed(&mut self, fault: &Fault) -> String {
        match fault.kind() {
            Kind::Transient => {}
            Kind::Refused | Kind::Contradicted | Kind::Broken => self.plug.forget(),
        }
        self.device.clone()
    }
}

fn configure(relay: u8) -> impl Fn(Fault) -> Error {
    move |source| Error::Configure { device: format!("Tasmota relay {relay}"), source }
}

fn confirmed(state: State, on: bool) -> Result<State, Fault> {
    if state.on == on {
        return Ok(state);
    }
    let word = |on| if on { "on" } else { "off" }.to_owned();
    Err(Fault::Contradicted { expected: word(on), found: word(state.on) })
}

fn metered(reading: Reading, load: Option<Load>) -> Reading {
    let power_w = load.and_then(|load| load.power_w);
    Reading { power_w, energy_wh: load.and_then(|load| load.energy_wh), ..reading }
}

impl Outlet for Tasmota {
    fn capabilities(&self) -> Capabilities {
        self.plug.capabilities()
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
        let result = audit::findings(&mut self.plug).await;
        result.map_err(|source| Error::Audit { device: self.failed(&source), source })
    }

    async fn mend(&mut self, finding: &Finding) -> Result<(), Error> {
        let result = match finding.state {
            FindingState::Good => Ok(()),
            FindingState::ByHand => Err(Fault::ByHand),
            FindingState::Mendable => audit::mend(&mut self.plug, &finding.setting).await,
        };
        let setting = finding.setting.clone();
        result.map_err(|source| Error::Mend { device: self.failed(&source), setting, source })
    }
}
