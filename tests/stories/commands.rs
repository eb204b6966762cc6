//! Every command there is, sent from outside in both encodings, and what each leads to.

use std::time::Duration;

use anyhow::Result;
use edge_protocol::codec::Encoding;
use serde_json::{Value, json};
use tests::desk::{Desk, Leaf, now_ms};
use tests::script;
use tests::transcript::{fields, number, seq, text};

#[tokio::test]
async fn every_command_of_a_session_works_in_json() -> Result<()> {
    a_session_meets_every_command(Encoding::Json).await
}

#[tokio::test]
async fn every_command_of_a_session_works_in_cbor() -> Result<()> {
    a_session_meets_every_command(Encoding::Cbor).await
}

async fn a_session_meets_every_command(encoding: Encoding) -> Result<()> {
    let mut desk = Desk::open(encoding, 2).await?;
    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000,
        "label": "guest 7", "grace_ms": 0, "warn_before_ms": [1_000] });
    let start = desk.ask("session.start", body).await?;
    let started = desk.told("session.started").await?;
    assert_eq!(fields(&started), ["ends_at_ms", "session", "started_at_ms", "station"]);
    assert_eq!((&started["cause"], &started["body"]["station"]), (&json!(start), &json!("pc-1")));
    let mut ends_at_ms = number(&started, "ends_at_ms")?;
    assert!(ends_at_ms.abs_diff(number(&started, "started_at_ms")? + 60_000) <= GRAIN_MS);
    assert!(desk.plug(1).is_on(1));
    let state = desk.says(Leaf::State, |state| state["sessions"][0]["phase"] == "active").await?;
    assert_eq!(state["sessions"][0]["label"], "guest 7");

    let extend = desk.ask("session.extend", json!({ "session": "s-1", "by_ms": 30_000 })).await?;
    let extended = desk.told("session.extended").await?;
    assert_eq!((&extended["cause"], fields(&extended)), (&json!(extend), MOVED.to_vec()));
    assert_eq!(number(&extended, "ends_at_ms")?, ends_at_ms + 30_000);
    ends_at_ms += 45_000;
    let body = json!({ "session": "s-1", "ends_at_ms": ends_at_ms });
    desk.ask("session.extend", body).await?;
    assert_eq!(number(&desk.told("session.extended").await?, "ends_at_ms")?, ends_at_ms);
    let shorter = json!({ "session": "s-1", "by_ms": -15_000 });
    desk.ask("session.extend", shorter).await?;
    assert_eq!(number(&desk.told("session.extended").await?, "ends_at_ms")?, ends_at_ms - 15_000);

    let pause = desk.ask("session.pause", json!({ "session": "s-1" })).await?;
    let paused = desk.told("session.paused").await?;
    assert_eq!((&paused["cause"], fields(&paused)), (&json!(pause), REST.to_vec()));
    let remaining_ms = number(&paused, "remaining_ms")?;
    assert!((50_000..=90_000).contains(&remaining_ms), "{remaining_ms}");
    desk.goes(1, false).await?;
    let resume = desk.ask("session.resume", json!({ "session": "s-1" })).await?;
    let resumed = desk.told("session.resumed").await?;
    assert_eq!((&resumed["cause"], fields(&resumed)), (&json!(resume), MOVED.to_vec()));
    assert!(desk.plug(1).is_on(1));
    let from_now = number(&resumed, "ends_at_ms")?.abs_diff(now_ms() + remaining_ms);
    assert!(from_now < 5_000, "the rest was kept: {from_now} ms off");

    moves_and_ends(&mut desk).await
}

/// What may lie between two names of one instant on the wall clock.
const GRAIN_MS: u64 = 5;
const MOVED: [&str; 3] = ["ends_at_ms", "session", "station"];
const REST: [&str; 3] = ["remaining_ms", "session", "station"];

