//! Plugs that restart, buttons, and what is told of them (6.9, section 5).

use serde_json::json;

use super::plug::{Conduct, is_on};
use super::world::World;
use crate::node::settings::Button;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
const SECOND: u64 = 1_000;

/// A session of an hour on `plug-1` that is a minute old.
pub(super) fn active() -> World {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.run_for(MINUTE);
    world
}

#[test]
fn a_plug_that_restarts_within_a_session_is_set_back_to_the_remaining_time_within_five_seconds() {
    let mut world = active();
    let lease = world.plug("plug-1").lease.unwrap();
    world.replug("plug-1");
    world.conduct("plug-1", Conduct::Deaf);
    world.run_for(20 * SECOND);
    world.conduct("plug-1", Conduct::Obeys);
    world.run_for(5 * SECOND);
    assert!(world.plug("plug-1").on);
    assert!(world.plug("plug-1").lease.unwrap().abs_diff(lease) <= 2 * SECOND);
    let ended = world.run_for_kind(2 * HOUR, "session.ended");
    assert_eq!(ended["late_ms"], 20, "pulling the plug buys no minute");
}

#[test]
fn a_plug_that_restarts_outside_a_session_is_set_to_its_rest() {
    let mut world = World::new();
    world.replug("plug-1");
    world.press("plug-1");
    world.replug("modem");
    world.run_for(5 * SECOND);
    assert!(!world.plug("plug-1").on);
    assert!(world.plug("modem").on);
}

#[test]
fn a_button_off_within_a_session_stays_off_and_the_time_runs() {
    let mut world = active();
    world.press("plug-1");
    let ended = world.run_for_kind(2 * HOUR, "session.ended");
    let changed = world.told("outlet.changed").pop().unwrap();
    assert_eq!((&changed["on"], &changed["by"]), (&json!(false), &json!("button")));
    assert_eq!(ended["late_ms"], 20);
    assert_eq!(world.plug("plug-1").moves.len(), 2);
}

#[test]
fn a_button_off_within_a_session_can_be_undone_by_configuration() {
    let mut world = World::with(|settings| {
        for outlet in settings.outlets.values_mut() {
            outlet.button = Button::Undo;
        }
    });
    world.start("s1", "pc-1", HOUR);
    world.press("plug-1");
    world.run_for(5 * SECOND);
    assert!(world.plug("plug-1").on);
}

