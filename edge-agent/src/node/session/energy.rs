//! What a session used, from the registers of its outlets' meters: never from a rate, and never
//! more than the registers show (contract, section 5).

use std::collections::BTreeMap;

use edge_protocol::id::OutletId;
use serde::{Deserialize, Serialize};

use super::{Phase, Session};
use crate::node::outlet::{Outlets, Register};
use crate::node::time::BootMs;

/// A register that was read longer ago says nothing of where a session began.
const FRESH_MS: u64 = 10_000;

/// What one outlet has used for a session so far.
///
/// The record holds where its register stood when the session was last written. That is enough: what
/// the register has risen by since, an agent that starts again finds in the plug.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Used {
    mwh: u64,
    /// Where the register stood; `None` where the next reading begins a segment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    register: Option<u64>,
    /// The same, by this agent's own reading.
    #[serde(skip)]
    seen: Option<Register>,
}

impl Used {
    /// Goes on from there; what the register did before was not this session's.
    fn begin(&mut self, register: Option<Register>) {
        self.register = register.map(|register| register.mwh);
        self.seen = register;
    }

    /// Takes a reading in. Returns whether a new segment began, which the record must know.
    fn read(&mut self, register: Register, counts: bool) -> bool {
        let used = match (self.seen, self.register) {
            (Some(seen), _) => seen.used_until(register),
            // By the word of an agent before this one.
            (None, Some(before)) => register.mwh.checked_sub(before),
            (None, None) => None,
        };
        self.begin(Some(register));
        self.mwh = self.mwh.saturating_add(used.filter(|_| counts).unwrap_or(0));
        used.is_none()
    }
}

impl Session {
    /// Its outlets' registers count for it from now on.
    pub(in crate::node) fn begin_metering(&mut self, outlets: &Outlets, now: BootMs) {
        for id in &self.outlets {
            let register = outlets.get(id).and_then(|outlet| outlet.register());
            let fresh = register.filter(|register| now - register.at <= FRESH_MS);
            match self.energy.get_mut(id) {
                Some(used) => used.begin(fresh),
                None if fresh.is_some() => {
                    self.energy.entry(id.clone()).or_default().begin(fresh);
                }
                None => {}
            }
        }
    }

    /// The register of an outlet was read. Returns whether its record must know at once.
    pub(in crate::node) fn metered(&mut self, outlet: &OutletId, register: Register) -> bool {
        if !self.live() || !self.outlets.contains(outlet) {
            return false;
        }
        let paused = matches!(self.phase, Phase::Paused { resuming: None, .. });
        let used = self.energy.entry(outlet.clone()).or_default();
        // In a pause only what flowed until it was off is the session's.
        let counts = !paused || used.seen.is_some_and(|seen| seen.on);
        used.read(register, counts)
    }
}

/// What outlets used together, in watt-hours; `None` where nothing of it is metered.
pub(super) fn in_wh(energy: &BTreeMap<OutletId, Used>) -> Option<u64> {
    let mwh = energy.values().fold(0_u64, |sum, used| sum.saturating_add(used.mwh));
    (!energy.is_empty()).then(|| mwh.saturating_add(500) / 1_000)
}
