//! The figures of the machine, for telemetry, `node.report`, the page and `/metrics`.
//!
//! A figure that a machine does not have is absent, never an error and never a guess. Reading
//! them may wait for a file system that hangs: never on the loop's thread but before the loop runs.

mod board;
mod disk;
mod kernel;
mod process;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use edge_protocol::presence::{Spares, Telemetry, Throttle, Traffic};

use crate::node::time::Now;

/// Where the machine tells its figures.
#[derive(Debug, Clone)]
pub struct Machine {
    /// `/`, but in a test.
    root: PathBuf,
    /// On the disk whose figures count.
    data_dir: PathBuf,
}

/// What the machine measured of itself at one time. Counters count from the boot.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// The one-minute load average.
    pub load_1m: Option<f64>,
    /// What its processors have spent.
    pub cpu: Option<Cpu>,
    /// The processor's temperature.
    pub cpu_c: Option<f64>,
    /// What slows the processor down.
    pub throttling: Option<Throttling>,
    /// Memory that programs could still have.
    pub memory_available_bytes: Option<u64>,
    /// All the memory there is.
    pub memory_bytes: Option<u64>,
    /// Of the data directory's file system: what an ordinary user may still write, and all of it.
    pub disk_space: Option<Space>,
    /// What everybody wrote to the data directory's disk.
    pub disk_written_bytes: Option<u64>,
    /// How much of its life that disk has spent, at most: 10 to 100 in tens, 110 beyond its time.
    pub disk_worn_percent: Option<u32>,
    /// How many of its spare blocks that disk has used.
    pub disk_spares: Option<Spares>,
    /// Each interface but loopback, by name.
    pub network: Vec<Traffic>,
    /// The agent itself.
    pub agent: Agent,
}

/// Processor time since the boot, of all processors together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpu {
    /// At work.
    pub busy_ms: u64,
    /// Idle, or waiting for a disk.
    pub idle_ms: u64,
}

/// What slows a Raspberry Pi down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throttling {
    /// Now.
    pub now: Vec<Throttle>,
    /// Earlier, as far as the firmware remembers; absent where it can't.
    pub earlier: Option<Vec<Throttle>>,
}

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// What an ordinary user may still write.
    pub available_bytes: u64,
    /// All of it.
    pub bytes: u64,
}

/// The agent's own process.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Agent {
    /// Memory it occupies, what it shares included.
    pub rss_bytes: Option<u64>,
    /// Processor time it has spent.
    pub cpu_ms: Option<u64>,
    /// What it has given to storage.
    pub written_bytes: Option<u64>,
    /// Files and sockets it holds open.
    pub open_files: Option<u64>,
    /// What its store occupies.
    pub store_bytes: Option<u64>,
}

impl Machine {
    /// This machine, with the disk that holds `data_dir`.
    #[must_use]
    pub fn of(data_dir: &Path) -> Self {
        Self::rooted(Path::new("/"), data_dir)
    }

    /// A machine whose kernel shows itself below `root`.
    pub(crate) fn rooted(root: &Path, data_dir: &Path) -> Self {
        Self { root: root.to_owned(), data_dir: data_dir.to_owned() }
    }

    /// Reads what there is.
    #[must_use]
    pub fn read(&self) -> Figures {
        let meminfo = self.text("proc/meminfo");
        let memory = |name| meminfo.as_deref().and_then(|text| kernel::memory_bytes(text, name));
        let disk = disk::Disk::under(self);
        Figures {
            load_1m: self.text("proc/loadavg").as_deref().and_then(kernel::load_1m),
            cpu: self.text("proc/stat").as_deref().and_then(kernel::cpu),
            cpu_c: board::celsius(self),
            throttling: board::throttling(self),
            memory_available_bytes: memory("MemAvailable:"),
            memory_bytes: memory("MemTotal:"),
            disk_space: disk::space(&self.data_dir),
            disk_written_bytes: disk.as_ref().and_then(disk::Disk::written_bytes),
            disk_worn_percent: disk.as_ref().and_then(disk::Disk::worn_percent),
            disk_spares: disk.as_ref().and_then(disk::Disk::spares),
            network: self.text("proc/net/dev").as_deref().map_or_else(Vec::new, kernel::traffic),
            agent: process::agent(self),
        }
    }

    /// The machine in words, such as `Raspberry Pi 4 Model B Rev 1.4, 4 cores, 3794 MiB, SD card SC32G`.
    #[must_use]
    pub fn hardware(&self) -> String {
        let mut words = vec![board::model(self)];
        match self.text("proc/stat").as_deref().map_or(0, kernel::cores) {
            0 => {}
            1 => words.push("1 core".to_owned()),
            cores => words.push(format!("{cores} cores")),
        }
        let meminfo = self.text("proc/meminfo");
        let memory = meminfo.and_then(|text| kernel::memory_bytes(&text, "MemTotal:"));
        words.extend(memory.map(|bytes| format!("{} MiB", bytes >> 20)));
        words.extend(disk::Disk::under(self).and_then(|disk| disk.name()));
        words.join(", ")
    }

    /// A small text file of the kernel's, below the root.
    fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        std::fs::read_to_string(self.root.join(path)).ok()
    }
}

impl Figures {
    /// These figures, read at `now`, as the contract's telemetry; `before` is the reading before.
    #[must_use]
    pub fn telemetry(&self, now: Now, before: Option<&Self>) -> Telemetry {
        let earlier = before.and_then(|before| before.cpu);
        let throttling = self.throttling.as_ref();
        Telemetry {
            at_ms: now.wall_ms,
            uptime_ms: now.boot.uptime_ms(),
            load_1m: self.load_1m,
            cpu_percent: self.cpu.and_then(|cpu| cpu.percent_since(earlier)),
            cpu_c: self.cpu_c,
            throttled: throttling.map(|throttling| throttling.now.clone()),
            throttled_earlier: throttling.and_then(|throttling| throttling.earlier.clone()),
            memory_available_bytes: self.memory_available_bytes,
            memory_bytes: self.memory_bytes,
            disk_available_bytes: self.disk_space.map(|space| space.available_bytes),
            disk_bytes: self.disk_space.map(|space| space.bytes),
            disk_written_bytes: self.disk_written_bytes,
            disk_worn_percent: self.disk_worn_percent,
            disk_spares: self.disk_spares,
            network: self.network.clone(),
            agent_rss_bytes: self.agent.rss_bytes,
            agent_cpu_ms: self.agent.cpu_ms,
            agent_written_bytes: self.agent.written_bytes,
        }
    }
}

impl Cpu {
    /// How busy they were since `earlier`, or since the boot; absent where no time has passed.
    fn percent_since(self, earlier: Option<Self>) -> Option<f64> {
        let earlier = earlier.unwrap_or(Self { busy_ms: 0, idle_ms: 0 });
        let busy_ms = self.busy_ms.saturating_sub(earlier.busy_ms);
        let idle_ms = self.idle_ms.saturating_sub(earlier.idle_ms);
        // In tenths of a percent: nobody reads more, and a float then holds them exactly enough.
        let tenths = (busy_ms * 1_000).checked_div(busy_ms + idle_ms)?;
        u32::try_from(tenths).ok().map(|tenths| f64::from(tenths) / 10.0)
    }
}
