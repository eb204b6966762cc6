//! The real agent while somebody hostile has its broker's place: sessions end on time, nothing is
//! lost or done twice, and it costs next to nothing.

#![expect(
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    reason = "a story measures real time, prints its figures, and passes over other events"
)]

mod front;
mod ill;
mod peer;
mod process;

use std::io;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use edge_protocol::codec::{Encoding, encode};
use edge_protocol::event::{Event, What};
use edgectl::lab::agent::Agent;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustls::ServerConfig;
use tests::figure::is_long;
use tests::ledger::Ledger;
use tests::plug::goes_off;
use tests::{PATIENCE, Story, start, within};
use tokio::time::{sleep, timeout};

use crate::front::Front;
use crate::peer::Peer;

/// How often is looked for what cannot be waited for.
const LOOK: Duration = Duration::from_millis(20);

/// A site whose line to the broker can be taken over, its agent connected.
struct Site {
    story: Story,
    agent: Agent,
    front: Front,
    ledger: Ledger,
}

impl Site {
    async fn new() -> Result<Self> {
        let mut story = Story::new(Encoding::Json).await?;
        let front = Front::before(&story.site)?;
        let agent = story.site.agent().await?;
        let mut ledger = Ledger::default();
        let linked = |ledger: &Ledger| has(ledger, "node.link");
        ledger.until(&mut story.site, "the first connection", linked).await?;
        Ok(Self { story, agent, front, ledger })
    }

    /// Starts a session, and returns its deadline.
    async fn begins(&mut self, session: &str, duration_ms: u64) -> Result<u64> {
        self.story.send(start(session, duration_ms)).await?;
        let started = |ledger: &Ledger| ledger.count("session.started", session) > 0;
        self.ledger.until(&mut self.story.site, "the session's start", started).await?;
        let times = self.ledger.events().iter().rev().find_map(|event| match &event.what {
            What::SessionStarted(times) => times.ends_at_ms,
            _ => None,
        });
        times.context("a session that has started has a deadline")
    }

    /// Waits until the plug is off, and sees that it went off when it was due.
    async fn ends_on_time(&self, ends_at_ms: u64) -> Result<()> {
        goes_off(&self.story.plug).await?;
        let off = self.story.plug.history().last().map(|switch| switch.at_ms);
        let late_ms = off.and_then(|at_ms| at_ms.checked_sub(ends_at_ms));
        ensure!(late_ms.is_some_and(|ms| ms <= 1_000), "off at {off:?}, due at {ends_at_ms}");
        figure("lateness of a session's end in ms", late_ms.unwrap_or_default());
        Ok(())
    }

    /// The broker is back: everything arrives, in order, and the agent lives.
    async fn ends_well(mut self, session: &str) -> Result<()> {
        self.front.given_back();
        let over = |ledger: &Ledger| ledger.count("session.ended", session) > 0;
        self.ledger.until(&mut self.story.site, "the session's end", over).await?;
        self.ledger.judge()?;
        figure("events lost", 0);
        ensure!(self.agent.stop().await?.success(), "the agent stops in order");
        Ok(())
    }
}

#[tokio::test]
async fn a_session_ends_on_time_and_every_event_arrives_whatever_the_broker_does() -> Result<()> {
    let mut site = Site::new().await?;
    let at_least = Duration::from_secs(if is_long() { 300 } else { 8 });
    let ends_at_ms = site.begins("s-1", 6_000).await?;
    let pid = site.agent.pid();
    let before_kib = process::resident_kib(pid)?;
    let (began, ticks) = (Instant::now(), process::ticks(pid)?);
    site.front.taken_over(ill::everything);
    site.ends_on_time(ends_at_ms).await?;
    let every_ill = async {
        while site.front.accepted() <= ill::KINDS || began.elapsed() < at_least {
            sleep(LOOK).await;
        }
    };
    timeout(PATIENCE + at_least, every_ill).await.context("every ill has its turn")?;
    let seconds = began.elapsed().as_secs_f64();
    let attempts = site.front.accepted();
    let grown_kib = process::resident_kib(pid)?.saturating_sub(before_kib);
    let busy = f64::from(u32::try_from(process::ticks(pid)? - ticks)?) / seconds;
    // Configured: 50 ms to 300 ms, full jitter, so six a second on average once it has doubled.
    // The jitter of a whole phase stays well within half as much again.
    let allowed = 10.0 + 9.0 * seconds;
    figure("hostile connections to the agent", attempts);
    figure(
        "attempts in a minute",
        format!(
            "{:.0} of {:.0}",
            f64::from(u32::try_from(attempts)?) * 60.0 / seconds,
            allowed * 60.0 / seconds
        ),
    );
    figure("growth of the agent in KiB", grown_kib);
    figure("processor of the agent in percent", format!("{busy:.1}"));
    ensure!(f64::from(u32::try_from(attempts)?) <= allowed, "{attempts} attempts in {seconds} s");
    ensure!(grown_kib <= 24 * 1024, "grew by {grown_kib} KiB");
    ensure!(busy <= 50.0, "{busy} % of a processor");
    site.ends_well("s-1").await
}

