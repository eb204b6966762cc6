//! What a node is told, and what it wants done: the two sides of [`super::Node`].

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use edge_protocol::command::{OutletSet, Script};
use edge_protocol::event::Event;
use edge_protocol::id::{OutletId, TaskId};
use serde_json::{Map, Value};

use super::answer::Rejection;
use super::outlet::{Failure, Order, Reading};
use super::record::Write;

/// Names a command until it is acknowledged to the broker.
pub type Token = u64;

/// Names somebody on the machine itself until they have their answer.
pub type Asker = u64;

/// What somebody on the machine itself asks for: a field tech, through the running agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalOrder {
    /// A hold, as the command `outlet.set` makes one.
    Set(OutletSet),
    /// The end of a hold, whoever made it.
    Release(OutletId),
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A message came on a command topic.
    Command {
        /// For its acknowledgement.
        token: Token,
        /// The message.
        payload: Vec<u8>,
        /// It carried the retain flag.
        retained: bool,
    },
    /// Somebody on the machine itself asks for something; [`Act::Answer`] answers.
    Local {
        /// For the answer.
        asker: Asker,
        /// What they ask for.
        order: LocalOrder,
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
    /// Events came from disk, asked for by [`Act::Load`]; answers come in the order of the questions.
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
    /// The scripts that are there now, by name. Until this comes there are none.
    Scripts(BTreeSet<String>),
    /// An attempt is counted on disk, asked for by [`Act::Begin`].
    Begun {
        /// Of which task.
        task: TaskId,
        /// Which attempt.
        attempt: u32,
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
    /// The events that were decided, for whoever counts and shows them on the machine itself. They
    /// are among the writes too, and nothing is done about them here.
    pub told: Vec<Event>,
}

/// What is done once the writes before it are on disk.
#[derive(Debug, PartialEq)]
pub enum Act {
    /// Acknowledge a command to the broker.
    Acknowledge(Token),
    /// Answer somebody on the machine itself: what they asked for is on disk, or is not done.
    Answer {
        /// Whom.
        asker: Asker,
        /// Why it is not done, where it is not.
        answer: Result<(), Rejection>,
    },
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
        /// How much at most, but at least one.
        max_bytes: usize,
    },
    /// Publish the retained status.
    Status(Vec<u8>),
    /// Publish the retained state.
    State(Vec<u8>),
    /// Read the host's figures and publish them.
    Telemetry,
    /// Say so; [`Input::Begun`] answers.
    Begin {
        /// Of which task an attempt is counted.
        task: TaskId,
        /// Which attempt, from 1.
        attempt: u32,
    },
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
