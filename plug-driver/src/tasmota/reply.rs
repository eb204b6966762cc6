//! What a plug's replies say.
//!
//! A reply is glued together from the log lines that its command caused: unknown keys and
//! repeated ones are normal, and status 200 means nothing. So a yes is exactly the expected key
//! with an expected value; anything else is none.

use std::time::Duration;

use serde_json::{Map, Value};

use super::lease::{PulseTime, TimedCommand};
use crate::error::Fault;

/// How much of a reply an error repeats.
const EXCERPT_CHARACTERS: usize = 120;

/// A reply that is one JSON object and no `WARNING`.
#[derive(Debug)]
pub(super) struct Reply {
    command: String,
    object: Map<String, Value>,
}

/// What `Status 11` tells of one relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct State {
    pub(super) on: bool,
    pub(super) uptime: Option<Duration>,
}

impl Reply {
    /// The reply to `command`.
    pub(super) fn parse(command: &str, body: &[u8]) -> Result<Self, Fault> {
        // A network's name may hold any bytes, and is of no interest.
        let text = String::from_utf8_lossy(body);
        let Ok(Value::Object(object)) = serde_json::from_str(&text) else {
            return Err(Fault::Answer { command: command.to_owned(), reply: excerpt(&text) });
        };
        if let Some(warning) = object.get("WARNING") {
            let text = warning.as_str().unwrap_or_default();
            return Err(Fault::Warning { text: excerpt(text) });
        }
        Ok(Self { command: command.to_owned(), object })
    }

    /// The error of a reply that lacks what was expected.
    pub(super) fn unexpected(&self) -> Fault {
        let text = Value::Object(self.object.clone()).to_string();
        Fault::Answer { command: self.command.clone(), reply: excerpt(&text) }
    }

    /// Whether the plug does not know the command.
    pub(super) fn is_unknown_command(&self) -> bool {
        self.object.get("Command").is_some_and(|value| value == "Unknown")
    }

    /// Whether the plug knows the command and cannot do it so, as for a relay it does not have.
    pub(super) fn is_command_error(&self) -> bool {
        self.object.get("Command").is_some_and(|value| value == "Error")
    }

    /// What a command that switches says of `relay`.
    pub(super) fn power(&self, relay: u8) -> Result<bool, Fault> {
        power_in(&self.object, relay).ok_or_else(|| self.unexpected())
    }

    /// `Status 11` for `relay`.
    pub(super) fn state(&self, relay: u8) -> Result<State, Fault> {
        let status = self.object.get("StatusSTS").and_then(Value::as_object);
        let on = status.and_then(|status| power_in(status, relay));
        match (status, on) {
            (Some(status), Some(on)) => Ok(State { on, uptime: uptime_in(status) }),
            _ => Err(self.unexpected()),
        }
    }

    /// `TimedPower`: every running timer of every relay.
    pub(super) fn timed_power(&self) -> Result<Vec<TimedCommand>, Fault> {
        match self.object.get("TimedPower") {
            Some(Value::String(text)) if text == "Empty" => Ok(Vec::new()),
            Some(Value::Array(timers)) => timers
                .iter()
                .map(timed_command)
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| self.unexpected()),
            _ => Err(self.unexpected()),
        }
    }

    /// `TimedPower<n>`: whether the timers are cleared.
    pub(super) fn timed_power_cleared(&self, relay: u8) -> Result<(), Fault> {
        let indexed = format!("TimedPower{relay}");
        let done = |key: &str| self.object.get(key).is_some_and(|value| value == "Done");
        if done("TimedPower") || done(&indexed) { Ok(()) } else { Err(self.unexpected()) }
    }

    /// `PulseTime<n>`, in each of the forms it had.
    pub(super) fn pulse_time(&self, relay: u8) -> Result<PulseTime, Fault> {
        let timer = match self.object.get(&format!("PulseTime{relay}")) {
            // {"PulseTime1":{"Set":300,"Remaining":295}}, from 6.6.0.15.
            Some(Value::Object(timer)) => pulse_time_of(timer, |code| code.as_u64()),
            // {"PulseTime1":"300 (Active 295)"}, before.
            Some(Value::String(text)) => pulse_time_text(text),
            // {"PulseTime":{"Set":[300,0],"Remaining":[295,0]}}: all at once.
            None => self.object.get("PulseTime").and_then(Value::as_object).and_then(|timers| {
                let index = usize::from(relay).checked_sub(1)?;
                pulse_time_of(timers, |codes| codes.get(index)?.as_u64())
            }),
            Some(_) => None,
        };
        timer.ok_or_else(|| self.unexpected())
    }

    /// `Status 1`: how often the plug has started.
    pub(super) fn boot_count(&self) -> Option<u64> {
        self.object.get("StatusPRM")?.get("BootCount")?.as_u64()
    }

    /// `Status 10`: the power of `relay` in watts, if the plug measures it.
    pub(super) fn power_w(&self, relay: u8) -> Option<f64> {
        let power = self.object.get("StatusSNS")?.get("ENERGY")?.get("Power")?;
        match power.as_array() {
            Some(channels) => channels.get(usize::from(relay).checked_sub(1)?)?.as_f64(),
            None => power.as_f64(),
        }
    }
}

