//! The queue of tasks: whose turn it is, how many run, and power cycles beside sessions.

use anyhow::Result;
use edge_protocol::codec::Encoding;
use plug_sim::Profile;
use serde_json::{Value, json};
use tests::desk::{Desk, Layout, Leaf, now_ms};
use tests::transcript::{number, text};

fn wait(task: &str, wait_ms: u64, priority: u8) -> Value {
    let payload = json!({ "wait_ms": wait_ms });
    json!({ "task": task, "kind": "wait", "payload": payload, "priority": priority })
}

fn cycle(task: &str, off_ms: u64) -> Value {
    let payload = json!({ "outlet": "plug-1", "off_ms": off_ms });
    json!({ "task": task, "kind": "outlet.cycle", "payload": payload })
}

#[tokio::test]
async fn the_highest_priority_goes_first_and_then_who_came_first() -> Result<()> {
    let tasks = "concurrency = 1";
    let mut desk = Desk::with(Encoding::Cbor, Layout { tasks, ..Layout::plugs(1) }).await?;
    desk.ask("task.submit", wait("first", 60_000, 0)).await?;
    desk.told("task.started").await?;
    for (task, priority) in [("low", 0), ("b", 5), ("a", 5), ("high", 9), ("c", 5)] {
        desk.ask("task.submit", wait(task, 1, priority)).await?;
    }
    // Who was cancelled in the queue never runs.
    desk.ask("task.cancel", json!({ "task": "c" })).await?;
    let cancelled = desk.told("task.cancelled").await?;
    assert_eq!(number(&cancelled, "attempt")?, 1, "the attempt to come");
    desk.ask("task.cancel", json!({ "task": "first" })).await?;
    desk.told_of("task.succeeded", "low").await?;
    let started = desk.all("task.started", "");
    let order: Vec<String> = started.iter().map(|news| text(news, "task")).collect();
    assert_eq!(order, ["first", "high", "b", "a", "low"]);
    Ok(())
}

#[tokio::test]
async fn two_run_at_once_and_the_third_waits() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    for task in ["t-1", "t-2", "t-3"] {
        desk.ask("task.submit", wait(task, 60_000, 5)).await?;
    }
    let two = |state: &Value| {
        state["queues"]["tasks_running"] == 2 && state["queues"]["tasks_queued"] == 1
    };
    desk.says(Leaf::State, two).await?;
    desk.caught_up().await?;
    assert_eq!(desk.all("task.started", "").len(), 2);
    desk.ask("task.cancel", json!({ "task": "t-1" })).await?;
    desk.told_of("task.started", "t-3").await?;
    Ok(())
}

#[tokio::test]
async fn a_task_waits_for_its_time_and_holds_nobody_up() -> Result<()> {
    let tasks = "concurrency = 1";
    let mut desk = Desk::with(Encoding::Cbor, Layout { tasks, ..Layout::plugs(1) }).await?;
    let not_before_ms = now_ms() + 1_500;
    let mut later = wait("later", 1, 9);
    later["not_before_ms"] = json!(not_before_ms);
    desk.ask("task.submit", later).await?;
    desk.ask("task.submit", wait("now", 1, 0)).await?;
    desk.told_of("task.succeeded", "now").await?;
    let started = desk.told_of("task.started", "later").await?;
    assert!(started["at_ms"].as_u64().unwrap_or_default() >= not_before_ms, "{started}");
    Ok(())
}

#[tokio::test]
async fn a_wait_that_takes_longer_than_it_may_fails() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    let mut body = wait("t-1", 60_000, 5);
    body["timeout_ms"] = json!(100);
    body["max_retries"] = json!(0);
    desk.ask("task.submit", body).await?;
    let failed = desk.told("task.failed").await?;
    assert!(number(&failed, "duration_ms")? >= 100 && !text(&failed, "error").is_empty());
    Ok(())
}

#[tokio::test]
async fn a_power_cycle_within_a_session_costs_it_no_second() -> Result<()> {
    for profile in [Profile::tasmota_14_4(), Profile::tasmota_12_4()] {
        let layout = Layout { plugs: vec![profile], ..Layout::plugs(1) };
        let mut desk = Desk::with(Encoding::Cbor, layout).await?;
        let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
        desk.ask("session.start", body).await?;
        let ends_at_ms = number(&desk.told("session.started").await?, "ends_at_ms")?;
        let submit = desk.ask("task.submit", cycle("t-1", 500)).await?;
        let succeeded = desk.told("task.succeeded").await?;
        assert_eq!(succeeded["cause"], submit);
        let history = desk.plug(1).history();
        let on: Vec<bool> = history.iter().map(|switch| switch.on).collect();
        assert_eq!(on, [true, false, true]);
        assert!(history[2].at_ms + 5 >= history[1].at_ms + 500, "it was off for its time");
        // Back on, it is leased to the session's end as before.
        let rest = desk.plug(1).lease_remaining(1).unwrap_or_default();
        let cut_at_ms = now_ms() + u64::try_from(rest.as_millis())?;
        assert!((ends_at_ms..=ends_at_ms + 15_000).contains(&cut_at_ms), "{cut_at_ms}");
        let changes = desk.all("outlet.changed", "plug-1");
        assert!(changes.iter().all(|change| text(change, "by") != "button"), "{changes:?}");
        desk.ask("session.end", json!({ "session": "s-1" })).await?;
        let ended = desk.told("session.ended").await?;
        assert!(number(&ended, "ended_at_ms")? < ends_at_ms);
    }
    Ok(())
}

#[tokio::test]
async fn a_power_cycle_s_on_is_dropped_once_the_session_has_ended() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 1_500 });
    desk.ask("session.start", body).await?;
    desk.told("session.started").await?;
    desk.ask("task.submit", cycle("t-1", 2_500)).await?;
    let ended = desk.told("session.ended").await?;
    assert!(number(&ended, "late_ms")? < 1_000, "a power cycle delays no end: {ended}");
    let over = desk.told_of("task.succeeded", "t-1").await?;
    assert!(number(&over, "duration_ms")? >= 2_500);
    desk.caught_up().await?;
    let on: Vec<bool> = desk.plug(1).history().iter().map(|switch| switch.on).collect();
    assert_eq!(on, [true, false], "it never went on again");
    Ok(())
}

#[tokio::test]
async fn a_power_cycle_that_is_cancelled_gives_the_power_back() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
    desk.ask("session.start", body).await?;
    desk.told("session.started").await?;
    desk.ask("task.submit", cycle("t-1", 50_000)).await?;
    desk.goes(1, false).await?;
    let cancel = desk.ask("task.cancel", json!({ "task": "t-1" })).await?;
    assert_eq!(desk.told("task.cancelled").await?["cause"], cancel);
    desk.goes(1, true).await
}
