//! The times of a session: booked ones, warnings, grace, and a deadline that moves.

use anyhow::Result;
use edge_protocol::codec::Encoding;
use plug_sim::Fault;
use serde_json::{Value, json};
use tests::desk::{Desk, Leaf, now_ms};
use tests::transcript::{fields, number, text};

/// What may lie between two readings of the wall clock that mean the same instant.
const GRAIN_MS: u64 = 5;

fn start(more: &Value) -> Value {
    let mut body = json!({ "session": "s-1", "station": "pc-1" });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_session_warns_before_its_deadline_and_not_before_its_start() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    let body = json!({ "duration_ms": 2_000, "warn_before_ms": [500, 60_000, 1_500, 500] });
    let command = desk.ask("session.start", start(&body)).await?;
    for before_ms in [1_500, 500] {
        let warning = desk.told("session.warning").await?;
        assert_eq!(fields(&warning), ["remaining_ms", "session", "station"]);
        assert_eq!(warning["cause"], command);
        let remaining_ms = number(&warning, "remaining_ms")?;
        assert!((before_ms - 400..=before_ms).contains(&remaining_ms), "{remaining_ms}");
    }
    desk.told("session.ended").await?;
    assert_eq!(desk.all("session.warning", "s-1").len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_deadline_that_moves_away_arms_its_warnings_again() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    let body = json!({ "duration_ms": 2_500, "warn_before_ms": [2_000] });
    desk.ask("session.start", start(&body)).await?;
    desk.told("session.warning").await?;
    desk.ask("session.extend", json!({ "session": "s-1", "by_ms": 1_000 })).await?;
    desk.told("session.warning").await?;
    desk.told("session.ended").await?;
    assert_eq!(desk.all("session.warning", "s-1").len(), 2);
    Ok(())
}

#[tokio::test]
async fn power_stays_through_the_grace_and_is_cut_at_the_off_time() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    desk.ask("session.start", start(&json!({ "duration_ms": 1_000, "grace_ms": 1_000 }))).await?;
    let started = desk.told("session.started").await?;
    let ending = desk.told("session.ending").await?;
    let off_at_ms = number(&ending, "off_at_ms")?;
    assert_eq!(text(&ending, "reason"), "expired");
    assert!(off_at_ms.abs_diff(number(&started, "ends_at_ms")? + 1_000) <= GRAIN_MS);
    assert!(desk.plug(1).is_on(1), "the grace has just begun");
    let ended = desk.told("session.ended").await?;
    let off = desk.plug(1).history().pop().map_or(0, |switch| switch.at_ms);
    assert!(off >= off_at_ms, "{} ms early", off_at_ms - off);
    assert!(number(&ended, "late_ms")? < 1_000, "{ended}");
    assert!(number(&ended, "powered_ms")? >= 2_000 - GRAIN_MS, "{ended}");
    assert_eq!(text(&ended, "reason"), "expired");
    Ok(())
}

#[tokio::test]
async fn the_end_is_exactly_the_duration_after_the_start() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 8).await?;
    for number in 1..=8 {
        let (session, station) = (format!("s-{number}"), format!("pc-{number}"));
        let body = json!({ "session": session, "station": station, "duration_ms": 60_000 });
        desk.ask("session.start", start(&body)).await?;
        desk.told("session.started").await?;
    }
    for started in desk.all("session.started", "") {
        let length = number(started, "ends_at_ms")? - number(started, "started_at_ms")?;
        assert_eq!(length, 60_000, "{started}");
    }
    Ok(())
}