/// Session `s-1` moves from `pc-1` to `pc-2` and is ended there.
async fn moves_and_ends(desk: &mut Desk) -> Result<()> {
    let body = json!({ "session": "s-1", "station": "pc-2" });
    let transfer = desk.ask("session.transfer", body).await?;
    let transferred = desk.told("session.transferred").await?;
    assert_eq!(transferred["cause"], transfer);
    assert_eq!(fields(&transferred), ["ends_at_ms", "from", "session", "station"]);
    assert_eq!(text(&transferred, "from") + &text(&transferred, "station"), "pc-1pc-2");
    assert!(desk.plug(2).is_on(1));
    desk.goes(1, false).await?;
    let new_on = desk.plug(2).history().first().map(|switch| switch.at);
    let old_off = desk.plug(1).history().last().map(|switch| switch.at);
    assert!(new_on < old_off, "the new one is on before the old goes off");

    let end = desk.ask("session.end", json!({ "session": "s-1" })).await?;
    let ending = desk.told("session.ending").await?;
    assert_eq!(fields(&ending), ["off_at_ms", "reason", "session", "station"]);
    assert_eq!((text(&ending, "reason"), &ending["cause"]), ("ended".to_owned(), &json!(end)));
    let ended = desk.told("session.ended").await?;
    let known = ["ended_at_ms", "late_ms", "powered_ms", "proof", "reason", "session", "station"];
    assert!(known.iter().all(|field| fields(&ended).contains(field)), "{ended}");
    assert_eq!((text(&ended, "reason"), text(&ended, "station")), pair("ended", "pc-2"));
    assert!(!desk.plug(2).is_on(1));
    Ok(())
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[tokio::test]
async fn every_command_of_outlets_and_tasks_works_in_json() -> Result<()> {
    outlets_and_tasks_meet_every_command(Encoding::Json).await
}

#[tokio::test]
async fn every_command_of_outlets_and_tasks_works_in_cbor() -> Result<()> {
    outlets_and_tasks_meet_every_command(Encoding::Cbor).await
}

async fn outlets_and_tasks_meet_every_command(encoding: Encoding) -> Result<()> {
    let mut desk = Desk::open(encoding, 1).await?;
    let held = json!({ "outlet": "plug-1", "on": true, "for_ms": 60_000 });
    desk.ask("outlet.set", held).await?;
    let changed = desk.told("outlet.changed").await?;
    assert_eq!(fields(&changed), ["by", "on", "outlet", "proof"]);
    assert_eq!(changed["body"]["on"], true);
    assert_eq!((text(&changed, "by"), text(&changed, "proof")), pair("hold", "lease_confirmed"));
    let lease = desk.told("outlet.lease").await?;
    assert_eq!(fields(&lease), ["lease", "off_at_ms", "outlet"]);
    assert_eq!(text(&lease, "lease"), "armed");
    desk.ask("outlet.release", json!({ "outlet": "plug-1" })).await?;
    let changed = desk.told("outlet.changed").await?;
    assert_eq!((&changed["body"]["on"], text(&changed, "by")), (&json!(false), "rest".to_owned()));

    script::put(&desk.site, "hello", r#"echo '{"greeting":"hello"}'"#)?;
    for (task, kind, payload) in [
        ("t-1", "wait", json!({ "wait_ms": 1 })),
        ("t-2", "script", json!({ "name": "hello", "args": { "who": "you" } })),
    ] {
        let body = json!({ "task": task, "kind": kind, "payload": payload });
        let submit = desk.ask("task.submit", body).await?;
        for news in ["task.queued", "task.started", "task.succeeded"] {
            let event = desk.told_of(news, task).await?;
            assert_eq!((text(&event, "kind"), number(&event, "attempt")?), (kind.to_owned(), 1));
            assert_eq!(event["cause"], submit);
        }
    }
    let succeeded = desk.all("task.succeeded", "t-2");
    assert_eq!(succeeded[0]["body"]["result"], json!({ "greeting": "hello" }));

    let body = json!({ "task": "t-3", "kind": "wait", "payload": { "wait_ms": 60_000 } });
    desk.ask("task.submit", body).await?;
    desk.told_of("task.started", "t-3").await?;
    let cancel = desk.ask("task.cancel", json!({ "task": "t-3" })).await?;
    assert_eq!(desk.told("task.cancelled").await?["cause"], cancel);

    // A dark outlet can't be power-cycled, which is for good; a retry is as well.
    let payload = json!({ "outlet": "plug-1", "off_ms": 1 });
    let body = json!({ "task": "t-4", "kind": "outlet.cycle", "payload": payload });
    desk.ask("task.submit", body).await?;
    desk.told_of("task.failed", "t-4").await?;
    let retry = desk.ask("task.retry", json!({ "task": "t-4" })).await?;
    let failed = desk.told_of("task.failed", "t-4").await?;
    assert_eq!((number(&failed, "attempt")?, fields(&failed).contains(&"error")), (2, true));
    let queued = desk.all("task.queued", "t-4");
    assert_eq!(queued[1]["cause"], retry);
    Ok(())
}

#[tokio::test]
async fn past_events_come_again_unchanged_and_what_is_gone_is_told() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let body = json!({ "task": "t-1", "kind": "wait", "payload": { "wait_ms": 1 } });
        desk.ask("task.submit", body).await?;
        let last = seq(&desk.told("task.succeeded").await?)?;
        let kept: Vec<u64> = desk
            .events()
            .iter()
            .filter(|event| !event["type"].as_str().unwrap_or_default().starts_with("node."))
            .map(seq)
            .collect::<Result<_>>()?;
        // Two round trips later, the broker's acknowledgements are on disk as well.
        desk.caught_up().await?;
        desk.caught_up().await?;
        desk.ask("event.resend", json!({ "from_seq": 1, "to_seq": last })).await?;
        for seq in &kept {
            desk.comes_again(*seq).await?;
        }
        let dropped = desk.told("node.dropped").await?;
        assert_eq!(fields(&dropped), ["from_seq", "reason", "to_seq"]);
        // What was there and what is gone make up all that was asked for.
        desk.caught_up().await?;
        let mut told: Vec<u64> = kept.clone();
        for gone in desk.all("node.dropped", "") {
            told.extend(number(gone, "from_seq")?..=number(gone, "to_seq")?);
        }
        told.sort_unstable();
        assert_eq!(told, (1..=last).collect::<Vec<u64>>());
    }
    Ok(())
}

