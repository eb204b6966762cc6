//! The world: true time, and everything that happens in it, one happening at a time.

use std::collections::{BTreeMap, VecDeque};

use edge_agent::node::settings::Settings;
use edge_agent::node::{Input, Order};
use edge_agent::store::{Completion, SpaceLevel};
use edge_protocol::id::OutletId;
use fastrand::Rng;

use super::broker::Broker;
use super::chaos::Chaos;
use super::checker::Checker;
use super::clocks::Clocks;
use super::control::Control;
use super::disk::Disk;
use super::plug::{Manner, Plug};
use super::process::{News, Process};
use super::queue::{Happening, Queue};
use super::{Broken, Done, Plan, site};

/// So much of what happened is told with a failure.
const MEMORY: usize = 2_000;
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
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) clocks: Clocks,
    pub(super) queue: Queue,
    pub(super) disk: Disk,
    pub(super) broker: Broker,
    pub(super) plugs: BTreeMap<OutletId, Plug>,
    pub(super) control: Control,
    chaos: Chaos,
    pub(super) checker: Checker,
    pub(super) settings: Settings,
    pub(super) process: Option<Process>,
    pub(super) run: u64,
    pub(super) serial: u64,
    pub(super) sent: BTreeMap<u64, Sent>,
    /// When the last order reaches its plug: none overtakes another on its way.
    pub(super) reached: BTreeMap<OutletId, u64>,
    pub(super) alive_since: Option<u64>,
    pub(super) ever_stopped: bool,
    pub(super) refuse_next: Option<u8>,
    /// The wall clock was wrong for a while.
    pub(super) stepped: bool,
    pub(super) in_order: bool,
    /// The board starts anew with the process, its clock so far behind, trusted after a while.
    pub(super) reboots: bool,
    pub(super) behind_ms: Option<u64>,
    pub(super) synced_after_ms: u64,
    pub(super) stop_down_ms: u64,
    pub(super) stop_by: u64,
    happenings: VecDeque<String>,
    broken: Option<String>,
    pub(super) done: Done,
}

impl World {
    pub(super) fn new(plan: Plan) -> Self {
        let mut rng = Rng::with_seed(plan.seed);
        let settings = site::settings(&mut rng);
        let clocks = Clocks::new();
        let plugs = settings
            .outlets
            .iter()
            .map(|(id, outlet)| (id.clone(), Plug::new(outlet.leases, clocks.real)))
            .collect();
        let chaos = Chaos::new(plan.seed, plan.without);
        let mut disk = Disk::new(plan.seed, plan.sabotage);
        disk.stalls = chaos.allows("disk stalls");
        Self {
            control: Control::new(plan.seed, &settings),
            chaos,
            disk,
            broker: Broker::new(plan.seed),
            plan,
            rng,
            clocks,
            queue: Queue::default(),
            plugs,
            checker: Checker::default(),
            settings,
            process: None,
            run: 0,
            serial: 0,
            sent: BTreeMap::new(),
            reached: BTreeMap::new(),
            alive_since: None,
            ever_stopped: false,
            refuse_next: None,
            stepped: false,
            in_order: false,
            reboots: false,
            behind_ms: None,
            synced_after_ms: 60_000,
            stop_down_ms: 0,
            stop_by: 0,
            happenings: VecDeque::new(),
            broken: None,
            done: Done::default(),
        }
    }

    pub(super) fn run(mut self) -> Result<Done, Box<Broken>> {
        let start = self.clocks.real;
        let end = start + self.plan.hours * 3_600_000;
        self.queue.at(start, Happening::Start);
        self.queue.at(start + 5_000, Happening::Send);
        self.queue.at(start + 10_000, Happening::Trouble);
        while self.clocks.real < end && self.broken.is_none() {
            self.turn();
        }
        if self.broken.is_none() {
            self.put_in_order();
        }
        while self.broken.is_none() && !self.at_rest() {
            self.turn();
            if self.clocks.real > end + REST_MS {
                self.broke(format!(
                    "nothing accepted is forgotten: 3 h after the last trouble there is still {}",
                    self.unrest()
                ));
            }
        }
        self.check_answers();
        self.done.virtual_ms = self.clocks.real - start;
        self.done.events = self.broker.taken.len() as u64;
        self.done.sessions = self.checker.ledger.sessions();
        match self.broken {
            None => Ok(self.done),
            Some(sentence) => Err(Box::new(Broken {
                seed: self.plan.seed,
                sentence,
                happenings: self.happenings.into(),
            })),
        }
    }

