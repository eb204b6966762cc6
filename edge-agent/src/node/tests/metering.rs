//! What watts prove, what they give away, and what a session used (section 5 and 6.11).

use serde_json::{Value, json};

use super::world::World;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
const SECOND: u64 = 1_000;

/// A world in which a lamp of 60 W hangs on `plug-1`.
fn metered() -> World {
    let mut world = World::new();
    world.plug("plug-1").meter.load_mw = Some(60_000);
    world.run_for(10 * SECOND);
    world
}

/// `on` and `proof` of each `outlet.changed` of an outlet.
fn changes(world: &World, outlet: &str) -> Vec<(bool, String)> {
    let changed = world.told("outlet.changed").into_iter().filter(|it| it["outlet"] == outlet);
    changed.map(|it| (it["on"] == true, it["proof"].as_str().unwrap().to_owned())).collect()
}

fn at_ms(event: &Value) -> u64 {
    event["at_ms"].as_u64().unwrap()
}

#[test]
fn a_session_ends_with_the_proof_that_was_reached_and_its_rise_is_told_later() {
    let mut world = metered();
    world.start("s1", "pc-1", 10 * MINUTE);
    let ended = world.run_for_kind(HOUR, "session.ended");
    assert_eq!((&ended["proof"], &ended["late_ms"]), (&json!("read_back"), &json!(20)));
    world.run_for(3 * MINUTE);
    let told = changes(&world, "plug-1");
    let proofs: Vec<_> = told.iter().map(|(on, proof)| (*on, proof.as_str())).collect();
    let told = [(true, "lease_confirmed"), (false, "read_back"), (false, "watts_confirmed")];
    assert_eq!(proofs, told, "an on is told once: its watts are no news");
    let after = at_ms(&world.last("outlet.changed")) - at_ms(&ended);
    assert!((60_000..=90_000).contains(&after), "no plug is blind for longer: {after} ms");
}

#[test]
fn a_meter_that_shows_nothing_at_first_proves_no_off() {
    let mut world = metered();
    world.plug("plug-1").meter.blind_ms = 45_000;
    world.start("s1", "pc-1", 10 * MINUTE);
    world.plug("plug-1").meter.welded = true;
    world.run_for_kind(HOUR, "session.ended");
    world.run_for(10 * MINUTE);
    let last = changes(&world, "plug-1").pop().unwrap();
    assert_eq!(last, (false, "read_back".to_owned()));
}

#[test]
fn a_plug_without_a_meter_proves_nothing_by_watts() {
    let mut world = World::new();
    world.start("s1", "pc-1", 10 * MINUTE);
    let ended = world.run_for_kind(HOUR, "session.ended");
    assert_eq!(ended["energy_wh"], Value::Null);
    world.run_for(10 * MINUTE);
    assert_eq!(changes(&world, "plug-1").len(), 2);
}

#[test]
fn power_that_still_flows_after_an_off_is_stuck_on_within_two_and_a_half_minutes() {
    for blind_ms in [0, 45_000] {
        let mut world = metered();
        world.start("s1", "pc-1", 10 * MINUTE);
        world.plug("plug-1").meter.welded = true;
        world.plug("plug-1").meter.blind_ms = blind_ms;
        let ended = world.run_for_kind(HOUR, "session.ended");
        let fault = world.run_for_kind(HOUR, "outlet.fault");
        let after = at_ms(&fault) - at_ms(&ended);
        figure(&format!("stuck_on, blind for {blind_ms} ms"), &format!("{after} ms after the off"));
        assert_eq!(fault["fault"], "stuck_on");
        assert!(fault["message"].as_str().unwrap().starts_with("60.0 W"), "{fault}");
        assert!((120_000..=150_000).contains(&after), "{after}");
        assert_eq!(ended["late_ms"], 20, "the session ends at its time all the same");
    }
}

#[test]
fn a_station_that_is_stuck_on_is_not_sold_until_it_has_been_free_for_five_minutes() {
    let mut world = metered();
    world.start("s1", "pc-1", 10 * MINUTE);
    world.plug("plug-1").meter.welded = true;
    world.run_for_kind(HOUR, "session.ended");
    world.run_for_kind(HOUR, "outlet.fault");
    let start = |session: &str| json!({"session": session, "station": "pc-1", "duration_ms": HOUR});
    assert_eq!(world.send("session.start", start("s2")), Err("conflict".to_owned()));
    let message = world.last("command.rejected")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("plug-1 is stuck on: 60.0 W"), "{message}");
    world.restart(SECOND);
    assert_eq!(
        world.send("session.start", start("s3")),
        Err("conflict".to_owned()),
        "nor after a restart"
    );
    world.plug("plug-1").meter.welded = false;
    let free = world.time;
    world.run_for_kind(HOUR, "outlet.recovered");
    let after = world.time - free;
    figure("stuck_on is over", &format!("{after} ms after power was last seen"));
    assert!((300_000..=310_000).contains(&after), "{after}");
    world.accept("session.start", start("s4"));
    world.run_until("session.started");
}

