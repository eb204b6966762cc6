//! The documents beside the types: names, fields, limits, topics.

use std::collections::BTreeSet;

use edge_protocol::command::{
    EventResend, OutletCycle, OutletRef, OutletSet, Request, SchedulePut, ScheduleRef, Script,
    SessionEnd, SessionExtend, SessionRef, SessionStart, SessionTransfer, TaskRef, TaskSubmit,
    Wait, Work,
};
use edge_protocol::event::{
    By, Clock, Code, CommandAccepted, CommandRejected, Fault, Lease, NodeClock, NodeDropped,
    NodeLink, NodeReport, NodeStarted, NodeStore, OutletChanged, OutletFault, OutletLease, Proof,
    Reason, SessionEnded, SessionEnding, SessionProblem, SessionRemaining, SessionTimes,
    SessionTransferred, TaskNews, What,
};
use edge_protocol::limits;
use edge_protocol::presence::{State, Telemetry};
use edge_protocol::topic::Topics;
use serde_json::{Value, json};
use tests::protocol::{DOCUMENTS, fields, variants};

#[test]
fn every_type_of_message_has_its_rule_and_its_schema_and_no_other_has() {
    for (prefix, kinds) in [("command.", &Request::KINDS[..]), ("event.", &What::KINDS[..])] {
        let names: Vec<String> = kinds.iter().map(|kind| format!("{prefix}{kind}")).collect();
        let names: BTreeSet<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(DOCUMENTS.cddl.rules(prefix), names);
        assert_eq!(DOCUMENTS.asyncapi.messages(prefix), names);
    }
    for presence in ["status", "state", "telemetry"] {
        assert!(DOCUMENTS.cddl.rules(presence).contains(presence));
        assert!(DOCUMENTS.asyncapi.messages(presence).contains(presence));
    }
}

/// CDDL is held to the same fields by what travels.
#[test]
fn the_schemas_have_the_fields_of_the_types_and_no_others() {
    let task = ["task-news", "task-retrying", "task-succeeded", "task-failed", "task-cancelled"];
    let times = ["session-booked", "session-started", "session-extended", "session-resumed"];
    for (read, schemas) in [
        (fields::<SessionStart>(), &["session-start"][..]),
        (fields::<SessionExtend>(), &["session-extend"]),
        (fields::<SessionRef>(), &["of-session"]),
        (fields::<SessionTransfer>(), &["session-transfer"]),
        (fields::<SessionEnd>(), &["session-end"]),
        (fields::<OutletSet>(), &["outlet-set"]),
        (fields::<OutletRef>(), &["of-outlet"]),
        (fields::<TaskSubmit>(), &["task-submit"]),
        (fields::<TaskRef>(), &["of-task"]),
        (fields::<Script>(), &["script"]),
        (fields::<OutletCycle>(), &["outlet-cycle"]),
        (fields::<Wait>(), &["wait"]),
        (fields::<SchedulePut>(), &["schedule-put"]),
        (fields::<ScheduleRef>(), &["of-schedule"]),
        (fields::<EventResend>(), &["event-resend"]),
        (fields::<CommandAccepted>(), &["command-accepted"]),
        (fields::<CommandRejected>(), &["command-rejected"]),
        (fields::<SessionTimes>(), &times),
        (fields::<SessionRemaining>(), &["session-remaining"]),
        (fields::<SessionTransferred>(), &["session-transferred"]),
        (fields::<SessionEnding>(), &["session-ending"]),
        (fields::<SessionEnded>(), &["session-ended"]),
        (fields::<SessionProblem>(), &["session-problem"]),
        (fields::<OutletChanged>(), &["outlet-changed"]),
        (fields::<OutletLease>(), &["outlet-lease"]),
        (fields::<OutletFault>(), &["outlet-trouble"]),
        (fields::<TaskNews>(), &task),
        (fields::<NodeStarted>(), &["node-started"]),
        (fields::<NodeClock>(), &["node-clock"]),
        (fields::<NodeLink>(), &["node-link"]),
        (fields::<NodeStore>(), &["node-store"]),
        (fields::<NodeDropped>(), &["node-dropped"]),
        (fields::<NodeReport>(), &["node-report"]),
        (fields::<State>(), &["state"]),
        (fields::<Telemetry>(), &["telemetry"]),
    ] {
        let known: BTreeSet<&str> =
            schemas.iter().flat_map(|schema| DOCUMENTS.asyncapi.fields(schema)).collect();
        assert_eq!(known, read, "{schemas:?}");
    }
}

