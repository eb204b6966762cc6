//! The queue of tasks: order, attempts, retries, bounds (contract, section 7).
//!
//! What a task does is kept encoded: as a tree it could weigh two hundred times its bytes, and the
//! queue's bound would bound nothing.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use edge_protocol::command::{TaskSubmit, Work};
use edge_protocol::id::{CommandId, TaskId};
use serde::{Deserialize, Serialize};

use super::ended::Ended;
use super::record::{self, Bytes, Kind, Write};
use super::time::BootMs;

/// What failed tasks may occupy that can be run again; beyond it the oldest are only remembered.
const MAX_FAILED_BYTES: u64 = 8 * 1024 * 1024;
/// What a task occupies beside its work: its ids, its counts and its place in the queue.
const BESIDE_BYTES: u64 = 512;

/// What a task is; written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) kind: String,
    /// The [`Work`], as CBOR.
    work: Bytes,
    max_retries: u32,
    pub(super) timeout_ms: u64,
    backoff_ms: u64,
    backoff_max_ms: u64,
    priority: u8,
    pub(super) cause: CommandId,
    arrival: u64,
}

impl Spec {
    fn new(submit: &TaskSubmit, cause: CommandId, arrival: u64) -> Self {
        let work = serde_cbor::to_vec(&submit.work).expect("work has text keys");
        Self {
            kind: submit.work.kind().to_owned(),
            work: Bytes(work.into()),
            max_retries: submit.max_retries,
            timeout_ms: submit.timeout_ms,
            backoff_ms: submit.backoff_ms,
            backoff_max_ms: submit.backoff_max_ms,
            priority: submit.priority,
            cause,
            arrival,
        }
    }

    /// What to do.
    pub(super) fn work(&self) -> Result<Work, record::Unreadable> {
        Ok(serde_cbor::from_slice(&self.work.0)?)
    }

    fn bytes(&self) -> u64 {
        BESIDE_BYTES + self.work.0.len() as u64
    }
}

/// What became of a task; small, written at each change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Attempts that were started.
    pub(super) attempts: u32,
    /// The last attempt that may be started.
    last_attempt: u32,
    /// A power cycle switched its outlet off and did not see it on again.
    pub(super) dark: bool,
    pub(super) phase: Phase,
}

/// ```text
/// queued ─▶ running ─▶ succeeded | failed | cancelled
///    ▲─────────┘ retry
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Phase {
    /// It waits for its turn, not before `ready_at`.
    Queued { ready_at: BootMs },
    /// An attempt runs, and is to end if this command cancelled it.
    Running { cancelled_by: Option<CommandId> },
    /// It is over, since this much running time.
    Ended { end: TaskEnd, at_running_ms: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TaskEnd {
    Succeeded,
    Failed,
    Cancelled,
}

/// A task that waits or runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) spec: Spec,
    pub(super) run: Run,
}

impl Task {
    fn rank(&self) -> (Reverse<u8>, u64) {
        (Reverse(self.spec.priority), self.spec.arrival)
    }

    /// Whether another attempt may follow.
    pub(super) fn may_retry(&self) -> bool {
        self.run.attempts < self.run.last_attempt
    }

    /// The bound of the delay before the next attempt: it doubles with each.
    pub(super) fn backoff_ms(&self) -> u64 {
        let Spec { max_retries, backoff_ms, backoff_max_ms, .. } = self.spec;
        let first = self.run.last_attempt.saturating_sub(max_retries);
        let doublings = self.run.attempts.saturating_sub(first).min(63);
        backoff_ms.saturating_mul(1 << doublings).min(backoff_max_ms)
    }

    pub(super) fn cancelled_by(&self) -> Option<&CommandId> {
        match &self.run.phase {
            Phase::Running { cancelled_by } => cancelled_by.as_ref(),
            Phase::Queued { .. } | Phase::Ended { .. } => None,
        }
    }
}

/// A task that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Over {
    run: Run,
    /// Of a failed one, so that it can be run again.
    spec: Option<Spec>,
}

/// What is known under a task's id.
#[derive(Debug)]
pub(super) enum Known {
    Queued,
    Running,
    /// It can be run again; so much would join the queue.
    Failed {
        bytes: u64,
    },
    /// It failed too long ago for that.
    FailedLongAgo,
    Over,
}

