//! Decides and does nothing else: the state machine that [`Node`] is.
//!
//! An [`Input`] says what happened, [`Node::step`] takes it in, and [`Node::settle`] returns the
//! [`Effects`] of all that was taken in. Nothing in here reads a clock, touches a disk or a
//! network, waits, or draws a random number that a seed did not decide: so the same node runs
//! in the agent and in a simulator. Imports of ours: `edge-protocol`, nothing else.

mod answer;
mod attempt;
mod clock;
mod intake;
mod outbox;
mod outlet;
mod power;
pub mod record;
mod recover;
mod session;
pub mod settings;
mod task;
#[cfg(test)]
mod tests;
pub mod time;
mod voice;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use edge_protocol::codec::{Received, Unreadable};
use edge_protocol::command::Script;
use edge_protocol::event::{NodeLink, NodeStore, Space, What};
use edge_protocol::id::{OutletId, SessionId, TaskId};
use edge_protocol::presence::{OfflineReason, Status};
use serde_json::{Map, Value};

pub use self::outlet::{Failure, Order, Reading};
use self::record::Write;
pub use self::recover::Found;
use self::settings::{OutletSettings, Settings};
use self::time::{BootMs, Now};

/// Names a command until it is acknowledged to the broker.
pub type Token = u64;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A message came on a command topic.
    Command {
        /// For its acknowledgement.
        token: Token,
        /// The message, as far as it could be read.
        received: Result<Received, Unreadable>,
        /// It carried the retain flag.
        retained: bool,
    },
    /// The broker took us in.
    Up {
        /// It still knew us.
        session_present: bool,
    },
    /// The link is gone.
    Down,
    /// The broker acknowledged an event.
    Delivered {
        /// Which.
        seq: u64,
    },
    /// The broker refused an event.
    Refused {
        /// Which.
        seq: u64,
        /// MQTT 5 reason code, 0x80 and above.
        code: u8,
    },
    /// Events came from disk, asked for by [`Act::Load`].
    Loaded {
        /// The first that was asked for.
        from: u64,
        /// The last that was looked for.
        through: u64,
        /// Those that were there, in order.
        rows: Vec<(u64, Vec<u8>)>,
    },
    /// A driver answered an order.
    Outlet {
        /// Which outlet.
        outlet: OutletId,
        /// Which order.
        number: u64,
        /// What it found.
        result: Result<Reading, Failure>,
    },
    /// A script's attempt is over.
    Script {
        /// Of which task.
        task: TaskId,
        /// Which attempt.
        attempt: u32,
        /// How it ended.
        outcome: ScriptOutcome,
    },
    /// The store's health changed.
    Disk(Disk),
    /// The agent is to stop in order; the effects of this are its last.
    Stop,
}

/// How a script's attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ScriptOutcome {
    /// Exit 0.
    Succeeded(Option<Map<String, Value>>),
    /// Any other way.
    Failed {
        /// What went wrong.
        error: String,
        /// No retry can help.
        for_good: bool,
    },
    /// It was stopped because it was asked to.
    Stopped,
}

/// The store's health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// It takes what it is given.
    Ok,
    /// Space is low.
    Low,
    /// A write failed and is tried again.
    Failing,
}

/// What is to be done, in this order: orders at once, writes as one batch, acts once it is on disk.
#[derive(Debug, Default)]
pub struct Effects {
    /// What drivers are told, with the order's number. An off never waits for the disk; an on may
    /// run beside it, since recovery sets what nothing covers back to its rest.
    pub orders: Vec<(OutletId, u64, Order)>,
    /// What is written, all or nothing.
    pub writes: Vec<Write>,
    /// The highest event number that the writes make durable.
    pub last_seq: u64,
    /// What waits for the writes.
    pub acts: Vec<Act>,
}

