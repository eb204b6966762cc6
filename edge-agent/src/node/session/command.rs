//! What commands make of a session: the table of the contract's section 6, a function a row.

use edge_protocol::command::{Extension, SessionEnd, SessionExtend};
use edge_protocol::event::{
    Code, Reason, SessionEnded, SessionRemaining, SessionTimes, SessionTransferred, What,
};
use edge_protocol::id::{CommandId, OutletId, StationId};

use super::booking::Instants;
use super::running::{Planned, Running};
use super::{Ending, Moving, Phase, Progress, Resuming, START_PATIENCE_MS, Session};
use crate::node::answer::Rejection;
use crate::node::time::{BootMs, Now};

type Told = Result<Vec<What>, Rejection>;

fn conflict(message: impl Into<String>) -> Rejection {
    Rejection::new(Code::Conflict, message)
}

fn past() -> Rejection {
    conflict("the deadline would lie in the past")
}

impl Session {
    pub(in crate::node) fn extend(
        &mut self,
        extend: &SessionExtend,
        cause: CommandId,
        instants: Instants,
    ) -> Told {
        let now = instants.now;
        let to = match extend.to {
            Extension::By(ms) => Move::By(ms),
            Extension::To(at) => Move::To(instants.boot("ends_at_ms", at)?),
        };
        let ends_at_ms = match &mut self.phase {
            Phase::Booked { starts, end } => to.plan(end, *starts, now)?,
            Phase::Starting { end, lit: None, .. } => to.plan(end, now.boot, now)?,
            Phase::Starting { lit: Some(run), .. } => {
                to.run(run, &self.warn_before_ms, now)?;
                Some(run.ends_at_ms)
            }
            Phase::Active { run, extensions, .. } => {
                to.run(run, &self.warn_before_ms, now)?;
                extensions.push(cause);
                self.guessed &= !to.is_instant();
                // `session.extended` follows once the leases are confirmed.
                return Ok(Vec::new());
            }
            Phase::Paused { remaining_ms, resuming, .. } => {
                *remaining_ms = to.rest(*remaining_ms, now.boot)?;
                // A resume on its way starts over with the new rest.
                if let Some(resuming) = resuming {
                    resuming.lit = None;
                }
                None
            }
            Phase::Ending(ending) if now.boot >= ending.off => {
                return Err(conflict("its off time has come"));
            }
            Phase::Ending(ending) => {
                let mut run = ending.run.clone();
                to.run(&mut run, &self.warn_before_ms, now)?;
                self.phase = Phase::Active { run, moving: None, extensions: vec![cause] };
                self.guessed &= !to.is_instant();
                return Ok(Vec::new());
            }
        };
        self.guessed &= !to.is_instant() || !self.live();
        Ok(vec![What::SessionExtended(SessionTimes { ends_at_ms, ..self.times() })])
    }

    pub(in crate::node) fn pause(
        &mut self,
        cause: CommandId,
        now: Now,
    ) -> Result<Progress, Rejection> {
        let mut progress = Progress::default();
        match &self.phase {
            Phase::Paused { .. } => {
                self.refuse_resume(Code::Conflict, "the session was paused", now, &mut progress);
                Ok(progress)
            }
            Phase::Active { run, .. } => {
                let remaining_ms = run.deadline - now.boot;
                let powered_ms = run.powered(now.boot);
                if remaining_ms == 0 {
                    return Err(conflict("its deadline has come"));
                }
                self.leave_active("the session was paused", now, &mut progress);
                let since = now.boot;
                self.phase = Phase::Paused { since, remaining_ms, powered_ms, resuming: None };
                let told = SessionRemaining {
                    session: self.id.clone(),
                    station: self.station.clone(),
                    remaining_ms,
                };
                progress.told.push((cause, What::SessionPaused(told)));
                Ok(progress)
            }
            Phase::Booked { .. } | Phase::Starting { .. } | Phase::Ending(_) => {
                Err(self.not_now("pause"))
            }
        }
    }

    /// Returns whether its outlets are to be powered now.
    pub(in crate::node) fn resume(
        &mut self,
        cause: CommandId,
        now: BootMs,
    ) -> Result<bool, Rejection> {
        match &mut self.phase {
            Phase::Active { .. } | Phase::Paused { resuming: Some(_), .. } => Ok(false),
            Phase::Paused { resuming, .. } => {
                *resuming = Some(Resuming { give_up: now + START_PATIENCE_MS, lit: None, cause });
                Ok(true)
            }
            Phase::Booked { .. } | Phase::Starting { .. } | Phase::Ending(_) => {
                Err(self.not_now("resume"))
            }
        }
    }

