//! One relay of one plug, command by command.
//!
//! Each method is one question or one order and the strict reading of its answer; what to ask
//! and in which order is the parent module's.

use std::time::Duration;

use super::http::{Endpoint, Login};
use super::lease::{PULSE_TIME_STEP, TIMED_POWER_STEP, Timers};
use super::reply::{Reply, State};
use crate::error::Fault;
use crate::{Capabilities, LONGEST_LEASE, LeaseLimits};

#[derive(Debug)]
pub(super) struct Plug {
    endpoint: Endpoint,
    relay: u8,
    /// How this plug wants its password.
    login: Login,
    capabilities: Capabilities,
    last_uptime: Option<Duration>,
    found: Found,
}

/// What was found out about the plug. Forgotten after an error and when the plug was restarted,
/// since it may then be another plug, or another firmware.
#[derive(Debug, Default)]
struct Found {
    timer: Option<Timer>,
    /// What `PulseTime` arms with each on, as a code.
    pulse_time: Option<u16>,
    /// `Some(None)`: the plug does not tell.
    boot_count: Option<Option<u64>>,
    meters: Option<bool>,
}

/// The timer that holds the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    TimedPower,
    PulseTime,
    Absent,
}

impl Plug {
    /// `relay` counts from 1.
    pub(super) fn new(endpoint: Endpoint, relay: u8) -> Self {
        Self {
            endpoint,
            relay,
            login: Login::Header,
            // What every Tasmota can do at least.
            capabilities: Capabilities { lease: limits(PULSE_TIME_STEP), meters: false },
            last_uptime: None,
            found: Found::default(),
        }
    }

