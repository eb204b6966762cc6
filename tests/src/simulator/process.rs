//! The process that runs the node: the agent's loop over simulated doors. What it does in which
//! order is the agent's own [`Sequence`]; between any two steps of it the process may die.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use edge_agent::agent::sequence::Sequence;
use edge_agent::node::time::BootMs;
use edge_agent::node::{
    Asker, Disk as Health, Effects, Input, LocalOrder, Node, Order, ScriptOutcome,
};
use edge_agent::store::{Completion, SpaceLevel};
use edge_protocol::id::{CommandId, OutletId, TaskId};

use super::chance::For;
use super::control::Message;
use super::queue::Happening;
use super::sabotage::{self, Sabotage};
use super::world::World;

/// As the agent's own.
const MAX_UNSTORED: usize = 64;
/// A node that decides more often without time moving is in a loop.
const MAX_SETTLES: u32 = 1_000;

/// What the link has to say.
#[derive(Debug)]
pub(super) enum News {
    Up { session_present: bool },
    Down,
    Command { delivery: u64, message: Rc<Message> },
    Delivered { seq: u64, refused: Option<u8> },
}

/// A dying to come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Doom {
    /// So many steps of the loop from now; or as the disk ends the flush after so many others.
    pub(super) steps: u32,
    pub(super) at_flush: bool,
    pub(super) power_cut: bool,
    pub(super) down_ms: u64,
}

/// The order that a driver is at.
#[derive(Debug, Clone, Copy)]
pub(super) struct AtDriver {
    pub(super) number: u64,
    pub(super) serial: u64,
    pub(super) order: Order,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that may be so")]
pub(super) struct Process {
    pub(super) run: u64,
    pub(super) node: Node,
    /// When the node wants to decide next, as it said last.
    pub(super) wake_at: Option<BootMs>,
    pub(super) sequence: Sequence,
    pub(super) connection: u64,
    pub(super) online: bool,
    pub(super) tokens: BTreeMap<u64, (u64, Option<CommandId>)>,
    next_token: u64,
    /// Who asked at the machine itself and waits for an answer.
    pub(super) asked: BTreeMap<Asker, LocalOrder>,
    pub(super) next_asker: Asker,
    low: bool,
    failing: bool,
    pub(super) news: VecDeque<News>,
    pub(super) drivers: Vec<Option<AtDriver>>,
    /// The attempt that each script is at.
    pub(super) scripts: BTreeMap<TaskId, u32>,
    pub(super) out: BTreeSet<u64>,
    pub(super) frozen_until: u64,
    pub(super) stopping: bool,
    pub(super) doom: Option<Doom>,
    settles: (u64, u32),
}

impl Process {
    /// What it is at, for a person.
    pub(super) fn at_work(&self) -> String {
        let (unstored, unheard) = (self.sequence.unstored(), self.news.len());
        let (drivers, queues) = (&self.drivers, self.node.state().queues);
        let Self { online, stopping, low, failing, .. } = self;
        format!(
            "{unstored} batches unstored, {unheard} news unheard, orders {drivers:?}, {queues:?}, \
             online {online}, stopping {stopping}, low {low}, failing {failing}"
        )
    }
}

impl World {
    /// Starts the process: recovery is a normal start.
    pub(super) fn start(&mut self) {
        self.run += 1;
        let real = self.clocks.real;
        if let Some(boot) = self.next_boot.take() {
            self.clocks.reboot(boot.behind_ms);
            self.done.tally.count("total", "reboots");
            self.queue
                .at(real + boot.synced_after_ms, Happening::Synced { boot: self.clocks.boot });
        }
        self.clocks.started = real;
        let mut settings = self.settings.clone();
        settings.boot_id = self.clocks.boot_id();
        settings.seed = self.chance.at(real, For::Node).u64(..);
        let mut node = Node::recover(settings, self.disk.found(), self.clocks.now());
        node.step(self.clocks.now(), Input::Scripts(BTreeSet::from(["work".to_owned()])));
        self.note(|| "the agent starts".to_owned());
        self.done.tally.count("total", "starts");
        self.alive_since = Some(real);
        self.process = Some(Process {
            run: self.run,
            node,
            wake_at: None,
            sequence: Sequence::default(),
            connection: 0,
            online: false,
            tokens: BTreeMap::new(),
            next_token: 1,
            asked: BTreeMap::new(),
            next_asker: 1,
            low: false,
            failing: false,
            news: VecDeque::new(),
            drivers: vec![None; self.plugs.len()],
            scripts: BTreeMap::new(),
            out: BTreeSet::new(),
            frozen_until: 0,
            stopping: false,
            doom: None,
            settles: (0, 0),
        });
        let connect = real + self.chance.at(real, For::Connect).u64(20..2_000);
        self.queue.at(connect, Happening::Connect { run: self.run });
    }

