//! The installed service under a real systemd. Ignored elsewhere: `tests/under-systemd` brings the root
//! file system that it takes.

#![cfg(test)]
#![expect(clippy::wildcard_enum_match_arm, reason = "a story waits for one kind of event")]

mod keeper;
mod packages;

use anyhow::Result;
use edge_protocol::codec::Encoding;
use edge_protocol::event::What;
use edge_protocol::presence::{OfflineReason, Status};
use nix::sys::signal::Signal;
use tests::container::{Container, Machine};
use tests::plug::goes_on;
use tests::{Story, ask, script, start};

/// A site whose agent runs in a container, connected.
async fn service() -> Result<(Story, Container)> {
    let mut story = Story::new(Encoding::Cbor).await?;
    script::put(
        &story.site,
        "who",
        "printf '{\"user\":\"%s\",\"home\":\"%s\"}\\n' \"$(id -un)\" \"$(ls /home)\"",
    )?;
    let machine = Machine::new().await?;
    machine.configure(&story.site)?;
    let container = machine.boot().await?;
    story.told("node.link").await?;
    Ok((story, container))
}

/// The session that covers `pc-1` goes on and ends on time; its plug was never off meanwhile.
async fn ends_on_time(story: &mut Story) -> Result<()> {
    let late_ms = story.event("session.ended", |event| match &event.what {
        What::SessionEnded(ended) => Some(ended.late_ms),
        _ => None,
    });
    let late_ms = late_ms.await?;
    assert!(late_ms <= 1_000, "{late_ms} ms late");
    let switched: Vec<_> = story.plug.history().iter().map(|switch| switch.on).collect();
    assert_eq!(switched, [true, false], "on once, off once");
    Ok(())
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn a_fresh_installation_waits_for_its_configuration_and_is_not_tried_again() -> Result<()> {
    let machine = Machine::new().await?;
    assert!(machine.install().await?.contains("nothing to change"), "twice is once");
    let container = machine.boot().await?;
    container.until("ActiveState", |state| state == "failed").await?;
    assert_eq!(container.property("ExecMainStatus").await?, "78");
    assert_eq!(container.property("NRestarts").await?, "0");
    let said = container.must("journalctl", &["-u", "edge-agent"]).await?;
    assert!(said.contains("/etc/edge-agent/agent.toml:"), "{said}");
    Ok(())
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn the_sandbox_allows_what_the_agent_does_and_little_else() -> Result<()> {
    let (mut story, container) = service().await?;
    assert_eq!(container.property("ActiveState").await?, "active", "it said READY");
    story.send(ask::run("t-1", "who")).await?;
    let result = story.event("task.succeeded", |event| match &event.what {
        What::TaskSucceeded(succeeded) => Some(serde_json::json!(succeeded.result)),
        _ => None,
    });
    assert_eq!(result.await?, serde_json::json!({ "user": "edge-agent", "home": "" }));
    // Refused there, the question whether the clock is synced is warned of.
    let warnings = container.must("journalctl", &["-u", "edge-agent", "-p", "warning"]).await?;
    assert!(!warnings.contains("clock"), "{warnings}");
    let status = container.must("edge-agent", &["status"]).await?;
    assert!(status.contains("pi-0042"), "{status}");
    Ok(())
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn the_journal_has_a_lines_fields() -> Result<()> {
    let (_story, container) = service().await?;
    let entry = container
        .must("journalctl", &["-u", "edge-agent", "-o", "json", "EDGE_SESSION_PRESENT=false"])
        .await?;
    assert!(entry.contains("the broker is reached"), "{entry}");
    Ok(())
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn a_restart_and_an_upgrade_leave_a_live_session_powered() -> Result<()> {
    let (mut story, container) = service().await?;
    story.send(start("s-1", 20_000)).await?;
    story.told("session.started").await?;
    container.service("restart").await?;
    story.told("node.started").await?;
    let program = container.machine().root().join("usr/bin/edge-agent");
    // A running program can't be written to, only replaced; as far as an installer can tell, another build.
    std::fs::remove_file(&program)?;
    let said = container.machine().install().await?;
    assert!(said.contains("/usr/bin/edge-agent"), "{said}");
    container.service("restart").await?;
    story.told("node.started").await?;
    ends_on_time(&mut story).await
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn systemd_never_gives_up_on_an_agent_that_dies() -> Result<()> {
    let (mut story, container) = service().await?;
    story.send(start("s-1", 30_000)).await?;
    story.told("session.started").await?;
    // More often than systemd forgives by default within ten seconds.
    for died in 1..=6 {
        container.signal(Signal::SIGKILL).await?;
        container.until("NRestarts", |restarts| restarts == died.to_string()).await?;
        container.until("ActiveState", |state| state == "active").await?;
    }
    ends_on_time(&mut story).await
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn a_frozen_agent_is_started_again_by_the_watchdog() -> Result<()> {
    let (mut story, container) = service().await?;
    story.send(start("s-1", 120_000)).await?;
    story.told("session.started").await?;
    goes_on(&story.plug).await?;
    container.signal(Signal::SIGSTOP).await?;
    container.until("NRestarts", |restarts| restarts == "1").await?;
    container.until("ActiveState", |state| state == "active").await?;
    story.told("node.started").await?;
    assert!(story.plug.is_on(1), "nothing was switched");
    Ok(())
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn a_stop_switches_nothing_and_says_goodbye() -> Result<()> {
    let (mut story, container) = service().await?;
    story.send(start("s-1", 600_000)).await?;
    story.told("session.started").await?;
    container.service("stop").await?;
    assert_eq!(container.property("Result").await?, "success");
    assert!(story.plug.is_on(1));
    tests::within("the node says goodbye", async {
        let left = |status: &Status| {
            matches!(status, Status::Offline(offline) if offline.reason == OfflineReason::Shutdown)
        };
        story.site.status(left).await?;
        Ok(())
    })
    .await
}
