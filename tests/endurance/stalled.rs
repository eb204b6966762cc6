//! One part hangs and the others don't. What a restart would mend, systemd must learn; what it
//! would not, it must not: an agent that is started over while its card stalls can't even open
//! its store, and one that waits for the card still switches off in time.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use edge_protocol::codec::Encoding;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::Signal;
use plug_sim::Fault;
use serde_json::json;
use tests::desk::{Desk, Layout, now_ms};
use tests::figure::{figure, is_long};
use tests::metronome::Metronome;
use tests::service::{Launch, Service};
use tests::stall::Stall;

use crate::machine;
use crate::outings::{ALIVE_MS, judge, start, told_late_ms};

/// systemd's patience: enough that a healthy agent on a busy machine is never taken for hung.
const WATCHDOG: Duration = Duration::from_secs(12);
/// The threads that work on the disk: the store's, and sled's own.
const DISK: [&str; 2] = ["store", "sled"];
/// What the shipped unit gives an agent to stop in.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How long a part hangs: longer than systemd's patience.
fn long_enough() -> Duration {
    if is_long() { Duration::from_secs(120) } else { WATCHDOG + Duration::from_secs(3) }
}

async fn site(plugs: usize) -> Result<(Desk, Service, Metronome)> {
    let mut desk = Desk::set_up(Encoding::Cbor, Layout::plugs(plugs)).await?;
    let service = Service::start(&desk.site, WATCHDOG)?;
    service.says_at_last("READY=1").await?;
    desk.told("node.link").await?;
    Ok((desk, service, Metronome::start()))
}

#[tokio::test]
async fn a_disk_that_stalls_delays_no_off_and_is_no_reason_to_kill_the_agent() -> Result<()> {
    let _machine = machine::shared().await;
    let (mut desk, service, machine) = site(2).await?;
    let first = start(&mut desk, 1, 3_000).await?;
    let rest_ms = u64::try_from(long_enough().as_millis())?;
    let second = start(&mut desk, 2, rest_ms - 1_000).await?;
    let pid = service.pid()?;
    let stalled_at = now_ms();
    let stall = Stall::of(pid, &DISK)?;
    let asked = desk
        .send("task.submit", json!({ "task": "t-1", "kind": "wait", "payload": { "wait_ms": 1 } }))
        .await?;
    service.stays_alive_for(long_enough()).await?;
    let lasted_ms = now_ms() - stalled_at;
    let cuts = [
        judge(desk.plug(1), first, ALIVE_MS, &machine).context("the first session")?,
        judge(desk.plug(2), second, ALIVE_MS, &machine).context("the second session")?,
    ];
    let told = desk.all("session.ended", "").len() + desk.all("command.accepted", "").len();
    ensure!(told == 2, "the two starts were answered, and nothing is told that is not stored");
    drop(stall);
    ensure!(service.pid()? == pid, "it was never started over");
    for session in ["s-1", "s-2"] {
        let late_ms = told_late_ms(&mut desk, session).await?;
        ensure!(late_ms <= ALIVE_MS + machine.worst_ms(), "{session}: told {late_ms} ms");
    }
    ensure!(desk.answer(&asked).await?["type"] == "command.accepted");
    desk.told_of("task.succeeded", "t-1").await?;
    figure("stalled disk", "ms that it stalled", lasted_ms);
    figure(
        "stalled disk",
        "ms late, worst",
        cuts.map(|cut| cut.late_ms).into_iter().max().unwrap_or(0),
    );
    Ok(())
}

#[tokio::test]
async fn an_agent_stops_in_time_though_its_disk_stalls() -> Result<()> {
    let _machine = machine::shared().await;
    let (mut desk, mut service, machine) = site(1).await?;
    let off_at = start(&mut desk, 1, 2_000).await?;
    let stall = Stall::of(service.pid()?, &DISK)?;
    desk.goes(1, false).await?;
    judge(desk.plug(1), off_at, ALIVE_MS, &machine)?;
    let asked_at = now_ms();
    service.signal(Signal::SIGTERM)?;
    let stopped = tokio::time::timeout(STOP_LIMIT, service.ended()).await;
    let took_ms = now_ms() - asked_at;
    drop(stall);
    ensure!(stopped.is_ok(), "systemd would have killed it {STOP_LIMIT:?} after SIGTERM");
    figure("stalled disk", "ms to stop", took_ms);
    // What was not stored is left to the next start.
    let again = Service::start(&desk.site, WATCHDOG)?;
    again.says_at_last("READY=1").await?;
    told_late_ms(&mut desk, "s-1").await?;
    Ok(())
}

#[tokio::test]
async fn a_broker_and_a_plug_that_hang_are_no_reason_to_kill_the_agent() -> Result<()> {
    let _machine = machine::shared().await;
    let (mut desk, service, machine) = site(2).await?;
    let off_at = start(&mut desk, 1, 4_000).await?;
    start(&mut desk, 2, 60_000).await?;
    desk.site.broker.freeze()?;
    desk.plug(2).set_fault(Fault::Silent);
    let alive = service.stays_alive_for(long_enough()).await;
    desk.site.broker.thaw()?;
    alive?;
    judge(desk.plug(1), off_at, ALIVE_MS, &machine)?;
    told_late_ms(&mut desk, "s-1").await?;
    Ok(())
}

/// A pipe into which nothing more goes.
fn fill(pipe: &File) -> Result<()> {
    let mut pipe = pipe;
    loop {
        match pipe.write(&[b'x'; 512]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

#[tokio::test]
async fn a_log_that_nobody_takes_delays_no_off() -> Result<()> {
    let _machine = machine::shared().await;
    let mut desk = Desk::set_up(Encoding::Cbor, Layout::plugs(1)).await?;
    let machine = Metronome::start();
    // As the journal's end of the line while the journal itself waits for the card.
    let (mut ours, theirs) = std::io::pipe()?;
    let plug_hole = File::options().write(true).open(format!("/proc/self/fd/{}", fd(&theirs)))?;
    fcntl(&plug_hole, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let launch = Launch { log: Some(OwnedFd::from(theirs).into()), ..Launch::watched(WATCHDOG) };
    let service = Service::launch(&desk.site, launch)?;
    service.says_at_last("READY=1").await?;
    desk.told("node.link").await?;
    let off_at = start(&mut desk, 1, 4_000).await?;
    fill(&plug_hole)?;
    // There is something to say now.
    desk.site.broker.stop().await?;
    service.stays_alive_for(long_enough()).await?;
    judge(desk.plug(1), off_at, ALIVE_MS, &machine)?;
    desk.site.broker.start_again().await?;
    told_late_ms(&mut desk, "s-1").await?;
    drop(plug_hole);
    service.signal(Signal::SIGTERM)?;
    let mut said = String::new();
    ours.read_to_string(&mut said)?;
    ensure!(said.contains("the broker is out of reach"), "what waited to be said is said");
    Ok(())
}

fn fd(pipe: &impl std::os::fd::AsRawFd) -> i32 {
    pipe.as_raw_fd()
}
