//! A keeper in virtual time, its lines and leases in memory, killed between any two effects.

use plug_driver::keeper::{Op, Request};
use plug_driver::{Backend, Kind, LineSettings};

use super::guard::{Effect, Job, Keeper, MAX_LINES, Outcome, Place, Refusal};
use super::record::Record;
use crate::config::guarded::GuardedLine;
use crate::node::settings::Rest;
use crate::node::time::BootMs;

const BOOT: &str = "boot-1";
/// What a keeper started anew may take to switch off what has no right to be on.
const START_MS: i64 = 3_000;

fn line(pin: u16) -> LineSettings {
    LineSettings { pin, active_low: true, backend: Backend::Rppal }
}

fn guarded(pin: u16, rest: Rest) -> GuardedLine {
    GuardedLine { line: line(pin), rest }
}

fn ask(op: Op, pin: u16) -> Request {
    Request { v: 1, op, line: line(pin), off_at_ms: None, boot_id: None }
}

fn on_until(pin: u16, at: i64) -> Request {
    let off_at_ms = Some(BootMs(at).uptime_ms());
    Request { off_at_ms, boot_id: Some(BOOT.to_owned()), ..ask(Op::On, pin) }
}

/// The board and `/run`: they stay when a keeper dies.
#[derive(Debug, Default)]
struct Board {
    on: Vec<u16>,
    records: Vec<Record>,
    /// The kernel makes a dead keeper's lines inputs.
    lets_go: bool,
    stuck: bool,
    full: bool,
    /// So many effects, and the keeper is dead.
    dies_after: Option<usize>,
}

impl Board {
    fn set(&mut self, pin: u16, on: bool) {
        self.on.retain(|other| *other != pin);
        if on {
            self.on.push(pin);
        }
    }

    fn is_on(&self, pin: u16) -> bool {
        self.on.contains(&pin)
    }

    /// Does a job; `None` where the keeper died in it.
    fn perform(&mut self, job: &Job) -> Option<Outcome> {
        let pin = job.line.pin;
        let mut read = None;
        for effect in &job.effects {
            if self.dies_after == Some(0) {
                return None;
            }
            self.dies_after = self.dies_after.map(|left| left - 1);
            match *effect {
                Effect::Write(_) if self.full => return Some(Outcome::Unwritten),
                Effect::Write(right) => {
                    self.erase(&job.line);
                    let (boot_id, line) = (BOOT.to_owned(), job.line.clone());
                    self.records.push(Record { v: 1, boot_id, line, right });
                }
                Effect::Erase => self.erase(&job.line),
                Effect::Switch(_) if self.stuck => return Some(Outcome::Unswitched),
                Effect::Switch(on) => {
                    self.set(pin, on);
                    read = Some(on);
                }
                Effect::Resume => {
                    let on = self.is_on(pin) || self.lets_go;
                    self.set(pin, on);
                    read = Some(on);
                }
            }
        }
        Some(Outcome::Done { on: read })
    }

    fn erase(&mut self, line: &LineSettings) {
        self.records.retain(|record| Place::of(&record.line) != Place::of(line));
    }
}

/// A keeper and its board.
#[derive(Debug)]
struct World {
    board: Board,
    keeper: Option<Keeper>,
    configured: Option<Vec<GuardedLine>>,
    now: BootMs,
}

impl World {
    fn new(lines: Vec<GuardedLine>) -> Self {
        let mut world =
            Self { board: Board::default(), keeper: None, configured: Some(lines), now: BootMs(0) };
        world.start();
        world
    }

    fn start(&mut self) {
        let (keeper, resumed) = Keeper::start(
            BOOT.to_owned(),
            self.configured.clone(),
            self.board.records.clone(),
            self.now,
        );
        self.keeper = Some(keeper);
        for job in resumed {
            self.perform(job);
        }
        self.settle();
    }

    /// A kill; the lines and the leases stay behind.
    fn kill(&mut self) {
        self.keeper = None;
        self.board.dies_after = None;
        if self.board.lets_go {
            self.board.on.clear();
        }
    }

    fn perform(&mut self, job: Job) {
        let mut next = Some(job);
        while let (Some(job), Some(keeper)) = (next.take(), self.keeper.as_mut()) {
            match self.board.perform(&job) {
                Some(outcome) => next = keeper.done(&job, outcome, self.now),
                None => self.kill(),
            }
        }
    }

    fn settle(&mut self) {
        let due = self.keeper.as_ref().map_or_else(Vec::new, |keeper| keeper.due(self.now));
        for job in due {
            self.perform(job);
        }
    }

    fn ask(&mut self, request: &Request) -> Result<(), Refusal> {
        let found = Some(self.board.is_on(request.line.pin));
        let Some(keeper) = self.keeper.as_mut() else { return Ok(()) };
        let job = keeper.step(request, found, self.now)?;
        self.perform(job);
        Ok(())
    }

    /// Lets time pass, the keeper doing what is due when it is.
    fn until(&mut self, at: i64) {
        while let Some(wake) = self.keeper.as_ref().and_then(Keeper::wake_at) {
            if wake > BootMs(at) {
                break;
            }
            self.now = self.now.max(wake);
            self.settle();
        }
        self.now = BootMs(at);
    }
}

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