    pub(super) fn note(&mut self, happening: impl FnOnce() -> String) {
        if self.happenings.len() >= MEMORY {
            self.happenings.pop_front();
        }
        let at = self.clocks.real - 10_000_000;
        self.happenings.push_back(format!("{:>6}.{:03} {}", at / 1_000, at % 1_000, happening()));
    }

    pub(super) fn broke(&mut self, sentence: String) {
        self.broken.get_or_insert(sentence);
    }

    /// Lets time move to the next happening, and lets it happen.
    fn turn(&mut self) {
        let real = self.clocks.real;
        let wake = self.process.as_ref().filter(|process| !process.stopping).and_then(|process| {
            Some(self.clocks.real_at(process.node.wake_at()?).max(process.frozen_until))
        });
        let next = [wake, self.queue.next_at()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(real + 1_000)
            .max(real);
        if next > real {
            let held =
                self.checker.pass_with(real, next, &self.settings, &self.plugs, self.alive_since);
            self.clocks.real = next;
            if let Err(broken) = held {
                return self.broke(broken);
            }
        }
        let mut touched = wake.is_some_and(|wake| wake <= next);
        let most = if self.rng.u8(0..4) == 0 { 8 } else { 1 };
        for _ in 0..most {
            if self.queue.next_at().is_none_or(|at| at > next) {
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

    /// Whether the process saw it.
    fn happens(&mut self, happening: Happening) -> bool {
        let real = self.clocks.real;
        let asleep = self.process.as_ref().map(|process| process.frozen_until);
        if let Some(until) = asleep.filter(|until| *until > real && happening.is_aimed()) {
            self.queue.at(until, happening);
            return false;
        }
        match happening {
            Happening::Flushed { run } if run == self.run && self.process.is_some() => {
                for completion in self.disk.flushed() {
                    self.completed(completion);
                }
                if self.disk.failing {
                    self.queue.at(real + 1_000, Happening::Flushed { run });
                } else {
                    self.flush();
                }
                true
            }
            Happening::Answered { run, outlet, serial, result } => {
                run == self.run && self.answered(outlet, serial, result)
            }
            Happening::ScriptEnds { run, task, attempt, outcome } if run == self.run => {
                let ours =
                    self.process.as_mut().is_some_and(|process| process.scripts.remove(&task));
                if ours {
                    let attempt = if attempt == u32::MAX {
                        self.checker.model.attempt(&task)
                    } else {
                        attempt
                    };
                    self.step(Input::Script { task, attempt, outcome });
                }
                ours
            }
            Happening::Begun { run, task, attempt } if run == self.run => {
                self.step(Input::Begun { task, attempt });
                true
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
                let Some(process) =
                    self.process.as_mut().filter(|_| self.broker.carries(connection))
                else {
                    return false;
                };
                process.news.push_back(News::Delivered { seq, refused });
                true
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
            Happening::Flushed { .. } | Happening::ScriptEnds { .. } | Happening::Begun { .. } => {
                false
            }
            Happening::Look => true,
            elsewhere @ (Happening::Reached { .. }
            | Happening::LeaseOver { .. }
            | Happening::Published { .. }
            | Happening::Acknowledged { .. }
            | Happening::Send
            | Happening::Trouble
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
            Happening::Reached { outlet, serial } => {
                self.reached(outlet, serial);
            }
            Happening::LeaseOver { outlet } => {
                self.lease_over(&outlet);
            }
            Happening::Published { connection, seq, payload } => {
                self.published(connection, seq, payload);
            }
            Happening::Acknowledged { connection, delivery } if self.broker.carries(connection) => {
                self.broker.acknowledged(delivery);
                self.deliver();
            }
            Happening::Send => {
                self.send();
            }
            Happening::Trouble if !self.in_order => {
                let trouble = self.chaos.next(self.plugs.len());
                self.strike(trouble);
                let pause_ms = self.chaos.pause_ms();
                self.queue.at(self.clocks.real + pause_ms, Happening::Trouble);
            }
            Happening::Behaves { outlet, since } => {
                if let Some(plug) =
                    self.plugs.get_mut(&outlet).filter(|plug| plug.manner_since == since)
                {
                    plug.manner = Manner::Well;
                    plug.manner_since = real;
                    self.note(|| format!("{outlet} behaves again"));
                }
            }
            _ => {}
        }
    }

    pub(super) fn complete(&mut self, completion: Completion) {
        let real = self.clocks.real;
        let awake = |process: &Process| !process.stopping && process.frozen_until <= real;
        if self.process.as_ref().is_some_and(awake) {
            self.completed(completion);
        }
    }
}
