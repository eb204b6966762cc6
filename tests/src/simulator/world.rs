//! The world: true time, and everything that happens in it, one happening at a time.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use edge_agent::node::settings::Settings;
use edge_agent::node::{Input, Order};
use edge_agent::store::{Completion, SpaceLevel};
use edge_protocol::id::OutletId;

use super::broker::Broker;
use super::chance::{Chance, For};
use super::checker::Checker;
use super::clocks::{Clocks, START_MS};
use super::disk::Disk;
use super::life::{NextBoot, Requests};
use super::plug::{Manner, Plug};
use super::power::Span;
use super::process::{News, Process};
use super::queue::{Happening, Queue};
use super::sabotage::Sabotage;
use super::script::{Deed, Entry};
use super::{Broken, Case, Done};

/// So much of what happened is told with a failure.
const MEMORY: usize = 2_000;
/// So much happens between two decisions at most.
const MOST_AT_ONCE: u32 = 8;
/// What a world in order needs at most to come to rest: the longest backoffs, timeouts and leases.
const REST_MS: u64 = 3 * 3_600_000;

/// An order on its way.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) order: Order,
    pub(super) lease: Option<u64>,
    pub(super) run: u64,
    pub(super) issued: u64,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that may be so")]
pub(super) struct World {
    seed: u64,
    pub(super) sabotage: Option<Sabotage>,
    until: u64,
    pub(super) chance: Chance,
    script: VecDeque<Entry>,
    pub(super) clocks: Clocks,
    pub(super) queue: Queue,
    pub(super) disk: Disk,
    pub(super) broker: Broker,
    pub(super) plugs: Vec<Plug>,
    pub(super) requests: Requests,
    pub(super) checker: Checker,
    pub(super) settings: Settings,
    pub(super) process: Option<Process>,
    pub(super) run: u64,
    pub(super) serial: u64,
    pub(super) sent: BTreeMap<u64, Sent>,
    /// When the last order reaches each plug: none overtakes another on its way.
    pub(super) reached: Vec<u64>,
    /// What a sabotaged loop keeps back.
    pub(super) held_orders: Vec<(OutletId, u64, Order)>,
    /// The offs among them that are paced like ons.
    pub(super) held_offs: Vec<(OutletId, u64, Order)>,
    /// When it last let an on go.
    pub(super) last_on: u64,
    pub(super) alive_since: Option<u64>,
    pub(super) ever_stopped: bool,
    pub(super) refuse_next: Option<u8>,
    /// The wall clock was wrong for a while.
    pub(super) stepped: bool,
    pub(super) in_order: bool,
    /// The board starts anew with the process.
    pub(super) next_boot: Option<NextBoot>,
    pub(super) stop_down_ms: u64,
    pub(super) stop_by: u64,
    /// What happens is written down, for a person.
    telling: bool,
    happenings: VecDeque<String>,
    broken: Option<String>,
    pub(super) done: Done,
}

impl World {
    pub(super) fn new(case: &Case, telling: bool) -> Self {
        let chance = Chance::new(case.plan.seed);
        let settings = super::site::settings(&mut chance.once(For::Site));
        let sabotage = case.plan.sabotage;
        let clocks = Clocks::new(sabotage);
        let outlets = settings.outlets.iter();
        let plugs: Vec<_> = outlets
            .map(|(id, outlet)| Plug::new(id.clone(), outlet.clone(), clocks.real))
            .collect();
        Self {
            seed: case.plan.seed,
            sabotage,
            until: START_MS + case.until_ms,
            chance,
            script: case.entries.iter().cloned().collect(),
            queue: Queue::default(),
            disk: Disk::new(chance, sabotage),
            broker: Broker::new(chance),
            reached: vec![0; plugs.len()],
            checker: Checker::new(&plugs),
            plugs,
            clocks,
            requests: Requests::default(),
            settings,
            process: None,
            run: 0,
            serial: 0,
            sent: BTreeMap::new(),
            held_orders: Vec::new(),
            held_offs: Vec::new(),
            last_on: 0,
            alive_since: None,
            ever_stopped: false,
            refuse_next: None,
            stepped: false,
            in_order: false,
            next_boot: None,
            stop_down_ms: 0,
            stop_by: 0,
            telling,
            happenings: VecDeque::new(),
            broken: None,
            done: Done::default(),
        }
    }

