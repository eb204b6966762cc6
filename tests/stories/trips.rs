//! Plugs that switch themselves off because of what hangs on them: who pays is told so, and nobody takes
//! it for a thumb. A Tasmota tells of it at its broker only (`plugs_by_mqtt`).

use anyhow::Result;
use edge_protocol::codec::Encoding;
use plug_sim::{By, Profile};
use serde_json::{Value, json};
use tests::desk::{Desk, Layout, Leaf};
use tests::transcript::text;

fn session(id: &str) -> Value {
    json!({ "session": id, "station": "pc-1", "duration_ms": 60_000 })
}

#[tokio::test]
async fn a_shelly_that_trips_within_a_session_says_why_and_the_next_customer_has_power()
-> Result<()> {
    for profile in [Profile::shelly_gen1(), Profile::shelly_gen2_2_0()] {
        let layout = Layout { plugs: vec![profile], ..Layout::plugs(1) };
        let mut desk = Desk::with(Encoding::Json, layout).await?;
        desk.ask("session.start", session("s-1")).await?;
        desk.told("session.started").await?;
        desk.plug(1).set_error(1, Some("overpower"));
        let fault = desk.told("outlet.fault").await?;
        assert_eq!(text(&fault, "fault"), "refused");
        assert_eq!(text(&fault, "message"), "it switched itself off: overpower");
        desk.says(Leaf::State, |state| state["outlets"][0]["fault"] == "refused").await?;
        let thumbs = desk.all("outlet.changed", "plug-1");
        assert!(thumbs.iter().all(|it| text(it, "by") != "button"), "{thumbs:?}");

        // Somebody unplugs the heater and goes.
        desk.plug(1).set_error(1, None);
        desk.ask("session.end", json!({ "session": "s-1", "immediate": true })).await?;
        desk.told("session.ended").await?;
        desk.ask("session.start", session("s-2")).await?;
        desk.told_of("session.started", "s-2").await?;
        desk.told("outlet.recovered").await?;
        let by: Vec<(bool, By)> = desk.plug(1).history().iter().map(|it| (it.on, it.by)).collect();
        let expected = [(true, By::Http), (false, By::Protection), (true, By::Http)];
        assert_eq!(by, expected, "its contacts were not closed on the same load");
    }
    Ok(())
}
