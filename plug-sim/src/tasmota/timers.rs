//! What the plug does by itself: `PulseTime`, `TimedPower`, `RuleTimer`, `Backlog`, the periodic
//! messages, and when the meter is looked at.
//!
//! Source: arendst/Tasmota `support_tasmota.ino` (`SetPulseTimer`), `support_command.ino`
//! (`CmndTimedPower`), `xdrv_10_rules` (`RulesEverySecond`).

use std::time::Duration;

use super::{Action, Tasmota, Timed};
use crate::By;

/// Commands that wait in a backlog; more are dropped without a word.
const BACKLOG: usize = 30;
/// How often the firmware looks at each kind of timer.
const PULSE_TICK: Duration = Duration::from_millis(100);
const TIMED_TICK: Duration = Duration::from_millis(50);
pub(super) const SECOND_TICK: Duration = Duration::from_secs(1);

/// What is due.
enum Due {
    Pulse(usize),
    Timed(usize),
    Rule(usize),
    Backlog,
    Tele,
    Look,
}

impl Tasmota {
    /// `PulseTime<n> code`: kept in flash, and running at once, on or off.
    pub(super) fn set_pulse_time(&mut self, relay: usize, code: u32) {
        if self.pulses[relay].code != code {
            self.board.flash_writes += 1;
        }
        self.pulses[relay].code = code;
        self.arm_pulse(relay);
    }

    pub(super) fn arm_pulse(&mut self, relay: usize) {
        let length = pulse_length(self.pulses[relay].code);
        self.pulses[relay].at = (!length.is_zero()).then(|| self.board.now + length);
    }

    /// Sets a timer that switches, in place of a pending one that would do the same.
    pub(super) fn set_timed(&mut self, command: String, after: Duration) {
        self.timed.retain(|pending| pending.command != command);
        self.timed.push(Timed { at: self.board.now + after, command });
    }

    /// `Backlog`: an empty one clears what waits.
    pub(super) fn backlog(&mut self, commands: &str, gap: Duration) {
        let commands = commands.split(';').map(str::trim).filter(|command| !command.is_empty());
        let commands: Vec<String> = commands.map(str::to_owned).collect();
        if commands.is_empty() {
            self.backlog.clear();
        }
        if self.backlog.is_empty() {
            self.backlog_at = self.board.now;
        }
        self.backlog_gap = gap;
        let room = BACKLOG.saturating_sub(self.backlog.len());
        self.backlog.extend(commands.into_iter().take(room));
    }

    /// `Delay`: the rest of the backlog waits.
    pub(super) fn delay(&mut self, delay: Duration) {
        self.backlog_at += delay;
    }

    /// When something is to be done next without being asked.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.next().map(|(at, _)| at)
    }

    /// Does one thing that is due now.
    pub(crate) fn act(&mut self) {
        let Some((at, due)) = self.next() else { return };
        if at > self.board.now {
            return;
        }
        match due {
            Due::Pulse(relay) => {
                self.pulses[relay].at = None;
                // With PowerOnState 5 the pulse is the time until ON (#18113).
                let on = self.power_on_state == 5;
                self.power(relay, if on { Action::On } else { Action::Off }, By::Timer);
            }
            Due::Timed(index) => {
                let command = self.timed.remove(index).command;
                self.execute(&command, By::Timer);
            }
            Due::Rule(timer) => {
                // Cleared first: if no rule can run at this moment, the event is lost.
                self.rule_timers[timer] = None;
                self.fire(&format!("rules#timer={}", timer + 1), By::Timer);
            }
            Due::Backlog => {
                self.backlog_at = self.board.now + self.backlog_gap;
                if let Some(command) = self.backlog.pop_front() {
                    self.execute(&command, By::Http);
                }
            }
            Due::Tele => self.publish_tele(),
            Due::Look => self.look(),
        }
    }

    /// How long until the plug itself, by any of its timers, switches this relay off.
    pub(crate) fn lease_remaining(&self, relay: usize) -> Option<Duration> {
        let number = relay + 1;
        let cuts = |command: &str| {
            let mut words = command.split_whitespace();
            let (power, state) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let names = ["power0".to_owned(), format!("power{number}")];
            let off = matches!(state.to_ascii_lowercase().as_str(), "0" | "off");
            off && names.iter().any(|name| power.eq_ignore_ascii_case(name))
        };
        let pulse = self.pulses[relay].at.filter(|_| self.power_on_state != 5);
        let timed = self.timed.iter().filter(|timed| cuts(&timed.command)).map(|timed| timed.at);
        let by_rule = self.rule_timers.iter().enumerate().filter_map(|(timer, at)| {
            let event = format!("rules#timer={}", timer + 1);
            let rules = self.rules.iter().filter(|rule| rule.enabled);
            let mut commands = rules.flat_map(|rule| rule.commands(&event));
            at.filter(|_| commands.any(|command| cuts(&command)))
        });
        let first = timed.chain(by_rule).chain(pulse).min()?;
        Some(first.saturating_sub(self.board.now))
    }

    fn next(&self) -> Option<(Duration, Due)> {
        let tick = |at: Duration, tick: Duration| {
            let since = at.saturating_sub(self.board.booted).as_millis();
            let ticks = since.div_ceil(tick.as_millis());
            self.board.booted + tick * u32::try_from(ticks).unwrap_or(u32::MAX)
        };
        let pulses = self.pulses.iter().enumerate();
        let pulses = pulses.filter_map(|(relay, pulse)| {
            pulse.at.map(|at| (tick(at, PULSE_TICK), Due::Pulse(relay)))
        });
        let timed = self.timed.iter().enumerate();
        let timed = timed.map(|(index, timed)| (tick(timed.at, TIMED_TICK), Due::Timed(index)));
        let rules = self.rule_timers.iter().enumerate();
        let rules =
            rules.filter_map(|(timer, at)| at.map(|at| (tick(at, SECOND_TICK), Due::Rule(timer))));
        let backlog = (!self.backlog.is_empty()).then_some((self.backlog_at, Due::Backlog));
        let tele = self.link.tele_at.map(|at| (at, Due::Tele));
        let look = self.next_look().map(|at| (tick(at, SECOND_TICK), Due::Look));
        let switching = pulses.chain(timed).chain(rules).chain(backlog);
        switching.chain(tele).chain(look).min_by_key(|(at, _)| *at)
    }
}

/// 1 to 111 are tenths of a second, 112 and up are seconds plus 100, 0 is none.
fn pulse_length(code: u32) -> Duration {
    if code > 111 {
        Duration::from_secs(u64::from(code) - 100)
    } else {
        Duration::from_millis(u64::from(code) * 100)
    }
}
