//! Ten thousand commands a second, valid, invalid, repeated and oversized, for as long as nobody
//! stops them. No session ends late, each command is answered once, memory stays where it was,
//! and when the flood is over the node is as before.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use edge_protocol::codec::Encoding;
use edge_protocol::id::NodeId;
use edgectl::control::Endpoint;
use edgectl::lab::site::Site;
use edgectl::lab::wall::now_ms;
use plug_sim::{FakePlug, Profile};
use serde_json::{Value, json};
use tests::figure::{figure, is_long, spread};
use tests::metronome::Metronome;
use tests::service::Service;
use tests::torrent::{Poured, Torrent};
use tests::vitals::{FLEETING, Vitals};
use tests::{outlet, station};
use tokio::time::Instant;

use crate::census::Watched;
use crate::machine;
use crate::outings::ALIVE_MS;

/// Commands a second, all publishers together.
const RATE: u64 = 10_000;
const PUBLISHERS: u64 = 2;
const STATIONS: usize = 4;
/// On each station a session of this length begins so often: a start may take its time.
const SESSION_MS: u64 = 400;
const EVERY_MS: u64 = 2_500;
/// Between the first booking and the first start: enough to book them all.
const LEAD_MS: u64 = 3_000;
/// systemd's patience: half of the unit's.
const WATCHDOG: Duration = Duration::from_secs(20);
/// What a flood may cost in memory. After a minute of it the outbox is nearly full: 400,000 events,
/// at 31 bytes each 12 MB. The ids are 125 bytes each, their reasons at most 8 MiB, the link's window
/// 8 MiB. The rest is sled's: its cache counts bytes on disk, which are four to five times as many in
/// memory, and what it has replaced waits to be freed, the longer the slower the disk.
const MEMORY_BYTES: u64 = 128 << 20;
/// A drained node answers at once; this is for a machine that is busy.
const PROMPT_MS: u64 = 5_000;

fn flood_for() -> Duration {
    Duration::from_secs(if is_long() { 60 } else { 5 })
}

/// The kinds of messages, by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A command of its own, that is accepted or rejected for what it asks.
    Own,
    /// A command that came before.
    Again,
    /// What is no command.
    Malformed,
    /// More than a command may be.
    Oversized,
}

/// Of a hundred messages ten are commands of their own, and each thousandth is oversized.
fn kind(number: u64) -> Kind {
    match number % 100 {
        99 if number % 1_000 == 999 => Kind::Oversized,
        0..10 => Kind::Own,
        10..55 => Kind::Again,
        _ => Kind::Malformed,
    }
}

/// The command of its own with this number, of this publisher.
fn own(publisher: u64, number: u64) -> Value {
    let id = format!("f-{publisher}-{number}");
    let (kind, body) = match number % 10 {
        0 => ("task.submit", json!({ "task": id, "kind": "wait", "payload": { "wait_ms": 0 } })),
        1..4 => ("outlet.release", json!({ "outlet": "plug-1" })),
        4..6 => ("session.extend", json!({ "session": "nobody", "by_ms": 1_000 })),
        6..8 => ("session.end", json!({ "session": "nobody", "colour": "red" })),
        _ => ("session.celebrate", json!({})),
    };
    json!({ "id": id, "type": kind, "issued_at_ms": now_ms(), "body": body })
}

fn message(publisher: u64, number: u64) -> Vec<u8> {
    match kind(number) {
        Kind::Own => own(publisher, number).to_string().into_bytes(),
        // One of this hundred or the hundred before; the contents of a repeat are not looked at.
        Kind::Again => own(publisher, number - number % 100 + number % 10).to_string().into_bytes(),
        Kind::Malformed => match number % 4 {
            0 => b"{\"id\":".to_vec(),
            1 => format!("{{\"id\":\"m-{number}\"}}").into_bytes(),
            2 => vec![0xff; 40],
            _ => "[".repeat(40).into_bytes(),
        },
        Kind::Oversized => vec![b' '; 64 * 1024 + 1],
    }
}

/// Plugs that answer from a thread of their own, however busy this one is.
fn plugs() -> Result<Vec<FakePlug>> {
    let (give, given) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            for _ in 0..STATIONS {
                give.send(FakePlug::start(Profile::tasmota_14_4()).await?)?;
            }
            std::future::pending().await
        })
    });
    (0..STATIONS).map(|_| given.recv().context("a plug")).collect()
}

