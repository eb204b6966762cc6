//! The lease: the plug itself cuts the power if nobody else does, and never before its time.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use edge_protocol::codec::Encoding;
use plug_sim::{By, FakePlug, Profile};
use serde_json::json;
use tests::desk::{Desk, Layout, Leaf, now_ms};
use tests::transcript::{number, text};

/// A plug may cut the power so long after the off time.
const MAX_LATE_MS: u64 = 15_000;
/// What may lie between our look at a plug's timer and at the clock.
const GRAIN_MS: u64 = 5;
/// A lease is cleared within this after the end.
const CLEARED: Duration = Duration::from_secs(2);

async fn with(profile: Profile) -> Result<Desk> {
    let layout = Layout { plugs: vec![profile], ..Layout::plugs(1) };
    Desk::with(Encoding::Cbor, layout).await
}

/// When the plug would cut the power by itself.
fn cut_at_ms(plug: &FakePlug) -> Result<u64> {
    let rest = plug.lease_remaining(1).context("the plug would never cut the power")?;
    Ok(now_ms() + u64::try_from(rest.as_millis())?)
}

/// The plug will cut the power by itself, when it should.
fn is_leased_to(plug: &FakePlug, off_at_ms: u64) -> Result<()> {
    let cut_at_ms = cut_at_ms(plug)?;
    ensure!(cut_at_ms + GRAIN_MS >= off_at_ms, "{} ms early", off_at_ms - cut_at_ms);
    ensure!(cut_at_ms <= off_at_ms + MAX_LATE_MS, "{} ms late", cut_at_ms - off_at_ms);
    Ok(())
}

async fn is_cleared(desk: &Desk) -> Result<()> {
    let plug = desk.plug(1);
    let cleared = plug.until(|plug| plug.lease_remaining(1).is_none());
    let off = plug.history().last().copied().context("it was switched off")?;
    ensure!(!off.on && off.by == By::Http, "the agent was not in time: {off:?}");
    let late = tokio::time::timeout_at(off.at + CLEARED, cleared).await.is_err();
    ensure!(!late, "the lease is still there after {CLEARED:?}");
    Ok(())
}

#[tokio::test]
async fn today_s_plug_is_leased_from_on_to_end() -> Result<()> {
    the_lease_is_kept(Profile::tasmota_14_4()).await
}

#[tokio::test]
async fn the_first_plug_with_timed_power_is_leased_from_on_to_end() -> Result<()> {
    the_lease_is_kept(Profile::tasmota_13_4()).await
}

#[tokio::test]
async fn a_plug_with_a_rule_timer_is_leased_from_on_to_end() -> Result<()> {
    the_lease_is_kept(Profile::tasmota_12_4()).await
}

#[tokio::test]
async fn a_plug_with_pulse_time_only_is_leased_from_on_to_end() -> Result<()> {
    the_lease_is_kept(without_rules(Profile::tasmota_12_4())).await
}

#[tokio::test]
async fn a_plug_whose_pulse_time_a_query_ends_is_leased_from_on_to_end() -> Result<()> {
    the_lease_is_kept(without_rules(Profile::tasmota_9_3())).await
}

#[tokio::test]
async fn the_oldest_plug_is_leased_from_on_to_end() -> Result<()> {
    the_lease_is_kept(Profile::tasmota_8_5()).await
}

#[tokio::test]
async fn a_shelly_of_the_first_generation_is_leased_from_on_to_end() -> Result<()> {
    the_lease_is_kept(Profile::shelly_gen1()).await
}

#[tokio::test]
async fn a_shelly_of_a_later_generation_is_leased_from_on_to_end() -> Result<()> {
    the_lease_is_kept(Profile::shelly_gen2_1_7()).await
}

#[tokio::test]
async fn today_s_shelly_is_leased_from_on_to_end() -> Result<()> {
    the_lease_is_kept(Profile::shelly_gen2_2_0()).await
}

/// A build that has left the rules out, and so `RuleTimer` too.
fn without_rules(profile: Profile) -> Profile {
    Profile { rules: false, ..profile }
}