#[test]
fn the_words_of_the_schemas_are_those_of_the_types() {
    for (read, schema) in [
        (variants::<Code>(), "code"),
        (variants::<Clock>(), "clock"),
        (variants::<Reason>(), "reason"),
        (variants::<Proof>(), "proof"),
        (variants::<By>(), "by"),
        (variants::<Lease>(), "lease"),
        (variants::<Fault>(), "fault"),
        (Work::KINDS.into(), "task-kind"),
    ] {
        let words = &DOCUMENTS.asyncapi.document["components"]["schemas"][schema]["enum"];
        let words = words.as_array().expect("a list of words").iter();
        let words: BTreeSet<&str> = words.filter_map(Value::as_str).collect();
        assert_eq!(words, read, "{schema}");
    }
}

#[test]
fn the_limits_of_the_schemas_are_those_that_the_node_keeps() {
    let schemas = &DOCUMENTS.asyncapi.document["components"]["schemas"];
    for (place, limit) in [
        ("/instant/maximum", limits::MAX_INSTANT_MS),
        ("/span/maximum", limits::MAX_SESSION_MS),
        ("/session-extend/properties/by_ms/maximum", limits::MAX_SESSION_MS),
        ("/work/maximum", limits::MAX_HOLD_MS),
        ("/work/maximum", limits::MAX_TASK_MS),
        ("/wait/properties/wait_ms/maximum", limits::MAX_TASK_MS),
        ("/session-start/properties/warn_before_ms/maxItems", limits::MAX_WARNINGS as u64),
        ("/session-start/properties/grace_ms/maximum", limits::MAX_GRACE_MS),
        ("/session-start/properties/label/maxLength", limits::MAX_LABEL_BYTES as u64),
        ("/task-submit/properties/max_retries/maximum", u64::from(limits::MAX_RETRIES)),
        ("/task-submit/properties/timeout_ms/maximum", limits::MAX_TASK_MS),
        ("/task-submit/properties/backoff_ms/maximum", limits::MAX_TASK_MS),
        ("/task-submit/properties/backoff_max_ms/maximum", limits::MAX_TASK_MS),
        ("/task-submit/properties/priority/maximum", u64::from(limits::MAX_PRIORITY)),
        ("/schedule-put/properties/cron/maxLength", limits::MAX_CRON_BYTES as u64),
        ("/schedule-put/properties/timezone/maxLength", limits::MAX_TIMEZONE_BYTES as u64),
        ("/schedule-put/properties/max_late_ms/maximum", limits::MAX_LATE_MS),
    ] {
        assert_eq!(schemas.pointer(place), Some(&json!(limit)), "{place}");
    }
    let packet = "/servers/broker/bindings/mqtt/maximumPacketSize";
    let packet = DOCUMENTS.asyncapi.document.pointer(packet);
    assert_eq!(packet, Some(&json!(limits::MAX_PACKET_BYTES)));
}

