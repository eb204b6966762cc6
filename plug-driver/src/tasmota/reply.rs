//! What a plug's replies say.
//!
//! A reply is glued together from the log lines that its command caused: unknown keys and
//! repeated ones are normal, and status 200 means nothing. So a yes is exactly the expected key
//! with an expected value; anything else is none.

use std::time::Duration;

use serde_json::{Map, Value};

use super::firmware::{Version, version_in};
use super::lease::{PulseTime, TimedCommand};
use super::rule::{self, Stored};
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
    /// How many relays the plug has.
    pub(super) relays: usize,
}

/// What `Status 0` tells of the plug beside the state of its relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Particulars {
    pub(super) version: Option<Version>,
    pub(super) boot_count: Option<u64>,
    pub(super) power_on_state: Option<u64>,
    /// Whether some relay of the plug is locked.
    pub(super) locked: bool,
}

/// What the meter tells of one relay.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    pub(super) power_w: Option<f64>,
    pub(super) energy_wh: Option<f64>,
}

/// The words that a plug uses for off and on: its `StateText1` and `StateText2`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    off: String,
    on: String,
}

impl Default for Words {
    fn default() -> Self {
        Self { off: "OFF".to_owned(), on: "ON".to_owned() }
    }
}

impl Words {
    pub(super) fn new(off: &str, on: &str) -> Self {
        Self { off: off.to_owned(), on: on.to_owned() }
    }

    /// Whether neither says what everybody takes for the other.
    pub(super) fn are_clear(&self) -> bool {
        let said = |text: &str| text_of(&text.to_ascii_uppercase());
        self.off != self.on && said(&self.off) != Some(true) && said(&self.on) != Some(false)
    }

