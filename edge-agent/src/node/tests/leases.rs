//! Leases: the plug cuts the power by itself if the node has died or lost it, never early (6.8).

use serde_json::json;

use super::plug::{Conduct, is_on};
use super::world::World;
use crate::node::Order;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
const SECOND: u64 = 1_000;

fn off_time(world: &World) -> u64 {
    let ends = world.last("session.started")["ends_at_ms"].as_u64().unwrap();
    world.time + ends - world.wall()
}

#[test]
fn during_the_start_a_lease_covers_the_whole_time_and_the_starts_thirty_seconds() {
    let mut world = World::new();
    world.conduct("plug-4", Conduct::Deaf);
    let at = world.time;
    world.accept("session.start", json!({"session": "s1", "station": "bay", "duration_ms": HOUR}));
    world.run_for(10 * SECOND);
    let lease = world.plug("plug-3").lease.unwrap();
    assert!((at + HOUR + 30 * SECOND..at + HOUR + 45 * SECOND).contains(&lease));
}

#[test]
fn started_waits_until_each_lease_is_renewed_to_the_off_time() {
    let mut world = World::new();
    world.plug("plug-3").latency_ms = 700;
    world.start("s1", "bay", HOUR);
    let off = off_time(&world);
    for id in ["plug-3", "plug-4"] {
        let lease = world.plug(id).lease.unwrap();
        assert!((off..=off + 15 * SECOND).contains(&lease), "{id}");
    }
    let time = world.time;
    assert_eq!(time, world.plug("plug-3").ordered(is_on)[1] + 700);
}

#[test]
fn a_dead_node_has_its_plugs_cut_within_fifteen_seconds_and_never_early() {
    for hours in [1, 4, 17] {
        let mut world = World::new();
        world.start("s1", "pc-1", hours * HOUR);
        let off = off_time(&world);
        world.run_for(10 * SECOND);
        world.kill();
        world.run_for(hours * HOUR + MINUTE);
        let (cut, on) = *world.plug("plug-1").moves.last().unwrap();
        assert!(!on);
        assert!((off..=off + 15 * SECOND).contains(&cut), "{hours} h: {cut} against {off}");
    }
}

#[test]
fn a_lost_plug_cuts_itself_and_the_session_ends_when_it_answers() {
    let mut world = World::new();
    world.start("s1", "pc-1", 10 * MINUTE);
    let off = off_time(&world);
    world.conduct("plug-1", Conduct::Deaf);
    world.run_for(HOUR);
    let (cut, _) = *world.plug("plug-1").moves.last().unwrap();
    assert!((off..=off + 15 * SECOND).contains(&cut));
    assert_eq!(world.phase("s1"), "ending");
    world.conduct("plug-1", Conduct::Obeys);
    world.run_for(5 * SECOND);
    assert_eq!(world.phase("s1"), "over");
}

#[test]
fn a_lease_is_cleared_within_two_seconds_of_the_end() {
    let mut world = World::new();
    world.start("s1", "bay", HOUR);
    world.accept("session.end", json!({"session": "s1"}));
    world.run_for(2 * SECOND);
    for id in ["plug-3", "plug-4"] {
        assert_eq!(world.plug(id).lease, None, "{id}");
    }
}

#[test]
fn extended_waits_until_the_new_lease_is_confirmed() {
    let mut world = World::new();
    world.start("s1", "bay", HOUR);
    world.plug("plug-3").latency_ms = 700;
    world.run_for(MINUTE);
    let off = off_time(&world) + HOUR;
    world.accept("session.extend", json!({"session": "s1", "by_ms": HOUR}));
    let at = world.time;
    world.run_until("session.extended");
    assert!(world.time >= at + 700);
    for id in ["plug-3", "plug-4"] {
        let lease = world.plug(id).lease.unwrap();
        assert!((off..=off + 15 * SECOND).contains(&lease), "{id}");
    }
}

#[test]
fn no_extension_is_so_small_that_its_lease_may_cut_early() {
    for by_ms in [1_000, 4_000, 5_000, 5_300, 5_400, 6_000, 15_000] {
        let mut world = World::new();
        world.start("s1", "pc-1", HOUR);
        let off = off_time(&world) + by_ms;
        world.accept("session.extend", json!({"session": "s1", "by_ms": by_ms}));
        world.run_for(5 * SECOND);
        assert_eq!(world.told("session.extended").len(), 1, "{by_ms}");
        let lease = world.plug("plug-1").lease.unwrap();
        // What a plug's clock may be fast within the hour, and what its answer takes.
        let earliest = off + HOUR / 10_000 + 2 * SECOND;
        assert!((earliest..=off + 15 * SECOND).contains(&lease), "{by_ms}");
    }
}

#[test]
fn an_extension_whose_lease_cant_be_moved_is_told_and_the_lease_is_stale() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.conduct("plug-1", Conduct::Deaf);
    world.accept("session.extend", json!({"session": "s1", "by_ms": HOUR}));
    world.run_for(10 * SECOND);
    let stale = world.last("outlet.lease");
    assert_eq!(stale["lease"], "stale");
    let cut = world.plug("plug-1").lease.unwrap();
    let told = stale["off_at_ms"].as_u64().unwrap();
    assert!(told.abs_diff(world.wall() + cut - world.time) <= 100);
    assert_eq!(world.told("session.extended").len(), 1);
    world.conduct("plug-1", Conduct::Obeys);
    world.run_for(5 * SECOND);
    assert_eq!(world.last("outlet.lease")["lease"], "armed");
}

