//! What delays an on, and that nothing delays an off (6.3 and PLUGS: inrush, compressors).

use serde_json::json;

use super::plug::{Conduct, is_off, is_on};
use super::world::World;
use crate::node::settings::Settings;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
const SECOND: u64 = 1_000;
const PLUGS: [&str; 4] = ["plug-1", "plug-2", "plug-3", "plug-4"];

/// A site whose ons are 300 ms apart.
fn staggered(change: fn(&mut Settings)) -> World {
    World::with(|settings| {
        settings.stagger_ms = 300;
        change(settings);
    })
}

fn min_off(settings: &mut Settings) {
    let fridge = settings.outlets.get_mut(&"plug-1".parse().unwrap()).unwrap();
    fridge.min_off_ms = Some(3 * MINUTE);
}

/// Holds every plug on, at once.
fn all_on(world: &mut World) {
    for plug in PLUGS {
        world.accept("outlet.set", json!({"outlet": plug, "on": true, "for_ms": HOUR}));
    }
}

fn first_ons(world: &mut World) -> Vec<u64> {
    let mut ons: Vec<_> = PLUGS.map(|plug| world.plug(plug).ordered(is_on)[0]).into();
    ons.sort_unstable();
    ons
}

#[test]
fn ons_of_one_circuit_are_300_ms_apart_and_offs_go_at_once() {
    let mut world = staggered(|_| {});
    all_on(&mut world);
    let asked = world.time;
    world.run_for(5 * SECOND);
    let ons = first_ons(&mut world);
    assert_eq!(ons, [asked, asked + 300, asked + 600, asked + 900]);
    for plug in PLUGS {
        world.plug(plug).orders.clear();
        world.accept("outlet.release", json!({"outlet": plug}));
    }
    let released = world.time;
    world.run_for(SECOND);
    for plug in PLUGS {
        assert_eq!(world.plug(plug).ordered(is_off), [released]);
    }
}

#[test]
fn circuits_do_not_wait_for_each_other() {
    let mut world = staggered(|settings| {
        for plug in ["plug-3", "plug-4"] {
            settings.outlets.get_mut(&plug.parse().unwrap()).unwrap().circuit = Some("left".into());
        }
    });
    all_on(&mut world);
    let asked = world.time;
    world.run_for(5 * SECOND);
    assert_eq!(first_ons(&mut world), [asked, asked, asked + 300, asked + 300]);
}

#[test]
fn a_plug_that_does_not_answer_takes_its_turn_and_starves_nobody() {
    let mut world = staggered(|_| {});
    for plug in &PLUGS[..3] {
        world.conduct(plug, Conduct::Deaf);
    }
    all_on(&mut world);
    let asked = world.time;
    world.run_for(MINUTE);
    let first = world.plug("plug-4").ordered(is_on)[0];
    assert!(first <= asked + 900, "it waited {} ms", first - asked);
}

/// The ons of a dead station waited for their turns again and again, and each wait gave it another
/// 30 s: its customer was told after a minute and a half.
#[test]
fn a_station_that_can_not_be_powered_is_given_up_after_30_s_however_its_ons_take_turns() {
    let mut world = staggered(|_| {});
    for plug in &PLUGS[1..] {
        world.conduct(plug, Conduct::Deaf);
        world.accept("outlet.set", json!({"outlet": plug, "on": true, "for_ms": HOUR}));
    }
    world.conduct("plug-1", Conduct::Deaf);
    let asked = world.time;
    world.accept("session.start", json!({"session": "s1", "station": "pc-1", "duration_ms": HOUR}));
    while world.told("session.failed").is_empty() {
        world.run_for(SECOND);
        let orders = world.plug("plug-1").orders.clone();
        assert!(world.time <= asked + 33 * SECOND, "it is not given up: {orders:?}");
    }
}

#[test]
fn a_lease_that_is_renewed_waits_for_no_turn() {
    let mut world = staggered(|_| {});
    all_on(&mut world);
    world.run_for(5 * SECOND);
    for plug in PLUGS {
        world.plug(plug).orders.clear();
        world.accept("outlet.set", json!({"outlet": plug, "on": true, "for_ms": 2 * HOUR}));
    }
    let asked = world.time;
    world.run_for(5 * SECOND);
    assert!(first_ons(&mut world).into_iter().all(|on| on <= asked + 20));
}

#[test]
fn an_outlet_stays_off_for_its_minimum_and_the_duration_runs_from_its_on() {
    let mut world = staggered(min_off);
    world.run_for(5 * MINUTE);
    world.start("s1", "pc-1", HOUR);
    world.accept("session.end", json!({"session": "s1", "immediate": true}));
    let ended = world.time;
    world.run_until("session.ended");
    assert_eq!(world.last("session.ended")["late_ms"], 20, "an off waits for nothing");
    world.accept("session.start", json!({"session": "s2", "station": "pc-1", "duration_ms": HOUR}));
    let started = world.run_for_kind(10 * MINUTE, "session.started");
    let on = *world.plug("plug-1").ordered(is_on).last().unwrap();
    let waited = world.plug("plug-1").moves.last().unwrap().0 - ended;
    assert!((3 * MINUTE..=3 * MINUTE + SECOND).contains(&waited), "{waited} ms, on at {on}");
    let (began, ends) = (&started["started_at_ms"], &started["ends_at_ms"]);
    assert_eq!(ends.as_u64().unwrap() - began.as_u64().unwrap(), HOUR);
    let ended = world.run_for_kind(2 * HOUR, "session.ended");
    assert_eq!(ended["late_ms"], 20);
}

