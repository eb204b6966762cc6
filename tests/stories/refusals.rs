//! Every way in which a node says no, from outside.

use anyhow::{Context as _, Result};
use edge_protocol::codec::{Encoding, encode};
use edge_protocol::limits::{MAX_DEPTH, MAX_MESSAGE_BYTES};
use serde_json::{Value, json};
use tests::desk::{Desk, Layout, id, now_ms};
use tests::script;
use tests::transcript::{fields, text};

#[tokio::test]
async fn what_is_no_command_is_malformed_or_too_large_and_never_comes_back() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let deep = encode(encoding, &nested(&mut desk, MAX_DEPTH + 1));
        for (payload, code) in [
            (vec![0xff, 0x00, 0x13, 0x37], "malformed"),
            (b"{\"id\":\"x\"".to_vec(), "malformed"),
            (b"[1,2,3]".to_vec(), "malformed"),
            (encode(encoding, &json!({ "type": "node.report" })), "malformed"),
            (encode(encoding, &json!({ "id": "../x", "type": "node.report" })), "malformed"),
            (encode(encoding, &json!({ "id": "no-type" })), "malformed"),
            (deep, "malformed"),
            (vec![b' '; MAX_MESSAGE_BYTES + 1], "too_large"),
            (vec![0xbf; MAX_MESSAGE_BYTES + 1], "too_large"),
        ] {
            desk.publish_bytes(payload, false).await?;
            let rejected = desk.told("command.rejected").await?;
            assert_eq!(fields(&rejected), ["code", "message"], "nobody can be named");
            assert_eq!((text(&rejected, "code"), rejected.get("cause")), (code.into(), None));
        }
        nothing_comes_back(&mut desk).await?;
    }
    Ok(())
}

/// The broker goes and comes back: what was acknowledged to it stays away.
async fn nothing_comes_back(desk: &mut Desk) -> Result<()> {
    let before = desk.caught_up().await?;
    desk.site.broker.stop().await?;
    desk.site.broker.start_again().await?;
    let link = desk.told("node.link").await?;
    assert_eq!(link["body"]["session_present"], true, "the broker kept what waited");
    let last = desk.ask("node.report", json!({})).await?;
    desk.told("node.report").await?;
    for event in desk.events() {
        let answer = event["type"].as_str().is_some_and(|kind| kind.starts_with("command."));
        let later = event["seq"].as_u64() > Some(before);
        assert!(!answer || !later || event["body"]["command"] == last, "came back: {event}");
    }
    Ok(())
}

/// A task whose command nests so deep.
fn nested(desk: &mut Desk, depth: usize) -> Value {
    // The message, its body, the payload and `args` are four levels.
    let args = (5..=depth).fold(json!({}), |inner, _| json!({ "deeper": inner }));
    let payload = json!({ "name": "count", "args": args });
    desk.command("task.submit", json!({ "task": "deep", "kind": "script", "payload": payload }))
}

