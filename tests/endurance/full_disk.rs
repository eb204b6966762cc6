//! The disk takes nothing more. Sessions end as they should, offs go out, new work waits at the
//! broker, and when there is room again all goes on, without a restart and without a gap.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use edge_protocol::codec::Encoding;
use serde_json::{Value, json};
use tests::desk::{Desk, Layout, Leaf, now_ms};
use tests::figure::{figure, is_long, spread};
use tests::metronome::Metronome;
use tests::service::{Launch, Service};
use tests::small_disk::{SmallDisk, bears_refusal, refuse_writes};
use tests::vitals::Vitals;

use crate::machine;
use crate::outings::{ALIVE_MS, judge, start, told_late_ms};

/// systemd's patience: enough that a healthy agent on a busy machine is never taken for hung.
const WATCHDOG: Duration = Duration::from_secs(12);
/// Enough for the agent's reserve and the room that it wants left.
const DISK_BYTES: u64 = 96 << 20;
/// Sessions that end while the disk is full, each on a plug of its own; one more ends after it.
const SESSIONS: usize = 5;
/// From a session's start to the first end: the disk has to be full, and told, before that.
const LEAD_MS: u64 = 12_400;
/// Tasks that come while the disk is full.
const TASKS: usize = 8;
/// How often somebody else takes what became free.
const GREED: Duration = Duration::from_millis(50);

fn full_for() -> Duration {
    Duration::from_secs(if is_long() { 600 } else { 10 })
}

/// A log of somebody else, say, that takes all there is, until it is told to stop.
struct Glutton {
    sated: Arc<AtomicBool>,
    eats: JoinHandle<Result<SmallDisk>>,
}

impl Glutton {
    fn set_upon(disk: SmallDisk) -> Self {
        let sated = Arc::<AtomicBool>::default();
        let told = Arc::clone(&sated);
        let eats = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                disk.fill()?;
                std::thread::sleep(GREED);
            }
            Ok(disk)
        });
        Self { sated, eats }
    }

    fn call_off(self) -> Result<SmallDisk> {
        self.sated.store(true, Ordering::Relaxed);
        self.eats.join().expect("it does not panic")
    }
}

/// A running site whose sessions will end at even distances, the last one after all trouble.
struct Course {
    desk: Desk,
    service: Service,
    machine: Metronome,
    before: Vitals,
    off_at: Vec<u64>,
    /// The commands that came while nothing could be stored.
    asked: Vec<String>,
}

impl Course {
    async fn begin(desk: Desk, launch: Launch) -> Result<Self> {
        let mut desk = desk;
        let service = Service::launch(&desk.site, launch)?;
        service.says_at_last("READY=1").await?;
        desk.told("node.link").await?;
        let mut off_at = vec![];
        let step_ms = u64::try_from(full_for().as_millis())? / (SESSIONS as u64 - 1);
        let nth_ms = |number: usize| LEAD_MS + step_ms * (number as u64 - 1);
        for number in 1..=SESSIONS {
            off_at.push(start(&mut desk, number, nth_ms(number)).await?);
        }
        let after_ms = nth_ms(SESSIONS) + 8_000;
        off_at.push(start(&mut desk, SESSIONS + 1, after_ms).await?);
        let before = Vitals::of(service.pid()?)?;
        let machine = Metronome::start();
        Ok(Self { desk, service, machine, before, off_at, asked: vec![] })
    }

    async fn ask(&mut self, task: usize) -> Result<()> {
        let body =
            json!({ "task": format!("t-{task}"), "kind": "wait", "payload": { "wait_ms": 1 } });
        self.asked.push(self.desk.send("task.submit", body).await?);
        Ok(())
    }

    /// Every plug goes off in time that is to go off while the trouble lasts.
    async fn sessions_end(&self) -> Result<Vec<u64>> {
        let mut late = vec![];
        for number in 1..=SESSIONS {
            let off_at = self.off_at[number - 1];
            let left = Duration::from_millis((off_at + ALIVE_MS).saturating_sub(now_ms()));
            self.service.stays_alive_for(left).await?;
            self.desk.goes(number, false).await?;
            let cut = judge(self.desk.plug(number), off_at, ALIVE_MS, &self.machine);
            late.push(cut.with_context(|| format!("s-{number}"))?.late_ms);
        }
        Ok(late)
    }

    fn answered(&self) -> usize {
        let answers = |id: &&String| {
            let all = self.desk.all("command.accepted", "");
            all.iter().any(|event| event["body"]["command"] == **id)
        };
        self.asked.iter().filter(answers).count()
    }

