//! The shipped alerts in a real Prometheus that watches a real agent: each that this machine can
//! bring about. The long version only, where Prometheus is installed; `tests/alerts` fires every
//! one on made-up figures.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use edge_protocol::codec::Encoding;
use edgectl::ca::Validity;
use plug_sim::Fault;
use serde_json::json;
use tests::desk::{Desk, Layout, now_ms};
use tests::figure::{figure, is_long};
use tests::identity::identify;
use tests::page::Look;
use tests::prometheus::Prometheus;
use tests::script;

/// Replaces the page's address in the configuration by the one it has: so it keeps it from now on.
fn keep_address(desk: &Desk, look: &Look) -> Result<()> {
    let path = desk.site.folder().join("agent.toml");
    let config = fs::read_to_string(&path)?;
    fs::write(&path, config.replace("127.0.0.1:0", &look.address().to_string()))?;
    Ok(())
}

async fn restart(desk: &mut Desk) -> Result<()> {
    desk.agent.take().context("it runs")?.stop().await?;
    desk.start().await
}

#[tokio::test]
async fn alerts_fire_for_what_goes_wrong_at_outlets_links_and_queues() -> Result<()> {
    if !is_long() {
        return Ok(());
    }
    let layout = Layout { tasks: "\n[outbox]\nmax_bytes = 1048576\n", ..Layout::plugs(3) };
    let mut desk = Desk::with(Encoding::Json, layout).await?;
    let look = Look::at(&desk.site).await?;
    keep_address(&desk, &look)?;
    let Some(prometheus) = Prometheus::start(look.address()).await? else { return Ok(()) };
    let mut fired = Vec::new();

    let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 3_600_000 });
    desk.ask("session.start", body).await?;
    desk.told("session.started").await?;
    desk.plug(1).set_fault(Fault::Lies);
    desk.plug(2).set_fault(Fault::Unreachable);
    desk.plug(3).set_fault(Fault::Stall(Duration::from_secs(4)));
    desk.ask("session.end", json!({ "session": "s-1", "immediate": true })).await?;
    for alert in ["EdgeAgentOutletStuckOn", "EdgeAgentOutletFault", "EdgeAgentOutletSlow"] {
        prometheus.fires(alert).await?;
        fired.push(alert);
    }
    desk.plugs.iter().for_each(plug_sim::FakePlug::clear_fault);
    desk.told("session.ended").await?;
    prometheus.fires("EdgeAgentOffLate").await?;
    fired.push("EdgeAgentOffLate");

    script::put(&desk.site, "fails", "exit 64")?;
    for task in 1..=8 {
        let payload = json!({ "name": "fails", "args": {} });
        let task = json!({ "task": format!("f-{task}"), "kind": "script", "payload": payload });
        desk.ask("task.submit", task).await?;
        desk.told("task.failed").await?;
    }
    prometheus.fires("EdgeAgentTasksFailing").await?;
    fired.push("EdgeAgentTasksFailing");

    for _ in 0..8 {
        desk.site.broker.stop().await?;
        desk.site.broker.start_again().await?;
        desk.told("node.link").await?;
    }
    prometheus.fires("EdgeAgentLinkFlapping").await?;
    fired.push("EdgeAgentLinkFlapping");

    for _ in 0..5 {
        restart(&mut desk).await?;
        prometheus.scraped().await?;
    }
    prometheus.fires("EdgeAgentRestarting").await?;
    fired.push("EdgeAgentRestarting");

    // Results of 30 KB each, which come once the broker is away.
    script::put(&desk.site, "long", "printf '{\"x\":\"%030000d\"}' 0")?;
    let not_before_ms = now_ms() + 10_000;
    for task in 1..=60 {
        let payload = json!({ "name": "long", "args": {} });
        let task = format!("l-{task}");
        let body = json!({
            "task": task, "kind": "script", "payload": payload, "not_before_ms": not_before_ms
        });
        desk.ask("task.submit", body).await?;
    }
    desk.site.broker.stop().await?;
    for alert in ["EdgeAgentBrokerAway", "EdgeAgentOutboxFilling", "EdgeAgentNotAccepting"] {
        prometheus.fires(alert).await?;
        fired.push(alert);
    }
    desk.agent.take().context("it runs")?.stop().await?;
    prometheus.fires("EdgeAgentDown").await?;
    fired.push("EdgeAgentDown");
    figure("page", "alerts fired by a real agent in a real Prometheus", fired.len());
    Ok(())
}

#[tokio::test]
async fn alerts_fire_for_a_clock_that_nobody_set_and_a_certificate_near_its_end() -> Result<()> {
    if !is_long() {
        return Ok(());
    }
    let layout = Layout { synced: false, ..Layout::plugs(1) };
    let mut desk = Desk::with(Encoding::Json, layout).await?;
    let issued = desk.site.authority.issue_node_with(&desk.site.node, Validity::days(10)?)?;
    identify(&desk.site, &issued)?;
    desk.agent.take().context("it runs")?.stop().await?;
    desk.start().await?;
    let look = Look::at(&desk.site).await?;
    let Some(prometheus) = Prometheus::start(look.address()).await? else { return Ok(()) };
    prometheus.fires("EdgeAgentClockUnsynced").await?;
    prometheus.fires("EdgeAgentCertificateExpiring").await
}