    /// Whether `value` says on.
    pub(super) fn read(&self, value: &Value) -> Option<bool> {
        match value {
            Value::String(text) => match (*text == self.off, *text == self.on) {
                (false, true) => Some(true),
                (true, false) => Some(false),
                (true, true) => None,
                (false, false) => text_of(text),
            },
            Value::Number(number) => match number.as_u64()? {
                1 => Some(true),
                0 => Some(false),
                _ => None,
            },
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

impl std::fmt::Display for Words {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?} and {:?}", self.off, self.on)
    }
}

/// What the words say that a plug has unless it was given others.
fn text_of(text: &str) -> Option<bool> {
    match text {
        "ON" | "1" => Some(true),
        "OFF" | "0" => Some(false),
        _ => None,
    }
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

    /// A reply that says nothing yet.
    pub(super) fn empty(command: &str) -> Self {
        Self { command: command.to_owned(), object: Map::new() }
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

    /// Takes everything of `other` in, in place of what has the same name.
    pub(super) fn merge(&mut self, other: Self) {
        self.object.extend(other.object);
    }

    /// `{part: {key: …}}`
    pub(super) fn within(&self, part: &str, key: &str) -> Option<&Value> {
        self.object.get(part)?.get(key)
    }

    /// `{key: …}`, whatever it is.
    pub(super) fn value(&self, key: &str) -> Result<&Value, Fault> {
        self.object.get(key).ok_or_else(|| self.unexpected())
    }

    /// Everything at the top.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.object.iter()
    }

    /// `{key: "…"}`
    pub(super) fn text(&self, key: &str) -> Result<String, Fault> {
        self.value(key)?.as_str().map(str::to_owned).ok_or_else(|| self.unexpected())
    }

    /// Whether it tells of any relay at all, in whatever words.
    pub(super) fn names_a_relay(&self) -> bool {
        let status = self.object.get("StatusSTS").and_then(Value::as_object);
        [Some(&self.object), status]
            .into_iter()
            .flatten()
            .any(|it| it.keys().any(|key| is_power(key)))
    }

    /// What a command that switches says of `relay`.
    pub(super) fn power(&self, relay: u8, words: &Words) -> Result<bool, Fault> {
        power_in(&self.object, relay, words).ok_or_else(|| self.unexpected())
    }

    /// `Status 11`, or the `Status 0` that it is a part of, for `relay`.
    pub(super) fn state(&self, relay: u8, words: &Words) -> Result<State, Fault> {
        let status = self.object.get("StatusSTS").and_then(Value::as_object);
        let on = status.and_then(|status| power_in(status, relay, words));
        match (status, on) {
            (Some(status), Some(on)) => {
                let relays = status.keys().filter(|key| is_power(key)).count();
                Ok(State { on, uptime: uptime_in(status), relays })
            }
            _ => Err(self.unexpected()),
        }
    }

    /// `Status 0`, whatever of it is there.
    pub(super) fn particulars(&self) -> Particulars {
        let status = |key| self.within("Status", key);
        Particulars {
            version: version_in(self),
            boot_count: self.within("StatusPRM", "BootCount").and_then(Value::as_u64),
            power_on_state: status("PowerOnState").and_then(Value::as_u64),
            // A bit for each relay, as text; by which end the first is does not matter here.
            locked: status("PowerLock")
                .and_then(Value::as_str)
                .is_some_and(|bits| bits.contains('1')),
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

    /// `RuleTimer`: what is left of timer `relay`, in whole seconds; `None` inside: it does not run.
    pub(super) fn rule_timer(&self, relay: u8) -> Result<Option<Duration>, Fault> {
        let seconds = self.object.get(&format!("T{relay}")).and_then(Value::as_u64);
        // It counts to 65,535; more is no answer of such a timer.
        let seconds = seconds.filter(|seconds| *seconds <= u64::from(u16::MAX));
        let remaining = seconds.map(|seconds| (seconds > 0).then(|| Duration::from_secs(seconds)));
        remaining.ok_or_else(|| self.unexpected())
    }

    /// `Rule<slot>`.
    pub(super) fn stored_rule(&self, slot: u8, words: &Words) -> Result<Stored, Fault> {
        rule::stored_in(&self.object, slot, words).ok_or_else(|| self.unexpected())
    }

    /// `Status 10`, or the `Status 0` that it is a part of: the load of `relay` of so many, if the
    /// plug has a meter.
    pub(super) fn load(&self, relay: u8, relays: usize) -> Option<Load> {
        let energy = self.within("StatusSNS", "ENERGY")?;
        let told = |key| energy.get(key).and_then(|value| channel(value, relay, relays));
        let energy_wh = told("Total").map(|kilowatt_hours| kilowatt_hours * 1_000.0);
        Some(Load {
            power_w: told("Power"),
            energy_wh: energy_wh.filter(|wh| wh.is_finite() && *wh >= 0.0),
        })
    }
}

/// The figure of `relay`: with one relay the sum of whatever is measured, with several the one of
/// its own channel. What is measured of several together tells of none.
fn channel(value: &Value, relay: u8, relays: usize) -> Option<f64> {
    let figure = match value.as_array() {
        Some(channels) if relays <= 1 => {
            channels.iter().map(number).sum::<Option<f64>>().filter(|_| !channels.is_empty())
        }
        Some(channels) => {
            let own = channels.get(usize::from(relay).checked_sub(1)?);
            own.filter(|_| channels.len() == relays).and_then(number)
        }
        None => number(value).filter(|_| relays <= 1),
    };
    figure.filter(|figure| figure.is_finite())
}

/// A number, or one in quotes and padded with blanks.
fn number(value: &Value) -> Option<f64> {
    match value.as_str() {
        Some(text) => text.trim().parse().ok(),
        None => value.as_f64(),
    }
}

/// Whether a key of a status tells of a relay: `POWER`, `POWER1`, …
fn is_power(key: &str) -> bool {
    key.strip_prefix("POWER").is_some_and(|index| index.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `POWER<n>`, or for the first relay `POWER`, which a plug with one relay says.
fn power_in(object: &Map<String, Value>, relay: u8, words: &Words) -> Option<bool> {
    let indexed = object.get(&format!("POWER{relay}"));
    let bare = || object.get("POWER").filter(|_| relay == 1);
    words.read(indexed.or_else(bare)?)
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
