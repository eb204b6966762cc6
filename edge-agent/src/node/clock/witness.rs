//! How long a reboot took, by the word of plugs that stayed up meanwhile (contract, 6.5).
//!
//! Each plug tells for itself how much longer it took than is known so far; of several the median
//! counts, the smaller of two: one that errs moves no deadline, and nobody is cut early.
//!
//! A plug tells by its uptime. Every plug that keeps a lease tells one, and the rest of a lease
//! would tell no more: an order that armed it anew just before the end may be the one that was
//! never heard of again.

use std::collections::BTreeMap;

use edge_protocol::id::OutletId;
use serde::{Deserialize, Serialize};

use super::signed;
use crate::node::time::BootMs;

/// A plug tells its uptime in seconds: two of them may differ by one for that alone,
const UPTIME_GRAIN_MS: u64 = 1_000;
/// and by one part in so many for its oscillator. All for the customer: nobody is cut early.
const DRIFT: u64 = 10_000;
/// So long the first that answer wait for the others; then those count that have.
const COUNCIL_MS: u64 = 3_000;
/// One that knows of so much more than another is not believed.
const MOST_BEYOND_MS: i64 = 24 * 3_600_000;

/// What a plug told when it was asked: if it stays up, it knows how long a reboot takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Witness {
    /// How long it had been up; none in a record of an earlier version, where only its lease had told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    uptime_ms: Option<u64>,
    asked: BootMs,
    /// It was asked before a reboot whose length is not known.
    pub(super) before_gap: bool,
    /// How often it had started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    boot_count: Option<u64>,
}

/// What a plug tells now.
#[derive(Debug, Clone, Copy)]
pub(in crate::node) struct Testimony {
    pub(in crate::node) uptime_ms: u64,
    pub(in crate::node) boot_count: Option<u64>,
    pub(in crate::node) asked: BootMs,
}

impl Witness {
    fn of(testimony: &Testimony) -> Self {
        let Testimony { uptime_ms, boot_count, asked } = *testimony;
        Self { uptime_ms: Some(uptime_ms), asked, before_gap: false, boot_count }
    }

    /// Moves what it counts by into another reading of the boot clock.
    pub(super) fn shift(&mut self, ms: i64) {
        self.asked = self.asked.shifted(ms);
    }

    /// How much longer than known the reboot took by what it tells `now`, at least. `None` where it
    /// restarted meanwhile, or tells of less time than must have passed.
    fn away_ms(&self, told: &Testimony, now: BootMs) -> Option<i64> {
        if let (Some(before), Some(starts)) = (self.boot_count, told.boot_count)
            && before != starts
        {
            return None;
        }
        // One with less uptime than then has restarted, and knows nothing.
        let up_ms = told.uptime_ms.checked_sub(self.uptime_ms?)?;
        let away_ms = signed(up_ms).saturating_sub(signed(now - self.asked));
        // Its grain may hide as much again; beyond that it contradicts this boot's own time.
        let doubt_ms = signed(UPTIME_GRAIN_MS + up_ms / DRIFT);
        (away_ms >= -2 * doubt_ms).then(|| away_ms.saturating_sub(doubt_ms).max(0))
    }
}

/// The plugs that may know how long a reboot took, and what they have said.
#[derive(Debug, Default)]
pub(super) struct Council {
    /// What each plug told last.
    pub(super) witnesses: BTreeMap<OutletId, Witness>,
    /// How much longer than known when this agent started, by each that has answered since.
    told: BTreeMap<OutletId, i64>,
    /// How much of that has been reckoned with.
    pub(super) reckoned_ms: i64,
}

impl Council {
    /// Takes in what a plug tells.
    pub(super) fn hear(&mut self, outlet: &OutletId, told: &Testimony, gap: bool, now: BootMs) {
        let before = self.witnesses.insert(outlet.clone(), Witness::of(told));
        let before = before.filter(|before| before.before_gap && gap);
        if let Some(away_ms) = before.and_then(|before| before.away_ms(told, now)) {
            self.told.insert(outlet.clone(), self.reckoned_ms.saturating_add(away_ms));
        }
    }

