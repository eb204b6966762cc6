//! Holds: who may switch what by hand, and what takes them away (section 4, 6.10).

use serde_json::json;

use super::plug::Conduct;
use super::world::World;
use crate::node::settings::Rest;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

fn hold(world: &mut World, outlet: &str, on: bool, force: bool) -> Result<String, String> {
    let mut body = json!({"outlet": outlet, "on": on, "force": force});
    if on {
        body["for_ms"] = json!(HOUR);
    }
    world.send("outlet.set", body)
}

#[test]
fn a_hold_switches_an_outlet_on_for_its_time() {
    let mut world = World::new();
    hold(&mut world, "plug-1", true, false).unwrap();
    let at = world.time;
    world.run_for(100);
    assert_eq!(world.last("outlet.changed")["by"], "hold");
    world.run_for(HOUR - 200);
    assert!(world.plug("plug-1").on);
    world.run_for(1_000);
    assert_eq!(world.plug("plug-1").moves.last().unwrap(), &(at + HOUR + 20, false));
}

#[test]
fn a_hold_is_leased_like_a_session() {
    let mut world = World::new();
    hold(&mut world, "plug-1", true, false).unwrap();
    let at = world.time;
    world.run_for(100);
    let lease = world.plug("plug-1").lease.unwrap();
    assert!((at + HOUR..=at + HOUR + 15_000).contains(&lease));
    world.kill();
    world.run_for(2 * HOUR);
    assert_eq!(world.plug("plug-1").moves.last().unwrap(), &(lease, false));
}

#[test]
fn a_released_outlet_returns_to_its_rest() {
    let mut world = World::new();
    hold(&mut world, "plug-1", true, false).unwrap();
    hold(&mut world, "modem", false, false).unwrap();
    world.run_for(100);
    assert!(world.plug("plug-1").on && !world.plug("modem").on);
    for outlet in ["plug-1", "modem"] {
        world.accept("outlet.release", json!({"outlet": outlet}));
    }
    world.run_for(100);
    assert!(!world.plug("plug-1").on && world.plug("modem").on);
    assert_eq!(world.last("outlet.changed")["by"], "rest");
}

#[test]
fn an_outlet_of_rest_keep_stays_as_a_hold_left_it() {
    let mut world = World::new();
    hold(&mut world, "camera", true, false).unwrap();
    world.run_for(100);
    world.accept("outlet.release", json!({"outlet": "camera"}));
    world.run_for(2 * HOUR);
    assert!(world.plug("camera").on);
    assert_eq!(world.plug("camera").lease, None);
}

#[test]
fn an_outlet_of_rest_on_is_never_leased() {
    let mut world = World::new();
    hold(&mut world, "modem", true, false).unwrap();
    world.run_for(2 * HOUR);
    assert_eq!(world.plug("modem").lease, None);
    assert_eq!(world.plug("modem").moves.len(), 1);
}

#[test]
fn a_hold_on_a_sessions_outlet_is_a_conflict_unless_forced() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    assert_eq!(hold(&mut world, "plug-1", false, false).unwrap_err(), "conflict");
    hold(&mut world, "plug-1", false, true).unwrap();
    world.run_for(100);
    assert!(!world.plug("plug-1").on);
    assert_eq!(world.phase("s1"), "active");
    world.plug("plug-1").disturbed = true;
    world.accept("outlet.release", json!({"outlet": "plug-1"}));
    world.run_for(100);
    assert!(world.plug("plug-1").on);
}

