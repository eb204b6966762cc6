//! The agent is stopped, or killed without a word, and started again: the customer keeps what
//! was paid for, and not a minute more.

use std::time::Duration;

use anyhow::Result;
use edge_protocol::codec::Encoding;
use edge_protocol::event::{NodeStarted, SessionEnded, StartReason, What};
use plug_sim::{By, Fault, Profile};
use tests::ask::{pause, resume, start_on, start_with_grace};
use tests::ledger::Ledger;
use tests::plug::{goes_off, goes_on, is_unleased};
use tests::row::Row;
use tests::{Story, start, time, within};

/// What `node.started` says next.
async fn started(story: &mut Story) -> Result<NodeStarted> {
    let of = |what: &What| match what {
        What::NodeStarted(started) => Some(started.clone()),
        _ => None,
    };
    story.event("node.started", |event| of(&event.what)).await
}

/// What `session.ended` says next.
async fn ended(story: &mut Story) -> Result<SessionEnded> {
    let of = |what: &What| match what {
        What::SessionEnded(ended) => Some(ended.clone()),
        _ => None,
    };
    story.event("session.ended", |event| of(&event.what)).await
}

/// When `session.started` says that the session ends.
async fn ends_at_ms(story: &mut Story) -> Result<u64> {
    let of = |what: &What| match what {
        What::SessionStarted(times) => times.ends_at_ms,
        _ => None,
    };
    story.event("session.started", |event| of(&event.what)).await
}

/// What the plug was switched to, in order, and by whom.
fn switched(story: &Story) -> Vec<(bool, By)> {
    story.plug.history().iter().map(|switch| (switch.on, switch.by)).collect()
}

const ON: (bool, By) = (true, By::Http);
const OFF: (bool, By) = (false, By::Http);

#[tokio::test]
async fn an_orderly_restart_is_not_felt_by_the_customer() -> Result<()> {
    let mut story = Story::new(Encoding::Json).await?;
    let agent = story.agent().await?;
    story.send(start("s-1", 3_000)).await?;
    let ends_at_ms = ends_at_ms(&mut story).await?;
    assert!(agent.stop().await?.success());
    assert!(story.plug.is_on(1), "an orderly stop leaves live sessions powered");
    let _agent = story.site.agent().await?;
    let again = started(&mut story).await?;
    assert_eq!((again.reason, again.sessions_recovered), (StartReason::Restart, 1));
    assert!(again.off_for_ms.is_some());
    let ended = ended(&mut story).await?;
    assert!(ended.ended_at_ms >= ends_at_ms, "not a moment early");
    assert!(ended.late_ms <= 1_000, "late by {} ms", ended.late_ms);
    assert_eq!(switched(&story), [ON, OFF]);
    Ok(())
}

#[tokio::test]
async fn a_kill_within_an_active_session_moves_no_deadline() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let agent = story.agent().await?;
    story.send(start("s-1", 3_000)).await?;
    let ends_at_ms = ends_at_ms(&mut story).await?;
    agent.kill()?;
    let _agent = story.site.agent().await?;
    let again = started(&mut story).await?;
    assert_eq!((again.reason, again.sessions_recovered), (StartReason::Crash, 1));
    let ended = ended(&mut story).await?;
    assert!(ended.ended_at_ms >= ends_at_ms, "not a moment early");
    assert!(ended.late_ms <= 1_000, "late by {} ms", ended.late_ms);
    assert!((2_900..=4_000).contains(&ended.powered_ms), "{} ms", ended.powered_ms);
    assert_eq!(switched(&story), [ON, OFF]);
    Ok(())
}

