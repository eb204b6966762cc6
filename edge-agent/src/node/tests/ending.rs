//! The end: the off time, its order, its read-back, its pursuit (6.3), and grace.

use edge_protocol::id::OutletId;
use serde_json::json;

use super::plug::{Conduct, is_off};
use super::world::World;
use crate::node::{Input, Order, Reading};

const OFF: Reading = Reading {
    on: false,
    lease_off_at: None,
    uptime_ms: None,
    boot_count: None,
    power_mw: None,
    energy_mwh: None,
    tripped: None,
};

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

fn end(world: &mut World) {
    world.accept("session.end", json!({"session": "s1"}));
}

#[test]
fn outlets_go_off_in_reverse_order_each_once_the_one_before_is_confirmed() {
    let mut world = World::new();
    world.start("s1", "bay", HOUR);
    for id in ["plug-4", "plug-3"] {
        world.plug(id).latency_ms = 90;
    }
    world.run_for(1);
    let at = world.time;
    end(&mut world);
    world.run_until("session.ended");
    let off = |world: &mut World, id: &str| world.plug(id).ordered(is_off).pop().unwrap() - at;
    assert_eq!(off(&mut world, "plug-4"), 0);
    assert_eq!(off(&mut world, "plug-3"), 90);
    assert_eq!(off(&mut world, "relay-1"), 180);
}

#[test]
fn the_next_goes_off_after_200_ms_where_the_one_before_does_not_answer() {
    let mut world = World::new();
    world.start("s1", "bay", HOUR);
    world.conduct("plug-4", Conduct::Deaf);
    world.conduct("plug-3", Conduct::Mute);
    for id in ["plug-3", "plug-4"] {
        world.plug(id).lease_excused = true;
    }
    let at = world.time;
    end(&mut world);
    world.run_for(1_000);
    let first = |world: &mut World, id: &str| {
        world.plug(id).ordered(is_off).into_iter().find(|off| *off >= at).unwrap() - at
    };
    assert_eq!(first(&mut world, "plug-4"), 0);
    assert_eq!(first(&mut world, "plug-3"), 200);
    assert_eq!(first(&mut world, "relay-1"), 400);
    assert!(!world.plug("relay-1").on);
    // Both stay unconfirmed for long: the node must not spin meanwhile.
    world.run_for(MINUTE);
}

#[test]
fn an_outlet_that_cant_be_reached_is_a_fault_at_once_and_is_tried_every_two_seconds() {
    for conduct in [Conduct::Deaf, Conduct::Mute, Conduct::Refuses, Conduct::Stuck, Conduct::Shrugs]
    {
        let mut world = World::new();
        world.start("s1", "pc-1", HOUR);
        world.plug("plug-1").lease_excused = true;
        world.conduct("plug-1", conduct);
        let at = world.time;
        end(&mut world);
        world.run_for(2_100);
        assert_eq!(world.told("outlet.fault").len(), 1, "{conduct:?}");
        world.run_for(10 * MINUTE);
        let offs = world.plug("plug-1").ordered(is_off);
        let offs: Vec<u64> = offs.into_iter().filter(|off| *off >= at).collect();
        let slowest = offs.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
        let fastest = offs.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap();
        assert!(slowest <= 2_000, "{conduct:?}: {slowest}");
        assert!(fastest >= 500, "{conduct:?}: {fastest}");
        assert!(offs.last().unwrap() + 2_100 >= world.time, "{conduct:?} is given up");
        assert_eq!(world.told("outlet.fault").len(), 1, "{conduct:?}");
        assert!(world.told("session.ended").is_empty(), "{conduct:?}");
        world.conduct("plug-1", Conduct::Obeys);
        world.run_for(2_100);
        assert_eq!(world.told("session.ended").len(), 1, "{conduct:?}");
        assert_eq!(world.told("outlet.recovered").len(), 1, "{conduct:?}");
    }
}

#[test]
fn each_failure_is_told_as_the_fault_that_it_is() {
    let cases = [
        (Conduct::Deaf, "unreachable"),
        (Conduct::Mute, "unreachable"),
        (Conduct::Refuses, "refused"),
        (Conduct::Stuck, "stuck_on"),
        (Conduct::Shrugs, "stuck_on"),
    ];
    for (conduct, fault) in cases {
        let mut world = World::new();
        world.start("s1", "pc-1", HOUR);
        world.conduct("plug-1", conduct);
        end(&mut world);
        world.run_for(5_000);
        assert_eq!(world.last("outlet.fault")["fault"], fault, "{conduct:?}");
    }
}

#[test]
fn ended_says_how_late_the_last_outlet_was_read_back_off() {
    let mut world = World::new();
    world.start("s1", "pc-1", 10 * MINUTE);
    world.run_for(9 * MINUTE);
    world.conduct("plug-1", Conduct::Deaf);
    world.run_for(MINUTE + 30_000);
    world.conduct("plug-1", Conduct::Obeys);
    let ended = world.run_until("session.ended");
    let off = world.last("session.ending")["off_at_ms"].as_u64().unwrap();
    assert_eq!(ended["late_ms"], ended["ended_at_ms"].as_u64().unwrap() - off);
    assert_eq!(ended["proof"], "read_back");
    assert_eq!(ended["reason"], "expired");
}

#[test]
fn nothing_ever_delays_an_off() {
    for latency_ms in [0, 1_000, 30_000] {
        let mut world = World::new();
        world.start("s1", "pc-1", HOUR);
        // An on is under way, or a read is.
        world.plug("plug-1").latency_ms = latency_ms;
        world.accept("session.extend", json!({"session": "s1", "by_ms": HOUR}));
        world.run_for(2_500);
        world.plug("plug-1").latency_ms = 20;
        let at = world.time;
        end(&mut world);
        assert!(world.plug("plug-1").orders.contains(&(at, Order::Off)), "{latency_ms}");
        world.run_until("session.ended");
        assert_eq!(world.last("session.ended")["late_ms"], 20);
    }
}

