//! Stations that can't be powered: a start fails, a transfer or resume is refused, and nothing
//! comes on later by itself.

use anyhow::Result;
use edge_protocol::codec::Encoding;
use plug_sim::Fault;
use serde_json::{Value, json};
use tests::desk::{Desk, Leaf, now_ms};
use tests::transcript::{fields, number, text};

fn start(session: &str, station: &str) -> Value {
    json!({ "session": session, "station": station, "duration_ms": 300_000 })
}

fn problem(event: &Value) -> (String, String) {
    (text(event, "session"), text(event, "code"))
}

/// It takes the 30 s that a station has.
#[tokio::test]
async fn a_station_that_is_not_powered_within_30_s_is_given_up() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 4).await?;
    for (session, station) in [("moves", "pc-1"), ("pauses", "pc-2")] {
        desk.ask("session.start", start(session, station)).await?;
        desk.told_of("session.started", session).await?;
    }
    desk.ask("session.pause", json!({ "session": "pauses" })).await?;
    desk.goes(2, false).await?;
    for number in [2, 3, 4] {
        desk.plug(number).set_fault(Fault::Unreachable);
    }
    let asked_at_ms = now_ms();
    desk.ask("session.start", start("starts", "pc-3")).await?;
    desk.ask("session.resume", json!({ "session": "pauses" })).await?;
    let body = json!({ "session": "moves", "station": "pc-4" });
    let transfer = desk.ask("session.transfer", body).await?;
    let failed = desk.told("session.failed").await?;
    assert_eq!(fields(&failed), ["code", "message", "session", "station"]);
    assert_eq!(problem(&failed), ("starts".into(), "unpowered".into()));
    assert!(text(&failed, "message").contains("plug-3"), "{failed}");
    for session in ["moves", "pauses"] {
        let refused = desk.told_of("session.refused", session).await?;
        assert_eq!(fields(&refused), ["code", "message", "session", "station"]);
        assert_eq!(problem(&refused), (session.into(), "unpowered".into()));
        assert_eq!(refused["cause"] == *transfer, session == "moves");
        let after_ms = refused["at_ms"].as_u64().unwrap_or_default() - asked_at_ms;
        assert!((29_995..=33_000).contains(&after_ms), "{after_ms}");
    }
    // The sessions are as before, and an on that was not carried out is used up.
    let as_before = |state: &Value| {
        let session =
            |at: usize| (&state["sessions"][at]["phase"], &state["sessions"][at]["station"]);
        session(0) == (&json!("active"), &json!("pc-1"))
            && session(1) == (&json!("paused"), &json!("pc-2"))
    };
    desk.forget(Leaf::State);
    for number in [2, 3, 4] {
        desk.plug(number).clear_fault();
    }
    for _ in 0..3 {
        desk.told("outlet.recovered").await?;
    }
    desk.says(Leaf::State, as_before).await?;
    desk.caught_up().await?;
    assert!(desk.all("session.ended", "").is_empty(), "no end follows a failure");
    for number in [3, 4] {
        assert!(desk.plug(number).history().is_empty(), "plug-{number} went on later");
    }
    assert!(!desk.plug(2).is_on(1) && desk.plug(1).is_on(1));
    // The station is free again.
    desk.ask("session.start", start("next", "pc-3")).await?;
    desk.told_of("session.started", "next").await?;
    Ok(())
}

#[tokio::test]
async fn a_transfer_on_its_way_is_given_up_when_the_session_pauses() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 2).await?;
    desk.ask("session.start", start("s-1", "pc-1")).await?;
    let ends_at_ms = number(&desk.told("session.started").await?, "ends_at_ms")?;
    desk.plug(2).set_fault(Fault::Unreachable);
    let body = json!({ "session": "s-1", "station": "pc-2" });
    let transfer = desk.ask("session.transfer", body.clone()).await?;
    assert_eq!(desk.refused("session.transfer", body).await?.0, "conflict");
    assert_eq!(desk.refused("session.start", start("s-2", "pc-2")).await?.0, "conflict");
    desk.ask("session.pause", json!({ "session": "s-1" })).await?;
    let refused = desk.told("session.refused").await?;
    assert_eq!(
        (problem(&refused), &refused["cause"]),
        (("s-1".into(), "conflict".into()), &json!(transfer))
    );
    desk.told("session.paused").await?;
    desk.plug(2).clear_fault();
    desk.ask("session.resume", json!({ "session": "s-1" })).await?;
    let resumed = desk.told("session.resumed").await?;
    assert_eq!(text(&resumed, "station"), "pc-1");
    assert!(number(&resumed, "ends_at_ms")? >= ends_at_ms);
    desk.ask("session.start", start("s-2", "pc-2")).await?;
    desk.told_of("session.started", "s-2").await?;
    Ok(())
}

#[tokio::test]
async fn an_end_before_the_power_comes_is_a_failure_and_not_a_minute_of_light() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    desk.plug(1).set_fault(Fault::Unreachable);
    let body = json!({ "session": "s-1", "station": "pc-1", "ends_at_ms": now_ms() + 1_500 });
    desk.ask("session.start", body).await?;
    let failed = desk.told("session.failed").await?;
    assert_eq!(problem(&failed), ("s-1".into(), "expired".into()));
    desk.plug(1).clear_fault();
    desk.told("outlet.recovered").await?;
    desk.caught_up().await?;
    assert!(desk.plug(1).history().is_empty(), "it went on later");
    Ok(())
}