    pub(super) fn run(mut self) -> Result<Done, Box<Broken>> {
        self.queue.at(START_MS, Happening::Start);
        self.queue.at(START_MS + 5_000, Happening::Tidy { again: true });
        self.queue.at(self.until, Happening::Look);
        while self.clocks.real < self.until && self.broken.is_none() {
            self.turn();
        }
        if self.broken.is_none() {
            self.put_in_order();
        }
        while self.broken.is_none() && !self.at_rest() {
            self.turn();
            if self.clocks.real > self.until + REST_MS {
                let unrest = self.unrest();
                self.broke(format!(
                    "nothing accepted is forgotten: 3 h after the last trouble there is still {unrest}"
                ));
            }
        }
        self.check_rest();
        self.done.virtual_ms = self.clocks.real - START_MS;
        self.done.events = self.checker.ledger.last();
        self.done.sessions = self.checker.ledger.sessions();
        match self.broken {
            None => Ok(self.done),
            Some(sentence) => Err(Box::new(Broken {
                seed: self.seed,
                at_ms: self.clocks.real - START_MS,
                sentence,
                happenings: self.happenings.into(),
            })),
        }
    }

    pub(super) fn note(&mut self, happening: impl FnOnce() -> String) {
        if !self.telling {
            return;
        }
        if self.happenings.len() >= MEMORY {
            self.happenings.pop_front();
        }
        let at = self.clocks.real - START_MS;
        let mut line = format!("{:>6}.{:03} ", at / 1_000, at % 1_000);
        let text = happening();
        let end = text.char_indices().nth(260).map_or(text.len(), |(at, _)| at);
        let _ = write!(line, "{}", &text[..end]);
        self.happenings.push_back(line);
    }

    pub(super) fn broke(&mut self, sentence: String) {
        self.broken.get_or_insert(sentence);
    }

    /// Lets time move to the next happening, and lets it happen.
    fn turn(&mut self) {
        let real = self.clocks.real;
        let wake = self.process.as_ref().filter(|process| !process.stopping).and_then(|process| {
            Some(self.clocks.real_at(process.wake_at?).max(process.frozen_until))
        });
        let entry = self.script.front().map(|entry| START_MS + entry.at_ms);
        let entry = entry.filter(|at| *at < self.until);
        let times = [wake, self.queue.next_at(), entry];
        let next = times.into_iter().flatten().min().unwrap_or(real + 1_000).max(real);
        if next > real {
            let (plugs, alive_since) = (&self.plugs, self.alive_since);
            let held = self.checker.pass(&Span { from: real, to: next, plugs, alive_since });
            self.clocks.real = next;
            if let Err(broken) = held {
                return self.broke(broken);
            }
        }
        let mut touched = wake.is_some_and(|wake| wake <= next);
        if entry.is_some_and(|at| at <= next) {
            touched |= self.deed();
        }
        for taken in 0..MOST_AT_ONCE {
            if self.queue.next_at().is_none_or(|at| at > next) {
                break;
            }
            // Now and then one batch takes in more than one of what is waiting.
            if taken == 1 && self.chance.at(next, For::Turn).u8(0..4) > 0 {
                break;
            }
            if let Some(happening) = self.queue.pop() {
                touched |= self.happens(happening);
            }
        }
        let frozen = self.process.as_ref().is_none_or(|process| process.frozen_until > next);
        if touched && !frozen {
            self.listen();
            self.settle();
            self.end_in_order();
        }
    }

    /// The world does the next thing of its script. Returns whether the process may have seen it.
    fn deed(&mut self) -> bool {
        let Some(entry) = self.script.pop_front() else { return false };
        match entry.deed {
            Deed::Command(message) => {
                self.send(&message);
                false
            }
            Deed::Trouble(trouble) => {
                self.strike(trouble);
                self.check_bounds();
                true
            }
            Deed::Local(order) => {
                self.ask(order);
                false
            }
        }
    }

