//! One session: its states, and what time and its outlets make of it (contract, section 6).
//! What commands make of it is next door, in `session/command.rs`.

mod command;

pub(super) use self::command::{Defaults, Instants};

use std::collections::BTreeMap;

use edge_protocol::event::{
    Code, Proof, Reason, SessionEnded, SessionEnding, SessionProblem, SessionRemaining,
    SessionTimes, SessionTransferred, What,
};
use edge_protocol::id::{CommandId, OutletId, SessionId, StationId};
use edge_protocol::presence::SessionState;
use serde::{Deserialize, Serialize};

use super::outlet::Outlet;
use super::time::{BootMs, Now};

/// A station must be powered within this, from the moment its first on could be sent.
pub(super) const START_PATIENCE_MS: u64 = 30_000;
/// The next outlet goes off this long after the one before, confirmed or not.
const OFF_STAGGER_MS: u64 = 200;

/// The outlets of a node, to look at.
pub(super) type Outlets = BTreeMap<OutletId, Outlet>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) station: StationId,
    /// In the order in which they go on.
    pub(super) outlets: Vec<OutletId>,
    grace_ms: u64,
    /// How long before the deadline to warn, longest first.
    warn_before_ms: Vec<u64>,
    label: Option<String>,
    /// The command that started it.
    pub(super) cause: CommandId,
    pub(super) last_seq: u64,
    /// The deadline stands on a guess of how long a reboot took; a synced clock will correct it.
    pub(super) guessed: bool,
    pub(super) phase: Phase,
}

/// ```text
/// booked ─▶ starting ─▶ active ⇄ paused
///              │           └──▶ ending ─▶ (ended)
///              └─▶ (failed)
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// Not before `starts`.
    Booked { starts: BootMs, end: Planned },
    /// Its outlets go on; `lit` once all are and only their leases are to be renewed.
    Starting { give_up: BootMs, end: Planned, lit: Option<Running> },
    /// Powered.
    Active { run: Running, moving: Option<Moving>, extensions: Vec<CommandId> },
    /// Not powered, the rest kept.
    Paused { remaining_ms: u64, powered_ms: u64, resuming: Option<Resuming> },
    /// Past the deadline; powered until `off`. Left only by a read-back, or abandoned.
    Ending { reason: Reason, run: Running, off: BootMs, off_begun: bool, abandon: bool },
}

/// When a session will end that does not run yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Planned {
    /// So long after all outlets are confirmed on.
    After(u64),
    /// Then.
    At(BootMs),
}

/// The clock of a session that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    /// On the boot clock, so that a wall-clock step cannot move it.
    deadline: BootMs,
    /// The deadline's name on the wall clock, as told.
    ends_at_ms: u64,
    /// Powered since; `None` where it never was, or is not any more.
    since: Option<BootMs>,
    /// Powered before that.
    powered_ms: u64,
    /// The warnings to come, longest first.
    warnings: Vec<u64>,
}

/// A transfer on its way: the new station goes on before the old goes off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Moving {
    pub(super) station: StationId,
    pub(super) outlets: Vec<OutletId>,
    give_up: BootMs,
    cause: CommandId,
}

/// A resume on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Resuming {
    give_up: BootMs,
    lit: Option<Running>,
    cause: CommandId,
}

/// What a session wants of an outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim {
    /// On until the off time.
    On(BootMs),
    /// Off, but a hold may say otherwise.
    Off,
    /// Off, whatever a hold says.
    End,
}

/// What time and outlets made of a session.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// What there is to tell, each with its cause.
    pub(super) told: Vec<(CommandId, What)>,
    /// Whether it changed, so that it must be written.
    pub(super) changed: bool,
    /// It is over and to be forgotten but for its id.
    pub(super) over: bool,
    /// These outlets must be read back off from now on, even if they already were.
    pub(super) read_back: bool,
}

impl Running {
    fn new(end: Planned, session: &Session, now: Now, powered_ms: u64) -> Self {
        let deadline = match end {
            Planned::After(ms) => now.boot + ms,
            Planned::At(at) => at,
        };
        let mut run = Self {
            deadline,
            ends_at_ms: now.wall_at(deadline),
            since: Some(now.boot),
            powered_ms,
            warnings: Vec::new(),
        };
        run.arm_warnings(&session.warn_before_ms, now.boot);
        run
    }

    /// Every warning that lies ahead.
    fn arm_warnings(&mut self, warn_before_ms: &[u64], now: BootMs) {
        let remaining = self.deadline - now;
        self.warnings =
            warn_before_ms.iter().copied().filter(|before| *before < remaining).collect();
    }

