//! What a node says of itself, both ways, in both encodings.

use edge_protocol::codec::{Encoding, decode, encode};
use edge_protocol::event::{Clock, Fault, Lease};
use edge_protocol::presence::{
    HoldState, OfflineReason, Online, OutletState, Queues, ScheduleState, SessionState, Spares,
    State, StationState, Status, Telemetry, Throttle, Traffic,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{bytes, id, json};

fn is_frozen<T>(message: &T, text: &str, cbor: &str)
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    assert_eq!(json(encode(Encoding::Json, message)), text);
    assert_eq!(encode(Encoding::Cbor, message), bytes(cbor), "{text}");
    assert_eq!(decode::<T>(text.as_bytes()).as_ref(), Ok(message));
    assert_eq!(decode::<T>(&bytes(cbor)).as_ref(), Ok(message));
}

fn online(accepting: bool, refused: Option<&str>) -> Status {
    Status::Online(Online {
        online: true,
        accepting,
        version: "0.1.0".to_owned(),
        boot_id: "5d1f8a52".to_owned(),
        since_ms: 1_763_690_000_000,
        clock: Clock::Unsynced,
        refused: refused.map(str::to_owned),
    })
}

#[test]
fn the_status_of_a_connected_node_is_frozen() {
    is_frozen(
        &online(true, None),
        r#"{"online":true,"accepting":true,"version":"0.1.0","boot_id":"5d1f8a52","since_ms":1763690000000,"clock":"unsynced"}"#,
        "a6666f6e6c696e65f569616363657074696e67f56776657273696f6e65302e312e3067626f6f745f6964\
            6835643166386135326873696e63655f6d731b0000019aa41dae8065636c6f636b68756e73796e636564",
    );
    is_frozen(
        &online(false, Some("not authorized")),
        r#"{"online":true,"accepting":false,"version":"0.1.0","boot_id":"5d1f8a52","since_ms":1763690000000,"clock":"unsynced","refused":"not authorized"}"#,
        "a7666f6e6c696e65f569616363657074696e67f46776657273696f6e65302e312e3067626f6f745f6964\
            6835643166386135326873696e63655f6d731b0000019aa41dae8065636c6f636b68756e73796e636564\
            67726566757365646e6e6f7420617574686f72697a6564",
    );
}

#[test]
fn the_last_will_and_the_orderly_stop_are_frozen() {
    is_frozen(
        &Status::offline(OfflineReason::Lost),
        r#"{"online":false,"reason":"lost"}"#,
        "a2666f6e6c696e65f466726561736f6e646c6f7374",
    );
    is_frozen(
        &Status::offline(OfflineReason::Shutdown),
        r#"{"online":false,"reason":"shutdown"}"#,
        "a2666f6e6c696e65f466726561736f6e6873687574646f776e",
    );
}

