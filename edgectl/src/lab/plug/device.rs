//! The plug itself: relays, the timers that switch them, what survives a restart. Time is an
//! argument; answers are `command`'s business.
//!
//! Source, where nothing else is said: arendst/Tasmota `support_tasmota.ino`
//! (`ExecuteCommandPower`, `SetAllPower`, `SetPulseTimer`, `SetPowerOnState`) and
//! `support_command.ino` (`CmndTimedPower`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::profile::Profile;
use super::rules::Rule;
use super::{By, Restart, Switch};
use crate::lab::wall;

/// `RuleTimer1` to `RuleTimer8`.
pub(super) const RULE_TIMERS: usize = 8;
/// Commands that wait in a backlog; more are dropped without a word.
const BACKLOG: usize = 30;
/// How often the firmware looks at each kind of timer.
const PULSE_TICK: Duration = Duration::from_millis(100);
const TIMED_TICK: Duration = Duration::from_millis(50);
const RULE_TICK: Duration = Duration::from_secs(1);

/// One relay.
#[derive(Debug, Clone, Default)]
pub(super) struct Relay {
    /// What the firmware believes.
    pub(super) on: bool,
    /// `PulseTime<n>` as set, in the firmware's own code; kept in flash.
    pub(super) pulse_time: u32,
    pub(super) pulse_at: Option<Instant>,
    /// What the load draws while powered, in watts.
    pub(super) power_w: f64,
    /// The contacts no longer open.
    pub(super) welded: bool,
}

/// A pending `TimedPower`.
#[derive(Debug, Clone)]
pub(super) struct Timed {
    pub(super) at: Instant,
    /// What it will do, as the plug lists it: `Power1 0`.
    pub(super) command: String,
}

/// What `Power<n>` is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Off,
    On,
    Toggle,
    Query,
}

#[derive(Debug, Clone)]
pub(super) struct Device {
    pub(super) profile: Profile,
    pub(super) relays: Vec<Relay>,
    pub(super) timed: Vec<Timed>,
    pub(super) rule_timers: [Option<Instant>; RULE_TIMERS],
    pub(super) rules: [Rule; 3],
    /// The rule engine is at work at every moment that a rule timer ends.
    pub(super) rules_busy: bool,
    pub(super) options: BTreeMap<u32, u32>,
    pub(super) numbers: BTreeMap<&'static str, u32>,
    pub(super) state_texts: [String; 3],
    pub(super) interlock: bool,
    /// A bit for each relay that takes no command.
    pub(super) power_lock: u32,
    pub(super) power_on_state: u32,
    backlog: VecDeque<String>,
    backlog_at: Instant,
    backlog_gap: Duration,
    pub(super) booted: Instant,
    pub(super) boot_count: u32,
    pub(super) restart_reason: &'static str,
    pub(super) flash_writes: u32,
    pub(super) energy_wh: f64,
    metered: Instant,
    pub(super) history: Vec<Switch>,
}

impl Device {
    pub(super) fn new(profile: Profile, now: Instant) -> Self {
        let relays = vec![Relay { power_w: 60.0, ..Relay::default() }; profile.relays.clamp(1, 8)];
        Self {
            relays,
            timed: vec![],
            rule_timers: [None; RULE_TIMERS],
            rules: Default::default(),
            rules_busy: false,
            options: BTreeMap::from([(0, 1), (34, 200), (36, 1), (128, 1)]),
            numbers: BTreeMap::new(),
            state_texts: ["OFF", "ON", "TOGGLE"].map(str::to_owned),
            interlock: false,
            power_lock: 0,
            power_on_state: 3,
            backlog: VecDeque::new(),
            backlog_at: now,
            backlog_gap: Duration::ZERO,
            booted: now,
            boot_count: 1,
            restart_reason: "Power On",
            flash_writes: 0,
            energy_wh: 0.0,
            metered: now,
            history: vec![],
            profile,
        }
    }

    /// `SetOption<n>`, 0 where it was never set.
    pub(super) fn option(&self, number: u32) -> u32 {
        self.options.get(&number).copied().unwrap_or(0)
    }

    /// `Power<n>`: `relay` counts from 0.
    pub(super) fn power(&mut self, relay: usize, action: Action, by: By, now: Instant) {
        // A locked relay makes "show state" of everything, the off of a timer included.
        let action = if self.power_lock >> relay & 1 == 1 { Action::Query } else { action };
        if action != Action::Query || self.profile.version.query_cancels_pulse_time() {
            self.relays[relay].pulse_at = None;
        }
        let on = match action {
            Action::Off => false,
            Action::On => true,
            Action::Toggle => !self.relays[relay].on,
            Action::Query => return,
        };
        if on && self.interlock {
            for other in (0..self.relays.len()).filter(|other| *other != relay) {
                self.relays[other].pulse_at = None;
                self.switch(other, false, by, now);
            }
        }
        self.switch(relay, on, by, now);
        if on {
            self.arm_pulse(relay, now);
        }
    }