    fn powered(&self, now: BootMs) -> u64 {
        self.powered_ms + self.since.map_or(0, |since| now - since)
    }
}

impl Session {
    /// The time from which on its power must be gone, where that is known.
    pub(super) fn off_at(&self) -> Option<BootMs> {
        match &self.phase {
            Phase::Booked { .. } | Phase::Paused { .. } => None,
            Phase::Starting { give_up, end, lit } => Some(match (lit, end) {
                (Some(run), _) => run.deadline + self.grace_ms,
                (None, Planned::After(ms)) => *give_up + *ms + self.grace_ms,
                (None, Planned::At(at)) => *at + self.grace_ms,
            }),
            Phase::Active { run, .. } => Some(run.deadline + self.grace_ms),
            Phase::Ending { off, .. } => Some(*off),
        }
    }

    pub(super) fn live(&self) -> bool {
        !matches!(self.phase, Phase::Booked { .. })
    }

    /// Whether its outlets should be on, as far as its last record tells.
    pub(super) fn powered(&self, now: BootMs) -> bool {
        match &self.phase {
            Phase::Booked { .. } | Phase::Starting { .. } | Phase::Paused { .. } => false,
            Phase::Active { .. } => true,
            Phase::Ending { off, .. } => now < *off,
        }
    }

    /// The stations that nobody else may have meanwhile.
    pub(super) fn stations(&self) -> impl Iterator<Item = &StationId> {
        let moving = match &self.phase {
            Phase::Active { moving: Some(moving), .. } => Some(&moving.station),
            Phase::Booked { .. }
            | Phase::Starting { .. }
            | Phase::Active { .. }
            | Phase::Paused { .. }
            | Phase::Ending { .. } => None,
        };
        std::iter::once(&self.station).filter(|_| self.live()).chain(moving)
    }

    /// What it wants of each outlet.
    pub(super) fn claims(&self, outlets: &Outlets, now: BootMs) -> Vec<(OutletId, Claim)> {
        let off = self.off_at().unwrap_or(now);
        match &self.phase {
            Phase::Booked { .. } => Vec::new(),
            Phase::Starting { .. } => one_by_one(&self.outlets, off, outlets),
            Phase::Active { moving, .. } => {
                let mut claims: Vec<_> =
                    self.outlets.iter().map(|id| (id.clone(), Claim::On(off))).collect();
                if let Some(moving) = moving {
                    claims.extend(one_by_one(&moving.outlets, off, outlets));
                }
                claims
            }
            Phase::Paused { resuming: Some(resuming), remaining_ms, .. } => {
                let off = match &resuming.lit {
                    Some(run) => run.deadline + self.grace_ms,
                    None => resuming.give_up + *remaining_ms + self.grace_ms,
                };
                one_by_one(&self.outlets, off, outlets)
            }
            Phase::Paused { resuming: None, .. } => self.going_off(Claim::Off, now, outlets),
            Phase::Ending { off, .. } if now < *off => {
                self.outlets.iter().map(|id| (id.clone(), Claim::On(*off))).collect()
            }
            Phase::Ending { .. } => self.going_off(Claim::End, now, outlets),
        }
    }

    /// Off in reverse order: each once the one before is confirmed, or after 200 ms.
    fn going_off(&self, claim: Claim, now: BootMs, outlets: &Outlets) -> Vec<(OutletId, Claim)> {
        let mut claims = Vec::new();
        let mut let_go = true;
        for id in self.outlets.iter().rev() {
            claims.push((id.clone(), if let_go { claim } else { Claim::On(now) }));
            let_go = let_go
                && outlets.get(id).is_none_or(|outlet| {
                    outlet.confirmed_off()
                        || (matches!(outlet.want(), super::outlet::Want::Off(_))
                            && now >= outlet.wanted_since() + OFF_STAGGER_MS)
                });
        }
        claims
    }

    /// When time alone will next change something.
    pub(super) fn wake_at(&self, outlets: &Outlets) -> Option<BootMs> {
        match &self.phase {
            Phase::Booked { starts, .. } => Some(*starts),
            Phase::Starting { give_up, .. } => {
                Some((*give_up).min(self.off_at().unwrap_or(*give_up)))
            }
            Phase::Active { run, moving, .. } => {
                let warning = run
                    .warnings
                    .first()
                    .map(|before| BootMs(run.deadline.0.saturating_sub(*before)));
                let give_up = moving.as_ref().map(|moving| moving.give_up);
                [Some(run.deadline), warning, give_up].into_iter().flatten().min()
            }
            Phase::Paused { resuming, .. } => match resuming {
                Some(resuming) => Some(resuming.give_up),
                None => self.next_off(outlets),
            },
            Phase::Ending { off, off_begun: false, .. } => Some(*off),
            Phase::Ending { .. } => self.next_off(outlets),
        }
    }

