//! A moment of an agent that has something of everything to tell.

use std::collections::BTreeMap;

use edge_protocol::event::{
    Clock, CommandRejected, Event, Fault, Lease, NodeClock, OutletFault, Proof, What,
};
use edge_protocol::presence::{
    OutletState, Queues, SessionState, Spares, State, StationState, Throttle, Traffic,
};

use super::{OutletDetail, Report, Snapshot, StoreReport};
use crate::host::figures::{Agent, Cpu, Figures, Space, Throttling};
use crate::metrics::Meter;
use crate::node::time::{BootMs, Now};

const AT_MS: u64 = 1_763_690_000_000;

pub(crate) fn event(what: What) -> Event {
    Event {
        store: "9f3ac01b".to_owned(),
        seq: 1,
        at_ms: AT_MS,
        clock: Clock::Synced,
        uptime_ms: 1,
        boot_id: "boot".to_owned(),
        cause: None,
        what,
    }
}

pub(crate) fn report() -> Report {
    let outlet = OutletState {
        outlet: "plug-1".parse().unwrap(),
        on: Some(true),
        lease: Lease::Armed,
        off_at_ms: Some(AT_MS + 65_000),
        hold: None,
        fault: Some(Fault::Unreachable),
        worn_percent: Some(84),
    };
    let detail = OutletDetail {
        outlet: "plug-1".parse().unwrap(),
        driver: "tasmota".to_owned(),
        proof: Some(Proof::LeaseConfirmed),
        fault_since_ms: Some(AT_MS - 5_000),
        fault_message: Some("no answer".to_owned()),
        power_mw: Some(58_400),
        energy_mwh: Some(1_234_567),
        cycles: 42_000,
        rated_cycles: 50_000,
        waited_for_min_off: 1,
        waited_for_stagger: 2,
    };
    let session = SessionState {
        session: "s-1".parse().unwrap(),
        station: "pc-1".parse().unwrap(),
        phase: "active".to_owned(),
        ends_at_ms: Some(AT_MS + 60_000),
        remaining_ms: Some(60_000),
        label: Some("</script><b>7".to_owned()),
        seq: 7,
    };
    let station = StationState {
        station: "pc-1".parse().unwrap(),
        outlets: vec!["plug-1".parse().unwrap()],
        session: Some("s-1".parse().unwrap()),
    };
    Report {
        version: "0.1.0".to_owned(),
        store: "9f3ac01b".to_owned(),
        started_at_ms: AT_MS - 400_000,
        clock: Clock::Synced,
        online: false,
        offline_because: Some("refused".to_owned()),
        link_since_ms: AT_MS - 60_000,
        accepting: true,
        disk: None,
        refused: None,
        not_kept: BTreeMap::new(),
        configuration: None,
        certificate_expires_at_ms: AT_MS + 1,
        state: State {
            node: "pi-0042".parse().unwrap(),
            at_ms: AT_MS,
            stations: vec![station],
            outlets: vec![outlet],
            sessions: vec![session],
            schedules: vec![],
            queues: Queues {
                tasks_queued: 3,
                tasks_running: 2,
                outbox_events: 5,
                outbox_bytes: 1_024,
                last_seq: 7,
            },
        },
        outlets: vec![detail],
        events: Vec::new(),
        host: None,
    }
}

fn meter() -> Meter {
    let mut meter = Meter::default();
    let outlet = "plug-1".parse().unwrap();
    meter.connected();
    meter.disconnected();
    meter.ordered(&outlet, 1, 1_000);
    meter.answered(&outlet, 1, false, 9_000);
    meter.submitted(1, 512, 2_000);
    meter.stored(1, 2_900);
    let (fault, message) = (Fault::Unreachable, "no answer".to_owned());
    let fault = OutletFault { outlet, session: None, fault, message, since_ms: AT_MS };
    meter.told(&event(What::OutletFault(fault)));
    meter.told(&event(What::NodeClock(NodeClock {
        step_ms: -1_500,
        sessions: Vec::new(),
        off_for_ms: None,
    })));
    meter.told(&event(What::CommandRejected(CommandRejected {
        command: None,
        code: edge_protocol::event::Code::Malformed,
        message: String::new(),
        repeat: false,
    })));
    meter
}

pub(crate) fn snapshot() -> Snapshot {
    let store = StoreReport {
        outbox_max_bytes: 67_108_864,
        syncs: 9,
        unstored_batches: 1,
        failing: false,
        space_low: true,
    };
    let now = Now { boot: BootMs(86_400_123), wall_ms: AT_MS, synced: true };
    Snapshot { now, report: report(), meter: meter(), store }
}

/// Of a machine that tells everything.
pub(crate) fn figures() -> Figures {
    Figures {
        load_1m: Some(0.25),
        cpu: Some(Cpu { busy_ms: 30, idle_ms: 970 }),
        cpu_c: Some(48.312),
        throttling: Some(Throttling { now: vec![Throttle::UnderVoltage], earlier: Some(vec![]) }),
        memory_available_bytes: Some(1),
        memory_bytes: Some(2),
        disk_space: Some(Space { available_bytes: 3, bytes: 4 }),
        disk_written_bytes: Some(5),
        disk_worn_percent: Some(20),
        disk_spares: Some(Spares::Warning),
        network: vec![Traffic { interface: "eth0".to_owned(), received_bytes: 6, sent_bytes: 7 }],
        agent: Agent {
            rss_bytes: Some(8),
            cpu_ms: Some(9),
            written_bytes: Some(10),
            open_files: Some(11),
            store_bytes: Some(12),
        },
    }
}