/// A broker that lets floods write, keeps all they send, and logs no packets.
async fn open_the_gates(site: &mut Site) -> Result<Vec<Endpoint>> {
    let folder = site.broker.folder().to_owned();
    let config = std::fs::read_to_string(folder.join("mosquitto.conf"))?;
    let config = config
        .replace(
            "log_type all",
            "log_type error\nlog_type warning\nlog_type information\nlog_type debug",
        )
        .replace("max_queued_messages 100000", "max_queued_messages 2000000");
    std::fs::write(folder.join("mosquitto.conf"), config)?;
    let mut rights = std::fs::read_to_string(folder.join("rights"))?;
    let mut endpoints = vec![];
    for publisher in 0..PUBLISHERS {
        let name: NodeId = format!("flood-{publisher}").parse()?;
        rights += &format!("\nuser {name}\ntopic write {}\n", site.topics().commands());
        endpoints.push(Endpoint {
            host: "localhost".to_owned(),
            port: site.broker.port(),
            ca_pem: site.authority.cert_pem().to_owned(),
            identity: site.authority.issue_node(&name)?,
            root: edge_protocol::topic::DEFAULT_ROOT.to_owned(),
        });
    }
    std::fs::write(folder.join("rights"), rights)?;
    site.broker.start_again().await?;
    Ok(endpoints)
}

/// Books a session each [`EVERY_MS`] on each station, for the time of the flood.
async fn book(node: &mut Watched) -> Result<usize> {
    let begins_at = now_ms() + LEAD_MS;
    let rounds = u64::try_from(flood_for().as_millis())? / EVERY_MS;
    for round in 0..rounds {
        for station in 1..=STATIONS {
            let session = format!("s-{station}-{round}");
            // Not all at the same instant.
            let shift_ms = (station as u64) * EVERY_MS / (STATIONS as u64);
            let body = json!({
                "session": session,
                "station": format!("pc-{station}"),
                "starts_at_ms": begins_at + round * EVERY_MS + shift_ms,
                "duration_ms": SESSION_MS,
                "warn_before_ms": [],
            });
            node.send(&format!("b-{session}"), "session.start", body).await?;
        }
    }
    let sessions = usize::try_from(rounds)? * STATIONS;
    node.until("the sessions are booked", |tally| tally.first.len() >= sessions).await?;
    Ok(sessions)
}

fn pour(
    endpoints: &[Endpoint],
    topic: &str,
) -> Result<Vec<std::thread::JoinHandle<Result<Poured>>>> {
    let count = RATE * flood_for().as_secs() / PUBLISHERS;
    let mut floods = vec![];
    for (publisher, endpoint) in (0..).zip(endpoints) {
        let torrent = Torrent {
            port: endpoint.port,
            tls: Arc::clone(&endpoint.tls()?),
            client_id: format!("flood-{publisher}"),
            topic: topic.to_owned(),
            rate: RATE / PUBLISHERS,
            count,
        };
        floods.push(torrent.pour(move |number| message(publisher, number)));
    }
    Ok(floods)
}

/// Each cut held against its off time: how late, in the order of the off times.
fn judge(node: &Watched, plugs: &[FakePlug], machine: &Metronome) -> Result<Vec<u64>> {
    let mut late = vec![];
    for (number, plug) in (1..).zip(plugs) {
        let of = |session: &str| session.starts_with(&format!("s-{number}-"));
        let mut off_at: Vec<u64> =
            node.tally.off_at.iter().filter(|(id, _)| of(id)).map(|(_, at)| *at).collect();
        off_at.sort_unstable();
        let offs: Vec<u64> = plug.history().iter().filter(|it| !it.on).map(|it| it.at_ms).collect();
        ensure!(
            offs.len() == off_at.len(),
            "plug {number}: {} cuts for {}",
            offs.len(),
            off_at.len()
        );
        for (due, done) in off_at.into_iter().zip(offs) {
            ensure!(done >= due, "plug {number}: cut {} ms early", due - done);
            let late_ms = done - due;
            let excuse_ms = machine.excuse_ms(due, done);
            ensure!(late_ms <= ALIVE_MS + excuse_ms, "{late_ms} ms late, {excuse_ms} excused");
            late.push(late_ms);
        }
    }
    Ok(late)
}

