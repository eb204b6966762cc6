//! What time and its outlets make of a session (contract, section 6).

use edge_protocol::event::{Code, SessionRemaining, SessionTimes, SessionTransferred, What};
use edge_protocol::id::{CommandId, OutletId};

use super::running::{Planned, Running};
use super::sequence::{self, Fall};
use super::{Phase, Resuming, Session};
use crate::node::outlet::Outlets;
use crate::node::time::{BootMs, Now};

/// What became of a session.
#[derive(Debug, Default)]
pub(in crate::node) struct Progress {
    /// What there is to tell, each with its cause.
    pub(in crate::node) told: Vec<(CommandId, What)>,
    /// Whether it changed, so that it must be written.
    pub(in crate::node) changed: bool,
    /// It is over and to be forgotten but for its id.
    pub(in crate::node) over: bool,
    /// Its outlets must be read back off from now on, even if they already were.
    pub(in crate::node) read_back: bool,
    /// Outlets that are its own no more, and go off.
    pub(in crate::node) let_go: Vec<Fall>,
}

impl Session {
    /// Lets time and its outlets act on it.
    pub(in crate::node) fn advance(&mut self, outlets: &Outlets, now: Now) -> Progress {
        let mut progress = Progress::default();
        // Each turn settles one transition; a session has few.
        while !progress.over && self.turn(outlets, now, &mut progress) {
            progress.changed = true;
        }
        progress
    }

    /// One transition, where one is due.
    fn turn(&mut self, outlets: &Outlets, now: Now, progress: &mut Progress) -> bool {
        match &self.phase {
            Phase::Booked { .. } | Phase::Paused { resuming: None, .. } => false,
            Phase::Starting { .. } => self.turn_starting(outlets, now, progress),
            Phase::Active { .. } => self.turn_active(outlets, now, progress),
            Phase::Paused { .. } => self.turn_resuming(outlets, now, progress),
            Phase::Ending(_) => self.turn_ending(outlets, now, progress),
        }
    }

    fn turn_starting(&mut self, outlets: &Outlets, now: Now, progress: &mut Progress) -> bool {
        let Phase::Starting { give_up, end, lit } = &mut self.phase else { return false };
        *give_up = sequence::patience(*give_up, &self.outlets, outlets);
        match lit {
            Some(run) if ready(run, &self.outlets, self.grace_ms, outlets, now.boot) => {
                let run = run.clone();
                let times = SessionTimes {
                    started_at_ms: run.began_at_ms(),
                    ends_at_ms: Some(run.ends_at_ms),
                    ..self.times()
                };
                progress.told.push((self.cause.clone(), What::SessionStarted(times)));
                self.phase = Phase::Active { run, moving: None, extensions: Vec::new() };
            }
            None if matches!(end, Planned::At(at) if now.boot >= *at) => {
                let message = "its end came before it was powered".to_owned();
                self.fail(Code::Expired, message, now, progress);
            }
            None if sequence::lit(&self.outlets, outlets) => {
                *lit = Some(Running::begin(*end, &self.warn_before_ms, 0, now));
                self.guessed &= matches!(end, Planned::At(_));
            }
            Some(_) | None if now.boot >= *give_up => {
                let obstacle = sequence::obstacle(&self.outlets, outlets);
                let message = format!("not powered within 30 s: {obstacle}");
                self.fail(Code::Unpowered, message, now, progress);
            }
            Some(_) | None => return false,
        }
        true
    }

    fn turn_active(&mut self, outlets: &Outlets, now: Now, progress: &mut Progress) -> bool {
        let Phase::Active { run, extensions, .. } = &mut self.phase else { return false };
        if now.boot >= run.deadline {
            let run = run.clone();
            self.expire(run, now, progress);
            return true;
        }
        if run.warns_at().is_some_and(|at| now.boot >= at) {
            run.warnings.remove(0);
            let remaining_ms = run.deadline - now.boot;
            let (session, station) = (self.id.clone(), self.station.clone());
            let remaining = SessionRemaining { session, station, remaining_ms };
            progress.told.push((self.cause.clone(), What::SessionWarning(remaining)));
            return true;
        }
        let off = run.deadline + self.grace_ms;
        let settled = |id| outlets.get(id).is_none_or(|outlet| outlet.lease_settled(off, now.boot));
        if !extensions.is_empty() && self.outlets.iter().all(settled) {
            self.tell_extensions(progress);
            return true;
        }
        self.turn_moving(outlets, now, progress)
    }

