//! Warnings (6.2).

use serde_json::{Value, json};

use super::world::World;

const MINUTE: u64 = 60_000;

/// When warnings came before the deadline, as told, and that they were told then.
fn remaining(world: &World) -> Vec<u64> {
    let rest = |warning: Value| warning["remaining_ms"].as_u64().unwrap();
    world.told("session.warning").into_iter().map(rest).collect()
}

fn warned(warn_before_ms: &[u64], duration_ms: u64) -> World {
    let mut world = World::new();
    let body = json!({
        "session": "s1", "station": "pc-1", "duration_ms": duration_ms, "warn_before_ms": warn_before_ms
    });
    world.start_with(body);
    world
}

#[test]
fn warnings_come_five_and_one_minute_before_the_deadline_by_default() {
    let mut world = World::new();
    world.start("s1", "pc-1", 10 * MINUTE);
    world.run_for(11 * MINUTE);
    assert_eq!(remaining(&world), [5 * MINUTE, MINUTE]);
    let ends = world.last("session.started")["ends_at_ms"].as_u64().unwrap();
    let told = world.told("session.warning");
    assert_eq!(told[0]["at_ms"], ends - 5 * MINUTE);
    assert_eq!(told[1]["at_ms"], ends - MINUTE);
}

#[test]
fn a_session_names_its_own_warnings_in_any_order() {
    let mut world = warned(&[1_000, 3_000, 1_000, 2_000], 10 * MINUTE);
    world.run_for(11 * MINUTE);
    assert_eq!(remaining(&world), [3_000, 2_000, 1_000]);
}

#[test]
fn a_warning_that_would_lie_before_the_start_is_not_sent() {
    let mut world = warned(&[5 * MINUTE, MINUTE], 3 * MINUTE);
    world.run_for(4 * MINUTE);
    assert_eq!(remaining(&world), [MINUTE]);
}

#[test]
fn an_extension_arms_the_warnings_ahead_again() {
    let mut world = warned(&[5 * MINUTE, MINUTE], 10 * MINUTE);
    world.run_for(6 * MINUTE);
    assert_eq!(remaining(&world), [5 * MINUTE]);
    world.accept("session.extend", json!({"session": "s1", "by_ms": 4 * MINUTE}));
    world.run_for(10 * MINUTE);
    assert_eq!(remaining(&world), [5 * MINUTE, 5 * MINUTE, MINUTE]);
}

#[test]
fn a_shortened_session_does_not_warn_of_what_lies_behind() {
    let mut world = warned(&[5 * MINUTE, MINUTE], 10 * MINUTE);
    world.accept("session.extend", json!({"session": "s1", "by_ms": -7 * 60_000}));
    world.run_for(10 * MINUTE);
    assert_eq!(remaining(&world), [MINUTE]);
}

#[test]
fn a_warning_missed_while_the_agent_was_down_is_sent_at_recovery() {
    let mut world = warned(&[5 * MINUTE, MINUTE], 10 * MINUTE);
    world.run_for(4 * MINUTE);
    world.restart(2 * MINUTE);
    assert_eq!(remaining(&world).len(), 1);
    assert!(remaining(&world)[0].abs_diff(4 * MINUTE) < 100);
}

#[test]
fn a_warning_missed_is_not_sent_once_the_deadline_has_passed() {
    let mut world = warned(&[5 * MINUTE, MINUTE], 10 * MINUTE);
    world.run_for(4 * MINUTE);
    world.restart(7 * MINUTE);
    world.run_for(MINUTE);
    assert_eq!(remaining(&world), [0_u64; 0]);
    assert_eq!(world.told("session.ended").len(), 1);
}

#[test]
fn a_pause_takes_its_warnings_along() {
    let mut world = warned(&[5 * MINUTE, MINUTE], 10 * MINUTE);
    world.run_for(4 * MINUTE);
    world.accept("session.pause", json!({"session": "s1"}));
    world.run_for(20 * MINUTE);
    assert!(remaining(&world).is_empty());
    world.accept("session.resume", json!({"session": "s1"}));
    world.run_for(10 * MINUTE);
    assert_eq!(remaining(&world), [5 * MINUTE, MINUTE]);
}

#[test]
fn a_session_runs_warns_and_ends_offline_as_online() {
    let mut world = warned(&[5 * MINUTE, MINUTE], 10 * MINUTE);
    world.link(false);
    world.run_for(11 * MINUTE);
    assert_eq!(remaining(&world), [5 * MINUTE, MINUTE]);
    assert_eq!(world.last("session.ended")["late_ms"], 20);
}
