//! Spreads of what was measured, and the table of them.

use std::time::Duration;

/// Times of one thing, in order of size.
pub(crate) struct Spread(Vec<Duration>);

impl Spread {
    /// # Panics
    /// Nothing was measured.
    pub(crate) fn of(mut times: Vec<Duration>) -> Self {
        assert!(!times.is_empty(), "nothing was measured");
        times.sort_unstable();
        Self(times)
    }

    fn at(&self, percent: usize) -> Duration {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }

    pub(crate) fn p50(&self) -> Duration {
        self.at(50)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.at(99)
    }

    pub(crate) fn worst(&self) -> Duration {
        self.at(100)
    }
}

/// What was measured, line by line.
pub(crate) struct Table {
    lines: Vec<[String; 4]>,
}

impl Table {
    pub(crate) fn new() -> Self {
        let heads = ["what", "here", "floor, same run", "ratio"].map(str::to_owned);
        Self { lines: vec![heads, std::array::from_fn(|_| "---".to_owned())] }
    }

    /// A figure that has no floor, or is one.
    pub(crate) fn put(&mut self, what: &str, figure: impl Into<String>) {
        self.lines.push([what.to_owned(), figure.into(), String::new(), String::new()]);
    }

    /// A time beside the least that it could be.
    pub(crate) fn put_time(&mut self, what: &str, time: Duration, floor: Duration) {
        let ratio = format!("{:.1}", time.as_secs_f64() / floor.as_secs_f64());
        self.lines.push([what.to_owned(), millis(time), millis(floor), ratio]);
    }

    /// A rate beside another that bounds or explains it.
    pub(crate) fn put_rate(&mut self, what: &str, per_second: f64, floor: f64) {
        let ratio = format!("{:.2}", per_second / floor);
        let rate = |rate: f64| format!("{rate:.0}/s");
        self.lines.push([what.to_owned(), rate(per_second), rate(floor), ratio]);
    }

    /// Prints it as a table in Markdown.
    #[expect(clippy::print_stdout, reason = "a benchmark is there to print")]
    pub(crate) fn print(&self) {
        for line in &self.lines {
            println!("| {} |", line.join(" | "));
        }
    }
}

/// A time in milliseconds.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// How many of `count` a second that makes.
pub(crate) fn per_second(count: u32, took: Duration) -> f64 {
    f64::from(count) / took.as_secs_f64()
}
