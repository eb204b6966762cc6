//! How a session gets its power, and what becomes of it where it does not (section 5, 6.8, 6.10).

use serde_json::json;

use super::plug::{Conduct, is_off, is_on};
use super::world::World;

const HOUR: u64 = 3_600_000;

fn start(world: &mut World, session: &str, station: &str) {
    world.accept(
        "session.start",
        json!({"session": session, "station": station, "duration_ms": HOUR}),
    );
}

#[test]
fn outlets_go_on_in_order_each_once_the_one_before_is_confirmed() {
    let mut world = World::new();
    world.plug("relay-1").latency_ms = 300;
    world.plug("plug-3").latency_ms = 400;
    world.start("s1", "bay", HOUR);
    let on = |world: &mut World, id: &str| world.plug(id).moves[0].0;
    let first_on = |world: &mut World, id: &str| world.plug(id).ordered(is_on)[0];
    assert!(first_on(&mut world, "plug-3") >= on(&mut world, "relay-1"));
    assert!(first_on(&mut world, "plug-4") >= on(&mut world, "plug-3"));
}

#[test]
fn a_duration_runs_from_the_moment_all_outlets_are_confirmed_on() {
    let mut world = World::new();
    world.plug("plug-4").latency_ms = 1_500;
    world.start("s1", "bay", HOUR);
    let lit = world.plug("plug-4").moves[0].0;
    let started = world.last("session.started");
    let wall_lit = world.wall() - (world.time - lit);
    assert_eq!(started["started_at_ms"], wall_lit);
    assert_eq!(started["ends_at_ms"], wall_lit + HOUR);
}

#[test]
fn a_station_that_cant_be_powered_within_thirty_seconds_fails_and_goes_off() {
    let mut world = World::new();
    world.conduct("plug-4", Conduct::Deaf);
    let at = world.wall();
    start(&mut world, "s1", "bay");
    let failed = world.run_until("session.failed");
    assert_eq!(failed["at_ms"], at + 30_000);
    assert_eq!(failed["code"], "unpowered");
    assert!(failed["message"].as_str().unwrap().contains("plug-4: no answer"));
    world.run_for(1_000);
    assert!(!world.plug("relay-1").on);
    assert!(!world.plug("plug-3").on);
    world.run_for(HOUR);
    assert!(world.told("session.ended").is_empty());
}

#[test]
fn the_off_of_a_failed_start_is_pursued_without_end() {
    let mut world = World::new();
    start(&mut world, "s1", "pc-1");
    world.conduct("plug-1", Conduct::Deaf);
    world.run_until("session.failed");
    let offs = world.plug("plug-1").ordered(is_off).len();
    world.run_for(60_000);
    assert!(world.plug("plug-1").ordered(is_off).len() >= offs + 30);
    world.conduct("plug-1", Conduct::Obeys);
    world.plug("plug-1").on = true;
    world.run_for(2_100);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_failed_start_goes_off_in_reverse_order_as_at_an_end() {
    let mut world = World::new();
    // It goes on, but its timer is never confirmed.
    world.conduct("plug-4", Conduct::Forgets);
    start(&mut world, "s1", "bay");
    world.run_until("session.failed");
    let at = world.time;
    world.plug("plug-4").latency_ms = 50;
    world.plug("plug-3").latency_ms = 50;
    world.run_for(1_000);
    let off = |world: &mut World, id: &str| world.plug(id).ordered(is_off).pop().unwrap() - at;
    assert!(off(&mut world, "plug-3") > off(&mut world, "plug-4"));
    assert!(off(&mut world, "relay-1") >= off(&mut world, "plug-3") + 50);
    for id in ["relay-1", "plug-3", "plug-4"] {
        assert!(!world.plug(id).on, "{id}");
    }
}

#[test]
fn a_failed_start_frees_its_station_at_once() {
    let mut world = World::new();
    world.conduct("plug-1", Conduct::Deaf);
    start(&mut world, "s1", "pc-1");
    world.run_until("session.failed");
    start(&mut world, "s2", "pc-1");
    world.conduct("plug-1", Conduct::Obeys);
    assert_eq!(world.run_until("session.started")["session"], "s2");
}

#[test]
fn failed_starts_leave_nothing_behind_but_one_off_that_is_pursued() {
    let mut world = World::new();
    world.conduct("plug-3", Conduct::Deaf);
    for number in 0..5 {
        start(&mut world, &format!("s{number}"), "bay");
        world.run_until("session.failed");
    }
    assert_eq!(world.node().falls.len(), 1);
    world.conduct("plug-3", Conduct::Obeys);
    world.run_for(5_000);
    assert!(world.node().falls.is_empty());
}

#[test]
fn an_on_that_comes_late_but_within_thirty_seconds_starts_the_session() {
    let mut world = World::new();
    world.conduct("plug-1", Conduct::Deaf);
    start(&mut world, "s1", "pc-1");
    world.run_for(26_000);
    world.conduct("plug-1", Conduct::Obeys);
    world.run_until("session.started");
    assert_eq!(world.told("outlet.fault").len(), 1);
    assert_eq!(world.told("outlet.recovered").len(), 1);
}

#[test]
fn a_start_recovered_by_a_restart_has_thirty_seconds_again_since_nothing_could_be_sent() {
    let mut world = World::new();
    world.conduct("plug-1", Conduct::Deaf);
    start(&mut world, "s1", "pc-1");
    world.run_for(10_000);
    world.kill();
    world.conduct("plug-1", Conduct::Obeys);
    world.run_for(40_000);
    world.wake();
    world.run_until("session.started");
    assert!(world.told("session.failed").is_empty());
}

#[test]
fn a_start_takes_over_outlets_that_are_on_without_switching_them_off() {
    let mut world = World::new();
    for id in ["plug-3", "plug-4"] {
        world.accept("outlet.set", json!({"outlet": id, "on": true, "for_ms": HOUR}));
    }
    world.run_for(3_000);
    world.plug("relay-1").latency_ms = 2_000;
    world.start("s1", "bay", HOUR);
    assert_eq!(world.plug("plug-3").moves.len(), 1);
    assert_eq!(world.plug("plug-4").moves.len(), 1);
    assert!(world.hold("plug-3").is_none());
}

#[test]
fn ending_during_the_start_leaves_nothing_on() {
    let mut world = World::new();
    world.plug("plug-3").latency_ms = 1_000;
    start(&mut world, "s1", "bay");
    world.run_for(500);
    world.accept("session.end", json!({"session": "s1"}));
    world.run_until("session.ended");
    for id in ["relay-1", "plug-3", "plug-4"] {
        assert!(!world.plug(id).on, "{id}");
    }
}

#[test]
fn a_session_that_waits_at_rest_is_not_written_again_and_again() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    let writes = world.session_writes;
    world.run_for(HOUR / 2);
    assert_eq!(world.session_writes, writes);
}

#[test]
fn state_goes_out_after_a_change_and_not_after_each_poll() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.run_for(10_000);
    let states = world.states.len();
    world.run_for(HOUR / 2);
    assert_eq!(world.states.len(), states);
}
