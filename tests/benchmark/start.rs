//! From the start of the process until commands reach it.

use anyhow::Result;
use tests::ask;
use tokio::time::Instant;

use crate::Bench;
use crate::figures::{Spread, Table, millis};
use crate::floors::Floors;

const ROUNDS: usize = 20;
const TASKS: u32 = 10_000;
/// Commands published at a time.
const TOGETHER: u32 = 100;
/// Longer than filling the queue takes.
const HOUR_MS: u64 = 3_600_000;

pub(crate) async fn measure(table: &Table, floors: &Floors) -> Result<()> {
    let mut bench = Bench::new().await?;
    let empty = starts(&mut bench).await?;
    let floor = floors.round_trip.p50();
    let what = format!("start → subscribed, p50 (p99 {})", millis(empty.p99()));
    table.put_time(&what, empty.p50(), floor);

    let agent = bench.agent().await?;
    // The first ones hold all 64 places, the rest wait behind them.
    let mut sent = 0;
    while sent < TASKS {
        bench
            .send_all((sent..sent + TOGETHER).map(|task| ask::wait(&format!("t-{task}"), HOUR_MS)))
            .await?;
        for _ in 0..TOGETHER {
            bench.told("task.queued").await?;
        }
        sent += TOGETHER;
    }
    agent.stop().await?;
    let full = starts(&mut bench).await?;
    let what = format!("… with 10,000 tasks waiting (p99 {})", millis(full.p99()));
    table.put_time(&what, full.p50(), floor);
    Ok(())
}

async fn starts(bench: &mut Bench) -> Result<Spread> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let from = Instant::now();
        let agent = bench.site.agent().await?;
        // Published right after the subscription is confirmed.
        bench.told("node.link").await?;
        times.push(from.elapsed());
        agent.stop().await?;
    }
    Ok(Spread::of(times))
}
