//! Decides and does nothing else: the state machine that [`Node`] is.
//!
//! An [`Input`] says what happened, [`Node::step`] takes it in, and [`Node::settle`] returns the
//! [`Effects`] of all that was taken in. Nothing in here reads a clock, touches a disk or a
//! network, waits, or draws a random number that a seed did not decide: so the same node runs
//! in the agent and in a simulator. Imports of ours: `edge-protocol`, nothing else.

mod answer;
mod attempt;
mod clock;
mod ended;
pub mod explain;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod input;
mod intake;
mod outbox;
mod outlet;
mod power;
pub mod record;
mod recover;
mod schedule;
mod session;
pub mod settings;
mod task;
#[cfg(test)]
mod tests;
pub mod time;
#[cfg(any(test, fuzzing))]
mod trial;
mod voice;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use edge_protocol::event::{NodeLink, NodeStore, Space, What};
use edge_protocol::id::{OutletId, SessionId, TaskId};
use edge_protocol::presence::{OfflineReason, Status};

pub use self::answer::Rejection;
pub use self::input::{Act, Asker, Disk, Effects, Input, LocalOrder, ScriptOutcome, Token};
pub use self::outlet::{Failure, Order, Reading, Wait};
pub use self::recover::Found;
use self::settings::{OutletSettings, Settings};
use self::time::{BootMs, Now};
pub use self::voice::OutletDetail;

/// The state machine.
#[derive(Debug)]
pub struct Node {
    settings: Settings,
    now: Now,
    clock: clock::Clock,
    jitter: fastrand::Rng,
    outlets: BTreeMap<OutletId, outlet::Outlet>,
    sessions: BTreeMap<SessionId, session::Session>,
    /// Sessions whose ids can't be used again yet.
    ended: ended::Ended<SessionId, ()>,
    holds: BTreeMap<OutletId, power::Hold>,
    /// Outlets whose settings are kept on disk until they are confirmed off, even if the configuration drops them.
    kept: BTreeSet<OutletId>,
    /// Outlets that sessions let go, until they are off.
    falls: Vec<session::Fall>,
    /// Each circuit's last on, and when that was; the node's own circuit is the one without a name.
    circuits: BTreeMap<Option<String>, (OutletId, BootMs)>,
    tasks: task::Tasks,
    attempts: BTreeMap<TaskId, attempt::Attempt>,
    schedules: schedule::Schedules,
    answers: answer::Answers,
    outbox: outbox::Outbox,
    disk: Disk,
    /// Whether `node.store` last said that space is low.
    told_low: bool,
    stopping: bool,
    /// Commands that wait until the node accepts again; the broker keeps them too.
    waiting: VecDeque<intake::Arrival>,
    voice: voice::Voice,
    effects: Effects,
}

impl Node {
    /// Takes in what happened.
    pub fn step(&mut self, now: Now, input: Input) {
        self.look_at_clocks(now);
        match input {
            Input::Command { token, payload, retained } => self.receive(token, payload, retained),
            Input::Local { asker, order } => self.receive_local(asker, order),
            Input::Up { session_present } => {
                self.outbox.up();
                self.voice.connected(self.now, session_present);
                self.tell(None, What::NodeLink(NodeLink { session_present }));
            }
            Input::Down => {
                self.outbox.down();
                // The broker sends what it was not told about again.
                self.waiting.clear();
            }
            Input::Delivered { seq } => self.delivered(seq),
            Input::Refused { seq, code } => self.refused(seq, code),
            Input::Loaded { from, through, rows } => self.loaded(from, through, rows),
            Input::Outlet { outlet, number, result } => self.answered(&outlet, number, result),
            Input::Scripts(scripts) => self.tasks.scripts = scripts,
            Input::Begun { task, attempt } => self.begun(&task, attempt),
            Input::Script { task, attempt, outcome } => self.script_ended(&task, attempt, outcome),
            Input::Disk(disk) => self.disk_changed(disk),
            Input::Stop => self.stop(),
        }
    }

