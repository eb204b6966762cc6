//! The agent under systemd, beside a second one, and on a store that was damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use edge_protocol::codec::Encoding;
use edge_protocol::event::What;
use nix::sys::signal::Signal;
use plug_sim::Fault;
use tests::plug::goes_off;
use tests::program::edge_agent;
use tests::service::Service;
use tests::{Story, start};

/// systemd's patience in these stories.
const WATCHDOG: Duration = Duration::from_secs(2);

#[tokio::test]
async fn systemd_hears_ready_signs_of_life_and_the_stop() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let mut service = Service::start(&story.site, WATCHDOG)?;
    service.says_at_last("READY=1").await?;
    story.told("node.link").await?;
    for _ in 0..4 {
        service.says_at_last("WATCHDOG=1").await?;
    }
    service.signal(Signal::SIGSTOP)?;
    // What it said just before may still be on its way.
    service.is_silent_for(WATCHDOG / 4).await?;
    assert!(service.is_silent_for(WATCHDOG).await?, "a frozen agent gives no sign of life");
    service.signal(Signal::SIGCONT)?;
    service.says_at_last("WATCHDOG=1").await?;
    service.signal(Signal::SIGTERM)?;
    service.says_at_last("STOPPING=1").await?;
    assert!(service.ended().await?.success());
    Ok(())
}

#[tokio::test]
async fn signs_of_life_come_while_broker_and_plug_are_gone() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    // Twice what the agent takes at most between two looks at a plug, and a bit.
    let patience = WATCHDOG * 3;
    let service = Service::start(&story.site, patience)?;
    story.told("node.link").await?;
    story.send(start("s-1", 60_000)).await?;
    story.told("session.started").await?;
    story.plug.set_fault(Fault::Unreachable);
    story.site.broker.stop().await?;
    for _ in 0..3 {
        let said = service.says_at_last("WATCHDOG=1");
        let in_time = tokio::time::timeout(patience, said).await;
        assert!(in_time.is_ok(), "systemd would have killed it");
    }
    Ok(())
}

#[tokio::test]
async fn a_second_agent_on_the_same_data_is_refused_and_disturbs_nobody() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let _agent = story.agent().await?;
    story.send(start("s-1", 1_500)).await?;
    story.told("session.started").await?;
    let config = story.site.folder().join("agent.toml");
    let second = edge_agent(["run", "--config", config.to_str().unwrap()]).await?;
    assert_eq!(second.code, Some(69));
    assert!(second.err.contains("in use by another agent"), "{}", second.err);
    assert_eq!(tests::program::status(&story.site).await?.code, Some(0));
    let late_ms = story.event("session.ended", |event| match &event.what {
        What::SessionEnded(ended) => Some(ended.late_ms),
        _ => None,
    });
    assert!(late_ms.await? <= 1_000);
    Ok(())
}

/// The files of the store, the largest first.
fn store_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = vec![];
    for entry in fs::read_dir(folder.join("data/store"))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push((entry.metadata()?.len(), entry.path()));
        }
    }
    files.sort();
    Ok(files.into_iter().rev().map(|(_, path)| path).collect())
}

fn truncated(path: &Path) -> Result<()> {
    let bytes = fs::read(path)?;
    Ok(fs::write(path, &bytes[..bytes.len() / 2])?)
}

fn emptied(path: &Path) -> Result<()> {
    Ok(fs::write(path, [])?)
}

fn overwritten(path: &Path) -> Result<()> {
    let bytes = fs::read(path)?;
    Ok(fs::write(path, vec![0xff; bytes.len()])?)
}

/// Flips a bit in each 64 bytes that hold anything.
fn flipped(path: &Path) -> Result<()> {
    let mut bytes = fs::read(path)?;
    for piece in bytes.chunks_mut(64).filter(|piece| piece.iter().any(|byte| *byte != 0)) {
        piece[0] ^= 1;
    }
    Ok(fs::write(path, bytes)?)
}

#[tokio::test]
async fn a_damaged_store_never_keeps_the_agent_from_starting_and_is_told() -> Result<()> {
    for (name, damage) in [
        ("truncated", truncated as fn(&Path) -> Result<()>),
        ("emptied", emptied),
        ("overwritten", overwritten),
        ("flipped", flipped),
    ] {
        let mut story = Story::new(Encoding::Cbor).await?;
        let agent = story.agent().await?;
        story.send(start("s-1", 60_000)).await?;
        let old = story.told("session.started").await?;
        agent.stop().await?;
        for file in store_files(story.site.folder())? {
            damage(&file)?;
        }
        let _agent = story.site.agent().await?;
        let (store, lost) = story
            .event("node.store", |event| match &event.what {
                What::NodeStore(told) => Some((event.store.clone(), told.lost.clone())),
                _ => None,
            })
            .await?;
        assert!(lost.is_some(), "{name}");
        assert_ne!(store, old.store, "{name}: another history");
        // What no session covers any more goes off, and the node works again.
        goes_off(&story.plug).await?;
        story.send(start("s-2", 300)).await?;
        story.told("session.ended").await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_store_that_is_gone_is_told_and_a_record_beside_it_is_no_obstacle() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let data = story.site.folder().join("data");
    for missing in ["store", "store.id", "high-water"] {
        let agent = story.site.agent().await?;
        story.told("node.started").await?;
        agent.stop().await?;
        let path = data.join(missing);
        if path.is_dir() {
            fs::remove_dir_all(&path)?
        } else {
            fs::remove_file(&path)?
        }
        if missing == "high-water" {
            // The store itself is whole: nothing is lost.
            let agent = story.site.agent().await?;
            story.told("node.started").await?;
            agent.stop().await?;
            continue;
        }
        let agent = story.site.agent().await?;
        let lost = story.event("node.store", |event| match &event.what {
            What::NodeStore(told) => told.lost.clone(),
            _ => None,
        });
        assert!(lost.await?.contains(missing), "{missing}");
        agent.stop().await?;
    }
    Ok(())
}
