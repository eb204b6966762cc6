//! Schedules on clocks that are set, set wrong, not synced, and changed for the summer (contract,
//! section 4).

use serde_json::{Value, json};

use super::schedules::{put, ran};
use super::world::World;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// As steps have it.
const A_DAY: i64 = 86_400_000;

fn at(wall: &str) -> World {
    let mut world = World::new();
    world.set_wall(wall);
    world
}

#[test]
fn daylight_saving_skips_no_day_and_doubles_none() {
    for (zone, cron, from, days, expected) in [
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2027-03-27T00:00:00Z",
            3,
            vec!["20270327T013000Z", "20270328T010000Z", "20270329T003000Z"],
        ),
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2027-10-30T00:00:00Z",
            3,
            vec!["20271030T003000Z", "20271031T003000Z", "20271101T013000Z"],
        ),
        (
            "America/New_York",
            "30 2 * * *",
            "2027-03-13T00:00:00Z",
            3,
            vec!["20270313T073000Z", "20270314T070000Z", "20270315T063000Z"],
        ),
        (
            "America/New_York",
            "30 1 * * *",
            "2027-11-06T00:00:00Z",
            3,
            vec!["20271106T053000Z", "20271107T053000Z", "20271108T063000Z"],
        ),
        (
            "Australia/Lord_Howe",
            "10 2 * * *",
            "2027-10-01T12:00:00Z",
            3,
            vec!["20271001T154000Z", "20271002T153000Z", "20271003T151000Z"],
        ),
        (
            "Australia/Lord_Howe",
            "40 1 * * *",
            "2027-04-02T12:00:00Z",
            3,
            vec!["20270402T144000Z", "20270403T144000Z", "20270404T151000Z"],
        ),
        (
            "UTC",
            "30 2 * * *",
            "2027-03-27T00:00:00Z",
            2,
            vec!["20270327T023000Z", "20270328T023000Z"],
        ),
    ] {
        let mut world = at(from);
        put(&mut world, "s", cron, json!({"timezone": zone}));
        world.run_for(days * DAY);
        assert_eq!(ran(&world, "s"), expected, "{zone} from {from}");
    }
}

#[test]
fn an_hour_that_the_clock_shows_twice_has_its_occurrences_once_across_a_restart_in_it() {
    let mut world = at("2027-10-31T00:00:00Z");
    put(&mut world, "s", "*/20 * * * *", json!({"timezone": "Europe/Berlin", "missed": "once"}));
    world.run_for(HOUR + 10 * MINUTE);
    world.restart(SECOND);
    world.run_for(HOUR);
    let expected = ["20271031T002000Z", "20271031T004000Z", "20271031T020000Z"];
    assert_eq!(ran(&world, "s"), expected);
}

#[test]
fn a_clock_that_is_set_back_repeats_nothing_and_goes_on_where_nothing_ran() {
    for back in [2 * SECOND, HOUR, DAY, 400 * DAY] {
        let mut world = at("2026-12-01T12:00:00Z");
        put(&mut world, "s", "*/5 * * * *", json!({"missed": "once"}));
        world.run_for(16 * MINUTE);
        let before = ran(&world, "s");
        assert_eq!(before.len(), 3);
        world.tick_wall(-i64::try_from(back).unwrap());
        world.restart(SECOND);
        // What lies between now and the first that ran is new to the schedule.
        world.run_for(back.min(2 * HOUR) + 16 * MINUTE);
        let after = ran(&world, "s")[3..].to_vec();
        assert!(after.iter().all(|again| !before.contains(again)), "{back}: {after:?}");
        assert!(!after.is_empty() || back == 2 * SECOND, "{back}");
    }
}

#[test]
fn an_occurrence_that_ran_does_not_run_again_however_often_the_clock_passes_it() {
    let mut world = at("2026-12-01T11:59:58Z");
    put(&mut world, "s", "0 12 * * *", json!({"missed": "once", "max_late_ms": HOUR}));
    for round in 0..5 {
        world.run_for(4 * SECOND);
        world.tick_wall(-4_000);
        if round % 2 == 0 {
            world.restart(10);
            world.tick_wall(-10);
        }
    }
    assert_eq!(ran(&world, "s"), ["20261201T120000Z"]);
}

#[test]
fn a_clock_that_jumps_ahead_runs_the_last_that_it_jumped_over_unless_that_is_too_late() {
    for (ahead, expected) in [
        (10 * SECOND, vec!["20261201T120000Z"]),
        // Of those in between only the last.
        (2 * HOUR + 10 * SECOND, vec!["20261201T140000Z"]),
        (2 * HOUR + 3 * MINUTE, vec![]),
    ] {
        let mut world = at("2026-12-01T11:59:58Z");
        put(&mut world, "s", "*/5 * * * *", json!({}));
        world.tick_wall(i64::try_from(ahead).unwrap());
        assert_eq!(ran(&world, "s"), expected, "{ahead}");
    }
}

