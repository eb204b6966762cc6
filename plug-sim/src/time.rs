//! Clocks: the machine's for plugs that run in real time, and dates as firmwares write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since the Unix epoch.
#[expect(
    clippy::disallowed_methods,
    reason = "what a plug did is dated, to be compared with what its owner says"
)]
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Whole milliseconds.
pub(crate) fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `2024-02-29T12:00:00`, in UTC.
pub(crate) fn iso8601(wall_ms: u64) -> String {
    let seconds = wall_ms / 1_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
}

/// The Gregorian date of a day since 1970-01-01: whole eras of 400 years, counted from a
/// 1 March, so that the leap day is a year's last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_gregorian() {
        let dates = [0, 951_782_400_000, 1_709_208_000_000, 1_735_689_599_999].map(iso8601);
        let expected = [
            "1970-01-01T00:00:00",
            "2000-02-29T00:00:00",
            "2024-02-29T12:00:00",
            "2024-12-31T23:59:59",
        ];
        assert_eq!(dates, expected);
    }
}
