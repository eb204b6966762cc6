//! What a keeper decides: until when each line may be on, what to do when that is over, and what
//! it makes of the leases that a keeper before it left. Pure: it does nothing, and is told the time.

use std::collections::BTreeMap;

use plug_driver::keeper::{Op, Request, VERSION};
use plug_driver::{Backend, Kind, LineSettings};
use serde::{Deserialize, Serialize};

use super::record::Record;
use crate::config::guarded::GuardedLine;
use crate::node::settings::Rest;
use crate::node::time::BootMs;

/// The longest lease, as every outlet's; and what a request may have been on its way.
const MAX_LEASE_MS: u64 = 18 * 3_600_000 + 60_000;
/// A line that would not go off is tried again after this, without end.
const RETRY_MS: u64 = 500;
/// More lines than any board has relays.
pub(super) const MAX_LINES: usize = 64;

/// Which line: what of its settings does not change when a board is wired otherwise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) backend: Backend,
    pub(super) pin: u16,
}

impl Place {
    pub(super) fn of(line: &LineSettings) -> Self {
        Self { backend: line.backend.clone(), pin: line.pin }
    }
}

/// Until when a line may be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Right {
    /// Not at all; it is off as far as the keeper knows.
    None,
    /// Until this instant of this boot. One that has passed is an off that is still to be done.
    Until(BootMs),
    /// Until it is told otherwise: a line that rests on, or is kept as it is.
    Unleased,
}

/// Something to do about one line, in order; the first that fails ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) line: LineSettings,
    pub(super) effects: Vec<Effect>,
    /// What the line may do once all is done.
    after: Right,
}

/// What a keeper does to the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Keeps the line's right where another keeper finds it.
    Write(Right),
    /// Forgets it.
    Erase,
    /// Drives the line, and reads it back.
    Switch(bool),
    /// Claims a line that may be on as it is; one that is off only because the kernel let go of it
    /// is driven on.
    Resume,
}

/// How a job went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All was done; the line was last read to be on, or off.
    Done { on: Option<bool> },
    /// The right could not be written down, and nothing after it was done.
    Unwritten,
    /// The line could not be driven, or did not follow.
    Unswitched,
}

/// Why a request is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) message: String,
}

/// The lines, and what each may do.
#[derive(Debug)]
pub(super) struct Keeper {
    boot_id: String,
    lines: BTreeMap<Place, Kept>,
}

#[derive(Debug)]
struct Kept {
    line: LineSettings,
    /// What it rests at; `None` where the configuration does not name it.
    rest: Option<Rest>,
    right: Right,
    /// Not tried again before this.
    not_before: BootMs,
}

impl Keeper {
    /// A keeper that goes on from the leases another left, and what is to be done at once about
    /// lines that may be on. `configured` is `None` where the configuration can't be read. Lines
    /// that may not be on are the first that [`Self::due`] names.
    pub(super) fn start(
        boot_id: String,
        configured: Option<Vec<GuardedLine>>,
        records: Vec<Record>,
        now: BootMs,
    ) -> (Self, Vec<Job>) {
        let mut keeper = Self { boot_id, lines: BTreeMap::new() };
        let known = configured.is_some();
        keeper.configure(configured.unwrap_or_default(), now);
        let mut resumed = Vec::new();
        for record in records {
            let this_boot = record.boot_id == keeper.boot_id;
            let Some(kept) = keeper.adopt(&record.line, now) else { continue };
            let may_rest_on = !known || kept.rest.is_some_and(|rest| rest != Rest::Off);
            kept.right = match record.right {
                Right::Until(at) if this_boot && at > now => Right::Until(at),
                Right::Unleased if this_boot && may_rest_on => Right::Unleased,
                Right::Until(_) | Right::Unleased | Right::None => Right::Until(now),
            };
            if kept.right != Right::Until(now) {
                let effects = vec![Effect::Resume];
                resumed.push(Job { line: kept.line.clone(), effects, after: kept.right });
            }
        }
        (keeper, resumed)
    }

    /// Takes another configuration. A line that is new and rests off is switched off: nobody has a
    /// right to it. One that is named no more is guarded until its right is over.
    pub(super) fn configure(&mut self, lines: Vec<GuardedLine>, now: BootMs) {
        for kept in self.lines.values_mut() {
            kept.rest = None;
        }
        for GuardedLine { line, rest } in lines {
            let is_new = !self.lines.contains_key(&Place::of(&line));
            let Some(kept) = self.adopt(&line, now) else { continue };
            kept.line = line;
            kept.rest = Some(rest);
            if is_new && rest == Rest::Off {
                kept.right = Right::Until(now);
            }
        }
        self.forget();
    }

    /// Forgets lines that nobody names and that may not be on.
    fn forget(&mut self) {
        self.lines.retain(|_, kept| kept.rest.is_some() || kept.right != Right::None);
    }