    /// Moves to another station: at once where nothing is powered, else once the new one is.
    pub(in crate::node) fn transfer(
        &mut self,
        station: StationId,
        outlets: Vec<OutletId>,
        cause: CommandId,
        now: Now,
    ) -> Told {
        match &mut self.phase {
            Phase::Starting { .. } | Phase::Ending(_) => Err(self.not_now("transfer")),
            Phase::Active { moving: Some(_), .. } | Phase::Paused { resuming: Some(_), .. } => {
                Err(conflict("another transfer or resume of it is under way"))
            }
            Phase::Booked { .. } | Phase::Active { .. } | Phase::Paused { .. }
                if station == self.station =>
            {
                Err(conflict("the session is there already"))
            }
            Phase::Active { moving, .. } => {
                let give_up = now.boot + START_PATIENCE_MS;
                *moving = Some(Moving { station, outlets, give_up, cause });
                Ok(Vec::new())
            }
            Phase::Booked { .. } | Phase::Paused { .. } => {
                let from = std::mem::replace(&mut self.station, station);
                self.outlets = outlets;
                Ok(vec![What::SessionTransferred(SessionTransferred {
                    session: self.id.clone(),
                    station: self.station.clone(),
                    from,
                    ends_at_ms: None,
                })])
            }
        }
    }

    /// Ends it. Over at once where it never went on.
    pub(in crate::node) fn end(
        &mut self,
        end: &SessionEnd,
        cause: CommandId,
        now: Now,
    ) -> Progress {
        let mut progress = Progress::default();
        let (run, grace_ms) = match &mut self.phase {
            Phase::Booked { .. } => {
                let ended = SessionEnded {
                    session: self.id.clone(),
                    station: self.station.clone(),
                    reason: Reason::Ended,
                    powered_ms: 0,
                    ended_at_ms: now.wall_ms,
                    late_ms: 0,
                    proof: None,
                    energy_wh: None,
                };
                progress.told.push((cause, What::SessionEnded(ended)));
                progress.over = true;
                return progress;
            }
            Phase::Ending(ending) => {
                if end.immediate {
                    ending.off = ending.off.min(now.boot);
                }
                if end.immediate || end.abandon {
                    ending.cause = cause;
                }
                ending.abandon |= end.abandon;
                return progress;
            }
            Phase::Starting { lit, .. } => (lit.take().unwrap_or_else(|| Running::over(0, now)), 0),
            Phase::Paused { powered_ms, .. } => (Running::over(*powered_ms, now), 0),
            Phase::Active { run, .. } => {
                (run.clone(), if end.immediate { 0 } else { self.grace_ms })
            }
        };
        // Its off time counts from now, whatever a reboot took.
        self.guessed = false;
        self.leave_active("the session was ended", now, &mut progress);
        self.refuse_resume(Code::Conflict, "the session was ended", now, &mut progress);
        let ending = Ending {
            reason: Reason::Ended,
            cause,
            run: Running { deadline: now.boot, ends_at_ms: now.wall_ms, ..run },
            off: now.boot + grace_ms,
            begun: None,
            abandon: end.abandon,
        };
        self.begin_ending(ending, now, &mut progress);
        progress
    }

    fn not_now(&self, what: &str) -> Rejection {
        let phase = match self.phase {
            Phase::Booked { .. } => "booked",
            Phase::Starting { .. } => "starting",
            Phase::Active { .. } => "active",
            Phase::Paused { .. } => "paused",
            Phase::Ending(_) => "ending",
        };
        conflict(format!("{}: a session that is {phase} can't {what}", self.id))
    }
}

/// A deadline's move, on the boot clock.
#[derive(Clone, Copy)]
enum Move {
    By(i64),
    To(BootMs),
}

impl Move {
    fn is_instant(self) -> bool {
        matches!(self, Self::To(_))
    }

    /// Moves a planned end; returns its name, where it has one yet.
    fn plan(self, end: &mut Planned, starts: BootMs, now: Now) -> Result<Option<u64>, Rejection> {
        let moved = match (self, *end) {
            (Self::By(ms), Planned::After(length)) => {
                let longer = length.checked_add_signed(ms).filter(|length| *length > 0);
                Planned::After(longer.ok_or_else(past)?)
            }
            (Self::By(ms), Planned::At(at)) => Planned::At(at.shifted(ms)),
            (Self::To(at), _) => Planned::At(at),
        };
        if matches!(moved, Planned::At(at) if at <= starts.max(now.boot)) {
            return Err(past());
        }
        *end = moved;
        Ok(match moved {
            Planned::At(at) => Some(now.wall_at(at)),
            Planned::After(_) => None,
        })
    }

    fn run(self, run: &mut Running, warn_before_ms: &[u64], now: Now) -> Result<(), Rejection> {
        let (deadline, ends_at_ms) = match self {
            Self::By(ms) => (run.deadline.shifted(ms), run.ends_at_ms.saturating_add_signed(ms)),
            Self::To(at) => (at, now.wall_at(at)),
        };
        if deadline <= now.boot {
            return Err(past());
        }
        run.deadline = deadline;
        run.ends_at_ms = ends_at_ms;
        run.arm_warnings(warn_before_ms, now.boot);
        Ok(())
    }

    fn rest(self, remaining_ms: u64, now: BootMs) -> Result<u64, Rejection> {
        let rest = match self {
            Self::By(ms) => remaining_ms.checked_add_signed(ms).unwrap_or(0),
            Self::To(at) => at - now,
        };
        if rest > 0 { Ok(rest) } else { Err(past()) }
    }
}
