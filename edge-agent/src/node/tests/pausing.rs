//! Pause and resume, and a resume that can't be powered (sections 4 to 6).

use serde_json::json;

use super::plug::{Conduct, is_off};
use super::world::World;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

fn paused(station: &str) -> World {
    let mut world = World::new();
    world.start("s1", station, HOUR);
    world.run_for(MINUTE);
    world.accept("session.pause", json!({"session": "s1"}));
    world.run_for(MINUTE);
    world
}

fn resume(world: &mut World) -> String {
    world.accept("session.resume", json!({"session": "s1"}))
}

#[test]
fn a_pause_keeps_the_remaining_time() {
    let mut world = paused("pc-1");
    let rest = world.last("session.paused")["remaining_ms"].as_u64().unwrap();
    world.run_for(5 * HOUR);
    resume(&mut world);
    let resumed = world.run_until("session.resumed");
    let lit = world.plug("plug-1").moves.last().unwrap().0;
    let wall_lit = world.wall() - (world.time - lit);
    assert_eq!(resumed["ends_at_ms"], wall_lit + rest);
}

#[test]
fn a_pause_switches_off_in_reverse_order() {
    let mut world = World::new();
    world.start("s1", "bay", HOUR);
    world.conduct("plug-4", Conduct::Deaf);
    let at = world.time;
    world.accept("session.pause", json!({"session": "s1"}));
    world.run_for(1_000);
    let off = |world: &mut World, id: &str| world.plug(id).ordered(is_off).pop().unwrap() - at;
    assert_eq!(off(&mut world, "plug-3"), 200);
    assert_eq!(off(&mut world, "relay-1"), 220);
    world.run_for(MINUTE);
}

#[test]
fn a_resume_that_cant_be_powered_is_refused_and_the_session_is_as_before() {
    let mut world = paused("bay");
    let rest = world.last("session.paused")["remaining_ms"].clone();
    world.conduct("plug-4", Conduct::Deaf);
    let at = world.wall();
    let cause = resume(&mut world);
    let refused = world.run_until("session.refused");
    assert_eq!(refused["at_ms"], at + 30_000);
    assert_eq!((&refused["cause"], &refused["code"]), (&json!(cause), &json!("unpowered")));
    world.run_for(1_000);
    assert_eq!(world.phase("s1"), "paused");
    assert!(!world.plug("relay-1").on);
    assert!(!world.plug("plug-3").on);
    let state = world.node().state();
    assert_eq!(json!(state.sessions[0].remaining_ms), rest);
    world.conduct("plug-4", Conduct::Obeys);
    resume(&mut world);
    world.run_until("session.resumed");
}

#[test]
fn a_second_resume_while_one_is_on_its_way_changes_nothing() {
    let resumed = |again: bool| {
        let mut world = paused("pc-1");
        world.plug("plug-1").latency_ms = 1_000;
        let first = resume(&mut world);
        // The time runs again, but its lease is not renewed yet.
        world.run_for(1_500);
        assert!(world.plug("plug-1").on && world.told("session.resumed").is_empty());
        if again {
            resume(&mut world);
        }
        let resumed = world.run_until("session.resumed");
        assert_eq!(resumed["cause"], first);
        world.run_for(MINUTE);
        assert_eq!(world.told("session.resumed").len(), 1);
        (resumed["at_ms"].clone(), resumed["ends_at_ms"].clone())
    };
    assert_eq!(resumed(true), resumed(false));
}

#[test]
fn a_pause_during_a_resume_refuses_the_resume() {
    let mut world = paused("pc-1");
    world.conduct("plug-1", Conduct::Deaf);
    let cause = resume(&mut world);
    world.run_for(5_000);
    world.accept("session.pause", json!({"session": "s1"}));
    let refused = world.last("session.refused");
    assert_eq!((&refused["cause"], &refused["code"]), (&json!(cause), &json!("conflict")));
    world.run_for(MINUTE);
    assert_eq!(world.told("session.refused").len(), 1);
    assert_eq!(world.phase("s1"), "paused");
}

#[test]
fn a_resume_of_an_outlet_that_is_held_off_is_a_conflict_and_leaves_the_hold() {
    let mut world = paused("pc-1");
    world.accept("outlet.set", json!({"outlet": "plug-1", "on": false, "force": true}));
    let refused = world.send("session.resume", json!({"session": "s1"}));
    assert_eq!(refused.unwrap_err(), "conflict");
    assert!(world.hold("plug-1").is_some());
}

#[test]
fn an_extension_that_was_accepted_is_told_before_a_pause() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.plug("plug-1").latency_ms = 1_000;
    world.accept("session.extend", json!({"session": "s1", "by_ms": MINUTE}));
    world.accept("session.pause", json!({"session": "s1"}));
    let told: Vec<_> = world.take().into_iter().map(|event| event["type"].clone()).collect();
    let extended = told.iter().position(|kind| kind == "session.extended");
    let paused = told.iter().position(|kind| kind == "session.paused");
    assert!(extended.is_some() && extended < paused, "{told:?}");
}

#[test]
fn an_end_during_a_resume_ends_it() {
    let mut world = paused("pc-1");
    world.plug("plug-1").latency_ms = 1_500;
    resume(&mut world);
    world.run_for(1_000);
    world.accept("session.end", json!({"session": "s1"}));
    world.run_until("session.ended");
    assert!(!world.plug("plug-1").on);
    world.run_for(MINUTE);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_paused_session_survives_a_restart_and_a_reboot() {
    let mut world = paused("pc-1");
    let rest = world.last("session.paused")["remaining_ms"].as_u64().unwrap();
    world.restart(HOUR);
    world.reboot(2 * HOUR, 0);
    assert_eq!(world.phase("s1"), "paused");
    resume(&mut world);
    let resumed = world.run_until("session.resumed");
    assert!(resumed["ends_at_ms"].as_u64().unwrap().abs_diff(world.wall() + rest) < 100);
}

#[test]
fn a_session_cant_be_paused_at_its_deadline() {
    let mut world = World::with(|settings| settings.grace_ms = MINUTE);
    world.start("s1", "pc-1", 10 * MINUTE);
    let ends = world.last("session.started")["ends_at_ms"].as_u64().unwrap();
    let rest = ends - world.wall();
    world.run_for(rest + 1);
    assert_eq!(world.send("session.pause", json!({"session": "s1"})).unwrap_err(), "conflict");
}