    /// `Power0`: arms and cancels no pulse timer, whatever its comment says (`SetAllPower`).
    pub(super) fn power_all(&mut self, action: Action, by: By, now: Instant) {
        for relay in 0..self.relays.len() {
            let on = match action {
                Action::Off => false,
                Action::On => true,
                Action::Toggle => !self.relays[relay].on,
                Action::Query => return,
            };
            if self.power_lock >> relay & 1 == 0 {
                self.switch(relay, on, by, now);
            }
        }
    }

    /// `PulseTime<n> code`: kept in flash, and running at once, on or off.
    pub(super) fn set_pulse_time(&mut self, relay: usize, code: u32, now: Instant) {
        if self.relays[relay].pulse_time != code {
            self.flash_writes += 1;
        }
        self.relays[relay].pulse_time = code;
        self.arm_pulse(relay, now);
    }

    /// Sets a timer that switches, in place of a pending one that would do the same.
    pub(super) fn set_timed(&mut self, command: String, after: Duration, now: Instant) {
        self.timed.retain(|pending| pending.command != command);
        self.timed.push(Timed { at: now + after, command });
    }

    /// `Backlog`: an empty one clears what waits.
    pub(super) fn backlog(&mut self, commands: &str, gap: Duration, now: Instant) {
        let commands = commands.split(';').map(str::trim).filter(|command| !command.is_empty());
        let commands: Vec<String> = commands.map(str::to_owned).collect();
        if commands.is_empty() {
            self.backlog.clear();
        }
        if self.backlog.is_empty() {
            self.backlog_at = now;
        }
        self.backlog_gap = gap;
        let room = BACKLOG.saturating_sub(self.backlog.len());
        self.backlog.extend(commands.into_iter().take(room));
    }

    /// `Delay`: the rest of the backlog waits.
    pub(super) fn delay(&mut self, delay: Duration) {
        self.backlog_at += delay;
    }

    pub(super) fn press_button(&mut self, relay: usize, now: Instant) {
        // SetOption73 takes the button off the relay.
        if self.option(73) == 0 {
            self.power(relay, Action::Toggle, By::Button, now);
        }
    }

    /// A restart loses what is kept in memory only: `TimedPower`, `RuleTimer`, the backlog.
    /// `PowerOnState` counts after a cold one; after a warm one the saved state returns, and in
    /// both a relay that comes back on runs its pulse time in full (arendst/Tasmota#23526).
    pub(super) fn restart(&mut self, kind: Restart, now: Instant) {
        self.timed.clear();
        self.rule_timers = [None; RULE_TIMERS];
        self.backlog.clear();
        self.booted = now;
        self.boot_count += 1;
        self.restart_reason = match kind {
            Restart::Cold => "Power On",
            Restart::Warm => "Software/System restart",
        };
        for relay in 0..self.relays.len() {
            let saved = self.relays[relay].on && self.option(0) == 1;
            let on = match (kind, self.power_on_state) {
                (_, 4) | (Restart::Cold, 1) => true,
                (Restart::Cold, 0 | 5) => false,
                (Restart::Cold, 2) => !saved,
                (Restart::Cold, _) | (Restart::Warm, _) => saved,
            };
            self.relays[relay].pulse_at = None;
            self.switch(relay, on, By::Restart, now);
            if on || self.power_on_state == 5 {
                self.arm_pulse(relay, now);
            }
        }
        let boots = (1..=self.relays.len()).map(|relay| format!("power{relay}#boot"));
        for event in std::iter::once("system#boot".to_owned()).chain(boots) {
            self.fire(&event, By::Rule, now);
        }
    }