#[test]
fn a_shortened_session_has_its_lease_shortened() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world.accept("session.extend", json!({"session": "s1", "by_ms": -1_800_000}));
    world.run_until("session.extended");
    world.kill();
    let off = world.last("session.extended")["ends_at_ms"].as_u64().unwrap();
    world.run_for(HOUR);
    let (cut, _) = *world.plug("plug-1").moves.last().unwrap();
    let wall_cut = world.wall() - (world.time - cut);
    assert!((off..=off + 15 * SECOND).contains(&wall_cut));
}

#[test]
fn an_end_with_grace_moves_the_lease_to_the_off_time() {
    let mut world = World::with(|settings| settings.grace_ms = 2 * MINUTE);
    world.start("s1", "pc-1", HOUR);
    world.accept("session.end", json!({"session": "s1"}));
    let off = world.time + 2 * MINUTE;
    world.run_for(SECOND);
    world.kill();
    world.run_for(HOUR);
    let (cut, _) = *world.plug("plug-1").moves.last().unwrap();
    assert!((off..=off + 15 * SECOND).contains(&cut));
}

#[test]
fn a_lease_is_eighteen_hours_at_most_and_renewed_at_half() {
    let mut world = World::new();
    world.start("s1", "pc-1", 60 * HOUR);
    let off = off_time(&world);
    let mut renewals = Vec::new();
    for _ in 0..600 {
        let before = world.plug("plug-1").lease.unwrap();
        world.run_for(6 * MINUTE - 1);
        let Some(lease) = world.plug("plug-1").lease else { break };
        assert!(lease <= world.time + 18 * HOUR + SECOND);
        assert!(lease >= (world.time + 9 * HOUR - 5 * SECOND).min(off));
        if lease != before {
            renewals.push(world.time);
        }
        if lease >= off {
            break;
        }
    }
    assert!((4..=8).contains(&renewals.len()), "{}", renewals.len());
    world.kill();
    world.run_for(60 * HOUR);
    let (cut, _) = *world.plug("plug-1").moves.last().unwrap();
    assert!((off..=off + 15 * SECOND).contains(&cut));
}

#[test]
fn a_session_a_little_longer_than_a_lease_can_be_starts() {
    for ms in [18 * HOUR - SECOND, 18 * HOUR, 18 * HOUR + SECOND, 18 * HOUR + 20 * SECOND] {
        let mut world = World::new();
        world.start("s1", "pc-1", ms);
        let ons = world.plug("plug-1").ordered(is_on).len();
        world.run_for(HOUR);
        assert!(world.plug("plug-1").ordered(is_on).len() <= ons + 3, "{ms}");
    }
}

#[test]
fn an_extension_within_eighteen_hours_is_confirmed_to_its_exact_time() {
    let mut world = World::new();
    world.start("s1", "pc-1", 10 * HOUR);
    world.accept("session.extend", json!({"session": "s1", "by_ms": HOUR}));
    world.run_until("session.extended");
    let off = world.last("session.extended")["ends_at_ms"].as_u64().unwrap();
    let lease = world.plug("plug-1").lease.unwrap() + world.wall() - world.time;
    assert!((off..=off + 15 * SECOND).contains(&lease));
}

#[test]
fn a_dead_node_cuts_a_longer_session_early_and_not_late() {
    let mut world = World::new();
    world.start("s1", "pc-1", 40 * HOUR);
    let at = world.time;
    world.kill();
    world.run_for(40 * HOUR);
    let (cut, _) = *world.plug("plug-1").moves.last().unwrap();
    assert!(cut <= at + 18 * HOUR + SECOND);
}

#[test]
fn a_lease_left_in_a_plug_is_cleared_before_the_next_on() {
    let mut world = World::new();
    let soon = world.time + 10 * MINUTE;
    world.plug("plug-1").lease = Some(soon);
    world.run_for(5 * SECOND);
    assert_eq!(world.plug("plug-1").lease, None);
    assert!(world.plug("plug-1").orders.iter().any(|(_, order)| *order == Order::ClearLease));
    world.start("s1", "pc-1", HOUR);
}

#[test]
fn a_plug_that_takes_no_timer_is_not_asked_without_a_pause() {
    let mut world = World::new();
    world.conduct("plug-1", Conduct::Forgets);
    let body = json!({"session": "s1", "station": "pc-1", "duration_ms": HOUR});
    world.accept("session.start", body);
    world.run_for(20 * SECOND);
    assert!(world.plug("plug-1").ordered(is_on).len() <= 25);
    assert_eq!(world.phase("s1"), "starting");
}

#[test]
fn state_shows_each_outlets_lease_or_that_it_has_none() {
    let mut world = World::new();
    world.start("s1", "bay", HOUR);
    let state = world.node().state();
    let lease = |id: &str| {
        let outlet = state.outlets.iter().find(|outlet| outlet.outlet.as_str() == id).unwrap();
        (json!(outlet.lease), outlet.off_at_ms)
    };
    assert_eq!(lease("relay-1"), (json!("none"), None));
    assert_eq!(lease("plug-3").0, json!("armed"));
    assert!(lease("plug-3").1.is_some());
    assert_eq!(lease("modem"), (json!("none"), None));
}

#[test]
fn a_plug_whose_clock_is_a_little_off_is_not_renewed_again_and_again() {
    let mut world = World::new();
    world.start("s1", "pc-1", 5 * HOUR);
    let ons = world.plug("plug-1").ordered(is_on).len();
    world.run_for(4 * HOUR);
    assert_eq!(world.plug("plug-1").ordered(is_on).len(), ons);
}