#[tokio::test]
async fn a_report_says_what_the_node_is_and_brings_state_and_telemetry() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 2).await?;
        desk.says(Leaf::State, reachable).await?;
        desk.says(Leaf::Telemetry, |_| true).await?;
        desk.forget(Leaf::State);
        desk.forget(Leaf::Telemetry);
        let id = desk.ask("node.report", json!({})).await?;
        let report = desk.told("node.report").await?;
        assert_eq!(report["cause"], id);
        let known = ["configuration", "expires_at_ms", "hardware", "outlets", "version"];
        assert_eq!(fields(&report), known);
        assert!(number(&report, "expires_at_ms")? > now_ms());
        let outlets = report["body"]["outlets"].as_array().map_or(0, Vec::len);
        assert_eq!(outlets, 2);
        let first = &report["body"]["outlets"][0];
        assert_eq!(first, &json!({ "outlet": "plug-1", "driver": "tasmota", "reachable": true }));
        desk.says(Leaf::State, reachable).await?;
        let figures = desk.says(Leaf::Telemetry, |_| true).await?;
        assert!(figures["uptime_ms"].is_u64() && figures["agent_rss_bytes"].is_u64(), "{figures}");
    }
    Ok(())
}

fn reachable(state: &Value) -> bool {
    let outlets = state["outlets"].as_array();
    outlets.is_some_and(|outlets| outlets.iter().all(|outlet| outlet["on"].is_boolean()))
}

#[tokio::test]
async fn a_session_is_abandoned_when_its_plug_can_not_be_reached() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
    desk.ask("session.start", body).await?;
    desk.told("session.started").await?;
    desk.plug(1).set_fault(plug_sim::Fault::Unreachable);
    desk.ask("session.end", json!({ "session": "s-1" })).await?;
    let fault = desk.told("outlet.fault").await?;
    assert_eq!(fields(&fault), ["fault", "message", "outlet", "session", "since_ms"]);
    assert_eq!((text(&fault, "fault"), text(&fault, "session")), pair("unreachable", "s-1"));
    assert!(desk.all("session.ended", "s-1").is_empty(), "it waits for the off");
    desk.ask("session.end", json!({ "session": "s-1", "abandon": true })).await?;
    let ended = desk.told("session.ended").await?;
    assert_eq!((text(&ended, "reason"), fields(&ended).contains(&"proof")), abandoned());
    // The off is pursued all the same.
    desk.plug(1).clear_fault();
    desk.goes(1, false).await?;
    desk.told("outlet.recovered").await?;
    // And long before the plug's own timer would have done it.
    let lease = desk.plug(1).lease_remaining(1);
    assert!(lease.is_none_or(|rest| rest > Duration::from_secs(40)), "{lease:?}");
    Ok(())
}

fn abandoned() -> (String, bool) {
    ("abandoned".to_owned(), false)
}
