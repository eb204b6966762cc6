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

/// What was measured, as a table in Markdown: each line is printed once it is known.
pub(crate) struct Table;

impl Table {
    pub(crate) fn new() -> Self {
        line(&["what", "here", "floor, same run", "ratio"]);
        line(&["---"; 4]);
        Self
    }

    /// A figure that has no floor, or is one.
    #[expect(clippy::unused_self, reason = "a line belongs below its head")]
    pub(crate) fn put(&self, what: &str, figure: impl AsRef<str>) {
        line(&[what, figure.as_ref(), "", ""]);
    }

    /// A time beside the least that it could be.
    #[expect(clippy::unused_self, reason = "a line belongs below its head")]
    pub(crate) fn put_time(&self, what: &str, time: Duration, floor: Duration) {
        let ratio = format!("{:.1}", time.as_secs_f64() / floor.as_secs_f64());
        line(&[what, &millis(time), &millis(floor), &ratio]);
    }

    /// A rate beside another that bounds or explains it.
    #[expect(clippy::unused_self, reason = "a line belongs below its head")]
    pub(crate) fn put_rate(&self, what: &str, per_second: f64, floor: f64) {
        let ratio = format!("{:.2}", per_second / floor);
        line(&[what, &format!("{per_second:.0}/s"), &format!("{floor:.0}/s"), &ratio]);
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark is there to print")]
fn line(cells: &[&str; 4]) {
    println!("| {} |", cells.join(" | "));
}

/// A time in milliseconds.
pub(crate) fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

/// How many of `count` a second that makes.
pub(crate) fn per_second(count: u32, took: Duration) -> f64 {
    f64::from(count) / took.as_secs_f64()
}