#[tokio::test]
async fn a_kill_while_a_session_starts_costs_the_customer_nothing() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let agent = story.agent().await?;
    story.plug.set_fault(Fault::Silent);
    let command = story.send(start("s-1", 1_500)).await?;
    assert_eq!(story.answer(&command).await?, Ok(()));
    agent.kill()?;
    story.plug.clear_fault();
    let _agent = story.site.agent().await?;
    let ends_at_ms = ends_at_ms(&mut story).await?;
    let ended = ended(&mut story).await?;
    assert!(ended.ended_at_ms >= ends_at_ms);
    assert!(ended.powered_ms >= 1_500, "{} ms", ended.powered_ms);
    assert!(ended.late_ms <= 1_000, "late by {} ms", ended.late_ms);
    assert_eq!(switched(&story), [ON, OFF]);
    Ok(())
}

#[tokio::test]
async fn a_kill_between_the_on_and_its_confirmation_is_taken_up_where_it_was() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let agent = story.agent().await?;
    // It obeys at once and answers late, so the answer to the command comes first.
    story.plug.set_fault(Fault::Stall(Duration::from_millis(500)));
    let command = story.send(start("s-1", 1_500)).await?;
    assert_eq!(story.answer(&command).await?, Ok(()));
    goes_on(&story.plug).await?;
    agent.kill()?;
    story.plug.clear_fault();
    let _agent = story.site.agent().await?;
    ends_at_ms(&mut story).await?;
    let ended = ended(&mut story).await?;
    assert!(ended.powered_ms >= 1_500, "{} ms", ended.powered_ms);
    assert!(ended.late_ms <= 1_000, "late by {} ms", ended.late_ms);
    assert_eq!(switched(&story), [ON, OFF]);
    Ok(())
}

#[tokio::test]
async fn a_kill_within_a_pause_keeps_the_rest_and_the_power_off() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let agent = story.agent().await?;
    story.send(start("s-1", 2_500)).await?;
    story.told("session.started").await?;
    story.send(pause("s-1")).await?;
    story.told("session.paused").await?;
    goes_off(&story.plug).await?;
    agent.kill()?;
    let _agent = story.site.agent().await?;
    let rest = |state: &edge_protocol::presence::State| {
        let session = state.sessions.first()?;
        (session.phase == "paused").then_some(session.remaining_ms?)
    };
    let state = within("a paused session", async {
        Ok(story.site.state(|state| rest(state).is_some()).await?)
    });
    let remaining_ms = rest(&state.await?).unwrap();
    story.send(resume("s-1")).await?;
    story.told("session.resumed").await?;
    let ended = ended(&mut story).await?;
    assert!((1..=2_500).contains(&remaining_ms), "{remaining_ms} ms");
    assert!((2_500..3_500).contains(&ended.powered_ms), "{} ms", ended.powered_ms);
    assert_eq!(switched(&story), [ON, OFF, ON, OFF]);
    Ok(())
}

#[tokio::test]
async fn a_kill_within_the_grace_leaves_the_off_time_where_it_was() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let agent = story.agent().await?;
    story.send(start_with_grace("s-1", 500, 2_000)).await?;
    let ends_at_ms = ends_at_ms(&mut story).await?;
    story.told("session.ending").await?;
    agent.kill()?;
    assert!(story.plug.is_on(1));
    let _agent = story.site.agent().await?;
    let ended = ended(&mut story).await?;
    assert!(ended.ended_at_ms >= ends_at_ms + 2_000, "the grace was cut short");
    assert!(ended.late_ms <= 1_000, "late by {} ms", ended.late_ms);
    assert_eq!(switched(&story), [ON, OFF]);
    Ok(())
}

#[tokio::test]
async fn a_kill_while_an_outlet_refuses_to_go_off_does_not_end_the_pursuit() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let agent = story.agent().await?;
    story.send(start("s-1", 500)).await?;
    let ends_at_ms = ends_at_ms(&mut story).await?;
    story.plug.set_fault(Fault::EmptyReply);
    story.told("outlet.fault").await?;
    agent.kill()?;
    let _agent = story.site.agent().await?;
    started(&mut story).await?;
    story.told("outlet.fault").await?;
    story.plug.clear_fault();
    let ended = ended(&mut story).await?;
    assert!(!story.plug.is_on(1));
    let late_ms = ended.ended_at_ms - ends_at_ms;
    assert!(ended.late_ms.abs_diff(late_ms) <= 20, "{} of {late_ms} ms", ended.late_ms);
    Ok(())
}

