//! What a keeper makes of what another left, however that one ended.

use plug_driver::keeper::Op;

use super::world::{START_MS, World, ask, guarded, on_until};
use crate::node::settings::Rest;
use crate::node::time::BootMs;

#[test]
fn a_new_keeper_takes_over_what_runs_and_switches_off_the_rest() {
    for lets_go in [false, true] {
        let mut world = World::new(vec![guarded(17, Rest::Off), guarded(18, Rest::Off)]);
        world.board.lets_go = lets_go;
        world.ask(&on_until(17, 60_000)).unwrap();
        world.ask(&on_until(18, 20_000)).unwrap();
        world.kill();
        // Somebody else's hand, and no lease.
        world.board.set(4, true);
        world.configured.as_mut().unwrap().push(guarded(4, Rest::Off));
        world.now = BootMs(30_000);
        world.start();
        assert!(world.board.is_on(17), "lets go: {lets_go}");
        assert!(!world.board.is_on(18) && !world.board.is_on(4));
        world.until(60_000);
        assert!(!world.board.is_on(17));
    }
}

#[test]
fn a_line_switched_off_while_there_was_no_keeper_stays_off() {
    let mut world = World::new(vec![guarded(17, Rest::Off)]);
    world.ask(&on_until(17, 60_000)).unwrap();
    world.kill();
    world.board.set(17, false);
    world.start();
    assert!(!world.board.is_on(17));
    assert!(world.board.records.is_empty());
}

#[test]
fn a_lease_of_another_boot_is_none() {
    let mut world = World::new(vec![guarded(17, Rest::Off)]);
    world.ask(&on_until(17, 60_000)).unwrap();
    world.kill();
    world.board.records[0].boot_id = "boot-0".to_owned();
    world.start();
    assert!(!world.board.is_on(17) && world.board.records.is_empty());
}

#[test]
fn lines_with_a_lease_are_guarded_although_the_configuration_cant_be_read() {
    let mut world = World::new(vec![guarded(17, Rest::Off), guarded(5, Rest::On)]);
    world.ask(&on_until(17, 60_000)).unwrap();
    world.ask(&ask(Op::On, 5)).unwrap();
    world.kill();
    world.configured = None;
    world.start();
    assert!(world.board.is_on(17) && world.board.is_on(5));
    world.ask(&on_until(17, 70_000)).unwrap();
    world.until(70_000);
    assert!(!world.board.is_on(17) && world.board.is_on(5));
}

#[test]
fn a_line_that_is_configured_no_more_is_guarded_to_its_end() {
    let mut world = World::new(vec![guarded(17, Rest::Off)]);
    world.ask(&on_until(17, 60_000)).unwrap();
    world.keeper.as_mut().unwrap().configure(vec![guarded(18, Rest::Off)], BootMs(0));
    world.until(59_999);
    assert!(world.board.is_on(17));
    world.until(60_000);
    assert!(!world.board.is_on(17));
    assert_eq!(world.keeper.unwrap().count().0, 1);
}

#[test]
fn a_line_that_rested_on_and_now_rests_off_is_on_no_longer_than_a_start() {
    let mut world = World::new(vec![guarded(5, Rest::On)]);
    world.ask(&ask(Op::On, 5)).unwrap();
    world.kill();
    world.start();
    assert!(world.board.is_on(5));
    world.kill();
    world.configured = Some(vec![guarded(5, Rest::Off)]);
    world.start();
    assert!(!world.board.is_on(5));
}

/// Whatever is asked, and wherever the keeper dies: power flows only while somebody who asked for
/// it had a right to it, and flows again as soon as a keeper is back while one who was told yes has.
#[test]
fn power_flows_as_long_as_was_granted_and_no_longer_than_was_asked_for() {
    for seed in 0..2_000 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut world = World::new(vec![guarded(17, Rest::Off)]);
        world.board.lets_go = chance.bool();
        // The latest instant that any on, answered or not, may have left it on until.
        let mut right = 0;
        // Until when somebody was told that it stays on.
        let mut granted = 0;
        let mut now = 0;
        for _ in 0..40 {
            now += chance.i64(1..5_000);
            world.until(now);
            if chance.u8(..) < 64 {
                world.board.dies_after = Some(chance.usize(0..3));
            }
            match chance.u8(0..6) {
                0 | 1 => {
                    let until = now + chance.i64(1..20_000);
                    right = right.max(until);
                    world.ask(&on_until(17, until)).unwrap();
                    granted = if world.keeper.is_some() { until } else { granted.min(until) };
                }
                2 => {
                    granted = now;
                    world.ask(&ask(Op::Off, 17)).unwrap();
                    if world.keeper.is_some() {
                        assert!(!world.board.is_on(17), "seed {seed}");
                        right = now;
                    }
                }
                3 => {
                    let _ = world.ask(&ask(Op::Clear, 17));
                }
                4 => world.kill(),
                _ => {}
            }
            if world.keeper.is_none() {
                now += chance.i64(0..START_MS);
                world.now = BootMs(now);
                world.board.dies_after = None;
                world.start();
            }
            assert!(!world.board.is_on(17) || now < right, "seed {seed}: on at {now}, {right}");
            assert!(
                world.board.is_on(17) || now >= granted,
                "seed {seed}: off at {now}, {granted}"
            );
        }
    }
}
