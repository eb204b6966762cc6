//! Days of work in minutes: sessions, tasks, scripts, repeats, nonsense, faults, lost connections,
//! over and over, on a node whose bounded tables are full. What it takes of memory, descriptors,
//! threads and disk stays what it is.

use std::time::Duration;

use anyhow::{Result, ensure};
use edge_protocol::codec::Encoding;
use edgectl::lab::site::Site;
use edgectl::lab::wall::now_ms;
use plug_sim::{FakePlug, Fault, Profile};
use serde_json::json;
use tests::figure::{figure, is_long};
use tests::vitals::{FLEETING, Vitals, occupied_bytes, rise};
use tests::{outlet, script, station};
use tokio::time::Instant;

use crate::census::{Tally, Watched};
use crate::machine;

const STATIONS: usize = 4;
/// The ids of ended sessions and of ended tasks that a node remembers: more of each fill its tables.
const REMEMBERED: usize = 1_000;
/// Results of 30 KB, so many that the history of acknowledged events is full: 16 MiB.
const LARGE_RESULTS: usize = 600;
/// Commands that are sent before the first answer is waited for: below what the control plane's
/// inbox holds of answers.
const BURST: usize = 50;
/// Memory may rise by so much over the second half,
const RISE_BYTES: f64 = 1_048_576.0;
/// beside what the node has to remember for seven days: 200,000 commands in 25 MB.
const BYTES_PER_ID: f64 = 125.0;
/// The store may hold on the disk at most this: the history, the rows of what is remembered, and
/// what sled has not yet cleaned up.
const STORE_BYTES: u64 = 256 << 20;
/// sled starts and ends threads of its own as it needs them.
const SLED_THREADS: usize = 8;

fn soak_for() -> Duration {
    Duration::from_secs(if is_long() { 600 } else { 18 })
}

struct Soak {
    node: Watched,
    plugs: Vec<FakePlug>,
    commands: u64,
    sessions: usize,
}

impl Soak {
    /// Sends a command of its own.
    async fn send(&mut self, kind: &str, body: serde_json::Value) -> Result<String> {
        self.commands += 1;
        let id = format!("c-{}", self.commands);
        self.node.send(&id, kind, body).await?;
        Ok(id)
    }

    async fn answered(&mut self) -> Result<()> {
        let commands = self.commands;
        let all = |answers: usize| answers as u64 >= commands;
        self.node.until("all commands are answered", |tally| all(tally.first.len())).await
    }

    async fn idle(&mut self) -> Result<()> {
        self.answered().await?;
        let done = "all work is done";
        let sessions = self.sessions;
        let ended = |tally: &Tally| tally.told_late_ms.len() == sessions;
        self.node.until(done, |it| it.succeeded == it.submitted && ended(it)).await
    }

    async fn submit(&mut self, script: Option<&str>) -> Result<()> {
        let task = format!("t-{}", self.commands);
        let body = match script {
            Some(name) => json!({ "task": task, "kind": "script", "payload": { "name": name } }),
            None => json!({ "task": task, "kind": "wait", "payload": { "wait_ms": 0 } }),
        };
        self.send("task.submit", body).await.map(drop)
    }

    /// Fills every table that has a limit and can be filled in a test.
    async fn fill(&mut self) -> Result<()> {
        for number in 0..LARGE_RESULTS.max(REMEMBERED) {
            self.submit((number < LARGE_RESULTS).then_some("large")).await?;
            let session = format!("booked-{number}");
            let body = json!({
                "session": session,
                "station": "pc-1",
                "starts_at_ms": now_ms() + 3_600_000,
                "duration_ms": 1_000,
            });
            self.send("session.start", body).await?;
            self.sessions += 1;
            self.send("session.end", json!({ "session": session })).await?;
            if number % BURST == 0 {
                self.answered().await?;
            }
        }
        self.idle().await
    }

