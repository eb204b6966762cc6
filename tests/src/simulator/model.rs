//! A naive picture of what the contract promised by now, drawn from the commands that were
//! accepted and the events that were told, in true time.

mod accepted;
mod told;

use std::collections::BTreeMap;

use edge_protocol::command::{End, Request};
use edge_protocol::event::Clock;
use edge_protocol::id::{OutletId, SessionId, TaskId};
use edge_protocol::presence::State;

use edge_agent::node::settings::{Rest, Settings};

type Held = Result<(), String>;

/// Covered for as long as anybody looks.
pub(super) const FOR_EVER: u64 = u64::MAX / 2;

#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    pub(super) sessions: BTreeMap<SessionId, Session>,
    pub(super) holds: BTreeMap<OutletId, Hold>,
    pub(super) tasks: BTreeMap<TaskId, Task>,
    /// How often each outlet was told to have gone on, and what it was told to be last.
    cycles: BTreeMap<OutletId, (u64, bool)>,
}

#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) outlets: Vec<OutletId>,
    grace_ms: u64,
    pub(super) phase: Phase,
    /// Its instants went through a reboot whose length was not known.
    vague: bool,
    /// How much later than the truth its deadline lies, after such a reboot.
    skew_ms: u64,
    /// That is known: no wall clock was wrong on either side of it.
    judged: bool,
    /// How many warnings may still be sent for its deadline, and how many there are in all.
    warnings: (usize, usize),
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    /// Booked or starting.
    Pending {
        starts: u64,
        end: End,
    },
    Active {
        deadline: u64,
        moving: Option<Vec<OutletId>>,
    },
    Paused {
        rest_ms: u64,
        /// Since when it may have power again.
        resuming: Option<u64>,
    },
    Ending {
        deadline: u64,
        off: u64,
    },
}

#[derive(Debug, Clone)]
pub(super) struct Hold {
    on: bool,
    until: u64,
    set_at: u64,
    /// Whether it is there still, or how much of it, is not known for sure.
    vague: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Task {
    cycles: Option<OutletId>,
    running: bool,
    started: u32,
    allowed: u32,
    max_retries: u32,
    /// Its script said that no retry can help.
    hopeless: bool,
    /// It waits for an instant of the wall clock, which may have been wrong when that was read.
    dated: bool,
}

/// What the world knows beside an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) real: u64,
    pub(super) settings: &'a Settings,
    /// The wall clock is right.
    pub(super) honest: bool,
    /// The event waited, collapsed with others of its kind, while the outbox was rather full.
    pub(super) held_back: bool,
    /// The request that an accepted command stands for, and when it was issued.
    pub(super) request: Option<(&'a Request, Option<u64>)>,
}

fn off_by(what: &str, told: u64, expected: u64) -> Held {
    if told == expected {
        return Ok(());
    }
    Err(format!("{what}: told {told}, promised {expected} ({} ms off)", told.abs_diff(expected)))
}

impl Session {
    /// When it begins, or began.
    fn starts(&self) -> u64 {
        match self.phase {
            Phase::Pending { starts, .. } => starts,
            Phase::Active { .. } | Phase::Paused { .. } | Phase::Ending { .. } => 0,
        }
    }

    /// Its off time in truth, where the node believes that there is more.
    fn off(&self, deadline: u64) -> u64 {
        (deadline + self.grace_ms).saturating_sub(self.skew_ms)
    }

    /// Its time counts from now, whatever a reboot took.
    fn certain(&mut self) {
        (self.vague, self.judged, self.skew_ms) = (false, true, 0);
    }

    /// The node told its deadline by its name on the wall clock. While that is not synced, its plugs may
    /// correct it by less than a second, which renames nothing.
    fn agree_by_name(&mut self, what: &str, told: u64, clock: Clock) -> Held {
        match self.phase {
            Phase::Active { deadline, .. }
                if clock == Clock::Unsynced
                    && self.skew_ms == 0
                    && told.abs_diff(deadline) < 1_000 =>
            {
                Ok(())
            }
            _ => self.agree(what, told),
        }
    }

