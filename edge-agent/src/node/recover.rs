//! A start: from what is on disk to a running node, in one batch like any other (contract,
//! sections 5 to 7). What can't be read is put aside and told, never dropped, never a crash.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use edge_protocol::event::{NodeStarted, NodeStore, StartReason, What};
use edge_protocol::id::{OutletId, ScheduleId, SessionId, TaskId};
use serde::de::DeserializeOwned;

use super::answer::Answers;
use super::clock::{Away, Checkpoint, Clock, Shift};
use super::ended::Ended;
use super::outbox::{Marks, Outbox, is_number};
use super::outlet::{Before, Life, Lives, Outlet};
use super::power::{Hold, Kept};
use super::record::{self, Kind, Write};
use super::schedule::{Course, Schedule, Schedules};
use super::session::Session;
use super::settings::{OutletSettings, Rest, Settings};
use super::task::{Phase, Run, Spec, Tasks};
use super::time::{BootMs, Now};
use super::voice::Voice;
use super::{Disk, Effects, Node};

/// What a start finds on disk.
#[derive(Debug, Default)]
pub struct Found {
    /// Every row but events: key and value.
    pub rows: Vec<(Vec<u8>, Vec<u8>)>,
    /// The events' numbers and sizes, ascending.
    pub events: Vec<(u64, u32)>,
    /// The highest event number ever given, by the store's own account.
    pub last_seq: u64,
    /// What the store knows to be lost.
    pub lost: Option<String>,
    /// The store's id is new: events that are still there belong to the one before.
    pub new_store: bool,
}

/// Rows by what they are, each kind still as stored.
#[derive(Default)]
struct Records {
    sessions: BTreeMap<SessionId, Session>,
    ended: Ended<SessionId, ()>,
    holds: BTreeMap<OutletId, Hold>,
    outlets: BTreeMap<OutletId, Kept>,
    lives: Lives,
    specs: BTreeMap<TaskId, Spec>,
    runs: BTreeMap<TaskId, Run>,
    schedules: BTreeMap<ScheduleId, Schedule>,
    courses: BTreeMap<ScheduleId, Course>,
    answers: Answers,
    checkpoint: Option<Checkpoint>,
    marks: Marks,
    /// What could not be read, moved out of the way.
    aside: Vec<Write>,
}

impl Node {
    /// The node that goes on from what was `found`. Call [`Node::settle`] next.
    #[must_use]
    pub fn recover(settings: Settings, mut found: Found, read: Now) -> Self {
        let mut records = Records::default();
        records.delete_impossible(&mut found);
        for (key, value) in found.rows {
            if records.take(&key, &value).is_none() {
                records.put_aside(&key, value);
            }
        }
        let youngest_answer_ms = records.answers.recovered();
        let (clock, shift) = Clock::recovered(
            &settings.boot_id,
            &settings.version,
            records.checkpoint.as_ref(),
            youngest_answer_ms,
            read,
        );
        if let Some(shift) = shift {
            records.rebase(shift, read.boot);
        }
        for session in records.sessions.values_mut() {
            session.recovered(read.boot);
        }
        let lives = if shift.is_some() { records.timed_lives() } else { Vec::new() };
        let outlets = records.all_outlets(&settings, shift, read.boot);
        let running_ms = clock.running_ms();
        let outbox = if found.new_store {
            Outbox::recovered(Marks::default(), &[], 0, running_ms)
        } else {
            Outbox::recovered(records.marks, &found.events, found.last_seq, running_ms)
        };
        let mut node = Self {
            jitter: fastrand::Rng::with_seed(settings.seed),
            now: read,
            clock,
            outlets,
            sessions: records.sessions,
            ended: records.ended,
            holds: records.holds,
            kept: records.outlets.into_keys().collect::<BTreeSet<_>>(),
            falls: Vec::new(),
            circuits: BTreeMap::new(),
            tasks: Tasks::recovered(records.specs, records.runs),
            attempts: BTreeMap::new(),
            schedules: Schedules::recovered(records.schedules, records.courses),
            answers: records.answers,
            outbox,
            disk: Disk::Ok,
            told_low: false,
            stopping: false,
            waiting: VecDeque::new(),
            voice: Voice::default(),
            effects: Effects { writes: records.aside, ..Effects::default() },
            settings,
        };
        if found.new_store {
            let old =
                found.events.iter().map(|(seq, _)| record::delete(Kind::Event, seq.to_be_bytes()));
            node.effects.writes.extend(old);
        }
        node.look_at_clocks(read);
        let dropped = if found.new_store { found.events.len() } else { 0 };
        let dropped =
            (dropped > 0).then(|| format!("the {dropped} events under its id are dropped"));
        let lost: Vec<String> = found.lost.into_iter().chain(dropped).collect();
        node.announce(records.checkpoint.as_ref(), shift, lost);
        node.effects.writes.extend(lives);
        if shift.is_some() {
            node.write_all_instants();
        }
        node.recover_attempts();
        let checkpoint = node.clock.checkpoint(false);
        node.effects.writes.push(checkpoint);
        node
    }

