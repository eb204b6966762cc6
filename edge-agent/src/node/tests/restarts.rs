//! How soon a restart of a plug or a thumb on its button is noticed and set right (6.9).

use serde_json::json;

use super::world::World;

const HOUR: u64 = 3_600_000;
const SECOND: u64 = 1_000;

/// When a world's plug is what it should be, at the latest, from each of many moments of its poll on.
fn worst(
    mut begin: impl FnMut() -> World,
    meddle: fn(&mut World),
    set_right: fn(&mut World) -> bool,
) -> u64 {
    let moments = (0..4 * SECOND).step_by(170);
    let took = moments.map(|moment| {
        let mut world = begin();
        world.run_for(10 * SECOND + moment);
        meddle(&mut world);
        let since = world.time;
        while !set_right(&mut world) {
            world.run_for(10);
            assert!(world.time < since + 60 * SECOND, "it is never set right");
        }
        world.time - since
    });
    took.max().unwrap()
}

fn active() -> World {
    let mut world = World::new();
    world.start("s1", "pc-1", HOUR);
    world
}

fn leased(world: &mut World) -> bool {
    let plug = world.plug("plug-1");
    plug.on && plug.lease.is_some()
}

#[test]
fn a_restart_within_a_session_is_noticed_within_two_seconds() {
    let cold = worst(active, |world| world.replug("plug-1"), leased);
    let warm = |world: &mut World| {
        let time = world.time;
        world.plug("plug-1").restart_warm(time);
    };
    let warm = worst(active, warm, leased);
    figure("a cold restart within a session", cold);
    figure("a warm restart within a session", warm);
    assert!(cold <= 2_200 && warm <= 2_200, "{cold} {warm}");
}

#[test]
fn a_button_outside_a_session_is_noticed_within_two_seconds_too() {
    let off = |world: &mut World| !world.plug("plug-1").on;
    let took = worst(World::new, |world| world.press("plug-1"), off);
    figure("a button outside a session", took);
    assert!(took <= 2_200, "{took}");
}

#[test]
fn a_restart_is_told_from_a_thumb_by_the_count_of_starts_where_the_uptime_says_nothing() {
    let mut world = active();
    world.run_for(HOUR / 4);
    let time = world.time;
    let plug = world.plug("plug-1");
    plug.starts = Some(7);
    world.run_for(10 * SECOND);
    // Its mains were away for a moment; its uptime says that it was up all the while.
    world.replug("plug-1");
    let plug = world.plug("plug-1");
    (plug.starts, plug.started) = (Some(8), time - 10 * HOUR);
    world.run_for(5 * SECOND);
    assert!(world.plug("plug-1").on, "nobody pressed anything");
    assert!(world.told("outlet.changed").iter().all(|it| it["by"] != json!("button")));
}

#[test]
fn no_poll_delays_an_off_and_a_plug_that_is_away_is_tried_every_two_seconds_at_least() {
    let mut world = active();
    let off_at = world.time + HOUR;
    world.run_for(HOUR - 5 * SECOND);
    world.conduct("plug-1", super::plug::Conduct::Deaf);
    world.run_for(60 * SECOND);
    let offs = world.plug("plug-1").ordered(super::plug::is_off);
    // The first of all was the start's.
    let offs: Vec<u64> = offs.into_iter().filter(|at| *at + SECOND >= off_at).collect();
    assert!(offs[0].abs_diff(off_at) <= SECOND, "{} for {off_at}", offs[0]);
    let longest = offs.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(longest <= 2_000, "{longest} ms between two offs");
}

#[expect(clippy::print_stdout, reason = "the figures are for whoever runs it")]
fn figure(what: &str, ms: u64) {
    println!("figure | node | {what}, worst | {ms} ms");
}