/// What is done once the writes before it are on disk.
#[derive(Debug, PartialEq)]
pub enum Act {
    /// Acknowledge a command to the broker.
    Acknowledge(Token),
    /// Publish an event.
    Publish {
        /// Its number.
        seq: u64,
        /// Its bytes.
        payload: Vec<u8>,
    },
    /// Read events from disk; [`Input::Loaded`] answers.
    Load {
        /// Which.
        seqs: RangeInclusive<u64>,
        /// How much at most.
        max_bytes: usize,
    },
    /// Publish the retained status.
    Status(Vec<u8>),
    /// Publish the retained state.
    State(Vec<u8>),
    /// Read the host's figures and publish them.
    Telemetry,
    /// Start a script's attempt; [`Input::Script`] answers.
    Run {
        /// Of which task.
        task: TaskId,
        /// Which attempt, from 1.
        attempt: u32,
        /// What to run.
        script: Script,
        /// For how long at most.
        timeout_ms: u64,
    },
    /// Stop a script's attempt; [`Input::Script`] answers.
    Kill {
        /// Of which task.
        task: TaskId,
    },
}

/// The state machine.
#[derive(Debug)]
pub struct Node {
    settings: Settings,
    now: Now,
    clock: clock::Clock,
    jitter: fastrand::Rng,
    outlets: BTreeMap<OutletId, outlet::Outlet>,
    sessions: BTreeMap<SessionId, session::Session>,
    /// Sessions whose ids can't be used again yet, oldest first, by running time.
    ended: VecDeque<(u64, SessionId)>,
    holds: BTreeMap<OutletId, power::Hold>,
    /// Outlets whose settings are kept on disk until they are confirmed off, even if the configuration drops them.
    kept: BTreeSet<OutletId>,
    /// Outlets that sessions let go, until they are off.
    falls: Vec<session::Fall>,
    tasks: task::Tasks,
    attempts: BTreeMap<TaskId, attempt::Attempt>,
    answers: answer::Answers,
    outbox: outbox::Outbox,
    disk: Disk,
    stopping: bool,
    /// Commands that wait until the node accepts again; the broker keeps them too.
    waiting: VecDeque<(Token, Result<Received, Unreadable>, bool)>,
    voice: voice::Voice,
    effects: Effects,
}

impl Node {
    /// Takes in what happened.
    pub fn step(&mut self, now: Now, input: Input) {
        self.look_at_clocks(now);
        match input {
            Input::Command { token, received, retained } => self.receive(token, received, retained),
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
            Input::Delivered { seq } => {
                let deletes = self.outbox.delivered(seq, self.clock.running_ms());
                self.effects.writes.extend(deletes);
            }
            Input::Refused { seq, code } => self.refused(seq, code),
            Input::Loaded { from, through, rows } => self.loaded(from, through, rows),
            Input::Outlet { outlet, number, result } => self.answered(&outlet, number, result),
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
        let sessions = sessions.filter_map(|session| session.wake_at(&self.outlets, now));
        let falls = self.falls.iter().filter_map(|fall| fall.wake_at(&self.outlets, now));
        let outlets = self.outlets.values().map(outlet::Outlet::wake_at);
        let holds = self.holds.values().filter_map(|hold| hold.until);
        let attempts = self.attempts.values().filter_map(attempt::Attempt::wake_at);
        let free = self.tasks.running_count() < self.settings.tasks.concurrency && self.accepting();
        let tasks = self.tasks.wake_at().filter(|_| free);
        let checkpoint = self.any_live().then(|| self.clock.checkpoint_at());
        let voice = self.voice.wake_at(self.outbox.connected());
        sessions
            .chain(falls)
            .chain(outlets)
            .chain(holds)
            .chain(attempts)
            .chain(tasks)
            .chain(checkpoint)
            .chain(voice)
            .min()
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
        let space = match (self.disk, disk) {
            (Disk::Low, Disk::Ok) => Some(Space::Ok),
            (Disk::Ok | Disk::Failing, Disk::Low) => Some(Space::Low),
            (Disk::Ok | Disk::Low | Disk::Failing, _) => None,
        };
        self.disk = disk;
        if space.is_some() {
            self.tell(None, What::NodeStore(NodeStore { lost: None, space }));
        }
        self.voice.status_changed();
    }

    /// Whether it takes commands and starts tasks.
    fn accepting(&self) -> bool {
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
