//! Instants as an operator types and reads them, in the time zone of this machine: `18:00`,
//! `2025-11-21T18:00:00+01:00`.
//!
//! The time zone is an argument, so that a test needs none of its machine.

use chrono::{DateTime, Days, Local, NaiveDateTime, NaiveTime, Offset as _, TimeZone};

/// An instant as it was typed: a time of day means its next occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Instant {
    /// `18:00`, `18:00:30`.
    TimeOfDay(NaiveTime),
    /// `2025-11-21 18:00`, in the zone of this machine.
    LocalDate(NaiveDateTime),
    /// RFC 3339, with its offset; milliseconds since the Unix epoch.
    Fixed(i64),
}

impl std::str::FromStr for Instant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let times = ["%H:%M", "%H:%M:%S"];
        if let Some(time) = times.iter().find_map(|f| NaiveTime::parse_from_str(text, f).ok()) {
            return Ok(Self::TimeOfDay(time));
        }
        if let Ok(fixed) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Fixed(fixed.timestamp_millis()));
        }
        let dates = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
        let local = dates.iter().find_map(|f| NaiveDateTime::parse_from_str(text, f).ok());
        local.map(Self::LocalDate).ok_or_else(|| {
            format!(
                "{text:?} is no instant: write it like 18:00, \"2025-11-21 18:00\" or 2025-11-21T18:00:00+01:00"
            )
        })
    }
}

impl Instant {
    /// Which instant that is, in milliseconds since the Unix epoch, when it is `now_ms` and the
    /// zone is this machine's.
    ///
    /// # Errors
    /// It lies in the past or beyond the calendar, or daylight saving skips it.
    pub(crate) fn at_ms(self, now_ms: u64) -> Result<u64, String> {
        self.at_ms_in(now_ms, &Local)
    }

    fn at_ms_in<Z: TimeZone>(self, now_ms: u64, zone: &Z) -> Result<u64, String> {
        let ms = match self {
            Self::Fixed(ms) => ms,
            Self::LocalDate(local) => named(local, zone)?,
            Self::TimeOfDay(time) => {
                let today = moment(now_ms, zone)?.date_naive();
                let at = named(today.and_time(time), zone);
                match at {
                    Ok(ms) if u64::try_from(ms).is_ok_and(|ms| ms > now_ms) => ms,
                    Ok(_) | Err(_) => {
                        let tomorrow = today.checked_add_days(Days::new(1));
                        let tomorrow = tomorrow.ok_or("it is beyond the calendar")?;
                        named(tomorrow.and_time(time), zone)?
                    }
                }
            }
        };
        let ms = u64::try_from(ms).map_err(|_| "it is before 1970".to_owned())?;
        if ms > now_ms { Ok(ms) } else { Err(format!("{} is over", said_in(ms, now_ms, zone))) }
    }
}

/// The first instant that has this name.
fn named<Z: TimeZone>(local: NaiveDateTime, zone: &Z) -> Result<i64, String> {
    let at = zone.from_local_datetime(&local).earliest();
    at.map(|at| at.timestamp_millis())
        .ok_or_else(|| format!("{local} does not exist here: daylight saving skips it"))
}

fn moment<Z: TimeZone>(ms: u64, zone: &Z) -> Result<DateTime<Z>, String> {
    let ms = i64::try_from(ms).map_err(|_| "it is beyond the calendar".to_owned())?;
    zone.timestamp_millis_opt(ms).single().ok_or_else(|| "it is beyond the calendar".to_owned())
}

/// An instant as people say it, in this machine's zone: the time alone where it is the same day
/// as `now_ms`, else with its date.
pub(crate) fn said(at_ms: u64, now_ms: u64) -> String {
    said_in(at_ms, now_ms, &Local)
}

fn said_in<Z: TimeZone>(at_ms: u64, now_ms: u64, zone: &Z) -> String {
    // To the nearest second: a clock that ticks a millisecond apart makes no other instant.
    let nearest_ms = at_ms.saturating_add(500) / 1_000 * 1_000;
    let Ok(at) = moment(nearest_ms, zone) else { return format!("{at_ms} ms after 1970") };
    let same_day = moment(now_ms, zone).is_ok_and(|now| now.date_naive() == at.date_naive());
    let local = at.naive_utc() + at.offset().fix();
    local.format(if same_day { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" }).to_string()
}

/// The day of an instant, in this machine's zone: `2027-03-01`.
pub(crate) fn day(at_ms: u64) -> String {
    moment(at_ms, &Local).map_or_else(|error| error, |at| at.date_naive().to_string())
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    /// 2025-11-21 14:00 in a zone one hour ahead of UTC.
    const NOW_MS: u64 = 1_763_730_000_000;

    fn zone() -> FixedOffset {
        FixedOffset::east_opt(3_600).unwrap()
    }

    fn at(text: &str) -> Result<u64, String> {
        text.parse::<Instant>()?.at_ms_in(NOW_MS, &zone())
    }

    #[test]
    fn a_time_of_day_is_its_next_occurrence() {
        assert_eq!(at("18:00"), Ok(NOW_MS + 4 * 3_600_000));
        assert_eq!(at("18:00:30"), Ok(NOW_MS + 4 * 3_600_000 + 30_000));
        assert_eq!(at("14:00"), Ok(NOW_MS + 24 * 3_600_000), "now is over");
        assert_eq!(at("02:00"), Ok(NOW_MS + 12 * 3_600_000));
    }

    #[test]
    fn a_date_is_of_this_zone_unless_it_names_its_offset() {
        let six_pm = Ok(NOW_MS + 4 * 3_600_000);
        for text in [
            "2025-11-21 18:00",
            "2025-11-21T18:00:00",
            "2025-11-21T18:00:00+01:00",
            "2025-11-21T17:00:00Z",
        ] {
            assert_eq!(at(text), six_pm, "{text}");
        }
    }

    #[test]
    fn what_is_over_or_unreadable_is_refused_with_an_example() {
        assert_eq!(at("2025-11-21 13:00"), Err("13:00:00 is over".to_owned()));
        assert_eq!(at("2024-11-21 13:00"), Err("2024-11-21 13:00:00 is over".to_owned()));
        for text in ["", "6pm", "25:00", "tomorrow", "2025-13-01 10:00", "1763730000000"] {
            let error = at(text).unwrap_err();
            assert!(error.contains("like 18:00"), "{text}: {error}");
        }
    }

    #[test]
    fn an_instant_is_told_with_its_date_where_it_is_another_day() {
        let told = |ms| said_in(ms, NOW_MS, &zone());
        assert_eq!(told(NOW_MS + 1_800_000), "14:30:00");
        assert_eq!(told(NOW_MS + 1_799_999), "14:30:00");
        assert_eq!(told(NOW_MS + 12 * 3_600_000), "2025-11-22 02:00:00");
        assert_eq!(told(u64::MAX), format!("{} ms after 1970", u64::MAX));
    }
}
