//! What a keeper does: drives lines, and leaves their leases for the keeper after it.

use std::collections::BTreeMap;

use plug_driver::{Fault, Kind, LineSettings, OnDeath, Relay};

use super::guard::{Effect, Job, Outcome, Place, Right};
use super::record::{Record, Records};

/// Drives the lines; claims each when it is first needed and holds it from then on.
#[derive(Debug)]
pub(super) struct Hands {
    relays: BTreeMap<Place, (bool, Relay)>,
    records: Records,
    boot_id: String,
}

/// Why something could not be done, for who asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) message: String,
}

impl Hands {
    pub(super) fn new(records: Records, boot_id: String) -> Self {
        Self { relays: BTreeMap::new(), records, boot_id }
    }

    /// What the line reads; changes nothing.
    pub(super) fn read(&mut self, line: &LineSettings) -> Result<bool, Failure> {
        self.relay(line)?.is_on().map_err(|fault| failure(&fault))
    }

    /// Does the effects of a job in order; gives what the line was last read to be.
    pub(super) async fn perform(&mut self, job: &Job) -> (Outcome, Result<Option<bool>, Failure>) {
        let mut on = None;
        for effect in &job.effects {
            let done = match *effect {
                Effect::Write(right) => {
                    if let Err(failure) = self.write(&job.line, right) {
                        return (Outcome::Unwritten, Err(failure));
                    }
                    continue;
                }
                Effect::Erase => {
                    self.erase(&job.line);
                    continue;
                }
                Effect::Switch(wanted) => self.switch(&job.line, wanted).await,
                Effect::Resume => self.resume(&job.line).await,
            };
            match done {
                Ok(found) => on = Some(found),
                Err(failure) => return (Outcome::Unswitched, Err(failure)),
            }
        }
        (Outcome::Done { on }, Ok(on))
    }

    /// Lets go of every line that `is_kept` does not know.
    pub(super) fn keep_only(&mut self, is_kept: impl Fn(&Place) -> bool) {
        self.relays.retain(|place, _| is_kept(place));
    }

    async fn switch(&mut self, line: &LineSettings, on: bool) -> Result<bool, Failure> {
        self.relay(line)?.switch(on).await.map_err(|fault| failure(&fault))?;
        Ok(on)
    }

    /// A line that reads on is claimed on; one that reads off stays off, unless the kernel lets go
    /// of a dead keeper's lines, which is then why it is off.
    async fn resume(&mut self, line: &LineSettings) -> Result<bool, Failure> {
        let on = self.read(line)?;
        if !on && line.on_death() == OnDeath::Keeps {
            return Ok(false);
        }
        self.switch(line, true).await
    }

    fn write(&self, line: &LineSettings, right: Right) -> Result<(), Failure> {
        let record = Record { v: 1, boot_id: self.boot_id.clone(), line: line.clone(), right };
        self.records.write(&record).map_err(|error| Failure {
            kind: Kind::Transient,
            message: format!("the lease could not be kept: {error}; is /run full?"),
        })
    }

    /// A lease that stays behind is no right: the line reads off, and runs out.
    fn erase(&self, line: &LineSettings) {
        if let Err(error) = self.records.erase(line) {
            tracing::warn!(line = line.name(), %error, "a lease that is over could not be erased");
        }
    }

    /// The relay on a line, wired as `line` says now.
    fn relay(&mut self, line: &LineSettings) -> Result<&mut Relay, Failure> {
        let place = Place::of(line);
        if self.relays.get(&place).is_some_and(|(active_low, _)| *active_low != line.active_low) {
            self.relays.remove(&place);
        }
        if !self.relays.contains_key(&place) {
            let relay = Relay::new(line.clone())
                .map_err(|error| Failure { kind: error.kind(), message: crate::chain(&error) })?;
            self.relays.insert(place.clone(), (line.active_low, relay));
        }
        Ok(&mut self.relays.get_mut(&place).expect("it was put there").1)
    }
}

fn failure(fault: &Fault) -> Failure {
    Failure { kind: fault.kind(), message: crate::chain(fault) }
}
