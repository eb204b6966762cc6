//! `docs/protocol` says what travels, all of it and nothing else.
//!
//! Every message of every other story is held to both documents as it comes; here are the types
//! of messages that few of them see, and the documents themselves.

mod types;

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use edge_protocol::codec::{Encoding, encode};
use edge_protocol::command::Request;
use edge_protocol::event::{Event, What};
use plug_sim::Fault;
use serde_json::{Value, json};
use tests::desk::{Desk, Layout, Leaf, now_ms};
use tests::protocol::{DOCUMENTS, said};
use tests::script;
use tests::transcript::seq;

/// A node tells of its clock when that is corrected, and no story may set this machine's clock.
const UNSEEN: [&str; 1] = ["node.clock"];
/// The node refuses these for now.
const UNSUPPORTED: [&str; 2] = ["schedule.put", "schedule.remove"];

#[tokio::test]
async fn every_type_of_message_is_seen_and_is_as_documented() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::with(encoding, Layout::plugs(3)).await?;
        let mut asked = BTreeSet::new();
        for (kind, body, then) in asks() {
            prepare(&mut desk, kind, &body)?;
            desk.ask(kind, body).await?;
            asked.insert(kind);
            for (told, subject) in then {
                desk.told_of(told, subject).await?;
            }
            desk.plug(3).clear_fault();
        }
        let unsupported = UNSUPPORTED.map(|kind| desk.command(kind, json!({ "schedule": "s" })));
        for command in unsupported {
            desk.refused_command(&command).await?;
        }
        desk.says(Leaf::Telemetry, |_| true).await?;
        desk.says(Leaf::State, |state| state["sessions"].as_array().is_some()).await?;
        desk.says(Leaf::Status, |status| status["online"] == true).await?;
        // An event of the node itself is not kept once it is delivered.
        let first = seq(desk.events().first().context("an event")?)?;
        desk.ask("event.resend", json!({ "from_seq": first, "to_seq": first })).await?;
        desk.told("node.dropped").await?;
        asked.insert("event.resend");

        let known = BTreeSet::from(Request::KINDS);
        let missed: Vec<_> = known.difference(&asked).copied().collect();
        assert_eq!(missed, UNSUPPORTED, "not asked for");
        let mut told: BTreeSet<String> = desk.events().iter().map(kind_of).collect();
        told.insert(lost_store(desk).await?);
        let missed: Vec<_> = What::KINDS.into_iter().filter(|kind| !told.contains(*kind)).collect();
        assert_eq!(missed, UNSEEN, "not told of");
    }
    Ok(())
}

fn kind_of(event: &Value) -> String {
    event["type"].as_str().unwrap_or_default().to_owned()
}

type Then = Vec<(&'static str, &'static str)>;

/// What is asked for, one after the other, and what is told of it.
fn asks() -> Vec<(&'static str, Value, Then)> {
    let start = |session: &str, more: Value| {
        let mut body = json!({ "session": session, "station": "pc-1", "duration_ms": 60_000 });
        body.as_object_mut().expect("a map").extend(more.as_object().expect("a map").clone());
        ("session.start", body)
    };
    let ask = |(kind, body): (&'static str, Value), then: &[(&'static str, &'static str)]| {
        (kind, body, then.to_vec())
    };
    let of = |kind: &'static str, session: &str| (kind, json!({ "session": session }));
    let end = |session: &str| ("session.end", json!({ "session": session, "immediate": true }));
    let transfer = |session: &str, station: &str| {
        ("session.transfer", json!({ "session": session, "station": station }))
    };
    let task = |task: &str, script: &str, retries: u32| {
        let payload = json!({ "name": script, "args": { "why": [1.5, null] } });
        let body = json!({ "task": task, "kind": "script", "payload": payload,
            "max_retries": retries, "backoff_ms": 0, "backoff_max_ms": 0 });
        ("task.submit", body)
    };
    let soon = json!({ "starts_at_ms": now_ms() + 3_000, "grace_ms": 0, "label": "seat 7" });
    let last = json!({ "warn_before_ms": [59_000], "station": "pc-1" });
    vec![
        // It can't begin, since the station is taken by then.
        ask(start("booked", soon), &[("session.booked", "booked")]),
        ask(
            start("long", last),
            &[
                ("session.started", "long"),
                ("session.warning", "long"),
                ("session.failed", "booked"),
            ],
        ),
        ask(
            ("session.extend", json!({ "session": "long", "by_ms": 60_000 })),
            &[("session.extended", "long"), ("outlet.lease", "plug-1")],
        ),
        ask(of("session.pause", "long"), &[("session.paused", "long")]),
        ask(of("session.resume", "long"), &[("session.resumed", "long")]),
        ask(transfer("long", "pc-2"), &[("session.transferred", "long")]),
        // Its plug can't be reached, and the session ends before it can.
        ask(transfer("long", "pc-3"), &[("outlet.fault", "plug-3")]),
        ask(
            end("long"),
            &[
                ("session.refused", "long"),
                ("session.ending", "long"),
                ("session.ended", "long"),
                ("outlet.changed", "plug-2"),
                ("outlet.recovered", "plug-3"),
            ],
        ),
        ask(("outlet.set", json!({ "outlet": "plug-1", "on": true, "for_ms": 60_000 })), &[]),
        ask(("outlet.release", json!({ "outlet": "plug-1" })), &[]),
        ask(
            task("good", "good.sh", 0),
            &[("task.queued", "good"), ("task.started", "good"), ("task.succeeded", "good")],
        ),
        ask(task("bad", "bad.sh", 1), &[("task.retrying", "bad"), ("task.failed", "bad")]),
        ask(("task.retry", json!({ "task": "bad" })), &[("task.queued", "bad")]),
        ask(task("slow", "slow.sh", 0), &[("task.started", "slow")]),
        ask(("task.cancel", json!({ "task": "slow" })), &[("task.cancelled", "slow")]),
        ask(("node.report", json!({})), &[("node.report", "")]),
    ]
}