    /// A piece of everyday life, and some of the less usual.
    async fn round(&mut self, number: u64) -> Result<()> {
        if number.is_multiple_of(7) {
            self.plugs[1].set_fault_for(Fault::Unreachable, 2);
        }
        for station in 1..=STATIONS {
            let session = format!("s-{number}-{station}");
            let body = json!({
                "session": session,
                "station": format!("pc-{station}"),
                "duration_ms": 150,
                "warn_before_ms": [100],
            });
            self.send("session.start", body).await?;
            self.sessions += 1;
            self.send("session.extend", json!({ "session": session, "by_ms": 50 })).await?;
        }
        for _ in 0..6 {
            self.submit(None).await?;
        }
        self.submit(Some("large")).await?;
        self.send("outlet.set", json!({ "outlet": "spare", "on": true, "for_ms": 100 })).await?;
        let repeated = self.send("session.celebrate", json!({})).await?;
        let last = self.node.tally.last_seq;
        let body = json!({ "from_seq": last.saturating_sub(20).max(1), "to_seq": last });
        self.send("event.resend", body).await?;
        for _ in 0..3 {
            self.node.send(&repeated, "session.celebrate", json!({})).await?;
            self.node.publish(b"nonsense".to_vec()).await?;
        }
        if number % 20 == 10 {
            self.node.site.broker.start_again().await?;
        }
        self.idle().await
    }
}

#[tokio::test]
async fn days_of_work_leave_memory_descriptors_and_disk_as_they_are() -> Result<()> {
    let _machine = machine::alone().await;
    let site = Site::start(&"pi-0042".parse()?, Encoding::Cbor).await?;
    script::put(&site, "large", "printf '{\"x\":\"%030000d\"}\\n' 0")?;
    let mut plugs = vec![];
    let mut tables = String::new();
    for number in 1..=STATIONS + 1 {
        let plug = FakePlug::start(Profile::tasmota_14_4()).await?;
        if number > STATIONS {
            tables += &outlet("spare", &plug);
        } else {
            let (id, pc) = (format!("plug-{number}"), format!("pc-{number}"));
            tables += &(outlet(&id, &plug) + &station(&pc, &[&id]));
        }
        plugs.push(plug);
    }
    site.configure_with("max_queued = 1000", &tables)?;
    let agent = site.agent().await?;
    let store = site.folder().join("data/store");
    let mut soak = Soak { node: Watched::new(site, agent.pid()), plugs, commands: 0, sessions: 0 };
    soak.node.until("the node is connected", |tally| tally.links > 0).await?;
    let begun = Instant::now();
    soak.fill().await?;
    let filled = begun.elapsed();

    let begun = Instant::now();
    let (mut looks, mut ids, mut stored) = (vec![], vec![], vec![]);
    let mut rounds = 0;
    while begun.elapsed() < soak_for() {
        soak.round(rounds).await?;
        rounds += 1;
        looks.push(Vitals::of(agent.pid())?);
        ids.push(soak.commands);
        stored.push(occupied_bytes(&store)?);
    }

    let (first, second) = looks.split_at(looks.len() / 2);
    let most = |looks: &[Vitals], of: fn(&Vitals) -> usize| looks.iter().map(of).max().unwrap_or(0);
    let memory: Vec<f64> = second.iter().map(|look| bytes(look.own_bytes)).collect();
    let risen = rise(&memory);
    let new_ids = bytes(ids[ids.len() - 1] - ids[first.len()]);
    figure("soak", "s", begun.elapsed().as_secs());
    figure("soak", "s before it, to fill the tables", filled.as_secs());
    figure("soak", "rounds", rounds);
    figure("soak", "commands", soak.commands);
    figure("soak", "events", soak.node.tally.last_seq);
    figure("soak", "connections", soak.node.tally.links);
    figure("soak", "MiB of memory", second[second.len() - 1].own_bytes >> 20);
    figure("soak", "KiB risen over the second half", (risen / 1024.0).round());
    figure("soak", "ids to remember in the second half", new_ids);
    figure("soak", "descriptors", most(second, |look| look.descriptors));
    figure("soak", "threads", most(second, |look| look.threads));
    figure("soak", "MiB of the store", stored[stored.len() - 1] >> 20);
    let (half, end) = (stored[first.len()], stored[stored.len() - 1]);
    figure("soak", "MiB of the store at half time", half >> 20);

    ensure!(risen <= RISE_BYTES + new_ids * BYTES_PER_ID, "{risen} bytes more, for {new_ids} ids");
    let descriptors: fn(&Vitals) -> usize = |look| look.descriptors;
    ensure!(most(second, descriptors) <= most(first, descriptors) + FLEETING, "descriptors leak");
    let threads: fn(&Vitals) -> usize = |look| look.threads;
    ensure!(most(second, threads) <= most(first, threads) + SLED_THREADS, "threads leak");
    ensure!(end <= STORE_BYTES, "{end} bytes of store");
    let again = soak.node.tally.first.values().filter(|count| **count > 1).count();
    ensure!(again == 0, "{again} commands were answered more than once");
    agent.stop().await?;
    Ok(())
}

fn bytes(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("an agent of less than 4 GiB"))
}