#[tokio::test]
async fn a_command_of_exactly_64_kib_and_16_levels_is_taken() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        script::put(&desk.site, "count", r#"echo "{\"bytes\":$(wc -c)}""#)?;
        let deep = nested(&mut desk, MAX_DEPTH);
        desk.publish(&deep).await?;
        desk.told_of("task.succeeded", "deep").await?;

        let large = |desk: &mut Desk, padding: usize| {
            let payload = json!({ "name": "count", "args": { "padding": "x".repeat(padding) } });
            let body = json!({ "task": "large", "kind": "script", "payload": payload });
            desk.command("task.submit", body)
        };
        let mut command = large(&mut desk, 60_000);
        let missing = MAX_MESSAGE_BYTES - encode(encoding, &command).len();
        let padding = "x".repeat(60_000 + missing);
        command["body"]["payload"]["args"]["padding"] = json!(padding);
        assert_eq!(encode(encoding, &command).len(), MAX_MESSAGE_BYTES);
        desk.publish(&command).await?;
        let succeeded = desk.told_of("task.succeeded", "large").await?;
        let bytes = succeeded["body"]["result"]["bytes"].as_u64().context("a count")?;
        assert!(bytes > 60_000 + missing as u64, "all of it reached the script: {bytes}");
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_type_or_kind_is_unsupported_whatever_else_it_brings() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        for kind in ["session.swap", "node.update", "identity.renew", "make.coffee"] {
            let (code, message) = desk.refused(kind, json!({ "whatever": 1 })).await?;
            assert_eq!(code, "unsupported");
            assert!(message.contains(kind), "{message}");
        }
        for kind in ["service.restart", "camera.snap", "modem.reset", "agent.update"] {
            let body = json!({ "task": "t", "kind": kind, "payload": {}, "new_field": 1 });
            assert_eq!(desk.refused("task.submit", body).await?.0, "unsupported");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_field_that_is_wrong_is_invalid_and_named() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        for (kind, body, field) in wrong_bodies() {
            let (code, message) = desk.refused(kind, body.clone()).await?;
            assert_eq!(code, "invalid", "{kind} {body}");
            assert!(message.contains(field), "{message} does not name {field}");
        }
        let start = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 1_000 });
        for (change, field) in [
            (json!({ "issued_at_ms": null }), "issued_at_ms"),
            (json!({ "issued_at_ms": "now" }), "issued_at_ms"),
            (json!({ "expires_at_ms": now_ms() + 8 * 24 * 3_600_000 }), "expires_at_ms"),
            (json!({ "signature": "…" }), "signature"),
        ] {
            let mut command = desk.command("session.start", start.clone());
            for (name, value) in change.as_object().context("a map")? {
                command[name] = value.clone();
            }
            let (code, message) = desk.refused_command(&command).await?;
            assert_eq!(code, "invalid", "{command}");
            assert!(message.contains(field), "{message} does not name {field}");
        }
        let mut unnamed = desk.command("session.start", start);
        unnamed.as_object_mut().context("a map")?.remove("issued_at_ms");
        assert_eq!(desk.refused_command(&unnamed).await?.0, "invalid");
        desk.caught_up().await?;
        assert!(desk.all("session.started", "").is_empty());
        assert!(desk.plug(1).history().is_empty(), "nothing went on");
        nothing_comes_back(&mut desk).await?;
    }
    Ok(())
}

fn wrong_bodies() -> Vec<(&'static str, Value, &'static str)> {
    let with = |mut body: Value, more: Value| {
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        body
    };
    let start = |more: Value| {
        with(json!({ "session": "s-1", "station": "pc-1", "duration_ms": 1_000 }), more)
    };
    let task =
        |kind: &str, payload: Value| json!({ "task": "t", "kind": kind, "payload": payload });
    let script = |name: &str| task("script", json!({ "name": name }));
    let schedule = |changes: Value| {
        let report = json!({ "type": "node.report" });
        with(json!({ "schedule": "s", "cron": "* * * * *", "command": report }), changes)
    };
    vec![
        ("session.start", start(json!({ "colour": "red" })), "colour"),
        ("session.start", start(json!({ "outage": "node" })), "outage"),
        ("session.start", start(json!({ "duration_ms": 0 })), "duration_ms"),
        ("session.start", start(json!({ "duration_ms": -1 })), "duration_ms"),
        ("session.start", start(json!({ "ends_at_ms": now_ms() + 1_000 })), "ends_at_ms"),
        ("session.start", start(json!({ "grace_ms": 600_001 })), "grace_ms"),
        ("session.start", start(json!({ "label": "x".repeat(257) })), "label"),
        ("session.start", start(json!({ "session": "no spaces" })), "session"),
        ("session.start", json!({ "session": "s-1", "station": "pc-1" }), "duration_ms"),
        ("session.start", json!({ "session": "s-1", "duration_ms": 1_000 }), "station"),
        (
            "session.start",
            json!({ "session": "s-1", "station": "pc-1", "ends_at_ms": now_ms() - 1 }),
            "ends_at_ms",
        ),
        ("session.extend", json!({ "session": "s-1", "by_ms": 0 }), "by_ms"),
        ("session.extend", json!({ "session": "s-1" }), "by_ms"),
        ("session.end", json!({ "session": "s-1", "immediate": "yes" }), "immediate"),
        ("outlet.set", json!({ "outlet": "plug-1", "on": true }), "for_ms"),
        ("outlet.set", json!({ "outlet": "plug-1", "on": true, "for_ms": 86_400_001 }), "for_ms"),
        ("task.submit", task("wait", json!({ "wait_ms": -1 })), "wait_ms"),
        ("task.submit", task("outlet.cycle", json!({ "outlet": "plug-1" })), "off_ms"),
        ("task.submit", script("missing"), "payload.name"),
        ("task.submit", script("../agent.toml"), "payload.name"),
        ("task.submit", script("/bin/sh"), "payload.name"),
        ("event.resend", json!({ "from_seq": 0, "to_seq": 1 }), "from_seq"),
        ("event.resend", json!({ "from_seq": 2, "to_seq": 1 }), "to_seq"),
        ("event.resend", json!({ "from_seq": 1, "to_seq": 1_000_000 }), "to_seq"),
        ("node.report", json!({ "loud": true }), "loud"),
        (
            "schedule.put",
            json!({ "schedule": "s", "cron": "soon", "command": { "type": "node.report" } }),
            "cron",
        ),
        ("schedule.put", schedule(json!({ "cron": "0 0 30 2 *" })), "cron"),
        ("schedule.put", schedule(json!({ "cron": "0 0 0 1 1 * 2020" })), "cron"),
        ("schedule.put", schedule(json!({ "timezone": "Mars/Olympus" })), "timezone"),
        ("schedule.put", schedule(json!({ "missed": "twice" })), "missed"),
        (
            "schedule.put",
            schedule(json!({ "command": { "type": "schedule.remove" } })),
            "command.type",
        ),
        ("schedule.put", schedule(json!({ "command": { "type": "session.end" } })), "command.body"),
    ]
}

