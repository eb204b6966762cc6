//! What commands make of a session: the table of the contract's section 6, a function a row.

use edge_protocol::command::{End, Extension, SessionEnd, SessionExtend, SessionStart};
use edge_protocol::event::{
    Code, Reason, SessionEnded, SessionEnding, SessionRemaining, SessionTimes, SessionTransferred,
    What,
};
use edge_protocol::id::{CommandId, OutletId, StationId};

use super::{Moving, Phase, Planned, Progress, Resuming, Running, START_PATIENCE_MS, Session};
use crate::node::answer::Rejection;
use crate::node::time::{BootMs, Now};

/// What a session is made with that its command doesn't say.
pub(in crate::node) struct Defaults<'a> {
    pub(in crate::node) warn_before_ms: &'a [u64],
    pub(in crate::node) grace_ms: u64,
}

/// How instants in a command's body are read: on a synced clock as they stand, else relative to its issue.
#[derive(Clone, Copy)]
pub(in crate::node) struct Instants {
    pub(in crate::node) now: Now,
    pub(in crate::node) issued_at_ms: Option<u64>,
}

impl Instants {
    /// Where `at_ms`, the value of `field`, lies on the boot clock.
    pub(in crate::node) fn boot(self, field: &str, at_ms: u64) -> Result<BootMs, Rejection> {
        if self.now.synced {
            return Ok(self.now.boot_at(at_ms));
        }
        let missing = || {
            let message = format!(
                "body.{field}: an instant needs issued_at_ms while the node's clock is unsynced"
            );
            Rejection::new(Code::Invalid, message)
        };
        let issued_at_ms = self.issued_at_ms.ok_or_else(missing)?;
        Ok(Now { wall_ms: issued_at_ms, ..self.now }.boot_at(at_ms))
    }
}

type Told = Result<Vec<What>, Rejection>;

fn conflict(message: impl Into<String>) -> Rejection {
    Rejection::new(Code::Conflict, message)
}

fn past() -> Rejection {
    conflict("the deadline would lie in the past")
}

impl Session {
    /// A session that a command asks for: booked, or starting at once.
    pub(in crate::node) fn new(
        start: SessionStart,
        outlets: Vec<OutletId>,
        cause: CommandId,
        defaults: &Defaults<'_>,
        instants: Instants,
    ) -> Result<Self, Rejection> {
        let now = instants.now.boot;
        let starts = match start.starts_at_ms {
            Some(at) => instants.boot("starts_at_ms", at)?.max(now),
            None => now,
        };
        let end = match start.end {
            End::After(ms) => Planned::After(ms),
            End::At(at) => match instants.boot("ends_at_ms", at)? {
                at if at > starts => Planned::At(at),
                _ => {
                    let message = "body.ends_at_ms: must lie ahead, and after starts_at_ms";
                    return Err(Rejection::new(Code::Invalid, message));
                }
            },
        };
        let mut warn_before_ms =
            start.warn_before_ms.unwrap_or_else(|| defaults.warn_before_ms.to_vec());
        warn_before_ms.sort_unstable_by(|a, b| b.cmp(a));
        warn_before_ms.dedup();
        Ok(Self {
            id: start.session,
            station: start.station,
            outlets,
            grace_ms: start.grace_ms.unwrap_or(defaults.grace_ms),
            warn_before_ms,
            label: start.label,
            cause,
            last_seq: 0,
            guessed: false,
            phase: Phase::Booked { starts, end },
        })
    }

    /// Whether it is booked and its start has come.
    pub(in crate::node) fn due(&self, now: BootMs) -> bool {
        matches!(self.phase, Phase::Booked { starts, .. } if now >= starts)
    }

    /// Whether its whole time has passed before it could start.
    pub(in crate::node) fn missed(&self, now: BootMs) -> bool {
        match self.phase {
            Phase::Booked { starts, end: Planned::After(ms) } => now >= starts + ms,
            Phase::Booked { end: Planned::At(at), .. } => now >= at,
            Phase::Starting { .. }
            | Phase::Active { .. }
            | Phase::Paused { .. }
            | Phase::Ending { .. } => false,
        }
    }

