//! Past events that were asked for again with `event.resend` (contract, section 4).
//!
//! What is still to be sent again survives a restart; what is out and not acknowledged is sent
//! again after the next connect.

use std::collections::{BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use edge_protocol::id::CommandId;
use serde::{Deserialize, Serialize};

/// How many of the events that are out may be old ones: half of the window, so that news goes on.
const WINDOW: usize = 8;
/// How many ranges may wait.
const MAX_WAITING: usize = 16;

/// A range that is to be sent again, both ends included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Resend {
    from: u64,
    to: u64,
    cause: CommandId,
}

impl Resend {
    /// Whether it is a range, and all of it between these.
    pub(super) fn is_within(&self, least: u64, most: u64) -> bool {
        least <= self.from && self.from <= self.to && self.to <= most
    }
}

/// Events of a resend that are not there any more.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::node) struct Gone {
    pub(in crate::node) from: u64,
    pub(in crate::node) to: u64,
    pub(in crate::node) cause: CommandId,
}

/// The ranges that wait, and what of the first of them is on its way.
#[derive(Debug, Default)]
pub(super) struct Again {
    waiting: VecDeque<Resend>,
    loading: bool,
    /// Everything of the first range up to here was read.
    read_through: Option<u64>,
    loaded: VecDeque<(u64, Vec<u8>)>,
    out: BTreeSet<u64>,
}

impl Again {
    pub(super) fn recovered(waiting: VecDeque<Resend>) -> Self {
        Self { waiting, ..Self::default() }
    }

    /// What is still to be sent again.
    pub(super) fn waiting(&self) -> &VecDeque<Resend> {
        &self.waiting
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_WAITING
    }

    pub(super) fn ask(&mut self, from: u64, to: u64, cause: CommandId) {
        self.waiting.push_back(Resend { from, to, cause });
    }

    /// How many are out.
    pub(super) fn out(&self) -> usize {
        self.out.len()
    }

    /// The link was lost: what is not acknowledged is to be sent again.
    pub(super) fn reset(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        *self = Self::recovered(waiting);
    }

    /// What is to be read from disk next, where something is.
    pub(super) fn wants(&mut self) -> Option<RangeInclusive<u64>> {
        let first = self.waiting.front()?;
        if self.loading || self.read_through.is_some() {
            return None;
        }
        self.loading = true;
        Some(first.from..=first.to)
    }

    /// Takes what was read, all there is up to `through`. Returns what is gone.
    pub(super) fn loaded(&mut self, through: u64, rows: Vec<(u64, Vec<u8>)>) -> Vec<Gone> {
        self.loading = false;
        let Some(Resend { from, to, cause }) = self.waiting.front() else { return Vec::new() };
        let (mut expected, through) = (*from, through.min(*to));
        let mut gone = Vec::new();
        let mut lacks = |from: u64, to: u64| {
            if from <= to {
                gone.push(Gone { from, to, cause: cause.clone() });
            }
        };
        for (seq, _) in &rows {
            lacks(expected, seq - 1);
            expected = seq + 1;
        }
        lacks(expected, through);
        self.loaded = rows.into();
        self.read_through = Some(through);
        self.progress();
        gone
    }

    /// The next that may go out.
    pub(super) fn next(&mut self) -> Option<(u64, Vec<u8>)> {
        if self.out.len() >= WINDOW {
            return None;
        }
        let (seq, payload) = self.loaded.pop_front()?;
        self.out.insert(seq);
        Some((seq, payload))
    }

    /// The broker took one of them, or never will. Returns the command that asked for it.
    pub(super) fn done(&mut self, seq: u64) -> Option<CommandId> {
        if !self.out.remove(&seq) {
            return None;
        }
        let cause = self.waiting.front().map(|first| first.cause.clone());
        self.progress();
        cause
    }

    /// Moves the first range up to what is not done yet.
    fn progress(&mut self) {
        let (Some(through), Some(first)) = (self.read_through, self.waiting.front_mut()) else {
            return;
        };
        let next = self.loaded.front().map(|(seq, _)| *seq);
        let undone = self.out.first().copied().into_iter().chain(next).min();
        first.from = undone.unwrap_or(through + 1);
        if undone.is_none() {
            self.read_through = None;
        }
        if first.from > first.to {
            self.waiting.pop_front();
        }
    }
}
