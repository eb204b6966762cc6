//! The process that runs the node: the agent's loop over simulated doors. What it does in which
//! order is the agent's own [`Sequence`]; between any two steps of it the process may die.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use edge_agent::agent::sequence::Sequence;
use edge_agent::node::{Act, Disk as Health, Input, Node, Order, ScriptOutcome};
use edge_agent::store::{Completion, SpaceLevel};
use edge_protocol::codec::decode_command;
use edge_protocol::id::{CommandId, OutletId, TaskId};

use super::Sabotage;
use super::queue::Happening;
use super::world::World;

/// As the agent's own.
const MAX_UNSTORED: usize = 64;
/// Events that may be out at once: 16, and 8 that were asked for again.
const MAX_OUT: usize = 24;
/// A node that decides more often without time moving is in a loop.
const MAX_SETTLES: u32 = 1_000;

/// What the link has to say.
#[derive(Debug)]
pub(super) enum News {
    Up { session_present: bool },
    Down,
    Command { delivery: u64, payload: Vec<u8>, retained: bool },
    Delivered { seq: u64, refused: Option<u8> },
}

/// A dying to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doom {
    pub(super) steps: u32,
    pub(super) reboot: bool,
    pub(super) down_ms: u64,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that may be so")]
pub(super) struct Process {
    pub(super) run: u64,
    pub(super) node: Node,
    sequence: Sequence,
    pub(super) connection: u64,
    pub(super) online: bool,
    tokens: BTreeMap<u64, (u64, Option<CommandId>)>,
    next_token: u64,
    low: bool,
    failing: bool,
    pub(super) news: VecDeque<News>,
    /// The order each driver is at.
    pub(super) orders: BTreeMap<OutletId, (u64, u64)>,
    pub(super) scripts: BTreeSet<TaskId>,
    out: BTreeSet<u64>,
    pub(super) frozen_until: u64,
    pub(super) stopping: bool,
    pub(super) doom: Option<Doom>,
    settles: (u64, u32),
    batches: u64,
}

impl Process {
    /// What it is at, for a person.
    pub(super) fn at_work(&self) -> String {
        let (unstored, unheard, orders) = (self.sequence.unstored(), self.news.len(), &self.orders);
        let queues = self.node.state().queues;
        let Self { online, stopping, low, failing, .. } = self;
        format!(
            "{unstored} batches unstored, {unheard} news unheard, orders {orders:?}, {queues:?}, \
             online {online}, stopping {stopping}, low {low}, failing {failing}"
        )
    }
}

impl World {
    /// Starts the process: recovery is a normal start.
    pub(super) fn start(&mut self) {
        self.run += 1;
        if std::mem::take(&mut self.reboots) {
            self.clocks.reboot(self.behind_ms);
            let at = self.clocks.real + self.synced_after_ms;
            self.queue.at(at, Happening::Synced { boot: self.clocks.boot });
        }
        self.clocks.started = self.clocks.real;
        let mut settings = self.settings.clone();
        settings.boot_id = self.clocks.boot_id();
        settings.seed = self.rng.u64(..);
        let mut node = Node::recover(settings, self.disk.found(), self.clocks.now());
        node.step(self.clocks.now(), Input::Scripts(BTreeSet::from(["work".to_owned()])));
        self.note(|| "the agent starts".to_owned());
        self.done.starts += 1;
        self.alive_since = Some(self.clocks.real);
        self.process = Some(Process {
            run: self.run,
            node,
            sequence: Sequence::default(),
            connection: 0,
            online: false,
            tokens: BTreeMap::new(),
            next_token: 1,
            low: false,
            failing: false,
            news: VecDeque::new(),
            orders: BTreeMap::new(),
            scripts: BTreeSet::new(),
            out: BTreeSet::new(),
            frozen_until: 0,
            stopping: false,
            doom: None,
            settles: (0, 0),
            batches: 0,
        });
        let connect = self.clocks.real + self.rng.u64(20..2_000);
        self.queue.at(connect, Happening::Connect { run: self.run });
    }

