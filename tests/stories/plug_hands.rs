//! Thumbs on buttons, plugs pulled out and put back, timers left behind: none of it buys a
//! minute or costs one.

use std::time::Duration;

use anyhow::Result;
use edge_protocol::codec::Encoding;
use edge_protocol::event::{By as Told, Event, What};
use edgectl::lab::agent::Agent;
use plug_sim::{By, FakePlug, Profile, Restart};
use tests::ask::end;
use tests::plug::{goes_off, goes_on, is_leased, is_unleased};
use tests::{Story, outlet, start, station, time};

/// A plug is looked at every 2 s; it must be set right within 5 s.
const SET_RIGHT_MS: u64 = 5_000;
const POLL_MS: u64 = 2_000;

/// What `outlet.changed` says next.
fn changed(event: &Event) -> Option<(bool, Told)> {
    match &event.what {
        What::OutletChanged(changed) => Some((changed.on, changed.by)),
        _ => None,
    }
}

/// A station in a session of a minute.
async fn in_a_session(story: &mut Story) -> Result<Agent> {
    let agent = story.agent().await?;
    story.send(start("s-1", 60_000)).await?;
    story.told("session.started").await?;
    Ok(agent)
}

/// How long the plug was off, once it is on again.
async fn was_off_for(plug: &FakePlug) -> Result<u64> {
    goes_on(plug).await?;
    let history = plug.history();
    let [.., off, on] = history.as_slice() else { unreachable!("it went off and on") };
    assert!(!off.on && on.on);
    Ok(on.at_ms - off.at_ms)
}

#[tokio::test]
async fn a_button_off_within_a_session_stays_off_and_the_time_runs() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let _agent = story.agent().await?;
    story.send(start("s-1", 5_000)).await?;
    story.told("session.started").await?;
    story.plug.press_button(1);
    assert_eq!(story.event("outlet.changed", changed).await?, (false, Told::Button));
    story.told("session.ended").await?;
    let by: Vec<By> = story.plug.history().iter().map(|switch| switch.by).collect();
    assert_eq!(by, [By::Http, By::Button], "nobody switched it on again");
    is_unleased(&story.plug).await?;
    Ok(())
}

#[tokio::test]
async fn a_button_off_is_undone_where_the_configuration_says_so() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let plug = outlet("plug-1", &story.plug) + "button = \"undo\"\n";
    story.site.configure(&(plug + &station("pc-1", &["plug-1"])))?;
    let _agent = in_a_session(&mut story).await?;
    story.plug.press_button(1);
    assert_eq!(story.event("outlet.changed", changed).await?, (false, Told::Button));
    assert_eq!(story.event("outlet.changed", changed).await?, (true, Told::Session));
    assert!(was_off_for(&story.plug).await? <= SET_RIGHT_MS);
    let rest = story.plug.lease_remaining(1);
    assert!(rest.is_some_and(|rest| rest <= Duration::from_secs(66)), "{rest:?}");
    Ok(())
}

#[tokio::test]
async fn a_button_on_outside_a_session_buys_no_minute() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let _agent = story.agent().await?;
    story.plug.press_button(1);
    assert!(story.plug.is_on(1));
    assert_eq!(story.event("outlet.changed", changed).await?, (true, Told::Button));
    assert_eq!(story.event("outlet.changed", changed).await?, (false, Told::Rest));
    let history = story.plug.history();
    let [on, off] = history.as_slice() else { unreachable!("it went on and off: {history:?}") };
    assert!(off.at_ms - on.at_ms <= SET_RIGHT_MS);
    Ok(())
}

#[tokio::test]
async fn a_plug_that_restarts_within_a_session_gets_the_remaining_time_back() -> Result<()> {
    for profile in [Profile::tasmota_14_4(), Profile::tasmota_12_4()] {
        let mut story = Story::with_plug(Encoding::Cbor, profile).await?;
        let _agent = in_a_session(&mut story).await?;
        // Up for longer than it takes to notice: its uptime, in seconds, is seen to go back.
        time::passes(time::now_ms() + 2 * POLL_MS).await;
        // Pulled out and put back: off at first.
        story.plug.console("PowerOnState 0");
        story.plug.restart(Restart::Cold);
        assert!(!story.plug.is_on(1));
        assert!(was_off_for(&story.plug).await? <= SET_RIGHT_MS);
        is_leased(&story.plug).await?;
        story.send(end("s-1")).await?;
        story.told("session.ended").await?;
        assert!(!story.plug.is_on(1));
    }
    Ok(())
}

#[tokio::test]
async fn a_plug_that_restarts_warm_and_stays_on_is_leased_again() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let _agent = in_a_session(&mut story).await?;
    story.plug.restart(Restart::Warm);
    assert_eq!(story.plug.lease_remaining(1), None, "a timer in memory is lost");
    assert!(story.plug.is_on(1));
    is_leased(&story.plug).await?;
    let rest = story.plug.lease_remaining(1);
    assert!(rest.is_some_and(|rest| rest <= Duration::from_secs(66)), "{rest:?}");
    assert_eq!(story.plug.history().len(), 1, "nobody noticed");
    Ok(())
}

#[tokio::test]
async fn a_plug_that_comes_back_on_by_itself_outside_a_session_goes_off() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let _agent = story.agent().await?;
    story.plug.console("PowerOnState 1");
    story.plug.restart(Restart::Cold);
    assert!(story.plug.is_on(1));
    goes_off(&story.plug).await?;
    let history = story.plug.history();
    let [on, off] = history.as_slice() else { unreachable!("it went on and off: {history:?}") };
    assert!(off.at_ms - on.at_ms <= SET_RIGHT_MS);
    Ok(())
}

#[tokio::test]
async fn what_nothing_covers_goes_off_when_the_agent_starts() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    story.plug.console("Power1 ON");
    let _agent = story.site.agent().await?;
    goes_off(&story.plug).await?;
    story.plug.console("TimedPower1 60000");
    is_unleased(&story.plug).await?;
    story.told("node.started").await?;
    Ok(())
}
