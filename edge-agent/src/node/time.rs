//! The two clocks that a decision may see, as values.

use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Milliseconds on CLOCK_BOOTTIME: it counts through suspend, and no clock step moves it.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BootMs(pub u64);

impl Add<u64> for BootMs {
    type Output = Self;

    /// Saturates: no deadline lies beyond the end of time.
    fn add(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl Sub for BootMs {
    type Output = u64;

    /// How long after `earlier` this is, 0 where it is before.
    fn sub(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What the clocks read, once a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// CLOCK_BOOTTIME.
    pub boot: BootMs,
    /// The wall clock: UTC, milliseconds since the Unix epoch; a lower bound while not `synced`.
    pub wall_ms: u64,
    /// Whether the wall clock was set from a trusted source in this boot.
    pub synced: bool,
}

impl Now {
    /// The wall clock's name for a boot-clock instant, past or to come.
    #[must_use]
    pub fn wall_at(self, boot: BootMs) -> u64 {
        if boot >= self.boot {
            self.wall_ms.saturating_add(boot - self.boot)
        } else {
            self.wall_ms.saturating_sub(self.boot - boot)
        }
    }

    /// The boot clock's name for a wall-clock instant.
    #[must_use]
    pub fn boot_at(self, wall_ms: u64) -> BootMs {
        if wall_ms >= self.wall_ms {
            self.boot + (wall_ms - self.wall_ms)
        } else {
            BootMs(self.boot.0.saturating_sub(self.wall_ms - wall_ms))
        }
    }
}
