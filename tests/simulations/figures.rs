//! What a run prints for the table of figures, and how long it took.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "the figures are for whoever runs it, and time that really passed is one of them"
)]

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// Prints one figure.
pub(crate) fn figure(what: &str, value: impl std::fmt::Display) {
    tests::figure::figure("simulator", what, value);
}

/// Prints a line for a person.
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Time that passes here, not in a simulated world.
pub(crate) struct Stopwatch {
    started: Instant,
    cpu: Duration,
}

fn cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), cpu: cpu() }
    }

    /// Seconds on the clock on the wall.
    pub(crate) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Seconds of one core that this process had meanwhile: others may have wanted it as well.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        (cpu() - self.cpu).as_secs_f64()
    }
}
