//! What a restart, a reboot and a corrected clock make of a session (contract, 6.5).

use super::running::Running;
use super::{Phase, START_PATIENCE_MS, Session};
use crate::node::clock::{Away, Shift};
use crate::node::time::{BootMs, Now};

impl Session {
    /// Gives what is on its way its whole patience again: nothing could be sent while no agent ran.
    pub(in crate::node) fn recovered(&mut self, now: BootMs) {
        let patience = match &mut self.phase {
            Phase::Starting { give_up, .. } => Some(give_up),
            Phase::Active { moving, .. } => moving.as_mut().map(|moving| &mut moving.give_up),
            Phase::Paused { resuming, .. } => {
                resuming.as_mut().map(|resuming| &mut resuming.give_up)
            }
            Phase::Booked { .. } | Phase::Ending(_) => None,
        };
        if let Some(give_up) = patience {
            *give_up = now + START_PATIENCE_MS;
        }
    }

    /// Translates its instants into this boot. It was powered up to `last_seen`, in the old count.
    pub(in crate::node) fn rebooted(&mut self, shift: Shift, last_seen: BootMs, now: BootMs) {
        if let Some(run) = self.run_mut()
            && let Some(since) = &mut run.since
        {
            run.powered_ms += last_seen - *since;
            *since = now;
        }
        if let Phase::Paused { since, .. } = &mut self.phase {
            *since = since.shifted(shift.by_ms);
        }
        self.shift(shift.by_ms);
        match (shift.away, &self.phase) {
            (Away::Known, _) => self.guessed = false,
            (Away::Unknown, Phase::Paused { .. }) | (Away::StillUnknown, _) => {}
            (
                Away::Unknown,
                Phase::Booked { .. }
                | Phase::Starting { .. }
                | Phase::Active { .. }
                | Phase::Ending(_),
            ) => self.guessed = true,
        }
    }

    /// Takes what a reboot is now known to have taken from a guess; `for_good` if that is the last word.
    /// Returns whether it stood on one.
    pub(in crate::node) fn correct(&mut self, earlier_ms: i64, for_good: bool) -> bool {
        if !self.guessed {
            return false;
        }
        self.guessed = !for_good;
        self.shift(-earlier_ms);
        if let Phase::Paused { remaining_ms, .. } = &mut self.phase {
            *remaining_ms = remaining_ms.saturating_add_signed(-earlier_ms);
        }
        true
    }

    /// Moves what its time is counted by.
    fn shift(&mut self, ms: i64) {
        match &mut self.phase {
            Phase::Booked { starts, end } => {
                *starts = starts.shifted(ms);
                end.shift(ms);
            }
            Phase::Starting { end, .. } => end.shift(ms),
            Phase::Active { .. } | Phase::Paused { .. } => {}
            Phase::Ending(ending) => {
                ending.off = ending.off.shifted(ms);
                ending.begun = ending.begun.map(|begun| begun.shifted(ms));
            }
        }
        if let Some(run) = self.run_mut() {
            run.deadline = run.deadline.shifted(ms);
        }
    }

    fn run_mut(&mut self) -> Option<&mut Running> {
        match &mut self.phase {
            Phase::Booked { .. } => None,
            Phase::Starting { lit, .. } => lit.as_mut(),
            Phase::Active { run, .. } => Some(run),
            Phase::Paused { resuming, .. } => resuming.as_mut()?.lit.as_mut(),
            Phase::Ending(ending) => Some(&mut ending.run),
        }
    }

    /// Gives the deadline its name after a correction of the wall clock, where it has one now.
    pub(in crate::node) fn rename_deadline(&mut self, now: Now) -> Option<u64> {
        let run = self.run_mut()?;
        run.ends_at_ms = now.wall_at(run.deadline);
        Some(run.ends_at_ms)
    }
}