#[tokio::test]
async fn an_agent_that_is_back_too_late_switches_off_at_once_and_owns_up() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let agent = story.agent().await?;
    story.send(start("s-1", 500)).await?;
    let ends_at_ms = ends_at_ms(&mut story).await?;
    agent.kill()?;
    time::passes(ends_at_ms + 200).await;
    assert!(story.plug.is_on(1), "its own timer is some seconds further off");
    let _agent = story.site.agent().await?;
    let ended = ended(&mut story).await?;
    let late_ms = ended.ended_at_ms - ends_at_ms;
    assert!(ended.late_ms.abs_diff(late_ms) <= 20, "{} of {late_ms} ms", ended.late_ms);
    assert_eq!(switched(&story), [ON, OFF]);
    Ok(())
}

#[tokio::test]
async fn the_plugs_cut_by_themselves_while_the_node_stays_dead() -> Result<()> {
    let plugs = vec![Profile::tasmota_14_4(), Profile::tasmota_12_4(), Profile::tasmota_8_5()];
    let mut row = Row::with_plugs(plugs).await?;
    let agent = row.story.agent().await?;
    let mut ends = vec![];
    for station in 1..=3 {
        let (station, session) = (format!("pc-{station}"), format!("s-{station}"));
        row.story.send(start_on(&station, &session, 1_000)).await?;
        ends.push(ends_at_ms(&mut row.story).await?);
    }
    agent.kill()?;
    for ((number, plug), ends_at_ms) in row.plugs().zip(&ends) {
        goes_off(plug).await?;
        let last = *plug.history().last().unwrap();
        assert_eq!((last.on, last.by), (false, By::Timer), "plug-{number}");
        let after_ms = last.at_ms.checked_sub(*ends_at_ms);
        assert!(after_ms.is_some_and(|ms| ms <= 15_000), "plug-{number}: {after_ms:?} ms");
    }
    let _agent = row.story.site.agent().await?;
    for _ in &ends {
        // Whichever is off first.
        let ended = ended(&mut row.story).await?;
        let number: usize = ended.session.as_str().trim_start_matches("s-").parse()?;
        let late_ms = ended.ended_at_ms - ends[number - 1];
        assert!(ended.late_ms.abs_diff(late_ms) <= 20, "{} of {late_ms} ms", ended.late_ms);
    }
    for (_, plug) in row.plugs() {
        is_unleased(plug).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_kill_right_after_a_command_was_published_loses_nothing_and_doubles_nothing() -> Result<()>
{
    let mut story = Story::new(Encoding::Cbor).await?;
    let mut ledger = Ledger::introduced(&mut story.site).await?;
    for round in 0..4 {
        let agent = story.site.agent().await?;
        let session = format!("s-{round}");
        let command = story.send(start(&session, 600)).await?;
        agent.kill()?;
        let _agent = story.site.agent().await?;
        let over = |ledger: &Ledger| ledger.count("session.ended", &session) > 0;
        ledger.until(&mut story.site, "the session's end", over).await?;
        assert_eq!(ledger.answer(&command), Some(true));
        for kind in ["session.started", "session.ending", "session.ended"] {
            assert_eq!(ledger.count(kind, &session), 1, "{kind} of {session}");
        }
        assert!(!story.plug.is_on(1));
    }
    ledger.judge()
}

#[tokio::test]
async fn a_kill_right_after_the_answer_keeps_what_was_accepted() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let agent = story.agent().await?;
    let command = story.site.command(start("s-1", 1_000));
    story.publish(&command).await?;
    assert_eq!(story.answer(&command.id).await?, Ok(()));
    agent.kill()?;
    // A control plane that is not sure sends it again.
    story.publish(&command).await?;
    let _agent = story.site.agent().await?;
    assert_eq!(story.answer(&command.id).await?, Ok(()));
    ended(&mut story).await?;
    assert_eq!(switched(&story), [ON, OFF]);
    Ok(())
}
