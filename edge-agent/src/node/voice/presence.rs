//! What a node says of itself on its retained topics.

use edge_protocol::event::{Lease, Proof};
use edge_protocol::id::OutletId;
use edge_protocol::presence::{
    HoldState, Online, OutletState, Queues, State, StationState, Status,
};

use serde::{Deserialize, Serialize};

use super::clock;
use crate::node::Node;
use crate::node::outlet::Outlet;
use crate::node::time::{BootMs, Now};

/// What an outlet's state does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletDetail {
    /// Which outlet.
    pub outlet: OutletId,
    /// Its driver's name.
    pub driver: String,
    /// How sure it is that the outlet is as it says; absent until it answered once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Since when something is wrong with it: UTC, milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_since_ms: Option<u64>,
    /// What its driver said then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault_message: Option<String>,
    /// What its load draws, in milliwatts, where that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_mw: Option<u64>,
    /// What its register of energy shows, in milliwatt-hours, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_mwh: Option<u64>,
    /// How often its relay was found to have closed, since the store was made.
    #[serde(default)]
    pub cycles: u64,
    /// How often its relay may close.
    #[serde(default)]
    pub rated_cycles: u64,
    /// How many ons have waited for its minimum time off, since the agent started,
    #[serde(default)]
    pub waited_for_min_off: u64,
    /// and for their turn on its circuit.
    #[serde(default)]
    pub waited_for_stagger: u64,
}

impl Node {
    /// Why the broker takes none of its events, while it does not.
    #[must_use]
    pub fn refused_because(&self) -> Option<String> {
        self.outbox.held().map(|code| format!("the broker refuses events with 0x{code:02x}"))
    }

    pub(super) fn status(&self) -> Status {
        Status::Online(Online {
            online: true,
            accepting: self.accepting(),
            version: self.settings.version.clone(),
            boot_id: self.settings.boot_id.clone(),
            since_ms: self.voice.online_since_ms,
            clock: clock(self.now),
            refused: self.refused_because(),
        })
    }

    /// The whole state, as of the last step.
    #[must_use]
    pub fn state(&self) -> State {
        self.state_at(self.now.boot)
    }

    /// The whole state as it is at `boot`, at or after the last step: what is left of a session, and
    /// what the wall clock reads, go on while nothing happens.
    #[must_use]
    pub fn state_at(&self, boot: BootMs) -> State {
        let now = Now { boot, wall_ms: self.now.wall_at(boot), ..self.now };
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
            at_ms: now.wall_ms,
            stations: stations.collect(),
            outlets: self
                .outlets
                .iter()
                .map(|(id, outlet)| self.outlet_state(id, outlet))
                .collect(),
            sessions: self.sessions.values().map(|session| session.state(now)).collect(),
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

    /// What [`Self::state`] does not say of each outlet, in the same order.
    #[must_use]
    pub fn outlet_details(&self) -> Vec<OutletDetail> {
        let detail = |(id, outlet): (&OutletId, &Outlet)| OutletDetail {
            outlet: id.clone(),
            driver: outlet.settings.driver.clone(),
            proof: outlet.on().map(|_| outlet.proof(self.now.boot)),
            fault_since_ms: outlet.trouble().map(|trouble| self.now.wall_at(trouble.since)),
            fault_message: outlet.trouble().map(|trouble| trouble.message.clone()),
            power_mw: outlet.power_mw(),
            energy_mwh: outlet.register().map(|register| register.mwh),
            cycles: outlet.life.cycles,
            rated_cycles: outlet.settings.rated_cycles(),
            waited_for_min_off: outlet.waits().0,
            waited_for_stagger: outlet.waits().1,
        };
        self.outlets.iter().map(detail).collect()
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
            worn_percent: outlet.life.worn_percent(&outlet.settings),
        }
    }
}
