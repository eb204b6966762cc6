//! A Tasmota plug: relays, the timers that switch them, what survives a restart.
//!
//! It imitates what decides about power, by firmware version: the commands `Power`,
//! `TimedPower`, `PulseTime`, `RuleTimer` with rules, `Backlog`, `PowerLock`, `Interlock`,
//! `Status`, `State`; what a restart keeps; the answers to unknown commands, bad arguments and
//! wrong passwords; MQTT with discovery. Each imitated behaviour cites the firmware's source or
//! a report where it is written. Nothing here was compared with hardware. Blinking, lights,
//! shutters and the web pages are left out.

mod command;
mod discovery;
mod mqtt;
mod power;
mod power_limit;
mod rules;
mod settings;
mod status;
mod timers;
mod version;
mod web;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::board::{Board, OpenMeter};
use crate::{Profile, Restart};
use rules::Rule;

pub use mqtt::Message;

/// `RuleTimer1` to `RuleTimer8`.
const RULE_TIMERS: usize = 8;

/// `PulseTime` of a relay.
#[derive(Debug, Clone, Copy, Default)]
struct Pulse {
    /// As set, in the firmware's own code; kept in flash.
    code: u32,
    /// When it is over, by the plug's clock.
    at: Option<Duration>,
}

/// A pending `TimedPower`.
#[derive(Debug, Clone)]
struct Timed {
    at: Duration,
    /// What it will do, as the plug lists it: `Power1 0`.
    command: String,
}

/// What `Power<n>` is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Off,
    On,
    Toggle,
    Query,
}

#[derive(Debug, Clone)]
pub(crate) struct Tasmota {
    pub(crate) profile: Profile,
    pub(crate) board: Board,
    pulses: Vec<Pulse>,
    timed: Vec<Timed>,
    rule_timers: [Option<Duration>; RULE_TIMERS],
    limit: power_limit::PowerLimit,
    rules: [Rule; 3],
    /// The rule engine is at work at every moment that a rule timer ends.
    pub(crate) rules_busy: bool,
    options: BTreeMap<u32, u32>,
    numbers: BTreeMap<&'static str, u32>,
    state_texts: [String; 4],
    interlock: bool,
    /// A bit for each relay that takes no command.
    power_lock: u32,
    power_on_state: u32,
    power_retain: bool,
    topic: String,
    backlog: VecDeque<String>,
    backlog_at: Duration,
    backlog_gap: Duration,
    restart_reason: &'static str,
    link: mqtt::Link,
}

impl Tasmota {
    pub(crate) fn new(profile: Profile, made_at: Duration) -> Self {
        // Without SetOption21 the meter sees nothing of an open relay (#5944, #19262).
        let blind =
            OpenMeter { looks: false, watts_after: Duration::ZERO, energy_after: Duration::ZERO };
        let board = Board::new(profile.relays, blind, made_at);
        Self {
            pulses: vec![Pulse::default(); board.relays.len()],
            board,
            timed: vec![],
            rule_timers: [None; RULE_TIMERS],
            limit: power_limit::PowerLimit::default(),
            rules: Default::default(),
            rules_busy: false,
            options: BTreeMap::from([(0, 1), (34, 200), (36, 1), (42, 90), (128, 1)]),
            numbers: BTreeMap::from([("Webserver", 2), ("WebLog", 2), ("TelePeriod", 300)]),
            state_texts: ["OFF", "ON", "TOGGLE", "HOLD"].map(str::to_owned),
            interlock: false,
            power_lock: 0,
            power_on_state: 3,
            power_retain: false,
            topic: format!("tasmota_{}", profile.mac_tail()),
            backlog: VecDeque::new(),
            backlog_at: Duration::ZERO,
            backlog_gap: Duration::ZERO,
            restart_reason: "Power On",
            link: mqtt::Link::default(),
            profile,
        }
    }

    /// `SetOption<n>`, 0 where it was never set.
    fn option(&self, number: u32) -> u32 {
        self.options.get(&number).copied().unwrap_or(0)
    }

    /// ON or OFF, in the words that `StateText` gave.
    fn text(&self, on: bool) -> &str {
        &self.state_texts[usize::from(on)]
    }

    /// A restart loses what is kept in memory only: `TimedPower`, `RuleTimer`, the backlog.
    /// `PowerOnState` counts after a cold one; after a warm one the saved state returns, and in
    /// both a relay that comes back on runs its pulse time in full (arendst/Tasmota#23526).
    pub(crate) fn restart(&mut self, kind: Restart) {
        self.timed.clear();
        self.rule_timers = [None; RULE_TIMERS];
        self.limit = power_limit::PowerLimit::default();
        self.backlog.clear();
        self.board.booted = self.board.now;
        self.board.boot_count += 1;
        self.link = mqtt::Link::default();
        self.restart_reason = match kind {
            Restart::Cold => "Power On",
            Restart::Warm => "Software/System restart",
        };
        for relay in 0..self.board.relays.len() {
            let saved = self.board.relays[relay].on && self.option(0) == 1;
            let on = match (kind, self.power_on_state) {
                (_, 4) | (Restart::Cold, 1) => true,
                (Restart::Cold, 0 | 5) => false,
                (Restart::Cold, 2) => !saved,
                (Restart::Cold, _) | (Restart::Warm, _) => saved,
            };
            self.pulses[relay].at = None;
            self.switch(relay, on, crate::By::Restart);
            if on || self.power_on_state == 5 {
                self.arm_pulse(relay);
            }
        }
        // The rule engine gives the boot's events on its first pass, whatever the reset's reason.
        let boots = (1..=self.board.relays.len()).map(|relay| format!("power{relay}#boot"));
        for event in std::iter::once("system#boot".to_owned()).chain(boots) {
            self.fire(&event, crate::By::Rule);
        }
    }
}
