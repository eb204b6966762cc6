//! Occurrences on the clocks of zones, by hand and against a naive reference.

mod reference;

use super::*;

/// An instant as people write it.
fn utc(text: &str) -> u64 {
    let at = text.parse::<DateTime<chrono::Utc>>().unwrap();
    u64::try_from(at.timestamp_millis()).unwrap()
}

fn show(at_ms: u64) -> String {
    let at = DateTime::from_timestamp_millis(i64::try_from(at_ms).unwrap()).unwrap();
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn timing(cron: &str, timezone: &str) -> Timing {
    Timing::read(cron, timezone).unwrap()
}

/// The first occurrences after an instant.
fn next(cron: &str, timezone: &str, after: &str, count: usize) -> Vec<String> {
    let timing = timing(cron, timezone);
    let occurrences =
        std::iter::successors(timing.after(utc(after)), |at| timing.after(*at)).take(count);
    occurrences.map(show).collect()
}

#[test]
fn five_fields_are_minutes_and_six_have_seconds_in_front() {
    let from = "2026-11-21T08:00:00Z";
    assert_eq!(next("30 9 * * *", "UTC", from, 1), ["2026-11-21T09:30:00Z"]);
    assert_eq!(next("15 30 9 * * *", "UTC", from, 1), ["2026-11-21T09:30:15Z"]);
    let each_ten = ["2026-11-21T08:00:10Z", "2026-11-21T08:00:20Z"];
    assert_eq!(next("*/10 * * * * *", "UTC", from, 2), each_ten);
    assert_eq!(next("0 4 * * MON", "UTC", from, 1), ["2026-11-23T04:00:00Z"]);
    assert_eq!(next("0 4 L * *", "UTC", from, 1), ["2026-11-30T04:00:00Z"]);
    let either = ["2026-11-22T00:00:00Z", "2026-11-25T00:00:00Z"];
    assert_eq!(next("0 0 25 * SUN", "UTC", from, 2), either, "a day of the month or of the week");
}

#[test]
fn a_local_time_that_is_skipped_comes_at_the_next_valid_minute() {
    for (zone, cron, from, expected) in [
        // 02:00 to 03:00 is not on the clock.
        ("Europe/Berlin", "30 2 * * *", "2027-03-27T12:00:00Z", "2027-03-28T01:00:00Z"),
        ("Europe/Berlin", "30 30 2 * * *", "2027-03-27T12:00:00Z", "2027-03-28T01:00:00Z"),
        ("America/New_York", "59 2 * * *", "2027-03-13T12:00:00Z", "2027-03-14T07:00:00Z"),
        // 02:00 to 02:30 is not.
        ("Australia/Lord_Howe", "15 2 * * *", "2027-10-02T00:00:00Z", "2027-10-02T15:30:00Z"),
        // 00:00 to 01:00 is not.
        ("Asia/Beirut", "0 0 * * *", "2027-03-27T12:00:00Z", "2027-03-27T22:00:00Z"),
        // A whole day is not.
        ("Pacific/Apia", "0 12 30 12 *", "2011-12-29T23:00:00Z", "2011-12-30T10:00:00Z"),
    ] {
        assert_eq!(next(cron, zone, from, 1), [expected], "{zone}");
    }
    // And the day after at its own time.
    let berlin = next("30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", 2);
    assert_eq!(berlin[1], "2027-03-29T00:30:00Z");
}

#[test]
fn several_times_in_one_gap_and_the_time_at_its_end_are_one_occurrence() {
    let each_ten = next("*/20 * * * *", "Europe/Berlin", "2027-03-28T00:30:00Z", 3);
    assert_eq!(each_ten, ["2027-03-28T00:40:00Z", "2027-03-28T01:00:00Z", "2027-03-28T01:20:00Z"]);
}

#[test]
fn a_local_time_that_comes_twice_comes_the_first_time() {
    for (zone, cron, from, expected) in [
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2027-10-30T12:00:00Z",
            ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"],
        ),
        (
            "America/New_York",
            "0 1 * * *",
            "2027-11-06T12:00:00Z",
            ["2027-11-07T05:00:00Z", "2027-11-08T06:00:00Z"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2027-04-03T00:00:00Z",
            ["2027-04-03T14:45:00Z", "2027-04-04T15:15:00Z"],
        ),
        // Intervals too: what the clock showed once has had its occurrence.
        (
            "Europe/Berlin",
            "*/30 * * * *",
            "2027-10-31T00:10:00Z",
            ["2027-10-31T00:30:00Z", "2027-10-31T02:00:00Z"],
        ),
    ] {
        assert_eq!(next(cron, zone, from, 2), expected, "{zone}");
    }
}

#[test]
fn within_the_hour_that_comes_again_the_next_is_after_it_and_the_latest_before_it() {
    let each_second = timing("* * * * * *", "Europe/Berlin");
    let second_pass = utc("2027-10-31T01:17:00Z");
    assert_eq!(each_second.after(second_pass).map(show).unwrap(), "2027-10-31T02:00:00Z");
    assert_eq!(each_second.latest(second_pass).map(show).unwrap(), "2027-10-31T00:59:59Z");
    let first_pass = utc("2027-10-31T00:17:00Z");
    assert_eq!(each_second.latest(first_pass), Some(first_pass));
}

#[test]
fn the_latest_is_the_one_before_the_next_and_an_occurrence_is_its_own_latest() {
    let timing = timing("30 2 * * *", "Europe/Berlin");
    let gap = utc("2027-03-28T01:00:00Z");
    assert_eq!(timing.latest(gap), Some(gap));
    assert_eq!(timing.latest(gap + 999), Some(gap));
    assert_eq!(timing.latest(gap - 1).map(show).unwrap(), "2027-03-27T01:30:00Z");
    assert_eq!(timing.after(gap - 1), Some(gap));
}

#[test]
fn rare_days_are_found_and_those_of_no_year_refused() {
    let from = "2026-11-21T08:00:00Z";
    assert_eq!(next("0 0 29 2 *", "UTC", from, 1), ["2028-02-29T00:00:00Z"]);
    assert_eq!(next("0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", 1), ["2104-02-29T00:00:00Z"]);
    assert_eq!(next("0 0 29 2 +MON", "UTC", from, 1), ["2044-02-29T00:00:00Z"]);
    for never in ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 31W 2 *", "0 0 30 2 +MON"] {
        let refused = Timing::read(never, "UTC").unwrap_err();
        assert_eq!(refused, Unusable::Never { cron: never.to_owned() });
    }
}