/// Every task that waits, runs or is remembered, by id and in the order of its turn.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    open: BTreeMap<TaskId, Task>,
    ready: BTreeSet<(Reverse<u8>, u64, TaskId)>,
    later: BTreeSet<(BootMs, TaskId)>,
    running: BTreeSet<TaskId>,
    bytes: u64,
    ended: Ended<TaskId, Over>,
    failed_bytes: u64,
    next_arrival: u64,
    /// The names of the scripts that are there.
    pub(super) scripts: BTreeSet<String>,
}

impl Tasks {
    /// The tasks of a store. One that is not over needs both of its records.
    pub(super) fn recovered(
        mut specs: BTreeMap<TaskId, Spec>,
        runs: BTreeMap<TaskId, Run>,
    ) -> Self {
        let mut tasks = Self::default();
        for (id, run) in runs {
            let spec = specs.remove(&id);
            let arrival = spec.as_ref().map_or(0, |spec| spec.arrival.saturating_add(1));
            tasks.next_arrival = tasks.next_arrival.max(arrival);
            match (run.phase.clone(), spec) {
                (Phase::Ended { at_running_ms, .. }, spec) => {
                    tasks.failed_bytes += spec.as_ref().map_or(0, Spec::bytes);
                    tasks.ended.insert(id, at_running_ms, Over { run, spec });
                }
                (Phase::Queued { .. } | Phase::Running { .. }, Some(spec)) => {
                    tasks.enter(id, Task { spec, run });
                }
                (Phase::Queued { .. } | Phase::Running { .. }, None) => {}
            }
        }
        tasks
    }

    /// A task that waits or runs.
    pub(super) fn get(&self, id: &TaskId) -> Option<&Task> {
        self.open.get(id)
    }

    pub(super) fn known(&self, id: &TaskId) -> Option<Known> {
        if self.open.contains_key(id) {
            let running = self.running.contains(id);
            return Some(if running { Known::Running } else { Known::Queued });
        }
        let Over { run, spec } = self.ended.get(id)?;
        Some(match (&run.phase, spec) {
            (Phase::Ended { end: TaskEnd::Failed, .. }, Some(spec)) => {
                Known::Failed { bytes: spec.bytes() }
            }
            (Phase::Ended { end: TaskEnd::Failed, .. }, None) => Known::FailedLongAgo,
            (Phase::Ended { .. } | Phase::Queued { .. } | Phase::Running { .. }, _) => Known::Over,
        })
    }

    /// How many wait.
    pub(super) fn queued(&self) -> usize {
        self.ready.len() + self.later.len()
    }

