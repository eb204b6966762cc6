//! One session: what it is, and what `state` says of it (contract, section 6). What commands, time,
//! its outlets and a reboot make of it is next door, a file each.

mod booking;
mod claims;
mod command;
mod ending;
mod energy;
mod progress;
mod reboot;
mod running;
mod sequence;

use std::collections::BTreeMap;

use edge_protocol::event::{Code, Reason, SessionProblem, SessionTimes};
use edge_protocol::id::{CommandId, OutletId, SessionId, StationId};
use edge_protocol::presence::SessionState;
use serde::{Deserialize, Serialize};

pub(super) use self::booking::{Defaults, Instants};
pub(super) use self::claims::Claim;
use self::energy::Used;
pub(super) use self::progress::Progress;
use self::running::{Planned, Running};
pub(super) use self::sequence::Fall;
use super::time::{BootMs, Now};

/// A station must be powered within this, from the moment its first on could be sent.
const START_PATIENCE_MS: u64 = 30_000;

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
    /// Its time stands on a guess of how long a reboot took, which is still to be corrected.
    guessed: bool,
    phase: Phase,
    /// What its outlets have used, where they are metered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    energy: BTreeMap<OutletId, Used>,
}

/// ```text
/// booked ─▶ starting ─▶ active ⇄ paused
///              │           └──▶ ending ─▶ (ended)
///              └─▶ (failed)
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    /// Not before `starts`.
    Booked { starts: BootMs, end: Planned },
    /// Its outlets go on; `lit` once all are and only their leases are to be renewed.
    Starting { give_up: BootMs, end: Planned, lit: Option<Running> },
    /// Powered. `extensions` are those whose leases are not confirmed yet.
    Active { run: Running, moving: Option<Moving>, extensions: Vec<CommandId> },
    /// Not powered since then, the rest kept.
    Paused { since: BootMs, remaining_ms: u64, powered_ms: u64, resuming: Option<Resuming> },
    /// Past the deadline; powered until `off`. Left only by a read-back, or abandoned.
    Ending(Ending),
}

/// A transfer on its way: the new station goes on before the old goes off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Moving {
    station: StationId,
    outlets: Vec<OutletId>,
    give_up: BootMs,
    cause: CommandId,
}

/// A resume on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Resuming {
    give_up: BootMs,
    lit: Option<Running>,
    cause: CommandId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ending {
    reason: Reason,
    cause: CommandId,
    run: Running,
    /// The off time.
    off: BootMs,
    /// When the offs began.
    begun: Option<BootMs>,
    abandon: bool,
}

impl Session {
    pub(super) fn live(&self) -> bool {
        !matches!(self.phase, Phase::Booked { .. })
    }

    /// Whether its outlets should be on, as far as its last record tells.
    pub(super) fn powered(&self, now: BootMs) -> bool {
        match &self.phase {
            Phase::Booked { .. } | Phase::Starting { .. } | Phase::Paused { .. } => false,
            Phase::Active { .. } => true,
            Phase::Ending(ending) => now < ending.off,
        }
    }

    /// Whether a resume would have to power it.
    pub(super) fn paused(&self) -> bool {
        matches!(self.phase, Phase::Paused { resuming: None, .. })
    }

    fn moving(&self) -> Option<&Moving> {
        match &self.phase {
            Phase::Active { moving, .. } => moving.as_ref(),
            Phase::Booked { .. }
            | Phase::Starting { .. }
            | Phase::Paused { .. }
            | Phase::Ending(_) => None,
        }
    }

    /// The stations that nobody else may have meanwhile.
    pub(super) fn stations(&self) -> impl Iterator<Item = &StationId> {
        let own = self.live().then_some(&self.station);
        own.into_iter().chain(self.moving().map(|moving| &moving.station))
    }

    /// Whether an outlet is its own, or about to be.
    pub(super) fn owns(&self, outlet: &OutletId) -> bool {
        let new = self.moving().is_some_and(|moving| moving.outlets.contains(outlet));
        self.live() && (self.outlets.contains(outlet) || new)
    }

    /// What `state` says of it.
    pub(super) fn state(&self, now: Now) -> SessionState {
        let (phase, run, remaining_ms) = match &self.phase {
            Phase::Booked { .. } => ("booked", None, None),
            Phase::Starting { lit, .. } => ("starting", lit.as_ref(), None),
            Phase::Active { run, .. } => ("active", Some(run), Some(run.deadline - now.boot)),
            Phase::Paused { remaining_ms, .. } => ("paused", None, Some(*remaining_ms)),
            Phase::Ending(ending) => ("ending", Some(&ending.run), Some(0)),
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

    /// An event's times, none of them known yet.
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
