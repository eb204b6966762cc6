//! What people see of a running agent on its own machine: the page, its JSON, and its metrics.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use edge_protocol::codec::Encoding;
use plug_sim::Fault;
use serde_json::{Value, json};
use tests::desk::Desk;
use tests::figure::figure;
use tests::page::{Crowd, Look, find_program};
use tests::program::edge_agent;
use tests::transcript::number;
use tests::within;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

#[tokio::test]
async fn the_page_tells_what_status_tells() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 2).await?;
    let look = Look::at(&desk.site).await?;
    let body =
        json!({ "session": "s-1", "station": "pc-2", "duration_ms": 60_000, "label": "seat 2" });
    desk.ask("session.start", body).await?;
    let started = desk.told("session.started").await?;
    desk.refused("session.start", json!({ "session": "s-2", "station": "pc-9", "duration_ms": 1 }))
        .await?;

    let page = look.get("/").await?;
    assert!(page.contains("<title>edge-agent</title>"), "{page}");
    let active = |report: &Value| report["state"]["sessions"][0]["phase"] == "active";
    let report = look.report(active).await?;
    assert_eq!(report["state"]["node"], "pi-0042");
    assert_eq!((&report["online"], &report["accepting"]), (&json!(true), &json!(true)));
    assert_eq!(report["state"]["stations"][1]["session"], "s-1");
    let session = &report["state"]["sessions"][0];
    assert_eq!(session["ends_at_ms"], number(&started, "ends_at_ms")?);
    let (at_ms, left_ms) = (&report["state"]["at_ms"], &session["remaining_ms"]);
    let (at_ms, left_ms) = (at_ms.as_u64().context("at_ms")?, left_ms.as_u64().context("left")?);
    let ends_at_ms = number(&started, "ends_at_ms")?;
    assert!((at_ms + left_ms).abs_diff(ends_at_ms) <= 5, "{report}");
    assert_eq!(report["outlets"][1]["outlet"], "plug-2");
    assert_eq!(report["outlets"][1]["driver"], "tasmota");
    assert_eq!(report["outlets"][1]["proof"], "lease_confirmed");
    assert!(report["host"]["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20));
    let told: Vec<&str> = report["events"]
        .as_array()
        .context("events")?
        .iter()
        .filter_map(|event| event["type"].as_str())
        .collect();
    assert_eq!(told.first(), Some(&"node.started"), "{told:?}");
    assert!(told.contains(&"session.started") && told.contains(&"command.rejected"), "{told:?}");
    assert!(!told.contains(&"command.accepted"), "the routine is passed over: {told:?}");

    let config = desk.site.folder().join("agent.toml");
    let said =
        edge_agent(["status", "--json", "--config", config.to_str().context("a path")?]).await?;
    let same: Value = serde_json::from_str(&said.out)?;
    for part in ["version", "store", "online", "accepting", "outlets", "started_at_ms"] {
        assert_eq!(same[part], report[part], "{part}");
    }
    let keys =
        |report: &Value| report.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>());
    assert_eq!(keys(&same), keys(&report));
    Ok(())
}

#[tokio::test]
async fn a_fault_is_shown_with_its_beginning_and_goes_when_it_is_over() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    let look = Look::at(&desk.site).await?;
    look.report(|report| report["state"]["outlets"][0]["on"] == false).await?;
    desk.plug(1).set_fault(Fault::Unreachable);
    desk.told("outlet.fault").await?;
    let report =
        look.report(|report| report["state"]["outlets"][0]["fault"] == "unreachable").await?;
    desk.caught_up().await?;
    let shown = &report["outlets"][0];
    let shown_ms = shown["fault_since_ms"].as_u64().context("since when")?;
    // On a busy machine a slow plug may have had a fault before. The boot clock's instant is named twice.
    let told = |fault: &&Value| {
        let since_ms = fault["body"]["since_ms"].as_u64().unwrap_or_default();
        since_ms.abs_diff(shown_ms) <= 5 && fault["body"]["message"] == shown["fault_message"]
    };
    let faults = desk.all("outlet.fault", "plug-1");
    assert!(faults.iter().any(told), "{shown} is none of {faults:?}");
    desk.plug(1).clear_fault();
    let report = look.report(|report| report["state"]["outlets"][0].get("fault").is_none()).await?;
    assert!(report["outlets"][0].get("fault_since_ms").is_none());
    Ok(())
}

