//! The same occurrences, found as a person with a calendar and much patience would: minute by
//! minute through a year, and with another library's word on the zones.

use std::sync::LazyLock;

use chrono::{Offset as _, TimeZone as _, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;
use crate::node::tests::cases;

const ZONES: [&str; 8] = [
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "America/New_York",
    "UTC",
    "Asia/Kolkata",
    "Africa/Cairo",
    "Europe/Dublin",
    "America/Nuuk",
];
const MINUTE: i64 = 60;
const YEAR: i32 = 2027;

/// When a zone's clock first showed which minute: each time that it shows one later than ever before.
struct Clock {
    zone: &'static str,
    first: Vec<(NaiveDateTime, i64)>,
}

static CLOCKS: LazyLock<Vec<Clock>> = LazyLock::new(|| ZONES.map(clock).into());

/// Midnight of New Year's day on a clock of UTC, in seconds.
fn new_year(year: i32) -> i64 {
    Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap().timestamp()
}

fn clock(zone: &'static str) -> Clock {
    let tz: Tz = zone.parse().unwrap();
    let mut first: Vec<(NaiveDateTime, i64)> = Vec::new();
    let mut minute = new_year(YEAR) - 2 * 24 * 60 * MINUTE;
    while minute < new_year(YEAR + 1) + 2 * 24 * 60 * MINUTE {
        let utc = DateTime::from_timestamp(minute, 0).unwrap().naive_utc();
        let shown = utc + tz.offset_from_utc_datetime(&utc).fix();
        if first.last().is_none_or(|(latest, _)| shown > *latest) {
            first.push((shown, minute));
        }
        minute += MINUTE;
    }
    Clock { zone, first }
}

/// An expression that is as easy to match as to write; an empty list is `*`.
#[derive(Debug, Clone)]
struct Wanted {
    minutes: Vec<u32>,
    hours: Vec<u32>,
    days: Vec<u32>,
    months: Vec<u32>,
}

impl Wanted {
    fn cron(&self) -> String {
        let fields = [&self.minutes, &self.hours, &self.days, &self.months].map(|list| {
            let list: Vec<_> = list.iter().map(ToString::to_string).collect();
            if list.is_empty() { "*".to_owned() } else { list.join(",") }
        });
        format!("{} *", fields.join(" "))
    }

    fn matches(&self, local: NaiveDateTime) -> bool {
        let among = |list: &[u32], value| list.is_empty() || list.contains(&value);
        among(&self.minutes, local.minute())
            && among(&self.hours, local.hour())
            && among(&self.days, local.day())
            && among(&self.months, local.month())
    }

    /// Each minute of the year, whether or not the clock shows it.
    fn occurrences(&self, clock: &Clock) -> Vec<u64> {
        let mut found: Vec<u64> = Vec::new();
        let mut local = DateTime::from_timestamp(new_year(YEAR), 0).unwrap().naive_utc();
        while local.year() == YEAR {
            if self.matches(local) {
                let position = clock.first.partition_point(|(shown, _)| *shown < local);
                let at = u64::try_from(clock.first[position].1).unwrap() * 1_000;
                if found.last() != Some(&at) {
                    found.push(at);
                }
            }
            local += TimeDelta::minutes(1);
        }
        found
    }
}

fn some(of: std::ops::Range<u32>, most: usize) -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(of, 0..=most)
}

fn wanted() -> impl Strategy<Value = Wanted> {
    // Hours in which clocks are set, more often than others.
    let hours = prop_oneof![some(0..4, 3), some(0..24, 4)];
    (some(0..60, 4), hours, some(1..29, 3), some(1..13, 4))
        .prop_map(|(minutes, hours, days, months)| Wanted { minutes, hours, days, months })
}

/// Compares a year of occurrences, each found from the one before, and as the latest until the next.
fn compare(clock: &Clock, wanted: &Wanted) {
    let expected = wanted.occurrences(clock);
    let timing = timing(&wanted.cron(), clock.zone);
    let mut before = None;
    for expected in expected {
        let next = timing.after(before.unwrap_or(expected - 1)).unwrap();
        assert_eq!(show(next), show(expected), "{} in {}", wanted.cron(), clock.zone);
        assert_eq!(timing.latest(next), Some(next), "{} in {}", wanted.cron(), clock.zone);
        if before.is_some() {
            assert_eq!(timing.latest(next - 1), before, "{} in {}", wanted.cron(), clock.zone);
        }
        before = Some(next);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(16)))]
    #[test]
    fn a_year_of_occurrences_is_what_a_walk_through_its_minutes_finds(
        wanted in wanted(),
        zone in 0..ZONES.len(),
    ) {
        compare(&CLOCKS[zone], &wanted);
    }
}

#[test]
fn each_minute_of_a_year_is_what_the_walk_finds() {
    let every = Wanted { minutes: vec![], hours: vec![], days: vec![], months: vec![] };
    CLOCKS.iter().take(cases(1) as usize).for_each(|clock| compare(clock, &every));
}