    /// Whether the process lives to take the next step of its loop.
    fn survives(&mut self) -> bool {
        let Some(process) = self.process.as_mut() else { return false };
        let Some(doom) = process.doom.as_mut() else { return true };
        doom.steps = doom.steps.saturating_sub(1);
        if doom.steps > 0 {
            return true;
        }
        let Doom { reboot, down_ms, .. } = *doom;
        if reboot {
            self.lose_power(false);
        }
        self.die("dies between two steps", down_ms);
        false
    }

    pub(super) fn step(&mut self, input: Input) {
        let now = self.clocks.now();
        if self.survives()
            && let Some(process) = self.process.as_mut()
        {
            process.node.step(now, input);
        }
    }

    /// Takes in what the link has to say, as far as the disk keeps up.
    pub(super) fn listen(&mut self) {
        while let Some(process) = self.process.as_mut() {
            if process.sequence.unstored() >= MAX_UNSTORED || process.stopping {
                return;
            }
            let Some(news) = process.news.pop_front() else { return };
            match news {
                News::Up { session_present } => self.step(Input::Up { session_present }),
                News::Down => {
                    process.tokens.clear();
                    process.out.clear();
                    self.step(Input::Down);
                }
                News::Command { delivery, payload, retained } => {
                    let token = process.next_token;
                    process.next_token += 1;
                    let name = decode_command(&payload).ok().map(|received| received.id);
                    process.tokens.insert(token, (delivery, name));
                    self.step(Input::Command { token, payload, retained });
                }
                News::Delivered { seq, refused } => {
                    process.out.remove(&seq);
                    self.step(
                        refused
                            .map_or(Input::Delivered { seq }, |code| Input::Refused { seq, code }),
                    );
                }
            }
        }
    }

    pub(super) fn settle(&mut self) {
        if !self.survives() {
            return;
        }
        let now = self.clocks.now();
        let Some(process) = self.process.as_mut() else { return };
        let (at, count) = &mut process.settles;
        *count = if *at == self.clocks.real { *count + 1 } else { 0 };
        *at = self.clocks.real;
        if *count > MAX_SETTLES {
            let wake_at = process.node.wake_at();
            return self
                .broke(format!("the node decides without end: wake_at is {wake_at:?} at {now:?}"));
        }
        self.done.settles += 1;
        let mut effects = process.node.settle(now);
        let node = &process.node;
        let decided =
            self.checker
                .decided(&effects, &self.clocks, &self.settings, &self.control, || node.state());
        let (told, broken) = match decided {
            Ok(told) => (told, None),
            Err((broken, told)) => (told, Some(broken)),
        };
        told.into_iter().for_each(|told| self.note(|| format!("    tells {told}")));
        for (outlet, _, order) in
            effects.orders.iter().filter(|(_, _, order)| *order != Order::Read)
        {
            self.note(|| format!("    orders {outlet} {order:?}"));
        }
        if let Some(broken) = broken {
            return self.broke(broken);
        }
        for (outlet, number, order) in std::mem::take(&mut effects.orders) {
            if !self.survives() {
                return;
            }
            self.order(outlet, number, order);
        }
        let Some(process) = self.process.as_mut() else { return };
        let (batch, ready) = process.sequence.admit(effects, process.connection);
        if let Some(batch) = batch {
            process.batches = batch.number;
            self.checker.submitted(batch.number, batch.last_seq);
            self.disk.submit(batch);
            self.flush();
        }
        self.act_all(ready);
        if self.plan.sabotage == Some(Sabotage::ActsBeforeWrites) {
            let ready = self.process.as_mut().map(|process| process.sequence.stored(u64::MAX));
            self.act_all(ready.unwrap_or_default());
        }
    }

    pub(super) fn flush(&mut self) {
        if let Some(takes_ms) = self.disk.begin() {
            self.queue.at(self.clocks.real + takes_ms, Happening::Flushed { run: self.run });
        }
    }

    /// The disk has something to say.
    pub(super) fn completed(&mut self, completion: Completion) {
        let Some(process) = self.process.as_mut() else { return };
        match completion {
            Completion::Stored { through } => {
                self.checker.stored(through);
                let ready = process.sequence.stored(through);
                let recovered = std::mem::take(&mut process.failing);
                self.act_all(ready);
                if recovered {
                    self.tell_health();
                }
            }
            Completion::Loaded { from, through, rows } => {
                self.step(Input::Loaded { from, through, rows })
            }
            Completion::Trouble { .. } => {
                process.failing = true;
                self.tell_health();
            }
            Completion::Space(level) => {
                process.low = level == SpaceLevel::Low;
                self.tell_health();
            }
        }
    }

