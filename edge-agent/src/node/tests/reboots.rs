//! A reboot: what is left of a session, from the best clock there is (6.5).

use serde_json::json;

use super::plug::Conduct;
use super::world::World;

const HOUR: u64 = 3_600_000;
const MINUTE: u64 = 60_000;

/// An hour's session that is ten minutes old; with its off time.
fn active(station: &str) -> (World, u64) {
    let mut world = World::new();
    world.start("s1", station, HOUR);
    let off = world.time + HOUR;
    world.run_for(10 * MINUTE);
    (world, off)
}

/// When the power was cut, after the off time; negative if before.
fn cut(world: &mut World, plug: &str, off: u64) -> i64 {
    world.run_for(3 * HOUR);
    let (at, on) = *world.plug(plug).moves.last().unwrap();
    assert!(!on);
    i64::try_from(at).unwrap() - i64::try_from(off).unwrap()
}

#[test]
fn a_synced_clock_tells_how_long_the_node_was_away() {
    let (mut world, off) = active("pc-1");
    world.reboot(5 * MINUTE, 0);
    world.run_for(1_000);
    assert_eq!(world.phase("s1"), "active");
    assert_eq!(world.last("node.started")["reason"], "boot");
    assert!(cut(&mut world, "plug-1", off).abs() <= 100);
    assert_eq!(world.last("session.ended")["reason"], "expired");
}

#[test]
fn a_session_whose_time_passed_while_the_node_was_away_ends_at_once_and_says_how_late() {
    let (mut world, off) = active("bay");
    world.reboot(2 * HOUR, 0);
    let ended = world.run_until("session.ended");
    let late = ended["late_ms"].as_u64().unwrap();
    assert!(late.abs_diff(world.time - off) <= 100, "{late} against {}", world.time - off);
    let wall_off = world.wall() - (world.time - off);
    let told = world.last("session.ending")["off_at_ms"].as_u64().unwrap();
    assert!(told.abs_diff(wall_off) <= 100, "{told} against {wall_off}");
}

#[test]
fn without_a_clock_or_a_witness_the_checkpoint_tells_and_a_synced_clock_corrects_it() {
    let (mut world, off) = active("bay");
    world.blackout(10 * MINUTE, 15 * MINUTE);
    world.run_for(MINUTE);
    let ends = world.node().state().sessions[0].remaining_ms.unwrap();
    assert!(ends > off - world.time, "what was away is not known yet");
    world.step_wall(900_000);
    world.synced = true;
    world.run_for(1_000);
    let clock = world.last("node.clock");
    let told = clock["sessions"][0]["ends_at_ms"].as_u64().unwrap();
    let wall_off = world.wall() + off - world.time;
    assert!(told.abs_diff(wall_off) <= 100, "{told} against {wall_off}");
    assert!(cut(&mut world, "relay-1", off).abs() <= 100);
}

#[test]
fn a_correction_comes_through_a_restart_of_the_agent_before_the_sync() {
    let (mut world, off) = active("bay");
    world.blackout(10 * MINUTE, 15 * MINUTE);
    world.run_for(MINUTE);
    world.restart(5_000);
    world.run_for(MINUTE);
    world.step_wall(900_000);
    world.synced = true;
    assert!(cut(&mut world, "relay-1", off).abs() <= 100);
}

#[test]
fn a_correction_comes_through_a_second_reboot_before_the_sync() {
    let (mut world, off) = active("bay");
    world.blackout(5 * MINUTE, 10 * MINUTE);
    world.run_for(MINUTE);
    world.blackout(5 * MINUTE, 5 * MINUTE);
    world.run_for(MINUTE);
    world.step_wall(900_000);
    world.synced = true;
    assert!(cut(&mut world, "relay-1", off).abs() <= 100);
}

#[test]
fn a_correction_that_leaves_no_time_ends_the_session_at_once() {
    let (mut world, _) = active("bay");
    for id in ["plug-3", "plug-4"] {
        // Its new lease is of a guess.
        world.plug(id).lease_excused = true;
    }
    world.blackout(2 * HOUR, 3 * HOUR);
    world.run_for(MINUTE);
    assert_eq!(world.phase("s1"), "active");
    world.step_wall(10_800_000);
    world.synced = true;
    let ended = world.run_until("session.ended");
    assert!(ended["late_ms"].as_u64().unwrap() > HOUR);
}

#[test]
fn a_session_resumed_after_an_unsynced_reboot_is_not_corrected_for_what_it_did_not_run() {
    let (mut world, _) = active("pc-1");
    world.accept("session.pause", json!({"session": "s1"}));
    let rest = world.last("session.paused")["remaining_ms"].as_u64().unwrap();
    world.run_for(MINUTE);
    world.reboot(10 * MINUTE, 15 * MINUTE);
    world.run_for(10_000);
    world.accept("session.resume", json!({"session": "s1"}));
    world.run_until("session.resumed");
    let off = world.time + rest;
    world.step_wall(900_000);
    world.synced = true;
    assert!(cut(&mut world, "plug-1", off).abs() <= 100);
}

#[test]
fn a_session_started_after_an_unsynced_reboot_is_not_corrected() {
    let (mut world, _) = active("pc-1");
    world.reboot(10 * MINUTE, 15 * MINUTE);
    world.run_for(10_000);
    world.start("s2", "pc-2", HOUR);
    let off = world.time + HOUR;
    world.step_wall(900_000);
    world.synced = true;
    assert!(cut(&mut world, "plug-2", off).abs() <= 100);
}

