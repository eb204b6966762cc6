//! The broker is away, frozen, or has forgotten everybody: sessions warn and end as they should,
//! and the control plane hears it all afterwards.

use anyhow::Result;
use edge_protocol::codec::Encoding;
use edge_protocol::event::{Event, What};
use edge_protocol::presence::{OfflineReason, Status};
use edgectl::lab::agent::Agent;
use nix::sys::signal::Signal;
use tests::ask::{resend, start_with_warning};
use tests::plug::goes_off;
use tests::program::status_says;
use tests::{Story, time, within};

/// A site with a session of 2 s on `pc-1` that warns 1 s before its end; returns its deadline.
async fn session_of_two_seconds() -> Result<(Story, Agent, u64)> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let agent = story.agent().await?;
    story.send(start_with_warning("s-1", 2_000, 1_000)).await?;
    let ends_at_ms = story.event("session.started", ends_at_ms).await?;
    Ok((story, agent, ends_at_ms))
}

fn ends_at_ms(event: &Event) -> Option<u64> {
    match &event.what {
        What::SessionStarted(times) => times.ends_at_ms,
        _ => None,
    }
}

/// The node told of the warning and the end in order, each when it happened, and on time.
async fn hears_of_the_end(story: &mut Story, ends_at_ms: u64) -> Result<Vec<Event>> {
    let mut heard: Vec<Event> = vec![];
    while heard.last().is_none_or(|event| event.what.kind() != "session.ended") {
        let event = story.event("the events of a session's end", |event| Some(event.clone()));
        let event = event.await?;
        // What the broker brought just before it went may come again.
        if heard.last().is_none_or(|last| event.seq > last.seq) {
            heard.push(event);
        }
    }
    assert!(heard.is_sorted_by(|one, next| one.seq + 1 == next.seq), "{heard:?}");
    let at = |kind: &str| heard.iter().find(|event| event.what.kind() == kind).map(|it| it.at_ms);
    let near = |at_ms: Option<u64>, due_ms: u64| {
        let late_ms = at_ms.and_then(|at_ms| at_ms.checked_sub(due_ms));
        assert!(late_ms.is_some_and(|ms| ms <= 1_000), "{at_ms:?}, due {due_ms}");
    };
    near(at("session.warning"), ends_at_ms - 1_000);
    near(at("session.ending"), ends_at_ms);
    near(at("session.ended"), ends_at_ms);
    Ok(heard)
}

#[tokio::test]
async fn a_session_runs_warns_and_ends_while_the_broker_is_stopped() -> Result<()> {
    let (mut story, _agent, ends_at_ms) = session_of_two_seconds().await?;
    story.site.broker.stop().await?;
    goes_off(&story.plug).await?;
    status_says(&story.site, "not connected").await?;
    story.site.broker.start_again().await?;
    hears_of_the_end(&mut story, ends_at_ms).await?;
    let link = story.event("node.link", |event| match &event.what {
        What::NodeLink(link) => Some(link.session_present),
        _ => None,
    });
    assert!(link.await?, "a broker that was stopped remembers");
    Ok(())
}