    fn tell_health(&mut self) {
        let Some(process) = self.process.as_ref() else { return };
        let health = match (process.failing, process.low) {
            (true, _) => Health::Failing,
            (false, true) => Health::Low,
            (false, false) => Health::Ok,
        };
        self.step(Input::Disk(health));
    }

    fn act_all(&mut self, acts: Vec<(u64, Act)>) {
        for (connection, act) in acts {
            if !self.survives() {
                return;
            }
            self.act(connection, act);
        }
    }

    fn act(&mut self, stamp: u64, act: Act) {
        let real = self.clocks.real;
        let Some(process) = self.process.as_mut() else { return };
        match act {
            Act::Acknowledge(token) => {
                let Some((delivery, name)) = process.tokens.remove(&token) else { return };
                let connection = process.connection;
                let busy = name.as_ref().is_some_and(|name| self.checker.ledger.answers(name) == 0);
                if let Some(name) = name.filter(|name| !busy && !self.checker.ledger.answered(name))
                {
                    return self.broke(format!(
                        "a command is acknowledged once its answer is on disk: {name} is not"
                    ));
                }
                self.queue
                    .at(self.broker.inward(real), Happening::Acknowledged { connection, delivery });
            }
            Act::Publish { seq, payload } => {
                if let Err(broken) = self.checker.ledger.published(seq, &payload) {
                    return self.broke(broken);
                }
                if stamp != process.connection || !process.online {
                    return;
                }
                process.out.insert(seq);
                if process.out.len() > MAX_OUT {
                    let out = process.out.len();
                    return self.broke(format!("{out} events are out at a time"));
                }
                let published = Happening::Published { connection: stamp, seq, payload };
                self.queue.at(self.broker.inward(real), published);
            }
            Act::Load { seqs, max_bytes } => {
                self.disk.load(seqs, max_bytes);
                self.flush();
            }
            Act::Status(_) | Act::State(_) | Act::Telemetry => {}
            Act::Begin { task, attempt } => {
                let begun = Happening::Begun { run: self.run, task, attempt };
                self.queue.at(real, begun);
            }
            Act::Run { task, attempt, timeout_ms, .. } => {
                self.run_script(task, attempt, timeout_ms)
            }
            Act::Kill { task } => {
                if process.scripts.contains(&task) {
                    let at = real + self.rng.u64(0..4_000);
                    let outcome = ScriptOutcome::Stopped;
                    self.queue.at(
                        at,
                        Happening::ScriptEnds { run: self.run, task, attempt: u32::MAX, outcome },
                    );
                }
            }
        }
    }

    fn run_script(&mut self, task: TaskId, attempt: u32, timeout_ms: u64) {
        let again = self.ever_stopped;
        if let Err(broken) = self.checker.ledger.run(&task, attempt, again) {
            return self.broke(broken);
        }
        let takes_ms = self.rng.u64(10..90_000);
        let failed =
            |error: &str, for_good| ScriptOutcome::Failed { error: error.to_owned(), for_good };
        let outcome = match self.rng.u8(0..10) {
            _ if takes_ms > timeout_ms => failed("timed out", false),
            0..3 => failed("exit 1", false),
            3 => failed("exit 64", true),
            _ => ScriptOutcome::Succeeded(None),
        };
        let Some(process) = self.process.as_mut() else { return };
        process.scripts.insert(task.clone());
        if process.scripts.len() > self.settings.tasks.concurrency {
            let running = process.scripts.len();
            return self.broke(format!("at most 2 tasks run at once, not {running}"));
        }
        let at = self.clocks.real + takes_ms.min(timeout_ms);
        self.queue.at(at, Happening::ScriptEnds { run: self.run, task, attempt, outcome });
    }

    /// Whether nothing waits for the disk any more.
    pub(super) fn all_stored(&self) -> bool {
        self.process.as_ref().is_none_or(|process| process.sequence.unstored() == 0)
    }
}
