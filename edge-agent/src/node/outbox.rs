//! The durable queue of events that the broker has not acknowledged, and the history behind it
//! (contract, section 5). It decides which event goes out next; the bytes are on disk, and only
//! what was just written or is about to go is in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::record::{self, Kind, Write};

/// Events that are out and not acknowledged: below the 20 that a broker usually grants, so that
/// status and state always find room.
const WINDOW: u64 = 16;
/// How many of those may be old events that were asked for again.
const RESEND_WINDOW: u64 = 8;
/// What of the outbox is kept in memory for the way out.
const CACHE_BYTES: usize = 512 * 1024;
/// How much is read from disk at once.
const LOAD_BYTES: usize = 256 * 1024;
/// Acknowledged events that can be asked for again: so many bytes,
const HISTORY_BYTES: u64 = 16 * 1024 * 1024;
/// and for so long.
const HISTORY_MS: u64 = 7 * 24 * 3_600_000;
/// Acknowledged events are forgotten in groups of so many.
const SEGMENT: u64 = 256;

/// What the outbox asks of the world.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Publish { seq: u64, payload: Vec<u8> },
    Load { seqs: RangeInclusive<u64>, max_bytes: usize },
}

/// What of the outbox survives beside the events themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marks {
    /// Every event up to this one was acknowledged.
    acked: u64,
    /// The highest number given.
    last: u64,
    /// What was asked for again and has not gone out yet.
    resends: VecDeque<(u64, u64)>,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    bytes: u32,
    /// Kept for `event.resend` after its acknowledgement.
    kept: bool,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    first: u64,
    last: u64,
    bytes: u64,
    acked_at_ms: u64,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    marks: Marks,
    marks_changed: bool,
    pending: BTreeMap<u64, Pending>,
    pending_bytes: u64,
    cache: BTreeMap<u64, Vec<u8>>,
    cache_bytes: usize,
    history: VecDeque<Segment>,
    history_bytes: u64,
    connected: bool,
    /// The highest that went out over this connection.
    sent: u64,
    out: BTreeSet<u64>,
    loading: bool,
    resending: BTreeSet<u64>,
    /// The range asked for again that is being read or is out; it counts as done once all of it is delivered.
    resend_range: Option<(u64, u64)>,
    resend_loading: bool,
    /// The broker refuses what we publish, for this reason: the queue is held until the next connection.
    held: Option<u8>,
}

impl Outbox {
    /// The outbox of a store that holds `events` (number and size) and `marks`.
    pub(super) fn recovered(marks: Marks, events: &[(u64, u32)], running_ms: u64) -> Self {
        let mut outbox = Self { marks, ..Self::default() };
        for &(seq, bytes) in events {
            outbox.marks.last = outbox.marks.last.max(seq);
            if seq <= outbox.marks.acked {
                outbox.remember(seq, bytes, running_ms);
            } else {
                outbox.pending.insert(seq, Pending { bytes, kept: true });
                outbox.pending_bytes += u64::from(bytes);
            }
        }
        outbox
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.marks.last
    }

    pub(super) fn acked(&self) -> u64 {
        self.marks.acked
    }

    pub(super) fn waiting(&self) -> (u64, u64) {
        (self.pending.len() as u64, self.pending_bytes)
    }

    pub(super) fn held(&self) -> Option<u8> {
        self.held
    }

    pub(super) fn connected(&self) -> bool {
        self.connected
    }

    /// The number of the next event.
    pub(super) fn next_seq(&self) -> u64 {
        self.marks.last + 1
    }

    /// Takes an event; `kept` ones can be asked for again after their acknowledgement.
    pub(super) fn push(&mut self, seq: u64, payload: Vec<u8>, kept: bool) -> Write {
        self.marks.last = seq;
        self.marks_changed = true;
        self.set(seq, payload, kept)
    }

