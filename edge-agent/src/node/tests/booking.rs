//! One live session a station, ids that are used once, and bookings (6.1).

use serde_json::json;

use super::plug::Conduct;
use super::world::World;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

fn book(world: &mut World, session: &str, station: &str, in_ms: u64) {
    let starts = world.wall() + in_ms;
    let body = json!({"session": session, "station": station, "duration_ms": HOUR, "starts_at_ms": starts});
    world.accept("session.start", body);
}

fn start(world: &mut World, session: &str, station: &str) -> Result<String, String> {
    world
        .send("session.start", json!({"session": session, "station": station, "duration_ms": HOUR}))
}

#[test]
fn a_station_has_one_live_session_at_most() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    assert_eq!(start(&mut world, "s2", "pc-1").unwrap_err(), "conflict");
    world.accept("session.pause", json!({"session": "s1"}));
    assert_eq!(start(&mut world, "s2", "pc-1").unwrap_err(), "conflict");
    world.accept("session.end", json!({"session": "s1"}));
    assert_eq!(start(&mut world, "s2", "pc-1").unwrap_err(), "conflict");
    world.run_until("session.ended");
    start(&mut world, "s2", "pc-1").unwrap();
}

#[test]
fn a_booked_session_is_not_live_and_starts_at_its_time() {
    let mut world = World::new();
    book(&mut world, "s1", "pc-1", HOUR);
    let booked = world.last("session.booked");
    assert_eq!(booked["starts_at_ms"], world.wall() + HOUR);
    world.start("now", "pc-1", HOUR / 2);
    world.run_for(HOUR - 1_000);
    assert!(!world.plug("plug-1").on);
    let started = world.run_until("session.started");
    assert_eq!(started["session"], "s1");
    assert_eq!(started["started_at_ms"], booked["starts_at_ms"].as_u64().unwrap() + 20);
}

#[test]
fn a_booked_session_fails_if_its_station_is_still_live_and_harms_nobody() {
    let mut world = World::new();
    book(&mut world, "s1", "pc-1", HOUR / 2);
    world.start("now", "pc-1", HOUR);
    world.accept(
        "outlet.set",
        json!({"outlet": "plug-1", "on": true, "for_ms": HOUR, "force": true}),
    );
    let failed = world.run_for_kind(HOUR, "session.failed");
    assert_eq!((&failed["session"], &failed["code"]), (&json!("s1"), &json!("conflict")));
    assert!(world.plug("plug-1").on);
    assert!(world.hold("plug-1").is_some(), "another session's hold is none of its business");
}

#[test]
fn a_booked_session_fails_on_an_outlet_that_is_held_off_and_leaves_the_hold() {
    let mut world = World::new();
    book(&mut world, "s1", "pc-1", HOUR / 2);
    world.accept("outlet.set", json!({"outlet": "plug-1", "on": false}));
    let failed = world.run_for_kind(HOUR, "session.failed");
    assert_eq!(failed["code"], "conflict");
    assert!(world.hold("plug-1").is_some());
}

#[test]
fn ending_a_booked_session_leaves_the_holds_of_its_station() {
    let mut world = World::new();
    book(&mut world, "s1", "pc-1", HOUR / 2);
    world.accept("outlet.set", json!({"outlet": "plug-1", "on": false}));
    world.accept("session.end", json!({"session": "s1"}));
    assert!(world.hold("plug-1").is_some());
}

#[test]
fn a_booked_session_whose_whole_time_passed_while_the_node_was_away_fails() {
    let mut world = World::new();
    book(&mut world, "s1", "pc-1", HOUR);
    world.restart(3 * HOUR);
    world.run_for(1_000);
    assert_eq!(world.last("session.failed")["code"], "expired");
    assert!(world.plug("plug-1").moves.is_empty());
}

