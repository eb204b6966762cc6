//! Schedules: which command is to run at which occurrence, and what becomes of those that could not
//! be run in time (contract, section 4).
//!
//! It only says which occurrence is due; [`super::intake`] runs it. Nothing here waits: a look
//! compares the wall clock with each schedule's next occurrence, so that a look too many, too early
//! or too late harms nothing.

mod ran;
mod timing;

use std::collections::BTreeMap;

use edge_protocol::command::{Missed, Request, SchedulePut};
use edge_protocol::id::{CommandId, ScheduleId};
use edge_protocol::presence::ScheduleState;
use serde::{Deserialize, Serialize};

use self::ran::Ran;
use self::timing::Timing;
pub(super) use self::timing::Unusable;
use super::record::{self, Bytes, Kind, Write};

/// Far beyond what a site needs; all of them are looked at when the clock is set back.
const MAX_SCHEDULES: usize = 1_000;
/// What their records may occupy.
const MAX_BYTES: u64 = 1024 * 1024;
/// A schedule's id is part of its occurrences' names as it is up to this length, and beyond it with
/// a digest for its end, which makes that name longer than any other.
const MAX_PLAIN_ID_BYTES: usize = 46;
const CUT_ID_BYTES: usize = 30;

/// What a schedule is; written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Schedule {
    cron: String,
    timezone: String,
    /// A [`Request`] in CBOR: as a tree it could weigh two hundred times as much.
    command: Bytes,
    missed: Missed,
    max_late_ms: u64,
}

/// What became of it so far; written each time that it runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Course {
    /// Occurrences up to this instant are not its own. `None` until a clock that can be trusted
    /// gives one: what was missed before is not known then, and does not run.
    since_ms: Option<u64>,
    ran: Ran,
}

/// When a schedule is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// At the next look: it was not watched until now.
    Unknown,
    At(u64),
    /// No occurrence is left that the calendar reaches.
    Never,
}

#[derive(Debug)]
struct Entry {
    schedule: Schedule,
    bytes: u64,
    course: Course,
    next: Next,
}

/// An occurrence that is to run now.
#[derive(Debug)]
pub(super) struct Due {
    /// The name of the command that it is.
    pub(super) command: CommandId,
    /// When it was to run.
    pub(super) at_ms: u64,
    /// How late it may be.
    pub(super) max_late_ms: u64,
    /// What runs.
    pub(super) request: Request,
}

/// There is no room for one more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    #[error("this node has {MAX_SCHEDULES} schedules already, the most there may be")]
    Count,
    #[error("schedules fill the {MAX_BYTES} bytes there are for them")]
    Bytes,
}

#[derive(Debug)]
pub(super) struct Schedules {
    by_id: BTreeMap<ScheduleId, Entry>,
    bytes: u64,
    /// Occurrences since the last look are missed: the node was away, or must not start any.
    away: bool,
    looked_at: u64,
}

impl Schedule {
    /// What a command asks for, once it is known that it will ever occur.
    pub(super) fn of(put: &SchedulePut) -> Result<Self, Unusable> {
        Timing::read(&put.cron, &put.timezone)?;
        let command =
            serde_cbor::to_vec(&put.command).expect("a request has text keys and writes to memory");
        Ok(Self {
            cron: put.cron.clone(),
            timezone: put.timezone.clone(),
            command: Bytes(command.into()),
            missed: put.missed,
            max_late_ms: put.max_late_ms,
        })
    }

    fn timing(&self) -> Option<Timing> {
        Timing::read(&self.cron, &self.timezone).ok()
    }

    fn request(&self) -> Option<Request> {
        serde_cbor::from_slice(&self.command.0).ok()
    }

    /// Whether a record can still be acted upon: another version may have known other time zones.
    pub(super) fn usable(&self) -> bool {
        self.timing().is_some() && self.request().is_some()
    }

    fn bytes(&self) -> u64 {
        (self.cron.len() + self.timezone.len() + self.command.0.len()) as u64
    }
}