    /// Whether the process saw it.
    fn happens(&mut self, happening: Happening) -> bool {
        let real = self.clocks.real;
        let asleep = self.process.as_ref().map(|process| process.frozen_until);
        if let Some(until) = asleep.filter(|until| *until > real && happening.is_aimed()) {
            self.queue.at(until, happening);
            return false;
        }
        match happening {
            Happening::Flushed { run } => run == self.run && self.flushed(),
            Happening::Answered { run, plug, serial, result } => {
                run == self.run && self.answered(plug, serial, result)
            }
            Happening::ScriptEnds { run, task, attempt, outcome } => {
                run == self.run && self.script_ends(task, attempt, outcome)
            }
            Happening::Begun { run, task, attempt } => {
                let ours = run == self.run;
                if ours {
                    self.step(Input::Begun { task, attempt });
                }
                ours
            }
            Happening::Start => {
                if self.process.is_none() {
                    self.start();
                }
                true
            }
            Happening::Connect { run } => run == self.run && self.connect(),
            Happening::Noticed { run, connection } => run == self.run && self.noticed(connection),
            Happening::Command { connection, delivery } => self.command(connection, delivery),
            Happening::Delivered { connection, seq, refused } => {
                self.delivered(connection, seq, refused)
            }
            Happening::Synced { boot } => {
                if boot == self.clocks.boot {
                    self.clocks.sync();
                    self.note(|| "the wall clock is set right".to_owned());
                }
                true
            }
            Happening::DiskHeals => {
                self.disk.failing = false;
                self.complete(Completion::Space(SpaceLevel::Ok));
                true
            }
            Happening::Look => true,
            elsewhere @ (Happening::Reached { .. }
            | Happening::LeaseOver { .. }
            | Happening::Overloaded { .. }
            | Happening::Published { .. }
            | Happening::Acknowledged { .. }
            | Happening::Tidy { .. }
            | Happening::Behaves { .. }) => {
                self.happens_elsewhere(elsewhere);
                false
            }
        }
    }

    /// What the process does not see at once.
    fn happens_elsewhere(&mut self, happening: Happening) {
        let real = self.clocks.real;
        match happening {
            Happening::Reached { plug, serial } => self.reached(plug, serial),
            Happening::LeaseOver { plug } => self.lease_over(plug),
            Happening::Overloaded { plug } => self.overloaded(plug),
            Happening::Published { connection, seq, payload } => {
                self.published(connection, seq, payload);
            }
            Happening::Acknowledged { connection, delivery } => {
                self.acknowledged(connection, delivery);
            }
            Happening::Tidy { again } => self.tidy(again),
            Happening::Behaves { plug, since } => {
                let plug = &mut self.plugs[plug];
                if plug.manner_since == since {
                    plug.manner = Manner::Well;
                    plug.manner_since = real;
                    let outlet = plug.outlet.clone();
                    self.note(|| format!("{outlet} behaves again"));
                }
            }
            _ => {}
        }
    }

    /// The disk ends a flush.
    fn flushed(&mut self) -> bool {
        if !self.survives_flush() {
            return false;
        }
        for completion in self.disk.flushed(self.clocks.real) {
            self.completed(completion);
        }
        if self.disk.failing {
            self.queue.at(self.clocks.real + 1_000, Happening::Flushed { run: self.run });
        } else {
            self.flush();
        }
        true
    }

    fn delivered(&mut self, connection: u64, seq: u64, refused: Option<u8>) -> bool {
        if !self.broker.carries(connection) {
            self.done.tally.count("fault", "acknowledgement of an event lost");
            return false;
        }
        let Some(process) = self.process.as_mut() else { return false };
        process.news.push_back(News::Delivered { seq, refused });
        true
    }

    pub(super) fn complete(&mut self, completion: Completion) {
        let real = self.clocks.real;
        let awake = |process: &Process| !process.stopping && process.frozen_until <= real;
        if self.process.as_ref().is_some_and(awake) {
            self.completed(completion);
        }
    }
}
