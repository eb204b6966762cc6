//! A naive picture of what the contract promised by now, drawn from the commands that were
//! accepted and the events that were told, in true time.

use std::collections::BTreeMap;

use edge_protocol::command::{End, Extension, Request, Work};
use edge_protocol::event::{Code, Event, Reason, What};
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
        resuming: bool,
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
}

#[derive(Debug, Clone)]
pub(super) struct Task {
    cycles: Option<OutletId>,
    running: bool,
    started: u32,
    allowed: u32,
    max_retries: u32,
    /// It waits for an instant of the wall clock, which may have been wrong when that was read.
    dated: bool,
}

/// What the world knows beside an event.
pub(super) struct Context<'a> {
    pub(super) real: u64,
    pub(super) settings: &'a Settings,
    /// The wall clock is right.
    pub(super) honest: bool,
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
    /// Takes in what the node told.
    #[expect(clippy::too_many_lines, reason = "one arm for each event, in the contract's order")]
    pub(super) fn told(&mut self, event: &Event, context: &Context<'_>) -> Held {
        let real = context.real;
        let real_of = |wall_ms: u64| (real + wall_ms).saturating_sub(event.at_ms);
        match &event.what {
            What::CommandAccepted(accepted) if !accepted.repeat => {
                if let Some((request, issued_at_ms)) = context.request {
                    let base = if event.clock == edge_protocol::event::Clock::Synced {
                        event.at_ms
                    } else {
                        issued_at_ms.unwrap_or(0)
                    };
                    let instant = |at_ms: u64| (real + at_ms).saturating_sub(base);
                    return self.accepted(request, context, &instant);
                }
            }
            What::SessionStarted(times) => {
                let (lit, deadline) =
                    (times.started_at_ms.map(real_of), times.ends_at_ms.map(real_of));
                let (Some(lit), Some(deadline)) = (lit, deadline) else {
                    return Err("session.started names its start and its end".to_owned());
                };
                let session = self.session(&times.session)?;
                if let Phase::Pending { end, .. } = session.phase
                    && !session.vague
                {
                    let expected = match end {
                        End::After(ms) => lit + ms,
                        End::At(at) => at,
                    };
                    off_by(
                        "a duration runs from the moment all its outlets are confirmed on",
                        deadline,
                        expected,
                    )?;
                }
                let (began, outlets) = (session.starts(), session.outlets.clone());
                session.phase = Phase::Active { deadline, moving: None };
                self.holds.retain(|id, hold| hold.set_at >= began || !outlets.contains(id));
            }
            What::SessionExtended(times) => {
                let session = self.session(&times.session)?;
                if let Some(ends_at_ms) = times.ends_at_ms {
                    let what = "an extension moves the deadline by exactly that much";
                    session.agree(what, real_of(ends_at_ms))?;
                }
            }
            What::SessionWarning(rest) => {
                let session = self.session(&rest.session)?;
                session.agree("a warning tells the remaining time", real + rest.remaining_ms)?;
            }
            What::SessionPaused(rest) => {
                let session = self.session(&rest.session)?;
                session.agree("a pause keeps the remaining time", real + rest.remaining_ms)?;
                session.phase = Phase::Paused { rest_ms: rest.remaining_ms, resuming: false };
            }
            What::SessionResumed(times) => {
                let session = self.session(&times.session)?;
                let deadline = times.ends_at_ms.map(real_of).unwrap_or(real);
                if let Phase::Paused { rest_ms, .. } = session.phase
                    && session.skew_ms == 0
                    && (deadline > real + rest_ms || deadline + 31_000 < real + rest_ms)
                {
                    let left = deadline.saturating_sub(real);
                    return Err(format!(
                        "a resume runs the rest: {rest_ms} ms were left, now {left}"
                    ));
                }
                session.phase = Phase::Active { deadline, moving: None };
            }
            What::SessionTransferred(transferred) => {
                let outlets = context
                    .settings
                    .stations
                    .get(&transferred.station)
                    .cloned()
                    .unwrap_or_default();
                let session = self.session(&transferred.session)?;
                session.outlets = outlets;
                if let Phase::Active { moving, .. } = &mut session.phase {
                    *moving = None;
                }
            }
            What::SessionRefused(problem) => match &mut self.session(&problem.session)?.phase {
                Phase::Active { moving, .. } => *moving = None,
                Phase::Paused { resuming, .. } => *resuming = false,
                Phase::Pending { .. } | Phase::Ending { .. } => {}
            },
            What::SessionEnding(ending) => {
                let off = real_of(ending.off_at_ms);
                let session = self.session(&ending.session)?;
                let expired = ending.reason == Reason::Expired;
                if expired {
                    let what = "the off time is the deadline plus the grace";
                    session.agree(what, off.saturating_sub(session.grace_ms))?;
                }
                let deadline = match session.phase {
                    Phase::Active { deadline, .. } if expired => deadline,
                    _ => real,
                };
                // What a reboot of unknown length put off counts as late, not as owed.
                let off = if expired { off.saturating_sub(session.skew_ms) } else { off };
                session.phase = Phase::Ending { deadline, off };
            }
            What::SessionEnded(ended) => {
                let session = self.session(&ended.session)?;
                if let Phase::Ending { off, .. } = session.phase
                    && real < off
                    && !session.vague
                {
                    return Err(format!(
                        "session {} ended {} ms before its off time",
                        ended.session,
                        off - real
                    ));
                }
                let booked =
                    matches!(session.phase, Phase::Pending { starts, .. } if starts > real);
                if booked {
                    self.sessions.remove(&ended.session);
                } else {
                    self.over(&ended.session);
                }
            }
            What::SessionFailed(problem) => {
                let session = self.session(&problem.session)?;
                let began =
                    matches!(session.phase, Phase::Pending { starts, .. } if starts <= real);
                if began && problem.code == Code::Unpowered {
                    self.over(&problem.session);
                } else {
                    self.sessions.remove(&problem.session);
                }
            }
            What::TaskStarted(news) => {
                let task = self
                    .tasks
                    .get_mut(&news.task)
                    .ok_or_else(|| format!("task {} was never accepted", news.task))?;
                task.running = true;
                task.started = news.attempt;
                if news.attempt > task.allowed {
                    return Err(format!(
                        "max_retries allows {} attempts: {} is at {}",
                        task.allowed, news.task, news.attempt
                    ));
                }
            }
            What::TaskRetrying(news) => {
                self.tasks.entry(news.task.clone()).and_modify(|task| task.running = false);
            }
            What::TaskSucceeded(news) | What::TaskFailed(news) | What::TaskCancelled(news) => {
                if let Some(task) = self.tasks.get_mut(&news.task) {
                    task.running = false;
                    task.allowed = 0;
                }
            }
            What::NodeClock(clock) => {
                for named in &clock.sessions {
                    let session = self.session(&named.session)?;
                    session.judged &= context.honest || session.skew_ms == 0;
                    let what = "a wall-clock step moves no deadline of a running session";
                    session.agree(what, real_of(named.ends_at_ms))?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn session(&mut self, id: &SessionId) -> Result<&mut Session, String> {
        self.sessions
            .get_mut(id)
            .ok_or_else(|| format!("an event tells of session {id}, which is not one"))
    }

    fn over(&mut self, id: &SessionId) {
        if let Some(session) = self.sessions.remove(id) {
            for outlet in &session.outlets {
                self.holds.remove(outlet);
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each command, in the contract's order")]
    fn accepted(
        &mut self,
        request: &Request,
        context: &Context<'_>,
        instant: &dyn Fn(u64) -> u64,
    ) -> Held {
        let real = context.real;
        match request {
            Request::SessionStart(start) => {
                let outlets = context.settings.stations.get(&start.station).cloned();
                let outlets = outlets
                    .ok_or_else(|| format!("{} was accepted for no station", start.session))?;
                let starts = start.starts_at_ms.map_or(real, |at| instant(at).max(real));
                let end = match start.end {
                    End::After(ms) => End::After(ms),
                    End::At(at) => End::At(instant(at)),
                };
                let grace_ms = start.grace_ms.unwrap_or(context.settings.grace_ms);
                let phase = Phase::Pending { starts, end };
                let session =
                    Session { outlets, grace_ms, phase, vague: false, skew_ms: 0, judged: true };
                if starts <= real {
                    for outlet in &session.outlets {
                        self.holds.remove(outlet);
                    }
                }
                if self.sessions.insert(start.session.clone(), session).is_some() {
                    return Err(format!("the session id {} was accepted twice", start.session));
                }
            }
            Request::SessionExtend(extend) => {
                let session = self.session(&extend.session)?;
                match &mut session.phase {
                    Phase::Pending { end, .. } => {
                        *end = match (extend.to, *end) {
                            (Extension::By(ms), End::After(length)) => {
                                End::After(length.saturating_add_signed(ms))
                            }
                            (Extension::By(ms), End::At(at)) => {
                                End::At(at.saturating_add_signed(ms))
                            }
                            (Extension::To(at), _) => End::At(instant(at)),
                        };
                    }
                    Phase::Paused { rest_ms, .. } => {
                        *rest_ms = match extend.to {
                            Extension::By(ms) => rest_ms.saturating_add_signed(ms),
                            Extension::To(at) => instant(at).saturating_sub(real),
                        };
                    }
                    Phase::Active { deadline, .. } | Phase::Ending { deadline, .. } => {
                        let moved = match extend.to {
                            Extension::By(ms) => deadline.saturating_add_signed(ms),
                            Extension::To(at) => instant(at),
                        };
                        if moved <= real {
                            return Err(
                                "an extension never moves a deadline into the past".to_owned()
                            );
                        }
                        match &mut session.phase {
                            Phase::Active { deadline, .. } => *deadline = moved,
                            _ => session.phase = Phase::Active { deadline: moved, moving: None },
                        }
                    }
                }
            }
            Request::SessionPause(of) => {
                if let Phase::Paused { resuming, .. } = &mut self.session(&of.session)?.phase {
                    *resuming = false;
                }
            }
            Request::SessionResume(of) => {
                if let Phase::Paused { resuming, .. } = &mut self.session(&of.session)?.phase {
                    *resuming = true;
                }
            }
            Request::SessionTransfer(transfer) => {
                let new = context.settings.stations.get(&transfer.station).cloned();
                if let Phase::Active { moving, .. } = &mut self.session(&transfer.session)?.phase {
                    *moving = new;
                }
            }
            Request::SessionEnd(end) => {
                if let Phase::Ending { off, .. } = &mut self.session(&end.session)?.phase
                    && end.immediate
                {
                    *off = (*off).min(real);
                }
            }
            Request::OutletSet(set) => {
                let until = set.for_ms.map_or(FOR_EVER, |ms| real + ms);
                self.holds.insert(set.outlet.clone(), Hold { on: set.on, until, set_at: real });
            }
            Request::OutletRelease(of) => drop(self.holds.remove(&of.outlet)),
            Request::TaskSubmit(submit) => {
                let cycles = match &submit.work {
                    Work::OutletCycle(cycle) => Some(cycle.outlet.clone()),
                    Work::Script(_) | Work::Wait(_) => None,
                };
                let (max_retries, allowed) = (submit.max_retries, submit.max_retries + 1);
                let task = Task {
                    cycles,
                    running: false,
                    started: 0,
                    allowed,
                    max_retries,
                    dated: submit.not_before_ms.is_some(),
                };
                if self.tasks.insert(submit.task.clone(), task).is_some() {
                    return Err(format!("the task id {} was accepted twice", submit.task));
                }
            }
            Request::TaskRetry(of) => {
                if let Some(task) = self.tasks.get_mut(&of.task) {
                    task.allowed = task.started + task.max_retries + 1;
                }
            }
            Request::TaskCancel(_)
            | Request::SchedulePut(_)
            | Request::ScheduleRemove(_)
            | Request::EventResend(_)
            | Request::NodeReport(_) => {}
        }
        Ok(())
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
                Phase::Pending { starts, .. } if own && (*starts <= real || !session.judged) => {
                    FOR_EVER
                }
                Phase::Active { deadline, moving }
                    if own || moving.as_ref().is_some_and(|new| new.contains(outlet)) =>
                {
                    deadline + session.grace_ms
                }
                Phase::Paused { resuming: true, .. } if own => FOR_EVER,
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
                    Phase::Active { deadline, .. } => Some(deadline + session.grace_ms),
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
        for session in self.sessions.values_mut() {
            session.vague = true;
            session.judged &= honest;
            session.skew_ms += away_ms + 1;
            if let Phase::Active { deadline, .. } = &mut session.phase {
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

    /// The attempt that a task is at.
    pub(super) fn attempt(&self, task: &TaskId) -> u32 {
        self.tasks.get(task).map_or(0, |task| task.started)
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
