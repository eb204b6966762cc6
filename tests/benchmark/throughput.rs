//! Tasks that do nothing: how many a second, and what each writes and costs.

use std::fs;

use anyhow::{Context as _, Result};
use tests::ask;
use tokio::time::Instant;

use crate::Bench;
use crate::figures::{Table, per_second};
use crate::floors::Floors;

const ALONE: u32 = 500;
const TOGETHER: u32 = 6_400;
const WINDOW: u32 = 64;

pub(crate) async fn measure(table: &Table, floors: &Floors) -> Result<()> {
    let mut bench = Bench::new().await?;
    let agent = bench.agent().await?;
    for (name, count, window) in [("one at a time", ALONE, 1), ("64 waiting", TOGETHER, WINDOW)] {
        let before = Spent::of(agent.pid())?;
        let from = Instant::now();
        run(&mut bench, name, count, window).await?;
        let took = from.elapsed();
        let spent = Spent::of(agent.pid())?.since(&before);
        let rate = per_second(count, took);
        table.put_rate(&format!("durable `wait` tasks, {name}"), rate, floors.syncs());
        let each = |total: u64| total / u64::from(count);
        table.put("… bytes written for each", format!("{}", each(spent.bytes)));
        table.put("… processor time for each", format!("{} µs", each(spent.cpu_us)));
    }
    Ok(())
}

/// Runs `count` tasks to their end, `window` of them under way at most and half as many at least.
async fn run(bench: &mut Bench, name: &str, count: u32, window: u32) -> Result<()> {
    let name = name.replace(' ', "-");
    let (mut sent, mut done) = (0, 0);
    while done < count {
        if sent < count && sent - done <= window / 2 {
            let more = (window - (sent - done)).min(count - sent);
            let tasks = sent..sent + more;
            bench.send_all(tasks.map(|task| ask::wait(&format!("{name}-{task}"), 0))).await?;
            sent += more;
        }
        let told = bench.told("task.succeeded").await;
        told.with_context(|| format!("{done} of {sent} tasks are done, {name}"))?;
        done += 1;
    }
    Ok(())
}

/// What a process has used so far.
struct Spent {
    bytes: u64,
    cpu_us: u64,
}

impl Spent {
    fn of(pid: u32) -> Result<Self> {
        let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        Ok(Self { bytes: written.context("bytes written")?.parse()?, cpu_us: cpu_us(pid)? })
    }

    fn since(&self, before: &Self) -> Self {
        Self { bytes: self.bytes - before.bytes, cpu_us: self.cpu_us - before.cpu_us }
    }
}

/// Processor time of a process and its threads, in microseconds.
pub(crate) fn cpu_us(pid: u32) -> Result<u64> {
    let mut nanoseconds: u64 = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread that ends meanwhile takes its count along.
        let Ok(figures) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let first = figures.split_whitespace().next().context("schedstat has three figures")?;
        nanoseconds += first.parse::<u64>()?;
    }
    Ok(nanoseconds / 1_000)
}