impl Entry {
    fn new(schedule: Schedule, course: Course) -> Self {
        Self { bytes: schedule.bytes(), schedule, course, next: Next::Unknown }
    }

    /// Looks ahead to the first occurrence after `wall_ms` that has not run.
    fn plan(&mut self, wall_ms: u64) {
        match self.schedule.timing() {
            Some(timing) => self.plan_by(&timing, wall_ms),
            None => self.next = Next::Never,
        }
    }

    fn plan_by(&mut self, timing: &Timing, wall_ms: u64) {
        let mut next = timing.after(wall_ms);
        while let Some(through) = next.and_then(|at| self.course.ran.through(at)) {
            next = timing.after(through);
        }
        self.next = next.map_or(Next::Never, Next::At);
    }

    /// The occurrence that is to run now, counted as run: the last that is due, unless it is too
    /// late, or `missed` and those are to be skipped.
    fn take(&mut self, timing: &Timing, wall_ms: u64, missed: bool) -> Option<u64> {
        let since_ms = self.course.since_ms?;
        let at = timing.latest(wall_ms).filter(|at| *at > since_ms)?;
        let late = wall_ms - at > self.schedule.max_late_ms;
        let skipped = missed && self.schedule.missed == Missed::Skip;
        if late || skipped || self.course.ran.through(at).is_some() {
            return None;
        }
        self.course.ran.add(at, timing);
        Some(at)
    }

    fn write(&self, id: &ScheduleId) -> Write {
        record::put(Kind::Course, id.as_str(), &self.course)
    }
}

