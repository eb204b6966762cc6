//! The queue of tasks: order, attempts, retries, bounds (contract, section 7).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use edge_protocol::command::TaskSubmit;
use edge_protocol::id::{CommandId, TaskId};
use serde::{Deserialize, Serialize};

use super::record::{self, Kind, Write};
use super::time::BootMs;

/// Ended tasks are remembered for so long of the node's running time,
const REMEMBERED_MS: u64 = 7 * 24 * 3_600_000;
/// and so many of them.
const MAX_REMEMBERED: usize = 1_000;

/// What a task is; written once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) submit: TaskSubmit,
    pub(super) cause: CommandId,
    arrival: u64,
}

/// What became of a task; small, written at each change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Attempts that were started.
    pub(super) attempts: u32,
    /// The last attempt that may be started.
    last_attempt: u32,
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
    /// An attempt runs.
    Running { since: BootMs, cancelled: bool },
    /// It is over, since this much running time.
    Ended { end: TaskEnd, at_running_ms: u64 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TaskEnd {
    Succeeded,
    Failed,
    Cancelled,
}

#[derive(Debug, Clone)]
pub(super) struct Task {
    pub(super) spec: Spec,
    pub(super) run: Run,
    bytes: u64,
}

impl Task {
    pub(super) fn id(&self) -> &TaskId {
        &self.spec.submit.task
    }

    fn rank(&self) -> (Reverse<u8>, u64) {
        (Reverse(self.spec.submit.priority), self.spec.arrival)
    }

    /// Whether another attempt may follow.
    pub(super) fn may_retry(&self) -> bool {
        self.run.attempts < self.run.last_attempt
    }

    /// The bound of the delay before the next attempt: it doubles with each.
    pub(super) fn backoff_ms(&self) -> u64 {
        let submit = &self.spec.submit;
        let first = self.run.last_attempt - 1 - submit.max_retries;
        let doublings = self.run.attempts.saturating_sub(first + 1).min(63);
        submit.backoff_ms.saturating_mul(1 << doublings).min(submit.backoff_max_ms)
    }
}

/// Every task that waits, runs or is remembered, by id and in the order of its turn.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    by_id: BTreeMap<TaskId, Task>,
    ready: BTreeSet<(Reverse<u8>, u64, TaskId)>,
    later: BTreeSet<(BootMs, TaskId)>,
    running: BTreeSet<TaskId>,
    /// Oldest first.
    ended: VecDeque<(u64, TaskId)>,
    bytes: u64,
    next_arrival: u64,
}

impl Tasks {
    pub(super) fn get(&self, id: &TaskId) -> Option<&Task> {
        self.by_id.get(id)
    }

    pub(super) fn queued(&self) -> usize {
        self.ready.len() + self.later.len()
    }

    pub(super) fn running(&self) -> impl Iterator<Item = &Task> {
        self.running.iter().filter_map(|id| self.by_id.get(id))
    }

    pub(super) fn running_count(&self) -> usize {
        self.running.len()
    }

    /// What the waiting and running ones occupy, encoded.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Queues a new task.
    pub(super) fn submit(
        &mut self,
        submit: TaskSubmit,
        cause: CommandId,
        ready_at: BootMs,
    ) -> [Write; 2] {
        let last_attempt = submit.max_retries.saturating_add(1);
        let spec = Spec { submit, cause, arrival: self.next_arrival };
        let run = Run { attempts: 0, last_attempt, phase: Phase::Queued { ready_at } };
        let id = spec.submit.task.clone();
        let writes = [
            record::put(Kind::Task, id.as_str(), &spec),
            record::put(Kind::Run, id.as_str(), &run),
        ];
        self.insert(spec, run);
        writes
    }

    /// Takes a stored task.
    pub(super) fn insert(&mut self, spec: Spec, run: Run) {
        self.next_arrival = self.next_arrival.max(spec.arrival + 1);
        let id = spec.submit.task.clone();
        let bytes = size(&spec.submit);
        self.by_id.insert(id.clone(), Task { spec, run, bytes });
        self.enter(&id);
    }

