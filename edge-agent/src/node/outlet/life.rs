//! What an outlet has been through, kept for as long as the store lives: how often its relay closed,
//! since when it is off, what its meter reads at rest, and who switched it last and why.

use edge_protocol::event::By;
use edge_protocol::id::{CommandId, OutletId, SessionId};
use serde::{Deserialize, Serialize};

use crate::node::settings::OutletSettings;
use crate::node::time::BootMs;

/// From this part of its rated cycles on a relay is told to be worn, in percent.
const WORN_PERCENT: u64 = 80;

/// The record of an outlet's life. It is written with the batch that tells a change, and needs no
/// flush of its own: what a crash takes of it is what it takes of the event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::node) struct Life {
    /// How often it was found to have gone on.
    pub(in crate::node) cycles: u64,
    /// Since when it is off, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::node) off_since: Option<BootMs>,
    /// The lowest level that its meter kept to while it was off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::node) standby_mw: Option<u64>,
    /// Since when power flows although it reads off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::node) stuck_since: Option<BootMs>,
    /// Its last switch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::node) last: Option<Switched>,
}

/// A switch, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::node) struct Switched {
    pub(in crate::node) on: bool,
    pub(in crate::node) by: By,
    /// UTC, milliseconds since the Unix epoch, as the clock read then.
    pub(in crate::node) at_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::node) session: Option<SessionId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::node) command: Option<CommandId>,
}

impl Life {
    /// Takes in what the relay was found to be.
    pub(super) fn found(&mut self, on: bool, now: BootMs) {
        if on {
            self.off_since = None;
        } else {
            // A record may say anything; no outlet goes off later than now.
            let since = self.off_since.get_or_insert(now);
            *since = (*since).min(now);
        }
    }

    /// How much of its relay's life is spent, once that is worth a warning.
    pub(in crate::node) fn worn_percent(&self, settings: &OutletSettings) -> Option<u64> {
        let percent = self.cycles.saturating_mul(100) / settings.rated_cycles().max(1);
        (percent >= WORN_PERCENT).then_some(percent)
    }

    /// Translates its instants into this boot.
    pub(in crate::node) fn shift(&mut self, ms: i64) {
        for instant in [&mut self.off_since, &mut self.stuck_since].into_iter().flatten() {
            *instant = instant.shifted(ms);
        }
    }
}

/// The lives of outlets as stored.
pub(in crate::node) type Lives = std::collections::BTreeMap<OutletId, Life>;
