//! Commands about schedules, and those that schedules send (contract, section 4).

use edge_protocol::command::{Command, SchedulePut};
use edge_protocol::event::Code;
use edge_protocol::id::ScheduleId;

use super::{Done, reject};
use crate::node::Node;
use crate::node::answer::Rejection;
use crate::node::schedule::{Due, Full, Schedule, Unusable};
use crate::node::time::BootMs;

/// How often a clock that is not synced yet is looked at for the sake of schedules.
const LOOK_FOR_SYNC_MS: u64 = 1_000;

impl From<Unusable> for Rejection {
    fn from(unusable: Unusable) -> Self {
        Self::new(Code::Invalid, unusable.to_string())
    }
}

impl From<Full> for Rejection {
    fn from(full: Full) -> Self {
        Self::new(Code::Busy, full.to_string())
    }
}

impl Node {
    pub(super) fn put_schedule(&mut self, put: &SchedulePut) -> Done {
        let schedule = Schedule::of(put)?;
        let wall_ms = self.now.synced.then_some(self.now.wall_ms);
        let writes = self.schedules.put(put.schedule.clone(), schedule, wall_ms)?;
        self.effects.writes.extend(writes);
        Ok(())
    }

    pub(super) fn remove_schedule(&mut self, id: &ScheduleId) -> Done {
        let Some(deletes) = self.schedules.remove(id) else {
            return reject(Code::UnknownSchedule, format!("there is no schedule {id}"));
        };
        self.effects.writes.extend(deletes);
        Ok(())
    }

    /// Runs the occurrences that are due.
    pub(in crate::node) fn run_schedules(&mut self) {
        if self.schedules.is_empty() {
            return;
        }
        if !self.now.synced || !self.accepting() {
            return self.schedules.look_away();
        }
        let wall_ms = self.now.wall_ms;
        for id in self.schedules.look(wall_ms) {
            // What one of them told may have filled the outbox.
            if !self.accepting() {
                return self.schedules.look_away();
            }
            let (due, write) = self.schedules.take(&id, wall_ms);
            self.effects.writes.extend(write);
            self.voice.state_changed();
            if let Some(due) = due {
                self.run_occurrence(due);
            }
        }
        self.schedules.watched();
    }

    /// Runs an occurrence as if its command came in. That it ran is in its schedule's record, so
    /// that its id needs no place among those of commands: a schedule of each second would take
    /// them all.
    fn run_occurrence(&mut self, due: Due) {
        let Due { command: id, at_ms, max_late_ms, request } = due;
        // It is issued at its time, and has no effect beyond what it may be late.
        let expires_at_ms = request.powers().then_some(at_ms + max_late_ms + 1);
        let command = Command { id: id.clone(), issued_at_ms: Some(at_ms), expires_at_ms, request };
        let mark = self.voice.mark();
        let done = self.carry_out(command, self.now.boot);
        self.tell_answer(mark, id, done);
    }

    /// When schedules are to be looked at again.
    pub(in crate::node) fn schedules_wake_at(&self) -> Option<BootMs> {
        if self.schedules.is_empty() || self.stopping {
            return None;
        }
        if !self.now.synced {
            return Some(self.now.boot + LOOK_FOR_SYNC_MS);
        }
        // What frees the outbox or the disk wakes the node by itself.
        let next_at = self.schedules.next_at().filter(|_| self.accepting());
        next_at.map(|at_ms| self.now.boot_at(at_ms))
    }

    /// Whether somebody should look in from time to time, since only the wall clock tells when
    /// the next occurrence comes, and that may be set at any time.
    #[must_use]
    pub fn wants_ticks(&self) -> bool {
        self.now.synced && !self.schedules.is_empty()
    }
}
