//! One relay of one plug, command by command.
//!
//! Each method is one question or one order and the strict reading of its answer; what to ask
//! and in which order is the parent module's.

use std::time::Duration;

use super::firmware::Version;
use super::http::{Endpoint, Login};
use super::lease::{PULSE_TIME_STEP, RULE_TIMER_STEP, TIMED_POWER_STEP, Timers};
use super::reply::{Load, Particulars, Reply, State, Words};
use super::rule::{self, Part, Place, Stored};
use crate::error::Fault;
use crate::http::Hurry;
use crate::{Capabilities, LONGEST_LEASE, LeaseLimits};

/// What the rule of a lease by rule timer consists of: its end, and an off after a restart, which
/// loses the timer and may bring the relay back on.
pub(super) const LEASE_RULE: [Part; 2] = [Part::Timer, Part::Boot];
/// The parts of a `Status 0`, for a plug that does not give it whole.
const PIECES: [&str; 5] = ["Status", "Status 1", "Status 2", "Status 10", "Status 11"];

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

/// What was found out about the plug. Forgotten when it said something unexpected and when it was
/// restarted, since it may then be another plug, or another firmware.
#[derive(Debug, Default)]
struct Found {
    timer: Option<LeaseTimer>,
    /// What `PulseTime` arms with each on, as a code.
    pulse_time: Option<u16>,
    /// The stored rule that makes an off of our rule timer.
    lease_slot: Option<u8>,
    /// Out of the last `Status 0`.
    particulars: Option<Particulars>,
    relays: Option<usize>,
    /// Whether `Status 0` must be asked for in pieces.
    in_pieces: bool,
    words: Option<Words>,
    /// The relays that an on of ours would switch off, as the plug tells it.
    interlock: Option<Option<String>>,
    /// Whether the meter tells of an open relay.
    meters_open: Option<bool>,
    meters: Option<bool>,
}

