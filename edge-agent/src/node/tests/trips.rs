//! Plugs that switch themselves off because of what hangs on them.

use serde_json::json;

use super::faults;
use super::plug::is_on;
use super::world::World;
use crate::node::settings::Button;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
const SECOND: u64 = 1_000;

/// As in [`faults`], and no order counts yet.
fn active() -> World {
    let mut world = faults::active();
    world.plug("plug-1").orders.clear();
    world
}

fn ons(world: &mut World) -> usize {
    world.plug("plug-1").ordered(is_on).len()
}

/// It was taken for the customer's thumb: no fault was told, and nobody knew why the place was dark.
#[test]
fn a_plug_that_switches_itself_off_within_a_session_is_a_fault_and_no_thumb() {
    let mut world = active();
    world.overload("plug-1", true);
    let fault = world.run_for_kind(3 * SECOND, "outlet.fault");
    assert_eq!(fault["fault"], "refused");
    assert_eq!(fault["message"], "it switched itself off: overpower");
    let changed = world.last("outlet.changed");
    assert_eq!((&changed["on"], &changed["by"]), (&json!(false), &json!("unknown")));
    world.run_for(4 * MINUTE);
    assert_eq!(ons(&mut world), 0, "its contacts are not closed on the same load at once");
    assert_eq!(world.told("outlet.fault").len(), 1);
    world.run_for(50 * MINUTE);
    assert!((8..=12).contains(&ons(&mut world)), "{}", ons(&mut world));
    assert_eq!(world.told("outlet.fault").len(), 1, "it is one fault");
    let ended = world.run_for_kind(HOUR, "session.ended");
    assert_eq!(ended["late_ms"], 20);
    assert_eq!(world.told("outlet.recovered").len(), 1);
}

#[test]
fn whoever_takes_the_load_away_has_power_within_five_minutes_or_at_once_by_its_button() {
    let mut world = active();
    world.overload("plug-1", true);
    world.run_for(10 * SECOND);
    world.overload("plug-1", false);
    world.run_for(5 * MINUTE);
    assert!(world.plug("plug-1").on && world.plug("plug-1").lease.is_some());
    assert_eq!(world.told("outlet.recovered").len(), 1);

    world.overload("plug-1", true);
    world.run_for(10 * SECOND);
    world.overload("plug-1", false);
    world.press("plug-1");
    world.run_for(4 * SECOND);
    assert!(world.plug("plug-1").on && world.plug("plug-1").lease.is_some());
    assert_eq!(world.told("outlet.recovered").len(), 2);
}

#[test]
fn a_restart_or_a_new_wish_is_a_word_that_it_may_be_tried() {
    let mut world = active();
    world.overload("plug-1", true);
    world.run_for(10 * SECOND);
    world.overload("plug-1", false);
    world.replug("plug-1");
    world.run_for(5 * SECOND);
    assert!(world.plug("plug-1").on, "somebody pulled it out and put it back");

    world.overload("plug-1", true);
    world.run_for(10 * SECOND);
    world.overload("plug-1", false);
    world.accept("session.pause", json!({"session": "s1"}));
    world.run_for(5 * SECOND);
    world.accept("session.resume", json!({"session": "s1"}));
    world.run_for(5 * SECOND);
    assert!(world.plug("plug-1").on);
}

#[test]
fn a_plug_that_trips_at_each_on_fails_its_start_and_is_switched_on_once() {
    let mut world = World::new();
    world.overload("plug-1", true);
    let body = json!({"session": "s1", "station": "pc-1", "duration_ms": HOUR});
    world.accept("session.start", body);
    let failed = world.run_for_kind(MINUTE, "session.failed");
    assert!(failed["message"].as_str().unwrap().contains("overpower"), "{failed}");
    assert_eq!(ons(&mut world), 1);
    let fault = world.last("outlet.fault");
    assert_eq!(fault["fault"], "refused");
}

#[test]
fn a_trip_is_not_undone_where_a_thumb_is() {
    let mut world = World::with(|settings| {
        for outlet in settings.outlets.values_mut() {
            outlet.button = Button::Undo;
        }
    });
    world.start("s1", "pc-1", HOUR);
    world.run_for(MINUTE);
    world.plug("plug-1").orders.clear();
    world.overload("plug-1", true);
    world.run_for(4 * MINUTE);
    assert_eq!(ons(&mut world), 0);
}

/// A plug may tell of it until it is on again: that is no word against the next customer.
#[test]
fn an_old_trip_does_not_keep_the_next_session_off() {
    let mut world = active();
    world.overload("plug-1", true);
    world.run_for(10 * SECOND);
    world.accept("session.end", json!({"session": "s1", "immediate": true}));
    world.run_until("session.ended");
    world.overload("plug-1", false);
    world.start("s2", "pc-1", HOUR);
    assert!(world.plug("plug-1").on);
}
