//! The Debian package under a real dpkg and systemd: installed, upgraded, removed, purged.

use std::path::PathBuf;

use anyhow::Result;
use edge_protocol::codec::Encoding;
use tempfile::TempDir;
use tests::container::{Container, Machine};
use tests::plug::{goes_off, goes_on};
use tests::{Story, far, start};

use super::ends_on_time;

/// Two versions of the package, of the agent that was built with these tests.
struct Packages {
    old: PathBuf,
    new: PathBuf,
    _folder: TempDir,
}

impl Packages {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let old = far::package(folder.path(), "0.0.1")?;
        let new = far::package(folder.path(), "0.0.2")?;
        Ok(Self { old, new, _folder: folder })
    }
}

/// A site whose agent came by the old package, connected.
async fn installed(packages: &Packages) -> Result<(Story, Container)> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let container = Machine::bare().await?.boot().await?;
    let said = container.unpack(&packages.old).await?;
    assert!(said.contains("not started, since there is no /etc/edge-agent/agent.toml"), "{said}");
    assert_eq!(container.property("UnitFileState").await?, "enabled");
    assert_eq!(container.property("ActiveState").await?, "inactive", "it never failed");
    container.machine().configure(&story.site)?;
    container.service("start").await?;
    story.told("node.link").await?;
    Ok((story, container))
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn an_upgrade_within_a_session_is_not_felt() -> Result<()> {
    let packages = Packages::new()?;
    let (mut story, container) = installed(&packages).await?;
    story.send(start("s-1", 40_000)).await?;
    story.told("session.started").await?;
    let before = container.property("MainPID").await?;
    container.unpack(&packages.new).await?;
    story.told("node.started").await?;
    assert_ne!(container.property("MainPID").await?, before, "the new one runs");
    ends_on_time(&mut story).await
}

/// An agent that only refused to start would leave the customer's power to the lease.
#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn an_upgrade_that_cannot_run_leaves_the_agent_that_can() -> Result<()> {
    let packages = Packages::new()?;
    let (mut story, container) = installed(&packages).await?;
    story.send(start("s-1", 40_000)).await?;
    story.told("session.started").await?;
    let before = container.property("MainPID").await?;
    let config = container.machine().root().join("etc/edge-agent/agent.toml");
    let right = std::fs::read_to_string(&config)?;
    std::fs::write(&config, format!("surprise = 1\n{right}"))?;
    let said = container.unpack(&packages.new).await?;
    assert!(said.contains("NOT restarted: mend /etc/edge-agent/agent.toml"), "{said}");
    assert_eq!(container.property("MainPID").await?, before);
    ends_on_time(&mut story).await
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn an_upgrade_starts_nothing_that_somebody_stopped() -> Result<()> {
    let packages = Packages::new()?;
    let (_story, container) = installed(&packages).await?;
    container.service("stop").await?;
    container.service("disable").await?;
    container.unpack(&packages.new).await?;
    assert_eq!(container.property("ActiveState").await?, "inactive");
    assert_eq!(container.property("UnitFileState").await?, "disabled");
    Ok(())
}

#[tokio::test]
#[ignore = "run tests/under-systemd"]
async fn a_removal_switches_nothing_and_a_purge_leaves_nothing() -> Result<()> {
    let packages = Packages::new()?;
    let (mut story, container) = installed(&packages).await?;
    story.send(start("s-1", 15_000)).await?;
    story.told("session.started").await?;
    goes_on(&story.plug).await?;
    let said = container.must("dpkg", &["--remove", "edge-agent"]).await?;
    assert!(said.contains("removed while sessions live"), "{said}");
    assert!(story.plug.is_on(1) && story.plug.lease_remaining(1).is_some());
    let root = container.machine().root();
    assert!(root.join("etc/edge-agent/node.key").exists(), "what is set up stays");
    assert!(root.join("var/lib/edge-agent").read_dir()?.next().is_some());
    goes_off(&story.plug).await?;
    container.must("dpkg", &["--purge", "edge-agent"]).await?;
    for gone in ["etc/edge-agent", "var/lib/edge-agent", "usr/bin/edge-agent"] {
        assert!(!root.join(gone).exists(), "{gone}");
    }
    let (found, units) =
        container.run("sh", &["-c", "find /etc/systemd -name '*edge-agent*' | grep ."]).await?;
    assert!(!found, "{units}");
    Ok(())
}