    /// When something is to be done next without being asked.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.next().map(|(at, _)| at)
    }

    /// Does all that was due by `now`.
    pub(super) fn advance(&mut self, now: Instant) {
        while let Some((_, due)) = self.next().filter(|(at, _)| *at <= now) {
            match due {
                Due::Pulse(relay) => {
                    self.relays[relay].pulse_at = None;
                    // With PowerOnState 5 the pulse is the time until ON.
                    let on = self.power_on_state == 5;
                    let action = if on { Action::On } else { Action::Off };
                    self.power(relay, action, By::Timer, now);
                }
                Due::Timed(index) => {
                    let command = self.timed.remove(index).command;
                    self.execute(&command, By::Timer, now);
                }
                Due::Rule(timer) => {
                    // Cleared first: if no rule can run at this moment, the event is lost.
                    self.rule_timers[timer] = None;
                    self.fire(&format!("rules#timer={}", timer + 1), By::Timer, now);
                }
                Due::Backlog => {
                    self.backlog_at = now + self.backlog_gap;
                    if let Some(command) = self.backlog.pop_front() {
                        self.execute(&command, By::Http, now);
                    }
                }
            }
        }
    }

    /// How long until the plug itself, by any of its timers, switches this relay off.
    pub(super) fn lease_remaining(&self, relay: usize, now: Instant) -> Option<Duration> {
        let number = relay + 1;
        let cuts = |command: &str| {
            let mut words = command.split_whitespace();
            let (power, state) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let names = ["power0".to_owned(), format!("power{number}")];
            let off = matches!(state.to_ascii_lowercase().as_str(), "0" | "off");
            off && names.iter().any(|name| power.eq_ignore_ascii_case(name))
        };
        let pulse = self.relays[relay].pulse_at.filter(|_| self.power_on_state != 5);
        let timed = self.timed.iter().filter(|timed| cuts(&timed.command)).map(|timed| timed.at);
        let by_rule = self.rule_timers.iter().enumerate().filter_map(|(timer, at)| {
            let event = format!("rules#timer={}", timer + 1);
            let rules = self.rules.iter().filter(|rule| rule.enabled);
            let mut commands = rules.flat_map(|rule| rule.commands(&event));
            at.filter(|_| commands.any(|command| cuts(&command)))
        });
        let first = timed.chain(by_rule).chain(pulse).min()?;
        Some(first.saturating_duration_since(now))
    }

    /// What the load draws, in watts, whatever the meter shows.
    pub(super) fn drawn_w(&self, relay: usize) -> f64 {
        let relay = &self.relays[relay];
        if relay.on || relay.welded { relay.power_w } else { 0.0 }
    }

    /// Counts the energy that has flowed since the last time.
    pub(super) fn meter(&mut self, now: Instant) {
        let hours = now.saturating_duration_since(self.metered).as_secs_f64() / 3_600.0;
        let drawn: f64 = (0..self.relays.len()).map(|relay| self.drawn_w(relay)).sum();
        self.energy_wh += drawn * hours;
        self.metered = now;
    }

    fn switch(&mut self, relay: usize, on: bool, by: By, now: Instant) {
        if self.relays[relay].on == on {
            return;
        }
        self.meter(now);
        self.relays[relay].on = on;
        if self.option(0) == 1 {
            self.flash_writes += 1;
        }
        let at_ms = wall::now_ms();
        self.history.push(Switch { at: now, at_ms, relay: relay + 1, on, by });
    }

    fn arm_pulse(&mut self, relay: usize, now: Instant) {
        let length = pulse_length(self.relays[relay].pulse_time);
        self.relays[relay].pulse_at = (!length.is_zero()).then(|| now + length);
    }

    fn fire(&mut self, event: &str, by: By, now: Instant) {
        if self.rules_busy || !self.profile.rules {
            return;
        }
        let commands: Vec<String> =
            self.rules.iter_mut().flat_map(|rule| rule.fire(event)).collect();
        for command in commands {
            self.execute(&command, by, now);
        }
    }

    fn next(&self) -> Option<(Instant, Due)> {
        let tick = |at: Instant, tick: Duration| {
            let since = at.saturating_duration_since(self.booted).as_millis();
            let ticks = since.div_ceil(tick.as_millis());
            self.booted + tick * u32::try_from(ticks).unwrap_or(u32::MAX)
        };
        let pulses = self.relays.iter().enumerate().filter_map(|(relay, state)| {
            state.pulse_at.map(|at| (tick(at, PULSE_TICK), Due::Pulse(relay)))
        });
        let timed = self.timed.iter().enumerate();
        let timed = timed.map(|(index, timed)| (tick(timed.at, TIMED_TICK), Due::Timed(index)));
        let rules = self
            .rule_timers
            .iter()
            .enumerate()
            .filter_map(|(timer, at)| at.map(|at| (tick(at, RULE_TICK), Due::Rule(timer))));
        let backlog = (!self.backlog.is_empty()).then_some((self.backlog_at, Due::Backlog));
        pulses.chain(timed).chain(rules).chain(backlog).min_by_key(|(at, _)| *at)
    }
}

/// What is due.
enum Due {
    Pulse(usize),
    Timed(usize),
    Rule(usize),
    Backlog,
}

/// 1 to 111 are tenths of a second, 112 and up are seconds plus 100, 0 is none.
fn pulse_length(code: u32) -> Duration {
    if code > 111 {
        Duration::from_secs(u64::from(code) - 100)
    } else {
        Duration::from_millis(u64::from(code) * 100)
    }
}