#[test]
fn a_booked_session_survives_a_restart_and_a_reboot() {
    let mut world = World::new();
    book(&mut world, "s1", "pc-1", 2 * HOUR);
    let starts = world.last("session.booked")["starts_at_ms"].as_u64().unwrap();
    world.restart(HOUR / 2);
    world.reboot(HOUR, 0);
    let started = world.run_for_kind(HOUR, "session.started");
    assert!(started["started_at_ms"].as_u64().unwrap().abs_diff(starts) < 100);
}

#[test]
fn the_id_of_a_session_cant_be_used_again_while_it_is_remembered() {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    assert_eq!(start(&mut world, "s1", "pc-2").unwrap_err(), "conflict");
    world.run_for(HOUR + 1_000);
    assert_eq!(start(&mut world, "s1", "pc-1").unwrap_err(), "conflict");
    world.restart(1_000);
    assert_eq!(start(&mut world, "s1", "pc-1").unwrap_err(), "conflict");
    let unknown = json!({"session": "s1"});
    world.sleep(7 * DAY);
    assert_eq!(world.send("session.pause", unknown).unwrap_err(), "unknown_session");
    start(&mut world, "s1", "pc-1").unwrap();
}

#[test]
fn the_last_thousand_ids_are_remembered_across_a_restart_too() {
    let mut world = World::new();
    // The names' order is not the order in which they ended.
    for number in (0..999).rev() {
        book(&mut world, &format!("s{number:04}"), "pc-1", HOUR);
        world.accept("session.end", json!({"session": format!("s{number:04}")}));
        world.run_for(1);
    }
    world.restart(1_000);
    for session in ["x1", "x2"] {
        book(&mut world, session, "pc-1", HOUR);
        world.accept("session.end", json!({"session": session}));
    }
    let mut end =
        |session: &str| world.send("session.end", json!({"session": session})).unwrap_err();
    assert_eq!(end("s0998"), "unknown_session");
    assert_eq!(end("s0997"), "conflict");
    assert_eq!(end("s0000"), "conflict");
    assert_eq!(end("x2"), "conflict");
}

#[test]
fn an_end_before_the_start_is_invalid() {
    let mut world = World::new();
    let wall = world.wall();
    for (starts, ends) in [(wall + HOUR, wall + HOUR), (wall, wall), (wall, wall - 1)] {
        let body =
            json!({"session": "s1", "station": "pc-1", "starts_at_ms": starts, "ends_at_ms": ends});
        assert_eq!(world.send("session.start", body).unwrap_err(), "invalid");
    }
}

#[test]
fn a_session_with_a_fixed_end_ends_then_however_long_its_start_took() {
    let mut world = World::new();
    let ends = world.wall() + HOUR;
    world.conduct("plug-1", Conduct::Deaf);
    world.accept("session.start", json!({"session": "s1", "station": "pc-1", "ends_at_ms": ends}));
    world.run_for(10_000);
    world.conduct("plug-1", Conduct::Obeys);
    assert_eq!(world.run_until("session.started")["ends_at_ms"], ends);
    let ended = world.run_for_kind(2 * HOUR, "session.ended");
    assert_eq!(ended["ended_at_ms"], ends + 20);
}

#[test]
fn a_session_whose_fixed_end_comes_before_it_is_powered_fails_then() {
    let mut world = World::new();
    let ends = world.wall() + 10_000;
    world.conduct("plug-1", Conduct::Deaf);
    let body = json!({"session": "s1", "station": "pc-1", "ends_at_ms": ends, "grace_ms": 5_000});
    world.accept("session.start", body);
    let failed = world.run_until("session.failed");
    assert_eq!(failed["at_ms"], ends);
}

#[test]
fn unknown_stations_and_sessions_are_named() {
    let mut world = World::new();
    assert_eq!(start(&mut world, "s1", "pc-9").unwrap_err(), "unknown_station");
    for kind in ["session.pause", "session.resume", "session.end"] {
        let code = world.send(kind, json!({"session": "s9"})).unwrap_err();
        assert_eq!(code, "unknown_session", "{kind}");
    }
}
