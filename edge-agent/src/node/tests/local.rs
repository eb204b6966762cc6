//! What a field tech orders on the machine itself: holds like any other, told as theirs
//! (contract, section 9).

use edge_protocol::command::OutletSet;
use serde_json::{Value, json};

use super::world::World;
use crate::node::{Disk, Input, LocalOrder};

const HOUR: u64 = 3_600_000;

fn set(outlet: &str, on: bool, for_ms: Option<u64>, force: bool) -> LocalOrder {
    LocalOrder::Set(OutletSet { outlet: outlet.parse().unwrap(), on, for_ms, force })
}

fn on(outlet: &str, for_ms: u64) -> LocalOrder {
    set(outlet, true, Some(for_ms), false)
}

fn release(outlet: &str) -> LocalOrder {
    LocalOrder::Release(outlet.parse().unwrap())
}

#[test]
fn a_local_hold_switches_for_its_time_and_is_told_as_local_and_caused_by_no_command() {
    let mut world = World::new();
    world.locally(on("plug-1", HOUR)).unwrap();
    let at = world.time;
    world.run_for(100);
    let changed = world.last("outlet.changed");
    assert_eq!((&changed["on"], &changed["by"]), (&json!(true), &json!("local")));
    assert_eq!(changed["cause"], Value::Null);
    let lease = world.plug("plug-1").lease.unwrap();
    assert!((at + HOUR..=at + HOUR + 15_000).contains(&lease), "leased like any hold");
    world.run_for(HOUR);
    assert!(!world.plug("plug-1").on);
    assert_eq!(world.last("outlet.changed")["by"], "rest", "its end is the rest's");
}

#[test]
fn a_local_hold_outlives_the_agent_and_is_still_local() {
    let mut world = World::new();
    world.locally(set("modem", false, None, false)).unwrap();
    world.run_for(100);
    assert_eq!(world.last("outlet.changed")["by"], "local");
    world.kill();
    world.wake();
    world.run_for(10_000);
    assert_eq!(world.hold("modem"), Some(false));
    // Somebody switches it on; the hold that survived sets it back.
    world.plug("modem").on = true;
    world.run_for(10_000);
    assert!(!world.plug("modem").on);
    assert_eq!(world.last("outlet.changed")["by"], "local");
}

#[test]
fn either_side_releases_the_others_hold() {
    let mut world = World::new();
    world.locally(on("plug-1", HOUR)).unwrap();
    world.accept("outlet.release", json!({"outlet": "plug-1"}));
    assert_eq!(world.hold("plug-1"), None);
    world.accept("outlet.set", json!({"outlet": "plug-1", "on": true, "for_ms": HOUR}));
    world.locally(release("plug-1")).unwrap();
    assert_eq!(world.hold("plug-1"), None);
    world.locally(release("plug-1")).unwrap();
    world.run_for(100);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_local_hold_on_a_sessions_outlet_is_a_conflict_unless_forced_and_ends_with_the_session() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    for wanted in [true, false] {
        let order = set("plug-1", wanted, Some(HOUR), false);
        assert_eq!(world.locally(order).unwrap_err(), "conflict");
    }
    world.locally(set("plug-1", false, None, true)).unwrap();
    world.run_for(100);
    assert!(!world.plug("plug-1").on);
    let changed = world.last("outlet.changed");
    assert_eq!((&changed["by"], &changed["session"]), (&json!("local"), &json!("s1")));
    assert_eq!(changed["cause"], Value::Null, "no command switched it");
    world.plug("plug-1").disturbed = true;
    world.run_for_kind(2 * HOUR, "session.ended");
    assert_eq!(world.hold("plug-1"), None);
}

#[test]
fn what_is_out_of_range_or_of_no_outlet_is_refused_by_its_reason() {
    let mut world = World::new();
    let wrong = [
        (set("plug-1", true, None, false), "invalid"),
        (on("plug-1", 0), "invalid"),
        (on("plug-1", 24 * HOUR + 1), "invalid"),
        (on("plug-9", HOUR), "unknown_outlet"),
        (release("plug-9"), "unknown_outlet"),
    ];
    for (order, code) in wrong {
        assert_eq!(world.locally(order).unwrap_err(), code);
    }
    world.run_for(1_000);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_node_that_takes_no_work_still_takes_a_local_off_and_a_release() {
    let mut world = World::new();
    world.locally(on("plug-1", HOUR)).unwrap();
    world.run_for(100);
    for disk in [Disk::Low, Disk::Failing] {
        world.step(Input::Disk(disk));
        assert_eq!(world.locally(on("plug-2", HOUR)).unwrap_err(), "busy");
        world.locally(set("plug-1", false, None, false)).unwrap();
        world.run_for(100);
        assert!(!world.plug("plug-1").on);
        world.locally(release("plug-1")).unwrap();
    }
    world.step(Input::Stop);
    assert_eq!(world.locally(set("modem", false, None, false)).unwrap_err(), "busy");
}
