//! What an outlet's meter tells of its relay: that the power is gone, that it is not, and how little
//! is read at rest (contract, section 5 and 6.11).
//!
//! A single reading proves nothing: a meter lags by seconds, and a plug with welded contacts was
//! seen to read 0 W for its first 45 s.

use super::Life;
use crate::node::time::BootMs;

/// Watts that flow this far above what is read at rest are a load.
const LOAD_MW: u64 = 3_000;
/// A meter may show nothing for so long after an off, though the contacts are welded.
const BLIND_MS: u64 = 60_000;
/// So many samples in a row prove that nothing flows, and so many at least that something does.
const SAMPLES: u32 = 5;
/// Samples that agree before watts prove an on: the first may be of before it.
const SAMPLES_OF_ON: u32 = 2;
/// Power flows after an off for so long before the relay counts as stuck,
const STUCK_MS: u64 = 120_000;
/// and must be away for so long before it counts as free again.
const FREE_MS: u64 = 300_000;
/// What flows seldom is no load: a suspicion ends with so long a time without.
const SUSPICION_MS: u64 = 60_000;
/// More than that at rest is a load, and must not be learnt as what rest looks like.
const MOST_STANDBY_MW: u64 = 2_000;
/// What no fuse of a household lets through: a register that rises faster is another plug's.
const MOST_MW: u64 = 20_000_000;
/// A register moves in steps; so much may come at once.
const REGISTER_GRAIN_MWH: u64 = 100_000;

/// What is made of the samples since the relay last moved.
#[derive(Debug, Default)]
pub(super) struct Meter {
    on: Option<bool>,
    /// Samples in a row that agree with the relay.
    agree: u32,
    /// The samples of the window that is being looked at for what is read at rest, and the highest.
    window: (u32, u64),
    suspicion: Option<Suspicion>,
    /// Samples without a load since, while it counts as stuck.
    free: Option<(BootMs, u32)>,
    /// The last two samples, the newer first.
    last: [Option<(BootMs, u64)>; 2],
    register: Option<Register>,
}

/// Power flows although the relay reads off.
#[derive(Debug, Clone, Copy)]
struct Suspicion {
    since: BootMs,
    last: BootMs,
    over: u32,
    of: u32,
}

/// What the register of energy showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::node) struct Register {
    pub(in crate::node) mwh: u64,
    pub(in crate::node) at: BootMs,
    /// Whether the relay was on then.
    pub(in crate::node) on: bool,
}

impl Register {
    /// What was used up to `later`; `None` where the register fell or leapt, as of a plug that was
    /// reset or replaced: what was used meanwhile is not known.
    pub(in crate::node) fn used_until(self, later: Self) -> Option<u64> {
        let used = later.mwh.checked_sub(self.mwh)?;
        let most = MOST_MW.saturating_mul(later.at - self.at) / 3_600_000 + REGISTER_GRAIN_MWH;
        (used <= most).then_some(used)
    }
}

/// What the samples have come to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Power flows since then, although the relay reads off.
    Stuck { since: BootMs, power_mw: u64 },
    /// It does not any more.
    Free { since: BootMs },
}

impl Meter {
    /// Takes a reading's watts in. A reading without any is no sample: it shows nothing either way.
    pub(super) fn sample(
        &mut self,
        on: bool,
        power_mw: Option<u64>,
        life: &mut Life,
        now: BootMs,
    ) -> Option<Verdict> {
        if self.on != Some(on) {
            self.on = Some(on);
            (self.agree, self.window, self.suspicion) = (0, (0, 0), None);
        }
        if on {
            self.free = None;
        }
        let power_mw = power_mw?;
        self.last = [Some((now, power_mw)), self.last[0]];
        let load = power_mw > load_above(life);
        if on {
            self.agree = if load { self.agree.saturating_add(1) } else { 0 };
            return None;
        }
        let off_since = life.off_since.unwrap_or(now);
        if now - off_since >= BLIND_MS {
            self.agree =
                if power_mw <= gone_below(life) { self.agree.saturating_add(1) } else { 0 };
            self.learn(power_mw, life);
        }
        if life.stuck_since.is_some() {
            self.free(load, life, now)
        } else {
            self.suspect(load, power_mw, life, off_since, now)
        }
    }