#[test]
fn a_booked_session_finds_its_station_stuck_on_and_fails() {
    let mut world = metered();
    world.start("s1", "pc-1", 10 * MINUTE);
    world.plug("plug-1").meter.welded = true;
    let starts = world.true_wall() + 20 * MINUTE;
    let booked =
        json!({"session": "s2", "station": "pc-1", "starts_at_ms": starts, "duration_ms": HOUR});
    world.accept("session.start", booked);
    let failed = world.run_for_kind(HOUR, "session.failed");
    assert_eq!((&failed["session"], &failed["code"]), (&json!("s2"), &json!("conflict")));
}

#[test]
fn a_session_tells_what_its_outlets_used() {
    let mut world = metered();
    world.start("s1", "pc-1", HOUR);
    let ended = world.run_for_kind(2 * HOUR, "session.ended");
    assert_eq!(ended["energy_wh"], 60);
    assert_eq!(ended["late_ms"], 20, "nothing waits for a meter");
}

#[test]
fn what_was_used_before_a_session_is_not_its_own() {
    let mut world = metered();
    world.accept("outlet.set", json!({"outlet": "plug-1", "on": true, "for_ms": 5 * HOUR}));
    world.run_for(HOUR);
    world.start("s1", "pc-1", HOUR);
    assert_eq!(world.run_for_kind(2 * HOUR, "session.ended")["energy_wh"], 60);
}

#[test]
fn a_restart_and_a_reboot_lose_no_energy() {
    let mut world = metered();
    world.start("s1", "pc-1", HOUR);
    world.run_for(10 * MINUTE);
    world.restart(5 * MINUTE);
    world.run_for(10 * MINUTE);
    world.reboot(5 * MINUTE, 0);
    assert_eq!(world.run_for_kind(2 * HOUR, "session.ended")["energy_wh"], 60);
}

#[test]
fn a_register_that_fell_or_leapt_begins_another_segment() {
    for register in [0, 90_000_000_000] {
        let mut world = metered();
        world.start("s1", "pc-1", HOUR);
        world.run_for(30 * MINUTE);
        world.plug("plug-1").meter.set_register(register);
        let ended = world.run_for_kind(2 * HOUR, "session.ended");
        let used = ended["energy_wh"].as_u64().unwrap();
        assert!((59..=60).contains(&used), "{used} Wh, the register set to {register}");
    }
}

#[test]
fn a_pause_uses_nothing_and_a_resume_goes_on_counting() {
    let mut world = metered();
    world.start("s1", "pc-1", HOUR);
    world.run_for(30 * MINUTE);
    world.accept("session.pause", json!({"session": "s1"}));
    world.run_for(MINUTE);
    // Somebody lights the lamp by its button; what flows until that is found is not sold.
    world.press("plug-1");
    world.run_for(10 * MINUTE);
    world.accept("session.resume", json!({"session": "s1"}));
    assert_eq!(world.run_for_kind(2 * HOUR, "session.ended")["energy_wh"], 60);
}

#[test]
fn a_transfer_takes_what_was_used_along() {
    let mut world = metered();
    world.plug("plug-2").meter.load_mw = Some(120_000);
    world.run_for(10 * SECOND);
    world.start("s1", "pc-1", HOUR);
    world.run_for(30 * MINUTE);
    world.accept("session.transfer", json!({"session": "s1", "station": "pc-2"}));
    assert_eq!(world.run_for_kind(2 * HOUR, "session.ended")["energy_wh"], 90);
}

#[test]
fn cycles_are_counted_for_life_and_warned_of_at_four_fifths() {
    let mut world = World::with(|settings| {
        let outlet = settings.outlets.get_mut(&"plug-1".parse().unwrap()).unwrap();
        outlet.rated_cycles = Some(5);
    });
    for round in 1..=4 {
        assert_eq!(worn(&world), Value::Null);
        world.start(&format!("s{round}"), "pc-1", 2 * MINUTE);
        world.run_for_kind(HOUR, "session.ended");
        world.restart(SECOND);
    }
    assert_eq!(worn(&world), 80);
    world.accept("node.report", json!({}));
    let report = world.last("node.report");
    let outlets = report["outlets"].as_array().unwrap();
    let plug = outlets.iter().find(|outlet| outlet["outlet"] == "plug-1").unwrap();
    assert_eq!((&plug["cycles"], &plug["worn_percent"]), (&json!(4), &json!(80)));
    let camera = outlets.iter().find(|outlet| outlet["outlet"] == "camera").unwrap();
    assert_eq!(camera["worn_percent"], Value::Null);
}

fn worn(world: &World) -> Value {
    let state = serde_json::to_value(world.node().state()).unwrap();
    let outlets = state["outlets"].as_array().unwrap();
    outlets.iter().find(|outlet| outlet["outlet"] == "plug-1").unwrap()["worn_percent"].clone()
}

#[expect(clippy::print_stdout, reason = "the figures are for whoever runs it")]
fn figure(what: &str, value: &str) {
    println!("figure | node | {what} | {value}");
}