#[test]
fn the_thirty_seconds_of_a_start_run_from_the_moment_its_on_could_be_sent() {
    let mut world = staggered(min_off);
    world.run_for(5 * MINUTE);
    world.start("s1", "pc-1", 2 * MINUTE);
    world.run_for_kind(HOUR, "session.ended");
    let off = world.time;
    world.conduct("plug-1", Conduct::Refuses);
    world.accept("session.start", json!({"session": "s2", "station": "pc-1", "duration_ms": HOUR}));
    world.run_for_kind(HOUR, "session.failed");
    let after = world.time - off;
    assert!((210_000..=211_000).contains(&after), "{after} ms");
}

#[test]
fn a_minimum_time_off_outlives_the_agent() {
    let mut world = staggered(min_off);
    world.run_for(5 * MINUTE);
    world.start("s1", "pc-1", 2 * MINUTE);
    world.run_for_kind(HOUR, "session.ended");
    let off = world.time;
    world.restart(SECOND);
    world.accept("session.start", json!({"session": "s2", "station": "pc-1", "duration_ms": HOUR}));
    world.run_for_kind(HOUR, "session.started");
    let waited = world.plug("plug-1").moves.last().unwrap().0 - off;
    assert!((3 * MINUTE - SECOND..=3 * MINUTE + SECOND).contains(&waited), "{waited} ms");
}

#[test]
fn what_waits_for_its_on_is_ended_at_once() {
    let mut world = staggered(min_off);
    world.run_for(5 * MINUTE);
    world.start("s1", "pc-1", 2 * MINUTE);
    world.run_for_kind(HOUR, "session.ended");
    world.accept("session.start", json!({"session": "s2", "station": "pc-1", "duration_ms": HOUR}));
    world.run_for(MINUTE);
    world.accept("session.end", json!({"session": "s2"}));
    let ended = world.run_until("session.ended");
    assert_eq!((&ended["session"], &ended["late_ms"]), (&json!("s2"), &json!(20)));
    world.run_for(10 * MINUTE);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn ons_that_waited_are_counted() {
    let mut world = staggered(|_| {});
    all_on(&mut world);
    world.run_for(5 * SECOND);
    let details = world.node().outlet_details();
    let waited: u64 = details.iter().map(|detail| detail.waited_for_stagger).sum();
    assert_eq!(waited, 3);
}

/// A console whose cut waits, within the grace, until it draws less than 5 W.
fn console() -> World {
    let mut world = World::with(|settings| {
        settings.grace_ms = 5 * MINUTE;
        settings.outlets.get_mut(&"plug-1".parse().unwrap()).unwrap().cut_below_mw = Some(5_000);
    });
    world.plug("plug-1").meter.load_mw = Some(120_000);
    world.start("s1", "pc-1", 10 * MINUTE);
    world
}

#[test]
fn within_the_grace_the_cut_comes_as_soon_as_the_load_has_gone_down() {
    let mut world = console();
    world.run_for_kind(HOUR, "session.ending");
    world.run_for(MINUTE);
    assert!(world.plug("plug-1").on);
    world.plug("plug-1").meter.load_mw = Some(2_000);
    let down = world.time;
    let ended = world.run_for_kind(HOUR, "session.ended");
    assert!(world.time - down <= 4_500, "two samples: {} ms", world.time - down);
    assert_eq!(ended["late_ms"], 20);
}

#[test]
fn a_load_that_stays_up_is_cut_at_the_off_time() {
    let mut world = console();
    let ending = world.run_for_kind(HOUR, "session.ending");
    let ended = world.run_for_kind(HOUR, "session.ended");
    assert_eq!(ended["late_ms"], 20);
    assert_eq!(ended["at_ms"].as_u64().unwrap(), ending["off_at_ms"].as_u64().unwrap() + 20);
}

#[test]
fn a_load_that_was_low_before_the_deadline_is_not_cut_before_it() {
    let mut world = console();
    world.plug("plug-1").meter.load_mw = Some(2_000);
    let ending = world.run_for_kind(HOUR, "session.ending");
    assert!(world.plug("plug-1").on);
    let ended = world.run_for_kind(HOUR, "session.ended");
    let after = ended["at_ms"].as_u64().unwrap() - ending["at_ms"].as_u64().unwrap();
    assert!((2_000..=4_500).contains(&after), "two samples within the grace: {after} ms");
}
