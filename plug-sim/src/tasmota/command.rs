//! What the plug understands and how it answers about power; its settings are in `settings`.
//!
//! Source: arendst/Tasmota `support_command.ino`, the rules' commands from `xdrv_10_rules`.
//! Numbers are read as C's `strtol` with base 0 reads them, so a leading zero is octal. A
//! command that is not known answers `{"Command":"Unknown"}`, one that finds no answer to its
//! arguments `{"Command":"Error"}`. `TimedPower` and `Power` don't blink here: `Error`.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Action, RULE_TIMERS, Tasmota, Timed};
use crate::{By, Restart};

/// One command, taken apart.
pub(super) struct Line<'a> {
    /// Lower case, without its index.
    pub(super) name: String,
    /// The figures after the name.
    pub(super) index: Option<u32>,
    /// The rest, trimmed.
    pub(super) data: &'a str,
}

impl Tasmota {
    /// Does what `text` says and gives the answer, one JSON object.
    pub(crate) fn execute(&mut self, text: &str, by: By) -> String {
        self.board.count();
        let line = Line::parse(text);
        let answer = match line.name.as_str() {
            "power" => self.power_command(&line, by),
            "timedpower" if self.profile.version.has_timed_power() => self.timed_power(&line, by),
            "pulsetime" => self.pulse_time(&line),
            "ruletimer" if self.profile.rules => self.rule_timer(&line),
            "backlog" => self.backlog_command(&line),
            "delay" => {
                let tenths = line.number().and_then(|tenths| u64::try_from(tenths).ok());
                self.delay(Duration::from_millis(tenths.unwrap_or(0).saturating_mul(100)));
                Some(json!({ "Delay": tenths.unwrap_or(0) }))
            }
            "status" => self.status_command(&line),
            "state" => Some(self.state()),
            "restart" if line.number() == Some(1) => {
                self.restart(Restart::Warm);
                Some(json!({ "Restart": "Restarting" }))
            }
            "restart" => Some(json!({ "Restart": "1 to restart" })),
            _ => match self.setting(&line) {
                Some(answer) => answer,
                None => Some(json!({ "Command": "Unknown" })),
            },
        };
        answer.map_or_else(
            || json!({ "Command": "Error" }).to_string(),
            |answer| self.render(&answer),
        )
    }

    /// `POWER` with a single relay and no `SetOption26`, else `POWER1`. `relay` counts from 0.
    pub(super) fn power_key(&self, relay: usize) -> String {
        if self.board.relays.len() == 1 && self.option(26) == 0 {
            "POWER".to_owned()
        } else {
            format!("POWER{}", relay + 1)
        }
    }

    fn power_answer(&self, relays: std::ops::Range<usize>) -> Value {
        let power =
            |relay: usize| (self.power_key(relay), json!(self.text(self.board.relays[relay].on)));
        Value::Object(relays.map(power).collect())
    }

    fn power_command(&mut self, line: &Line<'_>, by: By) -> Option<Value> {
        // What can't be read is a query, not an error.
        let action = line.state(self).unwrap_or(Action::Query);
        let relay = line.relay_or_all(self)?;
        let Some(relay) = relay else {
            self.power_all(action, by);
            return Some(self.power_answer(0..self.board.relays.len()));
        };
        self.power(relay, action, by);
        Some(self.power_answer(relay..relay + 1))
    }

    /// Not cancelled by `Power` or the button; cleared by prefix, so 1 takes 10 with it; what
    /// is less than 50 or no number means 50 ms, `0` included (`CmndTimedPower`).
    fn timed_power(&mut self, line: &Line<'_>, by: By) -> Option<Value> {
        let relay = line.relay_or_all(self)?;
        let number = relay.map_or(0, |relay| relay + 1);
        if line.data.is_empty() {
            if line.index.is_none() {
                return Some(self.timed_list());
            }
            let prefix = format!("Power{number}");
            self.timed.retain(|timed| !timed.command.starts_with(&prefix));
            return Some(json!({ format!("TimedPower{number}"): "Done" }));
        }
        let milliseconds = line.number().filter(|ms| *ms >= 50);
        let milliseconds = milliseconds.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(50);
        let start = line.data.split_once(',').map_or("1", |(_, state)| state.trim());
        let (start, end) = match state(start, self)? {
            Action::Off => (Action::Off, "1"),
            Action::On => (Action::On, "0"),
            Action::Toggle => (Action::Toggle, "2"),
            Action::Query => return None,
        };
        let after = Duration::from_millis(milliseconds);
        self.set_timed(format!("Power{number} {end}"), after);
        if let Some(relay) = relay {
            self.power(relay, start, by);
            Some(self.power_answer(relay..relay + 1))
        } else {
            self.power_all(start, by);
            Some(self.power_answer(0..self.board.relays.len()))
        }
    }

    fn timed_list(&self) -> Value {
        let timer = |timed: &Timed| {
            let remaining = timed.at.saturating_sub(self.board.now).as_millis();
            json!({ "Remaining": u64::try_from(remaining).unwrap_or(0), "Command": timed.command })
        };
        let list: Vec<Value> = self.timed.iter().map(timer).collect();
        let list = if list.is_empty() { json!("Empty") } else { Value::Array(list) };
        json!({ "TimedPower": list })
    }

