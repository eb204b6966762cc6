//! What the agent takes while nothing happens.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use edge_protocol::codec::Encoding;
use edgectl::lab::agent::find_agent;
use edgectl::lab::site::Site;
use tokio::time::sleep;

use crate::Bench;
use crate::figures::Table;
use crate::throughput::cpu_us;

/// Until what the start left behind is done.
const SETTLE: Duration = Duration::from_secs(5);
/// How long it is watched.
const WATCH: Duration = Duration::from_secs(30);

pub(crate) async fn measure(table: &Table) -> Result<()> {
    let bare = Site::start(&"pi-0042".parse()?, Encoding::Cbor).await?;
    bare.configure("")?;
    idle(table, "no plug", &bare).await?;
    let bench = Bench::new().await?;
    idle(table, "one polled plug", &bench.site).await?;
    let size = fs::metadata(find_agent()?)?.len();
    table.put("program, stripped", format!("{:.1} MB", bytes(size) / 1e6));
    Ok(())
}

async fn idle(table: &Table, what: &str, site: &Site) -> Result<()> {
    // The lab is in a hurry to notice a dead link; a node has its default.
    let config = site.folder().join("agent.toml");
    let hurried = fs::read_to_string(&config)?;
    fs::write(&config, hurried.replace("keep_alive_ms = 5000\n", ""))?;
    let agent = site.agent().await?;
    sleep(SETTLE).await;
    let (cpu, woken) = (cpu_us(agent.pid())?, wakeups(agent.pid())?);
    sleep(WATCH).await;
    let cpu = Duration::from_micros(cpu_us(agent.pid())? - cpu);
    let woken = wakeups(agent.pid())? - woken;
    let share = cpu.as_secs_f64() / WATCH.as_secs_f64();
    table.put(
        &format!("idle, {what}: memory (PSS)"),
        format!("{:.1} MB", bytes(pss_bytes(agent.pid())?) / 1e6),
    );
    table.put(
        &format!("idle, {what}: wake-ups"),
        format!("{:.1}/s", bytes(woken) / WATCH.as_secs_f64()),
    );
    table.put(&format!("idle, {what}: processor"), format!("{:.2} s/h", share * 3_600.0));
    Ok(())
}

/// As a number to calculate with; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn bytes(count: u64) -> f64 {
    count as f64
}

/// Memory of its own and its share of what it shares.
fn pss_bytes(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("Pss")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}

/// How often any of its threads gave up the processor to wait.
fn wakeups(pid: u32) -> Result<u64> {
    let mut count = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(thread?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count += line.context("context switches")?.trim().parse::<u64>()?;
    }
    Ok(count)
}
