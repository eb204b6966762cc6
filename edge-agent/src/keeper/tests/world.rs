//! A keeper in virtual time, its lines and leases in memory, killed between any two effects.

use plug_driver::keeper::{Op, Request};
use plug_driver::{Backend, LineSettings};

use crate::config::guarded::GuardedLine;
use crate::keeper::guard::{Effect, Job, Keeper, Outcome, Place, Refusal};
use crate::keeper::record::Record;
use crate::node::settings::Rest;
use crate::node::time::BootMs;

const BOOT: &str = "boot-1";
/// What a keeper started anew may take to switch off what has no right to be on.
pub(super) const START_MS: i64 = 3_000;

pub(super) fn line(pin: u16) -> LineSettings {
    LineSettings { pin, active_low: true, backend: Backend::Rppal }
}

pub(super) fn guarded(pin: u16, rest: Rest) -> GuardedLine {
    GuardedLine { line: line(pin), rest }
}

pub(super) fn ask(op: Op, pin: u16) -> Request {
    Request { v: 1, op, line: line(pin), off_at_ms: None, boot_id: None }
}

pub(super) fn on_until(pin: u16, at: i64) -> Request {
    let off_at_ms = Some(BootMs(at).uptime_ms());
    Request { off_at_ms, boot_id: Some(BOOT.to_owned()), ..ask(Op::On, pin) }
}

/// The board and `/run`: they stay when a keeper dies.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) on: Vec<u16>,
    pub(super) records: Vec<Record>,
    /// The kernel makes a dead keeper's lines inputs.
    pub(super) lets_go: bool,
    pub(super) stuck: bool,
    pub(super) full: bool,
    /// So many effects, and the keeper is dead.
    pub(super) dies_after: Option<usize>,
}

impl Board {
    pub(super) fn set(&mut self, pin: u16, on: bool) {
        self.on.retain(|other| *other != pin);
        if on {
            self.on.push(pin);
        }
    }

    pub(super) fn is_on(&self, pin: u16) -> bool {
        self.on.contains(&pin)
    }

    /// Does a job; `None` where the keeper died in it.
    pub(super) fn perform(&mut self, job: &Job) -> Option<Outcome> {
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

    pub(super) fn erase(&mut self, line: &LineSettings) {
        self.records.retain(|record| Place::of(&record.line) != Place::of(line));
    }
}

/// A keeper and its board.
#[derive(Debug)]
pub(super) struct World {
    pub(super) board: Board,
    pub(super) keeper: Option<Keeper>,
    pub(super) configured: Option<Vec<GuardedLine>>,
    pub(super) now: BootMs,
}

impl World {
    pub(super) fn new(lines: Vec<GuardedLine>) -> Self {
        let mut world =
            Self { board: Board::default(), keeper: None, configured: Some(lines), now: BootMs(0) };
        world.start();
        world
    }

    pub(super) fn start(&mut self) {
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
    pub(super) fn kill(&mut self) {
        self.keeper = None;
        self.board.dies_after = None;
        if self.board.lets_go {
            self.board.on.clear();
        }
    }

    pub(super) fn perform(&mut self, job: Job) {
        let mut next = Some(job);
        while let (Some(job), Some(keeper)) = (next.take(), self.keeper.as_mut()) {
            match self.board.perform(&job) {
                Some(outcome) => next = keeper.done(&job, outcome, self.now),
                None => self.kill(),
            }
        }
    }

    pub(super) fn settle(&mut self) {
        let due = self.keeper.as_ref().map_or_else(Vec::new, |keeper| keeper.due(self.now));
        for job in due {
            self.perform(job);
        }
    }

    pub(super) fn ask(&mut self, request: &Request) -> Result<(), Refusal> {
        let found = Some(self.board.is_on(request.line.pin));
        let Some(keeper) = self.keeper.as_mut() else { return Ok(()) };
        let job = keeper.step(request, found, self.now)?;
        self.perform(job);
        Ok(())
    }

    /// Lets time pass, the keeper doing what is due when it is.
    pub(super) fn until(&mut self, at: i64) {
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
