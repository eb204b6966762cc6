//! The agent hangs as a whole. systemd's watchdog finds it, ends it and starts it again; until
//! then the plugs' leases keep the promise.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use edge_protocol::codec::Encoding;
use nix::sys::signal::Signal;
use plug_sim::By;
use tests::desk::{Desk, Layout, now_ms};
use tests::figure::{figure, is_long, spread};
use tests::metronome::Metronome;
use tests::service::Service;
use tests::transcript::text;

use crate::machine;
use crate::outings::{ALIVE_MS, GRAIN_MS, LEASED_MS, judge, start_named, told_late_ms};

/// The unit that is shipped: the long version takes systemd's patience from it.
const UNIT: &str = include_str!("../../systemd/edge-agent.service");
/// systemd's patience in the short version: the least at which a healthy agent, whose link tells
/// of itself every 5 s, is never taken for hung.
const SHORT_WATCHDOG: Duration = Duration::from_secs(8);

/// A setting of the unit, in seconds.
fn seconds(key: &str) -> Result<Duration> {
    let line = UNIT.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    Ok(Duration::from_secs(line.context("the unit names it")?.parse()?))
}

#[tokio::test]
async fn a_hung_agent_is_ended_and_started_and_every_session_ends_by_it_or_by_its_lease()
-> Result<()> {
    let _machine = machine::shared().await;
    let (watchdog, rounds) =
        if is_long() { (seconds("WatchdogSec")?, 6) } else { (SHORT_WATCHDOG, 1) };
    let patience_ms = u64::try_from(watchdog.as_millis())?;
    let mut desk = Desk::set_up(Encoding::Cbor, Layout::plugs(3)).await?;
    let machine = Metronome::start();
    let mut service = Service::start(&desk.site, watchdog)?;
    service.says_at_last("READY=1").await?;
    desk.told("node.link").await?;
    let (mut leased, mut alive, mut deaf) = (vec![], vec![], vec![]);
    for round in 1..=rounds {
        // One ends while the agent hangs, one about when it is started again, one after that.
        let [during, around, after] =
            ["during", "around", "after"].map(|at| format!("{at}-{round}"));
        // Its next sign of life may be half of that away.
        service.says_at_last("WATCHDOG=1").await?;
        let during_at = start_named(&mut desk, &during, 1, 3_000).await?;
        let around_at = start_named(&mut desk, &around, 2, patience_ms).await?;
        let after_at = start_named(&mut desk, &after, 3, patience_ms + 8_000).await?;
        service.signal(Signal::SIGSTOP)?;
        let stopped_at = now_ms();
        ensure!(stopped_at < during_at, "the machine is too slow for this test");
        service.is_hung().await?;
        let status = service.put_down(seconds("TimeoutStopSec")?).await?;
        ensure!(!status.success(), "what systemd aborts has failed: {status}");
        // systemd's own pause before it starts a service again.
        tokio::time::sleep(seconds("RestartSec")?).await;
        service = Service::start(&desk.site, watchdog)?;
        service.says_at_last("READY=1").await?;
        deaf.push(now_ms() - stopped_at);
        let restarted = desk.told("node.started").await?;
        if text(&restarted, "reason") != "crash" {
            // The first one told is that of the beginning.
            let restarted = desk.told("node.started").await?;
            ensure!(text(&restarted, "reason") == "crash", "{restarted}");
        }
        for (session, plug, off_at, limit) in [
            (&during, 1, during_at, LEASED_MS),
            (&around, 2, around_at, LEASED_MS),
            (&after, 3, after_at, ALIVE_MS),
        ] {
            let late_ms = told_late_ms(&mut desk, session).await?;
            let cut = judge(desk.plug(plug), off_at, limit, &machine).context(session.clone())?;
            // It tells when it had read that the plug is off, which the plug may have been for long.
            let told_ms = now_ms() - off_at;
            let is_read = late_ms + GRAIN_MS >= cut.late_ms && late_ms <= told_ms + GRAIN_MS;
            ensure!(is_read, "{session}: told {late_ms}, {cut:?}");
            if limit == ALIVE_MS { &mut alive } else { &mut leased }.push(cut.late_ms);
            let switches = desk.plug(plug).history().len();
            ensure!(switches == 2 * round, "{session}: on once and off once, not {switches}");
        }
        ensure!(desk.plug(3).history().last().is_some_and(|off| off.by == By::Http));
    }
    figure("hang", "rounds", rounds);
    spread("hang", "ms from the stop to ready again", deaf);
    spread("hang", "ms late, off time within the hang", leased);
    spread("hang", "ms late, off time after it", alive);
    Ok(())
}

#[tokio::test]
async fn an_agent_that_was_stopped_for_a_while_does_at_once_what_is_due() -> Result<()> {
    let _machine = machine::shared().await;
    let mut desk = Desk::set_up(Encoding::Cbor, Layout::plugs(2)).await?;
    let machine = Metronome::start();
    let service = Service::start(&desk.site, SHORT_WATCHDOG)?;
    service.says_at_last("READY=1").await?;
    desk.told("node.link").await?;
    let missed_at = start_named(&mut desk, "missed", 1, 1_500).await?;
    let ahead_at = start_named(&mut desk, "ahead", 2, 7_000).await?;
    service.signal(Signal::SIGSTOP)?;
    tokio::time::sleep(Duration::from_millis(missed_at.saturating_sub(now_ms()) + 1_500)).await;
    let thawed_at = now_ms();
    service.signal(Signal::SIGCONT)?;
    desk.goes(1, false).await?;
    // Counted from when it could.
    let cut = judge(desk.plug(1), missed_at, LEASED_MS, &machine)?;
    let from_thaw_ms = (missed_at + cut.late_ms).saturating_sub(thawed_at);
    ensure!(from_thaw_ms <= ALIVE_MS + machine.excuse_ms(thawed_at, now_ms()), "{from_thaw_ms} ms");
    told_late_ms(&mut desk, "ahead").await?;
    let cut = judge(desk.plug(2), ahead_at, ALIVE_MS, &machine)?;
    figure("hang", "ms late after a short stop, from its end", from_thaw_ms);
    figure("hang", "ms late of the next, as told by its plug", cut.late_ms);
    Ok(())
}
