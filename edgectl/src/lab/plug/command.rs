//! What the plug understands and how it answers.
//!
//! Source: arendst/Tasmota `support_command.ino`, the rules' commands from `xdrv_10_rules`.
//! Numbers are read as C's `strtol` with base 0 reads them, so a leading zero is octal. A
//! command that is not known answers `{"Command":"Unknown"}`, one that finds no answer to its
//! arguments `{"Command":"Error"}`. `TimedPower` and `Power` don't blink here: `Error`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::device::{Action, Device, RULE_TIMERS, Timed};
use super::{By, Restart};

/// Settings that are numbers and change nothing that we imitate.
const NUMBERS: [&str; 4] = ["SaveData", "MaxPower", "TelePeriod", "WebLog"];

/// One command, taken apart.
struct Line<'a> {
    /// Lower case, without its index.
    name: String,
    /// The figures after the name.
    index: Option<u32>,
    /// The rest, trimmed.
    data: &'a str,
}

impl Device {
    /// Does what `text` says and gives the answer, one JSON object.
    pub(super) fn execute(&mut self, text: &str, by: By, now: Instant) -> String {
        self.meter(now);
        let line = Line::parse(text);
        let answer = match line.name.as_str() {
            "power" => self.power_command(&line, by, now),
            "timedpower" if self.profile.version.has_timed_power() => {
                self.timed_power(&line, by, now)
            }
            "pulsetime" => self.pulse_time(&line, now),
            "ruletimer" if self.profile.rules => self.rule_timer(&line, now),
            "rule" if self.profile.rules => self.rule(&line),
            "backlog" => self.backlog_command(&line, now),
            "delay" => {
                let tenths = line.number().and_then(|tenths| u64::try_from(tenths).ok());
                self.delay(Duration::from_millis(tenths.unwrap_or(0).saturating_mul(100)));
                Some(json!({ "Delay": tenths.unwrap_or(0) }))
            }
            "status" => self.status(line.number(), now),
            "state" => Some(self.state(now)),
            "setoption" => self.set_option(&line),
            "poweronstate" => {
                if let Some(state @ 0..=5) = line.number() {
                    self.power_on_state = u32::try_from(state).unwrap_or(0);
                    self.flash_writes += 1;
                }
                Some(json!({ "PowerOnState": self.power_on_state }))
            }
            "powerlock" if self.profile.version.has_power_lock() => self.power_lock(&line),
            "interlock" => {
                match line.state(self) {
                    Some(Action::Off) => self.interlock = false,
                    Some(Action::On) => self.interlock = true,
                    Some(Action::Toggle | Action::Query) | None => {}
                }
                Some(json!({ "Interlock": self.text(self.interlock) }))
            }
            "statetext" => self.state_text(&line),
            "restart" if line.number() == Some(1) => {
                self.restart(Restart::Warm, now);
                Some(json!({ "Restart": "Restarting" }))
            }
            "restart" => Some(json!({ "Restart": "1 to restart" })),
            name => {
                let known = NUMBERS.into_iter().find(|known| known.eq_ignore_ascii_case(name));
                let Some(known) = known else { return json!({ "Command": "Unknown" }).to_string() };
                if let Some(number) = line.number().and_then(|number| u32::try_from(number).ok()) {
                    self.numbers.insert(known, number);
                    self.flash_writes += 1;
                }
                Some(json!({ known: self.numbers.get(known).copied().unwrap_or(0) }))
            }
        };
        answer.unwrap_or_else(|| json!({ "Command": "Error" })).to_string()
    }

    /// `POWER` with a single relay and no `SetOption26`, else `POWER1`. `relay` counts from 0.
    pub(super) fn power_key(&self, relay: usize) -> String {
        if self.relays.len() == 1 && self.option(26) == 0 {
            "POWER".to_owned()
        } else {
            format!("POWER{}", relay + 1)
        }
    }

    /// ON or OFF, in the words that `StateText` gave.
    pub(super) fn text(&self, on: bool) -> &str {
        &self.state_texts[usize::from(on)]
    }

