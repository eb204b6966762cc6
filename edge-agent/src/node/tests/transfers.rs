//! Transfers: the new station is on and confirmed before the old goes off, or nothing changes (section 4).

use serde_json::json;

use super::plug::{Conduct, is_off};
use super::world::World;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

fn transfer(world: &mut World, station: &str) -> Result<String, String> {
    world.send("session.transfer", json!({"session": "s1", "station": station}))
}

fn active() -> World {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.run_for(MINUTE);
    world
}

#[test]
fn the_old_station_goes_off_once_the_new_is_confirmed_and_the_deadline_stays() {
    let mut world = active();
    let ends = world.last("session.started")["ends_at_ms"].clone();
    world.plug("plug-3").latency_ms = 700;
    let cause = transfer(&mut world, "bay").unwrap();
    let transferred = world.run_until("session.transferred");
    assert_eq!(transferred["ends_at_ms"], ends);
    assert_eq!(transferred["cause"], cause);
    assert_eq!(world.told("outlet.changed").iter().filter(|it| it["on"] == false).count(), 0);
    let confirmed = world.time;
    world.run_for(1_000);
    assert_eq!(world.plug("plug-1").ordered(is_off).pop(), Some(confirmed));
    for id in ["relay-1", "plug-3", "plug-4"] {
        assert!(world.plug(id).on, "{id}");
    }
    let ended = world.run_for_kind(2 * HOUR, "session.ended");
    assert_eq!(ended["station"], "bay");
}

#[test]
fn the_old_station_goes_off_in_reverse_order() {
    let mut world = World::new();
    world.start("s1", "bay", HOUR);
    world.run_for(MINUTE);
    for id in ["plug-4", "plug-3"] {
        world.plug(id).latency_ms = 100;
    }
    transfer(&mut world, "pc-1").unwrap();
    world.run_until("session.transferred");
    let at = world.time;
    world.run_for(1_000);
    let off = |world: &mut World, id: &str| world.plug(id).ordered(is_off).pop().unwrap() - at;
    assert_eq!(off(&mut world, "plug-4"), 0);
    assert_eq!(off(&mut world, "plug-3"), 100);
    assert_eq!(off(&mut world, "relay-1"), 200);
    assert_eq!(world.last("outlet.changed")["by"], "session");
}

#[test]
fn a_transfer_that_cant_be_powered_is_refused_and_the_session_is_as_before() {
    let mut world = active();
    world.conduct("plug-4", Conduct::Deaf);
    let at = world.wall();
    let cause = transfer(&mut world, "bay").unwrap();
    let refused = world.run_until("session.refused");
    assert_eq!(refused["at_ms"], at + 30_000);
    assert_eq!((&refused["cause"], &refused["station"]), (&json!(cause), &json!("pc-1")));
    world.run_for(1_000);
    assert!(world.plug("plug-1").on);
    assert!(!world.plug("relay-1").on);
    assert!(!world.plug("plug-3").on);
    assert_eq!(world.phase("s1"), "active");
    world.run_for_kind(2 * HOUR, "session.ended");
}

#[test]
fn a_transfer_is_refused_if_the_session_ends_or_pauses_first() {
    for kind in ["session.end", "session.pause"] {
        let mut world = active();
        world.conduct("plug-2", Conduct::Deaf);
        transfer(&mut world, "pc-2").unwrap();
        world.accept(kind, json!({"session": "s1"}));
        assert_eq!(world.last("session.refused")["code"], "conflict", "{kind}");
        world.conduct("plug-2", Conduct::Obeys);
        world.run_for(MINUTE);
        assert!(!world.plug("plug-2").on, "{kind}");
        assert!(!world.plug("plug-1").on, "{kind}");
    }
}

#[test]
fn a_transfer_is_refused_if_the_deadline_comes_first() {
    let mut world = World::new();
    world.start("s1", "pc-1", MINUTE);
    world.run_for(MINUTE - 10_000);
    world.conduct("plug-2", Conduct::Deaf);
    transfer(&mut world, "pc-2").unwrap();
    world.run_until("session.ended");
    assert_eq!(world.told("session.refused").len(), 1);
}

#[test]
fn a_station_on_the_way_is_taken() {
    let mut world = active();
    world.conduct("plug-2", Conduct::Deaf);
    transfer(&mut world, "pc-2").unwrap();
    let body = json!({"session": "s2", "station": "pc-2", "duration_ms": HOUR});
    assert_eq!(world.send("session.start", body).unwrap_err(), "conflict");
    assert_eq!(transfer(&mut world, "bay").unwrap_err(), "conflict");
}

#[test]
fn a_transfer_to_a_live_held_off_unknown_or_the_same_station_is_rejected() {
    let mut world = active();
    world.start("s2", "pc-2", HOUR);
    world.accept("outlet.set", json!({"outlet": "plug-4", "on": false}));
    assert_eq!(transfer(&mut world, "pc-2").unwrap_err(), "conflict");
    assert_eq!(transfer(&mut world, "bay").unwrap_err(), "conflict");
    assert_eq!(transfer(&mut world, "pc-1").unwrap_err(), "conflict");
    assert_eq!(transfer(&mut world, "pc-9").unwrap_err(), "unknown_station");
    world.run_for(MINUTE);
    assert!(world.plug("plug-1").on);
}

#[test]
fn an_extension_during_a_transfer_moves_the_deadline_of_both_stations() {
    let mut world = active();
    world.plug("plug-2").latency_ms = 1_000;
    transfer(&mut world, "pc-2").unwrap();
    world.accept("session.extend", json!({"session": "s1", "by_ms": HOUR}));
    let ends = world.run_until("session.extended")["ends_at_ms"].clone();
    assert_eq!(world.run_until("session.transferred")["ends_at_ms"], ends);
    world.run_for(HOUR + 30 * MINUTE);
    assert!(world.plug("plug-2").on);
}

#[test]
fn a_transfer_survives_a_restart() {
    let mut world = active();
    world.conduct("plug-2", Conduct::Deaf);
    transfer(&mut world, "pc-2").unwrap();
    world.run_for(5_000);
    world.kill();
    world.conduct("plug-2", Conduct::Obeys);
    world.run_for(60_000);
    world.wake();
    world.run_until("session.transferred");
    world.run_for(1_000);
    assert!(world.plug("plug-2").on);
    assert!(!world.plug("plug-1").on);
}
