//! A device that switched itself off because of what hangs on it.
//!
//! Each on closes its contacts on the same load again, so none follows at once. A thumb on its button, a
//! restart (somebody pulled it out) and a new wish are somebody's word that it may be tried; without any
//! it is tried now and then, since what was too much may be gone.

use super::{Order, Outlet, Reading, UnderWay};
use crate::node::time::BootMs;

/// Between two ons of a device that switches itself off again: 12 an hour spare its contacts, and a
/// customer who took the load away gets the power back within it.
const TRIP_PAUSE_MS: u64 = 300_000;

impl Outlet {
    /// Whether its on waits, since it switched itself off.
    pub(super) fn is_tripped(&self, now: BootMs) -> bool {
        self.tripped_at.is_some_and(|at| now < at + TRIP_PAUSE_MS)
    }

    /// Takes in `reading`; why the device has switched itself off since the one before, which said `was_on`,
    /// though it should be on.
    pub(super) fn trips(
        &mut self,
        answered: UnderWay,
        was_on: Option<bool>,
        reading: Reading,
        now: BootMs,
    ) -> Option<&'static str> {
        if reading.on {
            self.tripped_at = None;
        }
        let word = reading.tripped.filter(|_| !reading.on && self.want.is_on())?;
        let by_itself = match answered.order {
            // It may have switched off between the on and its read-back.
            Order::On { .. } => answered.want.same_as(self.want),
            Order::Read | Order::ClearLease => was_on == Some(true),
            // Whatever it did before, that was ours.
            Order::Off => false,
        };
        by_itself.then(|| {
            self.tripped_at = Some(now);
            word
        })
    }

    /// The device has started anew: somebody pulled it out, and what it did before is over.
    pub(super) fn forget_trip(&mut self) {
        self.tripped_at = None;
    }
}