async fn the_lease_is_kept(profile: Profile) -> Result<()> {
    let mut desk = with(profile).await?;
    let body =
        json!({ "session": "s-1", "station": "pc-1", "duration_ms": 40_000, "grace_ms": 500 });
    desk.ask("session.start", body).await?;
    let started = desk.told("session.started").await?;
    let off_at_ms = number(&started, "ends_at_ms")? + 500;
    is_leased_to(desk.plug(1), off_at_ms).context("when the session started")?;
    let armed = |state: &serde_json::Value| state["outlets"][0]["lease"] == "armed";
    let state = desk.says(Leaf::State, armed).await?;
    let told = state["outlets"][0]["off_at_ms"].as_u64().context("when it will cut")?;
    assert!(told.abs_diff(cut_at_ms(desk.plug(1))?) <= 3_000, "state tells of the plug's timer");

    for by_ms in [60_000_i64, -95_000] {
        desk.ask("session.extend", json!({ "session": "s-1", "by_ms": by_ms })).await?;
        let extended = desk.told("session.extended").await?;
        let off_at_ms = number(&extended, "ends_at_ms")? + 500;
        if now_ms() < off_at_ms {
            is_leased_to(desk.plug(1), off_at_ms).with_context(|| format!("moved by {by_ms}"))?;
        }
    }
    let off_at_ms = number(&desk.told("session.ending").await?, "off_at_ms")?;
    let ended = desk.told("session.ended").await?;
    let off = desk.plug(1).history().pop().context("it was switched")?;
    assert!(off.at_ms >= off_at_ms, "{} ms early", off_at_ms - off.at_ms);
    assert!(number(&ended, "late_ms")? < 2_000, "{ended}");
    is_cleared(&desk).await?;
    let last = desk.told_of("outlet.lease", "plug-1").await?;
    assert_eq!(text(&last, "lease"), "armed");
    desk.says(Leaf::State, |state| state["outlets"][0]["lease"] == "none").await?;
    assert_eq!(desk.plug(1).history().len(), 2, "on once and off once, whatever was renewed");
    Ok(())
}

#[tokio::test]
async fn a_plug_is_never_on_without_a_lease() -> Result<()> {
    for profile in [
        Profile::tasmota_14_4(),
        Profile::tasmota_12_4(),
        without_rules(Profile::tasmota_12_4()),
        without_rules(Profile::tasmota_9_3()),
    ] {
        let mut desk = with(profile).await?;
        let url = desk.plug(1).url();
        let plug = desk.plugs.remove(0);
        // Looks at the plug at each of its changes, while the session takes its course.
        let guarded = async {
            loop {
                plug.changed().await;
                if plug.is_on(1) && plug.lease_remaining(1).is_none() {
                    let asked = plug.requests();
                    let last: Vec<&str> =
                        asked.iter().rev().take(3).map(|asked| asked.command.as_str()).collect();
                    break last.join(", ");
                }
            }
        };
        let course = async {
            let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 1_500 });
            desk.ask("session.start", body).await?;
            desk.told("session.started").await?;
            desk.ask("session.extend", json!({ "session": "s-1", "by_ms": 500 })).await?;
            desk.told("session.extended").await?;
            desk.told("session.ended").await
        };
        tokio::select! {
            ended = course => ended?,
            last = guarded => anyhow::bail!("{url} is on without a lease after: {last}"),
        };
    }
    Ok(())
}

#[tokio::test]
async fn a_plug_whose_node_has_died_cuts_the_power_by_itself() -> Result<()> {
    for profile in [
        Profile::tasmota_14_4(),
        Profile::tasmota_12_4(),
        without_rules(Profile::tasmota_12_4()),
        Profile::shelly_gen1(),
        Profile::shelly_gen2_2_0(),
    ] {
        let mut desk = with(profile).await?;
        let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 1_500 });
        desk.ask("session.start", body).await?;
        let ends_at_ms = number(&desk.told("session.started").await?, "ends_at_ms")?;
        desk.agent.take().context("it runs")?.kill()?;
        desk.goes(1, false).await?;
        let off = desk.plug(1).history().pop().context("it went off")?;
        assert_eq!(off.by, By::Timer);
        assert!(off.at_ms >= ends_at_ms, "{} ms early", ends_at_ms - off.at_ms);
        assert!(off.at_ms <= ends_at_ms + MAX_LATE_MS, "{} ms late", off.at_ms - ends_at_ms);
    }
    Ok(())
}

#[tokio::test]
async fn a_leftover_timer_does_not_cut_the_next_session_short() -> Result<()> {
    for (profile, leftover) in [
        (Profile::tasmota_14_4(), "TimedPower1 3000"),
        (Profile::tasmota_12_4(), "PulseTime1 30"),
        (without_rules(Profile::tasmota_12_4()), "PulseTime1 30"),
    ] {
        let mut desk = with(profile).await?;
        desk.plug(1).console(leftover);
        let body = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 5_000 });
        desk.ask("session.start", body).await?;
        let started = desk.told("session.started").await?;
        is_leased_to(desk.plug(1), number(&started, "ends_at_ms")?).context(leftover)?;
        let ended = desk.told("session.ended").await?;
        assert!(number(&ended, "powered_ms")? >= 5_000 - GRAIN_MS, "{ended}");
        is_cleared(&desk).await?;
        let by = desk.plug(1).history().iter().map(|switch| switch.by).collect::<Vec<By>>();
        assert!(by.iter().all(|by| *by == By::Http), "{by:?}");
    }
    Ok(())
}