#[test]
fn a_clock_that_was_years_ahead_for_a_while_leaves_no_schedule_silent_for_years() {
    for years in [1, 11] {
        let mut world = at("2026-12-01T12:00:00Z");
        put(&mut world, "s", "*/5 * * * *", json!({"missed": "once"}));
        world.run_for(10 * MINUTE);
        world.tick_wall(years * 365 * A_DAY);
        world.run_for(10 * MINUTE);
        put(&mut world, "late", "*/5 * * * *", json!({"missed": "once"}));
        world.run_for(10 * MINUTE);
        world.tick_wall(-years * 365 * A_DAY);
        let before = (ran(&world, "s").len(), ran(&world, "late").len());
        world.run_for(HOUR);
        let after = (ran(&world, "s").len(), ran(&world, "late").len());
        assert_eq!((after.0 - before.0, after.1 - before.1), (12, 12), "{years} years");
        // And a restart knows no better.
        world.restart(SECOND);
        world.run_for(HOUR);
        assert_eq!(
            (ran(&world, "s").len(), ran(&world, "late").len()),
            (after.0 + 12, after.1 + 12)
        );
        let mut all = ran(&world, "s");
        all.sort();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count, "none ran twice");
    }
}

#[test]
fn a_schedule_put_by_a_clock_years_ahead_runs_after_a_restart_on_the_right_one() {
    let mut world = at("2037-12-01T12:00:00Z");
    put(&mut world, "s", "*/5 * * * *", json!({"missed": "once"}));
    world.kill();
    world.step_wall(-11 * 365 * A_DAY);
    world.restart(SECOND);
    world.run_for(HOUR);
    assert_eq!(ran(&world, "s").len(), 12);
}

/// A world whose node has started on a clock that is not synced and shows too little.
fn unsynced(schedule: Value) -> World {
    let mut world = at("2026-12-01T12:00:00Z");
    put(&mut world, "s", "*/5 * * * *", schedule);
    world.run_for(6 * MINUTE);
    world.reboot(MINUTE, 30 * MINUTE);
    world
}

#[test]
fn nothing_runs_while_the_clock_is_unsynced_and_offline_or_not_that_ends_with_the_sync() {
    for online in [true, false] {
        let mut world = unsynced(json!({}));
        world.link(online);
        world.run_for(HOUR);
        assert_eq!(ran(&world, "s"), ["20261201T120500Z"]);
        assert_eq!(world.node().state().schedules[0].next_at_ms, None, "who knows");
        assert!(!world.node().wants_ticks());
        // Nobody tells the node: it looks by itself.
        world.step_wall(30 * 60_000);
        world.synced = true;
        world.run_for(10 * MINUTE);
        assert!(world.node().wants_ticks());
        assert_eq!(ran(&world, "s")[1..], ["20261201T131000Z", "20261201T131500Z"]);
    }
}

#[test]
fn what_passed_while_the_clock_was_unsynced_is_missed() {
    for (missed, max_late_ms, expected) in
        [("skip", HOUR, 0), ("once", HOUR, 1), ("once", MINUTE, 0)]
    {
        let mut world = unsynced(json!({"missed": missed, "max_late_ms": max_late_ms}));
        world.run_for(HOUR);
        world.step_wall(30 * 60_000);
        world.synced = true;
        world.run_for(2 * SECOND);
        assert_eq!(ran(&world, "s").len() - 1, expected, "{missed} {max_late_ms}");
    }
}

#[test]
fn a_schedule_put_on_an_unsynced_clock_has_missed_nothing_once_that_is_synced() {
    let mut world = World::new();
    world.set_wall("2026-12-01T12:00:00Z");
    world.reboot(SECOND, 10 * MINUTE);
    let body = json!({"missed": "once", "max_late_ms": HOUR});
    put(&mut world, "s", "*/5 * * * *", body);
    world.run_for(MINUTE);
    world.step_wall(600_000);
    world.synced = true;
    world.run_for(2 * SECOND);
    assert_eq!(ran(&world, "s").len(), 0);
    world.run_for(5 * MINUTE);
    assert_eq!(ran(&world, "s").len(), 1);
    // From here on it knows what it missed.
    world.restart(5 * MINUTE);
    assert_eq!(ran(&world, "s").len(), 2);
}

#[test]
fn an_idle_node_is_not_woken_for_an_occurrence_that_is_far_away() {
    let mut world = at("2026-12-01T12:00:00Z");
    put(&mut world, "s", "0 4 1 1 *", json!({}));
    world.run_for(10 * SECOND);
    let wake = world.node().schedules_wake_at().unwrap();
    assert!(wake.uptime_ms() > 30 * DAY, "{wake:?}");
    assert!(world.node().wants_ticks(), "or a step of the wall clock would go unnoticed");
    world.accept("schedule.remove", json!({"schedule": "s"}));
    world.run_for(10 * SECOND);
    assert!(!world.node().wants_ticks());
    assert_eq!(world.node().schedules_wake_at(), None);
}