/// One command at each limit, and one beyond: the documents say what the node does.
#[test]
fn the_documents_take_and_refuse_what_a_node_takes_and_refuses() {
    let start = |more: Value| {
        let mut body = json!({ "session": "s", "station": "pc-1" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("session.start", body)
    };
    let task = |kind: &str, payload: Value| {
        ("task.submit", json!({ "task": "t", "kind": kind, "payload": payload }))
    };
    let year = limits::MAX_SESSION_MS;
    for (kind, body) in [
        start(json!({ "duration_ms": year })),
        start(json!({ "duration_ms": year + 1 })),
        start(json!({ "duration_ms": 0 })),
        start(json!({ "duration_ms": 1.5 })),
        start(json!({})),
        start(json!({ "duration_ms": 1, "ends_at_ms": 1 })),
        start(json!({ "ends_at_ms": limits::MAX_INSTANT_MS })),
        start(json!({ "ends_at_ms": limits::MAX_INSTANT_MS + 1 })),
        start(json!({ "duration_ms": 1, "label": "x".repeat(256) })),
        start(json!({ "duration_ms": 1, "label": "x".repeat(257) })),
        start(json!({ "duration_ms": 1, "label": null })),
        start(json!({ "duration_ms": 1, "colour": "red" })),
        start(json!({ "duration_ms": 1, "warn_before_ms": vec![1; 16] })),
        start(json!({ "duration_ms": 1, "warn_before_ms": vec![1; 17] })),
        start(json!({ "duration_ms": 1, "grace_ms": limits::MAX_GRACE_MS + 1 })),
        ("session.extend", json!({ "session": "s", "by_ms": -1 })),
        ("session.extend", json!({ "session": "s", "by_ms": 0 })),
        ("session.extend", json!({ "session": "s" })),
        ("session.end", json!({ "session": "s", "immediate": "yes" })),
        ("session.pause", json!({ "session": "-s" })),
        ("session.pause", json!({ "session": "s".repeat(65) })),
        ("outlet.set", json!({ "outlet": "o", "on": true, "for_ms": limits::MAX_HOLD_MS })),
        ("outlet.set", json!({ "outlet": "o", "on": true })),
        ("outlet.set", json!({ "outlet": "o", "on": false })),
        task("wait", json!({ "wait_ms": 1 })),
        task("wait", json!({ "off_ms": 1 })),
        task("sing", json!({})),
        task("script", json!({ "name": "a.sh", "args": { "deep": [[{}]] } })),
        task("script", json!({ "name": "../a.sh" })),
        task("script", json!({ "name": ".a" })),
        task("script", json!({ "name": "_a" })),
        task("outlet.cycle", json!({ "outlet": "o", "off_ms": 1 })),
        ("event.resend", json!({ "from_seq": 0, "to_seq": 1 })),
        ("event.resend", json!({ "from_seq": 1, "to_seq": 1 })),
        ("node.report", json!({})),
        ("node.report", json!({ "loud": true })),
    ] {
        let command = json!({ "id": "c", "type": kind, "issued_at_ms": 1, "body": body });
        let payload = command.to_string();
        let received = edge_protocol::codec::decode_command(payload.as_bytes()).unwrap();
        let name = format!("command.{kind}");
        let cddl = DOCUMENTS.cddl.check(&name, payload.as_bytes());
        let asyncapi = DOCUMENTS.asyncapi.check(&name, &command);
        let taken = received.command.is_ok();
        assert_eq!((cddl.is_ok(), asyncapi.is_ok()), (taken, taken), "{command}: {received:?}");
    }
}

/// A checker that lets everything pass would keep nothing from drifting.
#[test]
fn a_field_or_a_type_that_the_documents_do_not_know_is_seen() {
    let event = json!({ "store": "9f3ac01b", "seq": 7, "type": "outlet.changed", "at_ms": 1,
        "clock": "synced", "uptime_ms": 1, "boot_id": "5d1f8a52",
        "body": { "outlet": "plug-1", "on": true, "by": "session", "proof": "read_back" } });
    let state = json!({ "node": "pi-1", "at_ms": 1,
        "stations": [{ "station": "pc-1", "outlets": ["plug-1"] }],
        "outlets": [{ "outlet": "plug-1", "lease": "armed", "hold": { "on": true } }],
        "sessions": [{ "session": "s", "station": "pc-1", "phase": "active", "seq": 7 }],
        "queues": { "tasks_queued": 0, "tasks_running": 0, "outbox_events": 0, "outbox_bytes": 0,
            "last_seq": 7 } });
    let status = json!({ "online": false, "reason": "lost" });
    for (name, message) in [("event.outlet.changed", event), ("state", state), ("status", status)] {
        let check = |message: &Value| {
            let cddl = DOCUMENTS.cddl.check(name, message.to_string().as_bytes());
            (cddl.is_ok(), DOCUMENTS.asyncapi.check(name, message).is_ok())
        };
        assert_eq!(check(&message), (true, true), "{message}");
        for map in maps(&message, String::new()) {
            let mut more = message.clone();
            more.pointer_mut(&map).unwrap()["colour"] = json!("red");
            assert_eq!(check(&more), (false, false), "{name}, a field in {map:?}");
            let names: Vec<String> =
                message.pointer(&map).unwrap().as_object().unwrap().keys().cloned().collect();
            for field in names {
                let mut other = message.clone();
                other.pointer_mut(&map).unwrap()[&field] = json!([[]]);
                assert_eq!(check(&other), (false, false), "{name}, a list as {field}");
            }
        }
    }
    assert!(DOCUMENTS.check("event.node.sang", b"{}").is_err());
}

/// The place of every map in a message.
fn maps(message: &Value, place: String) -> Vec<String> {
    match message {
        Value::Object(map) => {
            let inside =
                map.iter().flat_map(|(name, value)| maps(value, format!("{place}/{name}")));
            let inside: Vec<String> = inside.collect();
            [vec![place], inside].concat()
        }
        Value::Array(items) => {
            let inside = items.iter().enumerate();
            inside.flat_map(|(index, value)| maps(value, format!("{place}/{index}"))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[test]
fn the_channels_are_the_contracts_topics_and_everything_that_is_referred_to_is_there() {
    let document = &DOCUMENTS.asyncapi.document;
    let topics = Topics::new("{root}", "NODE".parse().unwrap());
    let group = topics.group_commands(&"GROUP".parse().unwrap());
    for (channel, topic, operation, action, qos, retain) in [
        ("commands", topics.commands(), "takeCommands", "receive", 1, false),
        ("groupCommands", group, "takeGroupCommands", "receive", 1, false),
        ("events", topics.events(), "tellEvents", "send", 1, false),
        ("status", topics.status(), "tellStatus", "send", 1, true),
        ("state", topics.state(), "tellState", "send", 1, true),
        ("telemetry", topics.telemetry(), "tellTelemetry", "send", 0, false),
    ] {
        let address = topic.replace("NODE", "{node}").replace("GROUP", "{group}");
        assert_eq!(document["channels"][channel]["address"], address);
        let operation = &document["operations"][operation];
        assert_eq!(operation["action"], action);
        assert_eq!(operation["channel"]["$ref"], format!("#/channels/{channel}"));
        let mqtt = json!({ "qos": qos, "retain": retain, "bindingVersion": "0.2.0" });
        assert_eq!(operation["bindings"]["mqtt"], mqtt);
    }
    let messages = |channel: &str| {
        let messages = document["channels"][channel]["messages"].as_object().unwrap();
        let names: BTreeSet<String> = messages
            .iter()
            .map(|(name, message)| {
                let target = message["$ref"].as_str().unwrap();
                assert!(target.ends_with(name.as_str()), "{name} is {target}");
                name.clone()
            })
            .collect();
        names
    };
    let owned = |kinds: &[&str]| kinds.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(messages("commands"), owned(&Request::KINDS));
    assert_eq!(messages("groupCommands"), owned(&Request::KINDS));
    assert_eq!(messages("events"), owned(&What::KINDS));
    for reference in DOCUMENTS.asyncapi.references() {
        let place = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(place).is_some(), "{reference} is nowhere");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    let used = DOCUMENTS.asyncapi.references();
    for name in schemas.keys() {
        assert!(used.contains(format!("#/components/schemas/{name}").as_str()), "{name} is unused");
    }
}
