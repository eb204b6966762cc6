//! The true time of the world, and what the node's two clocks make of it.

use edge_agent::node::time::{BootMs, Now};

use super::Sabotage;

/// True time at the world's first moment.
pub(super) const START_MS: u64 = 10_000_000;
/// How long the board has been up by then.
const UP_MS: u64 = 20_000;
/// The wall clock's true name for the moment 0.
const EPOCH_MS: u64 = 1_763_690_000_000;
/// No wall clock is read below the build's date.
const BUILT_MS: u64 = EPOCH_MS - 40 * 24 * 3_600_000;

/// What a wall clock should show so long after the world's first moment.
pub(super) fn true_wall(at_ms: u64) -> u64 {
    EPOCH_MS + START_MS + at_ms
}

#[derive(Debug)]
pub(super) struct Clocks {
    /// True time, milliseconds.
    pub(super) real: u64,
    pub(super) boot: u32,
    booted_at: u64,
    /// When the process started: it was built before that.
    pub(super) started: u64,
    /// What the wall clock shows beyond the truth.
    pub(super) wall_error: i64,
    pub(super) synced: bool,
    sabotage: Option<Sabotage>,
}

impl Clocks {
    pub(super) fn new(sabotage: Option<Sabotage>) -> Self {
        Self {
            real: START_MS,
            boot: 1,
            booted_at: START_MS - UP_MS,
            started: 0,
            wall_error: 0,
            synced: true,
            sabotage,
        }
    }

    pub(super) fn now(&self) -> Now {
        let wall_ms = self
            .true_wall()
            .saturating_add_signed(self.wall_error)
            .max(BUILT_MS + (self.real - self.started));
        let boot = BootMs::from(self.real - self.booted_at).shifted(self.boot_error());
        let synced = self.synced || self.sabotage == Some(Sabotage::UnsyncedTrusted);
        Now { boot, wall_ms, synced }
    }

    /// What the boot clock shows beyond the truth: nothing, but where somebody takes the wall clock for it.
    fn boot_error(&self) -> i64 {
        let misled = self.sabotage == Some(Sabotage::WallClockDeadlines) && self.synced;
        if misled { self.wall_error } else { 0 }
    }

    pub(super) fn true_wall(&self) -> u64 {
        EPOCH_MS + self.real
    }

    pub(super) fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    /// The true time of an instant of the boot clock.
    pub(super) fn real_at(&self, boot: BootMs) -> u64 {
        self.booted_at.saturating_add_signed(boot.0 - self.boot_error())
    }

    /// Another boot, its clock `behind_ms` behind, or trusted.
    pub(super) fn reboot(&mut self, behind_ms: Option<u64>) {
        self.boot += 1;
        self.booted_at = self.real;
        self.synced = behind_ms.is_none();
        self.wall_error = -i64::try_from(behind_ms.unwrap_or(0)).expect("less than a lifetime");
    }

    /// The wall clock is set right and trusted.
    pub(super) fn sync(&mut self) {
        self.synced = true;
        self.wall_error = 0;
    }
}
