//! What no agent could beat: the broker's round trip, the plug's answer, the disk's sync, the timer.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use edge_protocol::topic::DEFAULT_ROOT;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use tests::within;

use crate::Bench;
use crate::figures::{Spread, Table, millis, per_second};

const ROUNDS: u32 = 500;
/// A short write, as of one task and one event.
const RECORD: [u8; 256] = [7; 256];

/// Medians and 99th percentiles of the floors.
pub(crate) struct Floors {
    /// QoS 1, published by a client to itself through the broker.
    pub(crate) round_trip: Spread,
    /// One HTTP request to the plug over a connection of its own.
    pub(crate) request: Spread,
    /// An append of 256 bytes and an fdatasync, on the store's file system.
    pub(crate) sync: Spread,
    /// By how much a sleep of 100 ms is late.
    pub(crate) timer: Spread,
}

impl Floors {
    /// Syncs a second, one after the other.
    pub(crate) fn syncs(&self) -> f64 {
        per_second(1, self.sync.p50())
    }
}

/// Measures them all.
pub(crate) async fn measure(table: &Table) -> Result<Floors> {
    let mut bench = Bench::new().await?;
    let floors = Floors {
        round_trip: round_trip(&mut bench).await?,
        request: request(&bench).await?,
        sync: sync(&bench)?,
        timer: timer().await,
    };
    for (what, spread) in [
        ("floor: QoS 1 round trip through the broker", &floors.round_trip),
        ("floor: HTTP request to the plug", &floors.request),
        ("floor: append 256 bytes, fdatasync", &floors.sync),
        ("floor: lateness of a sleep", &floors.timer),
    ] {
        table.put(what, format!("p50 {}, p99 {}", millis(spread.p50()), millis(spread.p99())));
    }
    Ok(floors)
}

async fn round_trip(bench: &mut Bench) -> Result<Spread> {
    // The control plane hears what any node says; nobody else is there.
    let topic = format!("{DEFAULT_ROOT}/nodes/nobody/events");
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let from = Instant::now();
        bench.site.control.publish_command(&topic, RECORD, false).await?;
        within("what was published", async { Ok(bench.site.control.next().await?) }).await?;
        times.push(from.elapsed());
    }
    Ok(Spread::of(times))
}

async fn request(bench: &Bench) -> Result<Spread> {
    let mut times = Vec::new();
    let mut answer = Vec::new();
    for _ in 0..ROUNDS {
        let from = Instant::now();
        let mut plug = TcpStream::connect(bench.plug.address()).await?;
        plug.set_nodelay(true)?;
        plug.write_all(b"GET /cm?cmnd=Power HTTP/1.1\r\nHost: plug\r\nConnection: close\r\n\r\n")
            .await?;
        answer.clear();
        plug.read_to_end(&mut answer).await?;
        times.push(from.elapsed());
    }
    Ok(Spread::of(times))
}

fn sync(bench: &Bench) -> Result<Spread> {
    let mut file = File::create(bench.site.folder().join("floor")).context("the floor's file")?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let from = Instant::now();
        file.write_all(&RECORD)?;
        file.sync_data()?;
        times.push(from.elapsed());
    }
    Ok(Spread::of(times))
}

async fn timer() -> Spread {
    let mut times = Vec::new();
    for _ in 0..20 {
        let until = Instant::now() + Duration::from_millis(100);
        sleep_until(until).await;
        times.push(until.elapsed());
    }
    Spread::of(times)
}