    fn set(&mut self, seq: u64, payload: Vec<u8>, kept: bool) -> Write {
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        if let Some(old) = self.pending.insert(seq, Pending { bytes, kept }) {
            self.pending_bytes -= u64::from(old.bytes);
        }
        self.pending_bytes += u64::from(bytes);
        let write = Write::Put { key: Kind::Event.key(seq.to_be_bytes()), value: payload.clone() };
        self.cache(seq, payload);
        write
    }

    fn cache(&mut self, seq: u64, payload: Vec<u8>) {
        self.uncache(seq);
        // What goes out sooner is worth more.
        while self.cache_bytes + payload.len() > CACHE_BYTES {
            match self.cache.last_key_value() {
                Some((&last, _)) if last > seq => self.uncache(last),
                _ => return,
            };
        }
        self.cache_bytes += payload.len();
        self.cache.insert(seq, payload);
    }

    fn uncache(&mut self, seq: u64) -> Option<Vec<u8>> {
        let payload = self.cache.remove(&seq)?;
        self.cache_bytes -= payload.len();
        Some(payload)
    }

    /// Asks for past events again. What was not acknowledged yet goes out anyway.
    pub(super) fn resend(&mut self, from: u64, to: u64) {
        let to = to.min(self.marks.acked);
        if from <= to {
            self.marks.resends.push_back((from, to));
            self.marks_changed = true;
        }
    }

    pub(super) fn up(&mut self) {
        self.connected = true;
        self.sent = self.marks.acked;
        self.out.clear();
        self.resending.clear();
        self.resend_range = None;
        self.held = None;
    }

    pub(super) fn down(&mut self) {
        self.connected = false;
    }

    /// The broker acknowledged `seq`. Returns what can be deleted.
    pub(super) fn delivered(&mut self, seq: u64, running_ms: u64) -> Vec<Write> {
        if self.resending.remove(&seq) {
            self.resent();
        }
        let mut deletes = Vec::new();
        if seq > self.marks.acked && self.pending.contains_key(&seq) {
            self.out.insert(seq);
        }
        while let Some((&seq, &Pending { bytes, kept })) = self.pending.first_key_value() {
            if !self.out.remove(&seq) {
                break;
            }
            self.pending.remove(&seq);
            self.pending_bytes -= u64::from(bytes);
            self.uncache(seq);
            self.marks.acked = seq;
            self.marks_changed = true;
            if kept {
                self.remember(seq, bytes, running_ms);
            } else {
                deletes.push(record::delete(Kind::Event, seq.to_be_bytes()));
            }
        }
        deletes.extend(self.forget(running_ms));
        deletes
    }

    /// The broker will not take `seq` as it is: another payload goes out under its number.
    pub(super) fn replace(&mut self, seq: u64, payload: Vec<u8>) -> Option<Write> {
        self.resending.remove(&seq);
        if !self.pending.contains_key(&seq) {
            return None;
        }
        self.sent = self.sent.min(seq - 1);
        Some(self.set(seq, payload, false))
    }

    /// The broker refuses what this node publishes: nothing more goes out over this connection.
    pub(super) fn hold(&mut self, code: u8) {
        self.held = Some(code);
    }

    fn remember(&mut self, seq: u64, bytes: u32, running_ms: u64) {
        let bytes = u64::from(bytes);
        self.history_bytes += bytes;
        match self.history.back_mut() {
            Some(segment) if seq - segment.first < SEGMENT => {
                segment.last = seq;
                segment.bytes += bytes;
                segment.acked_at_ms = running_ms;
            }
            _ => self.history.push_back(Segment {
                first: seq,
                last: seq,
                bytes,
                acked_at_ms: running_ms,
            }),
        }
    }

    fn forget(&mut self, running_ms: u64) -> Vec<Write> {
        let mut deletes = Vec::new();
        while let Some(segment) = self.history.front() {
            let old = running_ms.saturating_sub(segment.acked_at_ms) > HISTORY_MS;
            if self.history_bytes <= HISTORY_BYTES && !old {
                break;
            }
            deletes.extend(
                (segment.first..=segment.last)
                    .map(|seq| record::delete(Kind::Event, seq.to_be_bytes())),
            );
            self.history_bytes -= segment.bytes;
            self.history.pop_front();
        }
        deletes
    }

