//! What a node says of itself on its retained topics.

use edge_protocol::event::Lease;
use edge_protocol::id::OutletId;
use edge_protocol::presence::{
    HoldState, Online, OutletState, Queues, State, StationState, Status,
};

use super::clock;
use crate::node::Node;
use crate::node::outlet::Outlet;

impl Node {
    pub(super) fn status(&self) -> Status {
        let refused =
            self.outbox.held().map(|code| format!("the broker refuses events with 0x{code:02x}"));
        Status::Online(Online {
            online: true,
            accepting: self.accepting(),
            version: self.settings.version.clone(),
            boot_id: self.settings.boot_id.clone(),
            since_ms: self.voice.online_since_ms,
            clock: clock(self.now),
            refused,
        })
    }

    /// The whole present state.
    #[must_use]
    pub fn state(&self) -> State {
        let (outbox_events, outbox_bytes) = self.outbox.waiting();
        let stations = self.settings.stations.iter().map(|(id, outlets)| {
            let on_it = |session: &&super::super::session::Session| {
                session.live() && session.station == *id
            };
            StationState {
                station: id.clone(),
                outlets: outlets.clone(),
                session: self.sessions.values().find(on_it).map(|session| session.id.clone()),
            }
        });
        State {
            node: self.settings.node.clone(),
            at_ms: self.now.wall_ms,
            stations: stations.collect(),
            outlets: self
                .outlets
                .iter()
                .map(|(id, outlet)| self.outlet_state(id, outlet))
                .collect(),
            sessions: self.sessions.values().map(|session| session.state(self.now)).collect(),
            schedules: self.schedules.state(),
            queues: Queues {
                tasks_queued: self.tasks.queued() as u64,
                tasks_running: self.tasks.running_count() as u64,
                outbox_events,
                outbox_bytes,
                last_seq: self.outbox.last_seq(),
            },
        }
    }

    fn outlet_state(&self, id: &OutletId, outlet: &Outlet) -> OutletState {
        let (lease, off_at) = outlet.told_lease();
        OutletState {
            outlet: id.clone(),
            on: outlet.on(),
            lease,
            off_at_ms: off_at.filter(|_| lease != Lease::None).map(|at| self.now.wall_at(at)),
            hold: self.holds.get(id).map(|hold| HoldState {
                on: hold.on,
                until_ms: hold.until.map(|until| self.now.wall_at(until)),
            }),
            fault: outlet.fault(),
        }
    }
}