#[test]
fn what_can_not_be_read_is_refused_with_the_name_of_the_field() {
    for cron in [
        "soon soon soon soon soon",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "*/0 * * * *",
        "5-3 * * * *",
        "* * * *",
        "0 0 0 1 1 * 2020",
        "\u{1b}[2J * * * *",
    ] {
        let refused = Timing::read(cron, "UTC").unwrap_err().to_string();
        assert!(refused.starts_with("body.cron: "), "{cron}: {refused}");
        assert!(!refused.contains('\u{1b}'), "a terminal would obey it");
    }
    for zone in ["Mars/Olympus", "europe/berlin", "CEST", "+01:00"] {
        let refused = Timing::read("* * * * *", zone).unwrap_err().to_string();
        assert!(refused.starts_with("body.timezone: "), "{refused}");
    }
}

#[test]
fn the_ends_of_time_have_no_next_occurrence_and_no_panic() {
    let timing = timing("* * * * *", "Europe/Berlin");
    let last = edge_protocol::limits::MAX_INSTANT_MS;
    for at in [last, last + 1, u64::MAX, i64::MAX as u64] {
        assert_eq!(timing.after(at), None);
    }
    assert_eq!(timing.latest(0), Some(0));
    assert!(timing.after(0).is_some());
}

proptest::proptest! {
    #[test]
    fn no_expression_makes_it_panic_or_go_back(
        cron in "[0-9*,/#LW?+@A-Z -]{1,24}",
        fields in proptest::collection::vec("[*0-9]{1,2}([-/,#LW][0-9]{0,2}){0,2}|[A-Z]{3}|\\?|L", 5..7),
        at in 0..4_102_444_800_000_u64,
    ) {
        for cron in [cron, fields.join(" ")] {
            let Ok(timing) = Timing::read(&cron, "Europe/Berlin") else { continue };
            if let Some(next) = timing.after(at) {
                proptest::prop_assert!(next > at);
                proptest::prop_assert_eq!(timing.latest(next), Some(next));
            }
            if let Some(latest) = timing.latest(at) {
                proptest::prop_assert!(latest <= at);
            }
        }
    }
}

#[test]
fn a_zone_is_named_as_the_iana_writes_it() {
    for zone in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
        assert!(Timing::read("0 4 * * *", zone).is_ok(), "{zone}");
    }
    for zone in ["", "europe/berlin", "utc", "Berlin", "CEST", "Etc/Unknown", "+02:00"] {
        let unusable = Unusable::Timezone { timezone: zone.to_owned() };
        assert_eq!(Timing::read("0 4 * * *", zone).unwrap_err(), unusable);
    }
}

#[test]
fn every_zone_that_another_library_knows_is_known() {
    for zone in chrono_tz::TZ_VARIANTS {
        assert!(Timing::read("0 4 * * *", zone.name()).is_ok(), "{zone}");
    }
}
