//! One relay of one plug, command by command.
//!
//! Each method is one question or one order and the strict reading of its answer; what to ask
//! and in which order is the parent module's.

mod meeting;
mod timers;

use std::time::Duration;

use super::http::Login;
use super::lease::PULSE_TIME_STEP;
use super::reply::{Load, Particulars, Reply, State, Words};
use super::rule::Part;
use super::wire::Wire;
use crate::error::Fault;
use crate::http::Hurry;
use crate::{Capabilities, LONGEST_LEASE, LeaseLimits, Rest, Trip};

/// What the rule of a lease by rule timer consists of: its end, and an off after a restart, which
/// loses the timer and may bring the relay back on.
const LEASE_RULE: [Part; 2] = [Part::Timer, Part::Boot];
/// The same for a relay that is not to be off after a restart.
const TIMER_RULE: [Part; 1] = [Part::Timer];
/// The parts of a `Status 0`, for a plug that does not give it whole.
const PIECES: [&str; 5] = ["Status", "Status 1", "Status 2", "Status 10", "Status 11"];

#[derive(Debug)]
pub(super) struct Plug {
    wire: Wire,
    relay: u8,
    rest: Rest,
    /// How this plug wants its password.
    login: Login,
    capabilities: Capabilities,
    last_uptime: Option<Duration>,
    /// How often the plug had told of a trip when the relay was last seen on.
    past_trips: u64,
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
    pub(super) fn new(wire: Wire, relay: u8) -> Self {
        Self {
            wire,
            relay,
            rest: Rest::default(),
            login: Login::Header,
            // What every Tasmota can do at least.
            capabilities: Capabilities { lease: limits(PULSE_TIME_STEP), meters: false },
            last_uptime: None,
            past_trips: 0,
            found: Found::default(),
        }
    }

    pub(super) fn relay(&self) -> u8 {
        self.relay
    }

    pub(super) fn rest(&self) -> Rest {
        self.rest
    }

    pub(super) fn rests(&mut self, rest: Rest) {
        self.rest = rest;
    }

    /// The rule that a lease by rule timer needs.
    pub(super) fn lease_rule(&self) -> &'static [Part] {
        match self.rest {
            Rest::Off => &LEASE_RULE,
            Rest::On | Rest::Keep => &TIMER_RULE,
        }
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
        let (relay, words) = (self.relay, self.words());
        let agrees = |body: &[u8]| {
            let told = Reply::parse(command, body).and_then(|reply| reply.power(relay, &words));
            told.is_ok_and(|told| told == on)
        };
        let reply = self.ask_in(command, hurry, &agrees).await?;
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
        let particulars = reply.particulars();
        if self.known_boot_count().is_some_and(|known| particulars.boot_count != Some(known)) {
            // It may have been up for longer by now than it was when it was last seen.
            self.forget();
        }
        let state = self.seen(state);
        self.found.particulars = Some(particulars);
        let load = reply.load(self.relay, state.relays);
        self.note_meter(load);
        Ok((state, load))
    }

    async fn whole_at_once(&mut self) -> Result<Reply, Fault> {
        if self.found.in_pieces {
            return self.whole_in_pieces().await;
        }
        let reply = self.ask("Status 0").await?;
        // Old firmware gathers an answer in a buffer that may be too short for all of it.
        for part in ["Status", "StatusPRM", "StatusFWR", "StatusSTS"] {
            reply.value(part)?;
        }
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

    /// `SetOption21`. Asked once, and while it is off with the next on again.
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

    /// Why the relay switched itself off since it was last seen on, where the plug has told.
    pub(super) fn trip(&mut self, on: bool) -> Option<Trip> {
        let trips = self.wire.trips();
        if on {
            self.past_trips = trips.count;
        }
        trips.last.filter(|_| trips.count > self.past_trips)
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

    /// Whether the plug answers somebody without a password; `None`: that cannot be tried from here.
    pub(super) async fn answers_anybody(&mut self) -> Result<Option<bool>, Fault> {
        let Wire::Http(endpoint) = &self.wire else { return Ok(None) };
        match endpoint.send("Status 2", Login::None, Hurry::No).await {
            Ok(body) => Ok(Some(Reply::parse("Status 2", &body).is_ok())),
            Err(Fault::Password) => Ok(Some(false)),
            Err(fault) => Err(fault),
        }
    }

    /// Whether a command that is answered by several messages is answered whole.
    pub(super) fn answers_whole(&self) -> bool {
        self.wire.answers_whole()
    }

    /// Sends `command`.
    pub(super) async fn ask(&mut self, command: &str) -> Result<Reply, Fault> {
        self.ask_in(command, Hurry::No, &|_| true).await
    }

    /// Sends `command`. A plug that refuses the password gets it in the other form, once.
    async fn ask_in(
        &mut self,
        command: &str,
        hurry: Hurry,
        agrees: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<Reply, Fault> {
        let reply = self.ask_by(command, self.login, hurry, agrees).await;
        let refused = match reply {
            Err(refused @ (Fault::Password | Fault::Warning { .. }))
                if self.wire.has_password() =>
            {
                refused
            }
            reply => return reply,
        };
        let other = self.login.other();
        let reply = self.ask_by(command, other, hurry, agrees).await.map_err(|_| refused)?;
        self.login = other;
        Ok(reply)
    }

    async fn ask_by(
        &self,
        command: &str,
        login: Login,
        hurry: Hurry,
        agrees: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<Reply, Fault> {
        let body = self.wire.send(command, login, hurry, agrees).await?;
        Reply::parse(command, &body)
    }
}

fn limits(resolution: Duration) -> Option<LeaseLimits> {
    Some(LeaseLimits { max: LONGEST_LEASE, resolution })
}