#[test]
fn the_state_is_frozen() {
    let live = SessionState {
        session: id("s-1"),
        station: id("pc-07"),
        phase: "active".to_owned(),
        ends_at_ms: Some(1_763_693_601_000),
        remaining_ms: Some(3_600_000),
        label: Some("seat 7".to_owned()),
        seq: 4_711,
    };
    let held = OutletState {
        outlet: id("plug-07"),
        on: Some(true),
        lease: Lease::Stale,
        off_at_ms: Some(1_763_693_616_000),
        hold: Some(HoldState { on: true, until_ms: Some(1_763_690_600_000) }),
        fault: Some(Fault::StuckOff),
        worn_percent: None,
    };
    let silent = OutletState {
        outlet: id("relay-1"),
        on: None,
        lease: Lease::None,
        off_at_ms: None,
        hold: None,
        fault: None,
        worn_percent: None,
    };
    let state = State {
        node: id("pi-0042"),
        at_ms: 1_763_690_001_000,
        stations: vec![StationState {
            station: id("pc-07"),
            outlets: vec![id("plug-07"), id("relay-1")],
            session: Some(id("s-1")),
        }],
        outlets: vec![held, silent],
        sessions: vec![live],
        schedules: vec![],
        queues: Queues {
            tasks_queued: 3,
            tasks_running: 2,
            outbox_events: 5,
            outbox_bytes: 1_024,
            last_seq: 4_711,
        },
    };
    is_frozen(
        &state,
        r#"{"node":"pi-0042","at_ms":1763690001000,"stations":[{"station":"pc-07","outlets":["plug-07","relay-1"],"session":"s-1"}],"outlets":[{"outlet":"plug-07","on":true,"lease":"stale","off_at_ms":1763693616000,"hold":{"on":true,"until_ms":1763690600000},"fault":"stuck_off"},{"outlet":"relay-1","lease":"none"}],"sessions":[{"session":"s-1","station":"pc-07","phase":"active","ends_at_ms":1763693601000,"remaining_ms":3600000,"label":"seat 7","seq":4711}],"queues":{"tasks_queued":3,"tasks_running":2,"outbox_events":5,"outbox_bytes":1024,"last_seq":4711}}"#,
        "a6646e6f64656770692d303034326561745f6d731b0000019aa41db2686873746174696f6e7381a36773\
            746174696f6e6570632d3037676f75746c6574738267706c75672d30376772656c61792d316773657373\
            696f6e63732d31676f75746c65747382a6666f75746c657467706c75672d3037626f6ef5656c65617365\
            657374616c65696f66665f61745f6d731b0000019aa454db8064686f6c64a2626f6ef568756e74696c5f\
            6d731b0000019aa426d640656661756c7469737475636b5f6f6666a2666f75746c65746772656c61792d\
            31656c65617365646e6f6e656873657373696f6e7381a76773657373696f6e63732d316773746174696f\
            6e6570632d3037657068617365666163746976656a656e64735f61745f6d731b0000019aa454a0e86c72\
            656d61696e696e675f6d731a0036ee80656c6162656c6673656174203763736571191267667175657565\
            73a56c7461736b735f717565756564036d7461736b735f72756e6e696e67026d6f7574626f785f657665\
            6e7473056c6f7574626f785f6279746573190400686c6173745f736571191267",
    );
}

#[test]
fn the_schedules_in_a_state_are_frozen() {
    let next = |schedule, next_at_ms| ScheduleState { schedule: id(schedule), next_at_ms };
    let state = State {
        node: id("pi-0042"),
        at_ms: 1_763_690_001_000,
        stations: vec![],
        outlets: vec![],
        sessions: vec![],
        schedules: vec![next("nightly", Some(1_763_694_000_000)), next("weekly", None)],
        queues: Queues {
            tasks_queued: 0,
            tasks_running: 0,
            outbox_events: 0,
            outbox_bytes: 0,
            last_seq: 1,
        },
    };
    is_frozen(
        &state,
        r#"{"node":"pi-0042","at_ms":1763690001000,"stations":[],"outlets":[],"sessions":[],"schedules":[{"schedule":"nightly","next_at_ms":1763694000000},{"schedule":"weekly"}],"queues":{"tasks_queued":0,"tasks_running":0,"outbox_events":0,"outbox_bytes":0,"last_seq":1}}"#,
        "a7646e6f64656770692d303034326561745f6d731b0000019aa41db2686873746174696f6e7380676f75\
            746c657473806873657373696f6e7380697363686564756c657382a2687363686564756c65676e696768\
            746c796a6e6578745f61745f6d731b0000019aa45ab780a1687363686564756c65667765656b6c796671\
            7565756573a56c7461736b735f717565756564006d7461736b735f72756e6e696e67006d6f7574626f78\
            5f6576656e7473006c6f7574626f785f627974657300686c6173745f73657101",
    );
}