#[test]
fn a_booked_session_that_started_before_the_sync_has_its_whole_time() {
    let mut world = World::new();
    let starts = world.wall() + 30 * MINUTE;
    world.accept(
        "session.start",
        json!({"session": "s1", "station": "pc-1", "starts_at_ms": starts, "duration_ms": HOUR}),
    );
    world.blackout(10 * MINUTE, 15 * MINUTE);
    world.run_for_kind(HOUR, "session.started");
    let off = world.time + HOUR;
    world.run_for(MINUTE);
    world.step_wall(900_000);
    world.synced = true;
    assert!(cut(&mut world, "plug-1", off).abs() <= 100);
}

#[test]
fn a_guessed_session_that_is_paused_before_the_sync_loses_the_time_away_from_its_rest() {
    let (mut world, off) = active("bay");
    world.blackout(10 * MINUTE, 15 * MINUTE);
    world.run_for(MINUTE);
    world.accept("session.pause", json!({"session": "s1"}));
    let rest = off - world.time;
    world.run_for(MINUTE);
    world.step_wall(900_000);
    world.synced = true;
    world.run_for(MINUTE);
    let told = world.node().state().sessions[0].remaining_ms.unwrap();
    assert!(told.abs_diff(rest) <= 100, "{told} against {rest}");
}

#[test]
fn a_plug_that_stayed_up_tells_how_long_the_node_was_away() {
    for ms in [0, 250, 500, 750] {
        let (mut world, off) = active("pc-1");
        world.reboot(10 * MINUTE + ms, 15 * MINUTE);
        assert!((0..=3_000).contains(&cut(&mut world, "plug-1", off)), "never early");
    }
}

#[test]
fn a_plug_that_restarted_meanwhile_is_no_witness() {
    let (mut world, off) = active("bay");
    // One of them lost its mains, the other stayed up.
    world.replug("plug-3");
    world.reboot(10 * MINUTE, 15 * MINUTE);
    assert!((0..=3_000).contains(&cut(&mut world, "plug-4", off)));
}

#[test]
fn a_witness_that_answers_late_still_tells() {
    let (mut world, off) = active("pc-1");
    world.conduct("plug-1", Conduct::Deaf);
    world.reboot(10 * MINUTE, 15 * MINUTE);
    world.run_for(MINUTE);
    world.conduct("plug-1", Conduct::Obeys);
    assert!((0..=3_000).contains(&cut(&mut world, "plug-1", off)));
}

#[test]
fn what_a_plug_told_before_a_reboot_is_not_counted_again_once_the_clock_has_told_of_it() {
    // The clock told of the second reboot at once, and the third came before the plug had answered:
    // its word of before the second one was taken for the third's, and cut the customer early.
    let (mut world, off) = active("pc-1");
    world.reboot(10 * MINUTE, 15 * MINUTE);
    world.run_for(MINUTE);
    world.step_wall(900_000);
    world.reboot(30_000, 0);
    world.reboot(10 * MINUTE, 15 * MINUTE);
    assert!(cut(&mut world, "plug-1", off) >= 0);
}

#[test]
fn a_plug_s_word_moves_a_deadline_and_leaves_it_its_name() {
    let (mut world, off) = active("pc-1");
    let ends_at = world.wall() + off - world.time;
    world.reboot(10 * MINUTE, 15 * MINUTE);
    for _ in 0..20 {
        world.run_for(1_000);
        let name = world.node().state().sessions[0].ends_at_ms.unwrap();
        assert!(name.abs_diff(ends_at) < 3_000, "{name} against {ends_at}");
    }
}

#[test]
fn of_three_plugs_that_tell_how_long_the_node_was_away_one_that_errs_cuts_nobody_early() {
    let (mut world, off) = active("pc-1");
    world.plug("plug-2").started -= HOUR;
    world.reboot(10 * MINUTE, 15 * MINUTE);
    assert!((0..=3_000).contains(&cut(&mut world, "plug-1", off)));
}

#[test]
fn a_relay_that_fell_open_is_powered_again_for_what_time_is_left() {
    let (mut world, _) = active("bay");
    world.reboot(MINUTE, 0);
    world.run_for(1_000);
    assert!(world.plug("relay-1").on);
}

#[test]
fn a_correction_puts_no_end_off() {
    // The clock was hours ahead when it was trusted last, so that the reboot seemed to have taken
    // less than nothing: a session that was ending stayed powered for those hours.
    let (mut world, off) = active("bay");
    world.step_wall(3_600_000);
    world.run_for(MINUTE);
    world.blackout(10 * MINUTE, 2 * HOUR);
    world.run_for(MINUTE);
    let right = world.true_wall().cast_signed() - world.wall().cast_signed();
    world.step_wall(right);
    world.synced = true;
    let late = cut(&mut world, "relay-1", off);
    assert!(late <= 11 * 60_000, "{late} ms after it, of a reboot of 10 minutes and 20 seconds");
}

#[test]
fn a_session_that_was_ended_after_an_unsynced_reboot_keeps_its_grace_when_the_clock_is_corrected() {
    // The correction moved the off time of the command, too, which had counted from that moment.
    let mut world = World::new();
    world.start_with(json!({
        "session": "s1", "station": "bay", "duration_ms": HOUR, "grace_ms": 5 * MINUTE,
    }));
    world.blackout(10 * MINUTE, 15 * MINUTE);
    world.run_for(MINUTE);
    world.accept("session.end", json!({"session": "s1"}));
    let off = world.time + 5 * MINUTE;
    world.run_for(MINUTE);
    world.step_wall(900_000);
    world.synced = true;
    assert!(cut(&mut world, "relay-1", off).abs() <= 100);
}
