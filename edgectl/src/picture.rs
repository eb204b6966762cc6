//! What is known of a node, out of what it says: its retained status and state, and its events.

use std::collections::BTreeMap;

use edge_protocol::codec::{decode, decode_event};
use edge_protocol::event::{Clock, Event, Lease, OutletFault, What};
use edge_protocol::id::{NodeId, OutletId, SessionId, StationId};
use edge_protocol::presence::{
    Offline, OfflineReason, OutletState, SessionState, State, StationState, Status, Telemetry,
};
use edgectl::control::Message;
use serde_json::Value;

use crate::instant;

/// What is known of one node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Picture {
    /// Its last status.
    pub(crate) status: Option<Status>,
    /// Its last state, and what events told since.
    pub(crate) state: Option<State>,
    /// The words of the drivers of those outlets that have a fault, and since when, UTC.
    pub(crate) faults: BTreeMap<OutletId, (String, u64)>,
    /// Its last host figures.
    pub(crate) telemetry: Option<Telemetry>,
    /// Whether its clock could be trusted, by its last word on it.
    pub(crate) clock: Option<Clock>,
}

/// What a message was.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// The retained status.
    Status,
    /// The retained state.
    State,
    /// Host figures.
    Telemetry,
    /// An event.
    Event(Box<Event>),
    /// An event of a newer version, or what is no message of the contract: as it came, where it
    /// can be read at all.
    Strange(Option<Value>),
}

/// The node and the last word of a topic under `root`.
pub(crate) fn address<'a>(root: &str, topic: &'a str) -> Option<(NodeId, &'a str)> {
    let rest = topic.strip_prefix(root)?.strip_prefix("/nodes/")?;
    let (node, leaf) = rest.split_once('/')?;
    Some((node.parse().ok()?, leaf))
}

impl Picture {
    /// Takes in what came on the topic that ends in `leaf`.
    pub(crate) fn take(&mut self, leaf: &str, message: &Message) -> News {
        let payload = &message.payload;
        let taken = match leaf {
            "status" => decode(payload).ok().map(|status| {
                if let Status::Online(online) = &status {
                    self.clock = Some(online.clock);
                }
                self.status = Some(status);
                News::Status
            }),
            "state" => decode(payload).ok().map(|state| {
                self.state = Some(state);
                self.forget_faults();
                News::State
            }),
            "telemetry" => decode(payload).ok().map(|telemetry| {
                self.telemetry = Some(telemetry);
                News::Telemetry
            }),
            "events" => decode_event(payload).ok().map(|event| {
                self.apply(&event);
                News::Event(Box::new(event))
            }),
            _ => None,
        };
        taken.unwrap_or_else(|| News::Strange(decode(payload).ok()))
    }

    /// Lets an event act that is newer than the state; the next state has it too.
    fn apply(&mut self, event: &Event) {
        let Some(state) = &mut self.state else { return };
        if event.seq <= state.queues.last_seq {
            return;
        }
        self.clock = Some(event.clock);
        let Some(id) = event.what.outlet() else { return };
        let Some(outlet) = state.outlets.iter_mut().find(|outlet| outlet.outlet == *id) else {
            return;
        };
        if let What::OutletChanged(changed) = &event.what {
            outlet.on = Some(changed.on);
        } else if let What::OutletLease(lease) = &event.what {
            outlet.lease = lease.lease;
            outlet.off_at_ms = lease.off_at_ms;
        } else if let What::OutletFault(OutletFault { fault, message, since_ms, .. }) = &event.what
        {
            outlet.fault = Some(*fault);
            self.faults.insert(id.clone(), (message.clone(), *since_ms));
        } else if let What::OutletRecovered(_) = &event.what {
            outlet.fault = None;
            self.faults.remove(id);
        }
    }

    fn forget_faults(&mut self) {
        let Some(state) = &self.state else { return };
        let faulty = |id: &OutletId| {
            state.outlets.iter().any(|outlet| outlet.outlet == *id && outlet.fault.is_some())
        };
        self.faults.retain(|id, _| faulty(id));
    }

    /// The last event that the state knows of.
    pub(crate) fn last_seq(&self) -> Option<u64> {
        self.state.as_ref().map(|state| state.queues.last_seq)
    }

    /// One of its outlets.
    pub(crate) fn outlet(&self, id: &OutletId) -> Option<&OutletState> {
        self.state.as_ref()?.outlets.iter().find(|outlet| outlet.outlet == *id)
    }

    /// One of its stations.
    pub(crate) fn station(&self, id: &str) -> Option<&StationState> {
        self.state.as_ref()?.stations.iter().find(|station| station.station == *id)
    }

    /// One of its booked or live sessions.
    pub(crate) fn session(&self, id: &SessionId) -> Option<&SessionState> {
        self.state.as_ref()?.sessions.iter().find(|session| session.session == *id)
    }

