//! Wall-clock steps and a clock that is not synced yet (section 3, 6.5, 6.6).

use serde_json::{Value, json};

use super::world::{EPOCH_MS, World};

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;
const STEP: i64 = 7_200_000;

fn unsynced() -> World {
    let mut world = World::new();
    world.reboot(1_000, 10 * MINUTE);
    world.run_for(10_000);
    world.take();
    world
}

#[test]
fn a_wall_clock_step_moves_no_deadline() {
    for step in [STEP, -STEP, 1_500, -1_500] {
        let mut world = World::new();
        world.start("s1", "pc-1", HOUR);
        let off = world.time + HOUR - 20;
        world.run_for(10 * MINUTE);
        world.step_wall(step);
        world.run_for(HOUR);
        assert_eq!(world.plug("plug-1").moves.last().unwrap(), &(off + 20, false), "{step}");
        assert_eq!(world.told("session.warning").len(), 2);
    }
}

#[test]
fn a_step_is_told_with_each_live_sessions_new_name_of_its_deadline() {
    for step in [STEP, -STEP] {
        let mut world = World::new();
        world.start("s1", "pc-1", HOUR);
        let ends = world.last("session.started")["ends_at_ms"].as_u64().unwrap();
        world.step_wall(step);
        world.run_for(10_000);
        let clock = world.last("node.clock");
        assert_eq!(clock["step_ms"], step);
        let moved = ends.checked_add_signed(step).unwrap();
        assert_eq!(clock["sessions"], json!([{"session": "s1", "ends_at_ms": moved}]));
        assert_eq!(world.told("node.clock").len(), 1);
    }
}

#[test]
fn a_step_moves_no_hold_and_no_booking_of_this_boot() {
    let mut world = World::new();
    world.accept("outlet.set", json!({"outlet": "plug-2", "on": true, "for_ms": HOUR}));
    let off = world.time + HOUR;
    world.step_wall(STEP);
    world.run_for(2 * HOUR);
    assert_eq!(world.plug("plug-2").moves.last().unwrap(), &(off + 20, false));
}

#[test]
fn a_synced_node_reads_instants_as_they_stand() {
    let mut world = World::new();
    let ends = world.wall() + HOUR;
    world.accept("session.start", json!({"session": "s1", "station": "pc-1", "ends_at_ms": ends}));
    assert_eq!(world.run_until("session.started")["ends_at_ms"], ends);
}

#[test]
fn an_unsynced_node_reads_instants_relative_to_the_commands_issue() {
    let mut world = unsynced();
    // The control plane's clock is right, the node's is ten minutes behind.
    let issued = world.wall() + 10 * MINUTE;
    let body = json!({"session": "s1", "station": "pc-1", "ends_at_ms": issued + HOUR});
    let at = world.time;
    world.command(json!({"type": "session.start", "issued_at_ms": issued, "body": body}));
    world.run_until("session.started");
    world.run_for(2 * HOUR);
    assert_eq!(world.plug("plug-1").moves.last().unwrap(), &(at + HOUR + 20, false));
}

#[test]
fn an_instant_without_an_issue_time_is_invalid_on_an_unsynced_clock() {
    let mut world = unsynced();
    let wall = world.wall();
    let body = json!({"session": "s1", "station": "pc-1", "ends_at_ms": wall + HOUR});
    world.command(json!({
        "type": "session.start", "issued_at_ms": null, "expires_at_ms": wall + HOUR, "body": body
    }));
    assert_eq!(world.last("command.rejected")["code"], "invalid");
}

#[test]
fn a_powering_command_that_may_have_waited_at_the_broker_is_expired_on_an_unsynced_clock() {
    let mut world = unsynced();
    world.link(false);
    world.link(true);
    let body = json!({"session": "s1", "station": "pc-1", "duration_ms": HOUR});
    assert_eq!(world.send("session.start", body.clone()).unwrap_err(), "expired");
    world.run_for(6_000);
    world.accept("session.start", body);
}

#[test]
fn once_synced_in_a_boot_the_clock_stays_synced_until_the_reboot() {
    let mut world = World::new();
    world.synced = false;
    world.run_for(10_000);
    world.accept("node.report", json!({}));
    assert_eq!(world.events().last().unwrap()["clock"], "synced");
    world.restart(1_000);
    world.accept("node.report", json!({}));
    assert_eq!(world.events().last().unwrap()["clock"], "synced");
}

#[test]
fn wall_time_is_never_taken_below_the_last_checkpoint() {
    let mut world = World::new();
    world.start("s1", "pc-1", 10 * HOUR);
    world.run_for(HOUR);
    let checkpoint = world.wall() - 300_000;
    world.reboot(1_000, 5 * HOUR);
    let started = world.events().iter().rev().find(|event| event["type"] == "node.started");
    assert!(started.unwrap()["at_ms"].as_u64().unwrap() >= checkpoint);
    assert!(world.wall() < EPOCH_MS);
}

#[test]
fn checkpoints_are_written_while_a_session_lives_and_not_otherwise() {
    let checkpoints = |world: &mut World, ms: u64| {
        let before = world.checkpoints;
        world.run_for(ms);
        world.checkpoints - before
    };
    let mut world = World::new();
    assert_eq!(checkpoints(&mut world, HOUR), 0);
    world.start("s1", "pc-1", 10 * HOUR);
    assert_eq!(checkpoints(&mut world, HOUR), 12);
    let mut world = unsynced();
    assert_eq!(checkpoints(&mut world, HOUR), 0);
    world.start("s2", "pc-1", 10 * HOUR);
    assert_eq!(checkpoints(&mut world, HOUR), 240);
}

#[test]
fn a_clock_that_becomes_synced_tells_its_step() {
    let mut world = unsynced();
    world.start("s1", "pc-1", HOUR);
    let off = world.time + HOUR - 20;
    let behind: i64 = 600_000;
    world.step_wall(behind);
    world.synced = true;
    world.run_for(5_000);
    let clock = world.last("node.clock");
    let told = clock["step_ms"].as_i64().unwrap();
    assert!((0..=behind).contains(&told), "{told}");
    let ends: Vec<Value> = clock["sessions"].as_array().unwrap().clone();
    assert_eq!(ends[0]["ends_at_ms"], world.wall() + off - world.time);
    world.run_for(HOUR);
    assert_eq!(world.plug("plug-1").moves.last().unwrap().0, off + 20);
}

#[test]
fn an_unsynced_clock_that_is_set_back_is_not_believed() {
    let mut world = unsynced();
    world.start("s1", "pc-1", HOUR);
    let before = world.last("session.started")["at_ms"].as_u64().unwrap();
    world.step_wall(-STEP);
    world.accept("node.report", json!({}));
    assert!(world.last("node.report")["at_ms"].as_u64().unwrap() >= before);
    world.restart(1_000);
    assert!(world.last("node.started")["at_ms"].as_u64().unwrap() >= before);
}

#[test]
fn a_wall_clock_that_was_stepped_while_no_agent_ran_gives_deadlines_new_names() {
    // A session's end was told as if by the clock of days ago, after a start.
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    let off = world.time + HOUR - 20;
    world.kill();
    world.step_wall(STEP);
    world.restart(1_000);
    let clock = world.last("node.clock");
    assert_eq!(clock["step_ms"], STEP);
    assert_eq!(clock["sessions"][0]["ends_at_ms"], world.wall() + off - world.time);
}