#[tokio::test]
async fn a_flood_of_packets_delays_no_off() -> Result<()> {
    let mut site = Site::new().await?;
    let ends_at_ms = site.begins("s-1", 3_000).await?;
    let before_kib = process::resident_kib(site.agent.pid())?;
    site.front.taken_over(ill::flood);
    site.ends_on_time(ends_at_ms).await?;
    let grown_kib = process::resident_kib(site.agent.pid())?.saturating_sub(before_kib);
    figure("growth of the agent in a flood in KiB", grown_kib);
    ensure!(grown_kib <= 16 * 1024, "grew by {grown_kib} KiB");
    ensure!(site.front.accepted() > 0, "there was a flood");
    site.ends_well("s-1").await
}

/// The command that the hostile broker repeats: set before it takes over.
static COMMAND: Mutex<Vec<u8>> = Mutex::new(vec![]);
/// How often the node acknowledged it.
static ACKNOWLEDGED: AtomicUsize = AtomicUsize::new(0);

/// Sends one command again and again: under other packet ids, and under the same.
fn repeat(_: usize, stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<()> {
    let mut peer = Peer::new(stream, tls)?;
    peer.bring_up(false)?;
    let command = COMMAND.lock().map(|command| command.clone()).unwrap_or_default();
    for packet_id in [1, 2, 3, 3, 3] {
        peer.publish(ill::COMMANDS, packet_id, &[], &command)?;
    }
    for _ in 0..5 {
        peer.next_of(4)?;
        ACKNOWLEDGED.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

#[tokio::test]
async fn a_command_that_comes_again_and_again_takes_effect_once() -> Result<()> {
    let mut site = Site::new().await?;
    let command = site.story.site.command(start("s-1", 2_000));
    *COMMAND.lock().expect("nobody panics with it") = encode(Encoding::Json, &command);
    site.front.taken_over(repeat);
    let repeated = async {
        while ACKNOWLEDGED.load(Ordering::Relaxed) < 20 {
            sleep(LOOK).await;
        }
        Ok(())
    };
    within("the command is acknowledged twenty times", repeated).await?;
    site.front.given_back();
    let over = |ledger: &Ledger| ledger.count("session.ended", "s-1") > 0;
    site.ledger.until(&mut site.story.site, "the session's end", over).await?;
    for kind in ["session.started", "session.ended"] {
        ensure!(site.ledger.count(kind, "s-1") == 1, "{kind} came more than once");
    }
    let switched: Vec<bool> = site.story.plug.history().iter().map(|switch| switch.on).collect();
    ensure!(switched == [true, false], "{switched:?}");
    ensure!(site.ledger.answer(&command.id) == Some(true));
    figure("effects of a command sent twenty times", 1);
    site.ends_well("s-1").await
}

/// The command of [`kill_at_acknowledgement`], and whom to kill.
static LAST_COMMAND: Mutex<(Vec<u8>, i32)> = Mutex::new((vec![], 0));

/// Sends a command once, and kills the agent the moment that it acknowledges it.
fn kill_at_acknowledgement(_: usize, stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<()> {
    let mut peer = Peer::new(stream, tls)?;
    peer.bring_up(false)?;
    let (command, agent) = LAST_COMMAND.lock().map(|it| it.clone()).unwrap_or_default();
    peer.publish(ill::COMMANDS, 7, &[], &command)?;
    peer.next_of(4)?;
    kill(Pid::from_raw(agent), Signal::SIGKILL)?;
    Ok(())
}

#[tokio::test]
async fn what_the_node_acknowledged_is_on_its_disk() -> Result<()> {
    let mut site = Site::new().await?;
    for round in 0..5 {
        let session = format!("s-{round}");
        let command = site.story.site.command(start(&session, 300));
        let agent = i32::try_from(site.agent.pid())?;
        *LAST_COMMAND.lock().expect("nobody panics with it") =
            (encode(Encoding::Json, &command), agent);
        site.front.taken_over(kill_at_acknowledgement);
        site.agent.ended().await?;
        site.front.given_back();
        site.agent = site.story.site.agent().await?;
        let over = |ledger: &Ledger| ledger.count("session.ended", &session) > 0;
        site.ledger.until(&mut site.story.site, "the session's end", over).await?;
        ensure!(site.ledger.answer(&command.id) == Some(true), "what was acknowledged was kept");
    }
    figure("kills at the acknowledgement of a command", 5);
    site.ends_well("s-4").await
}

fn has(ledger: &Ledger, kind: &str) -> bool {
    ledger.events().iter().any(|event: &Event| event.what.kind() == kind)
}

fn figure(what: &str, value: impl std::fmt::Display) {
    tests::figure::figure("hostile broker", what, value);
}