    fn power_answer(&self, relays: std::ops::Range<usize>) -> Value {
        let power = |relay: usize| (self.power_key(relay), json!(self.text(self.relays[relay].on)));
        Value::Object(relays.map(power).collect())
    }

    fn power_command(&mut self, line: &Line<'_>, by: By, now: Instant) -> Option<Value> {
        // What can't be read is a query, not an error.
        let action = line.state(self).unwrap_or(Action::Query);
        let relay = line.relay_or_all(self)?;
        let Some(relay) = relay else {
            self.power_all(action, by, now);
            return Some(self.power_answer(0..self.relays.len()));
        };
        self.power(relay, action, by, now);
        Some(self.power_answer(relay..relay + 1))
    }

    /// Not cancelled by `Power` or the button; cleared by prefix, so 1 takes 10 with it; what
    /// is less than 50 or no number means 50 ms, `0` included (`CmndTimedPower`).
    fn timed_power(&mut self, line: &Line<'_>, by: By, now: Instant) -> Option<Value> {
        let relay = line.relay_or_all(self)?;
        let number = relay.map_or(0, |relay| relay + 1);
        if line.data.is_empty() {
            if line.index.is_none() {
                return Some(self.timed_list(now));
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
        self.set_timed(format!("Power{number} {end}"), after, now);
        if let Some(relay) = relay {
            self.power(relay, start, by, now);
            Some(self.power_answer(relay..relay + 1))
        } else {
            self.power_all(start, by, now);
            Some(self.power_answer(0..self.relays.len()))
        }
    }

    fn timed_list(&self, now: Instant) -> Value {
        let timer = |timed: &Timed| {
            let remaining = timed.at.saturating_duration_since(now).as_millis();
            json!({ "Remaining": u64::try_from(remaining).unwrap_or(0), "Command": timed.command })
        };
        let list: Vec<Value> = self.timed.iter().map(timer).collect();
        let list = if list.is_empty() { json!("Empty") } else { Value::Array(list) };
        json!({ "TimedPower": list })
    }

    fn pulse_time(&mut self, line: &Line<'_>, now: Instant) -> Option<Value> {
        let version = self.profile.version;
        let one = |device: &Self, relay: usize| {
            let state = &device.relays[relay];
            let remaining = state.pulse_at.map_or(0, |at| pulse_code(at, now));
            (state.pulse_time, remaining)
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
                (0..self.relays.len()).map(|relay| one(self, relay)).collect();
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
            self.set_pulse_time(relay, u32::try_from(code).unwrap_or(0), now);
        }
        Some(json!({ format!("PulseTime{}", relay + 1): shown(one(self, relay)) }))
    }

    fn rule_timer(&mut self, line: &Line<'_>, now: Instant) -> Option<Value> {
        let index = usize::try_from(line.index.unwrap_or(1)).ok()?;
        let timers = match index {
            0 => 0..RULE_TIMERS,
            1..=RULE_TIMERS => index - 1..index,
            _ => return None,
        };
        if !line.data.is_empty() {
            let seconds = line.number().and_then(|seconds| u64::try_from(seconds).ok());
            let seconds = seconds.filter(|seconds| *seconds > 0);
            let at = seconds.map(|seconds| now + Duration::from_secs(seconds));
            self.rule_timers[timers].fill(at);
        }
        let shown = self.rule_timers.iter().zip(1..).map(|(at, number)| {
            let left = at.map_or(0, |at| at.saturating_duration_since(now).as_secs());
            (format!("T{number}"), json!(left))
        });
        Some(Value::Object(shown.collect()))
    }

    fn rule(&mut self, line: &Line<'_>) -> Option<Value> {
        let number = line.index.unwrap_or(1);
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let rule = self.rules.get_mut(index)?;
        match (line.data, line.number()) {
            ("", _) => {}
            (_, Some(0)) => rule.enabled = false,
            (_, Some(1)) => rule.enabled = true,
            (_, Some(2)) => rule.enabled = !rule.enabled,
            (_, Some(4)) => rule.once = false,
            (_, Some(5)) => rule.once = true,
            (text, _) => rule.set(text),
        }
        if !line.data.is_empty() {
            self.flash_writes += 1;
        }
        let rule = self.rules.get(index)?;
        let (enabled, once) = (self.text(rule.enabled), self.text(rule.once));
        let length = rule.text.len();
        let free = 511_usize.saturating_sub(length);
        let key = format!("Rule{number}");
        let mut answer = json!({ "Once": once, "StopOnError": self.text(false), "Length": length, "Free": free, "Rules": rule.text });
        if self.profile.version.rule_is_nested() {
            answer["State"] = json!(enabled);
            return Some(json!({ key: answer }));
        }
        answer[key] = json!(enabled);
        Some(answer)
    }

    /// Answers before anything of it is done.
    fn backlog_command(&mut self, line: &Line<'_>, now: Instant) -> Option<Value> {
        let without_gap = line.index == Some(0) && self.profile.version.has_backlog0();
        let gap = if without_gap { 0 } else { u64::from(self.option(34)) };
        self.backlog(line.data, Duration::from_millis(gap), now);
        Some(json!({}))
    }

    fn set_option(&mut self, line: &Line<'_>) -> Option<Value> {
        let number = line.index.filter(|number| *number < 160)?;
        let is_number = (32..50).contains(&number);
        let value = if is_number {
            line.number().and_then(|value| u32::try_from(value).ok())
        } else {
            match line.state(self) {
                Some(Action::Off) => Some(0),
                Some(Action::On) => Some(1),
                Some(Action::Toggle | Action::Query) | None => None,
            }
        };
        if let Some(value) = value {
            self.options.insert(number, value);
            self.flash_writes += 1;
        }
        let value = self.option(number);
        let shown = if is_number { json!(value) } else { json!(self.text(value == 1)) };
        Some(json!({ format!("SetOption{number}"): shown }))
    }

    /// Locked, a relay stays as it is whoever asks: its own timers too (changelog, 13.4.1.2).
    fn power_lock(&mut self, line: &Line<'_>) -> Option<Value> {
        let relays = match line.relay_or_all(self)? {
            Some(relay) => relay..relay + 1,
            None => 0..self.relays.len(),
        };
        for relay in relays.clone() {
            match line.state(self) {
                Some(Action::Off) => self.power_lock &= !(1 << relay),
                Some(Action::On) => self.power_lock |= 1 << relay,
                Some(Action::Toggle | Action::Query) | None => {}
            }
        }
        let locked = |relay| self.text(self.power_lock >> relay & 1 == 1);
        let shown = relays.map(|relay| (format!("PowerLock{}", relay + 1), json!(locked(relay))));
        Some(Value::Object(shown.collect()))
    }

    fn state_text(&mut self, line: &Line<'_>) -> Option<Value> {
        let number = line.index.unwrap_or(1);
        let text = self.state_texts.get_mut(usize::try_from(number).ok()?.checked_sub(1)?)?;
        if !line.data.is_empty() {
            line.data.clone_into(text);
            self.flash_writes += 1;
        }
        Some(json!({ format!("StateText{number}"): text }))
    }
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Self {
        let text = text.trim();
        let (word, data) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let name = word.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let index = word[name.len()..].parse().ok();
        Self { name: name.to_ascii_lowercase(), index, data: data.trim() }
    }

    /// The leading number of the arguments.
    fn number(&self) -> Option<i64> {
        strtol(self.data)
    }

    fn state(&self, device: &Device) -> Option<Action> {
        state(self.data, device)
    }

    /// A relay counted from 0, `Some(None)` for index 0 (all), `None` where there is none such.
    fn relay_or_all(&self, device: &Device) -> Option<Option<usize>> {
        let index = usize::try_from(self.index.unwrap_or(1)).ok()?;
        (index <= device.relays.len()).then(|| index.checked_sub(1))
    }
}

/// A state by number or word; the words of `StateText` count too.
fn state(text: &str, device: &Device) -> Option<Action> {
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
fn pulse_code(at: Instant, now: Instant) -> u32 {
    let left = at.saturating_duration_since(now).as_millis();
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
