//! The keeper under a real systemd: whether it runs, in its sandbox, and that it is never given up.

use anyhow::{Context as _, Result, bail};
use edge_protocol::codec::Encoding;
use tests::container::{Container, Machine};
use tests::{Story, start, within};

const UNIT: &str = "edge-agent-keeper.service";

/// A relay without hardware, its line in the one folder that the keeper may write to.
const RELAY: &str = "[[outlet]]\nid = \"relay-1\"\ndriver = \"gpio\"\npin = 1\nbackend = \"files\"\n\
                     folder = \"/run/edge-agent-keeper\"\n[[station]]\nid = \"pc-1\"\noutlets = [\"relay-1\"]\n";

async fn service(outlets: Option<&str>) -> Result<(Story, Container)> {
    let mut story = Story::new(Encoding::Cbor).await?;
    if let Some(outlets) = outlets {
        story.site.configure(outlets)?;
    }
    let machine = Machine::new().await?;
    machine.configure(&story.site)?;
    let container = machine.boot().await?;
    story.told("node.link").await?;
    Ok((story, container))
}

/// What systemd knows of the keeper under that name.
async fn property(container: &Container, property: &str) -> Result<String> {
    let said = container.must("systemctl", &["show", "--value", "-p", property, UNIT]).await?;
    Ok(said.trim().to_owned())
}

async fn is_on(container: &Container) -> Result<bool> {
    let (_, level) = container.run("cat", &["/run/edge-agent-keeper/gpio1"]).await?;
    Ok(level.starts_with('1'))
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn a_node_without_gpio_runs_no_keeper_and_misses_none() -> Result<()> {
    let (_story, container) = service(None).await?;
    assert_eq!(property(&container, "ActiveState").await?, "inactive");
    assert_eq!(property(&container, "Result").await?, "exec-condition");
    assert_eq!(container.property("ActiveState").await?, "active");
    Ok(())
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn a_relay_outlives_its_keeper_and_not_its_lease() -> Result<()> {
    let (mut story, container) = service(Some(RELAY)).await?;
    if property(&container, "ActiveState").await? != "active" {
        let (_, journal) = container.run("journalctl", &["--no-pager", "-u", UNIT]).await?;
        bail!("the keeper never said READY:\n{journal}");
    }
    story.send(start("s-1", 10_000)).await?;
    story.told("session.started").await?;
    // More often than systemd forgives by default within ten seconds.
    for died in 1..=6 {
        container.must("systemctl", &["kill", "--signal=SIGKILL", UNIT]).await?;
        within("the keeper is back", async {
            while property(&container, "NRestarts").await? != died.to_string()
                || property(&container, "ActiveState").await? != "active"
            {}
            Ok(())
        })
        .await?;
        assert!(is_on(&container).await?, "after {died} deaths");
    }
    container.service("stop").await?;
    within("the relay goes off", async {
        while is_on(&container).await? {}
        Ok(())
    })
    .await?;
    let listed = container.must("ls", &["-l", "/run/edge-agent-keeper"]).await?;
    let socket = listed.lines().find(|line| line.contains("keeper.sock")).context("its socket")?;
    assert!(socket.starts_with("srw-rw----"), "{listed}");
    assert!(socket.contains("edge-agent-keeper edge-agent"), "{listed}");
    Ok(())
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn a_frozen_keeper_is_started_again_by_the_watchdog() -> Result<()> {
    let (mut story, container) = service(Some(RELAY)).await?;
    story.send(start("s-1", 60_000)).await?;
    story.told("session.started").await?;
    container.must("systemctl", &["kill", "--signal=SIGSTOP", UNIT]).await?;
    within("the keeper is started again", async {
        while property(&container, "NRestarts").await? != "1" {}
        Ok(())
    })
    .await?;
    assert!(is_on(&container).await?, "its lease runs");
    Ok(())
}
