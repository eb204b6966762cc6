//! Holds: an outlet that is kept on or off by hand, beside and against sessions.

use anyhow::Result;
use edge_protocol::codec::Encoding;
use serde_json::{Value, json};
use tests::desk::{Desk, Leaf, now_ms};
use tests::transcript::{number, text};

fn start(session: &str, duration_ms: u64) -> Value {
    json!({ "session": session, "station": "pc-1", "duration_ms": duration_ms })
}

fn held(on: bool, for_ms: u64) -> Value {
    json!({ "outlet": "plug-1", "on": on, "for_ms": for_ms })
}

fn forced(on: bool, for_ms: u64) -> Value {
    json!({ "outlet": "plug-1", "on": on, "for_ms": for_ms, "force": true })
}

fn no_hold(state: &Value) -> bool {
    state["outlets"][0].get("hold").is_none()
}

#[tokio::test]
async fn a_hold_keeps_an_outlet_on_for_its_time_and_is_leased_alike() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let asked_at_ms = now_ms();
        desk.ask("outlet.set", held(true, 1_500)).await?;
        assert_eq!(text(&desk.told("outlet.changed").await?, "by"), "hold");
        let state = desk.says(Leaf::State, |state| !no_hold(state)).await?;
        let hold = &state["outlets"][0]["hold"];
        let until_ms = hold["until_ms"].as_u64().unwrap_or_default();
        // An instant's name is rounded down.
        assert!(hold["on"] == true && until_ms + 1 >= asked_at_ms + 1_500, "{hold}");
        let off_at_ms = number(&desk.told("outlet.lease").await?, "off_at_ms")?;
        assert!((until_ms..=until_ms + 15_000).contains(&off_at_ms), "{off_at_ms}, {until_ms}");
        let off = desk.told("outlet.changed").await?;
        assert_eq!((&off["body"]["on"], text(&off, "by")), (&json!(false), "rest".to_owned()));
        let switched = desk.plug(1).history().pop().map_or(0, |switch| switch.at_ms);
        assert!(switched >= until_ms, "{} ms early", until_ms - switched);
        desk.says(Leaf::State, no_hold).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_session_takes_over_an_outlet_that_is_held_on() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    desk.ask("outlet.set", held(true, 60_000)).await?;
    desk.told("outlet.changed").await?;
    desk.says(Leaf::State, |state| !no_hold(state)).await?;
    desk.forget(Leaf::State);
    desk.ask("session.start", start("s-1", 2_000)).await?;
    desk.told("session.started").await?;
    desk.says(Leaf::State, no_hold).await?;
    assert_eq!(desk.plug(1).history().len(), 1, "it stayed on");
    desk.told("session.ended").await?;
    assert!(!desk.plug(1).is_on(1), "the hold is over with the session");
    Ok(())
}

#[tokio::test]
async fn a_session_does_not_start_on_an_outlet_that_is_held_off() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    let off = json!({ "outlet": "plug-1", "on": false });
    desk.ask("outlet.set", off).await?;
    let (code, message) = desk.refused("session.start", start("s-1", 60_000)).await?;
    assert_eq!(code, "conflict");
    assert!(message.contains("plug-1"), "{message}");
    // Nor does a booked one.
    let mut booked = start("s-2", 60_000);
    booked["starts_at_ms"] = json!(now_ms() + 300);
    desk.ask("session.start", booked).await?;
    assert_eq!(text(&desk.told("session.failed").await?, "code"), "conflict");
    desk.ask("outlet.release", json!({ "outlet": "plug-1" })).await?;
    desk.ask("session.start", start("s-3", 60_000)).await?;
    desk.told_of("session.started", "s-3").await?;
    Ok(())
}

#[tokio::test]
async fn force_holds_a_session_s_outlet_off_and_a_release_gives_it_back() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    desk.ask("session.start", start("s-1", 60_000)).await?;
    let ends_at_ms = number(&desk.told("session.started").await?, "ends_at_ms")?;
    desk.told("outlet.changed").await?;
    for on in [true, false] {
        assert_eq!(desk.refused("outlet.set", held(on, 1_000)).await?.0, "conflict");
    }
    desk.ask("outlet.set", forced(false, 60_000)).await?;
    let off = desk.told("outlet.changed").await?;
    assert_eq!((&off["body"]["on"], text(&off, "by")), (&json!(false), "hold".to_owned()));
    assert_eq!(text(&off, "session"), "s-1");
    let state = desk.says(Leaf::State, |state| !no_hold(state)).await?;
    assert_eq!(state["sessions"][0]["phase"], "active", "and its time runs");
    desk.ask("outlet.release", json!({ "outlet": "plug-1" })).await?;
    let on = desk.told("outlet.changed").await?;
    assert_eq!((&on["body"]["on"], text(&on, "by")), (&json!(true), "session".to_owned()));
    let state = desk.says(Leaf::State, |state| no_hold(state) && state["outlets"][0]["on"] == true);
    assert_eq!(state.await?["sessions"][0]["ends_at_ms"], ends_at_ms, "no second was won");
    Ok(())
}

#[tokio::test]
async fn a_forced_hold_lasts_to_the_session_s_end_at_most() -> Result<()> {
    for on in [true, false] {
        let mut desk = Desk::open(Encoding::Json, 1).await?;
        desk.ask("session.start", start("s-1", 2_000)).await?;
        desk.told("session.started").await?;
        desk.ask("outlet.set", forced(on, 60_000)).await?;
        desk.goes(1, on).await?;
        let ended = desk.told("session.ended").await?;
        assert!(!desk.plug(1).is_on(1), "a session's off beats every hold");
        assert!(number(&ended, "late_ms")? < 1_000, "{ended}");
        desk.forget(Leaf::State);
        desk.ask("session.start", start("s-2", 60_000)).await?;
        desk.told_of("session.started", "s-2").await?;
        desk.says(Leaf::State, no_hold).await?;
    }
    Ok(())
}
