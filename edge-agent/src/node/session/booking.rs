//! A session that is asked for, and booked until it starts (contract, section 4, 6.1).

use std::collections::BTreeMap;

use edge_protocol::command::{End, SessionStart};
use edge_protocol::event::{Code, SessionTimes, What};
use edge_protocol::id::{CommandId, OutletId};

use super::running::Planned;
use super::{Phase, START_PATIENCE_MS, Session};
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

impl Session {
    /// A session that a command asks for. Its start may have come already: see [`Self::due`].
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
            energy: BTreeMap::new(),
        })
    }

    fn booking(&self) -> Option<(BootMs, Planned)> {
        match self.phase {
            Phase::Booked { starts, end } => Some((starts, end)),
            Phase::Starting { .. }
            | Phase::Active { .. }
            | Phase::Paused { .. }
            | Phase::Ending(_) => None,
        }
    }

    /// Whether it is booked and its start has come.
    pub(in crate::node) fn due(&self, now: BootMs) -> bool {
        self.booking().is_some_and(|(starts, _)| now >= starts)
    }

    /// Whether its whole time has passed before it could start.
    pub(in crate::node) fn missed(&self, now: BootMs) -> bool {
        self.booking().is_some_and(|(starts, end)| match end {
            Planned::After(ms) => now >= starts + ms,
            Planned::At(at) => now >= at,
        })
    }

    /// Begins to power a booked one.
    pub(in crate::node) fn begin(&mut self, now: BootMs) {
        if let Some((_, end)) = self.booking() {
            self.phase = Phase::Starting { give_up: now + START_PATIENCE_MS, end, lit: None };
        }
    }

    /// What a booking tells.
    pub(in crate::node) fn booked(&self, now: Now) -> What {
        let (starts_at_ms, ends_at_ms) = match self.booking() {
            Some((starts, Planned::At(at))) => (Some(now.wall_at(starts)), Some(now.wall_at(at))),
            Some((starts, Planned::After(_))) => (Some(now.wall_at(starts)), None),
            None => (None, None),
        };
        What::SessionBooked(SessionTimes { starts_at_ms, ends_at_ms, ..self.times() })
    }
}
