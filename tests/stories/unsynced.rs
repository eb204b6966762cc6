//! A node whose clock nobody vouches for: what it takes, and how it reads an instant.

use anyhow::{Context as _, Result};
use edge_protocol::codec::Encoding;
use serde_json::{Value, json};
use tests::desk::{Desk, Layout, Leaf, id, now_ms};
use tests::transcript::number;

/// How far the control plane's clock is from the node's, as far as it knows: an hour.
const AHEAD_MS: u64 = 3_600_000;

fn unsynced() -> Layout {
    Layout { synced: false, ..Layout::plugs(1) }
}

/// A command of a control plane whose clock is far ahead.
fn from_ahead(desk: &mut Desk, kind: &str, body: Value) -> Value {
    let mut command = desk.command(kind, body);
    command["issued_at_ms"] = json!(now_ms() + AHEAD_MS);
    command
}

#[tokio::test]
async fn instants_count_from_the_command_s_issue() -> Result<()> {
    let mut desk = Desk::with(Encoding::Json, unsynced()).await?;
    let online = desk.says(Leaf::Status, |status| status["online"] == true).await?;
    assert_eq!(online["clock"], "unsynced");
    let body =
        json!({ "session": "s-1", "station": "pc-1", "ends_at_ms": now_ms() + AHEAD_MS + 2_000 });
    let start = from_ahead(&mut desk, "session.start", body);
    desk.publish(&start).await?;
    let started = desk.told("session.started").await?;
    assert_eq!((&started["clock"], &started["cause"]), (&json!("unsynced"), &json!(id(&start))));
    let ended = desk.told("session.ended").await?;
    let in_time_ms = number(&ended, "powered_ms")?.saturating_sub(number(&ended, "late_ms")?);
    assert!((1_000..=2_000).contains(&in_time_ms), "{ended}");
    Ok(())
}

#[tokio::test]
async fn an_instant_without_an_issue_is_invalid_and_a_duration_is_not() -> Result<()> {
    let mut desk = Desk::with(Encoding::Cbor, unsynced()).await?;
    let without_issue = |desk: &mut Desk, body: Value| -> Result<Value> {
        let mut command = desk.command("session.start", body);
        command.as_object_mut().context("a map")?.remove("issued_at_ms");
        command["expires_at_ms"] = json!(now_ms() + 60_000);
        Ok(command)
    };
    let body = json!({ "session": "s-1", "station": "pc-1", "ends_at_ms": now_ms() + 60_000 });
    let command = without_issue(&mut desk, body)?;
    let (code, message) = desk.refused_command(&command).await?;
    assert_eq!(code, "invalid");
    assert!(message.contains("ends_at_ms"), "{message}");
    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
    let command = without_issue(&mut desk, body)?;
    desk.publish(&command).await?;
    desk.told("session.started").await?;
    Ok(())
}

#[tokio::test]
async fn what_powers_and_may_have_waited_at_the_broker_is_expired() -> Result<()> {
    let mut desk = Desk::with(Encoding::Json, unsynced()).await?;
    desk.agent.take().context("it runs")?.stop().await?;
    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
    let start = desk.command("session.start", body);
    let report = desk.command("node.report", json!({}));
    desk.publish(&start).await?;
    desk.publish(&report).await?;
    desk.start().await?;
    assert_eq!(desk.answer(&id(&start)).await?["body"]["code"], "expired");
    assert_eq!(desk.answer(&id(&report)).await?["type"], "command.accepted");
    desk.caught_up().await?;
    assert!(desk.plug(1).history().is_empty(), "nothing went on");
    Ok(())
}