    /// Begins to power a booked one.
    pub(in crate::node) fn begin(&mut self, now: BootMs) {
        if let Phase::Booked { end, .. } = self.phase {
            self.phase = Phase::Starting { give_up: now + START_PATIENCE_MS, end, lit: None };
        }
    }

    /// What a booking tells.
    pub(in crate::node) fn booked(&self, now: Now) -> What {
        let (starts, end) = match self.phase {
            Phase::Booked { starts, end } => (starts, Some(end)),
            Phase::Starting { .. }
            | Phase::Active { .. }
            | Phase::Paused { .. }
            | Phase::Ending { .. } => (now.boot, None),
        };
        let ends_at_ms = match end {
            Some(Planned::At(at)) => Some(now.wall_at(at)),
            Some(Planned::After(_)) | None => None,
        };
        What::SessionBooked(SessionTimes {
            starts_at_ms: Some(now.wall_at(starts)),
            ends_at_ms,
            ..self.times()
        })
    }

    pub(in crate::node) fn extend(
        &mut self,
        extend: &SessionExtend,
        cause: CommandId,
        instants: Instants,
    ) -> Told {
        let now = instants.now;
        let grace_ms = self.grace_ms;
        let to = match extend.to {
            Extension::By(ms) => Move::By(ms),
            Extension::To(at) => Move::To(instants.boot("ends_at_ms", at)?),
        };
        let ends_at_ms = match &mut self.phase {
            Phase::Booked { starts, end } => to.plan(end, *starts, now)?,
            Phase::Starting { end, lit: None, .. } => to.plan(end, now.boot, now)?,
            Phase::Paused { remaining_ms, resuming, .. } => {
                let moved = match to {
                    Move::By(ms) => remaining_ms.checked_add_signed(ms).filter(|rest| *rest > 0),
                    Move::To(at) => (at > now.boot).then(|| at - now.boot),
                };
                *remaining_ms = moved.ok_or_else(past)?;
                // A resume on its way starts over with the new rest.
                if let Some(resuming) = resuming {
                    resuming.lit = None;
                }
                None
            }
            Phase::Starting { lit: Some(run), .. } => {
                to.run(run, &self.warn_before_ms, now)?;
                Some(run.ends_at_ms)
            }
            Phase::Active { run, extensions, .. } => {
                to.run(run, &self.warn_before_ms, now)?;
                extensions.push(cause);
                // `session.extended` follows once the leases are confirmed.
                return Ok(Vec::new());
            }
            Phase::Ending { run, off, .. } => {
                if now.boot >= *off {
                    return Err(conflict("its off time has come"));
                }
                let mut run = run.clone();
                to.run(&mut run, &self.warn_before_ms, now)?;
                debug_assert!(run.deadline + grace_ms > now.boot, "a moved deadline lies ahead");
                self.phase = Phase::Active { run, moving: None, extensions: vec![cause] };
                return Ok(Vec::new());
            }
        };
        Ok(vec![What::SessionExtended(SessionTimes { ends_at_ms, ..self.times() })])
    }

    pub(in crate::node) fn pause(
        &mut self,
        cause: CommandId,
        now: Now,
    ) -> Result<Progress, Rejection> {
        let mut progress = Progress::default();
        match &mut self.phase {
            Phase::Paused { resuming, .. } => {
                *resuming = None;
                Ok(progress)
            }
            Phase::Active { run, .. } => {
                let remaining_ms = run.deadline - now.boot;
                let powered_ms = run.powered(now.boot);
                if remaining_ms == 0 {
                    return Err(conflict("its deadline has come"));
                }
                self.stop_moving(Code::Conflict, "the session was paused".into(), &mut progress);
                self.phase = Phase::Paused { remaining_ms, powered_ms, resuming: None };
                let told = SessionRemaining {
                    session: self.id.clone(),
                    station: self.station.clone(),
                    remaining_ms,
                };
                progress.told.push((cause, What::SessionPaused(told)));
                Ok(progress)
            }
            Phase::Booked { .. } | Phase::Starting { .. } | Phase::Ending { .. } => {
                Err(self.not_now("pause"))
            }
        }
    }

