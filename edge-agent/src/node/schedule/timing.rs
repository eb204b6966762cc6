//! When a schedule occurs: a cron expression, read on the clock of a time zone (contract, section 4).
//!
//! An occurrence comes when that clock first shows a time of the expression, or a later one. So what
//! daylight saving skips comes at the next valid minute, and what it shows twice comes the first
//! time. croner has rules of its own for that, which differ between expressions: it is asked about
//! times of day only, and never told of a zone.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, civil};

/// The longest time that a clock was ever set forward at once: Samoa left out a day.
const LONGEST_GAP_MINUTES: i64 = 24 * 60;
/// Years in which each of the 14 calendars occurs, by leap day and first weekday: no expression has
/// other dates than these, moved.
const CALENDARS: std::ops::RangeInclusive<i32> = 2001..=2028;

/// Why a schedule has no occurrences.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::node) enum Unusable {
    /// The expression can't be read.
    #[error("body.cron: {cron:?} can't be read: {}", .problem.escape_debug())]
    Cron {
        /// What was to be read.
        cron: String,
        /// What croner says.
        problem: String,
    },
    /// No date has a day of the expression, such as 30 February.
    #[error("body.cron: {cron:?} has no next occurrence: no year has such a day")]
    Never {
        /// The expression.
        cron: String,
    },
    /// There is no such zone.
    #[error("body.timezone: {timezone:?} is not the IANA name of a time zone")]
    Timezone {
        /// What was asked for.
        timezone: String,
    },
}

/// A cron expression and the zone whose clock it means.
#[derive(Debug)]
pub(in crate::node) struct Timing {
    cron: Cron,
    zone: TimeZone,
}

impl Timing {
    /// Reads an expression of five fields, or six with seconds, and the IANA name of a zone.
    pub(in crate::node) fn read(cron: &str, timezone: &str) -> Result<Self, Unusable> {
        let text = cron;
        let parser =
            CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|problem| Unusable::Cron {
            cron: text.to_owned(),
            problem: problem.to_string(),
        })?;
        let zone =
            zone(timezone).ok_or_else(|| Unusable::Timezone { timezone: timezone.to_owned() })?;
        let timing = Self { cron, zone };
        // croner would look through thousands of years for what never comes.
        if timing.has_a_date() {
            Ok(timing)
        } else {
            Err(Unusable::Never { cron: text.to_owned() })
        }
    }

    /// The first occurrence after `wall_ms`: UTC, milliseconds since the Unix epoch, as all instants here.
    pub(in crate::node) fn after(&self, wall_ms: u64) -> Option<u64> {
        let mut local = self.local(wall_ms)?;
        loop {
            local = self.cron.find_next_occurrence(&local.and_utc(), false).ok()?.naive_utc();
            let at = self.first_shown(local)?;
            // An hour that comes a second time has had its occurrences.
            if at > wall_ms {
                return Some(at);
            }
        }
    }

    /// The last occurrence up to and with `wall_ms`.
    pub(in crate::node) fn latest(&self, wall_ms: u64) -> Option<u64> {
        let mut local = self.latest_shown(wall_ms)?;
        loop {
            local = self.cron.find_previous_occurrence(&local.and_utc(), true).ok()?.naive_utc();
            let at = self.first_shown(local)?;
            if at <= wall_ms {
                return Some(at);
            }
            local -= TimeDelta::seconds(1);
        }
    }

    fn has_a_date(&self) -> bool {
        let pattern = &self.cron.pattern;
        CALENDARS.flat_map(|year| (1..=12).map(move |month| (year, month))).any(|(year, month)| {
            let first = NaiveDate::from_ymd_opt(year, month, 1);
            let in_month = move |date: &NaiveDate| date.month() == month;
            pattern.month_match(month).unwrap_or(false)
                && first
                    .into_iter()
                    .flat_map(|first| first.iter_days().take_while(in_month))
                    .any(|date| pattern.day_match(year, month, date.day()).unwrap_or(false))
        })
    }

    /// What the zone's clock shows, in whole seconds.
    fn local(&self, wall_ms: u64) -> Option<NaiveDateTime> {
        let seconds = i64::try_from(wall_ms / 1_000).ok()?;
        let ahead = self.zone.to_offset(Timestamp::from_second(seconds).ok()?);
        DateTime::from_timestamp(seconds, 0)?.naive_utc().checked_add_signed(delta(ahead))
    }

    /// The latest that the zone's clock has shown so far.
    fn latest_shown(&self, wall_ms: u64) -> Option<NaiveDateTime> {
        let local = self.local(wall_ms)?;
        match self.ahead(local)? {
            AmbiguousOffset::Fold { before, after } if instant(local, after)? <= wall_ms => {
                local.checked_add_signed(delta(before) - delta(after))
            }
            AmbiguousOffset::Fold { .. }
            | AmbiguousOffset::Gap { .. }
            | AmbiguousOffset::Unambiguous { .. } => Some(local),
        }
    }

    /// When the zone's clock first shows `local` or, where it skips that, the next minute after it.
    fn first_shown(&self, local: NaiveDateTime) -> Option<u64> {
        let minute = local.with_second(0)?;
        let later = (1..=LONGEST_GAP_MINUTES)
            .map_while(|minutes| minute.checked_add_signed(TimeDelta::minutes(minutes)));
        std::iter::once(local).chain(later).find_map(|local| match self.ahead(local)? {
            AmbiguousOffset::Unambiguous { offset: first }
            | AmbiguousOffset::Fold { before: first, .. } => instant(local, first),
            AmbiguousOffset::Gap { .. } => None,
        })
    }

    /// How far ahead of UTC the zone's clock is when it shows `local`.
    fn ahead(&self, local: NaiveDateTime) -> Option<AmbiguousOffset> {
        let field = |value: u32| i8::try_from(value).ok();
        let shown = civil::DateTime::new(
            i16::try_from(local.year()).ok()?,
            field(local.month())?,
            field(local.day())?,
            field(local.hour())?,
            field(local.minute())?,
            field(local.second())?,
            0,
        );
        Some(self.zone.to_ambiguous_timestamp(shown.ok()?).offset())
    }
}

/// The zone of this IANA name, as it is written there: compiled in, whatever the system has.
fn zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| zone.iana_name() == Some(name))
}

fn delta(ahead: Offset) -> TimeDelta {
    TimeDelta::seconds(i64::from(ahead.seconds()))
}

/// When a clock so far `ahead` of UTC shows `local`.
fn instant(local: NaiveDateTime, ahead: Offset) -> Option<u64> {
    let utc = local.checked_sub_signed(delta(ahead))?.and_utc();
    u64::try_from(utc.timestamp_millis()).ok()
}

#[cfg(test)]
mod tests;
