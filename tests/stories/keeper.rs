//! A GPIO relay has a lease as a plug has: its keeper switches it off at its time, whatever has
//! become of the agent, and nobody else does.

use std::convert::Infallible;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use edge_protocol::codec::Encoding;
use edgectl::lab::agent::Agent;
use edgectl::lab::site::Site;
use nix::sys::signal::Signal;
use serde_json::json;
use tests::desk::{Desk, Layout, Leaf};
use tests::figure::{is_long, spread};
use tests::keeper::{self, Keeper, Watch, goes, is_on, relays};
use tests::program::{check, edge_agent};
use tests::time;
use tests::transcript::number;

/// A keeper cuts the power so long after the off time at the latest.
pub(crate) const MAX_LATE_MS: u64 = 15_000;

/// A site with so many relays, its keeper, and no agent yet.
pub(crate) async fn keeping(count: usize) -> Result<(Desk, Keeper)> {
    let desk = Desk::set_up(Encoding::Cbor, Layout::plugs(0)).await?;
    desk.site.configure(&relays(&desk.site, count)?)?;
    let keeper = Keeper::start(&desk.site).await?;
    Ok((desk, keeper))
}

/// Starts a session on `pc-1` and so on; returns when it ends.
pub(crate) async fn session(desk: &mut Desk, pin: usize, id: &str, ms: u64) -> Result<u64> {
    let body = json!({ "session": id, "station": format!("pc-{pin}"), "duration_ms": ms });
    desk.ask("session.start", body).await?;
    number(&desk.told_of("session.started", id).await?, "ends_at_ms")
}

/// Not a moment early, and not too late.
pub(crate) fn late_ms(off_at_ms: u64, ends_at_ms: u64) -> Result<u64> {
    ensure!(off_at_ms >= ends_at_ms, "{} ms early", ends_at_ms - off_at_ms);
    let late_ms = off_at_ms - ends_at_ms;
    ensure!(late_ms <= MAX_LATE_MS, "{late_ms} ms late");
    Ok(late_ms)
}

#[tokio::test]
async fn a_session_on_a_relay_is_leased_and_ends_on_time() -> Result<()> {
    let (mut desk, _keeper) = keeping(1).await?;
    desk.start().await?;
    let watch = Watch::on(&desk.site, 1);
    let ends_at_ms = session(&mut desk, 1, "s-1", 2_000).await?;
    let armed = |state: &serde_json::Value| state["outlets"][0]["lease"] == "armed";
    let state = desk.says(Leaf::State, armed).await?;
    let off_at_ms = state["outlets"][0]["off_at_ms"].as_u64().context("when it will cut")?;
    assert!((ends_at_ms..=ends_at_ms + MAX_LATE_MS).contains(&off_at_ms), "{state}");
    let ended = desk.told_of("session.ended", "s-1").await?;
    assert!(number(&ended, "late_ms")? <= 1_000, "{ended}");
    assert!(late_ms(watch.off_at_ms(1).await?, ends_at_ms)? <= 1_000);
    desk.says(Leaf::State, |state| state["outlets"][0]["lease"] == "none").await?;
    assert_eq!(watch.switched(), [true, false]);
    Ok(())
}

#[tokio::test]
async fn a_relay_whose_agent_was_killed_goes_off_at_its_time() -> Result<()> {
    const RELAYS: usize = 8;
    let rounds = if is_long() { 20 } else { 1 };
    let (mut desk, _keeper) = keeping(RELAYS).await?;
    let mut late = vec![];
    for round in 0..rounds {
        desk.start().await?;
        let watches: Vec<Watch> = (1..=RELAYS).map(|pin| Watch::on(&desk.site, pin)).collect();
        let mut ends = vec![];
        for pin in 1..=RELAYS {
            let (id, ms) = (format!("s-{round}-{pin}"), fastrand::u64(1_500..4_000));
            ends.push(session(&mut desk, pin, &id, ms).await?);
        }
        let first = ends.iter().min().copied().unwrap_or_default();
        // Some sessions are over by then, and some are not.
        time::passes(first.saturating_sub(500) + fastrand::u64(..1_500)).await;
        desk.agent.take().context("it runs")?.kill()?;
        for (watch, ends_at_ms) in watches.iter().zip(&ends) {
            late.push(late_ms(watch.off_at_ms(1).await?, *ends_at_ms)?);
            assert_eq!(watch.switched(), [true, false]);
        }
    }
    spread("keeper", "ms late with the agent killed at random", late);
    Ok(())
}

#[tokio::test]
async fn a_relay_whose_agent_is_frozen_goes_off_at_its_time() -> Result<()> {
    let (mut desk, _keeper) = keeping(1).await?;
    desk.start().await?;
    let watch = Watch::on(&desk.site, 1);
    let ends_at_ms = session(&mut desk, 1, "s-1", 1_000).await?;
    desk.agent.as_ref().context("it runs")?.signal(Signal::SIGSTOP)?;
    late_ms(watch.off_at_ms(1).await?, ends_at_ms)?;
    desk.agent.as_ref().context("it runs")?.signal(Signal::SIGCONT)?;
    desk.told_of("session.ended", "s-1").await?;
    assert_eq!(watch.switched(), [true, false]);
    Ok(())
}

/// Starts the agent and kills it, again and again. Each third life is long enough to open the store:
/// three in a row that died at that are taken for the store's fault, and it is put aside.
async fn crash_for_ever(site: &Site) -> Result<Infallible> {
    loop {
        for life_ms in [1..150, 1..150, 450..600] {
            let agent = Agent::launch(&site.folder().join("agent.toml"), site.folder())?;
            tokio::time::sleep(Duration::from_millis(fastrand::u64(life_ms))).await;
            agent.kill()?;
        }
    }
}