#[tokio::test]
async fn metrics_count_what_happened() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    let look = Look::at(&desk.site).await?;
    let start = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 300 });
    desk.ask("session.start", start).await?;
    desk.told("session.ended").await?;
    desk.refused("session.extend", json!({ "session": "s-1", "by_ms": 1 })).await?;
    let task = json!({ "task": "t-1", "kind": "wait", "payload": { "wait_ms": 1 } });
    desk.ask("task.submit", task).await?;
    desk.told("task.succeeded").await?;
    desk.caught_up().await?;

    let metrics = look.metrics("edge_agent_tasks_ended_total{outcome=\"succeeded\"} 1").await?;
    for line in [
        "edge_agent_link_up 1",
        "edge_agent_link_attempts_total{outcome=\"connected\"} 1",
        "edge_agent_clock_synced 1",
        "edge_agent_accepting 1",
        "edge_agent_sessions{phase=\"active\"} 0",
        "edge_agent_session_off_lateness_seconds_count 1",
        "edge_agent_commands_total{outcome=\"rejected\",code=\"conflict\"} 1",
        "edge_agent_task_attempts_total 1",
        "edge_agent_outlet_on{outlet=\"plug-1\"} 0",
    ] {
        assert!(metrics.lines().any(|told| told == line), "{line} is not in:\n{metrics}");
    }
    // How many there were is the machine's affair: a busy one makes a plug slow.
    let faults = "edge_agent_outlet_faults_total{outlet=\"plug-1\",fault=\"unreachable\"} ";
    assert!(metrics.lines().any(|told| told.starts_with(faults)), "{faults} is not in:\n{metrics}");
    for some in [
        "edge_agent_outlet_answer_seconds_count{outlet=\"plug-1\"} ",
        "edge_agent_store_flush_seconds_count ",
        "edge_agent_store_row_bytes_total ",
        "edge_agent_store_size_bytes ",
        "edge_agent_host_memory_available_bytes ",
        "process_resident_memory_bytes ",
    ] {
        let value = metrics.lines().find_map(|told| told.strip_prefix(some)).context(some)?;
        assert!(value.parse::<f64>()? > 0.0, "{some}{value}");
    }
    if let Some(promtool) = find_program("promtool") {
        let mut check = Command::new(promtool)
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        check.stdin.take().context("its input")?.write_all(metrics.as_bytes()).await?;
        let said = check.wait_with_output().await?;
        let complaints = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.status.success() && complaints.is_empty(), "{complaints}");
    }
    Ok(())
}

#[tokio::test]
async fn every_alert_fires_when_it_should_where_promtool_is_installed() -> Result<()> {
    let Some(promtool) = find_program("promtool") else { return Ok(()) };
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/alerts/alerts_test.yml");
    let said = Command::new(promtool).args(["test", "rules", rules]).output().await?;
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}

#[tokio::test]
async fn the_dashboards_queries_are_understood_where_promtool_is_installed() -> Result<()> {
    let Some(promtool) = find_program("promtool") else { return Ok(()) };
    let dashboard = include_str!("../../docs/grafana/edge-agent.json");
    let dashboard: Value = serde_json::from_str(dashboard)?;
    let panels = dashboard["panels"].as_array().context("panels")?.iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let rules: Vec<Value> = targets
        .filter_map(|target| target["expr"].as_str())
        .map(|expr| expr.replace("$__rate_interval", "1m"))
        .enumerate()
        .map(|(number, expr)| json!({ "record": format!("query:{number}"), "expr": expr }))
        .collect();
    assert!(rules.len() > 20, "{} queries", rules.len());
    // JSON is YAML as well.
    let file = tempfile::NamedTempFile::new()?;
    let groups = json!({ "groups": [{ "name": "dashboard", "rules": rules }] });
    std::fs::write(file.path(), groups.to_string())?;
    let said = Command::new(promtool).args(["check", "rules"]).arg(file.path()).output().await?;
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Ok(())
}

/// How late the power went, in the middle of seven sessions that begin with `name`.
async fn median_late_ms(desk: &mut Desk, name: &str) -> Result<u64> {
    let mut late_ms = Vec::new();
    for round in 1..=7 {
        let session = format!("{name}-{round}");
        let body = json!({ "session": session, "station": "pc-1", "duration_ms": 500 });
        desk.ask("session.start", body).await?;
        let ended = desk.told_of("session.ended", &session).await?;
        late_ms.push(number(&ended, "late_ms")?);
    }
    late_ms.sort_unstable();
    Ok(late_ms[late_ms.len() / 2])
}

#[tokio::test]
async fn a_crowd_that_looks_delays_no_off() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    let look = Look::at(&desk.site).await?;
    let quiet_ms = median_late_ms(&mut desk, "quiet").await?;
    let crowd = Crowd::gather(&look, 100);
    // And some who never finish asking, or never read.
    let rude = look.rude(20).await?;
    let crowded_ms = median_late_ms(&mut desk, "crowded").await?;
    // The crowd takes its share of the processors, and other tests take theirs: so a machine on
    // which an off is late without a crowd has that much more to spare with one.
    assert!(crowded_ms <= 1_000 + 5 * quiet_ms, "{crowded_ms} ms late, {quiet_ms} without a crowd");
    figure("page", "off lateness with nobody looking, median of 7, ms", quiet_ms);
    figure("page", "off lateness under 100 who look, median of 7, ms", crowded_ms);
    drop((crowd, rude));
    within("the page answers again", async { look.get("/healthz").await }).await?;
    Ok(())
}

#[tokio::test]
async fn an_agent_goes_on_without_a_page_where_its_address_is_taken_or_empty() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    for listen in [taken.local_addr()?.to_string(), String::new()] {
        let mut desk = Desk::open(Encoding::Cbor, 1).await?;
        desk.agent.take().context("it runs")?.stop().await?;
        let path = desk.site.folder().join("agent.toml");
        let config = std::fs::read_to_string(&path)?;
        let known = config.lines().find(|line| line.starts_with("listen = ")).context("listen")?;
        std::fs::write(&path, config.replace(known, &format!("listen = \"{listen}\"")))?;
        std::fs::remove_file(desk.site.folder().join("agent.log"))?;
        desk.start().await?;
        desk.caught_up().await?;
        assert!(Look::at(&desk.site).await.is_err(), "no page at {listen:?}");
        let log = std::fs::read_to_string(desk.site.folder().join("agent.log"))?;
        assert_eq!(log.contains("the page can't be opened"), !listen.is_empty(), "{log}");
    }
    Ok(())
}
