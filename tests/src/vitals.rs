//! What a process takes of the machine: memory, descriptors, threads.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Descriptors that come and go: a figure that is being read, a connection that is being made.
pub const FLEETING: usize = 3;

/// One look at a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vitals {
    /// Resident memory of its own. The pages of its program come and go with what others need.
    pub own_bytes: u64,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Threads.
    pub threads: usize,
}

impl Vitals {
    /// Of the process `pid`, now.
    ///
    /// # Errors
    /// It is gone.
    pub fn of(pid: u32) -> Result<Self> {
        let folder = Path::new("/proc").join(pid.to_string());
        let status = fs::read_to_string(folder.join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kilobytes: u64 = kilobytes.context("it has ended")?.parse()?;
        Ok(Self {
            own_bytes: kilobytes * 1024,
            descriptors: fs::read_dir(folder.join("fd"))?.count(),
            threads: fs::read_dir(folder.join("task"))?.count(),
        })
    }
}

/// How much `values`, taken at even distances, rise from the first to the last by the straight
/// line that fits them best: a value that came and went moves it little.
#[must_use]
pub fn rise(values: &[f64]) -> f64 {
    let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
    let middle = (count - 1.0) / 2.0;
    let mean = values.iter().sum::<f64>() / count;
    let places = (0_u32..).map(|place| f64::from(place) - middle);
    let (mut product, mut square) = (0.0, 0.0);
    for (place, value) in places.zip(values) {
        product += place * (value - mean);
        square += place * place;
    }
    if square == 0.0 { 0.0 } else { product / square * (count - 1.0) }
}

/// The bytes that the files below `folder` occupy on the disk.
///
/// # Errors
/// It can't be read.
pub fn occupied_bytes(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // A file that goes while it is looked at occupies nothing.
        let Ok(facts) = entry.metadata() else { continue };
        bytes += if facts.is_dir() { occupied_bytes(&entry.path())? } else { facts.blocks() * 512 };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rise_of_a_line_is_its_rise_and_a_spike_in_the_middle_is_none() {
        assert!((rise(&[1.0, 2.0, 3.0, 4.0]) - 3.0).abs() < 1e-9);
        assert!(rise(&[1.0, 1.0, 9.0, 1.0, 1.0]).abs() < 1e-9);
        assert!(rise(&[5.0]).abs() < 1e-9 && rise(&[4.0, 3.0]) < 0.0);
    }

    #[test]
    fn this_process_has_vitals() -> Result<()> {
        let own = Vitals::of(std::process::id())?;
        assert!(own.own_bytes > 100_000 && own.descriptors >= 3 && own.threads >= 1);
        Ok(())
    }
}