    /// How much longer still the reboot took, once that can be said: when all have answered, or
    /// enough time has passed since the start.
    pub(super) fn verdict(&mut self, started: BootMs, now: BootMs) -> Option<i64> {
        let waits = self.witnesses.values().any(|witness| witness.before_gap);
        if self.told.is_empty() || (waits && now < started + COUNCIL_MS) {
            return None;
        }
        let mut told: Vec<i64> = self.told.values().copied().collect();
        told.sort_unstable();
        told.retain({
            let least = told[0];
            move |away_ms| *away_ms <= least.saturating_add(MOST_BEYOND_MS)
        });
        let longer_ms = told[(told.len() - 1) / 2] - self.reckoned_ms;
        (longer_ms > 0).then(|| {
            self.reckoned_ms += longer_ms;
            for witness in self.witnesses.values_mut().filter(|witness| witness.before_gap) {
                witness.shift(-longer_ms);
            }
            longer_ms
        })
    }

    /// When it will say what it can, though some have not answered.
    pub(super) fn wake_at(&self, started: BootMs, now: BootMs) -> Option<BootMs> {
        let at = started + COUNCIL_MS;
        (!self.told.is_empty() && at > now).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// Plugs that were asked an hour before; after it each tells that so much more had passed.
    fn council(away: &[i64]) -> Council {
        let mut council = Council::default();
        for (number, away_ms) in away.iter().enumerate() {
            let id: OutletId = format!("plug-{number}").parse().unwrap();
            let then =
                Testimony { uptime_ms: 1_000_000_000, boot_count: Some(3), asked: BootMs(0) };
            let mut witness = Witness::of(&then);
            witness.before_gap = true;
            council.witnesses.insert(id.clone(), witness);
            let uptime_ms = u64::try_from(1_000_000_000 + HOUR + away_ms).unwrap();
            let now = Testimony { uptime_ms, asked: BootMs(HOUR), ..then };
            council.hear(&id, &now, true, BootMs(HOUR));
        }
        council
    }

    #[test]
    fn of_several_plugs_the_median_counts_and_one_that_errs_cuts_nobody_early() {
        for (away, told) in [
            (&[600_000][..], Some(598_580)),
            (&[600_000, 900_000], Some(598_580)),
            (&[600_000, 60_000_000, 600_000], Some(598_580)),
            (&[0, 600_000, 0], None),
            (&[-600_000], None),
            (&[600_000, 400 * HOUR, 500 * HOUR], Some(598_580)),
        ] {
            let verdict = council(away).verdict(BootMs(HOUR), BootMs(HOUR));
            assert_eq!(verdict, told, "{away:?}");
        }
    }

    #[test]
    fn one_that_started_anew_is_not_believed_however_long_it_is_up() {
        let mut council = council(&[]);
        let then = Testimony { uptime_ms: 60_000, boot_count: Some(3), asked: BootMs(0) };
        let id: OutletId = "plug".parse().unwrap();
        let witness = Witness { before_gap: true, ..Witness::of(&then) };
        council.witnesses.insert(id.clone(), witness);
        let now = Testimony { uptime_ms: 9_000_000, boot_count: Some(4), ..then };
        council.hear(&id, &now, true, BootMs(HOUR));
        assert_eq!(council.verdict(BootMs(HOUR), BootMs(HOUR)), None);
    }

    #[test]
    fn what_an_earlier_version_stored_of_a_lease_alone_is_read_and_tells_nothing() {
        let stored = serde_json::json!({"asked": 0, "before_gap": true, "lease_off_at": 3_600_000});
        let witness: Witness = serde_json::from_value(stored).unwrap();
        let told = Testimony { uptime_ms: 9_000_000, boot_count: None, asked: BootMs(HOUR) };
        assert_eq!(witness.away_ms(&told, BootMs(HOUR)), None);
    }

    #[test]
    fn the_first_waits_for_the_others_and_not_for_long() {
        let mut council = council(&[600_000]);
        let silent =
            Witness { before_gap: true, ..council.witnesses.values().next().copied().unwrap() };
        council.witnesses.insert("silent".parse().unwrap(), silent);
        assert_eq!(council.verdict(BootMs(HOUR), BootMs(HOUR)), None);
        assert_eq!(council.wake_at(BootMs(HOUR), BootMs(HOUR)), Some(BootMs(HOUR + 3_000)));
        assert!(council.verdict(BootMs(HOUR), BootMs(HOUR + 3_000)).is_some());
    }
}
