//! What a node says and where: events in order, status, state and telemetry.

use anyhow::{Context as _, Result};
use edge_protocol::codec::Encoding;
use serde_json::{Value, json};
use tests::desk::{Desk, Leaf};
use tests::transcript::{number, seq, text};

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

#[tokio::test]
async fn a_session_is_told_in_its_order_and_each_event_names_its_cause() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 1_500 });
        let start = desk.ask("session.start", body).await?;
        desk.told("session.ended").await?;
        desk.caught_up().await?;
        let events = desk.events();
        assert_eq!(kinds(&events[..3]), ["node.started", "node.link", "command.accepted"]);
        let told: Vec<u64> = events.iter().map(seq).collect::<Result<_>>()?;
        assert_eq!(told, (1..=events.len() as u64).collect::<Vec<u64>>());

        let story: Vec<&Value> = events.iter().filter(|event| event["cause"] == start).collect();
        let owned = |kind: &&str| !kind.starts_with("outlet.lease");
        let order: Vec<&str> =
            story.iter().filter_map(|event| event["type"].as_str()).filter(owned).collect();
        let expected = [
            "command.accepted",
            "outlet.changed",
            "session.started",
            "session.ending",
            "outlet.changed",
            "session.ended",
        ];
        assert_eq!(order, expected);
        for event in &story {
            let kind = event["type"].as_str().unwrap_or_default();
            if kind.starts_with("outlet.") {
                assert_eq!(text(event, "session"), "s-1", "{event}");
            }
        }
        envelopes(events)?;
    }
    Ok(())
}

/// What section 3 says of every event.
fn envelopes(events: &[Value]) -> Result<()> {
    let mut last = (0, 0);
    for event in events {
        let whole = event.as_object().context("an event is a map")?;
        let known =
            ["at_ms", "body", "boot_id", "cause", "clock", "seq", "store", "type", "uptime_ms"];
        assert!(whole.keys().all(|name| known.contains(&name.as_str())), "{event}");
        assert_eq!(event["clock"], "synced");
        assert!(event["boot_id"].as_str().is_some_and(|id| !id.is_empty()), "{event}");
        let now = (event["uptime_ms"].as_u64().context("uptime_ms")?, seq(event)?);
        assert!(now >= last, "time goes on: {event}");
        last = now;
    }
    Ok(())
}

#[tokio::test]
async fn status_says_who_is_there_and_who_is_not() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let online = desk.says(Leaf::Status, |status| status["online"] == true).await?;
        let names: Vec<&String> = online.as_object().context("a map")?.keys().collect();
        assert_eq!(names, ["accepting", "boot_id", "clock", "online", "since_ms", "version"]);
        assert_eq!((&online["accepting"], &online["clock"]), (&json!(true), &json!("synced")));
        let started = desk.told("node.started").await?;
        assert_eq!(online["version"], started["body"]["version"]);
        assert_eq!(online["boot_id"], started["boot_id"]);

        desk.forget(Leaf::Status);
        let agent = desk.agent.take().context("it runs")?;
        assert!(agent.stop().await?.success());
        let offline = desk.says(Leaf::Status, |_| true).await?;
        assert_eq!(offline, json!({ "online": false, "reason": "shutdown" }));

        desk.start().await?;
        desk.says(Leaf::Status, |status| status["online"] == true).await?;
        desk.forget(Leaf::Status);
        desk.agent.take().context("it runs")?.kill()?;
        let lost = desk.says(Leaf::Status, |_| true).await?;
        assert_eq!(lost, json!({ "online": false, "reason": "lost" }));
    }
    Ok(())
}

#[tokio::test]
async fn state_is_the_whole_present_state_at_most_once_a_second() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 2).await?;
        let body = json!({ "session": "s-1", "station": "pc-2", "duration_ms": 60_000 });
        desk.ask("session.start", body).await?;
        desk.told("session.started").await?;
        let mut extended = json!(null);
        for _ in 0..8 {
            desk.ask("session.extend", json!({ "session": "s-1", "by_ms": 1_000 })).await?;
            extended = desk.told("session.extended").await?;
        }
        let last = seq(&extended)?;
        let up_to_date = move |state: &Value| state["sessions"][0]["seq"] == last;
        let state = desk.says(Leaf::State, up_to_date).await?;
        assert_eq!(state["node"], "pi-0042");
        let expected = json!([
            { "station": "pc-1", "outlets": ["plug-1"] },
            { "station": "pc-2", "outlets": ["plug-2"], "session": "s-1" },
        ]);
        assert_eq!(state["stations"], expected);
        let session = &state["sessions"][0];
        let ends_at_ms = number(&extended, "ends_at_ms")?;
        assert_eq!(
            (&session["phase"], &session["ends_at_ms"]),
            (&json!("active"), &json!(ends_at_ms))
        );
        let (dark, lit) = (&state["outlets"][0], &state["outlets"][1]);
        assert_eq!(dark, &json!({ "outlet": "plug-1", "on": false, "lease": "none" }));
        assert_eq!((&lit["on"], &lit["lease"]), (&json!(true), &json!("armed")));
        let cut_at_ms = lit["off_at_ms"].as_u64().context("when the plug cuts the power")?;
        assert!((ends_at_ms..=ends_at_ms + 15_000).contains(&cut_at_ms), "{cut_at_ms}");

        let states = desk.heard(Leaf::State);
        let moments: Vec<u64> = states.iter().filter_map(|state| state["at_ms"].as_u64()).collect();
        assert!(moments.len() >= 2, "{moments:?}");
        assert!(moments.is_sorted_by(|a, b| a + 995 <= *b), "at most once a second: {moments:?}");
    }
    Ok(())
}

#[tokio::test]
async fn seq_goes_on_and_the_store_keeps_its_name_across_restarts() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    for orderly in [true, false] {
        let agent = desk.agent.take().context("it runs")?;
        if orderly {
            agent.stop().await?;
        } else {
            agent.kill()?;
        }
        desk.start().await?;
        desk.caught_up().await?;
    }
    // The desk itself refuses a gap, a change and another store.
    let started = desk.all("node.started", "");
    let reasons: Vec<String> = started.iter().map(|event| text(event, "reason")).collect();
    // The first start of a new store knows of no last one.
    assert_eq!(reasons[1..], ["restart", "crash"]);
    let links = desk.all("node.link", "");
    let kept: Vec<&Value> = links.iter().map(|event| &event["body"]["session_present"]).collect();
    assert_eq!(kept, [&json!(false), &json!(true), &json!(true)]);
    envelopes(desk.events())
}
