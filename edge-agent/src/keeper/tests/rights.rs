//! Until when a line may be on, and what is refused.

use plug_driver::keeper::{Op, Request};
use plug_driver::{Backend, Kind, LineSettings};

use super::world::{World, ask, guarded, line, on_until};
use crate::config::guarded::GuardedLine;
use crate::keeper::guard::MAX_LINES;
use crate::node::settings::Rest;
use crate::node::time::BootMs;

#[test]
fn a_line_goes_off_at_its_time_although_nobody_asks_any_more() {
    let mut world = World::new(vec![guarded(17, Rest::Off)]);
    world.ask(&on_until(17, 60_000)).unwrap();
    world.until(59_999);
    assert!(world.board.is_on(17));
    world.until(60_000);
    assert!(!world.board.is_on(17));
    assert!(world.board.records.is_empty());
}

#[test]
fn an_on_that_is_on_already_moves_its_time_and_nothing_else() {
    let mut world = World::new(vec![guarded(17, Rest::Off)]);
    world.ask(&on_until(17, 60_000)).unwrap();
    world.ask(&on_until(17, 90_000)).unwrap();
    world.until(89_999);
    assert!(world.board.is_on(17));
    world.ask(&on_until(17, 90_500)).unwrap();
    world.ask(&on_until(17, 90_100)).unwrap();
    world.until(90_100);
    assert!(!world.board.is_on(17));
}

#[test]
fn an_off_ends_the_lease_and_another_lines_lease_is_its_own() {
    let mut world = World::new(vec![guarded(17, Rest::Off), guarded(18, Rest::Off)]);
    world.ask(&on_until(17, 60_000)).unwrap();
    world.ask(&on_until(18, 60_000)).unwrap();
    world.ask(&ask(Op::Off, 17)).unwrap();
    assert_eq!((world.board.is_on(17), world.board.is_on(18)), (false, true));
    assert_eq!(world.board.records.len(), 1);
    assert_eq!(world.keeper.as_ref().unwrap().off_at(&line(18)), Some(BootMs(60_000)));
    assert_eq!(world.keeper.as_ref().unwrap().off_at(&line(17)), None);
}

#[test]
fn only_a_line_that_does_not_rest_off_is_on_without_a_lease() {
    let lines = vec![guarded(4, Rest::Off), guarded(5, Rest::On), guarded(6, Rest::Keep)];
    let mut world = World::new(lines);
    for (pin, allowed) in [(4, false), (5, true), (6, true), (7, false)] {
        assert_eq!(world.ask(&ask(Op::On, pin)).is_ok(), allowed, "{pin}");
        assert_eq!(world.board.is_on(pin), allowed);
        world.ask(&on_until(pin, 60_000)).unwrap();
        assert_eq!(world.ask(&ask(Op::Clear, pin)).is_ok(), allowed, "{pin} is on");
        world.ask(&ask(Op::Off, pin)).unwrap();
        assert!(world.ask(&ask(Op::Clear, pin)).is_ok(), "{pin} is off");
    }
}

#[test]
fn a_request_that_makes_no_sense_is_refused_and_switches_nothing() {
    let mut world = World::new(vec![guarded(17, Rest::Off)]);
    world.now = BootMs(1_000);
    for (request, reason) in [
        (Request { v: 2, ..on_until(17, 60_000) }, "version 1"),
        (Request { boot_id: Some("boot-0".into()), ..on_until(17, 60_000) }, "another boot"),
        (Request { boot_id: None, ..on_until(17, 60_000) }, "another boot"),
        (on_until(17, 1_000), "over already"),
        (on_until(17, 1_000 + 19 * 3_600_000), "18 h at most"),
        (on_until(54, 60_000), "cannot be used"),
        (ask(Op::On, 17), "without a lease"),
    ] {
        let refusal = world.ask(&request).unwrap_err();
        assert!(refusal.message.contains(reason), "{}", refusal.message);
    }
    let other = LineSettings { active_low: false, ..line(17) };
    let refusal = world.ask(&Request { line: other, ..on_until(17, 60_000) }).unwrap_err();
    assert_eq!(refusal.kind, Kind::Refused);
    assert!(world.board.on.is_empty() && world.board.records.is_empty());
}

#[test]
fn a_simulated_line_that_is_not_configured_is_refused() {
    let mut world = World::new(vec![]);
    let files = Backend::Files { folder: "/tmp".into() };
    let strange = LineSettings { backend: files.clone(), ..line(17) };
    let request = Request { line: strange.clone(), ..on_until(17, 60_000) };
    assert!(world.ask(&request).is_err());
    let configured = vec![GuardedLine { line: strange, rest: Rest::Off }];
    world.keeper.as_mut().unwrap().configure(configured, BootMs(0));
    assert!(world.ask(&request).is_ok());
}

#[test]
fn there_is_an_end_to_the_lines_that_it_takes_on() {
    let mut world = World::new(vec![]);
    let cdev = |pin| LineSettings { backend: Backend::Cdev { chip: None }, ..line(pin) };
    let mut taken = 0;
    for pin in 0..200 {
        taken += usize::from(world.ask(&Request { line: cdev(pin), ..on_until(0, 9) }).is_ok());
    }
    assert_eq!(taken, MAX_LINES);
    world.until(10);
    assert_eq!(world.keeper.unwrap().count(), (0, 0), "what nobody knows any more is forgotten");
}

#[test]
fn a_line_that_does_not_go_off_is_tried_until_it_does() {
    let mut world = World::new(vec![guarded(17, Rest::Off)]);
    world.ask(&on_until(17, 60_000)).unwrap();
    world.board.stuck = true;
    world.until(70_000);
    assert!(world.board.is_on(17));
    assert_eq!(world.board.records.len(), 1, "still to be done, whoever is keeper then");
    world.board.stuck = false;
    world.until(70_500);
    assert!(!world.board.is_on(17));
}

#[test]
fn an_off_that_was_asked_for_and_failed_is_pursued() {
    let mut world = World::new(vec![guarded(17, Rest::Off)]);
    world.ask(&on_until(17, 60_000)).unwrap();
    world.board.stuck = true;
    world.ask(&ask(Op::Off, 17)).unwrap();
    world.board.stuck = false;
    world.until(500);
    assert!(!world.board.is_on(17));
}

#[test]
fn without_room_for_the_lease_nothing_goes_on_and_the_lease_before_stands() {
    let mut world = World::new(vec![guarded(17, Rest::Off)]);
    world.board.full = true;
    world.ask(&on_until(17, 60_000)).unwrap();
    assert!(!world.board.is_on(17));
    world.board.full = false;
    world.ask(&on_until(17, 60_000)).unwrap();
    world.board.full = true;
    world.ask(&on_until(17, 90_000)).unwrap();
    assert_eq!(world.keeper.as_ref().unwrap().off_at(&line(17)), Some(BootMs(60_000)));
    world.until(60_000);
    assert!(!world.board.is_on(17));
}
