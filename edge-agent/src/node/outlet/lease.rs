//! Leases: until when a plug may stay on although nobody renews it (contract, 6.8).

use edge_protocol::event::Lease;

use super::{News, Outlet};
use crate::node::time::BootMs;

/// The longest that a plug keeps a timer; beyond it the lease is renewed at half.
const MAX_LEASE_MS: u64 = 18 * 3_600_000;
/// What a lease that was read may be off: the answer's way from the plug, and its clock's grain.
const READING_MS: u64 = 2_000;
/// A plug cuts the power by itself at most 15 s after the off time.
const MAX_LEASE_LATE_MS: u64 = 15_000 - READING_MS;
/// What a lease adds to the off time: a request's way to the plug, and its clock's grain.
const LEASE_GUARD_MS: u64 = 5_000;
/// What a plug's oscillator may drift, as one part in so many: 100 ppm.
const LEASE_DRIFT: u64 = 10_000;
/// A lease read again differs by a plug's grain; by more, and it was moved.
const LEASE_GRAIN_MS: u64 = 2_000;

/// When the lease of an off time should run out.
pub(super) fn lease_for(off: BootMs, now: BootMs) -> BootMs {
    (drifted(off, now) + LEASE_GUARD_MS).min(now + MAX_LEASE_MS)
}

/// The off time, by the slowest of plugs' clocks.
fn drifted(off: BootMs, now: BootMs) -> BootMs {
    off + (off - now) / LEASE_DRIFT
}

impl Outlet {
    /// Whether the plug's lease suits the off time: never before it, at most 15 s after it; for one
    /// that is too far ahead, at least half of the longest lease.
    fn lease_fits(&self, off: Option<BootMs>, now: BootMs) -> bool {
        let Some(known) = self.known else { return false };
        match (off, known.reading.lease_off_at) {
            _ if !self.settings.leases => true,
            (Some(off), Some(lease)) if lease_for(off, now) == now + MAX_LEASE_MS => {
                lease - now >= MAX_LEASE_MS / 2 && lease <= off + MAX_LEASE_LATE_MS
            }
            (Some(off), Some(lease)) => {
                lease >= drifted(off, now) + READING_MS && lease <= off + MAX_LEASE_LATE_MS
            }
            (Some(_), None) => false,
            (None, lease) => lease.is_none(),
        }
    }

    /// Whether the plug's lease is what is wanted now.
    pub(super) fn lease_is_wanted(&self, now: BootMs) -> bool {
        self.lease_fits(self.want.off_at(), now)
    }

    /// On and, where it can be, leased to the off time; without one, not leased.
    pub(in crate::node) fn confirmed_leased(&self, off: Option<BootMs>, now: BootMs) -> bool {
        self.confirmed_on() && self.lease_fits(off, now)
    }

    /// Whether there is nothing to wait for any more before a moved off time is told: its lease is
    /// confirmed, it can't be, or there is nothing to lease.
    pub(in crate::node) fn lease_settled(&self, off: BootMs, now: BootMs) -> bool {
        self.failing
            || self.stays_off(now)
            || self.want.is_off()
            || self.confirmed_leased(Some(off), now)
    }

    /// Tells what the plug would do by itself, when that has changed. A lease on its way to be
    /// moved is no news until the move failed.
    pub(super) fn tell_lease(&mut self, now: BootMs, move_failed: bool, news: &mut Vec<News>) {
        let known = self.known.filter(|known| known.reading.on);
        let off_at =
            known.and_then(|known| known.reading.lease_off_at).filter(|off_at| *off_at > now);
        let lease = match off_at {
            None => Lease::None,
            Some(_) if self.lease_is_wanted(now) => Lease::Armed,
            Some(_) if move_failed || !self.want.is_on() => Lease::Stale,
            Some(_) => return,
        };
        let (told, told_off_at) = self.told_lease;
        let moved = match (told_off_at, off_at) {
            (Some(a), Some(b)) => (a - b).max(b - a) > LEASE_GRAIN_MS,
            (a, b) => a.is_some() != b.is_some(),
        };
        if told != lease || moved {
            self.told_lease = (lease, off_at);
            news.push(News::Lease { lease, off_at });
        }
    }
}