    fn turn_moving(&mut self, outlets: &Outlets, now: Now, progress: &mut Progress) -> bool {
        let Phase::Active { run, moving, .. } = &mut self.phase else { return false };
        let Some(new) = moving.as_mut() else { return false };
        new.give_up = sequence::patience(new.give_up, &new.outlets, outlets);
        let off = run.deadline + self.grace_ms;
        if sequence::leased(&new.outlets, off, outlets, now.boot) {
            let ends_at_ms = Some(run.ends_at_ms);
            let Some(new) = moving.take() else { return false };
            let from = std::mem::replace(&mut self.station, new.station);
            let old = std::mem::replace(&mut self.outlets, new.outlets);
            self.begin_metering(outlets, now.boot);
            progress.let_go.push(Fall { outlets: old, since: now.boot });
            let (session, station) = (self.id.clone(), self.station.clone());
            let transferred = SessionTransferred { session, station, from, ends_at_ms };
            progress.told.push((new.cause, What::SessionTransferred(transferred)));
            return true;
        }
        if now.boot < new.give_up {
            return false;
        }
        let obstacle = sequence::obstacle(&new.outlets, outlets);
        let message = format!("{} was not powered within 30 s: {obstacle}", new.station);
        self.refuse_transfer(Code::Unpowered, &message, now, progress);
        true
    }

    fn turn_resuming(&mut self, outlets: &Outlets, now: Now, progress: &mut Progress) -> bool {
        let Phase::Paused { remaining_ms, powered_ms, resuming: Some(resuming), .. } =
            &mut self.phase
        else {
            return false;
        };
        resuming.give_up = sequence::patience(resuming.give_up, &self.outlets, outlets);
        match &resuming.lit {
            Some(run) if ready(run, &self.outlets, self.grace_ms, outlets, now.boot) => {
                let (run, cause) = (run.clone(), resuming.cause.clone());
                let times = SessionTimes { ends_at_ms: Some(run.ends_at_ms), ..self.times() };
                progress.told.push((cause, What::SessionResumed(times)));
                self.phase = Phase::Active { run, moving: None, extensions: Vec::new() };
            }
            None if sequence::lit(&self.outlets, outlets) => {
                let rest = Planned::After(*remaining_ms);
                resuming.lit = Some(Running::begin(rest, &self.warn_before_ms, *powered_ms, now));
            }
            Some(_) | None if now.boot >= resuming.give_up => {
                let obstacle = sequence::obstacle(&self.outlets, outlets);
                let message = format!("not powered within 30 s: {obstacle}");
                self.refuse_resume(Code::Unpowered, &message, now, progress);
            }
            Some(_) | None => return false,
        }
        true
    }

    /// Tells extensions whose leases are settled, or don't matter any more.
    fn tell_extensions(&mut self, progress: &mut Progress) {
        let times = self.times();
        let Phase::Active { run, extensions, .. } = &mut self.phase else { return };
        let ends_at_ms = Some(run.ends_at_ms);
        for cause in std::mem::take(extensions) {
            let times = SessionTimes { ends_at_ms, ..times.clone() };
            progress.told.push((cause, What::SessionExtended(times)));
        }
    }

    /// Settles what was on its way in an active session that is about to be something else.
    pub(super) fn leave_active(&mut self, why: &str, now: Now, progress: &mut Progress) {
        self.tell_extensions(progress);
        self.refuse_transfer(Code::Conflict, why, now, progress);
    }

    /// Gives up a transfer that is on its way, if one is.
    fn refuse_transfer(&mut self, code: Code, why: &str, now: Now, progress: &mut Progress) {
        let problem = self.problem(code, why.to_owned());
        if let Phase::Active { moving, .. } = &mut self.phase
            && let Some(moving) = moving.take()
        {
            progress.let_go.push(Fall { outlets: moving.outlets, since: now.boot });
            progress.told.push((moving.cause, What::SessionRefused(problem)));
        }
    }

    /// Gives up a resume that is on its way, if one is.
    pub(super) fn refuse_resume(
        &mut self,
        code: Code,
        why: &str,
        now: Now,
        progress: &mut Progress,
    ) {
        let problem = self.problem(code, why.to_owned());
        if let Phase::Paused { since, resuming, .. } = &mut self.phase
            && let Some(Resuming { cause, .. }) = resuming.take()
        {
            *since = now.boot;
            progress.told.push((cause, What::SessionRefused(problem)));
        }
    }
}

/// Whether a clock that runs can be told: its leases are renewed to the off time, or its deadline
/// has come meanwhile.
fn ready(run: &Running, ids: &[OutletId], grace_ms: u64, outlets: &Outlets, now: BootMs) -> bool {
    now >= run.deadline || sequence::leased(ids, run.deadline + grace_ms, outlets, now)
}
