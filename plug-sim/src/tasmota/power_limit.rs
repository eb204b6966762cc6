//! `MaxPower`: too much for too long, and the plug opens all its relays.
//!
//! Source: arendst/Tasmota `xdrv_03_energy` (`EnergyMarginCheck`). What it does after
//! `MaxPowerWindow`, closing them again up to `SetOption33` times, is left out.

use std::time::Duration;

use serde_json::json;

use super::timers::SECOND_TICK;
use super::{Action, Tasmota};
use crate::By;

/// Looks in a row at more than the limit, where `MaxPowerHold` was never set.
const HOLD: u32 = 10;

/// What its last look has left.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PowerLimit {
    looked: Duration,
    /// Looks that will pass still, while it is too much.
    patience: Option<u32>,
}

impl Tasmota {
    /// When it may look at its meter again, if it is to see anything there.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.exceeds().map(|_| self.board.now.max(self.limit.looked + SECOND_TICK))
    }

    /// Looks at the meter, as the firmware does each second.
    pub(super) fn look(&mut self) {
        let Some(watts) = self.exceeds() else { return };
        let before = std::mem::replace(&mut self.limit.looked, self.board.now);
        let in_a_row = self.board.now < before + 2 * SECOND_TICK;
        let hold = self.numbers.get("MaxPowerHold").copied().filter(|hold| *hold > 1);
        let patience = self.limit.patience.filter(|_| in_a_row);
        self.limit.patience = match patience {
            None => Some(hold.unwrap_or(HOLD)),
            Some(more @ 2..) => Some(more - 1),
            Some(0 | 1) => {
                self.warn("MaxPowerReached", json!(watts.floor()));
                self.power_all(Action::Off, By::Protection);
                None
            }
        };
    }

    /// What all relays draw together, if it is more than the limit.
    fn exceeds(&self) -> Option<f64> {
        let limit = self.numbers.get("MaxPower").copied().filter(|limit| *limit > 0)?;
        let watts: f64 = (0..self.board.relays.len()).map(|relay| self.board.shown_w(relay)).sum();
        (self.profile.meter && watts > f64::from(limit)).then_some(watts)
    }
}
