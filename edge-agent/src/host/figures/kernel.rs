//! The kernel's own texts under `/proc`, turned into figures.

use edge_protocol::presence::Traffic;

use super::Cpu;

/// The kernel tells processor time in ticks, and promises every program a hundred a second.
pub(super) const TICK_MS: u64 = 10;

/// `0.20 0.11 0.09 1/100 42`
pub(super) fn load_1m(loadavg: &str) -> Option<f64> {
    loadavg.split_ascii_whitespace().next()?.parse().ok()
}

/// The first line: `cpu  USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL GUEST GUEST_NICE`. A guest's
/// time is in USER already.
pub(super) fn cpu(stat: &str) -> Option<Cpu> {
    let ticks = stat.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace().take(8);
    let ticks: Vec<u64> = ticks.map(|ticks| ticks.parse().ok()).collect::<Option<_>>()?;
    let idle = ticks.get(3)? + ticks.get(4).copied().unwrap_or(0);
    let all: u64 = ticks.iter().sum();
    Some(Cpu { busy_ms: (all - idle) * TICK_MS, idle_ms: idle * TICK_MS })
}

/// The lines `cpu0`, `cpu1` and so on.
pub(super) fn cores(stat: &str) -> usize {
    let core = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    stat.lines().filter(core).count()
}

/// `MemTotal:        3884432 kB`
pub(super) fn memory_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Two lines of heads, then `  eth0: RECEIVED` seven more `SENT` seven more; a `:` may touch both.
pub(super) fn traffic(dev: &str) -> Vec<Traffic> {
    let mut interfaces: Vec<Traffic> = dev.lines().skip(2).filter_map(interface).collect();
    interfaces.sort_by(|one, other| one.interface.cmp(&other.interface));
    interfaces
}

fn interface(line: &str) -> Option<Traffic> {
    let (name, figures) = line.split_once(':')?;
    let name = name.trim();
    let mut figures = figures.split_ascii_whitespace();
    let received_bytes = figures.next()?.parse().ok()?;
    let sent_bytes = figures.nth(7)?.parse().ok()?;
    (name != "lo").then(|| Traffic { interface: name.to_owned(), received_bytes, sent_bytes })
}
