//! The figures of the machine, for telemetry and `node.report`.
//!
//! A figure that a machine does not have is absent, never an error and never a guess.

use std::fs;
use std::path::Path;

use edge_protocol::presence::Telemetry;
use nix::sys::statvfs::statvfs;
use nix::unistd::{SysconfVar, sysconf};

use crate::node::time::Now;

/// What the machine measures of itself at `now`; the disk is the one that holds `data_dir`.
#[must_use]
pub fn telemetry(now: Now, data_dir: &Path) -> Telemetry {
    Telemetry {
        at_ms: now.wall_ms,
        uptime_ms: now.boot.uptime_ms(),
        load_1m: text("/proc/loadavg").as_deref().and_then(load_1m),
        cpu_c: text("/sys/class/thermal/thermal_zone0/temp").as_deref().and_then(celsius),
        memory_available_bytes: text("/proc/meminfo")
            .and_then(|text| memory_bytes(&text, "MemAvailable:")),
        disk_available_bytes: disk_available_bytes(data_dir),
        agent_rss_bytes: agent_rss_bytes(),
    }
}

/// The machine in words, such as `Raspberry Pi 4 Model B Rev 1.4, 3794 MiB`.
#[must_use]
pub fn hardware() -> String {
    let model = [
        "/proc/device-tree/model",
        "/sys/class/dmi/id/product_name",
        "/sys/devices/virtual/dmi/id/board_name",
    ]
    .into_iter()
    .filter_map(text)
    // The device tree ends its texts with a NUL.
    .map(|model| model.trim_matches(['\0', '\n', ' ']).to_owned())
    .find(|model| !model.is_empty())
    .unwrap_or_else(|| format!("{} machine", std::env::consts::ARCH));
    match text("/proc/meminfo").and_then(|text| memory_bytes(&text, "MemTotal:")) {
        Some(bytes) => format!("{model}, {} MiB", bytes / (1024 * 1024)),
        None => model,
    }
}

/// Bytes that an ordinary user may still write beside `path`.
#[must_use]
#[allow(clippy::useless_conversion, reason = "these are u32 where a machine word is")]
pub fn disk_available_bytes(path: &Path) -> Option<u64> {
    let disk = statvfs(path).ok()?;
    u64::from(disk.blocks_available()).checked_mul(u64::from(disk.fragment_size()))
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn load_1m(loadavg: &str) -> Option<f64> {
    loadavg.split_ascii_whitespace().next()?.parse().ok()
}

/// The kernel tells thousandths of a degree.
fn celsius(temperature: &str) -> Option<f64> {
    let thousandths: i32 = temperature.trim().parse().ok()?;
    Some(f64::from(thousandths) / 1000.0)
}

/// A line of `/proc/meminfo` is `MemTotal:        3884432 kB`.
fn memory_bytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The second figure of `/proc/self/statm`: pages in memory.
fn agent_rss_bytes() -> Option<u64> {
    let pages: u64 = text("/proc/self/statm")?.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page_bytes = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    pages.checked_mul(page_bytes.try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::time::BootMs;

    #[test]
    fn the_kernels_texts_become_figures_in_the_contracts_units() {
        assert_eq!(load_1m("0.20 0.11 0.09 1/100 42\n"), Some(0.2));
        assert_eq!(celsius("48312\n"), Some(48.312));
        let meminfo = "MemTotal:        3884432 kB\nMemAvailable:    1000000 kB\n";
        assert_eq!(memory_bytes(meminfo, "MemTotal:"), Some(3_884_432 * 1024));
        assert_eq!(memory_bytes(meminfo, "MemAvailable:"), Some(1_024_000_000));
    }

    #[test]
    fn a_figure_that_the_machine_does_not_have_is_absent() {
        assert_eq!(load_1m(""), None);
        assert_eq!(celsius("N/A"), None);
        assert_eq!(memory_bytes("MemTotal: lots", "MemTotal:"), None);
        assert_eq!(disk_available_bytes(Path::new("/no/such/directory")), None);
    }

    #[test]
    fn this_machine_has_figures() {
        let now = Now { boot: BootMs(7), wall_ms: 9, synced: false };
        let telemetry = telemetry(now, Path::new("/"));
        assert_eq!((telemetry.at_ms, telemetry.uptime_ms), (9, 7));
        assert!(telemetry.memory_available_bytes.unwrap() > 0);
        assert!(telemetry.agent_rss_bytes.unwrap() > 100_000);
        assert!(telemetry.disk_available_bytes.is_some());
        assert!(hardware().ends_with(" MiB"));
    }
}