#[test]
fn a_sessions_off_beats_every_hold_and_ends_it() {
    let mut world = World::new();
    world.start("s1", "pc-1", 10 * MINUTE);
    hold(&mut world, "plug-1", true, true).unwrap();
    let ended = world.run_for_kind(HOUR, "session.ended");
    assert_eq!(ended["late_ms"], 20);
    assert_eq!(world.hold("plug-1"), None);
    world.run_for(2 * HOUR);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_forced_hold_arms_no_lease_beyond_its_sessions_off_time() {
    let mut world = World::new();
    world.start("s1", "pc-1", 10 * MINUTE);
    let off = world.plug("plug-1").lease.unwrap();
    hold(&mut world, "plug-1", true, true).unwrap();
    world.run_for(5_000);
    assert!(world.plug("plug-1").lease.unwrap() <= off);
    world.kill();
    world.run_for(HOUR);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_forced_hold_that_ends_before_its_session_leaves_the_power_on() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    let body = json!({"outlet": "plug-1", "on": true, "for_ms": MINUTE, "force": true});
    world.accept("outlet.set", body);
    world.run_for(10 * MINUTE);
    assert_eq!(world.plug("plug-1").moves.len(), 1);
}

#[test]
fn a_start_takes_over_an_outlet_under_an_on_hold() {
    let mut world = World::new();
    hold(&mut world, "plug-1", true, false).unwrap();
    world.run_for(MINUTE);
    world.start("s1", "pc-1", 10 * MINUTE);
    assert_eq!(world.hold("plug-1"), None);
    assert_eq!(world.plug("plug-1").moves.len(), 1);
    world.run_for_kind(HOUR, "session.ended");
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_start_under_an_off_hold_is_a_conflict() {
    let mut world = World::new();
    hold(&mut world, "plug-4", false, false).unwrap();
    let body = json!({"session": "s1", "station": "bay", "duration_ms": HOUR});
    assert_eq!(world.send("session.start", body).unwrap_err(), "conflict");
    assert_eq!(world.hold("plug-4"), Some(false));
}

#[test]
fn an_extension_under_a_forced_off_hold_is_told_since_there_is_no_lease_to_wait_for() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    hold(&mut world, "plug-1", false, true).unwrap();
    world.run_for(MINUTE);
    world.accept("session.extend", json!({"session": "s1", "by_ms": HOUR}));
    world.run_for(1_000);
    assert_eq!(world.told("session.extended").len(), 1);
}

#[test]
fn a_hold_survives_a_restart_and_a_reboot() {
    let mut world = World::new();
    hold(&mut world, "plug-1", true, false).unwrap();
    let at = world.time;
    world.run_for(MINUTE);
    world.restart(MINUTE);
    assert_eq!(world.hold("plug-1"), Some(true));
    world.reboot(MINUTE, 0);
    world.run_to(at + HOUR - 1_000);
    assert!(world.plug("plug-1").on);
    world.run_for(2_000);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_hold_that_ended_while_the_node_was_away_is_over() {
    let mut world = World::new();
    hold(&mut world, "plug-1", true, false).unwrap();
    world.run_for(MINUTE);
    world.reboot(2 * HOUR, 0);
    world.run_for(1_000);
    assert_eq!(world.hold("plug-1"), None);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn an_unknown_outlet_is_named() {
    let mut world = World::new();
    assert_eq!(hold(&mut world, "plug-9", false, false).unwrap_err(), "unknown_outlet");
    let release = world.send("outlet.release", json!({"outlet": "plug-9"}));
    assert_eq!(release.unwrap_err(), "unknown_outlet");
}

#[test]
fn a_hold_on_the_outlets_of_a_failed_start_is_obeyed() {
    let mut world = World::new();
    world.conduct("plug-1", Conduct::Deaf);
    world.accept("session.start", json!({"session": "s1", "station": "pc-1", "duration_ms": HOUR}));
    world.run_until("session.failed");
    hold(&mut world, "plug-1", true, false).unwrap();
    world.conduct("plug-1", Conduct::Obeys);
    world.run_for(5_000);
    assert!(world.plug("plug-1").on);
}

#[test]
fn an_outlet_that_nothing_covers_is_set_to_its_rest_when_the_agent_starts() {
    let mut world = World::new();
    world.kill();
    for id in ["plug-1", "modem", "camera"] {
        world.press(id);
    }
    world.run_for(1_000);
    world.wake();
    world.run_for(100);
    assert!(!world.plug("plug-1").on);
    assert!(world.plug("modem").on);
    assert!(world.plug("camera").on, "`keep` leaves it as it is");
    assert_eq!(Rest::default(), Rest::Off);
}
