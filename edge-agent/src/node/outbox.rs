//! The durable queue of events that the broker has not acknowledged, and the history behind it
//! (contract, section 5). It decides which event goes out next; the bytes are on disk, and only
//! what was just written or is about to go is in memory.
//!
//! What the broker acknowledged costs no flush: the marks and the deletes go along with whatever
//! is written next, and a crash before that only sends something twice.

mod again;
mod cache;
mod history;
mod hold;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use edge_protocol::id::CommandId;
use serde::{Deserialize, Serialize};

pub(super) use self::again::Gone;
use self::again::{Again, Resend};
use self::cache::Cache;
use self::history::History;
use self::hold::Hold;
use super::record::{self, Kind, Write};
use super::time::BootMs;

/// Events that are out and not acknowledged: below the 20 that a broker usually grants, so that
/// status and state always find room.
const WINDOW: usize = 16;
/// How much is read from disk at once.
const LOAD_BYTES: usize = 256 * 1024;
/// How many events are deleted along with one batch: a long backlog's end must not stall it.
const DELETES_AT_ONCE: usize = 1_024;
/// No node comes this far: a thousand events a second reach it in 285,000 years, and every reader
/// of JSON can still count there. A number beyond it on disk is damage.
const MAX_SEQ: u64 = 1 << 53;
/// The broker will never take these: payload format invalid, packet too large.
const HOPELESS: [u8; 2] = [0x99, 0x95];

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
    resends: VecDeque<Resend>,
}

impl Marks {
    /// Whether an outbox can have left them.
    pub(super) fn are_sound(&self) -> bool {
        let resends = self.resends.iter().all(|resend| resend.is_within(1, MAX_SEQ));
        self.acked <= self.last && self.last <= MAX_SEQ && resends
    }
}

/// Whether an event can have this number.
pub(super) fn is_number(seq: u64) -> bool {
    (1..=MAX_SEQ).contains(&seq)
}

/// An event that waits for its acknowledgement.
#[derive(Debug, Clone, Copy)]
struct Pending {
    bytes: u32,
    /// Kept for `event.resend` after its acknowledgement.
    kept: bool,
    /// It stands for one that could not be delivered.
    replaced: bool,
}

/// Events that are read from disk; answers come in the order of the questions.
#[derive(Debug)]
enum Load {
    Queue,
    Again,
    /// What was to become of it has changed meanwhile.
    Stale,
}

/// What a refusal leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The event must be replaced under its number.
    Replace,
    /// It had been asked for again, by this command.
    Again(CommandId),
    /// The queue is held.
    Held,
    /// Nobody waits for it.
    Nothing,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    acked: u64,
    last: u64,
    marks_changed: bool,
    pending: BTreeMap<u64, Pending>,
    pending_bytes: u64,
    cache: Cache,
    history: History,
    /// What the broker took and nobody can ask for again, still on disk: first and last.
    forgotten: VecDeque<(u64, u64)>,
    /// What should wait and was not on disk at the start: first and last.
    missing: Vec<(u64, u64)>,
    again: Again,
    loads: VecDeque<Load>,
    connected: bool,
    /// The highest that went out over this connection.
    sent: u64,
    /// Acknowledged before one below them was.
    early: BTreeSet<u64>,
    hold: Hold,
}

impl Outbox {
    /// The outbox of a store that holds `events` (number and size, ascending) and `marks`, both sound.
    pub(super) fn recovered(marks: Marks, events: &[(u64, u32)], running_ms: u64) -> Self {
        let Marks { mut acked, last, resends } = marks;
        if let Some(&(first, _)) = events.first()
            && last == 0
        {
            // The marks are gone: what is there is sent again.
            acked = first - 1;
        }
        let highest = events.last().map_or(0, |(seq, _)| *seq);
        let mut outbox = Self {
            acked,
            last: last.max(highest).max(acked),
            again: Again::recovered(resends),
            ..Self::default()
        };
        let mut expected = acked + 1;
        for &(seq, bytes) in events {
            if seq <= acked {
                outbox.history.remember(seq, bytes, running_ms);
                continue;
            }
            outbox.misses(expected, seq - 1);
            expected = seq + 1;
            outbox.insert(seq, Pending { bytes, kept: true, replaced: false });
        }
        outbox.misses(expected, outbox.last);
        outbox
    }