impl Schedules {
    /// Those that a start found; without a course where that could not be read.
    pub(super) fn recovered(
        schedules: BTreeMap<ScheduleId, Schedule>,
        mut courses: BTreeMap<ScheduleId, Course>,
    ) -> Self {
        let entry = |(id, schedule)| {
            let course = courses.remove(&id).unwrap_or_default();
            (id, Entry::new(schedule, course))
        };
        let by_id: BTreeMap<_, _> = schedules.into_iter().map(entry).collect();
        let bytes = by_id.values().map(|entry| entry.bytes).sum();
        Self { by_id, bytes, away: true, looked_at: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// Takes a schedule in, in place of the one of this id. What that ran stays run. `wall_ms` is
    /// now, on a clock that can be trusted.
    pub(super) fn put(
        &mut self,
        id: ScheduleId,
        schedule: Schedule,
        wall_ms: Option<u64>,
    ) -> Result<[Write; 2], Full> {
        let old = self.by_id.get(&id);
        let bytes = self.bytes - old.map_or(0, |old| old.bytes) + schedule.bytes();
        if old.is_none() && self.by_id.len() >= MAX_SCHEDULES {
            return Err(Full::Count);
        }
        if bytes > MAX_BYTES {
            return Err(Full::Bytes);
        }
        let ran = old.map(|old| old.course.ran.clone()).unwrap_or_default();
        let mut entry = Entry::new(schedule, Course { since_ms: wall_ms, ran });
        if let Some(wall_ms) = wall_ms {
            entry.plan(wall_ms);
        }
        let what = record::put(Kind::Schedule, id.as_str(), &entry.schedule);
        let writes = [what, entry.write(&id)];
        self.bytes = bytes;
        self.by_id.insert(id, entry);
        Ok(writes)
    }

    /// Forgets a schedule; `None` if there is none.
    pub(super) fn remove(&mut self, id: &ScheduleId) -> Option<[Write; 2]> {
        let entry = self.by_id.remove(id)?;
        self.bytes -= entry.bytes;
        Some([Kind::Schedule, Kind::Course].map(|kind| record::delete(kind, id.as_str())))
    }

    /// No occurrence may start now; those that pass until the next look are missed.
    pub(super) fn look_away(&mut self) {
        self.away = true;
    }

    /// Which schedules have something to decide at `wall_ms`. Ask [`Self::take`] about each of them,
    /// and then [`Self::watched`].
    pub(super) fn look(&mut self, wall_ms: u64) -> Vec<ScheduleId> {
        if wall_ms < self.looked_at {
            self.set_back(wall_ms);
        }
        self.looked_at = wall_ms;
        let due = |entry: &Entry| match entry.next {
            Next::Unknown => true,
            Next::At(at) => at <= wall_ms,
            Next::Never => false,
        };
        self.by_id.iter().filter(|(_, entry)| due(entry)).map(|(id, _)| id.clone()).collect()
    }

    /// The clock was set back: what has not run comes again.
    fn set_back(&mut self, wall_ms: u64) {
        let before = wall_ms.saturating_sub(1);
        for entry in self.by_id.values_mut() {
            // The wrong clock named that instant, too.
            entry.course.since_ms = entry.course.since_ms.map(|since_ms| since_ms.min(before));
            entry.plan(before);
        }
    }

    /// Decides about a schedule that [`Self::look`] named, and what is to be written for it.
    pub(super) fn take(&mut self, id: &ScheduleId, wall_ms: u64) -> (Option<Due>, Option<Write>) {
        let Some(entry) = self.by_id.get_mut(id) else { return (None, None) };
        let before = entry.course.clone();
        let since_ms = entry.course.since_ms.unwrap_or(wall_ms).min(wall_ms);
        entry.course.since_ms = Some(since_ms);
        let missed = self.away || entry.next == Next::Unknown;
        // Read once for both: an expression is small, and what it unfolds to is not.
        let timing = entry.schedule.timing();
        let at_ms = timing.as_ref().and_then(|timing| entry.take(timing, wall_ms, missed));
        match timing {
            Some(timing) => entry.plan_by(&timing, wall_ms),
            None => entry.next = Next::Never,
        }
        let write = (entry.course != before).then(|| entry.write(id));
        let due = at_ms.zip(entry.schedule.request()).map(|(at_ms, request)| Due {
            command: occurrence(id, at_ms),
            at_ms,
            max_late_ms: entry.schedule.max_late_ms,
            request,
        });
        (due, write)
    }

    /// All that [`Self::look`] named is decided: from now on nothing is missed.
    pub(super) fn watched(&mut self) {
        self.away = false;
    }

    /// When to look again, at the latest.
    pub(super) fn next_at(&self) -> Option<u64> {
        let at = |entry: &Entry| match entry.next {
            Next::At(at) => Some(at),
            Next::Unknown => Some(0),
            Next::Never => None,
        };
        self.by_id.values().filter_map(at).min()
    }

    /// What `state` says of them.
    pub(super) fn state(&self) -> Vec<ScheduleState> {
        let state = |(id, entry): (&ScheduleId, &Entry)| ScheduleState {
            schedule: id.clone(),
            next_at_ms: match entry.next {
                Next::At(at) => Some(at),
                Next::Unknown | Next::Never => None,
            },
        };
        self.by_id.iter().map(state).collect()
    }
}

/// The id of the command that an occurrence is, such as `nightly.20261122T020000Z`.
fn occurrence(schedule: &ScheduleId, at_ms: u64) -> CommandId {
    let at = i64::try_from(at_ms).ok().and_then(chrono::DateTime::from_timestamp_millis);
    let at = at.expect("an occurrence is a date of the calendar").format("%Y%m%dT%H%M%SZ");
    let id = schedule.as_str();
    let text = if id.len() <= MAX_PLAIN_ID_BYTES {
        format!("{id}.{at}")
    } else {
        let digest = ring::digest::digest(&ring::digest::SHA256, id.as_bytes());
        let (digest, _) = digest.as_ref().split_at(8);
        let digest = digest.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
        format!("{}-{digest:016x}.{at}", &id[..CUT_ID_BYTES])
    };
    text.parse().expect("what is made of an id and digits is an id")
}

#[cfg(test)]
mod tests;