#[test]
fn an_obeyed_button_stays_obeyed_across_a_restart_of_the_agent() {
    let mut world = active();
    world.press("plug-1");
    world.run_for(5 * SECOND);
    world.restart(SECOND);
    world.run_for(MINUTE);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn an_obeyed_button_is_forgotten_with_its_session() {
    let mut world = active();
    world.press("plug-1");
    world.run_for(5 * SECOND);
    world.accept("session.end", json!({"session": "s1"}));
    world.run_until("session.ended");
    world.start("s2", "pc-1", HOUR);
    assert!(world.plug("plug-1").on);
}

#[test]
fn a_second_press_brings_the_power_back_with_its_lease() {
    let mut world = active();
    let lease = world.plug("plug-1").lease;
    world.press("plug-1");
    world.run_for(5 * SECOND);
    world.plug("plug-1").lease = None;
    world.press("plug-1");
    world.run_for(5 * SECOND);
    assert!(world.plug("plug-1").on);
    assert!(world.plug("plug-1").lease.unwrap().abs_diff(lease.unwrap()) <= 2 * SECOND);
}

#[test]
fn an_extension_of_a_session_whose_button_was_pressed_is_told() {
    let mut world = active();
    world.press("plug-1");
    world.run_for(5 * SECOND);
    world.accept("session.extend", json!({"session": "s1", "by_ms": HOUR}));
    world.run_for(SECOND);
    assert_eq!(world.told("session.extended").len(), 1);
}

#[test]
fn a_refusal_is_over_once_an_outlet_whose_button_is_obeyed_can_be_read_again() {
    // It stayed, since the session's on was never met, and hid what its meter told of its relay.
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.press("plug-1");
    world.run_for(5_000);
    world.conduct("plug-1", Conduct::Refuses);
    world.run_until("outlet.fault");
    world.conduct("plug-1", Conduct::Obeys);
    world.run_until("outlet.recovered");
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_button_outside_a_session_buys_no_minute() {
    let mut world = World::new();
    world.press("plug-1");
    world.run_for(3 * SECOND);
    assert!(!world.plug("plug-1").on);
    let told = world.told("outlet.changed");
    assert_eq!((&told[0]["on"], &told[0]["by"]), (&json!(true), &json!("button")));
    assert_eq!((&told[1]["on"], &told[1]["by"]), (&json!(false), &json!("rest")));
}

#[test]
fn a_button_on_an_outlet_of_rest_on_is_undone() {
    let mut world = World::new();
    world.press("modem");
    world.run_for(3 * SECOND);
    assert!(world.plug("modem").on);
}

#[test]
fn a_button_on_within_a_pause_buys_no_minute() {
    let mut world = active();
    world.accept("session.pause", json!({"session": "s1"}));
    world.run_for(MINUTE);
    world.press("plug-1");
    world.run_for(3 * SECOND);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn an_outlet_that_needs_nothing_is_a_fault_once_two_reads_failed() {
    let mut world = active();
    world.conduct("plug-1", Conduct::Deaf);
    world.run_for(10 * SECOND);
    let fault = world.last("outlet.fault");
    assert_eq!((&fault["fault"], &fault["session"]), (&json!("unreachable"), &json!("s1")));
    world.run_for(10 * MINUTE);
    assert_eq!(world.told("outlet.fault").len(), 1);
    world.conduct("plug-1", Conduct::Obeys);
    world.run_for(3 * SECOND);
    let recovered = world.last("outlet.recovered");
    assert_eq!(recovered["since_ms"], fault["since_ms"]);
}

#[test]
fn an_outlet_that_answers_again_has_recovered_though_a_thumb_keeps_it_off() {
    let mut world = active();
    world.press("plug-1");
    world.run_for(5 * SECOND);
    world.conduct("plug-1", Conduct::Deaf);
    world.run_until("outlet.fault");
    world.conduct("plug-1", Conduct::Obeys);
    world.run_for(5 * SECOND);
    assert_eq!(world.told("outlet.recovered").len(), 1);
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_driver_that_never_comes_back_is_a_fault_too() {
    let mut world = active();
    world.conduct("plug-1", Conduct::Mute);
    world.run_for(MINUTE);
    assert_eq!(world.told("outlet.fault").len(), 1);
    world.conduct("plug-1", Conduct::Obeys);
    world.run_for(20 * SECOND);
    assert_eq!(world.told("outlet.recovered").len(), 1);
}

#[test]
fn a_lease_that_cuts_the_power_is_told_as_such() {
    let mut world = World::new();
    world.start("s1", "pc-1", 10 * MINUTE);
    world.conduct("plug-1", Conduct::Deaf);
    world.run_for(HOUR);
    world.conduct("plug-1", Conduct::Obeys);
    world.run_until("session.ended");
    let changed = world.last("outlet.changed");
    assert_eq!((&changed["on"], &changed["by"]), (&json!(false), &json!("lease")));
}

#[test]
fn an_idle_outlet_is_read_every_two_seconds_and_not_switched() {
    let mut world = active();
    world.plug("plug-1").orders.clear();
    world.run_for(10 * MINUTE);
    let orders = &world.plug("plug-1").orders;
    assert!((250..=301).contains(&orders.len()), "{}", orders.len());
    assert_eq!(orders.iter().filter(|(_, order)| is_on(order)).count(), 0);
}

#[test]
fn a_thumb_that_a_newer_wish_overruled_is_not_obeyed_again_by_the_next_start() {
    // A hold after a thumb's off set the outlet on again; after a power cut the next start took
    // the thumb's word for it, and the customer sat in the dark.
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.press("plug-1");
    world.run_for(5_000);
    world.accept(
        "outlet.set",
        json!({"outlet": "plug-1", "on": false, "for_ms": 10_000, "force": true}),
    );
    world.run_for(20_000);
    assert!(world.plug("plug-1").on);
    world.kill();
    world.replug("plug-1");
    world.restart(1_000);
    world.run_for(10_000);
    assert!(world.plug("plug-1").on);
}