/// The timer that holds the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LeaseTimer {
    TimedPower,
    RuleTimer,
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
        self.found.particulars?.boot_count
    }

    /// How many relays the plug has, once it was read.
    pub(super) fn relays(&self) -> usize {
        self.found.relays.unwrap_or(1)
    }

    /// Whether the plug was read whole and nothing has made a stranger of it since.
    pub(super) fn is_known(&self) -> bool {
        self.found.particulars.is_some()
    }

    /// Whether some relay of the plug was locked when it was last read whole.
    pub(super) fn has_locks(&self) -> bool {
        self.found.particulars.is_some_and(|it| it.locked)
    }

    /// The plug's words for off and on, as far as they were asked for.
    pub(super) fn words(&self) -> Words {
        self.found.words.clone().unwrap_or_default()
    }

    /// Asks everything anew from now on.
    pub(super) fn forget(&mut self) {
        self.found = Found::default();
    }

    /// Switches by `Power<n>`; a bare one would end a `PulseTime` before 9.4.0.1.
    pub(super) async fn switch(&mut self, on: bool) -> Result<(), Fault> {
        let argument = if on { "ON" } else { "OFF" };
        self.switch_by(&format!("Power{} {argument}", self.relay), on).await
    }

    /// Switches on by `TimedPower<n>`, for `milliseconds`.
    pub(super) async fn switch_on_for(&mut self, milliseconds: u64) -> Result<(), Fault> {
        self.switch_by(&format!("TimedPower{} {milliseconds}", self.relay), true).await
    }

    async fn switch_by(&mut self, command: &str, on: bool) -> Result<(), Fault> {
        let hurry = if on { Hurry::No } else { Hurry::Yes };
        let reply = self.ask_in(command, hurry).await?;
        // A locked or interlocked relay answers with the state that it keeps.
        let told = self.worded(&reply, Reply::power).await?;
        if told == on { Ok(()) } else { Err(reply.unexpected()) }
    }

    /// Reads the relay, as quickly as a plug can tell it.
    pub(super) async fn state(&mut self) -> Result<State, Fault> {
        let reply = self.ask("Status 11").await?;
        let state = self.worded(&reply, Reply::state).await?;
        Ok(self.seen(state))
    }

    /// Reads everything that `Status 0` tells: relay, particulars and meter in one request.
    pub(super) async fn whole(&mut self) -> Result<(State, Option<Load>), Fault> {
        let reply = match self.whole_at_once().await {
            Err(Fault::Answer { .. }) => self.whole_in_pieces().await?,
            reply => reply?,
        };
        let state = self.worded(&reply, Reply::state).await?;
        let state = self.seen(state);
        self.found.particulars = Some(reply.particulars());
        let load = reply.load(self.relay, state.relays);
        self.note_meter(load);
        Ok((state, load))
    }

    async fn whole_at_once(&mut self) -> Result<Reply, Fault> {
        if self.found.in_pieces {
            return self.whole_in_pieces().await;
        }
        let reply = self.ask("Status 0").await?;
        reply.value("StatusSTS")?;
        Ok(reply)
    }

    async fn whole_in_pieces(&mut self) -> Result<Reply, Fault> {
        let mut whole = Reply::empty("Status 0");
        for piece in PIECES {
            whole.merge(self.ask(piece).await?);
        }
        self.found.in_pieces = true;
        Ok(whole)
    }

    /// The load alone, where a meter is known.
    pub(super) async fn load(&mut self, state: State) -> Result<Option<Load>, Fault> {
        if self.found.meters != Some(true) {
            return Ok(None);
        }
        Ok(self.ask("Status 10").await?.load(self.relay, state.relays))
    }

    /// Without the watts of an open relay where the meter does not look at those: it says 0, and a
    /// relay whose contacts are welded would seem to be open.
    pub(super) async fn believable(
        &mut self,
        load: Option<Load>,
        state: State,
    ) -> Result<Option<Load>, Fault> {
        let Some(load) = load else { return Ok(None) };
        let tells = state.on || self.meters_open().await?;
        Ok(Some(Load { power_w: load.power_w.filter(|_| tells), ..load }))
    }

    /// `SetOption21`. Asked once.
    async fn meters_open(&mut self) -> Result<bool, Fault> {
        if let Some(known) = self.found.meters_open {
            return Ok(known);
        }
        let reply = self.ask("SetOption21").await?;
        let words = self.words();
        let told = reply.value("SetOption21").ok().and_then(|value| words.read(value));
        self.found.meters_open = Some(told == Some(true));
        Ok(told == Some(true))
    }

    fn note_meter(&mut self, load: Option<Load>) {
        let meters = load.is_some_and(|load| load.power_w.is_some());
        self.found.meters = Some(meters);
        self.capabilities.meters = meters;
    }

    fn seen(&mut self, state: State) -> State {
        if state.uptime < self.last_uptime {
            self.forget();
        }
        self.last_uptime = state.uptime;
        self.found.relays = Some(state.relays);
        state
    }

    /// Learns what an on must know of the plug, unless it is known: what would make one unsafe.
    /// The refusal, if something does.
    pub(super) async fn meet(&mut self) -> Result<(), Fault> {
        if self.found.particulars.is_none() {
            self.whole().await?;
        }
        self.learn_words().await?;
        if self.found.interlock.is_none() {
            let fights = if self.relays() > 1 { self.ask_interlock().await? } else { None };
            self.found.interlock = Some(fights);
        }
        self.refusal().await
    }

    async fn refusal(&mut self) -> Result<(), Fault> {
        let refused =
            |found: String, why, remedy: String| Err(Fault::Unsafe { found, why, remedy });
        let particulars = self.found.particulars;
        if particulars.is_some_and(|it| it.locked) && self.power_lock().await? == Some(true) {
            let setting = format!("PowerLock{}", self.relay);
            let why = "a locked relay takes no off, that of its own timers neither";
            return refused(format!("{setting} is on"), why, format!("send {setting} 0"));
        }
        if let Some(state @ (4 | 5)) = particulars.and_then(|it| it.power_on_state) {
            let why = if state == 4 {
                "the relay is always on"
            } else {
                "its pulse timer switches on instead of off"
            };
            let remedy = "send PowerOnState 0".to_owned();
            return refused(format!("PowerOnState is {state}"), why, remedy);
        }
        if let Some(unclear) = self.unclear() {
            return Err(unclear);
        }
        if let Some(Some(groups)) = &self.found.interlock {
            let why = "its on would switch other relays off";
            let remedy = "send Interlock 0".to_owned();
            return refused(format!("Interlock is {groups}"), why, remedy);
        }
        Ok(())
    }

    /// Whether the relay is locked; `None` where the plug has no locks.
    pub(super) async fn power_lock(&mut self) -> Result<Option<bool>, Fault> {
        let setting = format!("PowerLock{}", self.relay);
        let reply = self.ask(&setting).await?;
        if reply.is_unknown_command() || reply.is_command_error() {
            return Ok(None);
        }
        let told = self.words().read(reply.value(&setting)?);
        told.map(Some).ok_or_else(|| reply.unexpected())
    }

    /// The groups of relays, if one with ours and another is interlocked.
    pub(super) async fn ask_interlock(&mut self) -> Result<Option<String>, Fault> {
        let reply = self.ask("Interlock").await?;
        if reply.is_unknown_command() || reply.is_command_error() {
            return Ok(None);
        }
        match self.words().read(reply.value("Interlock")?) {
            Some(true) => {}
            Some(false) => return Ok(None),
            None => return Err(reply.unexpected()),
        }
        // {"Interlock":"ON","Groups":"1,2 3,4"}; without groups it is all of them.
        let Some(groups) = reply.value("Groups").ok().and_then(|groups| groups.as_str()) else {
            return Ok(Some("on".to_owned()));
        };
        let ours = self.relay.to_string();
        let fights = groups.split_whitespace().any(|group| {
            let relays: Vec<&str> = group.split(',').map(str::trim).collect();
            relays.contains(&ours.as_str()) && relays.len() > 1
        });
        Ok(fights.then(|| format!("on for {groups}")))
    }

    /// Which timer the plug has, asked once.
    pub(super) async fn timer(&mut self) -> Result<LeaseTimer, Fault> {
        match self.found.timer {
            Some(timer) => Ok(timer),
            None => Ok(match self.timers().await? {
                Timers::TimedPower(_) => LeaseTimer::TimedPower,
                Timers::RuleTimer(_) => LeaseTimer::RuleTimer,
                Timers::PulseTime(_) => LeaseTimer::PulseTime,
                Timers::Absent => LeaseTimer::Absent,
            }),
        }
    }

    /// Takes the lease into `PulseTime` from now on, until the plug is met anew.
    pub(super) fn distrust_rule_timer(&mut self) {
        self.settle(LeaseTimer::PulseTime);
    }

    /// The plug's timers: those of the kind that holds its leases.
    pub(super) async fn timers(&mut self) -> Result<Timers, Fault> {
        let timers = match self.found.timer {
            Some(LeaseTimer::TimedPower) => {
                Timers::TimedPower(self.ask("TimedPower").await?.timed_power()?)
            }
            Some(LeaseTimer::RuleTimer) => {
                Timers::RuleTimer(self.ask("RuleTimer").await?.rule_timer(self.relay)?)
            }
            Some(LeaseTimer::PulseTime) => self.pulse_time().await?,
            Some(LeaseTimer::Absent) => Timers::Absent,
            None => self.find_timers().await?,
        };
        self.settle(match timers {
            Timers::TimedPower(_) => LeaseTimer::TimedPower,
            Timers::RuleTimer(_) => LeaseTimer::RuleTimer,
            Timers::PulseTime(_) => LeaseTimer::PulseTime,
            Timers::Absent => LeaseTimer::Absent,
        });
        Ok(timers)
    }

    fn settle(&mut self, timer: LeaseTimer) {
        self.found.timer = Some(timer);
        self.capabilities.lease = match timer {
            LeaseTimer::TimedPower => limits(TIMED_POWER_STEP),
            LeaseTimer::RuleTimer => limits(RULE_TIMER_STEP),
            LeaseTimer::PulseTime => limits(PULSE_TIME_STEP),
            LeaseTimer::Absent => None,
        };
    }

    /// The best timer that the firmware is known to have and that answers.
    async fn find_timers(&mut self) -> Result<Timers, Fault> {
        if self.found.particulars.is_none() {
            self.whole().await?;
        }
        let version = self.found.particulars.and_then(|it| it.version);
        if version.is_none_or(|version| version >= Version::TIMED_POWER) {
            // Without a number it lists; with one it would clear.
            let reply = self.ask("TimedPower").await?;
            if !reply.is_unknown_command() {
                return Ok(Timers::TimedPower(reply.timed_power()?));
            }
        }
        if version.is_some_and(|version| version >= Version::RULE_TIMER)
            && self.relay <= rule::TIMERS
        {
            let reply = self.ask("RuleTimer").await?;
            if !reply.is_unknown_command() && self.rule_place(&LEASE_RULE).await?.is_some() {
                return Ok(Timers::RuleTimer(reply.rule_timer(self.relay)?));
            }
        }
        let shared = version.is_some_and(|version| version < Version::PULSE_TIME_OF_ITS_OWN);
        if shared && self.relay > 8 {
            return Ok(Timers::Absent);
        }
        self.pulse_time().await
    }

    /// Clears the running `TimedPower` timers of `relay`, our own or 0.
    pub(super) async fn clear_timed_power(&mut self, relay: u8) -> Result<(), Fault> {
        self.ask(&format!("TimedPower{relay}")).await?.timed_power_cleared(relay)
    }

    /// Starts our rule timer, or stops it with 0. In memory only.
    pub(super) async fn set_rule_timer(&mut self, seconds: u64) -> Result<(), Fault> {
        let reply = self.ask(&format!("RuleTimer{} {seconds}", self.relay)).await?;
        let running = reply.rule_timer(self.relay)?;
        if running.is_some() == (seconds > 0) { Ok(()) } else { Err(reply.unexpected()) }
    }

    /// Whether the rule that a lease by rule timer needs is there and awake. Writes the plug's
    /// flash only if it is not; false: there is no room for it.
    pub(super) async fn hold_lease_rule(&mut self) -> Result<bool, Fault> {
        if let Some(slot) = self.found.lease_slot {
            let stored = self.stored_rule(slot).await?;
            if rule::holds(&stored, &LEASE_RULE, self.relay) {
                return Ok(true);
            }
        }
        self.hold_rule(&LEASE_RULE).await
    }

    /// As [`Self::hold_lease_rule`], for a rule of these parts.
    pub(super) async fn hold_rule(&mut self, parts: &[Part]) -> Result<bool, Fault> {
        let text = rule::text(parts, self.relay);
        let slot = match self.rule_place(parts).await? {
            Some(Place::Held(_)) => return Ok(true),
            Some(Place::Asleep(slot)) => slot,
            Some(Place::Empty(slot)) => {
                self.ask(&format!("Rule{slot} {text}")).await?;
                slot
            }
            Some(Place::Behind(slot)) => {
                self.ask(&format!("Rule{slot} + {text}")).await?;
                slot
            }
            Some(Place::Nowhere) | None => return Ok(false),
        };
        let stored = self.stored_rule(slot).await?;
        if stored.once {
            self.ask(&format!("Rule{slot} 4")).await?;
        }
        if !stored.enabled {
            self.ask(&format!("Rule{slot} 1")).await?;
        }
        match self.rule_place(parts).await? {
            Some(Place::Held(_)) => Ok(true),
            place => Err(Fault::Contradicted {
                expected: format!("Rule{slot} {text}"),
                found: format!("{place:?}"),
            }),
        }
    }

    /// Where the rule of these parts is or can go; `None`: nowhere, or the build has no rules.
    pub(super) async fn rule_place(&mut self, parts: &[Part]) -> Result<Option<Place>, Fault> {
        let Some(stored) = self.stored_rules().await? else { return Ok(None) };
        let place = rule::place(&stored, parts, self.relay);
        if let (Place::Held(slot), true) = (place, parts.contains(&Part::Timer)) {
            self.found.lease_slot = Some(slot);
        }
        Ok(Some(place).filter(|place| *place != Place::Nowhere))
    }

    /// Every stored rule, slot 1 first; `None`: the build has no rules.
    pub(super) async fn stored_rules(&mut self) -> Result<Option<Vec<Stored>>, Fault> {
        let mut rules = Vec::with_capacity(usize::from(rule::SLOTS));
        for slot in 1..=rule::SLOTS {
            let reply = self.ask(&format!("Rule{slot}")).await?;
            if reply.is_unknown_command() {
                return Ok(None);
            }
            rules.push(reply.stored_rule(slot, &self.words())?);
        }
        Ok(Some(rules))
    }

    async fn stored_rule(&mut self, slot: u8) -> Result<Stored, Fault> {
        self.ask(&format!("Rule{slot}")).await?.stored_rule(slot, &self.words())
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
            Timers::TimedPower(_) | Timers::RuleTimer(_) | Timers::Absent => 0,
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

    /// Reads what depends on the plug's words for off and on; if it uses none that everybody
    /// knows, it is asked for its own.
    async fn worded<T>(
        &mut self,
        reply: &Reply,
        read: impl Fn(&Reply, u8, &Words) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        match read(reply, self.relay, &self.words()) {
            Err(fault) if self.found.words.is_none() && reply.names_a_relay() => {
                self.learn_words().await.map_err(|_| fault)?;
                read(reply, self.relay, &self.words())
                    .map_err(|fault| self.unclear().unwrap_or(fault))
            }
            told => told,
        }
    }

    /// The refusal of words that cannot be told apart.
    fn unclear(&self) -> Option<Fault> {
        let words = self.words();
        let why = "the plug's words for off and on cannot be told apart";
        let remedy = "send StateText1 OFF and StateText2 ON".to_owned();
        let found = format!("StateText is {words}");
        (!words.are_clear()).then_some(Fault::Unsafe { found, why, remedy })
    }

    /// The plug's words for off and on. Asked once.
    pub(super) async fn learn_words(&mut self) -> Result<(), Fault> {
        if self.found.words.is_some() {
            return Ok(());
        }
        let off = self.ask("StateText1").await?.text("StateText1")?;
        let on = self.ask("StateText2").await?.text("StateText2")?;
        self.found.words = Some(Words::new(&off, &on));
        Ok(())
    }

    /// Whether the plug answers somebody without a password.
    pub(super) async fn answers_anybody(&mut self) -> Result<bool, Fault> {
        match self.endpoint.send("Status 2", Login::None, Hurry::No).await {
            Ok(body) => Ok(Reply::parse("Status 2", &body).is_ok()),
            Err(Fault::Password) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    /// Sends `command`.
    pub(super) async fn ask(&mut self, command: &str) -> Result<Reply, Fault> {
        self.ask_in(command, Hurry::No).await
    }

    /// Sends `command`. A plug that refuses the password gets it in the other form, once.
    async fn ask_in(&mut self, command: &str, hurry: Hurry) -> Result<Reply, Fault> {
        let reply = self.ask_by(command, self.login, hurry).await;
        let refused = match reply {
            Err(refused @ (Fault::Password | Fault::Warning { .. }))
                if self.endpoint.has_password() =>
            {
                refused
            }
            reply => return reply,
        };
        let other = self.login.other();
        let reply = self.ask_by(command, other, hurry).await.map_err(|_| refused)?;
        self.login = other;
        Ok(reply)
    }

    async fn ask_by(&self, command: &str, login: Login, hurry: Hurry) -> Result<Reply, Fault> {
        let body = self.endpoint.send(command, login, hurry).await?;
        Reply::parse(command, &body)
    }
}

fn limits(resolution: Duration) -> Option<LeaseLimits> {
    Some(LeaseLimits { max: LONGEST_LEASE, resolution })
}