    /// Whether the watts agree with the relay, beyond doubt.
    pub(super) fn proves(&self, on: bool) -> bool {
        self.on == Some(on) && self.agree >= if on { SAMPLES_OF_ON } else { SAMPLES }
    }

    /// Whether the last two samples, both later than `since`, are below so much.
    pub(super) fn below(&self, limit_mw: u64, since: BootMs) -> bool {
        let low = |sample: &Option<(BootMs, u64)>| {
            sample.is_some_and(|(at, power_mw)| at > since && power_mw < limit_mw)
        };
        self.last.iter().all(low)
    }

    /// The last sample.
    pub(super) fn power_mw(&self) -> Option<u64> {
        self.last[0].map(|(_, power_mw)| power_mw)
    }

    /// Takes what the register shows.
    pub(super) fn register(&mut self, register: Register) {
        self.register = Some(register);
    }

    pub(super) fn registered(&self) -> Option<Register> {
        self.register
    }

    /// The lowest level that some samples in a row stayed under is what is read at rest.
    fn learn(&mut self, power_mw: u64, life: &mut Life) {
        let (count, highest) = self.window;
        let highest = highest.max(power_mw);
        if highest > MOST_STANDBY_MW {
            self.window = (0, 0);
        } else if count + 1 < SAMPLES {
            self.window = (count + 1, highest);
        } else {
            self.window = (0, 0);
            life.standby_mw = Some(life.standby_mw.map_or(highest, |known| known.min(highest)));
        }
    }

    fn suspect(
        &mut self,
        load: bool,
        power_mw: u64,
        life: &mut Life,
        off_since: BootMs,
        now: BootMs,
    ) -> Option<Verdict> {
        // What begins while the meter may be blind has flowed since the off.
        let since = if now - off_since <= BLIND_MS { off_since } else { now };
        if load {
            let new = Suspicion { since, last: now, over: 0, of: 0 };
            let suspicion = self.suspicion.get_or_insert(new);
            (suspicion.last, suspicion.over) = (now, suspicion.over.saturating_add(1));
        }
        let suspicion = self.suspicion.as_mut()?;
        suspicion.of = suspicion.of.saturating_add(1);
        if now - suspicion.last > SUSPICION_MS {
            self.suspicion = None;
            return None;
        }
        let Suspicion { since, over, of, .. } = *suspicion;
        let most = over >= SAMPLES && over >= of / 2;
        if !(load && most && now - since >= STUCK_MS) {
            return None;
        }
        (self.suspicion, self.free) = (None, None);
        life.stuck_since = Some(since);
        Some(Verdict::Stuck { since, power_mw })
    }

    fn free(&mut self, load: bool, life: &mut Life, now: BootMs) -> Option<Verdict> {
        if load {
            self.free = None;
            return None;
        }
        let (free_since, count) = self.free.get_or_insert((now, 0));
        *count += 1;
        if now - *free_since < FREE_MS || *count < SAMPLES {
            return None;
        }
        self.free = None;
        life.stuck_since.take().map(|since| Verdict::Free { since })
    }
}

/// Above this, power flows that no meter reads at rest (contract, 6.11).
fn load_above(life: &Life) -> u64 {
    life.standby_mw.unwrap_or(0).saturating_add(LOAD_MW)
}

/// Up to this the power is gone: 3 W, or three times what is read at rest; never what counts as a load.
fn gone_below(life: &Life) -> u64 {
    LOAD_MW.max(life.standby_mw.unwrap_or(0).saturating_mul(3)).min(load_above(life))
}

#[cfg(test)]
mod tests;