    fn pulse_time(&mut self, line: &Line<'_>) -> Option<Value> {
        let version = self.profile.version;
        let one = |device: &Self, relay: usize| {
            let pulse = &device.pulses[relay];
            let left = pulse.at.map_or(Duration::ZERO, |at| at.saturating_sub(device.board.now));
            (pulse.code, pulse_code(left))
        };
        let shown = |(set, remaining): (u32, u32)| {
            if version.pulse_time_is_object() {
                json!({ "Set": set, "Remaining": remaining })
            } else if remaining > 0 {
                json!(format!("{set} (Active {remaining})"))
            } else {
                json!(set.to_string())
            }
        };
        if line.index.is_none() && line.data.is_empty() {
            let all: Vec<(u32, u32)> =
                (0..self.board.relays.len()).map(|relay| one(self, relay)).collect();
            if version.pulse_times_are_lists() {
                let (set, remaining): (Vec<u32>, Vec<u32>) = all.into_iter().unzip();
                return Some(json!({ "PulseTime": { "Set": set, "Remaining": remaining } }));
            }
            let named = all.into_iter().zip(1..);
            let named = named.map(|(timer, number)| (format!("PulseTime{number}"), shown(timer)));
            return Some(Value::Object(named.collect()));
        }
        let relay = line.relay_or_all(self)??;
        if let Some(code @ 0..=65_535) = line.number() {
            self.set_pulse_time(relay, u32::try_from(code).unwrap_or(0));
        }
        Some(json!({ format!("PulseTime{}", relay + 1): shown(one(self, relay)) }))
    }

    fn rule_timer(&mut self, line: &Line<'_>) -> Option<Value> {
        let index = usize::try_from(line.index.unwrap_or(1)).ok()?;
        let timers = match index {
            0 => 0..RULE_TIMERS,
            1..=RULE_TIMERS => index - 1..index,
            _ => return None,
        };
        if !line.data.is_empty() {
            let seconds = line.number().and_then(|seconds| u64::try_from(seconds).ok());
            let seconds = seconds.filter(|seconds| *seconds > 0);
            let at = seconds.map(|seconds| self.board.now + Duration::from_secs(seconds));
            self.rule_timers[timers].fill(at);
        }
        let shown = self.rule_timers.iter().zip(1..).map(|(at, number)| {
            let left = at.map_or(0, |at| at.saturating_sub(self.board.now).as_secs());
            (format!("T{number}"), json!(left))
        });
        Some(Value::Object(shown.collect()))
    }

    /// Answers before anything of it is done.
    fn backlog_command(&mut self, line: &Line<'_>) -> Option<Value> {
        let without_gap = line.index == Some(0) && self.profile.version.has_backlog0();
        let gap = if without_gap { 0 } else { u64::from(self.option(34)) };
        self.backlog(line.data, Duration::from_millis(gap));
        Some(json!({}))
    }
}

impl<'a> Line<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let text = text.trim();
        let (word, data) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let name = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let index = word[name.len()..].parse().ok();
        Self { name: name.to_ascii_lowercase(), index, data: data.trim() }
    }

    /// The leading number of the arguments.
    pub(super) fn number(&self) -> Option<i64> {
        strtol(self.data)
    }

    pub(super) fn state(&self, device: &Tasmota) -> Option<Action> {
        state(self.data, device)
    }

    /// A relay counted from 0, `Some(None)` for index 0 (all), `None` where there is none such.
    pub(super) fn relay_or_all(&self, device: &Tasmota) -> Option<Option<usize>> {
        let index = usize::try_from(self.index.unwrap_or(1)).ok()?;
        (index <= device.board.relays.len()).then(|| index.checked_sub(1))
    }
}

/// A state by number or word; the words of `StateText` count too.
fn state(text: &str, device: &Tasmota) -> Option<Action> {
    let actions = [Action::Off, Action::On, Action::Toggle];
    if let Some(number) = strtol(text) {
        return actions.get(usize::try_from(number).ok()?).copied();
    }
    let own = device.state_texts.iter().position(|own| own.eq_ignore_ascii_case(text));
    match (own, text.to_ascii_lowercase().as_str()) {
        (Some(index), _) => actions.get(index).copied(),
        (None, "off" | "false" | "stop") => Some(Action::Off),
        (None, "on" | "true" | "start") => Some(Action::On),
        (None, "toggle") => Some(Action::Toggle),
        (None, _) => None,
    }
}

/// C's `strtol` with base 0: `0x1F` and `017` are 31 and 15; stops at what is no figure.
fn strtol(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', _, ..] => (8, digits),
        _ => (10, digits),
    };
    let end = digits.find(|digit: char| !digit.is_digit(radix)).unwrap_or(digits.len());
    let value = i64::from_str_radix(&digits[..end], radix).ok()?;
    Some(if negative { -value } else { value })
}

/// The time left in the code of `PulseTime`, cut off as the firmware does.
fn pulse_code(left: Duration) -> u32 {
    let left = left.as_millis();
    let code = if left > 11_100 { left / 1_000 + 100 } else { left / 100 };
    u32::try_from(code).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_zero_is_octal() {
        let read = ["0", "300", "0100", "0x10", "2000,0", "-1", "abc", "", "09"].map(strtol);
        let octal_nine_stops_at_the_zero = Some(0);
        assert_eq!(
            read,
            [
                Some(0),
                Some(300),
                Some(64),
                Some(16),
                Some(2000),
                Some(-1),
                None,
                None,
                octal_nine_stops_at_the_zero
            ]
        );
    }
}
