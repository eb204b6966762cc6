//! Schedules: at each occurrence, offline too, and what becomes of those that could not run
//! (contract, section 4).

use serde_json::{Value, json};

use super::world::World;
use crate::node::{Disk, Input};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// Puts a schedule that asks for a report, `more` beside.
pub(super) fn put(world: &mut World, schedule: &str, cron: &str, more: Value) {
    let mut body = json!({"schedule": schedule, "cron": cron, "command": {"type": "node.report"}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.accept("schedule.put", body);
}

/// The occurrences of a schedule that ran, as the ids of their commands name them.
pub(super) fn ran(world: &World, schedule: &str) -> Vec<String> {
    let commands = world.told("command.accepted").into_iter().filter_map(|accepted| {
        let command = accepted["command"].as_str()?.strip_prefix(schedule)?;
        command.strip_prefix('.').map(str::to_owned)
    });
    commands.collect()
}

/// The next occurrence of a schedule, as `state` has it.
fn next_at(world: &World, schedule: &str) -> Option<u64> {
    let state = world.node().state();
    let found = state.schedules.iter().find(|found| found.schedule.as_str() == schedule);
    found.expect("it is there").next_at_ms
}

/// A world at 12:00:00.
fn noon() -> World {
    let mut world = World::new();
    world.set_wall("2026-12-01T12:00:00Z");
    world
}

#[test]
fn a_command_runs_at_each_occurrence_and_is_answered_and_told_as_any_other() {
    let mut world = noon();
    put(&mut world, "s", "*/10 * * * * *", json!({}));
    let at = world.wall();
    world.take();
    world.run_for(31 * SECOND);
    let told = world.take();
    let expected = [10, 20, 30].map(|seconds| at + seconds * SECOND);
    for kind in ["command.accepted", "node.report"] {
        let of_kind: Vec<&Value> = told.iter().filter(|event| event["type"] == kind).collect();
        let times: Vec<_> = of_kind.iter().map(|event| event["at_ms"].as_u64().unwrap()).collect();
        assert_eq!(times, expected, "{kind}, to the millisecond");
        let causes: Vec<_> = of_kind.iter().map(|event| event["cause"].as_str().unwrap()).collect();
        assert_eq!(causes, ["s.20261201T120010Z", "s.20261201T120020Z", "s.20261201T120030Z"]);
    }
    assert_eq!(told[0]["body"], json!({"command": "s.20261201T120010Z"}));
}

#[test]
fn what_the_command_may_not_do_is_rejected_at_each_occurrence_and_the_schedule_goes_on() {
    let mut world = noon();
    let end = json!({"type": "session.end", "body": {"session": "none"}});
    let body = json!({"schedule": "s", "cron": "* * * * *", "command": end});
    world.accept("schedule.put", body);
    world.run_for(3 * MINUTE);
    let codes: Vec<_> = world.told("command.rejected");
    assert_eq!(codes.len(), 3);
    assert!(codes.iter().all(|rejected| rejected["code"] == "unknown_session"), "{codes:?}");
}

#[test]
fn a_command_that_powers_something_needs_no_instant_of_its_own_in_a_schedule() {
    let mut world = noon();
    let start = json!({"session": "s1", "station": "pc-1", "duration_ms": 10 * MINUTE});
    let start = json!({"type": "session.start", "body": start});
    let hold = json!({"outlet": "plug-2", "on": true, "for_ms": MINUTE});
    let hold = json!({"type": "outlet.set", "body": hold});
    for (schedule, command) in [("opens", start), ("lights", hold)] {
        let body = json!({"schedule": schedule, "cron": "5 12 * * *", "command": command});
        world.accept("schedule.put", body);
    }
    world.run_for(5 * MINUTE - 1);
    assert!(!world.plug("plug-1").on && !world.plug("plug-2").on);
    world.run_until("session.started");
    assert_eq!(world.last("session.started")["cause"], "opens.20261201T120500Z");
    assert_eq!(world.hold("plug-2"), Some(true));
    world.run_for(20 * MINUTE);
    assert!(!world.plug("plug-1").on && !world.plug("plug-2").on);
}

#[test]
fn offline_it_runs_all_the_same_and_is_told_later() {
    let mut world = noon();
    put(&mut world, "s", "*/5 * * * *", json!({}));
    world.link(false);
    world.run_for(16 * MINUTE);
    assert_eq!(ran(&world, "s").len(), 3, "it is on disk");
    let hold = json!({"outlet": "plug-2", "on": false});
    let body = json!({"schedule": "s", "cron": "* * * * *",
        "command": {"type": "outlet.set", "body": hold}});
    world.accept("schedule.put", body);
    world.run_for(MINUTE);
    assert_eq!(world.hold("plug-2"), Some(false));
}

#[test]
fn a_schedule_put_again_replaces_the_one_of_its_id() {
    let mut world = noon();
    put(&mut world, "s", "* * * * *", json!({}));
    world.run_for(MINUTE + SECOND);
    put(&mut world, "s", "*/10 * * * *", json!({}));
    world.run_for(20 * MINUTE);
    assert_eq!(ran(&world, "s"), ["20261201T120100Z", "20261201T121000Z", "20261201T122000Z"]);
    world.restart(SECOND);
    world.run_for(10 * MINUTE);
    assert_eq!(ran(&world, "s").last().unwrap(), "20261201T123000Z");
    assert_eq!(ran(&world, "s").len(), 4);
}

#[test]
fn a_removed_schedule_runs_no_more_not_after_a_restart_either() {
    let mut world = noon();
    put(&mut world, "s", "* * * * *", json!({}));
    world.run_for(MINUTE);
    world.accept("schedule.remove", json!({"schedule": "s"}));
    let again = world.send("schedule.remove", json!({"schedule": "s"}));
    assert_eq!(again.unwrap_err(), "unknown_schedule");
    world.run_for(5 * MINUTE);
    world.restart(SECOND);
    world.run_for(5 * MINUTE);
    assert_eq!(ran(&world, "s"), ["20261201T120100Z"]);
    assert!(
        world.disk.keys().all(|key| !key.starts_with(b"schedule/") && !key.starts_with(b"course/"))
    );
}

#[test]
fn state_lists_schedules_with_their_next_occurrence() {
    let mut world = noon();
    let at = world.wall();
    put(&mut world, "nightly", "30 4 * * *", json!({"timezone": "Europe/Berlin"}));
    put(&mut world, "minutely", "* * * * *", json!({}));
    world.run_for(90 * SECOND);
    assert_eq!(next_at(&world, "nightly"), Some(at + 15 * HOUR + 30 * MINUTE));
    assert_eq!(next_at(&world, "minutely"), Some(at + 2 * MINUTE));
    let published = world.states.last().unwrap()["schedules"].clone();
    let minutely = json!({"schedule": "minutely", "next_at_ms": at + 2 * MINUTE});
    assert_eq!(published[0], minutely, "{published}");
}

#[test]
fn what_passed_while_the_agent_was_away_is_left_out_or_its_last_runs_once_as_asked() {
    for (missed, max_late_ms, away_ms, expected) in [
        ("skip", 10 * MINUTE, 5 * SECOND, 0),
        ("skip", 10 * MINUTE, HOUR, 0),
        ("once", 10 * MINUTE, 5 * SECOND, 1),
        // Of a dozen only the last.
        ("once", 10 * MINUTE, HOUR + 2 * SECOND, 1),
        ("once", MINUTE, HOUR + MINUTE, 1),
        // Later than it may be.
        ("once", MINUTE, HOUR + MINUTE + 1, 0),
        ("once", 0, 5 * SECOND, 0),
    ] {
        let mut world = noon();
        let policy = json!({"missed": missed, "max_late_ms": max_late_ms});
        put(&mut world, "s", "*/5 * * * *", policy);
        world.run_for(5 * MINUTE - 2 * SECOND);
        // From 2 s before an occurrence, except where that would hit the end as well.
        let away_ms = if away_ms > HOUR { away_ms + 2 * SECOND } else { away_ms };
        world.restart(away_ms);
        let case = format!("{missed} {max_late_ms} {away_ms}");
        assert_eq!(ran(&world, "s").len(), expected, "{case}");
        world.restart(10);
        assert_eq!(ran(&world, "s").len(), expected, "and no second time: {case}");
        world.run_for(5 * MINUTE);
        assert_eq!(ran(&world, "s").len(), expected + 1, "and goes on: {case}");
    }
}

#[test]
fn what_ran_before_a_restart_is_not_missed() {
    let mut world = noon();
    put(&mut world, "s", "*/5 * * * *", json!({"missed": "once"}));
    world.run_for(5 * MINUTE);
    assert_eq!(ran(&world, "s").len(), 1);
    for _ in 0..3 {
        world.restart(SECOND);
    }
    assert_eq!(ran(&world, "s").len(), 1);
}

#[test]
fn what_passed_before_it_was_put_is_not_missed() {
    let mut world = noon();
    let body = json!({"missed": "once", "max_late_ms": HOUR});
    put(&mut world, "s", "*/5 * * * *", body.clone());
    world.restart(SECOND);
    assert_eq!(ran(&world, "s").len(), 0);
    world.run_for(6 * MINUTE);
    put(&mut world, "s", "*/2 * * * *", body);
    world.restart(SECOND);
    assert_eq!(ran(&world, "s"), ["20261201T120500Z"]);
}

#[test]
fn a_node_that_does_not_accept_starts_no_schedule_and_has_missed_it_afterwards() {
    for (missed, expected) in [("skip", 1), ("once", 2)] {
        let mut world = noon();
        put(&mut world, "s", "*/5 * * * *", json!({"missed": missed, "max_late_ms": HOUR}));
        world.step(Input::Disk(Disk::Low));
        world.run_for(11 * MINUTE);
        assert_eq!(ran(&world, "s").len(), 0, "{missed}");
        world.step(Input::Disk(Disk::Ok));
        world.run_for(5 * MINUTE);
        assert_eq!(ran(&world, "s").len(), expected, "{missed}");
    }
}

#[test]
fn an_outbox_above_nine_tenths_starts_no_schedule() {
    let mut world = World::with(|settings| settings.outbox_max_bytes = 20_000);
    world.set_wall("2026-12-01T12:00:00Z");
    put(&mut world, "s", "* * * * * *", json!({}));
    world.link(false);
    world.run_for(HOUR);
    let full = ran(&world, "s").len();
    assert!((10..100).contains(&full), "{full} fit");
    world.link(true);
    world.run_for(10 * SECOND);
    assert!(ran(&world, "s").len() >= full + 9);
}

#[test]
fn a_machine_that_slept_runs_what_is_not_too_late_by_then() {
    for (slept, expected) in [(50 * SECOND, 1), (2 * HOUR, 0)] {
        let mut world = noon();
        put(&mut world, "s", "5 12 * * *", json!({}));
        world.run_for(4 * MINUTE + 55 * SECOND);
        world.sleep(slept);
        assert_eq!(ran(&world, "s").len(), expected, "{slept}");
    }
}
