//! How long an operator waits.

use std::time::Duration;

use edgectl::wall;
use tokio::time::Instant;

use super::PATIENCE;

/// How long to wait.
pub(super) struct Wait {
    /// Until when.
    pub(super) deadline: Instant,
    /// That long.
    pub(super) limit: Duration,
    /// The operator said so, so news make it no longer.
    pub(super) fixed: bool,
}

impl Wait {
    /// Something is to happen at `at_ms` (UTC): waits for it, and as long again as at first.
    pub(super) fn extend(&mut self, at_ms: u64) {
        if self.fixed {
            return;
        }
        let until = Duration::from_millis(at_ms.saturating_sub(wall::now_ms())) + PATIENCE;
        self.deadline = self.deadline.max(Instant::now() + until);
        self.limit = self.limit.max(until);
    }
}