    /// Everything is as before, and what waited is done. `told` sessions ended earlier for all to
    /// know.
    async fn recovers(&mut self, part: &str, told: usize) -> Result<()> {
        let eased_at = now_ms();
        for id in self.asked.clone() {
            // Those that were answered before all this was over were taken already.
            if !self.desk.all("command.accepted", "").iter().any(|it| it["body"]["command"] == *id)
            {
                let answer = self.desk.answer(&id).await?;
                ensure!(answer["type"] == "command.accepted", "{answer}");
            }
        }
        figure(part, "ms until the first work is done again", now_ms() - eased_at);
        for task in 1..=self.asked.len() {
            self.desk.told_of("task.succeeded", &format!("t-{task}")).await?;
        }
        self.desk.says(Leaf::Status, |status| status["accepting"] == true).await?;
        let excuse_ms = self.machine.worst_ms();
        for number in told + 1..=SESSIONS + 1 {
            let late_ms = told_late_ms(&mut self.desk, &format!("s-{number}")).await?;
            ensure!(late_ms <= ALIVE_MS + excuse_ms, "s-{number}: told {late_ms} ms late");
        }
        let last = self.off_at[SESSIONS];
        judge(self.desk.plug(SESSIONS + 1), last, ALIVE_MS, &self.machine).context("the last")?;
        let after = Vitals::of(self.service.pid()?)?;
        // A connection to each plug comes and goes.
        let more = after.descriptors > self.before.descriptors + SESSIONS + 1;
        ensure!(!more, "{after:?}, was {:?}", self.before);
        figure(part, "s that it lasted", full_for().as_secs());
        Ok(())
    }

    /// The next start finds everything.
    async fn restarts(mut self, launch: Launch) -> Result<()> {
        self.service.signal(nix::sys::signal::Signal::SIGTERM)?;
        ensure!(self.service.ended().await?.success());
        let first = self.desk.told("node.started").await?;
        let service = Service::launch(&self.desk.site, launch)?;
        service.says_at_last("READY=1").await?;
        let again = self.desk.told("node.started").await?;
        ensure!(again["store"] == first["store"], "another history: {again}");
        self.desk.caught_up().await?;
        let lost = |event: &&&Value| !event["body"]["lost"].is_null();
        ensure!(
            !self.desk.all("node.store", "").iter().any(|event| lost(&event)),
            "something is lost"
        );
        Ok(())
    }
}

async fn set_up() -> Result<Desk> {
    Desk::set_up(Encoding::Cbor, Layout::plugs(SESSIONS + 1)).await
}

fn is_said(desk: &Desk, level: &str) -> bool {
    desk.all("node.store", "").iter().any(|event| event["body"]["space"] == level)
}

#[tokio::test]
async fn a_full_disk_ends_no_session_late_and_all_recovers_without_a_restart() -> Result<()> {
    let _machine = machine::shared().await;
    let desk = set_up().await?;
    let data: &Path = &desk.site.folder().join("data");
    let disk = match SmallDisk::mount(data, DISK_BYTES).await? {
        Ok(disk) => disk,
        Err(why) => {
            // The limit on files stands in for it: the same course, but for the reserve.
            figure("full disk", "no small disk on this machine", why.0.trim());
            return refused(desk, "full disk, by a limit").await;
        }
    };
    let enter = disk.enter();
    let launch = || Launch { before: enter.clone(), ..Launch::watched(WATCHDOG) };
    let mut course = Course::begin(desk, launch()).await?;

    disk.fill()?;
    course.ask(1).await?;
    course.desk.says(Leaf::Status, |status| status["accepting"] == false).await?;
    let ended_before = course.desk.all("session.ended", "").len();
    for task in 2..=TASKS {
        course.ask(task).await?;
    }
    // The reserve is for this: it is told while the disk is full.
    told_late_ms(&mut course.desk, "s-1").await?;
    ensure!(ended_before == 0, "the machine is too slow for this test");
    ensure!(is_said(&course.desk, "low"));
    let glutton = Glutton::set_upon(disk);
    let late = course.sessions_end().await?;
    let answered = course.answered();
    let disk = glutton.call_off()?;
    ensure!(answered <= 1, "{answered} commands were taken by a node that takes none");
    disk.free()?;
    course.recovers("full disk", 1).await?;
    ensure!(is_said(&course.desk, "ok"));
    spread("full disk", "ms late", late);
    course.restarts(launch()).await
}

#[tokio::test]
async fn a_disk_that_refuses_every_write_ends_no_session_late_and_all_recovers() -> Result<()> {
    let _machine = machine::shared().await;
    refused(set_up().await?, "refused writes").await
}

async fn refused(desk: Desk, part: &str) -> Result<()> {
    let launch = || Launch { before: bears_refusal(), ..Launch::watched(WATCHDOG) };
    let mut course = Course::begin(desk, launch()).await?;
    let pid = course.service.pid()?;
    refuse_writes(pid, true).await?;
    for task in 1..=TASKS {
        course.ask(task).await?;
    }
    let late = course.sessions_end().await?;
    ensure!(course.answered() == 0, "what can't be stored is not answered");
    refuse_writes(pid, false).await?;
    course.recovers(part, 0).await?;
    spread(part, "ms late", late);
    course.restarts(launch()).await
}
