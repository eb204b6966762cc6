//! Starting again in the same boot: sessions go on, nothing is cut, nothing is left on (6.7, P2).

use serde_json::json;

use super::plug::{Conduct, is_off};
use super::world::World;
use crate::node::record::Kind;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

fn active(station: &str) -> World {
    let mut world = World::new();
    world.start("s1", station, HOUR);
    world.run_for(MINUTE);
    world
}

#[test]
fn nobody_is_cut_by_a_restart_and_the_deadline_stays() {
    let mut world = active("bay");
    let ends = world.last("session.started")["ends_at_ms"].clone();
    for after in [0, 1_000, 10 * MINUTE] {
        world.restart(after);
        world.run_for(MINUTE);
    }
    world.run_for_kind(2 * HOUR, "session.ended");
    assert_eq!(world.last("session.ending")["off_at_ms"], ends);
    for id in ["relay-1", "plug-3", "plug-4"] {
        assert_eq!(world.plug(id).moves.len(), 2, "{id}");
    }
}

#[test]
fn a_start_says_why_it_started_and_what_it_found() {
    let mut world = active("pc-1");
    world.restart(1_000);
    let started = world.last("node.started");
    assert_eq!((&started["reason"], &started["sessions_recovered"]), (&json!("crash"), &json!(1)));
    world.stop();
    world.run_for(5_000);
    world.wake();
    let started = world.last("node.started");
    assert_eq!((&started["reason"], &started["off_for_ms"]), (&json!("restart"), &json!(5_000)));
    world.settings.version = "1.0.1".to_owned();
    world.restart(1_000);
    assert_eq!(world.last("node.started")["reason"], "update");
}

#[test]
fn a_deadline_that_passed_while_the_agent_was_down_ends_the_session_at_once() {
    let mut world = active("pc-1");
    world.restart(2 * HOUR);
    let ended = world.run_until("session.ended");
    let late = ended["late_ms"].as_u64().unwrap();
    assert!(late.abs_diff(HOUR + MINUTE) < 1_000, "{late}");
}

#[test]
fn an_end_that_was_under_way_is_read_back_after_a_restart() {
    let mut world = active("bay");
    world.conduct("plug-3", Conduct::Deaf);
    world.accept("session.end", json!({"session": "s1"}));
    world.run_for(10_000);
    world.kill();
    world.conduct("plug-3", Conduct::Obeys);
    for id in ["relay-1", "plug-3", "plug-4"] {
        world.plug(id).orders.clear();
    }
    world.wake();
    assert_eq!(world.phase("s1"), "ending");
    world.run_until("session.ended");
    for id in ["relay-1", "plug-3", "plug-4"] {
        assert!(!world.plug(id).ordered(is_off).is_empty(), "{id}");
    }
}

#[test]
fn an_extension_that_was_not_told_yet_is_told_after_a_restart() {
    let mut world = active("pc-1");
    world.plug("plug-1").latency_ms = 1_500;
    let cause = world.accept("session.extend", json!({"session": "s1", "by_ms": HOUR}));
    world.restart(100);
    world.run_for(10_000);
    let told = world.told("session.extended");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["cause"], cause);
}

#[test]
fn a_session_keeps_outlets_that_the_configuration_no_longer_names_until_they_are_off() {
    let mut world = active("bay");
    world.settings.outlets.remove(&"plug-4".parse().unwrap());
    world.settings.stations.remove(&"bay".parse().unwrap());
    world.restart(1_000);
    world.run_for(10_000);
    assert!(world.plug("plug-4").on);
    let ended = world.run_for_kind(2 * HOUR, "session.ended");
    assert_eq!(ended["late_ms"], 60);
    assert!(!world.plug("plug-4").on);
    world.run_for(10_000);
    assert_eq!(world.plug("plug-4").lease, None);
    let known = world.node().outlets().filter(|(id, _)| id.as_str() == "plug-4").count();
    assert_eq!(known, 0, "it is off, and nothing of this node's any more");
    assert!(!world.disk.contains_key(&Kind::Outlet.key("plug-4")));
}

#[test]
fn an_outlet_is_not_forgotten_while_it_cant_be_confirmed_off() {
    let mut world = active("pc-1");
    world.conduct("plug-1", Conduct::Deaf);
    world.accept("session.end", json!({"session": "s1", "abandon": true}));
    world.run_until("session.ended");
    world.settings.outlets.remove(&"plug-1".parse().unwrap());
    world.settings.stations.remove(&"pc-1".parse().unwrap());
    world.restart(1_000);
    world.run_for(MINUTE);
    assert!(world.plug("plug-1").ordered(is_off).last().unwrap() + 2_100 > world.time);
    world.conduct("plug-1", Conduct::Obeys);
    world.run_for(5_000);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_damaged_record_is_put_aside_and_told_and_the_rest_goes_on() {
    let mut world = active("pc-1");
    world.start("s2", "pc-2", HOUR);
    world.kill();
    let key = Kind::Session.key("s1");
    let mut value = world.disk[&key].clone();
    value.truncate(20);
    world.disk.insert(key.clone(), value.clone());
    world.disk.insert(b"nonsense".to_vec(), b"x".to_vec());
    world.disk.insert(Kind::Hold.key("plug-1"), vec![9, 1, 2]);
    world.plug("plug-1").disturbed = true;
    world.wake();
    world.run_for(5_000);
    let lost = world.last("node.store")["lost"].as_str().unwrap().to_owned();
    assert!(lost.contains('3'), "{lost}");
    assert_eq!(world.disk.get(&Kind::Damaged.key(&key)), Some(&value));
    assert!(!world.disk.contains_key(&key));
    assert!(!world.plug("plug-1").on, "no session that can be read covers it");
    assert!(world.plug("plug-2").on);
    world.restart(1_000);
    assert_eq!(world.told("node.store").len(), 1, "it is told once");
}

#[test]
fn a_stopped_agent_leaves_live_sessions_powered() {
    let mut world = active("bay");
    world.stop();
    world.run_for(MINUTE);
    world.wake();
    world.run_for(1_000);
    for id in ["relay-1", "plug-3", "plug-4"] {
        assert_eq!(world.plug(id).moves.len(), 1, "{id}");
    }
}

#[test]
fn a_restart_after_a_crash_at_any_moment_of_a_session_ends_it_on_time() {
    for at in (0..1_200).step_by(20) {
        let mut world = World::new();
        world.plug("plug-3").latency_ms = 100;
        let begun = world.time;
        let body = json!({
            "session": "s1", "station": "bay", "ends_at_ms": world.wall() + MINUTE, "warn_before_ms": []
        });
        world.accept("session.start", body);
        world.run_for(at);
        world.restart(10);
        world.run_for(MINUTE - 1_000);
        world.run_to(begun + MINUTE + at % 400);
        world.restart(10);
        world.run_for(5_000);
        for id in ["relay-1", "plug-3", "plug-4"] {
            assert!(!world.plug(id).on, "{id} after a crash at {at}");
        }
        assert_eq!(world.told("session.started").len(), 1, "a crash at {at}");
        assert_eq!(world.told("session.ended").len(), 1, "a crash at {at}");
    }
}
