//! What will happen, in the order of time; what happens at the same moment, in the order in which it was decided.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use edge_agent::node::{Failure, Reading, ScriptOutcome};
use edge_protocol::id::TaskId;

/// Something that happens. Outlets are named by their place among the plugs.
#[derive(Debug, Clone)]
pub(super) enum Happening {
    /// The disk is done with a flush of this run of the process.
    Flushed { run: u64 },
    /// An order reaches its plug.
    Reached { plug: usize, serial: u64 },
    /// A plug's own timer runs out.
    LeaseOver { plug: usize },
    /// A plug notices that too much hangs on it.
    Overloaded { plug: usize },
    /// A driver has an answer.
    Answered { run: u64, plug: usize, serial: u64, result: Result<Reading, Failure> },
    /// An attempt is counted on disk.
    Begun { run: u64, task: TaskId, attempt: u32 },
    /// A script ends.
    ScriptEnds { run: u64, task: TaskId, attempt: u32, outcome: ScriptOutcome },
    /// The process is started.
    Start,
    /// The process connects to the broker.
    Connect { run: u64 },
    /// The process notices that a connection is gone.
    Noticed { run: u64, connection: u64 },
    /// A command reaches the process.
    Command { connection: u64, delivery: u64 },
    /// The broker's acknowledgement of an event reaches the process.
    Delivered { connection: u64, seq: u64, refused: Option<u8> },
    /// An event reaches the broker.
    Published { connection: u64, seq: u64, payload: Vec<u8> },
    /// The process's acknowledgement of a command reaches the broker.
    Acknowledged { connection: u64, delivery: u64 },
    /// The control plane looks whether anything of its own was lost or is still open.
    Tidy { again: bool },
    /// A plug behaves again.
    Behaves { plug: usize, since: u64 },
    /// The wall clock is set right.
    Synced { boot: u32 },
    /// The disk takes writes again.
    DiskHeals,
    /// Nothing, but time is looked at.
    Look,
}

impl Happening {
    /// Whether it is aimed at the process, and waits while that is asleep.
    pub(super) fn is_aimed(&self) -> bool {
        matches!(
            self,
            Self::Flushed { .. }
                | Self::Answered { .. }
                | Self::Begun { .. }
                | Self::ScriptEnds { .. }
                | Self::Connect { .. }
                | Self::Noticed { .. }
                | Self::Command { .. }
                | Self::Delivered { .. }
                | Self::DiskHeals
        )
    }
}

/// When something happens; then which was decided first; and where it is kept.
type Turn = Reverse<(u64, u64, usize)>;

/// Turns are what the heap moves about: happenings are large, and stay where they are.
#[derive(Debug, Default)]
pub(super) struct Queue {
    turns: BinaryHeap<Turn>,
    kept: Vec<Option<Happening>>,
    free: Vec<usize>,
    next: u64,
}

impl Queue {
    pub(super) fn at(&mut self, when: u64, happening: Happening) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.kept.push(None);
            self.kept.len() - 1
        });
        self.kept[place] = Some(happening);
        self.turns.push(Reverse((when, self.next, place)));
        self.next += 1;
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.turns.peek().map(|Reverse((when, ..))| *when)
    }

    pub(super) fn pop(&mut self) -> Option<Happening> {
        let Reverse((_, _, place)) = self.turns.pop()?;
        self.free.push(place);
        self.kept[place].take()
    }
}
