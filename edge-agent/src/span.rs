//! Spans of time as people type and read them: `1h30m`, `1 h 30 min`.

use std::str::FromStr;

const UNITS: [(&str, u64); 4] = [("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A span of time, in milliseconds: more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

impl Span {
    /// So many milliseconds.
    #[must_use]
    pub fn ms(self) -> u64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = String;

    /// Reads numbers with units, the larger before the smaller: `90s`, `15m`, `1h30m`, `2d`.
    fn from_str(text: &str) -> Result<Self, String> {
        parsed(text).map(Self).ok_or_else(|| {
            format!("{text:?} is no span of time: write it like 90s, 15m, 1h30m or 2d")
        })
    }
}

fn parsed(text: &str) -> Option<u64> {
    let (mut rest, mut sum, mut last) = (text, 0_u64, u64::MAX);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (name, after) = after.split_at(letters);
        let (_, unit) = UNITS.iter().find(|(unit, ms)| *unit == name && *ms < last)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*unit)?)?;
        (rest, last) = (after, *unit);
    }
    (sum > 0).then_some(sum)
}

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
    fn a_span_is_numbers_with_units_from_the_largest_on() {
        let right = [
            ("90s", 90_000),
            ("15m", 900_000),
            ("1h30m", 5_400_000),
            ("2d", 172_800_000),
            ("0h5m", 300_000),
        ];
        for (text, ms) in right {
            assert_eq!(text.parse(), Ok(Span(ms)), "{text}");
        }
        let wrong = [
            "",
            "5",
            "h",
            "1m1h",
            "1m1m",
            "1x",
            "-1m",
            "1.5h",
            "0s",
            "1h 30m",
            "99999999999999999d",
        ];
        for text in wrong {
            let error = text.parse::<Span>().unwrap_err();
            assert!(error.contains("like 90s, 15m, 1h30m or 2d"), "{text}: {error}");
        }
    }

    #[test]
    fn a_span_is_said_in_its_two_largest_units() {
        let told = [0, 1, 59_000, 60_000, 3_599_001, 5_400_000, 86_400_000, 183_600_000].map(said);
        let expected =
            ["0 s", "1 s", "59 s", "1 min 0 s", "1 h 0 min", "1 h 30 min", "1 d 0 h", "2 d 3 h"];
        assert_eq!(told, expected);
    }
}