    /// Whether the process lives to take the next step of its loop.
    pub(super) fn survives(&mut self) -> bool {
        let Some(process) = self.process.as_mut() else { return false };
        let Some(doom) = process.doom.as_mut().filter(|doom| !doom.at_flush) else { return true };
        doom.steps = doom.steps.saturating_sub(1);
        if doom.steps > 0 {
            return true;
        }
        self.meet_doom("dies between two steps");
        false
    }

    /// Whether the process lives to hear of the flush that ends now.
    pub(super) fn survives_flush(&mut self) -> bool {
        let Some(process) = self.process.as_mut() else { return false };
        let Some(doom) = process.doom.as_mut().filter(|doom| doom.at_flush) else { return true };
        if doom.steps > 0 {
            doom.steps -= 1;
            return true;
        }
        self.meet_doom("dies at a flush");
        false
    }

    fn meet_doom(&mut self, how: &str) {
        let doom = self.process.as_mut().and_then(|process| process.doom.take());
        let Some(Doom { power_cut, down_ms, .. }) = doom else { return };
        if power_cut {
            let mut rng = self.chance.at(self.clocks.real, For::Crash);
            let behind_ms = rng.bool().then(|| rng.u64(1_000..3_000_000_000));
            self.cut_power(false, behind_ms, rng.u64(1_000..400_000));
        }
        self.die(how, down_ms);
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
                News::Command { delivery, message } => {
                    let token = process.next_token;
                    process.next_token += 1;
                    self.hear(token, delivery, &message);
                }
                News::Delivered { seq, refused } => {
                    process.out.remove(&seq);
                    let delivered = Input::Delivered { seq };
                    self.step(refused.map_or(delivered, |code| Input::Refused { seq, code }));
                }
            }
        }
    }

    fn hear(&mut self, token: u64, delivery: u64, message: &Message) {
        let Some(process) = self.process.as_mut() else { return };
        process.tokens.insert(token, (delivery, message.name.clone()));
        let swallows = self.sabotage == Some(Sabotage::CommandsSwallowed);
        if swallows && self.chance.at(token, For::Sabotage).u8(0..20) == 0 {
            return self.acknowledge(token);
        }
        let payload = sabotage::command(self.sabotage, message.payload.to_vec());
        self.step(Input::Command { token, payload, retained: message.retained });
    }

    /// Lets the node decide, and carries it out in the agent's order.
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
            let broken = format!("the node decides without end: wake_at is {wake_at:?} at {now:?}");
            return self.broke(broken);
        }
        self.done.decisions += 1;
        let effects = process.node.settle(now);
        process.wake_at = process.node.wake_at();
        if let Some(effects) = self.judge(effects) {
            self.perform(effects);
        }
    }

    /// Shows what the node decided to the checker; nothing where a sentence broke.
    fn judge(&mut self, effects: Effects) -> Option<Effects> {
        let process = self.process.as_ref()?;
        let seen = super::checker::Seen {
            clocks: &self.clocks,
            settings: &self.settings,
            requests: &self.requests,
            plugs: &self.plugs,
            node: &process.node,
        };
        let held = self.checker.decided(&effects, &seen);
        for event in &effects.told {
            self.done.tally.count("event", event.what.kind());
            self.note(|| format!("    tells {} {:?}", event.seq, event.what));
        }
        for (outlet, _, order) in &effects.orders {
            if *order != Order::Read {
                self.note(|| format!("    orders {outlet} {order:?}"));
            }
        }
        if let Err(broken) = held {
            self.broke(broken);
            return None;
        }
        Some(effects)
    }

    fn perform(&mut self, mut effects: Effects) {
        let mut orders = std::mem::take(&mut effects.orders);
        if self.sabotage == Some(Sabotage::OffsPaced) {
            orders = self.pace(orders);
        }
        let Some(process) = self.process.as_mut() else { return };
        if self.sabotage == Some(Sabotage::OffsBehindFlushes) && process.sequence.unstored() > 0 {
            self.held_orders.extend(orders);
        } else {
            for (outlet, number, order) in orders {
                if !self.survives() {
                    return;
                }
                self.order(&outlet, number, order);
            }
        }
        // Nine in ten decisions send a read or take its answer in: nothing of those is put in order.
        if effects.writes.is_empty() && effects.acts.is_empty() {
            return;
        }
        let hasty = sabotage::hasty(self.sabotage, &mut effects.acts);
        let Some(process) = self.process.as_mut() else { return };
        let connection = process.connection;
        let (batch, ready) = process.sequence.admit(effects, connection);
        if let Some(batch) = batch {
            self.checker.submitted(batch.number, batch.last_seq);
            self.disk.submit(batch);
            self.flush();
        }
        self.act_all(hasty.into_iter().map(|act| (connection, act)).collect());
        self.act_all(ready);
    }

    /// A careless loop paces offs like ons: each waits for 5 s after the last on.
    fn pace(&mut self, orders: Vec<(OutletId, u64, Order)>) -> Vec<(OutletId, u64, Order)> {
        let real = self.clocks.real;
        self.held_offs.extend(orders);
        let ons = self.held_offs.iter().any(|(_, _, order)| matches!(order, Order::On { .. }));
        if ons {
            self.last_on = real;
            self.queue.at(real + 5_000, Happening::Look);
        }
        let waits = real < self.last_on + 5_000;
        let now = |(_, _, order): &mut (OutletId, u64, Order)| *order != Order::Off || !waits;
        self.held_offs.extract_if(.., now).collect()
    }

    pub(super) fn flush(&mut self) {
        if let Some(takes_ms) = self.disk.begin(self.clocks.real) {
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
                for (outlet, number, order) in std::mem::take(&mut self.held_orders) {
                    self.order(&outlet, number, order);
                }
                self.act_all(ready);
                if recovered {
                    self.tell_health();
                }
            }
            Completion::Loaded { from, through, rows } => {
                self.step(Input::Loaded { from, through, rows });
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

    /// A script's attempt is over, unless it already was.
    pub(super) fn script_ends(
        &mut self,
        task: TaskId,
        attempt: u32,
        outcome: ScriptOutcome,
    ) -> bool {
        let Some(process) = self.process.as_mut() else { return false };
        if process.scripts.get(&task) != Some(&attempt) {
            return false;
        }
        process.scripts.remove(&task);
        let hopeless = matches!(outcome, ScriptOutcome::Failed { for_good: true, .. });
        let outcome = match outcome {
            ScriptOutcome::Failed { error, .. }
                if self.sabotage == Some(Sabotage::HopelessRetried) =>
            {
                ScriptOutcome::Failed { error, for_good: false }
            }
            outcome => outcome,
        };
        if hopeless {
            self.checker.hopeless(&task, attempt);
        }
        self.step(Input::Script { task, attempt, outcome });
        true
    }

    /// Whether nothing waits for the disk any more.
    pub(super) fn all_stored(&self) -> bool {
        self.process.as_ref().is_none_or(|process| process.sequence.unstored() == 0)
    }
}