    /// The node told its deadline. It may only be sooner than it was after a reboot of unknown
    /// length, and never sooner than in truth.
    fn agree(&mut self, what: &str, told: u64) -> Held {
        let Phase::Active { deadline, .. } = &mut self.phase else { return Ok(()) };
        if self.skew_ms == 0 {
            return off_by(what, told, *deadline);
        }
        let truly = deadline.saturating_sub(self.skew_ms);
        if self.judged && told < truly {
            return Err(format!("nobody is cut early: {what}, but {} ms are lost", truly - told));
        }
        // Its name on the wall clock follows corrections of a second and more.
        if told > *deadline && told < *deadline + 1_000 {
            return Ok(());
        }
        if self.judged && told > *deadline {
            return Err(format!("{what}: {} ms are won", told - *deadline));
        }
        self.skew_ms = told.saturating_sub(truly).max(1);
        *deadline = told;
        Ok(())
    }
}

impl Model {
    fn session(&mut self, id: &SessionId) -> Result<&mut Session, String> {
        self.sessions
            .get_mut(id)
            .ok_or_else(|| format!("an event tells of session {id}, which is not one"))
    }

    /// The outlets of a session that is ending.
    pub(super) fn ending(&self, id: &SessionId) -> &[OutletId] {
        let ending = |session: &&Session| matches!(session.phase, Phase::Ending { .. });
        self.sessions.get(id).filter(ending).map_or(&[], |session| &session.outlets)
    }

    fn over(&mut self, id: &SessionId) {
        if let Some(session) = self.sessions.remove(id) {
            self.holds.retain(|id, _| !session.outlets.contains(id));
        }
    }

    /// Until when an outlet may be on.
    pub(super) fn covered_until(&self, outlet: &OutletId, real: u64, rest: Rest) -> u64 {
        if rest != Rest::Off {
            return FOR_EVER;
        }
        let mut until = self.holds.get(outlet).filter(|hold| hold.on).map_or(0, |hold| hold.until);
        for session in self.sessions.values() {
            let own = session.outlets.contains(outlet);
            let covered = match &session.phase {
                Phase::Pending { starts, .. } if own && (*starts <= real || session.vague) => {
                    FOR_EVER
                }
                Phase::Active { deadline, moving }
                    if own || moving.as_ref().is_some_and(|new| new.contains(outlet)) =>
                {
                    deadline + session.grace_ms
                }
                Phase::Paused { resuming: Some(_), .. } if own => FOR_EVER,
                // How late exactly is not known to the node: at most so late.
                Phase::Ending { .. } if own && !session.judged => FOR_EVER,
                Phase::Ending { off, .. } if own && off + session.skew_ms > real => {
                    off + session.skew_ms
                }
                Phase::Ending { off, .. } if own => return *off + session.skew_ms,
                Phase::Pending { .. }
                | Phase::Active { .. }
                | Phase::Paused { .. }
                | Phase::Ending { .. } => 0,
            };
            until = until.max(covered);
        }
        until
    }

    /// Until when an outlet must be on, if nobody but a plug or a thumb says otherwise.
    pub(super) fn owed_until(&self, outlet: &OutletId, real: u64) -> Option<u64> {
        let held_off = self.holds.get(outlet).is_some_and(|hold| !hold.on && hold.until > real);
        let cycled =
            self.tasks.values().any(|task| task.running && task.cycles.as_ref() == Some(outlet));
        if held_off || cycled {
            return None;
        }
        let owed =
            self.sessions.values().filter(|session| session.outlets.contains(outlet)).find_map(
                |session| match session.phase {
                    Phase::Active { deadline, .. } => {
                        Some(session.off(deadline)).filter(|_| session.judged)
                    }
                    Phase::Ending { off, .. } => Some(off).filter(|_| session.judged),
                    Phase::Pending { .. } | Phase::Paused { .. } => None,
                },
            );
        owed.filter(|off| *off > real)
    }

    /// The node starts again, in another boot: what is starting then has an end, and forgot when it went on.
    pub(super) fn rebooted(&mut self) {
        let pending = |session: &&mut Session| matches!(session.phase, Phase::Pending { .. });
        self.sessions.values_mut().filter(pending).for_each(|session| session.vague = true);
    }

    /// The node starts again, and can't know how long it was away: at most since its last word on
    /// the clocks. `honest`: no wall clock was wrong.
    pub(super) fn unsure(&mut self, away_ms: u64, honest: bool) {
        self.holds.values_mut().for_each(|hold| hold.vague = true);
        for session in self.sessions.values_mut() {
            session.vague = true;
            session.judged &= honest;
            session.skew_ms += away_ms + 1;
            if let Phase::Active { deadline, .. } | Phase::Ending { deadline, .. } =
                &mut session.phase
            {
                *deadline += away_ms + 1;
            }
        }
    }

