//! What a process costs, as the kernel counts it.

use std::fs::read_to_string;

use anyhow::{Context as _, Result};

/// Memory that is resident, in KiB.
pub(crate) fn resident_kib(pid: u32) -> Result<u64> {
    let status = read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// Processor time that it used so far, in hundredths of a second.
pub(crate) fn ticks(pid: u32) -> Result<u64> {
    let stat = read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may have blanks, and stands in parentheses.
    let behind = stat.rsplit_once(')').context("the process's name")?.1;
    let mut fields = behind.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    let mut next = || fields.next().context("its times")?.context("a number");
    Ok(next()? + next()?)
}
