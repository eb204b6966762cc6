//! The two clocks that a decision may see, as values.

use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Milliseconds on CLOCK_BOOTTIME: it counts through suspend, and no clock step moves it. Negative
/// for what lies before this boot.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BootMs(pub i64);

impl BootMs {
    /// How long the machine had been up by then; 0 where this lies before the boot.
    #[must_use]
    pub fn uptime_ms(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }

    /// So much later, or earlier where `ms` is negative. Saturates.
    #[must_use]
    pub fn shifted(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl From<u64> for BootMs {
    /// Saturates: no uptime comes near the end of time.
    fn from(uptime_ms: u64) -> Self {
        Self(i64::try_from(uptime_ms).unwrap_or(i64::MAX))
    }
}

impl Add<u64> for BootMs {
    type Output = Self;

    /// Saturates: no deadline lies beyond the end of time.
    fn add(self, ms: u64) -> Self {
        Self(self.0.saturating_add_unsigned(ms))
    }
}

impl Sub for BootMs {
    type Output = u64;

    /// How long after `earlier` this is, 0 where it is before.
    fn sub(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
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
            BootMs(self.boot.0.saturating_sub_unsigned(self.wall_ms - wall_ms))
        }
    }
}
