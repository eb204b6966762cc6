//! One moment of the agent, for whoever looks at it on the machine itself.

use edge_protocol::event::Clock;

use super::Agent;
use crate::local::{DiskTrouble, Report, Snapshot, StoreReport};

impl Agent {
    /// A copy of everything that is shown; made in the loop, read elsewhere.
    pub(super) fn snapshot(&self) -> Snapshot {
        let now = self.clock.now();
        let report = Report {
            version: self.settings.version.clone(),
            store: self.settings.store.clone(),
            started_at_ms: self.started_at_ms,
            clock: if now.synced { Clock::Synced } else { Clock::Unsynced },
            online: self.offline_because.is_none(),
            offline_because: self.offline_because.clone(),
            link_since_ms: now.wall_at(self.link_since),
            accepting: self.node.accepting(),
            disk: match (self.disk.failing, self.disk.low) {
                (true, _) => Some(DiskTrouble::Failing),
                (false, true) => Some(DiskTrouble::Low),
                (false, false) => None,
            },
            refused: self.node.refused_because(),
            not_kept: self.not_kept.clone(),
            configuration: Some(self.settings.configuration.clone()),
            certificate_expires_at_ms: self.settings.certificate_expires_at_ms,
            state: self.node.state_at(now.boot),
            outlets: self.node.outlet_details(),
            events: self.recent.events(),
            host: None,
        };
        let store = StoreReport {
            outbox_max_bytes: self.settings.outbox_max_bytes,
            syncs: self.journal.syncs(),
            unstored_batches: self.sequence.unstored(),
            failing: self.disk.failing,
            space_low: self.disk.low,
        };
        Snapshot { now, report, meter: self.meter.clone(), store }
    }
}
