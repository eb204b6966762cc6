//! What an on waits for: the outlet's minimum time off, and its turn among those of its circuit. An
//! off waits for nothing and never asks in here.

use serde::{Deserialize, Serialize};

use super::{Order, Outlet};
use crate::node::time::BootMs;

/// Why an on waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// It has not been off for long enough.
    MinOff,
    /// Others of its circuit go on first.
    Stagger,
}

/// An on that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::node) struct Held {
    pub(in crate::node) wait: Wait,
    /// When it is looked at again.
    pub(in crate::node) until: BootMs,
}

/// The ons of an outlet that had to wait.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// Since when an on is due.
    due_since: Option<BootMs>,
    held: Option<Held>,
    /// An on was sent for the present wish.
    sent: bool,
    /// How many ons waited for each.
    min_off: u64,
    stagger: u64,
}

impl Outlet {
    /// Since when an on is due that closes the relay; a lease that is renewed loads no breaker.
    pub(in crate::node) fn closing_since(&mut self, now: BootMs) -> Option<BootMs> {
        if self.under_way.is_some() {
            return None;
        }
        let closes = self.want.is_on()
            && self.known.map_or(!self.stayed_on(), |known| !known.reading.on)
            && matches!(self.next_wish(now), Order::On { .. });
        if !closes {
            self.let_go();
            return None;
        }
        (now >= self.not_before).then(|| *self.pace.due_since.get_or_insert(now))
    }

    /// It was on when an agent of this boot last saw it, so that it most likely still is.
    fn stayed_on(&self) -> bool {
        self.same_boot && self.before == Some(true)
    }

    /// Until when it has to stay off.
    pub(in crate::node) fn min_off_until(&self) -> Option<BootMs> {
        let min_off_ms = self.settings.min_off_ms?;
        // One that was never read may have gone off just now: its first reading will tell.
        Some(self.life.off_since? + min_off_ms)
    }

    /// Holds its on back.
    pub(in crate::node) fn hold_back(&mut self, wait: Wait, until: BootMs) {
        if self.pace.held.is_none_or(|held| held.wait != wait) {
            match wait {
                Wait::MinOff => self.pace.min_off += 1,
                Wait::Stagger => self.pace.stagger += 1,
            }
        }
        self.pace.held = Some(Held { wait, until });
    }

    /// Its on waits no more.
    pub(in crate::node) fn let_go(&mut self) {
        (self.pace.due_since, self.pace.held) = (None, None);
    }

    pub(in crate::node) fn held_back(&self) -> Option<Held> {
        self.pace.held
    }

    /// An on goes out.
    pub(super) fn on_sent(&mut self) {
        self.let_go();
        self.pace.sent = true;
    }

    /// A new wish has no on out yet.
    pub(super) fn wish_anew(&mut self) {
        self.pace.sent = false;
    }

    /// The moment before which its first on can't be sent, where there is one: patience counts from
    /// it. An on that is tried again gains none by waiting for its turn.
    pub(in crate::node) fn on_not_before(&self) -> Option<BootMs> {
        if self.pace.sent || self.lit() || self.on() == Some(true) {
            return None;
        }
        self.min_off_until().max(self.pace.held.map(|held| held.until))
    }

    /// How many of its ons waited: for its minimum time off, and for their turn.
    pub(in crate::node) fn waits(&self) -> (u64, u64) {
        (self.pace.min_off, self.pace.stagger)
    }
}
