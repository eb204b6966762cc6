//! The true time of the world, and what the node's two clocks make of it.

use edge_agent::node::time::{BootMs, Now};

/// The wall clock's true name for the world's first moment.
const EPOCH_MS: u64 = 1_763_690_000_000;
/// No wall clock is read below the build's date.
const BUILT_MS: u64 = EPOCH_MS - 40 * 24 * 3_600_000;

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
}

impl Clocks {
    pub(super) fn new() -> Self {
        Self {
            real: 10_000_000,
            boot: 1,
            booted_at: 9_980_000,
            started: 0,
            wall_error: 0,
            synced: true,
        }
    }

    pub(super) fn now(&self) -> Now {
        let wall_ms = self
            .true_wall()
            .saturating_add_signed(self.wall_error)
            .max(BUILT_MS + (self.real - self.started));
        Now { boot: BootMs::from(self.real - self.booted_at), wall_ms, synced: self.synced }
    }

    pub(super) fn true_wall(&self) -> u64 {
        EPOCH_MS + self.real
    }

    pub(super) fn boot_id(&self) -> String {
        format!("boot-{}", self.boot)
    }

    /// The true time of an instant of the boot clock.
    pub(super) fn real_at(&self, boot: BootMs) -> u64 {
        self.booted_at.saturating_add_signed(boot.0)
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