/// `POWER<n>`, or for the first relay `POWER`, which a plug with one relay says.
fn power_in(object: &Map<String, Value>, relay: u8) -> Option<bool> {
    let indexed = object.get(&format!("POWER{relay}"));
    let bare = || object.get("POWER").filter(|_| relay == 1);
    match indexed.or_else(bare)? {
        // `StateText1` and `StateText2` may make it 0 and 1.
        Value::String(text) => match text.as_str() {
            "ON" | "1" => Some(true),
            "OFF" | "0" => Some(false),
            _ => None,
        },
        Value::Number(number) => match number.as_u64()? {
            1 => Some(true),
            0 => Some(false),
            _ => None,
        },
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// `UptimeSec`, or in older firmware `Uptime` as days `T` hours, minutes and seconds. The plug counts
/// in 32 bits, so more is no uptime; it would count as that long a power cut.
fn uptime_in(status: &Map<String, Value>) -> Option<Duration> {
    let plausible =
        |seconds: u64| u32::try_from(seconds).ok().map(|_| Duration::from_secs(seconds));
    if let Some(seconds) = status.get("UptimeSec").and_then(Value::as_u64) {
        return plausible(seconds);
    }
    let (days, clock) = status.get("Uptime")?.as_str()?.split_once('T')?;
    let mut seconds = u64::from(days.parse::<u32>().ok()?) * 24;
    let mut parts = 0;
    for part in clock.split(':') {
        // Hours are added to 24 times the days; each further part to 60 times the one before.
        seconds = seconds.checked_mul(if parts == 0 { 1 } else { 60 })?;
        seconds = seconds.checked_add(u64::from(part.parse::<u8>().ok()?))?;
        parts += 1;
    }
    if parts == 3 { plausible(seconds) } else { None }
}

/// `{"Remaining":59950,"Command":"Power1 0"}`
fn timed_command(timer: &Value) -> Option<TimedCommand> {
    // One that is due and has not run yet is below zero.
    let remaining_ms = u64::try_from(timer.get("Remaining")?.as_i64()?.max(0)).ok()?;
    let (relay, action) = timer.get("Command")?.as_str()?.strip_prefix("Power")?.split_once(' ')?;
    Some(TimedCommand {
        remaining: Duration::from_millis(remaining_ms),
        relay: relay.parse().ok()?,
        action: action.parse().ok()?,
    })
}

fn pulse_time_of(
    timer: &Map<String, Value>,
    code: impl Fn(&Value) -> Option<u64>,
) -> Option<PulseTime> {
    let code = |key| u16::try_from(code(timer.get(key)?)?).ok();
    Some(PulseTime { set: code("Set")?, remaining: code("Remaining")? })
}

fn pulse_time_text(text: &str) -> Option<PulseTime> {
    let (set, rest) = text.split_once(" (Active ")?;
    let remaining = rest.strip_suffix(')')?;
    Some(PulseTime { set: set.parse().ok()?, remaining: remaining.parse().ok()? })
}

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARACTERS).collect()
}

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
#[cfg(test)]
mod tests;
