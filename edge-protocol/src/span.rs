//! Spans of time as people type them: `1h30m`.

use std::str::FromStr;

const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 24 * 3_600_000)];

/// A span of time, in milliseconds: more than nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(u64);

/// What was typed is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no span of time: write it like 90s, 15m, 1h30m or 2d")]
pub struct NotASpan(String);

impl Span {
    /// So many milliseconds.
    #[must_use]
    pub fn ms(self) -> u64 {
        self.0
    }
}

impl FromStr for Span {
    type Err = NotASpan;

    /// Reads numbers with units, the larger before the smaller: `90s`, `1h30m`, `2d`, `500ms`.
    fn from_str(text: &str) -> Result<Self, NotASpan> {
        parsed(text).map(Self).ok_or_else(|| NotASpan(text.to_owned()))
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
            ("1m500ms", 60_500),
            ("0h5m", 300_000),
        ];
        for (text, ms) in right {
            assert_eq!(text.parse(), Ok(Span(ms)), "{text}");
        }
        let wrong = [
            "",
            "5",
            "m",
            "-5m",
            "1.5h",
            "1h 30m",
            "30m1h",
            "1m1m",
            "1h1h",
            "0s",
            "5min",
            "5M",
            "1hm",
            "99999999999999999999d",
            "300000000000d",
            "5ü",
        ];
        for text in wrong {
            let error = text.parse::<Span>().unwrap_err().to_string();
            assert!(error.contains("like 90s, 15m, 1h30m or 2d"), "{text}: {error}");
        }
    }
}