    /// What those that wait or run occupy.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &TaskId> {
        self.running.iter()
    }

    pub(super) fn running_count(&self) -> usize {
        self.running.len()
    }

    /// The ids of all tasks that wait or run.
    pub(super) fn open(&self) -> Vec<TaskId> {
        self.open.keys().cloned().collect()
    }

    /// When the next task becomes ready.
    pub(super) fn wake_at(&self) -> Option<BootMs> {
        self.later.first().map(|(ready_at, _)| *ready_at)
    }

    /// Queues a new task.
    pub(super) fn submit(&mut self, new: New) -> [Write; 2] {
        let New { id, mut spec, ready_at } = new;
        spec.arrival = self.next_arrival;
        self.next_arrival = self.next_arrival.saturating_add(1);
        let last_attempt = spec.max_retries.saturating_add(1);
        let phase = Phase::Queued { ready_at };
        let run = Run { attempts: 0, last_attempt, dark: false, phase };
        let writes = [
            record::put(Kind::Task, id.as_str(), &spec),
            record::put(Kind::Run, id.as_str(), &run),
        ];
        self.enter(id, Task { spec, run });
        writes
    }

    fn enter(&mut self, id: TaskId, task: Task) {
        self.bytes += task.spec.bytes();
        match task.run.phase {
            Phase::Queued { ready_at } => {
                self.later.insert((ready_at, id.clone()));
            }
            Phase::Running { .. } => {
                self.running.insert(id.clone());
            }
            Phase::Ended { .. } => {}
        }
        self.open.insert(id, task);
    }

    fn leave(&mut self, id: &TaskId) -> Task {
        let task = self.open.remove(id).expect("callers looked the task up");
        let (priority, arrival) = task.rank();
        self.ready.remove(&(priority, arrival, id.clone()));
        if let Phase::Queued { ready_at } = task.run.phase {
            self.later.remove(&(ready_at, id.clone()));
        }
        self.running.remove(id);
        self.bytes -= task.spec.bytes();
        task
    }

    /// Changes what became of a task that waits or runs, and still does.
    pub(super) fn change(&mut self, id: &TaskId, change: impl FnOnce(&mut Run)) -> Write {
        let mut task = self.leave(id);
        change(&mut task.run);
        let write = record::put(Kind::Run, id.as_str(), &task.run);
        self.enter(id.clone(), task);
        write
    }

    /// Starts the next attempt whose turn it is.
    pub(super) fn start_next(&mut self, now: BootMs, most: usize) -> Option<(TaskId, Write)> {
        while self.later.first().is_some_and(|(ready_at, _)| *ready_at <= now) {
            let (_, id) = self.later.pop_first().expect("it was just seen");
            let (priority, arrival) = self.open[&id].rank();
            self.ready.insert((priority, arrival, id));
        }
        if self.running.len() >= most {
            return None;
        }
        let (_, _, id) = self.ready.first().cloned()?;
        let write = self.change(&id, |run| {
            run.attempts = run.attempts.saturating_add(1);
            run.phase = Phase::Running { cancelled_by: None };
        });
        Some((id, write))
    }

    /// Ends a task for good. Only a failed one's work is kept, and only within a bound.
    pub(super) fn end(&mut self, id: &TaskId, end: TaskEnd, running_ms: u64) -> Vec<Write> {
        let Task { spec, mut run } = self.leave(id);
        run.phase = Phase::Ended { end, at_running_ms: running_ms };
        let mut writes = vec![record::put(Kind::Run, id.as_str(), &run)];
        let spec = Some(spec).filter(|_| end == TaskEnd::Failed);
        match &spec {
            Some(spec) => self.failed_bytes += spec.bytes(),
            None => writes.push(record::delete(Kind::Task, id.as_str())),
        }
        self.ended.insert(id.clone(), running_ms, Over { run, spec });
        while self.failed_bytes > MAX_FAILED_BYTES {
            let Some((oldest, over)) = self.ended.oldest(|over| over.spec.is_some()) else { break };
            self.failed_bytes -= over.spec.take().map_or(0, |spec| spec.bytes());
            writes.push(record::delete(Kind::Task, oldest.as_str()));
        }
        writes
    }

    /// Gives a task that is known as failed its attempts again.
    pub(super) fn retry(&mut self, id: &TaskId, now: BootMs) -> Write {
        let Over { mut run, spec } = self.ended.remove(id).expect("callers looked the task up");
        let spec = spec.expect("a task that is known as failed has its work");
        self.failed_bytes -= spec.bytes();
        run.last_attempt = run.attempts.saturating_add(spec.max_retries).saturating_add(1);
        run.phase = Phase::Queued { ready_at: now };
        let write = record::put(Kind::Run, id.as_str(), &run);
        self.enter(id.clone(), Task { spec, run });
        write
    }

    /// Forgets ended tasks that are old or too many.
    pub(super) fn forget(&mut self, running_ms: u64) -> Vec<Write> {
        let mut deletes = Vec::new();
        for (id, over) in self.ended.forget(running_ms) {
            deletes.push(record::delete(Kind::Run, id.as_str()));
            if let Some(spec) = over.spec {
                self.failed_bytes -= spec.bytes();
                deletes.push(record::delete(Kind::Task, id.as_str()));
            }
        }
        deletes
    }
}

/// A task on its way into the queue.
#[derive(Debug)]
pub(super) struct New {
    id: TaskId,
    spec: Spec,
    ready_at: BootMs,
}

impl New {
    pub(super) fn of(submit: &TaskSubmit, cause: CommandId, ready_at: BootMs) -> Self {
        Self { id: submit.task.clone(), spec: Spec::new(submit, cause, 0), ready_at }
    }

    /// What it will occupy.
    pub(super) fn bytes(&self) -> u64 {
        self.spec.bytes()
    }
}

#[cfg(test)]
mod tests;
