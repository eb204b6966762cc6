//! What a command is sent for, and how it is seen to be reached. No I/O and no clock: what the
//! node said comes in, and a step comes out.

pub(crate) mod node;
pub(crate) mod outlet;
pub(crate) mod power;
pub(crate) mod session;
pub(crate) mod task;

use std::time::Duration;

use edge_protocol::event::Event;
use edge_protocol::id::NodeId;
use serde_json::Value;

use crate::command::FAILED;
use crate::picture::Picture;

/// What an errand sees when something was said.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scene<'a> {
    /// The node.
    pub(crate) node: &'a NodeId,
    /// What is known of it.
    pub(crate) picture: &'a Picture,
    /// This machine's wall clock.
    pub(crate) now_ms: u64,
}

/// What to make of what was said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// It is not what is waited for.
    Wait,
    /// It is worth telling, and the waiting goes on.
    Note(String),
    /// It is to happen then, UTC, so it is waited for until after that.
    Until {
        /// When.
        at_ms: u64,
        /// What is told meanwhile.
        note: String,
    },
    /// It is so, unless something else is heard within that time.
    Unless {
        /// How long to listen.
        within: Duration,
        /// What then is so.
        done: Box<Self>,
    },
    /// The goal is reached.
    Done {
        /// For a person.
        text: String,
        /// For a machine: an object, or null.
        facts: Value,
    },
    /// It will not be reached.
    Failed {
        /// The exit code.
        code: u8,
        /// Why.
        text: String,
    },
}

impl Step {
    /// The goal is reached, and its event tells a machine all.
    pub(crate) fn done(text: impl Into<String>) -> Self {
        Self::Done { text: text.into(), facts: Value::Null }
    }

    /// The node accepted the command and then said no.
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed { code: FAILED, text: text.into() }
    }
}

/// What a command is sent for. It hears only what came after the acceptance.
pub(crate) trait Goal {
    /// What is awaited, as it stands after "waiting for".
    fn awaited(&self) -> String;

    /// The command was accepted.
    fn accepted(&mut self, _scene: &Scene<'_>) -> Step {
        Step::Wait
    }

    /// An event came; `ours` if it names the command as its cause.
    fn event(&mut self, _event: &Event, _ours: bool, _scene: &Scene<'_>) -> Step {
        Step::Wait
    }

    /// A state came that is no older than the acceptance.
    fn state(&mut self, _scene: &Scene<'_>) -> Step {
        Step::Wait
    }

    /// An event of a type that this version does not know came.
    fn strange(&mut self, _event: &Value, _scene: &Scene<'_>) -> Step {
        Step::Wait
    }
}
