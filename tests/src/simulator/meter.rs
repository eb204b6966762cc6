//! What hangs on a plug, and what its meter shows of it: late, not at all at first, or nothing ever.

/// A plug whose contacts are welded shows nothing for so long after an off.
const BLIND_MS: u64 = 45_000;
/// A meter lags.
const LAG_MS: u64 = 3_000;
const MS_PER_HOUR: u64 = 3_600_000;

#[derive(Debug)]
pub(super) struct Meter {
    /// What the load draws while the contacts are closed; `None`: it is not measured.
    pub(super) load_mw: Option<u64>,
    /// The contacts are welded from the first to the second moment, whatever the relay does.
    pub(super) welded: (u64, u64),
    /// What flowed, in milliwatts times milliseconds.
    flowed: u64,
    /// What the register showed when it was new to this site, and what a restart took of it.
    offset_mwh: u64,
    lost_mwh: u64,
    counted_to: u64,
    off_at: u64,
}

impl Meter {
    pub(super) fn new(load_mw: Option<u64>, now: u64) -> Self {
        Self {
            load_mw,
            welded: (0, 0),
            flowed: 0,
            offset_mwh: 3_000_000_000,
            lost_mwh: 0,
            counted_to: now,
            off_at: 0,
        }
    }

    /// Whether power flows behind a relay that is off.
    pub(super) fn is_welded(&self, now: u64) -> bool {
        (self.welded.0..self.welded.1).contains(&now)
    }

    /// Counts what flowed up to now; the relay has been `on` meanwhile.
    pub(super) fn count(&mut self, on: bool, now: u64) {
        let welded = self.welded.1.min(now).saturating_sub(self.welded.0.max(self.counted_to));
        let ms = if on { now.saturating_sub(self.counted_to) } else { welded };
        self.flowed += self.load_mw.unwrap_or(0) * ms;
        self.counted_to = now;
    }

    /// The relay goes off.
    pub(super) fn opens(&mut self, now: u64) {
        self.off_at = now;
    }

    /// A restart loses the register.
    pub(super) fn forget(&mut self) {
        self.lost_mwh = self.flowed_mwh();
        self.offset_mwh = 0;
    }

    pub(super) fn flowed_mwh(&self) -> u64 {
        self.flowed / MS_PER_HOUR
    }

    pub(super) fn register_mwh(&self) -> Option<u64> {
        self.load_mw.map(|_| self.offset_mwh + self.flowed_mwh() - self.lost_mwh)
    }

    /// What it shows; a relay that moved a moment ago is shown as it was.
    pub(super) fn power_mw(&self, on: bool, moved_at: u64, now: u64) -> Option<u64> {
        let load_mw = self.load_mw?;
        let on = if now - moved_at < LAG_MS { !on } else { on };
        let blind = !on && now - self.off_at < BLIND_MS;
        let flows = on || (self.is_welded(now) && !blind);
        // What a meter shows of nothing is up to 2 W of noise.
        Some(if flows { load_mw } else { now / 7 % 2_000 })
    }
}