    fn misses(&mut self, from: u64, to: u64) {
        if from <= to {
            self.missing.push((from, to));
        }
    }

    /// Which numbers a start found no event for, as ranges: each is to be replaced.
    pub(super) fn take_missing(&mut self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.missing)
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.last
    }

    /// How many events wait, and their bytes.
    pub(super) fn waiting(&self) -> (u64, u64) {
        (self.pending.len() as u64, self.pending_bytes)
    }

    /// Why the broker refuses what we publish, where it does.
    pub(super) fn held(&self) -> Option<u8> {
        self.hold.code()
    }

    pub(super) fn connected(&self) -> bool {
        self.connected
    }

    /// When a held queue is tried again.
    pub(super) fn wake_at(&self) -> Option<BootMs> {
        self.hold.until().filter(|_| self.connected)
    }

    /// The number of the next event.
    pub(super) fn next_seq(&self) -> u64 {
        self.last + 1
    }

    /// Takes the next event; `kept` ones can be asked for again after their acknowledgement.
    pub(super) fn push(&mut self, seq: u64, payload: Vec<u8>, kept: bool) -> Write {
        self.last = seq;
        self.marks_changed = true;
        self.set(seq, payload, kept, false)
    }

    /// Puts another payload under the number `from`, in place of all up to `to`.
    pub(super) fn replace(&mut self, from: u64, to: u64, payload: Vec<u8>) -> Write {
        for (_, pending) in self.pending.extract_if(from..=to, |_, _| true) {
            self.pending_bytes -= u64::from(pending.bytes);
        }
        self.sent = self.sent.min(from - 1);
        self.loads.iter_mut().for_each(|load| *load = load.but_of_queue());
        self.set(from, payload, false, true)
    }

    fn set(&mut self, seq: u64, payload: Vec<u8>, kept: bool, replaced: bool) -> Write {
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.insert(seq, Pending { bytes, kept, replaced });
        let write = Write::Put { key: Kind::Event.key(seq.to_be_bytes()), value: payload.clone() };
        self.cache.insert(seq, payload);
        write
    }

    fn insert(&mut self, seq: u64, pending: Pending) {
        self.pending_bytes += u64::from(pending.bytes);
        self.pending.insert(seq, pending);
    }

    /// Whether one more range can be asked for again.
    pub(super) fn takes_resend(&self) -> bool {
        !self.again.is_full()
    }

    /// Sends past events again. What was not acknowledged yet goes out anyway.
    pub(super) fn resend(&mut self, from: u64, to: u64, cause: CommandId) {
        let to = to.min(self.acked);
        if from <= to {
            self.again.ask(from, to, cause);
            self.marks_changed = true;
        }
    }

    pub(super) fn up(&mut self) {
        self.connected = true;
        self.hold = Hold::default();
        self.go_back();
    }

    pub(super) fn down(&mut self) {
        self.connected = false;
    }

    /// Everything that is not acknowledged is to go out again, from the first on.
    fn go_back(&mut self) {
        self.again.reset();
        self.loads.iter_mut().for_each(|load| *load = Load::Stale);
        self.sent = self.acked;
        self.early.clear();
    }

    /// The broker acknowledged `seq`.
    pub(super) fn delivered(&mut self, seq: u64, running_ms: u64) {
        self.hold.delivered();
        if self.again.done(seq).is_some() {
            self.marks_changed = true;
        }
        if self.pending.contains_key(&seq) {
            self.early.insert(seq);
        }
        while let Some(first) = self.pending.first_entry()
            && self.early.remove(first.key())
        {
            let (seq, Pending { bytes, kept, .. }) = first.remove_entry();
            self.pending_bytes -= u64::from(bytes);
            self.cache.take(seq);
            self.acked = seq;
            self.marks_changed = true;
            if kept {
                self.history.remember(seq, bytes, running_ms);
            } else {
                self.forgotten.push_back((seq, seq));
            }
        }
        while let Some(range) = self.history.forget(running_ms) {
            self.forgotten.push_back(range);
        }
    }

    /// The broker will not take `seq`.
    pub(super) fn refused(&mut self, seq: u64, code: u8, now: BootMs) -> Refusal {
        let hopeless = HOPELESS.contains(&code);
        if hopeless && let Some(cause) = self.again.done(seq) {
            self.marks_changed = true;
            return Refusal::Again(cause);
        }
        match self.pending.get(&seq) {
            Some(pending) if hopeless && !pending.replaced => Refusal::Replace,
            None if hopeless => Refusal::Nothing,
            Some(_) | None => {
                self.hold.refused(code, now);
                Refusal::Held
            }
        }
    }

    /// Events came from disk: those up to `through` that were asked for by the oldest
    /// [`Wish::Load`]. Returns which of the waiting are not there, and which that were wanted again.
    pub(super) fn loaded(
        &mut self,
        from: u64,
        through: u64,
        rows: Vec<(u64, Vec<u8>)>,
    ) -> (Vec<(u64, u64)>, Vec<Gone>) {
        match self.loads.pop_front() {
            Some(Load::Again) => (Vec::new(), self.loaded_again(through, rows)),
            Some(Load::Queue) => (self.loaded_queue(from, through, rows), Vec::new()),
            Some(Load::Stale) | None => (Vec::new(), Vec::new()),
        }
    }

    fn loaded_again(&mut self, through: u64, rows: Vec<(u64, Vec<u8>)>) -> Vec<Gone> {
        self.marks_changed = true;
        self.again.loaded(through, rows)
    }

    fn loaded_queue(
        &mut self,
        from: u64,
        through: u64,
        rows: Vec<(u64, Vec<u8>)>,
    ) -> Vec<(u64, u64)> {
        let found: BTreeSet<u64> = rows.iter().map(|(seq, _)| *seq).collect();
        for (seq, payload) in rows {
            let wanted = seq > self.sent && self.pending.contains_key(&seq);
            if wanted && !self.cache.contains(seq) {
                self.cache.insert(seq, payload);
            }
        }
        let mut lost: Vec<(u64, u64)> = Vec::new();
        let asked = self.pending.range(from.max(self.sent + 1)..).map(|(&seq, _)| seq);
        for seq in asked.take_while(|seq| *seq <= through) {
            if found.contains(&seq) || self.cache.contains(seq) {
                continue;
            }
            match lost.last_mut() {
                Some((_, to)) if *to + 1 == seq => *to = seq,
                Some(_) | None => lost.push((seq, seq)),
            }
        }
        lost
    }

    /// What goes out next.
    pub(super) fn advance(&mut self, now: BootMs) -> Vec<Wish> {
        let mut wishes = Vec::new();
        if self.hold.is_over(now) {
            self.go_back();
        }
        if !self.connected || self.hold.until().is_some() {
            return wishes;
        }
        if let Some(seqs) = self.again.wants() {
            self.loads.push_back(Load::Again);
            wishes.push(Wish::Load { seqs, max_bytes: LOAD_BYTES });
        }
        let mut out = self.pending.range(..=self.sent).count() + self.again.out();
        while out < WINDOW
            && let Some((seq, payload)) = self.again.next()
        {
            wishes.push(Wish::Publish { seq, payload });
            out += 1;
        }
        while out < WINDOW
            && let Some((&seq, _)) = self.pending.range(self.sent + 1..).next()
        {
            let Some(payload) = self.cache.take(seq) else {
                if !self.loads.iter().any(|load| matches!(load, Load::Queue)) {
                    self.loads.push_back(Load::Queue);
                    wishes.push(Wish::Load { seqs: seq..=self.last, max_bytes: LOAD_BYTES });
                }
                break;
            };
            self.sent = seq;
            wishes.push(Wish::Publish { seq, payload });
            out += 1;
        }
        wishes
    }

    /// What goes along with other writes, since it is worth no flush of its own.
    pub(super) fn marks(&mut self) -> Vec<Write> {
        let mut writes = Vec::new();
        if std::mem::take(&mut self.marks_changed) {
            let Self { acked, last, .. } = *self;
            let marks = Marks { acked, last, resends: self.again.waiting().clone() };
            writes.push(record::put(Kind::Node, record::OUTBOX, &marks));
        }
        while writes.len() < DELETES_AT_ONCE
            && let Some((first, last)) = self.forgotten.pop_front()
        {
            let delete = |seq: u64| record::delete(Kind::Event, seq.to_be_bytes());
            writes.extend((first..=last).map(delete));
        }
        writes
    }
}

impl Load {
    fn but_of_queue(&self) -> Self {
        match self {
            Self::Again => Self::Again,
            Self::Queue | Self::Stale => Self::Stale,
        }
    }
}

#[cfg(test)]
mod tests;