#[test]
fn the_answer_to_an_order_that_an_off_overtook_says_nothing() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.plug("plug-1").latency_ms = 1_000;
    world.run_for(3_000);
    end(&mut world);
    let (outlet, reading) = ("plug-1".parse().unwrap(), OFF);
    // Some order of before: a plug that was seen off then says nothing of now.
    for number in 0..10 {
        let outlet: OutletId = OutletId::clone(&outlet);
        world.step(Input::Outlet { outlet, number: number / 2, result: Ok(reading) });
    }
    assert!(world.told("session.ended").is_empty());
    world.run_until("session.ended");
}

#[test]
fn an_off_time_that_has_passed_never_powers_again() {
    let mut world = World::new();
    world.start("s1", "pc-1", 10 * MINUTE);
    world.conduct("plug-1", Conduct::Deaf);
    world.run_for(20 * MINUTE);
    world.plug("plug-1").orders.clear();
    world.conduct("plug-1", Conduct::Obeys);
    world.run_for(10 * MINUTE);
    assert!(world.plug("plug-1").ordered(super::plug::is_on).is_empty());
    assert!(!world.plug("plug-1").on);
}

#[test]
fn a_node_that_was_asleep_at_the_off_time_switches_off_as_soon_as_it_wakes() {
    let mut world = World::new();
    world.start("s1", "bay", 10 * MINUTE);
    world.sleep(20 * MINUTE);
    let at = world.time;
    world.run_until("session.ended");
    assert_eq!(world.plug("plug-4").ordered(is_off).pop(), Some(at));
    assert_eq!(world.plug("relay-1").moves.last().unwrap().0, at + 60);
}

#[test]
fn grace_is_the_time_between_the_deadline_and_the_off_time() {
    let mut world = World::new();
    let body = json!({
        "session": "s1", "station": "pc-1", "duration_ms": 10 * MINUTE, "grace_ms": 30_000
    });
    world.start_with(body);
    let ends = world.last("session.started")["ends_at_ms"].as_u64().unwrap();
    let ending = world.run_for_kind(HOUR, "session.ending");
    assert_eq!(ending["at_ms"], ends);
    assert_eq!(ending["off_at_ms"], ends + 30_000);
    world.run_for(29_900);
    assert!(world.plug("plug-1").on);
    let ended = world.run_until("session.ended");
    assert_eq!(ended["late_ms"], 20);
    assert_eq!(ended["ended_at_ms"], ends + 30_020);
}

#[test]
fn an_end_by_command_has_its_grace_unless_immediate() {
    for (immediate, off) in [(false, 30_000), (true, 0)] {
        let mut world = World::with(|settings| settings.grace_ms = 30_000);
        world.start("s1", "pc-1", HOUR);
        let at = world.wall();
        world.accept("session.end", json!({"session": "s1", "immediate": immediate}));
        assert_eq!(world.last("session.ending")["off_at_ms"], at + off);
        assert_eq!(world.run_until("session.ended")["ended_at_ms"], at + off + 20);
    }
}

#[test]
fn an_abandoned_end_does_not_wait_for_an_outlet_that_cant_be_reached() {
    let mut world = World::new();
    world.start("s1", "bay", HOUR);
    world.conduct("plug-3", Conduct::Deaf);
    world.accept("session.end", json!({"session": "s1", "abandon": true}));
    let ended = world.run_until("session.ended");
    assert_eq!(ended["reason"], "abandoned");
    assert!(ended["proof"].is_null());
    assert!(!world.plug("relay-1").on);
    assert!(!world.plug("plug-4").on);
    // The outlet is pursued all the same.
    world.run_for(10_000);
    assert!(world.plug("plug-3").ordered(is_off).last().unwrap() + 2_000 >= world.time);
    world.conduct("plug-3", Conduct::Obeys);
    world.run_for(2_100);
    assert!(!world.plug("plug-3").on);
}

#[test]
fn an_end_can_be_abandoned_later() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.conduct("plug-1", Conduct::Mute);
    world.plug("plug-1").lease_excused = true;
    end(&mut world);
    world.run_for(MINUTE);
    let cause = world.accept("session.end", json!({"session": "s1", "abandon": true}));
    let ended = world.last("session.ended");
    assert_eq!((&ended["reason"], &ended["cause"]), (&json!("abandoned"), &json!(cause)));
}

#[test]
fn an_abandoned_end_of_outlets_that_obey_is_an_ordinary_end() {
    let mut world = World::new();
    world.start("s1", "bay", HOUR);
    world.accept("session.end", json!({"session": "s1", "abandon": true}));
    assert_eq!(world.run_until("session.ended")["reason"], "ended");
}

#[test]
fn the_end_is_caused_by_the_command_that_ended_it() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    let cause = world.accept("session.end", json!({"session": "s1"}));
    world.run_until("session.ended");
    assert_eq!(world.last("session.ending")["cause"], cause);
    assert_eq!(world.last("session.ended")["cause"], cause);
}

#[test]
fn powered_time_is_the_time_with_power() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.run_for(MINUTE);
    world.accept("session.pause", json!({"session": "s1"}));
    world.run_for(MINUTE);
    world.accept("session.resume", json!({"session": "s1"}));
    world.run_until("session.resumed");
    world.run_for(MINUTE);
    end(&mut world);
    let powered = world.run_until("session.ended")["powered_ms"].as_u64().unwrap();
    assert!(powered.abs_diff(2 * MINUTE) < 200, "{powered}");
}
