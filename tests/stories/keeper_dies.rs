//! The keeper dies too. systemd starts it again: what has a right to be on stays on, everything
//! else goes off; and an agent that lives still gets its off done.

use std::fs;

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use tests::desk::Leaf;
use tests::figure::{is_long, spread};
use tests::keeper::{self, Keeper, Watch, is_on, line};
use tests::program::edge_agent as edge_agent_says;
use tests::time::{self, now_ms};
use tests::transcript::number;

use super::keeper::{MAX_LATE_MS, keeping, late_ms, session};

/// A new keeper has off what has no right to be on.
const START_MS: u64 = 3_000;

#[tokio::test]
async fn a_relay_stays_on_through_the_death_of_its_keeper() -> Result<()> {
    let (mut desk, mut keeper) = keeping(1).await?;
    desk.start().await?;
    let watch = Watch::on(&desk.site, 1);
    let ends_at_ms = session(&mut desk, 1, "s-1", 4_000).await?;
    for _ in 0..5 {
        keeper.kill()?;
        keeper = Keeper::start(&desk.site).await?;
    }
    assert!(keeper.stop().await?.success(), "an orderly stop switches nothing either");
    let _keeper = Keeper::start(&desk.site).await?;
    desk.told_of("session.ended", "s-1").await?;
    assert!(late_ms(watch.off_at_ms(1).await?, ends_at_ms)? <= 3_000);
    assert_eq!(watch.switched(), [true, false]);
    Ok(())
}

#[tokio::test]
async fn a_lease_outlives_both_its_agent_and_its_keeper() -> Result<()> {
    let (mut desk, keeper) = keeping(1).await?;
    desk.start().await?;
    let watch = Watch::on(&desk.site, 1);
    let ends_at_ms = session(&mut desk, 1, "s-1", 1_000).await?;
    desk.agent.take().context("it runs")?.kill()?;
    keeper.kill()?;
    let _keeper = Keeper::start(&desk.site).await?;
    late_ms(watch.off_at_ms(1).await?, ends_at_ms)?;
    assert_eq!(watch.switched(), [true, false]);
    Ok(())
}

#[tokio::test]
async fn a_keeper_that_is_back_too_late_switches_off_within_its_start() -> Result<()> {
    let rounds = if is_long() { 50 } else { 4 };
    let mut took = vec![];
    let (mut desk, first) = keeping(1).await?;
    let mut keeper = Some(first);
    desk.start().await?;
    for round in 0..rounds {
        let ends_at_ms = session(&mut desk, 1, &format!("s-{round}"), 300).await?;
        let agent = desk.agent.take().context("it runs")?;
        agent.kill()?;
        keeper.take().context("it runs")?.kill()?;
        // As if the lease had run out meanwhile: it is some seconds off.
        for file in leases(&desk.site)? {
            let text = fs::read_to_string(&file)?;
            let (before, _) = text.split_once("{\"until\":").context("a lease")?;
            fs::write(&file, format!("{before}{{\"until\":1}}}}"))?;
        }
        time::passes(ends_at_ms).await;
        if is_on(&desk.site, 1) {
            let watch = Watch::on(&desk.site, 1);
            let started_ms = now_ms();
            keeper = Some(Keeper::start(&desk.site).await?);
            took.push(watch.off_at_ms(1).await? - started_ms);
        } else {
            keeper = Some(Keeper::start(&desk.site).await?);
        }
        desk.start().await?;
        desk.told_of("session.ended", &format!("s-{round}")).await?;
    }
    assert!(took.iter().all(|ms| *ms <= START_MS), "{took:?}");
    assert!(!took.is_empty());
    spread("keeper", "ms to off when it starts after the lease", took);
    Ok(())
}

/// The files of a site's leases.
fn leases(site: &edgectl::lab::site::Site) -> Result<Vec<std::path::PathBuf>> {
    let files = fs::read_dir(keeper::folder(site))?;
    let files = files.map(|file| Ok(file?.path())).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|file| file.to_string_lossy().ends_with(".lease")).collect())
}

#[tokio::test]
async fn a_lease_that_cant_be_read_is_none() -> Result<()> {
    for garbage in ["", "garbage", "{\"v\":1}"] {
        let (mut desk, keeper) = keeping(1).await?;
        desk.start().await?;
        session(&mut desk, 1, "s-1", 60_000).await?;
        desk.agent.take().context("it runs")?.kill()?;
        keeper.kill()?;
        let files = leases(&desk.site)?;
        assert_eq!(files.len(), 1);
        fs::write(&files[0], garbage)?;
        let _keeper = Keeper::start(&desk.site).await?;
        assert!(!is_on(&desk.site, 1), "ready, with a line that nobody has a right to");
    }
    Ok(())
}

#[tokio::test]
async fn a_line_is_guarded_although_the_configuration_cant_be_read() -> Result<()> {
    let (mut desk, keeper) = keeping(1).await?;
    desk.start().await?;
    let watch = Watch::on(&desk.site, 1);
    let ends_at_ms = session(&mut desk, 1, "s-1", 1_000).await?;
    desk.agent.take().context("it runs")?.kill()?;
    keeper.kill()?;
    fs::write(desk.site.folder().join("agent.toml"), "[broker\n")?;
    let _keeper = Keeper::start(&desk.site).await?;
    late_ms(watch.off_at_ms(1).await?, ends_at_ms)?;
    assert_eq!(watch.switched(), [true, false]);
    Ok(())
}

