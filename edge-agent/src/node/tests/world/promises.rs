//! The promises, asserted at every instant: power is cut on time, and nobody is cut early.

use edge_protocol::id::OutletId;

use super::World;
use crate::node::Node;
use crate::node::session::Session;
use crate::node::settings::Rest;
use crate::node::tests::plug::{Conduct, Plug};
use crate::node::time::BootMs;

/// When an outlet's power has to be gone, and since when the node could know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    off: u64,
    known: u64,
    /// It is an off time, for which a lease was armed.
    promised: bool,
}

/// Until when an outlet may be on.
#[derive(Debug, Clone, Copy)]
enum Limit {
    At(u64),
    /// Nothing wants it on.
    Now,
}

impl World {
    /// Asserts the promises at this instant.
    pub(super) fn check(&mut self) {
        if let Some(node) = &self.node {
            let before = std::mem::take(&mut self.due);
            for id in node.outlets.keys() {
                let Some(limit) = self.limit(node, id) else { continue };
                let same = |due: &&Due| match limit {
                    Limit::At(off) => due.promised && due.off.abs_diff(off) <= 2_000,
                    Limit::Now => due.off <= self.time,
                };
                let before = before.get(id.as_str()).filter(same);
                let known = before.map_or(self.time, |due| due.known);
                let due = match limit {
                    Limit::At(off) => Due { off, known, promised: true },
                    Limit::Now => {
                        let off = before.map_or(self.time, |due| due.off);
                        Due { off, known, promised: false }
                    }
                };
                self.due.insert(id.to_string(), due);
            }
        }
        for (id, plug) in &self.plugs {
            self.check_late(id, plug);
            self.check_early(id, plug);
        }
    }

    /// Until when power may flow, as far as the node knows.
    fn limit(&self, node: &Node, id: &OutletId) -> Option<Limit> {
        let at = |at: BootMs| Limit::At(self.boot_at.saturating_add_signed(at.0));
        let session = node.sessions.values().find(|session| session.owns(id));
        match (session.map(Session::off_at), node.holds.get(id).filter(|hold| hold.on)) {
            (Some(Some(off)), _) => Some(at(off)),
            (_, Some(hold)) => hold.until.map(at),
            (Some(None) | None, None) => {
                let rests_off = node.outlets[id].settings.rest == Rest::Off;
                (rests_off || session.is_some()).then_some(Limit::Now)
            }
        }
    }

    fn check_late(&self, id: &str, plug: &Plug) {
        let Some(Due { off, known, promised }) = self.due.get(id).filter(|_| plug.on) else {
            return;
        };
        let late = self.time.saturating_sub(*off);
        assert!(
            late <= 15_000 || !promised || !plug.leases || plug.lease_excused,
            "{id} is on {late} ms after its off time, and its lease ({:?}) did not cut it",
            plug.lease
        );
        let well = plug.conduct == Conduct::Obeys && self.node.is_some();
        let since = *off.max(known).max(&(plug.well_since + 2_000)).max(&self.woken);
        let reachable = self.time.saturating_sub(since);
        assert!(!well || reachable <= 1_000, "{id} is on {late} ms after its off time");
    }

    fn check_early(&self, id: &str, plug: &Plug) {
        let Some(node) = &self.node else { return };
        let Some(outlet) = node.outlets.keys().find(|outlet| outlet.as_str() == id) else { return };
        let now = self.now().boot;
        let owner = node.sessions.values().find(|session| session.outlets.contains(outlet));
        let entitled = owner.is_some_and(|session| session.powered(now));
        let held = node.holds.contains_key(outlet);
        assert!(
            plug.on || !entitled || held || plug.disturbed,
            "{id} is off within its session at {}: {:#?}",
            now.0,
            owner
        );
    }
}