#[tokio::test]
async fn what_comes_too_late_is_expired_and_powers_nothing() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let start = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 1_000 });
        let on = json!({ "outlet": "plug-1", "on": true, "for_ms": 1_000 });
        let cycle = json!({ "outlet": "plug-1", "off_ms": 1 });
        let cycle = json!({ "task": "t-1", "kind": "outlet.cycle", "payload": cycle });
        for (kind, body) in [("session.start", start), ("outlet.set", on), ("task.submit", cycle)] {
            // A minute after its issue, or when it says so itself.
            let mut old = desk.command(kind, body.clone());
            old["issued_at_ms"] = json!(now_ms() - 60_001);
            assert_eq!(desk.refused_command(&old).await?.0, "expired");
            let mut over = desk.command(kind, body);
            over["issued_at_ms"] = json!(now_ms() - 2);
            over["expires_at_ms"] = json!(now_ms() - 1);
            assert_eq!(desk.refused_command(&over).await?.0, "expired");
        }
        // An old one may say that it is still in time.
        let body = json!({ "session": "s-2", "station": "pc-1", "duration_ms": 60_000,
            "starts_at_ms": now_ms() + 3_600_000 });
        let mut patient = desk.command("session.start", body);
        patient["issued_at_ms"] = json!(now_ms() - 3_600_000);
        patient["expires_at_ms"] = json!(now_ms() + 60_000);
        desk.publish(&patient).await?;
        assert_eq!(desk.answer(&id(&patient)).await?["type"], "command.accepted");
        // What powers nothing acts however old it is, unless it says otherwise.
        let mut report = desk.command("node.report", json!({}));
        report["issued_at_ms"] = json!(now_ms() - 24 * 3_600_000);
        desk.publish(&report).await?;
        assert_eq!(desk.answer(&id(&report)).await?["type"], "command.accepted");
        report = desk.command("node.report", json!({}));
        report["issued_at_ms"] = json!(now_ms() - 2);
        report["expires_at_ms"] = json!(now_ms() - 1);
        assert_eq!(desk.refused_command(&report).await?.0, "expired");
        assert!(desk.plug(1).history().is_empty(), "nothing went on");
        nothing_comes_back(&mut desk).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_is_unknown_by_its_noun() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let cycle = json!({ "outlet": "plug-9", "off_ms": 1 });
        let on = json!({ "outlet": "plug-9", "on": true, "for_ms": 1_000 });
        for (kind, body, code) in [
            (
                "session.start",
                json!({ "session": "s-1", "station": "pc-9", "duration_ms": 1_000 }),
                "unknown_station",
            ),
            ("session.extend", json!({ "session": "s-9", "by_ms": 1 }), "unknown_session"),
            ("session.pause", json!({ "session": "s-9" }), "unknown_session"),
            ("session.resume", json!({ "session": "s-9" }), "unknown_session"),
            ("session.transfer", json!({ "session": "s-9", "station": "pc-1" }), "unknown_session"),
            ("session.end", json!({ "session": "s-9" }), "unknown_session"),
            ("outlet.set", on, "unknown_outlet"),
            ("outlet.release", json!({ "outlet": "plug-9" }), "unknown_outlet"),
            ("schedule.remove", json!({ "schedule": "s-9" }), "unknown_schedule"),
            (
                "task.submit",
                json!({ "task": "t-1", "kind": "outlet.cycle", "payload": cycle }),
                "unknown_outlet",
            ),
            ("task.cancel", json!({ "task": "t-9" }), "unknown_task"),
            ("task.retry", json!({ "task": "t-9" }), "unknown_task"),
        ] {
            let (refused, message) = desk.refused(kind, body).await?;
            assert_eq!(refused, code, "{kind}: {message}");
            assert!(message.contains("-9"), "{message}");
        }
        nothing_comes_back(&mut desk).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_full_task_queue_is_busy_and_the_same_command_is_taken_once_there_is_room() -> Result<()>
{
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let tasks = "concurrency = 1\nmax_queued = 2";
        let mut desk = Desk::with(encoding, Layout { tasks, ..Layout::plugs(1) }).await?;
        let wait = |task: &str| {
            let payload = json!({ "wait_ms": 60_000 });
            json!({ "task": task, "kind": "wait", "payload": payload })
        };
        desk.ask("task.submit", wait("t-1")).await?;
        desk.told("task.started").await?;
        desk.ask("task.submit", wait("t-2")).await?;
        desk.ask("task.submit", wait("t-3")).await?;
        let fourth = desk.command("task.submit", wait("t-4"));
        for _ in 0..2 {
            let (code, message) = desk.refused_command(&fourth).await?;
            assert_eq!(code, "busy");
            assert!(message.contains('2'), "{message}");
            assert!(
                desk.all("command.rejected", "").iter().all(|no| text(no, "repeat").is_empty())
            );
        }
        desk.ask("task.cancel", json!({ "task": "t-2" })).await?;
        desk.publish(&fourth).await?;
        let answer = desk.answer(&id(&fourth)).await?;
        assert_eq!(
            (&answer["type"], fields(&answer)),
            (&json!("command.accepted"), vec!["command"])
        );
        nothing_comes_back(&mut desk).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_queue_is_full_by_its_bytes_as_well() -> Result<()> {
    let tasks = "concurrency = 1\nmax_bytes = 1048576";
    let mut desk = Desk::with(Encoding::Cbor, Layout { tasks, ..Layout::plugs(1) }).await?;
    script::put(&desk.site, "long", "sleep 300")?;
    let large = |number: usize| {
        let payload = json!({ "name": "long", "args": { "padding": "x".repeat(60_000) } });
        json!({ "task": format!("t-{number}"), "kind": "script", "payload": payload })
    };
    for number in 1..=17 {
        desk.ask("task.submit", large(number)).await?;
    }
    assert_eq!(desk.refused("task.submit", large(18)).await?.0, "busy");
    let small = json!({ "task": "small", "kind": "wait", "payload": { "wait_ms": 1 } });
    desk.ask("task.submit", small).await?;
    desk.ask("task.cancel", json!({ "task": "t-17" })).await?;
    desk.ask("task.submit", large(18)).await?;
    Ok(())
}

#[tokio::test]
async fn what_the_state_does_not_allow_is_a_conflict() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 2).await?;
    let start = |session: &str, station: &str| json!({ "session": session, "station": station, "duration_ms": 60_000 });
    desk.ask("session.start", start("s-1", "pc-1")).await?;
    desk.told("session.started").await?;
    let off = json!({ "outlet": "plug-1", "on": false });
    let wait = json!({ "task": "t-1", "kind": "wait", "payload": { "wait_ms": 1 } });
    desk.ask("task.submit", wait.clone()).await?;
    desk.told("task.succeeded").await?;
    for (kind, body) in [
        ("session.start", start("s-2", "pc-1")),
        ("session.start", start("s-1", "pc-2")),
        ("session.extend", json!({ "session": "s-1", "by_ms": -120_000 })),
        ("session.extend", json!({ "session": "s-1", "ends_at_ms": now_ms() - 1_000 })),
        ("session.transfer", json!({ "session": "s-1", "station": "pc-1" })),
        ("outlet.set", off),
        ("task.submit", wait),
        ("task.cancel", json!({ "task": "t-1" })),
        ("task.retry", json!({ "task": "t-1" })),
    ] {
        let (code, message) = desk.refused(kind, body.clone()).await?;
        assert_eq!(code, "conflict", "{kind} {body}: {message}");
    }
    desk.ask("session.end", json!({ "session": "s-1" })).await?;
    desk.told("session.ended").await?;
    for (kind, body) in [
        ("session.start", start("s-1", "pc-1")),
        ("session.extend", json!({ "session": "s-1", "by_ms": 1_000 })),
        ("session.pause", json!({ "session": "s-1" })),
        ("session.resume", json!({ "session": "s-1" })),
        ("session.transfer", json!({ "session": "s-1", "station": "pc-2" })),
        ("session.end", json!({ "session": "s-1" })),
    ] {
        let (code, message) = desk.refused(kind, body).await?;
        assert_eq!(code, "conflict", "{kind}: {message}");
    }
    nothing_comes_back(&mut desk).await
}
