//! The table of section 6, a test a cell.

use serde_json::{Value, json};

use super::plug::Conduct;
use super::world::World;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

/// A world whose session `s1`, of an hour on `pc-1`, is in a phase.
fn world_in(phase: &str) -> World {
    let mut world = World::new();
    let mut body = json!({"session": "s1", "station": "pc-1", "duration_ms": HOUR});
    match phase {
        "booked" => {
            body["starts_at_ms"] = json!(world.wall() + HOUR);
            world.accept("session.start", body);
        }
        "starting" => {
            world.conduct("plug-1", Conduct::Deaf);
            world.accept("session.start", body);
            world.run_for(MINUTE / 4);
        }
        "failed" => {
            world.conduct("plug-1", Conduct::Refuses);
            world.accept("session.start", body);
            world.run_until("session.failed");
        }
        "active" => world.start_with(body),
        "paused" => {
            world.start_with(body);
            world.run_for(MINUTE);
            world.accept("session.pause", json!({"session": "s1"}));
            world.run_for(MINUTE);
        }
        "ending" => {
            body["grace_ms"] = json!(2 * MINUTE);
            world.start_with(body);
            world.run_for(MINUTE);
            world.accept("session.end", json!({"session": "s1"}));
            world.run_for(MINUTE);
        }
        _ => {
            world.start_with(body);
            world.accept("session.end", json!({"session": "s1"}));
            world.run_until("session.ended");
        }
    }
    let now = world.phase("s1");
    assert_eq!(now, if matches!(phase, "ended" | "failed") { "over" } else { phase });
    world.take();
    world
}

fn conflicts(phase: &str, kind: &str, body: &Value) {
    let mut world = world_in(phase);
    let before = world.phase("s1");
    assert_eq!(world.send(kind, body.clone()).unwrap_err(), "conflict", "{kind} while {phase}");
    world.run_for(1_000);
    assert_eq!(world.phase("s1"), before, "{kind} while {phase}");
    assert!(world.told("session.refused").is_empty());
}

fn extend() -> Value {
    json!({"session": "s1", "by_ms": MINUTE})
}

fn this() -> Value {
    json!({"session": "s1"})
}

fn to_pc_2() -> Value {
    json!({"session": "s1", "station": "pc-2"})
}

#[test]
fn extending_a_booked_session_moves_its_end() {
    let mut world = world_in("booked");
    world.accept("session.extend", extend());
    assert!(world.last("session.extended")["ends_at_ms"].is_null(), "its time has not begun");
    world.run_for(HOUR - MINUTE);
    let started = world.run_until("session.started");
    let begun = started["started_at_ms"].as_u64().unwrap();
    assert_eq!(started["ends_at_ms"], begun + HOUR + MINUTE);
}

#[test]
fn extending_a_starting_session_moves_its_end() {
    let mut world = world_in("starting");
    world.accept("session.extend", extend());
    assert_eq!(world.told("session.extended").len(), 1);
    world.conduct("plug-1", Conduct::Obeys);
    let started = world.run_until("session.started");
    let begun = started["started_at_ms"].as_u64().unwrap();
    assert_eq!(started["ends_at_ms"], begun + HOUR + MINUTE);
}

#[test]
fn extending_an_active_session_moves_its_deadline_by_exactly_that_much() {
    let mut world = world_in("active");
    let ends = world.last("session.started")["ends_at_ms"].as_u64().unwrap();
    let cause = world.accept("session.extend", extend());
    let extended = world.run_until("session.extended");
    assert_eq!(extended["ends_at_ms"], ends + MINUTE);
    assert_eq!(extended["cause"], cause);
    world.run_for(HOUR + 2 * MINUTE);
    let ended = world.last("session.ended");
    assert!(ended["ended_at_ms"].as_u64().unwrap() >= ends + MINUTE);
    assert!(ended["late_ms"].as_u64().unwrap() < 100);
}

#[test]
fn extending_a_paused_session_changes_its_rest() {
    let mut world = world_in("paused");
    let rest = world.last("session.paused")["remaining_ms"].as_u64().unwrap();
    world.accept("session.extend", extend());
    assert_eq!(world.told("session.extended").len(), 1);
    world.accept("session.resume", this());
    let resumed = world.run_until("session.resumed");
    let end = resumed["ends_at_ms"].as_u64().unwrap();
    assert!(world.wall().abs_diff(end - rest - MINUTE) < 100);
}

#[test]
fn extending_an_ending_session_makes_it_active_again_until_its_off_time() {
    let mut world = world_in("ending");
    world.accept("session.extend", json!({"session": "s1", "by_ms": 10 * MINUTE}));
    assert_eq!(world.phase("s1"), "active");
    world.run_until("session.extended");
    world.run_for(5 * MINUTE);
    assert!(world.plug("plug-1").on);
    world.run_for(8 * MINUTE);
    assert_eq!(world.last("session.ended")["reason"], "expired");
}

#[test]
fn extending_an_ending_session_into_the_past_is_a_conflict() {
    conflicts("ending", "session.extend", &json!({"session": "s1", "by_ms": MINUTE / 2}));
}

#[test]
fn extending_an_ending_session_past_its_off_time_is_a_conflict() {
    let mut world = world_in("ending");
    world.conduct("plug-1", Conduct::Deaf);
    world.run_for(MINUTE);
    assert_eq!(world.phase("s1"), "ending");
    let late = world.send("session.extend", json!({"session": "s1", "by_ms": HOUR}));
    assert_eq!(late.unwrap_err(), "conflict");
}