    pub(super) fn relay(&self) -> u8 {
        self.relay
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The boot count as last asked for.
    pub(super) fn known_boot_count(&self) -> Option<u64> {
        self.found.boot_count.flatten()
    }

    /// Asks everything anew from now on, as after a failed operation.
    pub(super) fn forget(&mut self) {
        self.found = Found::default();
    }

    /// Switches by `Power<n>`.
    pub(super) async fn switch(&mut self, on: bool) -> Result<(), Fault> {
        let argument = if on { "ON" } else { "OFF" };
        self.switch_by(&format!("Power{} {argument}", self.relay), on).await
    }

    /// Switches on by `TimedPower<n>`, for `milliseconds`.
    pub(super) async fn switch_on_for(&mut self, milliseconds: u64) -> Result<(), Fault> {
        self.switch_by(&format!("TimedPower{} {milliseconds}", self.relay), true).await
    }

    async fn switch_by(&mut self, command: &str, on: bool) -> Result<(), Fault> {
        let reply = self.ask(command).await?;
        // A locked or interlocked relay answers with the state that it keeps.
        if reply.power(self.relay)? == on { Ok(()) } else { Err(reply.unexpected()) }
    }

    /// Reads the relay. A bare `Power<n>` would end a `PulseTime` before 9.4.0.1.
    pub(super) async fn state(&mut self) -> Result<State, Fault> {
        let state = self.ask("Status 11").await?.state(self.relay)?;
        if state.uptime < self.last_uptime {
            self.forget();
        }
        self.last_uptime = state.uptime;
        Ok(state)
    }

    /// Which timer the plug has, asked once.
    pub(super) async fn timer(&mut self) -> Result<Timer, Fault> {
        match self.found.timer {
            Some(timer) => Ok(timer),
            None => Ok(match self.timers().await? {
                Timers::TimedPower(_) => Timer::TimedPower,
                Timers::PulseTime(_) => Timer::PulseTime,
                Timers::Absent => Timer::Absent,
            }),
        }
    }

    /// The plug's timers: by `TimedPower` if it has that, else by `PulseTime<n>`.
    pub(super) async fn timers(&mut self) -> Result<Timers, Fault> {
        let timers = match self.found.timer {
            Some(Timer::TimedPower) => {
                Timers::TimedPower(self.ask("TimedPower").await?.timed_power()?)
            }
            Some(Timer::PulseTime) => self.pulse_time().await?,
            Some(Timer::Absent) => Timers::Absent,
            None => {
                // Without a number it lists; with one it would clear.
                let reply = self.ask("TimedPower").await?;
                if reply.is_unknown_command() {
                    self.pulse_time().await?
                } else {
                    Timers::TimedPower(reply.timed_power()?)
                }
            }
        };
        (self.found.timer, self.capabilities.lease) = match timers {
            Timers::TimedPower(_) => (Some(Timer::TimedPower), limits(TIMED_POWER_STEP)),
            Timers::PulseTime(_) => (Some(Timer::PulseTime), limits(PULSE_TIME_STEP)),
            Timers::Absent => (Some(Timer::Absent), None),
        };
        Ok(timers)
    }

    /// Clears the running `TimedPower` timers of `relay`, our own or 0.
    pub(super) async fn clear_timed_power(&mut self, relay: u8) -> Result<(), Fault> {
        self.ask(&format!("TimedPower{relay}")).await?.timed_power_cleared(relay)
    }

    async fn pulse_time(&mut self) -> Result<Timers, Fault> {
        let reply = self.ask(&format!("PulseTime{}", self.relay)).await?;
        if reply.is_unknown_command() || reply.is_command_error() {
            return Ok(Timers::Absent);
        }
        let timer = reply.pulse_time(self.relay)?;
        self.found.pulse_time = Some(timer.set);
        Ok(Timers::PulseTime(timer))
    }

    /// What `PulseTime` arms with each on, as a code; 0: nothing. Asked once.
    pub(super) async fn standing_pulse_time(&mut self) -> Result<u16, Fault> {
        if let Some(code) = self.found.pulse_time {
            return Ok(code);
        }
        let code = match self.pulse_time().await? {
            Timers::PulseTime(timer) => timer.set,
            Timers::TimedPower(_) | Timers::Absent => 0,
        };
        self.found.pulse_time = Some(code);
        Ok(code)
    }

    /// Sets what `PulseTime` arms, now and with each on. The plug writes its flash if that is a
    /// change.
    pub(super) async fn set_pulse_time(&mut self, code: u16) -> Result<(), Fault> {
        let reply = self.ask(&format!("PulseTime{} {code}", self.relay)).await?;
        if reply.pulse_time(self.relay)?.set != code {
            return Err(reply.unexpected());
        }
        self.found.pulse_time = Some(code);
        Ok(())
    }

    /// How often the plug has started. Asked once.
    pub(super) async fn boot_count(&mut self) -> Result<Option<u64>, Fault> {
        if let Some(known) = self.found.boot_count {
            return Ok(known);
        }
        let told = self.ask("Status 1").await?.boot_count();
        self.found.boot_count = Some(told);
        Ok(told)
    }

    /// The watts of the relay's load; a plug without a meter is asked once.
    pub(super) async fn power_w(&mut self) -> Result<Option<f64>, Fault> {
        if self.found.meters == Some(false) {
            return Ok(None);
        }
        let power_w = self.ask("Status 10").await?.power_w(self.relay);
        self.found.meters = Some(power_w.is_some());
        self.capabilities.meters = power_w.is_some();
        Ok(power_w)
    }

    /// Sends `command`. A plug that refuses the password gets it in the other form, once.
    async fn ask(&mut self, command: &str) -> Result<Reply, Fault> {
        let reply = self.ask_by(command, self.login).await;
        let refused = match reply {
            Err(refused @ (Fault::Password | Fault::Warning { .. }))
                if self.endpoint.has_password() =>
            {
                refused
            }
            reply => return reply,
        };
        let reply = self.ask_by(command, self.login.other()).await.map_err(|_| refused)?;
        self.login = self.login.other();
        Ok(reply)
    }

    async fn ask_by(&self, command: &str, login: Login) -> Result<Reply, Fault> {
        let body = self.endpoint.send(command, login).await?;
        Reply::parse(command, &body)
    }
}

fn limits(resolution: Duration) -> Option<LeaseLimits> {
    Some(LeaseLimits { max: LONGEST_LEASE, resolution })
}