    /// The outlets of a station, in the order in which they go on.
    pub(crate) fn outlets_of(&self, station: &StationId) -> Vec<&OutletState> {
        let station = self.station(station.as_str());
        let ids = station.map_or(&[][..], |station| &station.outlets);
        ids.iter().filter_map(|id| self.outlet(id)).collect()
    }

    /// Whether it is known to be connected.
    pub(crate) fn online(&self) -> bool {
        matches!(self.status, Some(Status::Online(_)))
    }

    /// Why it is not connected and since when, as far as known; nothing of one that is.
    pub(crate) fn absence(&self, now_ms: u64) -> Option<String> {
        let Some(Status::Offline(Offline { reason, .. })) = &self.status else { return None };
        let why = match reason {
            OfflineReason::Lost => "the broker lost it",
            OfflineReason::Shutdown => "it was stopped",
        };
        let heard = self.state.as_ref().map_or_else(String::new, |state| {
            format!("; it last told of itself at {}", instant::said(state.at_ms, now_ms))
        });
        Some(format!("offline ({why}{heard})"))
    }
}

/// When a plug cuts the power by itself, where it will.
pub(crate) fn leased(outlet: &OutletState) -> Option<u64> {
    match outlet.lease {
        Lease::Armed => outlet.off_at_ms,
        Lease::Stale | Lease::None => None,
    }
}

#[cfg(test)]
mod tests {
    use edge_protocol::event::Fault;
    use serde_json::json;

    use super::*;

    fn message(leaf: &str, payload: &Value) -> Message {
        let topic = format!("edge/v1/nodes/pi-1/{leaf}");
        Message { topic, payload: payload.to_string().into_bytes(), retain: true }
    }

    fn state(last_seq: u64, on: bool) -> Value {
        json!({
            "node": "pi-1", "at_ms": 1, "stations": [], "sessions": [],
            "outlets": [{ "outlet": "plug-1", "on": on, "lease": "none" }],
            "queues": { "tasks_queued": 0, "tasks_running": 0, "outbox_events": 0,
                "outbox_bytes": 0, "last_seq": last_seq },
        })
    }

    fn event(seq: u64, kind: &str, body: &Value) -> Value {
        json!({ "store": "a", "seq": seq, "type": kind, "at_ms": 1, "clock": "synced",
            "uptime_ms": 1, "boot_id": "b", "body": body })
    }

    fn faulty(seq: u64, kind: &str) -> Value {
        let body =
            json!({ "outlet": "plug-1", "fault": "unreachable", "message": "deaf", "since_ms": 5 });
        event(seq, kind, &body)
    }

    #[test]
    fn an_event_acts_until_the_state_knows_of_it_and_an_older_one_never() {
        let id: OutletId = "plug-1".parse().unwrap();
        let on = |seq| {
            event(
                seq,
                "outlet.changed",
                &json!({ "outlet": "plug-1", "on": true, "by": "session", "proof": "read_back" }),
            )
        };
        let mut picture = Picture::default();
        picture.take("state", &message("state", &state(4, false)));
        picture.take("events", &message("events", &on(4)));
        assert_eq!(picture.outlet(&id).unwrap().on, Some(false), "the state knew of it");
        picture.take("events", &message("events", &on(5)));
        assert_eq!(picture.outlet(&id).unwrap().on, Some(true));
        picture.take("events", &message("events", &faulty(6, "outlet.fault")));
        assert_eq!(picture.outlet(&id).unwrap().fault, Some(Fault::Unreachable));
        assert_eq!(picture.faults[&id], ("deaf".to_owned(), 5));
        picture.take("state", &message("state", &state(7, false)));
        assert!(picture.faults.is_empty(), "the state has no fault");
    }

    #[test]
    fn what_a_newer_node_says_is_shown_as_it_came() {
        let mut picture = Picture::default();
        let strange = event(1, "session.swapped", &json!({}));
        let News::Strange(Some(shown)) = picture.take("events", &message("events", &strange))
        else {
            panic!("it is not known")
        };
        assert_eq!(shown, strange);
        let junk = Message { topic: String::new(), payload: vec![0xff], retain: false };
        assert_eq!(picture.take("state", &junk), News::Strange(None));
    }

    #[test]
    fn a_topic_of_another_root_is_nobodys() {
        let (node, leaf) = address("edge/v1", "edge/v1/nodes/pi-1/state").unwrap();
        assert_eq!((node.as_str(), leaf), ("pi-1", "state"));
        for topic in ["edge/v2/nodes/pi-1/state", "edge/v1/groups/a/commands", "edge/v1/nodes/pi-1"]
        {
            assert_eq!(address("edge/v1", topic), None, "{topic}");
        }
    }
}