#[tokio::test]
async fn a_relay_whose_agent_starts_and_dies_again_and_again_goes_off_at_its_time() -> Result<()> {
    let (mut desk, _keeper) = keeping(1).await?;
    desk.start().await?;
    let watch = Watch::on(&desk.site, 1);
    let ends_at_ms = session(&mut desk, 1, "s-1", 1_500).await?;
    desk.agent.take().context("it runs")?.kill()?;
    let off_at_ms = tokio::select! {
        crashed = crash_for_ever(&desk.site) => match crashed? {},
        off_at_ms = watch.off_at_ms(1) => off_at_ms?,
    };
    late_ms(off_at_ms, ends_at_ms)?;
    desk.start().await?;
    desk.told_of("session.ended", "s-1").await?;
    assert_eq!(watch.switched(), [true, false]);
    Ok(())
}

#[tokio::test]
async fn a_relay_stays_on_through_a_restart_of_its_agent() -> Result<()> {
    let (mut desk, _keeper) = keeping(1).await?;
    desk.start().await?;
    let watch = Watch::on(&desk.site, 1);
    let ends_at_ms = session(&mut desk, 1, "s-1", 5_000).await?;
    assert!(desk.agent.take().context("it runs")?.stop().await?.success());
    desk.start().await?;
    desk.agent.take().context("it runs")?.kill()?;
    desk.start().await?;
    let ended = desk.told_of("session.ended", "s-1").await?;
    assert!(late_ms(watch.off_at_ms(1).await?, ends_at_ms)? <= 1_000, "{ended}");
    assert_eq!(watch.switched(), [true, false]);
    Ok(())
}

#[tokio::test]
async fn an_extension_moves_the_relays_own_time() -> Result<()> {
    let (mut desk, _keeper) = keeping(1).await?;
    desk.start().await?;
    let watch = Watch::on(&desk.site, 1);
    session(&mut desk, 1, "s-1", 1_500).await?;
    desk.ask("session.extend", json!({ "session": "s-1", "by_ms": 8_000 })).await?;
    let ends_at_ms = number(&desk.told("session.extended").await?, "ends_at_ms")?;
    desk.agent.take().context("it runs")?.kill()?;
    late_ms(watch.off_at_ms(1).await?, ends_at_ms)?;
    Ok(())
}

#[tokio::test]
async fn who_sends_garbage_or_nothing_keeps_nobody_waiting_for_long() -> Result<()> {
    let (mut desk, keeper) = keeping(1).await?;
    desk.start().await?;
    let watch = Watch::on(&desk.site, 1);
    let ends_at_ms = session(&mut desk, 1, "s-1", 2_500).await?;
    let socket = keeper::folder(&desk.site).join("keeper.sock");
    let crowd = std::thread::spawn(move || -> std::io::Result<Vec<UnixStream>> {
        let mut crowd = vec![];
        for number in 0..120 {
            let mut stream = UnixStream::connect(&socket)?;
            // A keeper that has hung up on one is not a failure of this one.
            let _ = match number % 4 {
                0 => Ok(()),
                1 => stream.write_all(b"hello\n"),
                2 => stream.write_all(&[b'{'; 10_000]),
                _ => stream.write_all(b"{\"v\":1,\"op\":\"off\""),
            };
            crowd.push(stream);
        }
        Ok(crowd)
    });
    let ended = desk.told_of("session.ended", "s-1").await?;
    late_ms(watch.off_at_ms(1).await?, ends_at_ms)?;
    assert!(number(&ended, "late_ms")? <= 3_000, "{ended}");
    drop(crowd.join().ok().context("the crowd")??);
    assert_eq!(watch.switched(), [true, false]);
    keeper.says("WATCHDOG=1").await
}

#[tokio::test]
async fn an_outlet_that_rests_on_is_on_without_a_lease_through_any_restart() -> Result<()> {
    let (mut desk, keeper) = keeping(1).await?;
    let config = relays(&desk.site, 1)?;
    let (outlets, _station) = config.split_once("[[station]]").context("it has one")?;
    desk.site.configure(&format!("{outlets}rest = \"on\"\n"))?;
    desk.start().await?;
    goes(&desk.site, 1, true).await?;
    let watch = Watch::on(&desk.site, 1);
    desk.agent.take().context("it runs")?.kill()?;
    keeper.kill()?;
    let keeper = Keeper::start(&desk.site).await?;
    assert!(keeper.stop().await?.success());
    let _keeper = Keeper::start(&desk.site).await?;
    desk.start().await?;
    desk.caught_up().await?;
    assert!(is_on(&desk.site, 1));
    assert_eq!(watch.switched(), [false; 0]);
    Ok(())
}

#[tokio::test]
async fn a_keeper_is_needed_where_there_are_gpio_outlets() -> Result<()> {
    let desk = Desk::set_up(Encoding::Cbor, Layout::plugs(1)).await?;
    let config = desk.site.folder().join("agent.toml");
    let needed = || edge_agent(["keeper", "--needed", "--config", config.to_str().unwrap_or("")]);
    assert_eq!(needed().await?.code, Some(1));
    let relays = relays(&desk.site, 1)?;
    desk.site.configure(&relays)?;
    assert_eq!(needed().await?.code, Some(0));
    let said = check(&config).await?;
    assert!(said.code == Some(0) && said.err.contains("it switches nothing"), "{said:?}");
    let none = relays
        .replace("/keeper/keeper.sock", "")
        .replace(&desk.site.folder().display().to_string(), "");
    desk.site.configure(&none)?;
    assert_eq!(needed().await?.code, Some(1), "an empty socket: {none}");
    std::fs::write(&config, "[keeper")?;
    assert_eq!(needed().await?.code, Some(0), "there may be lines");
    Ok(())
}
