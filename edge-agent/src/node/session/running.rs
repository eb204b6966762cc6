//! The clock of a session: planned before it runs, then a deadline on the boot clock (contract, 6.2, 6.5).

use serde::{Deserialize, Serialize};

use crate::node::time::{BootMs, Now};

/// When a session will end that does not run yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Planned {
    /// So long after all outlets are confirmed on.
    After(u64),
    /// Then.
    At(BootMs),
}

impl Planned {
    pub(super) fn shift(&mut self, ms: i64) {
        if let Self::At(at) = self {
            *at = at.shifted(ms);
        }
    }
}

/// The clock of a session that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Running {
    /// On the boot clock, so that a wall-clock step cannot move it.
    pub(super) deadline: BootMs,
    /// The deadline's name on the wall clock, as told.
    pub(super) ends_at_ms: u64,
    /// Powered since; `None` where it never was, or is not any more.
    pub(super) since: Option<BootMs>,
    /// Powered before that.
    pub(super) powered_ms: u64,
    /// The warnings to come, longest first.
    pub(super) warnings: Vec<u64>,
}

impl Running {
    /// The clock of a session that is powered from now on.
    pub(super) fn begin(end: Planned, warn_before_ms: &[u64], powered_ms: u64, now: Now) -> Self {
        let deadline = match end {
            Planned::After(ms) => now.boot + ms,
            Planned::At(at) => at,
        };
        let ends_at_ms = now.wall_at(deadline);
        let since = Some(now.boot);
        let mut run = Self { deadline, ends_at_ms, since, powered_ms, warnings: Vec::new() };
        run.arm_warnings(warn_before_ms, now.boot);
        run
    }

    /// When it was powered last, in the same reading of the clocks that named its deadline.
    pub(super) fn began_at_ms(&self) -> Option<u64> {
        self.since.map(|since| self.ends_at_ms.saturating_sub(self.deadline - since))
    }

    /// The clock of a session that ends now without having been powered last.
    pub(super) fn over(powered_ms: u64, now: Now) -> Self {
        Self {
            deadline: now.boot,
            ends_at_ms: now.wall_ms,
            since: None,
            powered_ms,
            warnings: Vec::new(),
        }
    }

    /// Every warning that lies ahead.
    pub(super) fn arm_warnings(&mut self, warn_before_ms: &[u64], now: BootMs) {
        let remaining = self.deadline - now;
        self.warnings =
            warn_before_ms.iter().copied().filter(|before| *before < remaining).collect();
    }

    /// When the next warning is due.
    pub(super) fn warns_at(&self) -> Option<BootMs> {
        let before = i64::try_from(*self.warnings.first()?).unwrap_or(i64::MAX);
        Some(self.deadline.shifted(-before))
    }

    /// How long it has been powered so far.
    pub(super) fn powered(&self, now: BootMs) -> u64 {
        self.powered_ms.saturating_add(self.since.map_or(0, |since| now - since))
    }
}