#[test]
fn telemetry_is_frozen() {
    let telemetry = Telemetry {
        at_ms: 1_763_690_000_000,
        uptime_ms: 86_400_123,
        load_1m: Some(0.25),
        cpu_c: Some(48.3),
        memory_available_bytes: Some(3_221_225_472),
        disk_available_bytes: Some(0),
        agent_rss_bytes: Some(18_874_368),
        ..Telemetry::default()
    };
    is_frozen(
        &telemetry,
        r#"{"at_ms":1763690000000,"uptime_ms":86400123,"load_1m":0.25,"cpu_c":48.3,"memory_available_bytes":3221225472,"disk_available_bytes":0,"agent_rss_bytes":18874368}"#,
        "a76561745f6d731b0000019aa41dae8069757074696d655f6d731a05265c7b676c6f61645f316df93400\
            656370755f63fb4048266666666666766d656d6f72795f617661696c61626c655f62797465731ac00000\
            00746469736b5f617661696c61626c655f6279746573006f6167656e745f7273735f62797465731a0120\
            0000",
    );
}

#[test]
fn telemetry_of_a_machine_that_tells_everything_is_frozen() {
    let telemetry = Telemetry {
        at_ms: 1_763_690_000_000,
        uptime_ms: 86_400_123,
        load_1m: Some(0.25),
        cpu_percent: Some(12.5),
        cpu_c: Some(48.5),
        throttled: Some(vec![Throttle::UnderVoltage, Throttle::SoftTemperatureLimit]),
        throttled_earlier: Some(vec![Throttle::FrequencyCapped, Throttle::Throttled]),
        memory_available_bytes: Some(1),
        memory_bytes: Some(2),
        disk_available_bytes: Some(3),
        disk_bytes: Some(4),
        disk_written_bytes: Some(5),
        disk_worn_percent: Some(20),
        disk_spares: Some(Spares::Normal),
        network: vec![Traffic { interface: "eth0".to_owned(), received_bytes: 6, sent_bytes: 7 }],
        agent_rss_bytes: Some(8),
        agent_cpu_ms: Some(9),
        agent_written_bytes: Some(10),
    };
    is_frozen(
        &telemetry,
        r#"{"at_ms":1763690000000,"uptime_ms":86400123,"load_1m":0.25,"cpu_percent":12.5,"cpu_c":48.5,"throttled":["under_voltage","soft_temperature_limit"],"throttled_earlier":["frequency_capped","throttled"],"memory_available_bytes":1,"memory_bytes":2,"disk_available_bytes":3,"disk_bytes":4,"disk_written_bytes":5,"disk_worn_percent":20,"disk_spares":"normal","network":[{"interface":"eth0","received_bytes":6,"sent_bytes":7}],"agent_rss_bytes":8,"agent_cpu_ms":9,"agent_written_bytes":10}"#,
        "b26561745f6d731b0000019aa41dae8069757074696d655f6d731a05265c7b676c6f61645f316df93400\
            6b6370755f70657263656e74f94a40656370755f63f95210697468726f74746c6564826d756e6465725f\
            766f6c7461676576736f66745f74656d70657261747572655f6c696d6974717468726f74746c65645f65\
            61726c69657282706672657175656e63795f636170706564697468726f74746c6564766d656d6f72795f\
            617661696c61626c655f6279746573016c6d656d6f72795f627974657302746469736b5f617661696c61\
            626c655f6279746573036a6469736b5f627974657304726469736b5f7772697474656e5f627974657305\
            716469736b5f776f726e5f70657263656e74146b6469736b5f737061726573666e6f726d616c676e6574\
            776f726b81a369696e7465726661636564657468306e72656365697665645f6279746573066a73656e74\
            5f6279746573076f6167656e745f7273735f6279746573086c6167656e745f6370755f6d730973616765\
            6e745f7772697474656e5f62797465730a",
    );
    let names =
        [Spares::Warning, Spares::Urgent].map(|spares| json(encode(Encoding::Json, &spares)));
    assert_eq!(names, [r#""warning""#, r#""urgent""#]);
}

#[test]
fn a_message_of_another_shape_is_invalid_and_names_the_field() {
    let problem = decode::<Telemetry>(br#"{"at_ms":1,"uptime_ms":"long"}"#).unwrap_err();
    assert!(problem.message.starts_with("uptime_ms: "), "{problem}");
}