#[tokio::test]
async fn an_extension_in_the_grace_brings_the_session_back() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    let body = json!({ "duration_ms": 500, "grace_ms": 30_000 });
    desk.ask("session.start", start(&body)).await?;
    desk.told("session.ending").await?;
    desk.ask("session.extend", json!({ "session": "s-1", "by_ms": 60_000 })).await?;
    desk.told("session.extended").await?;
    desk.says(Leaf::State, |state| state["sessions"][0]["phase"] == "active").await?;
    assert_eq!(desk.plug(1).history().len(), 1, "it was on all the time");
    // An end asks for the grace again, and an immediate one for none.
    desk.ask("session.end", json!({ "session": "s-1" })).await?;
    let off_at_ms = number(&desk.told("session.ending").await?, "off_at_ms")?;
    for kind in ["session.pause", "session.resume"] {
        assert_eq!(desk.refused(kind, json!({ "session": "s-1" })).await?.0, "conflict", "{kind}");
    }
    let body = json!({ "session": "s-2", "duration_ms": 1_000 });
    assert_eq!(desk.refused("session.start", start(&body)).await?.0, "conflict", "still live");
    assert!(off_at_ms > now_ms() + 20_000 && desk.plug(1).is_on(1));
    desk.ask("session.end", json!({ "session": "s-1", "immediate": true })).await?;
    let ended = desk.told("session.ended").await?;
    assert!(number(&ended, "ended_at_ms")? < off_at_ms && !desk.plug(1).is_on(1));
    assert_eq!(text(&ended, "reason"), "ended");
    Ok(())
}

#[tokio::test]
async fn a_booked_session_starts_when_its_time_has_come() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let (starts_at_ms, ends_at_ms) = (now_ms() + 1_000, now_ms() + 2_500);
        let body = json!({ "starts_at_ms": starts_at_ms, "ends_at_ms": ends_at_ms });
        let command = desk.ask("session.start", start(&body)).await?;
        let booked = desk.told("session.booked").await?;
        assert_eq!(fields(&booked), ["ends_at_ms", "session", "starts_at_ms", "station"]);
        assert!(number(&booked, "starts_at_ms")?.abs_diff(starts_at_ms) <= GRAIN_MS);
        let started = desk.told("session.started").await?;
        let switched = desk.plug(1).history().first().map_or(0, |switch| switch.at_ms);
        assert!(switched >= starts_at_ms, "{} ms early", starts_at_ms - switched);
        assert!(number(&started, "ends_at_ms")?.abs_diff(ends_at_ms) <= GRAIN_MS, "{started}");
        assert_eq!(started["cause"], command);
        let ended = desk.told("session.ended").await?;
        assert!(number(&ended, "ended_at_ms")? >= ends_at_ms);
    }
    Ok(())
}

#[tokio::test]
async fn a_booked_session_fails_while_its_station_is_live() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    desk.ask("session.start", start(&json!({ "duration_ms": 60_000 }))).await?;
    desk.told("session.started").await?;
    let body = json!({ "session": "s-2", "starts_at_ms": now_ms() + 500, "duration_ms": 60_000 });
    desk.ask("session.start", start(&body)).await?;
    let booked = desk.told("session.booked").await?;
    assert_eq!(fields(&booked), ["session", "starts_at_ms", "station"]);
    let failed = desk.told("session.failed").await?;
    assert_eq!(fields(&failed), ["code", "message", "session", "station"]);
    assert_eq!(
        (text(&failed, "session"), text(&failed, "code")),
        ("s-2".into(), "conflict".into())
    );
    desk.caught_up().await?;
    assert!(desk.all("session.ended", "").is_empty() && desk.plug(1).is_on(1));
    Ok(())
}

#[tokio::test]
async fn a_booked_session_is_moved_and_ended_without_a_watt() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 2).await?;
    let body = json!({ "starts_at_ms": now_ms() + 3_600_000, "duration_ms": 60_000 });
    desk.ask("session.start", start(&body)).await?;
    desk.told("session.booked").await?;
    for kind in ["session.pause", "session.resume"] {
        assert_eq!(desk.refused(kind, json!({ "session": "s-1" })).await?.0, "conflict");
    }
    desk.ask("session.extend", json!({ "session": "s-1", "by_ms": 30_000 })).await?;
    assert_eq!(fields(&desk.told("session.extended").await?), ["session", "station"]);
    let body = json!({ "session": "s-1", "station": "pc-2" });
    desk.ask("session.transfer", body).await?;
    let transferred = desk.told("session.transferred").await?;
    assert_eq!(fields(&transferred), ["from", "session", "station"]);
    let state = desk.says(Leaf::State, |state| state["sessions"][0]["station"] == "pc-2").await?;
    assert_eq!(state["sessions"][0]["phase"], "booked");
    desk.ask("session.end", json!({ "session": "s-1" })).await?;
    let ended = desk.told("session.ended").await?;
    assert_eq!((text(&ended, "reason"), number(&ended, "powered_ms")?), ("ended".into(), 0));
    desk.caught_up().await?;
    assert!(desk.all("session.ending", "").is_empty(), "booked → ended");
    assert!(desk.plugs.iter().all(|plug| plug.history().is_empty()));
    Ok(())
}

