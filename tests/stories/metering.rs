//! A plug that meters, seen from outside: what a session used, what watts prove of an on, and what the
//! page and `/metrics` show of the load. What takes minutes is told in virtual time instead
//! (`edge-agent/src/node/tests/metering.rs`).

use std::fs;

use anyhow::{Result, ensure};
use edge_protocol::codec::Encoding;
use serde_json::{Value, json};
use tests::desk::{Desk, Layout, Leaf};
use tests::page::Look;
use tests::transcript::{number, text};

/// 18 kW, so that a session of seconds uses watt-hours: 5 a second.
const OVEN: &str = r#"
[[outlet]]
id = "oven"
driver = "simulated"
load_w = 18000.0
rated_cycles = 100

[[outlet]]
id = "lamp"
driver = "simulated"

[[station]]
id = "kitchen"
outlets = ["oven"]

[[station]]
id = "shelf"
outlets = ["lamp"]
"#;

async fn kitchen(encoding: Encoding) -> Result<Desk> {
    let mut desk = Desk::set_up(encoding, Layout::plugs(0)).await?;
    let path = desk.site.folder().join("agent.toml");
    let config = fs::read_to_string(&path)?;
    fs::write(&path, format!("{config}{OVEN}"))?;
    desk.start().await?;
    Ok(desk)
}

fn start(session: &str, station: &str, duration_ms: u64) -> Value {
    json!({ "session": session, "station": station, "duration_ms": duration_ms })
}

#[tokio::test]
async fn a_session_tells_what_it_used_and_whoever_looks_sees_the_load() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = kitchen(encoding).await?;
        let look = Look::at(&desk.site).await?;
        desk.ask("session.start", start("s-1", "kitchen", 8_000)).await?;
        desk.told("session.started").await?;
        let oven = |report: &Value| {
            let outlets = report["outlets"].as_array().into_iter().flatten();
            outlets.clone().find(|outlet| outlet["outlet"] == "oven").cloned().unwrap_or_default()
        };
        let report = look.report(|report| oven(report)["power_mw"] == 18_000_000).await?;
        assert_eq!(oven(&report)["cycles"], 1);
        let metrics = look.get("/metrics").await?;
        for line in [
            "edge_agent_outlet_power_watts{outlet=\"oven\"} 18000",
            "edge_agent_outlet_cycles_total{outlet=\"oven\"} 1",
            "edge_agent_outlet_rated_cycles{outlet=\"oven\"} 100",
        ] {
            ensure!(metrics.contains(line), "{line} in {metrics}");
        }
        let ended = desk.told("session.ended").await?;
        // The last poll may be 2 s before the end; and nothing waits for another.
        let used = number(&ended, "energy_wh")?;
        assert!((25..=42).contains(&used), "40 Wh flowed, {used} are told");
        assert_eq!(text(&ended, "proof"), "read_back");
    }
    Ok(())
}

#[tokio::test]
async fn where_nothing_meters_no_energy_is_told() -> Result<()> {
    let mut desk = kitchen(Encoding::Json).await?;
    desk.ask("session.start", start("s-1", "shelf", 1_000)).await?;
    let ended = desk.told("session.ended").await?;
    assert!(ended["body"].get("energy_wh").is_none(), "{ended}");
    Ok(())
}

#[tokio::test]
async fn a_relay_near_its_end_is_told_to_be_worn() -> Result<()> {
    let mut desk = kitchen(Encoding::Json).await?;
    let worn = |state: &Value| {
        let outlets = state["outlets"].as_array().cloned().unwrap_or_default();
        outlets.iter().any(|outlet| outlet["outlet"] == "oven" && outlet["worn_percent"] == 80)
    };
    for _ in 0..80 {
        desk.ask("outlet.set", json!({ "outlet": "oven", "on": true, "for_ms": 60_000 })).await?;
        while desk.told("outlet.changed").await?["body"]["on"] != true {}
        desk.ask("outlet.release", json!({ "outlet": "oven" })).await?;
        while desk.told("outlet.changed").await?["body"]["on"] != false {}
    }
    desk.says(Leaf::State, worn).await?;
    Ok(())
}