    fn next_off(&self, outlets: &Outlets) -> Option<BootMs> {
        let unconfirmed =
            |id: &&OutletId| outlets.get(*id).is_some_and(|outlet| !outlet.confirmed_off());
        let first = self.outlets.iter().rev().find(unconfirmed)?;
        let more = self.outlets.iter().filter(unconfirmed).count() > 1;
        more.then(|| outlets.get(first).map(|outlet| outlet.wanted_since() + OFF_STAGGER_MS))
            .flatten()
    }

    /// Lets time and its outlets act on it.
    pub(super) fn advance(&mut self, outlets: &Outlets, now: Now) -> Progress {
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
            Phase::Ending { .. } => self.turn_ending(outlets, now, progress),
        }
    }

    fn turn_starting(&mut self, outlets: &Outlets, now: Now, progress: &mut Progress) -> bool {
        let Phase::Starting { give_up, end, lit } = &self.phase else { return false };
        let (give_up, end) = (*give_up, *end);
        if let Some(run) = lit.clone() {
            let due = now.boot >= run.deadline;
            if due || leased(&self.outlets, run.deadline + self.grace_ms, outlets, now.boot) {
                let times = SessionTimes {
                    starts_at_ms: None,
                    started_at_ms: Some(now.wall_at(run.since.unwrap_or(now.boot))),
                    ends_at_ms: Some(run.ends_at_ms),
                    ..self.times()
                };
                progress.told.push((self.cause.clone(), What::SessionStarted(times)));
                self.phase = Phase::Active { run, moving: None, extensions: Vec::new() };
                return true;
            }
        } else {
            let too_late = matches!(end, Planned::At(at) if now.boot >= at);
            if !too_late && lit_up(&self.outlets, outlets) {
                let run = Running::new(end, self, now, 0);
                self.phase = Phase::Starting { give_up, end, lit: Some(run) };
                return true;
            }
            if too_late {
                return self.fail(
                    Code::Expired,
                    "its end came before it was powered".into(),
                    progress,
                );
            }
        }
        if now.boot >= give_up {
            let message = format!("not powered within 30 s: {}", obstacle(&self.outlets, outlets));
            return self.fail(Code::Unpowered, message, progress);
        }
        false
    }

    pub(super) fn fail(&mut self, code: Code, message: String, progress: &mut Progress) -> bool {
        let problem = self.problem(code, message);
        progress.told.push((self.cause.clone(), What::SessionFailed(problem)));
        progress.over = true;
        true
    }

    fn turn_active(&mut self, outlets: &Outlets, now: Now, progress: &mut Progress) -> bool {
        let (id, station) = (self.id.clone(), self.station.clone());
        let Phase::Active { run, moving, extensions } = &mut self.phase else { return false };
        if now.boot >= run.deadline {
            let run = run.clone();
            self.begin_ending(Reason::Expired, run, now, progress);
            return true;
        }
        if let Some(before) = run.warnings.first().copied()
            && now.boot + before >= run.deadline
        {
            run.warnings.remove(0);
            let remaining =
                SessionRemaining { session: id, station, remaining_ms: run.deadline - now.boot };
            progress.told.push((self.cause.clone(), What::SessionWarning(remaining)));
            return true;
        }
        let off = run.deadline + self.grace_ms;
        let settled = self.outlets.iter().all(|id| {
            outlets.get(id).is_none_or(|outlet| {
                outlet.failing() || outlet.confirmed_leased(Some(off), now.boot)
            })
        });
        if !extensions.is_empty() && settled {
            let causes = std::mem::take(extensions);
            let ends_at_ms = Some(run.ends_at_ms);
            for cause in causes {
                let times = SessionTimes { ends_at_ms, ..self.times() };
                progress.told.push((cause, What::SessionExtended(times)));
            }
            return true;
        }
        let Some(Moving { station: to, outlets: new, give_up, cause }) = moving.clone() else {
            return false;
        };
        if leased(&new, off, outlets, now.boot) {
            *moving = None;
            let ends_at_ms = Some(run.ends_at_ms);
            self.station = to.clone();
            self.outlets = new;
            let transferred =
                SessionTransferred { session: id, station: to, from: station, ends_at_ms };
            progress.told.push((cause, What::SessionTransferred(transferred)));
            return true;
        }
        if now.boot >= give_up {
            let message = format!("{to} was not powered within 30 s: {}", obstacle(&new, outlets));
            self.stop_moving(Code::Unpowered, message, progress);
            return true;
        }
        false
    }

    /// Gives up a transfer that is on its way.
    fn stop_moving(&mut self, code: Code, message: String, progress: &mut Progress) {
        let problem = self.problem(code, message);
        if let Phase::Active { moving, .. } = &mut self.phase
            && let Some(moving) = moving.take()
        {
            progress.told.push((moving.cause, What::SessionRefused(problem)));
        }
    }

    fn turn_resuming(&mut self, outlets: &Outlets, now: Now, progress: &mut Progress) -> bool {
        let Phase::Paused { remaining_ms, powered_ms, resuming: Some(resuming) } = &self.phase
        else {
            return false;
        };
        let (remaining_ms, powered_ms, resuming) = (*remaining_ms, *powered_ms, resuming.clone());
        match resuming.lit {
            Some(run)
                if now.boot >= run.deadline
                    || leased(&self.outlets, run.deadline + self.grace_ms, outlets, now.boot) =>
            {
                let times = SessionTimes { ends_at_ms: Some(run.ends_at_ms), ..self.times() };
                progress.told.push((resuming.cause, What::SessionResumed(times)));
                self.phase = Phase::Active { run, moving: None, extensions: Vec::new() };
                true
            }
            None if lit_up(&self.outlets, outlets) => {
                let run = Running::new(Planned::After(remaining_ms), self, now, powered_ms);
                let resuming = Some(Resuming { lit: Some(run), ..resuming });
                self.phase = Phase::Paused { remaining_ms, powered_ms, resuming };
                true
            }
            _ if now.boot >= resuming.give_up => {
                let obstacle = obstacle(&self.outlets, outlets);
                let problem =
                    self.problem(Code::Unpowered, format!("not powered within 30 s: {obstacle}"));
                progress.told.push((resuming.cause, What::SessionRefused(problem)));
                self.phase = Phase::Paused { remaining_ms, powered_ms, resuming: None };
                true
            }
            _ => false,
        }
    }

    fn begin_ending(&mut self, reason: Reason, run: Running, now: Now, progress: &mut Progress) {
        self.stop_moving(
            Code::Conflict,
            "the session ended before the new station was powered".into(),
            progress,
        );
        let off = run.deadline + self.grace_ms;
        let ending = SessionEnding {
            session: self.id.clone(),
            station: self.station.clone(),
            reason,
            off_at_ms: now.wall_at(off),
        };
        progress.told.push((self.cause.clone(), What::SessionEnding(ending)));
        self.phase = Phase::Ending { reason, run, off, off_begun: false, abandon: false };
    }

    fn turn_ending(&mut self, outlets: &Outlets, now: Now, progress: &mut Progress) -> bool {
        let Phase::Ending { reason, run, off, off_begun, abandon } = &mut self.phase else {
            return false;
        };
        if now.boot < *off {
            return false;
        }
        if !*off_begun {
            *off_begun = true;
            progress.read_back = true;
            return true;
        }
        // `read_back` has not been carried out yet: what is known of the outlets is of before.
        if progress.read_back {
            return false;
        }
        let off_of = |id: &OutletId| outlets.get(id).is_none_or(Outlet::confirmed_off);
        let all_off = self.outlets.iter().all(off_of);
        let given_up = *abandon
            && self
                .outlets
                .iter()
                .all(|id| off_of(id) || outlets.get(id).is_some_and(Outlet::failing));
        if !all_off && !given_up {
            return false;
        }
        let ended = SessionEnded {
            session: self.id.clone(),
            station: self.station.clone(),
            reason: if all_off { *reason } else { Reason::Abandoned },
            powered_ms: run.powered(now.boot),
            ended_at_ms: now.wall_ms,
            late_ms: now.boot - *off,
            proof: all_off.then_some(Proof::ReadBack),
            energy_wh: None,
        };
        progress.told.push((self.cause.clone(), What::SessionEnded(ended)));
        progress.over = true;
        true
    }

    /// Moves every instant on the boot clock; `folded_at` is where powered time is cut, in the old count.
    pub(super) fn rebase(&mut self, shift: impl Fn(BootMs) -> BootMs, folded_at: Option<BootMs>) {
        let run = |run: &mut Running| {
            if let (Some(folded_at), Some(since)) = (folded_at, run.since) {
                run.powered_ms += folded_at - since;
                run.since = Some(folded_at);
            }
            run.since = run.since.map(&shift);
            run.deadline = shift(run.deadline);
        };
        match &mut self.phase {
            Phase::Booked { starts, end } => {
                *starts = shift(*starts);
                end.rebase(&shift);
            }
            Phase::Starting { give_up, end, lit } => {
                *give_up = shift(*give_up);
                end.rebase(&shift);
                lit.iter_mut().for_each(run);
            }
            Phase::Active { run: running, moving, .. } => {
                run(running);
                moving.iter_mut().for_each(|moving| moving.give_up = shift(moving.give_up));
            }
            Phase::Paused { resuming, .. } => {
                if let Some(resuming) = resuming {
                    resuming.give_up = shift(resuming.give_up);
                    resuming.lit.iter_mut().for_each(run);
                }
            }
            Phase::Ending { run: running, off, .. } => {
                run(running);
                *off = shift(*off);
            }
        }
    }

    /// Gives the deadline its name after a correction of the wall clock, where it has one now.
    pub(super) fn rename_deadline(&mut self, now: Now) -> Option<u64> {
        let run = match &mut self.phase {
            Phase::Starting { lit: Some(run), .. }
            | Phase::Active { run, .. }
            | Phase::Ending { run, .. } => run,
            Phase::Booked { .. } | Phase::Starting { lit: None, .. } | Phase::Paused { .. } => {
                return None;
            }
        };
        run.ends_at_ms = now.wall_at(run.deadline);
        Some(run.ends_at_ms)
    }

    /// What `state` says of it.
    pub(super) fn state(&self, now: Now) -> SessionState {
        let (phase, run, remaining_ms) = match &self.phase {
            Phase::Booked { .. } => ("booked", None, None),
            Phase::Starting { lit, .. } => ("starting", lit.as_ref(), None),
            Phase::Active { run, .. } => ("active", Some(run), Some(run.deadline - now.boot)),
            Phase::Paused { remaining_ms, .. } => ("paused", None, Some(*remaining_ms)),
            Phase::Ending { run, .. } => ("ending", Some(run), Some(0)),
        };
        SessionState {
            session: self.id.clone(),
            station: self.station.clone(),
            phase: phase.to_owned(),
            ends_at_ms: run.map(|run| run.ends_at_ms),
            remaining_ms,
            label: self.label.clone(),
            seq: self.last_seq,
        }
    }

    fn times(&self) -> SessionTimes {
        SessionTimes {
            session: self.id.clone(),
            station: self.station.clone(),
            starts_at_ms: None,
            started_at_ms: None,
            ends_at_ms: None,
        }
    }

    fn problem(&self, code: Code, message: String) -> SessionProblem {
        SessionProblem { session: self.id.clone(), station: self.station.clone(), code, message }
    }
}