    /// What a request asks for, `found` being what its line reads now.
    pub(super) fn step(
        &mut self,
        request: &Request,
        found: Option<bool>,
        now: BootMs,
    ) -> Result<Job, Refusal> {
        let boot_id = self.boot_id.clone();
        let line = request.line.clone();
        line.check().map_err(|error| refuse(Kind::Broken, crate::chain(&error)))?;
        if request.v != VERSION {
            let message = format!("this keeper speaks version {VERSION}, not {}", request.v);
            return Err(refuse(Kind::Refused, message));
        }
        self.forget();
        let Some(kept) = self.adopt(&line, now) else {
            let message = format!("there are {MAX_LINES} lines already");
            return Err(refuse(Kind::Refused, message));
        };
        if kept.line.active_low != line.active_low {
            let message =
                "the configuration has another active_low for this line: restart the agent";
            return Err(refuse(Kind::Refused, message));
        }
        let is_stranger = kept.rest.is_none() && kept.right == Right::None;
        if is_stranger && matches!(line.backend, Backend::Files { .. }) {
            self.lines.remove(&Place::of(&line));
            let message = "a simulated line must be in the configuration: restart the agent";
            return Err(refuse(Kind::Refused, message));
        }
        let may_rest_on = kept.rest.is_some_and(|rest| rest != Rest::Off);
        let before = kept.right;
        let job = |effects, after| Job { line, effects, after };
        match (request.op, request.off_at_ms) {
            (Op::Read, _) => Ok(job(vec![], before)),
            (Op::Off, _) => Ok(job(vec![Effect::Switch(false), Effect::Erase], Right::None)),
            (Op::Clear, _) if found == Some(false) => Ok(job(vec![Effect::Erase], Right::None)),
            (Op::Clear | Op::On, None) if !may_rest_on => {
                let message = "only a line that does not rest off is on without a lease";
                Err(refuse(Kind::Refused, message))
            }
            (Op::Clear, _) => Ok(job(vec![Effect::Write(Right::Unleased)], Right::Unleased)),
            (Op::On, None) => {
                let effects = vec![Effect::Write(Right::Unleased), Effect::Switch(true)];
                Ok(job(effects, Right::Unleased))
            }
            (Op::On, Some(_)) if request.boot_id.as_deref() != Some(&boot_id) => {
                Err(refuse(Kind::Refused, "that lease counts on another boot's clock"))
            }
            (Op::On, Some(at_ms)) => {
                let at = BootMs::from(at_ms);
                if at <= now {
                    return Err(refuse(Kind::Refused, "that lease is over already"));
                }
                if at - now > MAX_LEASE_MS {
                    return Err(refuse(Kind::Refused, "a lease is 18 h at most"));
                }
                let right = Right::Until(at);
                Ok(job(vec![Effect::Write(right), Effect::Switch(true)], right))
            }
        }
    }

    /// Takes in how a job went; gives what is to be done after it.
    pub(super) fn done(&mut self, job: &Job, outcome: Outcome, now: BootMs) -> Option<Job> {
        let kept = self.lines.get_mut(&Place::of(&job.line))?;
        match outcome {
            Outcome::Unwritten => None,
            Outcome::Unswitched => {
                // It may be on, or still be: an off goes on being tried, an on ends with its right.
                kept.right = match job.after {
                    Right::None => Right::Until(now),
                    after @ (Right::Until(_) | Right::Unleased) => after,
                };
                kept.not_before = now + RETRY_MS;
                None
            }
            Outcome::Done { on: Some(false) } if job.effects == [Effect::Resume] => {
                // Somebody switched it off while no keeper was there. That it stays.
                kept.right = Right::None;
                Some(off(&kept.line))
            }
            Outcome::Done { .. } => {
                kept.right = job.after;
                kept.not_before = now;
                if kept.rest.is_none() && kept.right == Right::None {
                    self.lines.remove(&Place::of(&job.line));
                }
                None
            }
        }
    }

    /// The lines whose right is over.
    pub(super) fn due(&self, now: BootMs) -> Vec<Job> {
        let over = |kept: &&Kept| match kept.right {
            Right::Until(at) => at <= now && kept.not_before <= now,
            Right::None | Right::Unleased => false,
        };
        self.lines.values().filter(over).map(|kept| off(&kept.line)).collect()
    }

    /// When a line is next due.
    pub(super) fn wake_at(&self) -> Option<BootMs> {
        let due = |kept: &Kept| match kept.right {
            Right::Until(at) => Some(at.max(kept.not_before)),
            Right::None | Right::Unleased => None,
        };
        self.lines.values().filter_map(due).min()
    }

    /// When the keeper switches a line off.
    pub(super) fn off_at(&self, line: &LineSettings) -> Option<BootMs> {
        match self.lines.get(&Place::of(line))?.right {
            Right::Until(at) => Some(at),
            Right::None | Right::Unleased => None,
        }
    }

    /// Whether it has anything to do with a line.
    pub(super) fn knows(&self, place: &Place) -> bool {
        self.lines.contains_key(place)
    }

    /// How many lines it guards, and how many of them may be on.
    pub(super) fn count(&self) -> (usize, usize) {
        let on = self.lines.values().filter(|kept| kept.right != Right::None).count();
        (self.lines.len(), on)
    }

    /// The line as it is known, or as it is now heard of; `None` where there are too many.
    fn adopt(&mut self, line: &LineSettings, now: BootMs) -> Option<&mut Kept> {
        let place = Place::of(line);
        if !self.lines.contains_key(&place) && self.lines.len() >= MAX_LINES {
            return None;
        }
        let new = || Kept { line: line.clone(), rest: None, right: Right::None, not_before: now };
        Some(self.lines.entry(place).or_insert_with(new))
    }
}

fn off(line: &LineSettings) -> Job {
    let effects = vec![Effect::Switch(false), Effect::Erase];
    Job { line: line.clone(), effects, after: Right::None }
}

fn refuse(kind: Kind, message: impl Into<String>) -> Refusal {
    Refusal { kind, message: message.into() }
}
