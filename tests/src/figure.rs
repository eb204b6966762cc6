//! What a run measured, one line each, for the table of `docs/reliability.md`.

use std::fmt::Display;
use std::io::Write as _;

/// Whether the long version of a test is wanted: `EDGE_AGENT_LONG` is set and not empty.
#[must_use]
pub fn is_long() -> bool {
    std::env::var_os("EDGE_AGENT_LONG").is_some_and(|long| !long.is_empty())
}

/// Prints a figure, also from a test that passes.
pub fn figure(part: &str, what: &str, value: impl Display) {
    // Not by `println!`, which a test that passes swallows. The test runner may have left a line
    // unfinished, so each figure begins one of its own.
    let _ = writeln!(std::io::stdout(), "\nFIGURE\t{part}\t{what}\t{value}");
}

/// Prints the median, the 99th percentile and the largest of `values`.
pub fn spread(part: &str, what: &str, mut values: Vec<u64>) {
    values.sort_unstable();
    let at = |percent: usize| values.get((values.len() * percent / 100).min(values.len() - 1));
    if let (Some(median), Some(high), Some(most)) = (at(50), at(99), values.last()) {
        figure(part, what, format_args!("p50 {median}, p99 {high}, max {most}"));
    }
}