    /// The node started again, and this is its `state`. `exact`: it can know how long it was away.
    pub(super) fn recovered(&mut self, state: &State, real: u64, exact: bool) -> Held {
        for id in self.sessions.keys() {
            if !state.sessions.iter().any(|session| session.session == *id) {
                return Err(format!(
                    "nothing accepted is lost: session {id} is gone after a start"
                ));
            }
        }
        let known = |id: &OutletId| {
            state.outlets.iter().any(|outlet| outlet.outlet == *id && outlet.hold.is_some())
        };
        // A session takes over what is held on; one that was booked, before it can be told.
        let begun = |session: &Session| match session.phase {
            Phase::Pending { starts, .. } => starts <= real || session.vague,
            Phase::Active { .. } | Phase::Paused { .. } | Phase::Ending { .. } => true,
        };
        let takes_over = |session: &Session, id: &OutletId| match &session.phase {
            Phase::Active { moving: Some(new), .. } => new.contains(id),
            _ => false,
        };
        let taken = |id: &OutletId| {
            self.sessions.values().any(|session| {
                session.outlets.contains(id) && begun(session) || takes_over(session, id)
            })
        };
        let lost = |(id, hold): &(&OutletId, &Hold)| {
            exact && !hold.vague && hold.until > real && !known(id) && !(hold.on && taken(id))
        };
        if let Some((id, _)) = self.holds.iter().find(lost) {
            return Err(format!(
                "nothing accepted is lost: the hold on {id} is gone after a start"
            ));
        }
        let open = self.tasks.values().filter(|task| task.allowed > 0).count() as u64;
        let told = state.queues.tasks_queued + state.queues.tasks_running;
        if told != open {
            return Err(format!(
                "nothing accepted is lost: {told} tasks are there after a start, not {open}"
            ));
        }
        for told in &state.sessions {
            let session = self.session(&told.session)?;
            if let Some(remaining_ms) = told.remaining_ms.filter(|_| told.phase == "active") {
                session.agree("a restart moves no deadline", real + remaining_ms)?;
            }
        }
        for outlet in state.outlets.iter().filter(|_| !exact) {
            let until = outlet.hold.as_ref().and_then(|hold| hold.until_ms);
            if let (Some(hold), Some(until_ms)) = (self.holds.get_mut(&outlet.outlet), until) {
                hold.until = (real + until_ms).saturating_sub(state.at_ms);
            }
        }
        Ok(())
    }

    /// When, after this moment, the answers of [`Self::covered_until`] and [`Self::owed_until`]
    /// change by themselves.
    pub(super) fn next_change(&self, real: u64) -> u64 {
        let times = self.sessions.values().flat_map(|session| match session.phase {
            Phase::Pending { starts, .. } => [starts, starts],
            Phase::Active { deadline, .. } => [session.off(deadline), FOR_EVER],
            Phase::Ending { off, .. } => [off, off + session.skew_ms],
            Phase::Paused { .. } => [FOR_EVER; 2],
        });
        let holds = self.holds.values().map(|hold| hold.until);
        times.chain(holds).filter(|at| *at > real).min().unwrap_or(FOR_EVER)
    }

    /// An outlet was told to be on or off.
    fn switched(&mut self, outlet: &OutletId, on: bool) {
        let (count, was) = self.cycles.entry(outlet.clone()).or_insert((0, false));
        *count += u64::from(on && !*was);
        *was = on;
    }

    /// The node started again, and knows of so many cycles of an outlet. It knows of more where
    /// news of them were collapsed.
    pub(super) fn lived(&self, outlet: &OutletId, cycles: u64) -> Held {
        let told = self.cycles.get(outlet).map_or(0, |(told, _)| *told);
        if cycles >= told {
            return Ok(());
        }
        Err(format!(
            "a relay's cycles are counted for its life: {outlet} told {told}, and knows of {cycles}"
        ))
    }

    /// A script said that no retry can help.
    pub(super) fn hopeless(&mut self, task: &TaskId, attempt: u32) {
        if let Some(task) = self.tasks.get_mut(task).filter(|task| task.started == attempt) {
            task.hopeless = true;
        }
    }

    /// What has not come to its end yet; `stepped`: the wall clock was wrong for a while.
    pub(super) fn open(&self, stepped: bool) -> Vec<String> {
        let sessions =
            self.sessions.iter().map(|(id, session)| format!("session {id} {:?}", session.phase));
        let open = |task: &Task| task.allowed > 0 && !(stepped && task.dated && !task.running);
        let tasks = self.tasks.iter().filter(|(_, task)| open(task));
        sessions.chain(tasks.map(|(id, _)| format!("task {id}"))).collect()
    }
}