    /// Rows came from disk that were asked for by [`Wish::Load`]. Returns the ranges that are gone:
    /// those that were wanted again, and those that should never have been.
    pub(super) fn loaded(
        &mut self,
        from: u64,
        through: u64,
        rows: Vec<(u64, Vec<u8>)>,
        wishes: &mut Vec<Wish>,
    ) -> Vec<(u64, u64)> {
        if self.resend_loading && self.resend_range.is_none_or(|(first, _)| first == from) {
            self.resend_loading = false;
            return self.loaded_again(through, rows, wishes);
        }
        self.loading = false;
        let found: BTreeSet<u64> = rows.iter().map(|(seq, _)| *seq).collect();
        for (seq, payload) in rows {
            if seq > self.sent && self.pending.contains_key(&seq) && !self.cache.contains_key(&seq)
            {
                self.cache(seq, payload);
            }
        }
        let lost = |seq: &u64| !found.contains(seq) && !self.cache.contains_key(seq);
        let wanted = self.pending.range((self.sent + 1).max(from)..=through.max(self.sent + 1));
        wanted.map(|(seq, _)| *seq).filter(lost).map(|seq| (seq, seq)).collect()
    }

    fn loaded_again(
        &mut self,
        through: u64,
        rows: Vec<(u64, Vec<u8>)>,
        wishes: &mut Vec<Wish>,
    ) -> Vec<(u64, u64)> {
        let Some((first, last)) = self.resend_range.as_mut() else { return Vec::new() };
        *last = through.min(*last);
        let (mut expected, last) = (*first, *last);
        let mut gone = Vec::new();
        for (seq, payload) in rows {
            if seq > expected {
                gone.push((expected, seq - 1));
            }
            expected = seq + 1;
            self.resending.insert(seq);
            wishes.push(Wish::Publish { seq, payload });
        }
        if expected <= last {
            gone.push((expected, last));
        }
        self.resent();
        gone
    }

    /// Counts the range asked for again as done, once nothing of it is out.
    fn resent(&mut self) {
        let Some((_, last)) = self.resend_range.filter(|_| self.resending.is_empty()) else {
            return;
        };
        self.resend_range = None;
        if let Some(front) = self.marks.resends.front_mut() {
            front.0 = last + 1;
            if front.0 > front.1 {
                self.marks.resends.pop_front();
            }
            self.marks_changed = true;
        }
    }

    /// What goes out next.
    pub(super) fn advance(&mut self, wishes: &mut Vec<Wish>) {
        if !self.connected || self.held.is_some() {
            return;
        }
        if let Some(&(first, last)) = self.marks.resends.front()
            && self.resend_range.is_none()
            && !self.resend_loading
        {
            let last = last.min(first + RESEND_WINDOW - 1);
            self.resend_range = Some((first, last));
            self.resend_loading = true;
            wishes.push(Wish::Load { seqs: first..=last, max_bytes: LOAD_BYTES });
        }
        while let Some((&seq, _)) = self.pending.range(self.sent + 1..).next() {
            if seq > self.marks.acked + WINDOW - self.resending.len() as u64 {
                break;
            }
            let Some(payload) = self.uncache(seq) else {
                if !self.loading {
                    self.loading = true;
                    let seqs = seq..=self.marks.acked + WINDOW;
                    wishes.push(Wish::Load { seqs, max_bytes: LOAD_BYTES });
                }
                break;
            };
            self.sent = seq;
            wishes.push(Wish::Publish { seq, payload });
        }
    }

    /// The marks, to go along with other writes: they cost no flush of their own.
    pub(super) fn marks(&mut self) -> Option<Write> {
        std::mem::take(&mut self.marks_changed)
            .then(|| record::put(Kind::Node, record::OUTBOX, &self.marks))
    }
}