    fn announce(&mut self, last: Option<&Checkpoint>, shift: Option<Shift>, lost: Vec<String>) {
        let aside =
            self.effects.writes.iter().filter(|write| matches!(write, Write::Put { .. })).count();
        let unreadable =
            (aside > 0).then(|| format!("{aside} records can't be read and were put aside"));
        let lost: Vec<String> = lost.into_iter().chain(unreadable).collect();
        if !lost.is_empty() {
            let lost = Some(lost.join("; "));
            self.tell(None, What::NodeStore(NodeStore { lost, space: None }));
        }
        let reason = match last {
            _ if shift.is_some() => StartReason::Boot,
            Some(last) if last.version != self.settings.version => StartReason::Update,
            Some(last) if last.clean => StartReason::Restart,
            Some(_) => StartReason::Crash,
            None => StartReason::Boot,
        };
        let off_for_ms = last.filter(|last| last.clean).and_then(|last| match shift {
            None => Some(self.now.boot - last.boot),
            Some(shift) if shift.away == Away::Known => {
                Some(self.now.wall_ms.saturating_sub(last.wall_ms))
            }
            Some(_) => None,
        });
        let live = self.sessions.values().filter(|session| session.live()).count();
        let started = NodeStarted {
            version: self.settings.version.clone(),
            reason,
            sessions_recovered: live as u64,
            tasks_recovered: (self.tasks.queued() + self.tasks.running_count()) as u64,
            off_for_ms,
        };
        self.tell(None, What::NodeStarted(started));
    }

    /// Writes every record that holds an instant: they count in this boot now.
    fn write_all_instants(&mut self) {
        for id in self.sessions.keys().cloned().collect::<Vec<_>>() {
            self.voice.write_session(id);
        }
        for (outlet, hold) in &self.holds {
            self.effects.writes.push(record::put(Kind::Hold, outlet.as_str(), hold));
        }
        for id in self.tasks.open() {
            let write = self.tasks.change(&id, |_| {});
            self.effects.writes.push(write);
        }
    }
}

