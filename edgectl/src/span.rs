//! Spans of time as an operator types and reads them: `1h30m`, `1 h 30 min`.

use edge_protocol::span::NotASpan;
pub(crate) use edge_protocol::span::Span;

/// A span of time forwards, or backwards with a `-` before it, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shift(i64);

impl Shift {
    /// So many milliseconds, negative backwards.
    pub(crate) fn ms(self) -> i64 {
        self.0
    }
}

impl std::str::FromStr for Shift {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (back, length) = match text.strip_prefix('-') {
            Some(length) => (true, length),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let length: Span = length.parse().map_err(|error: NotASpan| error.to_string())?;
        let ms = i64::try_from(length.ms()).map_err(|_| format!("{text:?} is too long"))?;
        Ok(Self(if back { -ms } else { ms }))
    }
}

/// A length as people say it: in its two largest units, rounded to the smaller of them,
/// `1 h 30 min`; below a minute to the millisecond, `4.5 s`.
pub(crate) fn said(ms: u64) -> String {
    match ms {
        0..60_000 => under_a_minute(ms),
        60_000..3_600_000 => two(ms, (60, "min"), (1, "s")),
        3_600_000..86_400_000 => two(ms, (3_600, "h"), (60, "min")),
        _ => two(ms, (86_400, "d"), (3_600, "h")),
    }
}

fn under_a_minute(ms: u64) -> String {
    match (ms / 1_000, ms % 1_000) {
        (0, ms) if ms > 0 => format!("{ms} ms"),
        (seconds, 0) => format!("{seconds} s"),
        (seconds, rest) => {
            let decimals = format!("{rest:03}");
            format!("{seconds}.{} s", decimals.trim_end_matches('0'))
        }
    }
}

/// In a larger and a smaller unit, each with its seconds.
fn two(ms: u64, large: (u64, &str), small: (u64, &str)) -> String {
    let in_small = (ms / 1_000 + small.0 / 2) / small.0;
    let parts =
        [(in_small * small.0 / large.0, large.1), (in_small % (large.0 / small.0), small.1)];
    let said = parts.into_iter().filter(|(count, _)| *count > 0);
    said.map(|(count, unit)| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

/// As [`said`], to the nearest second: for what is measured and not asked for.
pub(crate) fn about(ms: u64) -> String {
    if ms < 1_000 { said(ms) } else { said((ms + 500) / 1_000 * 1_000) }
}

/// A countdown: `1:29:59`, `4:07`, `0:09`; a started second counts.
pub(crate) fn countdown(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, minutes, seconds) => format!("{minutes}:{seconds:02}"),
        (hours, minutes, seconds) => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_goes_both_ways() {
        for (text, ms) in [("30m", 1_800_000), ("+30m", 1_800_000), ("-1m30s", -90_000)] {
            assert_eq!(text.parse(), Ok(Shift(ms)), "{text}");
        }
        for text in ["--5m", "-", "+", "-0s"] {
            assert!(text.parse::<Shift>().is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_are_told_as_people_say_them() {
        let told =
            [0, 7, 4_500, 59_000, 60_000, 90_000, 5_400_000, 5_399_600, 3_600_000, 183_600_000];
        let expected = [
            "0 s",
            "7 ms",
            "4.5 s",
            "59 s",
            "1 min",
            "1 min 30 s",
            "1 h 30 min",
            "1 h 30 min",
            "1 h",
            "2 d 3 h",
        ];
        assert_eq!(told.map(said), expected);
        assert_eq!([400, 4_499, 4_500].map(about), ["400 ms", "4 s", "5 s"]);
    }

    #[test]
    fn a_countdown_reaches_zero_when_the_time_is_up_and_not_before() {
        let shown = [0, 1, 1_000, 247_000, 3_600_000, 5_399_001].map(countdown);
        assert_eq!(shown, ["0:00", "0:01", "0:01", "4:07", "1:00:00", "1:30:00"]);
    }
}