#[test]
fn extending_a_session_that_is_over_is_a_conflict() {
    conflicts("ended", "session.extend", &extend());
    conflicts("failed", "session.extend", &extend());
}

#[test]
fn pausing_a_booked_starting_ending_or_past_session_is_a_conflict() {
    for phase in ["booked", "starting", "ending", "ended", "failed"] {
        conflicts(phase, "session.pause", &this());
    }
}

#[test]
fn pausing_an_active_session_pauses_it() {
    let mut world = world_in("active");
    world.run_for(MINUTE);
    let cause = world.accept("session.pause", this());
    assert_eq!(world.phase("s1"), "paused");
    assert_eq!(world.last("session.paused")["cause"], cause);
    world.run_for(1_000);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn pausing_a_paused_session_is_accepted_and_does_nothing() {
    let mut world = world_in("paused");
    world.accept("session.pause", this());
    world.run_for(MINUTE);
    assert_eq!(world.phase("s1"), "paused");
    assert_eq!(world.told("session.paused").len(), 1);
}

#[test]
fn resuming_a_booked_starting_ending_or_past_session_is_a_conflict() {
    for phase in ["booked", "starting", "ending", "ended", "failed"] {
        conflicts(phase, "session.resume", &this());
    }
}

#[test]
fn resuming_an_active_session_is_accepted_and_does_nothing() {
    let mut world = world_in("active");
    world.accept("session.resume", this());
    world.run_for(MINUTE);
    assert_eq!(world.phase("s1"), "active");
    assert!(world.told("session.resumed").is_empty());
}

#[test]
fn resuming_a_paused_session_makes_it_active() {
    let mut world = world_in("paused");
    let cause = world.accept("session.resume", this());
    let resumed = world.run_until("session.resumed");
    assert_eq!(resumed["cause"], cause);
    assert_eq!(world.phase("s1"), "active");
    assert!(world.plug("plug-1").on);
}

#[test]
fn transferring_a_booked_session_changes_its_station() {
    let mut world = world_in("booked");
    world.accept("session.transfer", to_pc_2());
    let transferred = world.last("session.transferred");
    assert_eq!((&transferred["from"], &transferred["station"]), (&json!("pc-1"), &json!("pc-2")));
    world.run_for(HOUR + 1_000);
    assert!(world.plug("plug-2").on);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn transferring_a_starting_ending_or_past_session_is_a_conflict() {
    for phase in ["starting", "ending", "ended", "failed"] {
        conflicts(phase, "session.transfer", &to_pc_2());
    }
}

#[test]
fn transferring_an_active_session_moves_it_to_the_new_station() {
    let mut world = world_in("active");
    world.plug("plug-1").disturbed = true;
    world.accept("session.transfer", to_pc_2());
    world.run_until("session.transferred");
    world.run_for(1_000);
    assert!(world.plug("plug-2").on);
    assert!(!world.plug("plug-1").on);
    assert_eq!(world.phase("s1"), "active");
}

#[test]
fn transferring_a_paused_session_changes_its_station() {
    let mut world = world_in("paused");
    world.accept("session.transfer", to_pc_2());
    assert_eq!(world.last("session.transferred")["station"], "pc-2");
    assert_eq!(world.phase("s1"), "paused");
    world.accept("session.resume", this());
    world.run_until("session.resumed");
    assert!(world.plug("plug-2").on);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn ending_a_booked_session_is_its_end_at_once() {
    let mut world = world_in("booked");
    world.accept("session.end", this());
    let ended = world.last("session.ended");
    assert_eq!((&ended["reason"], &ended["powered_ms"]), (&json!("ended"), &json!(0)));
    assert_eq!(world.phase("s1"), "over");
}

#[test]
fn ending_a_starting_session_switches_off_and_ends_it() {
    let mut world = world_in("starting");
    world.accept("session.end", this());
    world.conduct("plug-1", Conduct::Obeys);
    let ended = world.run_until("session.ended");
    assert_eq!(ended["reason"], "ended");
    assert!(!world.plug("plug-1").on);
    assert!(world.told("session.failed").is_empty());
}

#[test]
fn ending_an_active_session_begins_its_end() {
    let mut world = world_in("active");
    world.accept("session.end", this());
    assert_eq!(world.last("session.ending")["reason"], "ended");
    let ended = world.run_until("session.ended");
    assert_eq!(ended["reason"], "ended");
}

#[test]
fn ending_a_paused_session_ends_it_once_its_outlets_are_read_back_off() {
    let mut world = world_in("paused");
    let offs = world.plug("plug-1").ordered(super::plug::is_off).len();
    world.accept("session.end", this());
    assert!(world.told("session.ended").is_empty());
    let ended = world.run_until("session.ended");
    assert!(ended["powered_ms"].as_u64().unwrap().abs_diff(MINUTE) < 100);
    assert_eq!(world.plug("plug-1").ordered(super::plug::is_off).len(), offs + 1);
}

#[test]
fn ending_an_ending_session_immediately_ends_it_now() {
    let mut world = world_in("ending");
    world.accept("session.end", this());
    world.run_for(1_000);
    assert_eq!(world.phase("s1"), "ending");
    world.accept("session.end", json!({"session": "s1", "immediate": true}));
    world.run_for(100);
    assert_eq!(world.phase("s1"), "over");
}

#[test]
fn ending_a_session_that_is_over_is_a_conflict() {
    conflicts("ended", "session.end", &this());
    conflicts("failed", "session.end", &this());
}