impl Records {
    /// Takes a row in; `None` where it can't be read.
    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let (kind, name) = Kind::of(key)?;
        match kind {
            Kind::Session => {
                let name: SessionId = id(name)?;
                let session = read(value).filter(|session: &Session| session.id == name)?;
                self.sessions.insert(session.id.clone(), session);
            }
            Kind::Ended => self.ended.insert(id(name)?, read(value)?, ()),
            Kind::Hold => {
                self.holds.insert(id(name)?, read(value)?);
            }
            Kind::Outlet => {
                self.outlets.insert(id(name)?, read(value)?);
            }
            Kind::Life => {
                self.lives.insert(id(name)?, read(value)?);
            }
            Kind::Task => {
                self.specs.insert(id(name)?, read(value)?);
            }
            Kind::Run => {
                self.runs.insert(id(name)?, read(value)?);
            }
            Kind::Schedule => {
                let schedule = read(value).filter(Schedule::usable)?;
                self.schedules.insert(id(name)?, schedule);
            }
            Kind::Course => {
                self.courses.insert(id(name)?, read(value)?);
            }
            Kind::Command => self.answers.recover(name, value).ok()?,
            Kind::Node if name == record::CHECKPOINT => self.checkpoint = Some(read(value)?),
            Kind::Node if name == record::OUTBOX => {
                self.marks = read(value).filter(Marks::are_sound)?;
            }
            // An older event's bytes and what an earlier start put aside stay where they are.
            Kind::Event | Kind::Damaged => {}
            Kind::Node => return None,
        }
        Some(())
    }

    /// Events that no node numbers so: nobody could ask for one, and the next number would be
    /// reckoned from it.
    fn delete_impossible(&mut self, found: &mut Found) {
        let impossible = found.events.extract_if(.., |(seq, _)| !is_number(*seq));
        let deletes = impossible.map(|(seq, _)| record::delete(Kind::Event, seq.to_be_bytes()));
        self.aside.extend(deletes);
        if !self.aside.is_empty() {
            let events = format!("{} events have impossible numbers", self.aside.len());
            found.lost =
                Some(found.lost.take().map_or(events.clone(), |lost| format!("{lost}; {events}")));
        }
    }

    fn put_aside(&mut self, key: &[u8], value: Vec<u8>) {
        self.aside.push(Write::Put { key: Kind::Damaged.key(key), value });
        self.aside.push(Write::Delete { key: key.to_vec() });
    }

    /// The configuration's outlets, and those that only a stored session or hold still names.
    fn all_outlets(
        &self,
        settings: &Settings,
        shift: Option<Shift>,
        now: BootMs,
    ) -> BTreeMap<OutletId, Outlet> {
        let kept = self.outlets.iter().map(|(id, kept)| (id, &kept.settings));
        let mut outlets: BTreeMap<&OutletId, &OutletSettings> = kept.collect();
        outlets.extend(&settings.outlets);
        let same_boot = shift.is_none();
        let ask_first = shift.is_some_and(|shift| shift.away != Away::Known);
        let outlet = |(id, settings): (&OutletId, &OutletSettings)| {
            let before = Before { same_boot, ask_first, ..self.before(id, settings.rest, now) };
            let life = self.lives.get(id).cloned().unwrap_or_default();
            (id.clone(), Outlet::new(settings.clone(), before, life, now))
        };
        outlets.into_iter().map(outlet).collect()
    }

    /// What an outlet was when the last agent saw it, as far as that is known.
    fn before(&self, id: &OutletId, rest: Rest, now: BootMs) -> Before {
        let obeyed = self.outlets.get(id).is_some_and(|kept| kept.obeyed);
        let in_session = |session: &Session| session.powered(now) && session.outlets.contains(id);
        let on = match (self.holds.get(id), rest) {
            (Some(hold), _) => Some(hold.on),
            (None, Rest::Keep) => None,
            (None, Rest::On) => Some(true),
            (None, Rest::Off) => Some(self.sessions.values().any(in_session) && !obeyed),
        };
        Before { on, obeyed, same_boot: false, ask_first: false }
    }

    /// Writes the lives that hold an instant: it counts in this boot now. Those of outlets that the
    /// configuration does not name are kept, too: one may come back.
    fn timed_lives(&self) -> Vec<Write> {
        let timed = |life: &Life| life.off_since.is_some() || life.stuck_since.is_some();
        let timed = self.lives.iter().filter(|(_, life)| timed(life));
        timed.map(|(id, life)| record::put(Kind::Life, id.as_str(), life)).collect()
    }

    /// Translates every instant of an earlier boot.
    fn rebase(&mut self, shift: Shift, now: BootMs) {
        let last_seen = self.checkpoint.as_ref().map_or(now, |checkpoint| checkpoint.boot);
        for session in self.sessions.values_mut() {
            session.rebooted(shift, last_seen, now);
        }
        for hold in self.holds.values_mut() {
            hold.until = hold.until.map(|until| until.shifted(shift.by_ms));
        }
        self.lives.values_mut().for_each(|life| life.shift(shift.by_ms));
        for run in self.runs.values_mut() {
            if let Phase::Queued { ready_at } = &mut run.phase {
                *ready_at = ready_at.shifted(shift.by_ms);
            }
        }
    }
}

fn id<T: std::str::FromStr>(name: &[u8]) -> Option<T> {
    std::str::from_utf8(name).ok()?.parse().ok()
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    record::read(value).ok()
}