    /// Lets time act, and returns the effects of everything since the last call.
    pub fn settle(&mut self, now: Now) -> Effects {
        self.look_at_clocks(now);
        self.receive_waiting();
        self.give_up_orders();
        self.run_schedules();
        self.advance_sessions();
        self.advance_attempts();
        self.start_attempts();
        self.advance_power();
        self.speak();
        if !self.stopping && self.any_live() && self.now.boot >= self.clock.checkpoint_at() {
            let checkpoint = self.clock.checkpoint(false);
            self.effects.writes.push(checkpoint);
        }
        if !self.effects.writes.is_empty() || self.stopping {
            self.effects.writes.extend(self.outbox.marks());
        }
        self.effects.last_seq = self.outbox.last_seq();
        std::mem::take(&mut self.effects)
    }

    /// When [`Self::settle`] is to be called at the latest, though nothing happens.
    #[must_use]
    pub fn wake_at(&self) -> Option<BootMs> {
        let now = self.now.boot;
        let sessions = self.sessions.values();
        let sessions = sessions.filter_map(|session| session.wake_at(&self.outlets, now)).min();
        let falls = self.falls.iter();
        let falls = falls.filter_map(|fall| fall.falling().wake_at(&self.outlets, now)).min();
        let outlets = self.outlets.values().map(outlet::Outlet::wake_at).min();
        let holds = self.holds.values().filter_map(|hold| hold.until).min();
        let attempts = self.attempts.values().filter_map(attempt::Attempt::wake_at).min();
        let free = self.tasks.running_count() < self.settings.tasks.concurrency && self.accepting();
        let tasks = self.tasks.wake_at().filter(|_| free);
        let checkpoint = self.any_live().then(|| self.clock.checkpoint_at());
        let times = [
            sessions,
            falls,
            outlets,
            holds,
            attempts,
            tasks,
            self.schedules_wake_at(),
            checkpoint,
            self.clock.reckons_at(),
            self.voice.wake_at(self.outbox.connected()),
            self.outbox.wake_at(),
            self.look_again_at(),
        ];
        times.iter().flatten().min().copied()
    }

    /// The outlets that need a driver: those of the configuration, and those that a stored session still owns.
    pub fn outlets(&self) -> impl Iterator<Item = (&OutletId, &OutletSettings)> {
        self.outlets.iter().map(|(id, outlet)| (id, &outlet.settings))
    }

    /// The status that an orderly stop leaves behind, and the last will.
    #[must_use]
    pub fn offline(settings: &Settings, reason: OfflineReason) -> Vec<u8> {
        edge_protocol::codec::encode(settings.encoding, &Status::offline(reason))
    }

    fn look_at_clocks(&mut self, read: Now) {
        // Before the clocks are read: deadlines and what the wall clock is taken for move together,
        // so that a deadline keeps its name.
        if let Some(earlier_ms) = self.clock.reckon(read.boot) {
            self.correct_sessions(earlier_ms, false);
        }
        let (now, moved) = self.clock.observe(read);
        self.now = now;
        if let Some(earlier_ms) = moved.earlier_ms {
            self.correct_sessions(earlier_ms, true);
        }
        if moved.synced {
            self.voice.status_changed();
        }
        if moved.step_ms.is_some() || moved.earlier_ms.is_some() {
            self.tell_clock(moved.step_ms.unwrap_or(0));
        }
    }

    fn disk_changed(&mut self, disk: Disk) {
        // A disk that fails says nothing of its space.
        let space = match disk {
            Disk::Low if !self.told_low => Some(Space::Low),
            Disk::Ok if self.told_low => Some(Space::Ok),
            Disk::Low | Disk::Ok | Disk::Failing => None,
        };
        self.disk = disk;
        if space.is_some() {
            self.told_low = disk == Disk::Low;
            self.tell(None, What::NodeStore(NodeStore { lost: None, space }));
        }
        self.voice.status_changed();
    }

    /// Whether it takes commands, and starts tasks and schedules.
    #[must_use]
    pub fn accepting(&self) -> bool {
        let (_, bytes) = self.outbox.waiting();
        self.disk == Disk::Ok && !self.stopping && bytes < self.settings.outbox_max_bytes / 10 * 9
    }

    fn any_live(&self) -> bool {
        self.sessions.values().any(session::Session::live)
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.interrupt_attempts();
        let checkpoint = self.clock.checkpoint(true);
        self.effects.writes.push(checkpoint);
    }
}