/// What must be so before a command is sent.
fn prepare(desk: &mut Desk, kind: &str, body: &Value) -> Result<()> {
    if kind == "session.transfer" && body["station"] == "pc-3" {
        desk.plug(3).set_fault(Fault::Unreachable);
    }
    for (name, lines) in
        [("good.sh", r#"echo '{"n":[1,2.5]}'"#), ("bad.sh", "exit 1"), ("slow.sh", "sleep 60")]
    {
        script::put(&desk.site, name, lines)?;
    }
    Ok(())
}

/// A store that has lost its name is another one from then on, and says so.
async fn lost_store(mut desk: Desk) -> Result<String> {
    let agent = desk.agent.take().context("it runs")?;
    agent.stop().await?;
    std::fs::remove_file(desk.site.folder().join("data/store.id"))?;
    let mut site = desk.site;
    site.inspect(|topics, message| said(topics, message).map_err(|error| format!("{error:#}")));
    let _agent = site.agent().await?;
    let lost = |event: &Event| match &event.what {
        What::NodeStore(_) => Some(event.what.kind().to_owned()),
        _ => None,
    };
    tests::within("the store's loss is told", async { Ok(site.event(lost).await?) }).await
}

/// What no story sees, out of the types themselves.
#[test]
fn what_no_story_can_bring_about_is_as_documented_too() {
    use edge_protocol::event::{Clock, ClockedSession, NodeClock};
    let sessions =
        vec![ClockedSession { session: "s-1".parse().unwrap(), ends_at_ms: 1_763_690_000_000 }];
    let what = What::NodeClock(NodeClock { step_ms: -1_500, sessions, off_for_ms: None });
    let event = Event {
        store: "9f3ac01b".to_owned(),
        seq: 1,
        at_ms: 1_763_690_000_000,
        clock: Clock::Unsynced,
        uptime_ms: 0,
        boot_id: "5d1f8a52".to_owned(),
        cause: None,
        what,
    };
    let put = json!({ "id": "c", "type": "schedule.put", "body": {
        "schedule": "s", "cron": "0 22 * * *", "timezone": "Europe/Berlin", "missed": "once",
        "command": { "type": "outlet.set", "body": { "outlet": "sign", "on": true, "for_ms": 60_000 } },
    } });
    let remove = json!({ "id": "c", "type": "schedule.remove", "body": { "schedule": "s" } });
    for encoding in [Encoding::Json, Encoding::Cbor] {
        DOCUMENTS.check("event.node.clock", &encode(encoding, &event)).unwrap();
        for command in [&put, &remove] {
            let name = format!("command.{}", command["type"].as_str().unwrap());
            let payload = encode(encoding, command);
            DOCUMENTS.check(&name, &payload).unwrap();
            let received = edge_protocol::codec::decode_command(&payload).unwrap();
            assert!(received.command.is_ok(), "{received:?}");
        }
    }
}