#[tokio::test]
async fn a_broker_that_forgot_the_node_is_told_of_and_resend_fills_the_gap() -> Result<()> {
    let (mut story, agent, ends_at_ms) = session_of_two_seconds().await?;
    // All that was told so far is acknowledged, so that what comes next begins here.
    let told = story.site.state(|state| state.queues.outbox_events == 0);
    let from_seq = within("an empty outbox", async { Ok(told.await?) }).await?.queues.last_seq;
    story.site.broker.kill().await?;
    goes_off(&story.plug).await?;
    // The control plane's session is forgotten, too: it has to be back before the node is, so
    // that there is anybody to hear it.
    agent.signal(Signal::SIGSTOP)?;
    story.site.broker.start_again().await?;
    story.send(resend(from_seq, from_seq)).await?;
    agent.signal(Signal::SIGCONT)?;
    let heard = hears_of_the_end(&mut story, ends_at_ms).await?;
    let link = |event: &Event| match &event.what {
        What::NodeLink(link) => Some((link.session_present, event.seq)),
        _ => None,
    };
    // The link may be back before the plug has been read off, or after it.
    let (session_present, link_seq) = match heard.iter().find_map(link) {
        Some(link) => link,
        None => story.event("node.link", link).await?,
    };
    assert!(!session_present);
    let to_seq = heard.iter().map(|event| event.seq).max().unwrap_or_default().max(link_seq);
    // The command from before was published to nobody, so it is sent again.
    let command = story.send(resend(1, to_seq)).await?;
    assert_eq!(story.answer(&command).await?, Ok(()));
    let started = story.event("session.started once more", self::ends_at_ms).await?;
    assert_eq!(started, ends_at_ms);
    hears_of_the_end_again(&mut story).await
}

/// The session's end comes by `event.resend`.
async fn hears_of_the_end_again(story: &mut Story) -> Result<()> {
    for kind in ["session.warning", "session.ending", "session.ended"] {
        story.told(kind).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_frozen_broker_delays_nothing_but_the_news() -> Result<()> {
    let (mut story, _agent, ends_at_ms) = session_of_two_seconds().await?;
    story.site.broker.freeze()?;
    goes_off(&story.plug).await?;
    let off = story.plug.history().last().map(|switch| switch.at_ms);
    let on_time = ends_at_ms..=ends_at_ms + 1_000;
    assert!(off.is_some_and(|at_ms| on_time.contains(&at_ms)), "{off:?}, due {ends_at_ms}");
    story.site.broker.thaw()?;
    hears_of_the_end(&mut story, ends_at_ms).await?;
    Ok(())
}

#[tokio::test]
async fn a_broker_frozen_for_long_is_noticed_and_found_again() -> Result<()> {
    let (mut story, _agent, ends_at_ms) = session_of_two_seconds().await?;
    story.site.broker.freeze()?;
    // Keep-alive is 5 s here; a connection without a sign of life is given up after half as much again.
    let said = status_says(&story.site, "not connected").await?;
    assert!(!said.contains("\nsession"), "the session was over by then:\n{said}");
    story.site.broker.thaw()?;
    hears_of_the_end(&mut story, ends_at_ms).await?;
    status_says(&story.site, "broker   connected").await?;
    Ok(())
}

#[tokio::test]
async fn the_retained_status_says_how_the_node_went() -> Result<()> {
    let mut story = Story::new(Encoding::Json).await?;
    let online = |status: &Status| matches!(status, Status::Online(online) if online.accepting);
    let gone = |reason: OfflineReason| move |status: &Status| *status == Status::offline(reason);
    for _ in 0..2 {
        let agent = story.site.agent().await?;
        within("online", async { Ok(story.site.status(online).await?) }).await?;
        agent.kill()?;
        let lost = story.site.status(gone(OfflineReason::Lost));
        within("the last will", async { Ok(lost.await?) }).await?;
        let agent = story.site.agent().await?;
        within("online", async { Ok(story.site.status(online).await?) }).await?;
        agent.stop().await?;
        let shutdown = story.site.status(gone(OfflineReason::Shutdown));
        within("a farewell", async { Ok(shutdown.await?) }).await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_agent_that_hangs_is_given_up_by_the_broker_and_ends_its_session_once_it_goes_on()
-> Result<()> {
    let (mut story, agent, ends_at_ms) = session_of_two_seconds().await?;
    agent.signal(Signal::SIGSTOP)?;
    time::passes(ends_at_ms + 500).await;
    assert!(story.plug.is_on(1));
    agent.signal(Signal::SIGCONT)?;
    goes_off(&story.plug).await?;
    let late_ms = story.event("session.ended", |event| match &event.what {
        What::SessionEnded(ended) => Some(ended.late_ms),
        _ => None,
    });
    assert!(late_ms.await? >= 500);
    Ok(())
}