#[tokio::test]
async fn a_paused_session_keeps_what_it_is_given_and_moves_in_the_dark() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 2).await?;
    desk.ask("session.start", start(&json!({ "duration_ms": 60_000 }))).await?;
    desk.told("session.started").await?;
    desk.ask("session.resume", json!({ "session": "s-1" })).await?;
    desk.ask("session.pause", json!({ "session": "s-1" })).await?;
    let rest = number(&desk.told("session.paused").await?, "remaining_ms")?;
    desk.ask("session.pause", json!({ "session": "s-1" })).await?;
    desk.ask("session.extend", json!({ "session": "s-1", "by_ms": -20_000 })).await?;
    assert_eq!(fields(&desk.told("session.extended").await?), ["session", "station"]);
    let body = json!({ "session": "s-1", "station": "pc-2" });
    desk.ask("session.transfer", body).await?;
    assert_eq!(fields(&desk.told("session.transferred").await?), ["from", "session", "station"]);
    let paused = |state: &Value| {
        state["sessions"][0]["phase"] == "paused" && state["sessions"][0]["station"] == "pc-2"
    };
    let state = desk.says(Leaf::State, paused).await?;
    assert_eq!(state["sessions"][0]["remaining_ms"], rest - 20_000);
    assert!(desk.plug(2).history().is_empty(), "nothing is powered");
    desk.ask("session.resume", json!({ "session": "s-1" })).await?;
    let resumed = desk.told("session.resumed").await?;
    assert_eq!(text(&resumed, "station"), "pc-2");
    let off_by = number(&resumed, "ends_at_ms")?.abs_diff(now_ms() + rest - 20_000);
    assert!(off_by < 5_000, "{off_by}");
    assert!(desk.plug(2).is_on(1) && !desk.plug(1).is_on(1));
    desk.caught_up().await?;
    let (paused, resumed) = (desk.all("session.paused", ""), desk.all("session.resumed", ""));
    assert_eq!((paused.len(), resumed.len()), (1, 1), "accepted, nothing");
    Ok(())
}

#[tokio::test]
async fn a_session_that_starts_can_only_be_extended_or_ended() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 2).await?;
    desk.plug(1).set_fault(Fault::Unreachable);
    desk.ask("session.start", start(&json!({ "duration_ms": 60_000 }))).await?;
    let transfer = json!({ "session": "s-1", "station": "pc-2" });
    let it = json!({ "session": "s-1" });
    for (kind, body) in
        [("session.pause", &it), ("session.resume", &it), ("session.transfer", &transfer)]
    {
        assert_eq!(desk.refused(kind, body.clone()).await?.0, "conflict", "{kind}");
    }
    desk.ask("session.extend", json!({ "session": "s-1", "by_ms": 30_000 })).await?;
    desk.told("session.extended").await?;
    desk.says(Leaf::State, |state| state["sessions"][0]["phase"] == "starting").await?;
    desk.plug(1).clear_fault();
    let started = desk.told("session.started").await?;
    let length = number(&started, "ends_at_ms")? - number(&started, "started_at_ms")?;
    assert!(length.abs_diff(90_000) <= GRAIN_MS, "{length}");

    desk.plug(2).set_fault(Fault::Unreachable);
    let body = json!({ "session": "s-2", "station": "pc-2", "duration_ms": 60_000 });
    desk.ask("session.start", body).await?;
    desk.ask("session.end", json!({ "session": "s-2" })).await?;
    desk.plug(2).clear_fault();
    let ended = desk.told_of("session.ended", "s-2").await?;
    assert_eq!(text(&ended, "reason"), "ended");
    assert!(desk.all("session.started", "s-2").is_empty() && !desk.plug(2).is_on(1));
    Ok(())
}