    pub(in crate::node) fn resume(
        &mut self,
        cause: CommandId,
        now: BootMs,
    ) -> Result<(), Rejection> {
        match &mut self.phase {
            Phase::Active { .. } => Ok(()),
            Phase::Paused { resuming, .. } => {
                if resuming.is_none() {
                    *resuming =
                        Some(Resuming { give_up: now + START_PATIENCE_MS, lit: None, cause });
                }
                Ok(())
            }
            Phase::Booked { .. } | Phase::Starting { .. } | Phase::Ending { .. } => {
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
            Phase::Active { moving: None, .. }
            | Phase::Booked { .. }
            | Phase::Paused { resuming: None, .. }
                if station == self.station =>
            {
                Err(conflict("the session is there already"))
            }
            Phase::Active { moving: Some(_), .. } | Phase::Paused { resuming: Some(_), .. } => {
                Err(conflict("another transfer or resume of it is under way"))
            }
            Phase::Active { moving, .. } => {
                *moving =
                    Some(Moving { station, outlets, give_up: now.boot + START_PATIENCE_MS, cause });
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
            Phase::Starting { .. } | Phase::Ending { .. } => Err(self.not_now("transfer")),
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
        let at_once = |powered_ms| Running {
            deadline: now.boot,
            ends_at_ms: now.wall_ms,
            since: None,
            powered_ms,
            warnings: Vec::new(),
        };
        let (run, off) = match &mut self.phase {
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
            Phase::Ending { off, abandon, .. } => {
                *abandon |= end.abandon;
                if end.immediate {
                    *off = (*off).min(now.boot);
                }
                return progress;
            }
            Phase::Starting { lit, .. } => (lit.take().unwrap_or_else(|| at_once(0)), now.boot),
            Phase::Paused { powered_ms, .. } => (at_once(*powered_ms), now.boot),
            Phase::Active { run, .. } => {
                let grace_ms = if end.immediate { 0 } else { self.grace_ms };
                (run.clone(), now.boot + grace_ms)
            }
        };
        self.stop_moving(Code::Conflict, "the session was ended".into(), &mut progress);
        let run = Running { deadline: now.boot, ends_at_ms: now.wall_ms, ..run };
        let ending = SessionEnding {
            session: self.id.clone(),
            station: self.station.clone(),
            reason: Reason::Ended,
            off_at_ms: now.wall_at(off),
        };
        progress.told.push((cause, What::SessionEnding(ending)));
        let abandon = end.abandon;
        self.phase = Phase::Ending { reason: Reason::Ended, run, off, off_begun: false, abandon };
        progress
    }

    fn not_now(&self, what: &str) -> Rejection {
        let phase = match self.phase {
            Phase::Booked { .. } => "booked",
            Phase::Starting { .. } => "starting",
            Phase::Active { .. } => "active",
            Phase::Paused { .. } => "paused",
            Phase::Ending { .. } => "ending",
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
    /// Moves a planned end; returns its name, where it has one yet.
    fn plan(self, end: &mut Planned, starts: BootMs, now: Now) -> Result<Option<u64>, Rejection> {
        let moved = match (self, *end) {
            (Self::By(ms), Planned::After(length)) => {
                let longer = length.checked_add_signed(ms).filter(|length| *length > 0);
                Planned::After(longer.ok_or_else(past)?)
            }
            (Self::By(ms), Planned::At(at)) => Planned::At(shifted(at, ms)),
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
            Self::By(ms) => (shifted(run.deadline, ms), run.ends_at_ms.saturating_add_signed(ms)),
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
}

fn shifted(at: BootMs, ms: i64) -> BootMs {
    BootMs(at.0.saturating_add_signed(ms))
}
