//! Spans of time as people type and read them: `1h30m`, `1 h 30 min`.

pub use edge_protocol::span::Span;

/// Days, hours, minutes and seconds: the two largest that are not 0 in front, rounded up.
#[must_use]
pub fn said(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    match (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes} min"),
        (days, hours, _, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_in_its_two_largest_units() {
        let told = [0, 1, 59_000, 60_000, 3_599_001, 5_400_000, 86_400_000, 183_600_000].map(said);
        let expected =
            ["0 s", "1 s", "59 s", "1 min 0 s", "1 h 0 min", "1 h 30 min", "1 d 0 h", "2 d 3 h"];
        assert_eq!(told, expected);
    }
}