#[tokio::test]
async fn a_flood_moves_no_session_and_each_command_is_answered_once() -> Result<()> {
    let _alone = machine::alone().await;
    let mut site = Site::start(&"pi-0042".parse()?, Encoding::Cbor).await?;
    let endpoints = open_the_gates(&mut site).await?;
    let plugs = plugs()?;
    let tables = (1..).zip(&plugs).map(|(number, plug)| {
        let (id, pc) = (format!("plug-{number}"), format!("pc-{number}"));
        outlet(&id, plug) + &station(&pc, &[&id])
    });
    site.configure(&tables.collect::<String>())?;
    let service = Service::start(&site, WATCHDOG)?;
    service.says_at_last("READY=1").await?;
    let pid = service.pid()?;
    let mut node = Watched::new(site, pid);
    node.until("the node is connected", |tally| tally.links > 0).await?;
    let watched = service.stays_alive_for(Duration::MAX);
    tokio::select! {
        done = flood(&mut node, &plugs, &endpoints) => done,
        hung = watched => hung,
    }
}

async fn flood(node: &mut Watched, plugs: &[FakePlug], endpoints: &[Endpoint]) -> Result<()> {
    let sessions = book(node).await?;
    let before = Vitals::of(node.pid)?;
    let machine = Metronome::start();
    let (begun, answers) = (Instant::now(), node.tally.first.len());
    let floods = pour(endpoints, &node.site.topics().commands())?;
    while floods.iter().any(|flood| !flood.is_finished()) {
        node.listen().await?;
    }
    let during = node.tally.last_seq;
    let flooded = begun.elapsed();
    let mut poured = vec![];
    for flood in floods {
        poured.push(flood.join().expect("it does not panic")?);
    }
    // Whatever was poured was queued before this.
    node.send("marker", "node.report", json!({})).await?;
    node.until("the backlog drains", |tally| tally.first.contains_key("marker")).await?;
    let drained = begun.elapsed();
    node.until("every task is done", |tally| tally.succeeded == tally.submitted).await?;
    node.until("every session ends", |tally| tally.told_late_ms.len() == sessions).await?;

    let late = judge(node, plugs, &machine)?;
    let count: u64 = poured.iter().map(|poured| poured.count).sum();
    let took = poured.iter().map(|poured| poured.took).max().context("publishers")?;
    let numbers = || (0..count / PUBLISHERS).map(kind);
    let of = |wanted| PUBLISHERS * numbers().filter(|kind| *kind == wanted).count() as u64;
    let tally = &node.tally;
    ensure!(tally.faults == 0, "{} faults of plugs", tally.faults);
    let twice: Vec<_> = tally.first.iter().filter(|(_, count)| **count != 1).take(5).collect();
    ensure!(twice.is_empty(), "answered more than once: {twice:?}");
    let own = (tally.first.len() - answers - 1) as u64;
    ensure!(own == of(Kind::Own), "{own} commands were answered of {}", of(Kind::Own));
    // What has no id is not remembered: sent again by the broker, it is answered again.
    ensure!(tally.malformed >= of(Kind::Malformed), "{} malformed", tally.malformed);
    ensure!(tally.too_large >= of(Kind::Oversized), "{} too large", tally.too_large);
    ensure!(tally.started == sessions as u64, "{} of {sessions} started", tally.started);

    let (again, links) = (tally.malformed - of(Kind::Malformed), tally.links);

    // All is as before.
    let asked_at = now_ms();
    let reports = tally.reports;
    node.send("after", "node.report", json!({})).await?;
    node.until("the node answers", |tally| tally.reports > reports).await?;
    let answered_ms = now_ms() - asked_at;
    ensure!(answered_ms <= PROMPT_MS + machine.excuse_ms(asked_at, now_ms()), "{answered_ms} ms");
    let after = Vitals::of(node.pid)?;
    ensure!(after.descriptors <= before.descriptors + FLEETING, "{after:?}, was {before:?}");
    let grown = node.peak_bytes.saturating_sub(before.own_bytes);
    ensure!(grown <= MEMORY_BYTES, "{grown} bytes more than before");

    let per_s = |count: u64, time: Duration| u128::from(count) * 1_000 / time.as_millis().max(1);
    figure("flood", "commands", count);
    figure("flood", "commands/s that the broker took", per_s(count, took));
    figure("flood", "commands/s that the node took, until drained", per_s(count, drained));
    figure("flood", "events/s told during it", per_s(during, flooded));
    figure("flood", "s to drain after it", (drained - flooded).as_secs_f32());
    figure("flood", "commands of their own, each answered once", own);
    figure("flood", "malformed, answered more often than sent", again);
    figure("flood", "connections", links);
    figure("flood", "sessions", sessions);
    figure("flood", "ms, the machine's own timers, worst", machine.worst_ms());
    figure("flood", "MiB more at the worst", grown >> 20);
    figure("flood", "ms to an answer after it", answered_ms);
    spread("flood", "ms late", late);
    Ok(())
}