impl Planned {
    fn rebase(&mut self, shift: impl Fn(BootMs) -> BootMs) {
        if let Self::At(at) = self {
            *at = shift(*at);
        }
    }
}

/// On in order: each once those before it are confirmed.
fn one_by_one(ids: &[OutletId], off: BootMs, outlets: &Outlets) -> Vec<(OutletId, Claim)> {
    let mut lit = true;
    let mut claims = Vec::new();
    for id in ids {
        claims.push((id.clone(), if lit { Claim::On(off) } else { Claim::Off }));
        lit = lit && outlets.get(id).is_some_and(Outlet::confirmed_on);
    }
    claims
}

fn lit_up(ids: &[OutletId], outlets: &Outlets) -> bool {
    ids.iter().all(|id| outlets.get(id).is_some_and(Outlet::confirmed_on))
}

fn leased(ids: &[OutletId], off: BootMs, outlets: &Outlets, now: BootMs) -> bool {
    ids.iter()
        .all(|id| outlets.get(id).is_some_and(|outlet| outlet.confirmed_leased(Some(off), now)))
}

/// Which outlet keeps a station from being powered, and why.
fn obstacle(ids: &[OutletId], outlets: &Outlets) -> String {
    let dark = |id: &&OutletId| outlets.get(*id).is_none_or(|outlet| !outlet.confirmed_on());
    match ids.iter().find(dark) {
        Some(id) => {
            let reason =
                outlets.get(id).and_then(Outlet::fault_message).unwrap_or("no confirmation");
            format!("{id}: {reason}")
        }
        None => "a lease could not be confirmed".to_owned(),
    }
}
