//! A station of several outlets: on in order, off in reverse, whatever one of them does.

use std::time::Duration;

use anyhow::{Context as _, Result};
use edge_protocol::codec::Encoding;
use plug_sim::Fault;
use serde_json::json;
use tests::desk::{Desk, Layout};
use tests::transcript::{number, seq, text};

fn one_station() -> Layout {
    Layout { stations: vec![("pc-1", vec!["plug-2", "plug-1", "plug-3"])], ..Layout::plugs(3) }
}

/// In the order of the station, which is not that of their names.
const ORDER: [usize; 3] = [2, 1, 3];

#[tokio::test]
async fn outlets_go_on_in_order_and_off_in_reverse() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::with(encoding, one_station()).await?;
        // Whoever answers late shows whether anybody waits for it.
        desk.plug(2).set_fault_for(Fault::Stall(Duration::from_millis(300)), 2);
        let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 2_000 });
        desk.ask("session.start", body).await?;
        desk.told("session.started").await?;
        assert!(desk.plugs.iter().all(|plug| plug.is_on(1)));
        desk.told("session.ended").await?;
        let mut moments = Vec::new();
        for number in ORDER {
            let history = desk.plug(number).history();
            assert_eq!(history.len(), 2, "on and off, and nothing between");
            moments.push((history[0].at, history[1].at));
        }
        assert!(moments.is_sorted_by(|a, b| a.0 < b.0), "on in order: {moments:?}");
        assert!(moments.is_sorted_by(|a, b| a.1 > b.1), "off in reverse: {moments:?}");
        let changes = desk.all("outlet.changed", "");
        let told: Vec<String> = changes.iter().map(|change| text(change, "outlet")).collect();
        assert_eq!(
            told,
            ["plug-2", "plug-1", "plug-3", "plug-3", "plug-1", "plug-2"],
            "{changes:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_outlet_that_does_not_obey_holds_up_no_other_off() -> Result<()> {
    let mut desk = Desk::with(Encoding::Cbor, one_station()).await?;
    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 1_500 });
    desk.ask("session.start", body).await?;
    desk.told("session.started").await?;
    desk.plug(3).set_fault(Fault::Lies);
    let off_at_ms = number(&desk.told("session.ending").await?, "off_at_ms")?;
    for position in [1, 2] {
        desk.goes(position, false).await?;
    }
    let last = desk.plug(2).history().pop().context("it went off")?.at_ms;
    assert!(last < off_at_ms + 2_000, "{} ms late", last - off_at_ms);
    let fault = desk.told("outlet.fault").await?;
    assert_eq!(
        (text(&fault, "outlet"), text(&fault, "fault")),
        ("plug-3".into(), "stuck_on".into())
    );
    desk.caught_up().await?;
    assert!(desk.all("session.ended", "").is_empty(), "it waits for the last");
    desk.plug(3).clear_fault();
    let ended = desk.told("session.ended").await?;
    assert!(!desk.plug(3).is_on(1));
    let recovered = desk.told("outlet.recovered").await?;
    assert!(seq(&recovered)? < seq(&ended)?, "the end is told when the plug is off");
    assert_eq!(text(&ended, "reason"), "expired");
    Ok(())
}

#[tokio::test]
async fn a_transfer_lights_the_whole_new_station_before_the_old_goes_dark() -> Result<()> {
    let stations = vec![("pc-1", vec!["plug-1", "plug-2"]), ("pc-2", vec!["plug-3", "plug-4"])];
    let layout = Layout { stations, ..Layout::plugs(4) };
    let mut desk = Desk::with(Encoding::Json, layout).await?;
    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
    desk.ask("session.start", body).await?;
    let ends_at_ms = number(&desk.told("session.started").await?, "ends_at_ms")?;
    desk.plug(4).set_fault_for(Fault::Stall(Duration::from_millis(300)), 2);
    desk.ask("session.transfer", json!({ "session": "s-1", "station": "pc-2" })).await?;
    let transferred = desk.told("session.transferred").await?;
    assert_eq!(number(&transferred, "ends_at_ms")?, ends_at_ms, "no second was won or lost");
    for old in [1, 2] {
        desk.goes(old, false).await?;
    }
    let on = |number: usize| desk.plug(number).history().first().map(|switch| switch.at);
    let off = |number: usize| desk.plug(number).history().last().map(|switch| switch.at);
    assert!(on(3) < on(4) && on(4) < off(1).min(off(2)));
    // The old station is free for another guest.
    let body = json!({ "session": "s-2", "station": "pc-1", "duration_ms": 60_000 });
    desk.ask("session.start", body).await?;
    desk.told_of("session.started", "s-2").await?;
    assert!(desk.plugs.iter().all(|plug| plug.is_on(1)));
    Ok(())
}

#[tokio::test]
async fn a_paused_station_goes_off_in_reverse_and_on_in_order_again() -> Result<()> {
    let mut desk = Desk::with(Encoding::Cbor, one_station()).await?;
    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
    desk.ask("session.start", body).await?;
    desk.told("session.started").await?;
    desk.ask("session.pause", json!({ "session": "s-1" })).await?;
    for number in 1..=3 {
        desk.goes(number, false).await?;
    }
    desk.ask("session.resume", json!({ "session": "s-1" })).await?;
    desk.told("session.resumed").await?;
    let mut moments = Vec::new();
    for number in ORDER {
        let history = desk.plug(number).history();
        assert_eq!(history.len(), 3);
        moments.push((history[1].at, history[2].at));
    }
    assert!(moments.is_sorted_by(|a, b| a.0 > b.0), "off in reverse: {moments:?}");
    assert!(moments.is_sorted_by(|a, b| a.1 < b.1), "on in order: {moments:?}");
    Ok(())
}