#[tokio::test]
async fn a_flaw_elsewhere_in_the_configuration_leaves_every_relay_guarded() -> Result<()> {
    let (mut desk, keeper) = keeping(1).await?;
    keeper.kill()?;
    let config = desk.site.folder().join("agent.toml");
    let text = fs::read_to_string(&config)?;
    fs::write(&config, text.replace("keep_alive_ms = 5000", "keep_alive_ms = \"soon\""))?;
    // Nobody knows who closed it.
    fs::write(line(&desk.site, 1), "1")?;
    let keeper = Keeper::start(&desk.site).await?;
    assert!(!is_on(&desk.site, 1));
    fs::write(&config, text)?;
    desk.start().await?;
    session(&mut desk, 1, "s-1", 500).await?;
    desk.told_of("session.ended", "s-1").await?;
    keeper.says("STATUS=1 lines, 0 may be on").await
}

#[tokio::test]
async fn an_agent_whose_keeper_is_gone_says_so_and_still_switches_off() -> Result<()> {
    let (mut desk, keeper) = keeping(1).await?;
    desk.start().await?;
    let watch = Watch::on(&desk.site, 1);
    let ends_at_ms = session(&mut desk, 1, "s-1", 6_000).await?;
    keeper.kill()?;
    let fault = desk.told_of("outlet.fault", "relay-1").await?;
    assert_eq!(fault["body"]["fault"], "unreachable");
    let message = fault["body"]["message"].as_str().context("a message")?;
    assert!(message.contains("edge-agent-keeper"), "{message}");
    let ended = desk.told_of("session.ended", "s-1").await?;
    assert!(number(&ended, "late_ms")? <= 1_000, "{ended}");
    assert!(late_ms(watch.off_at_ms(1).await?, ends_at_ms)? <= 1_000);
    // The lease that is left would still run: the line was switched off by somebody, and stays so.
    let _keeper = Keeper::start(&desk.site).await?;
    desk.told_of("outlet.recovered", "relay-1").await?;
    desk.says(Leaf::State, |state| state["outlets"][0]["lease"] == "none").await?;
    assert_eq!(watch.switched(), [true, false]);
    Ok(())
}

#[tokio::test]
async fn a_frozen_keeper_is_given_up_and_the_off_done_without_it() -> Result<()> {
    let (mut desk, keeper) = keeping(1).await?;
    desk.start().await?;
    let watch = Watch::on(&desk.site, 1);
    let ends_at_ms = session(&mut desk, 1, "s-1", 1_500).await?;
    keeper.signal(Signal::SIGSTOP)?;
    desk.told_of("session.ended", "s-1").await?;
    assert!(late_ms(watch.off_at_ms(1).await?, ends_at_ms)? <= 3_000);
    keeper.signal(Signal::SIGCONT)?;
    keeper.says("WATCHDOG=1").await?;
    // What it was asked while it was frozen is over, and its own time comes: off is off.
    time::passes(ends_at_ms + MAX_LATE_MS / 2).await;
    assert_eq!(watch.switched(), [true, false]);
    Ok(())
}

#[tokio::test]
async fn there_is_one_keeper_at_a_time() -> Result<()> {
    let (mut desk, _keeper) = keeping(1).await?;
    desk.start().await?;
    session(&mut desk, 1, "s-1", 60_000).await?;
    let config = desk.site.folder().join("agent.toml");
    let second =
        edge_agent_says(["keeper", "--config", config.to_str().unwrap_or_default()]).await?;
    assert_eq!(second.code, Some(69));
    assert!(second.err.contains("another keeper runs already"), "{second:?}");
    assert!(is_on(&desk.site, 1));
    Ok(())
}

#[tokio::test]
async fn of_two_agents_the_last_word_counts() -> Result<()> {
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;
    let (desk, _keeper) = keeping(1).await?;
    let boot_id = edge_agent::host::clock::boot_id()?;
    let socket = keeper::folder(&desk.site).join("keeper.sock");
    let lines = desk.site.folder().join("lines");
    let say = move |op: &str, off_in_ms: u64| -> Result<serde_json::Value> {
        let mut request = serde_json::json!({ "v": 1, "op": op, "line": {
            "pin": 1, "active_low": false, "backend": "files", "folder": lines } });
        if off_in_ms > 0 {
            request["off_at_ms"] = (edge_agent::host::clock::boot_ms() + off_in_ms).into();
            request["boot_id"] = boot_id.clone().into();
        }
        let mut stream = UnixStream::connect(&socket)?;
        stream.write_all(format!("{request}\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    };
    let agents: Vec<_> = (0..2)
        .map(|_| {
            let say = say.clone();
            std::thread::spawn(move || -> Result<()> {
                for _ in 0..100 {
                    let op = if fastrand::bool() { ("on", 60_000) } else { ("off", 0) };
                    let answer = say(op.0, op.1)?;
                    anyhow::ensure!(answer["on"] == (op.0 == "on"), "{answer}");
                }
                Ok(())
            })
        })
        .collect();
    for agent in agents {
        agent.join().ok().context("an agent")??;
    }
    assert_eq!(say("on", 60_000)?["on"], true);
    assert_eq!(say("off", 0)?, serde_json::json!({ "v": 1, "on": false }));
    assert!(!is_on(&desk.site, 1) && leases(&desk.site)?.is_empty());
    Ok(())
}