    /// Ends the recovery: ended ones were inserted in no order.
    pub(super) fn recovered(&mut self) {
        self.ended.make_contiguous().sort_unstable();
    }

    fn enter(&mut self, id: &TaskId) {
        let task = &self.by_id[id];
        match task.run.phase {
            Phase::Queued { ready_at } => {
                self.later.insert((ready_at, id.clone()));
                self.bytes += task.bytes;
            }
            Phase::Running { .. } => {
                self.running.insert(id.clone());
                self.bytes += task.bytes;
            }
            Phase::Ended { at_running_ms, .. } => self.ended.push_back((at_running_ms, id.clone())),
        }
    }

    fn leave(&mut self, id: &TaskId) {
        let task = &self.by_id[id];
        match task.run.phase {
            Phase::Queued { ready_at } => {
                let (priority, arrival) = task.rank();
                self.ready.remove(&(priority, arrival, id.clone()));
                self.later.remove(&(ready_at, id.clone()));
                self.bytes -= task.bytes;
            }
            Phase::Running { .. } => {
                self.running.remove(id);
                self.bytes -= task.bytes;
            }
            Phase::Ended { .. } => self.ended.retain(|(_, ended)| ended != id),
        }
    }

    /// Changes what became of a task.
    pub(super) fn change(&mut self, id: &TaskId, change: impl FnOnce(&mut Run)) -> Write {
        self.leave(id);
        let task = self.by_id.get_mut(id).expect("callers looked the task up");
        change(&mut task.run);
        let write = record::put(Kind::Run, id.as_str(), &task.run);
        self.enter(id);
        write
    }

    /// Starts the next attempt whose turn it is.
    pub(super) fn start_next(
        &mut self,
        now: BootMs,
        concurrency: usize,
    ) -> Option<(TaskId, Write)> {
        while let Some((ready_at, _)) = self.later.first() {
            if *ready_at > now {
                break;
            }
            let (_, id) = self.later.pop_first().expect("it was just seen");
            let (priority, arrival) = self.by_id[&id].rank();
            self.ready.insert((priority, arrival, id));
        }
        if self.running.len() >= concurrency {
            return None;
        }
        let (_, _, id) = self.ready.first().cloned()?;
        let write = self.change(&id, |run| {
            run.attempts += 1;
            run.phase = Phase::Running { since: now, cancelled: false };
        });
        Some((id, write))
    }

    /// Gives a failed task its attempts again.
    pub(super) fn retry(&mut self, id: &TaskId, now: BootMs) -> Write {
        let max_retries = self.by_id[id].spec.submit.max_retries;
        self.change(id, |run| {
            run.last_attempt = run.attempts.saturating_add(max_retries).saturating_add(1);
            run.phase = Phase::Queued { ready_at: now };
        })
    }

    /// Forgets ended tasks that are old or too many.
    pub(super) fn forget(&mut self, running_ms: u64) -> Vec<Write> {
        let mut deletes = Vec::new();
        while let Some((at, id)) = self.ended.front().cloned() {
            if self.ended.len() <= MAX_REMEMBERED && running_ms.saturating_sub(at) < REMEMBERED_MS {
                break;
            }
            self.ended.pop_front();
            self.by_id.remove(&id);
            deletes.push(record::delete(Kind::Task, id.as_str()));
            deletes.push(record::delete(Kind::Run, id.as_str()));
        }
        deletes
    }

    /// When the next task becomes ready.
    pub(super) fn wake_at(&self) -> Option<BootMs> {
        self.later.first().map(|(ready_at, _)| *ready_at)
    }

    /// The ids of all tasks that wait or run.
    pub(super) fn open(&self) -> Vec<TaskId> {
        let open = |task: &&Task| !matches!(task.run.phase, Phase::Ended { .. });
        self.by_id.values().filter(open).map(|task| task.id().clone()).collect()
    }
}

/// What a task occupies, encoded.
pub(super) fn size(submit: &TaskSubmit) -> u64 {
    serde_cbor::to_vec(submit).map_or(0, |bytes| bytes.len() as u64)
}
