//! Which ons go now: at most one at a time on each circuit, those that are due longest first. An off
//! never comes by here.

use edge_protocol::id::OutletId;

use crate::node::Node;
use crate::node::outlet::Wait;
use crate::node::time::BootMs;

impl Node {
    /// Lets each circuit have its next on, and holds the others back.
    pub(super) fn pace_ons(&mut self) {
        let now = self.now.boot;
        let mut due: Vec<(BootMs, OutletId)> = Vec::new();
        for (id, outlet) in &mut self.outlets {
            let Some(since) = outlet.closing_since(now) else { continue };
            match outlet.min_off_until().filter(|until| *until > now) {
                Some(until) => outlet.hold_back(Wait::MinOff, until),
                None => due.push((since, id.clone())),
            }
        }
        // One whose plug does not answer takes its turn with each try, and no more.
        due.sort_unstable();
        for (_, id) in due {
            let Some(outlet) = self.outlets.get_mut(&id) else { continue };
            let circuit = outlet.settings.circuit.clone();
            // One that goes on again is alone with itself.
            let last = self.circuits.get(&circuit).filter(|(last, _)| *last != id);
            let free_at = last.map_or(now, |(_, at)| *at + self.settings.stagger_ms);
            if free_at > now {
                outlet.hold_back(Wait::Stagger, free_at);
            } else {
                outlet.let_go();
                self.circuits.insert(circuit, (id, now));
            }
        }
    }
}
