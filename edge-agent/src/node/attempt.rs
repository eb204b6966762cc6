//! Attempts of tasks: which run, how they end, what follows (contract, sections 7.1 to 7.6). A
//! `wait` and an `outlet.cycle` run in here; a `script` runs outside.

mod cycle;

use std::collections::BTreeSet;

use edge_protocol::codec::{self, Encoding};
use edge_protocol::command::Work;
use edge_protocol::event::{By, TaskNews, What};
use edge_protocol::id::{CommandId, OutletId, TaskId};
use edge_protocol::limits::{MAX_MESSAGE_BYTES, MAX_RESULT_BYTES, MAX_RESULT_DEPTH};
use serde_json::{Map, Value};

use self::cycle::{Cycle, Turn};
use super::outlet::Want;
use super::task::{Phase, Task, TaskEnd};
use super::time::BootMs;
use super::{Act, Node, ScriptOutcome};

/// What an event has beside a task's result: its envelope and ids, with room.
const BESIDE_RESULT_BYTES: usize = 2 * 1024;
/// What of a script's words becomes part of an event.
const MAX_ERROR_BYTES: usize = 4 * 1024;

/// A running attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    doing: Doing,
    since: BootMs,
    /// When it counts as failed. A script's runner keeps its own time, since it has to end the process.
    times_out: Option<BootMs>,
}

#[derive(Debug)]
enum Doing {
    Script,
    Wait { until: BootMs },
    Cycle(Cycle),
}

/// How an attempt ended.
#[derive(Debug)]
enum End {
    Succeeded(Option<Map<String, Value>>),
    Failed { error: String, for_good: bool },
}

impl End {
    fn failed(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), for_good: false }
    }

    fn failed_for_good(error: impl Into<String>) -> Self {
        Self::Failed { error: error.into(), for_good: true }
    }
}

impl Attempt {
    pub(super) fn wake_at(&self) -> Option<BootMs> {
        let own = match &self.doing {
            Doing::Script => None,
            Doing::Wait { until } => Some(*until),
            Doing::Cycle(cycle) => cycle.wake_at(),
        };
        own.into_iter().chain(self.times_out).min()
    }

    fn cycle(&self) -> Option<&Cycle> {
        match &self.doing {
            Doing::Cycle(cycle) => Some(cycle),
            Doing::Script | Doing::Wait { .. } => None,
        }
    }

    /// Gives up; returns whether it is over at once.
    fn give_up(&mut self, why: &'static str, now: BootMs) -> bool {
        match &mut self.doing {
            Doing::Script => false,
            Doing::Wait { .. } => true,
            Doing::Cycle(cycle) => {
                self.times_out = cycle.give_up(why, now);
                self.times_out.is_none()
            }
        }
    }
}

impl Node {
    /// Starts attempts while there is room; each is counted on disk before it runs.
    pub(super) fn start_attempts(&mut self) {
        let forgotten = self.tasks.forget(self.clock.running_ms());
        self.effects.writes.extend(forgotten);
        while self.accepting() {
            let most = self.settings.tasks.concurrency;
            let Some((id, write)) = self.tasks.start_next(self.now.boot, most) else { break };
            self.effects.writes.push(write);
            self.start_attempt(&id);
        }
    }

    fn start_attempt(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.get(id) else { return };
        let (timeout_ms, attempt, dark) = (task.spec.timeout_ms, task.run.attempts, task.run.dark);
        let (work, cause) = (task.spec.work(), task.spec.cause.clone());
        self.tell_task(id, cause, What::TaskStarted);
        let (since, id) = (self.now.boot, id.clone());
        let times_out = Some(since + timeout_ms);
        let started = match work {
            Ok(Work::Script(script)) => {
                let task = id.clone();
                self.effects.acts.push(Act::Run { task, attempt, script, timeout_ms });
                Attempt { doing: Doing::Script, since, times_out: None }
            }
            Ok(Work::Wait(wait)) => {
                Attempt { doing: Doing::Wait { until: since + wait.wait_ms }, since, times_out }
            }
            Ok(Work::OutletCycle(cycle)) => {
                self.effects.acts.push(Act::Begin { task: id.clone(), attempt });
                Attempt { doing: Doing::Cycle(Cycle::new(cycle, dark)), since, times_out }
            }
            Err(unreadable) => {
                let error = format!("what it is to do can't be read: {unreadable}");
                return self.attempt_ended(&id, End::failed_for_good(error));
            }
        };
        self.attempts.insert(id, started);
    }

    /// An attempt is counted on disk, so that it may act.
    pub(super) fn begun(&mut self, id: &TaskId, attempt: u32) {
        let current = self.tasks.get(id).is_some_and(|task| task.run.attempts == attempt);
        if let Some(Attempt { doing: Doing::Cycle(cycle), .. }) = self.attempts.get_mut(id)
            && current
        {
            cycle.begin();
        }
    }

    /// What a power cycle wants of an outlet that `covered` would be without it.
    pub(super) fn cycle_wants(&self, id: &OutletId, covered: Want) -> Option<Want> {
        let cycles = self.attempts.values().filter_map(Attempt::cycle);
        cycles.filter(|cycle| cycle.outlet() == id).find_map(|cycle| cycle.wants(covered))
    }

    /// The task that keeps an outlet off now, to power-cycle it.
    pub(super) fn cycled_by(&self, id: &OutletId) -> Option<TaskId> {
        let covered = Want::On(By::Rest, None);
        let keeps_off = |cycle: &Cycle| cycle.outlet() == id && cycle.wants(covered).is_some();
        let mut attempts = self.attempts.iter();
        let found = attempts.find(|(_, attempt)| attempt.cycle().is_some_and(keeps_off));
        found.map(|(task, _)| task.clone())
    }

    /// Lets time and outlets act on waits and power cycles.
    pub(super) fn advance_attempts(&mut self) {
        let now = self.now.boot;
        let cycles = self.attempts.values().filter_map(Attempt::cycle);
        let mut taken: BTreeSet<OutletId> =
            cycles.filter(|cycle| cycle.switches()).map(|cycle| cycle.outlet().clone()).collect();
        let (mut ended, mut dark) = (Vec::new(), Vec::new());
        for (id, attempt) in &mut self.attempts {
            let turn = match &mut attempt.doing {
                Doing::Script => Turn::Nothing,
                Doing::Wait { until } if now >= *until => Turn::Done,
                Doing::Wait { .. } => Turn::Nothing,
                Doing::Cycle(cycle) => {
                    let outlet = self.outlets.get(cycle.outlet());
                    cycle.turn(outlet, &mut taken, now)
                }
            };
            let end = match &turn {
                Turn::Done => Some(End::Succeeded(None)),
                Turn::GivenUp(why) => Some(End::failed(*why)),
                Turn::Pointless(why) => Some(End::failed_for_good(*why)),
                Turn::Nothing | Turn::GoesOff => None,
            };
            if matches!(turn, Turn::GoesOff | Turn::GivenUp(_)) {
                dark.push((id.clone(), turn == Turn::GoesOff));
            }
            let timed_out = attempt.times_out.is_some_and(|at| now >= at);
            if let Some(end) = end {
                ended.push((id.clone(), end));
            } else if timed_out && attempt.give_up("timed out", now) {
                ended.push((id.clone(), End::failed("timed out")));
            }
        }
        for (id, dark) in dark {
            let write = self.tasks.change(&id, |run| run.dark = dark);
            self.effects.writes.push(write);
        }
        for (id, end) in ended {
            self.attempt_ended(&id, end);
        }
    }

    /// Takes a script's end in; the end of an attempt that is no longer the current one says nothing.
    pub(super) fn script_ended(&mut self, id: &TaskId, attempt: u32, outcome: ScriptOutcome) {
        let current = |task: &Task| match task.run.phase {
            Phase::Running { .. } => task.run.attempts == attempt,
            Phase::Queued { .. } | Phase::Ended { .. } => false,
        };
        if !self.tasks.get(id).is_some_and(current) {
            return;
        }
        let end = match outcome {
            ScriptOutcome::Succeeded(result) => match fits(result, self.settings.encoding) {
                Ok(result) => End::Succeeded(result),
                Err(error) => End::failed_for_good(error),
            },
            ScriptOutcome::Failed { error, for_good } => {
                End::Failed { error: cut(error), for_good }
            }
            ScriptOutcome::Stopped => End::failed("the attempt was stopped"),
        };
        self.attempt_ended(id, end);
    }

    /// Cancels a running attempt: a script first has to end, and a cycled outlet to be as it was.
    pub(super) fn cancel_attempt(&mut self, id: &TaskId, cause: CommandId) {
        let write = self.tasks.change(id, |run| {
            if let Phase::Running { cancelled_by } = &mut run.phase {
                cancelled_by.get_or_insert(cause);
            }
        });
        self.effects.writes.push(write);
        let now = self.now.boot;
        let Some(attempt) = self.attempts.get_mut(id) else { return };
        if let Doing::Script = attempt.doing {
            self.effects.acts.push(Act::Kill { task: id.clone() });
        } else if attempt.give_up("cancelled", now) {
            self.attempt_ended(id, End::failed("cancelled"));
        }
    }

    fn attempt_ended(&mut self, id: &TaskId, end: End) {
        // After a crash nothing is known of it but that it had started.
        let attempt = self.attempts.remove(id);
        let duration_ms = attempt.map(|attempt| self.now.boot - attempt.since);
        let Some(task) = self.tasks.get(id) else { return };
        let cause = task.spec.cause.clone();
        let cancelled_by = task.cancelled_by().cloned();
        match (end, cancelled_by) {
            (End::Succeeded(result), _) => {
                let told = |news| What::TaskSucceeded(TaskNews { result, duration_ms, ..news });
                self.end_task(id, TaskEnd::Succeeded, cause, told);
            }
            (End::Failed { .. }, Some(cause)) => {
                let told = |news| What::TaskCancelled(TaskNews { duration_ms, ..news });
                self.end_task(id, TaskEnd::Cancelled, cause, told);
            }
            (End::Failed { error, for_good: false }, None) if task.may_retry() => {
                let delay_ms = self.jitter.u64(0..=task.backoff_ms());
                let ready_at = self.now.boot + delay_ms;
                let next_at_ms = Some(self.now.wall_at(ready_at));
                let error = Some(error);
                let told =
                    |news| What::TaskRetrying(TaskNews { error, next_at_ms, duration_ms, ..news });
                self.tell_task(id, cause, told);
                let write = self.tasks.change(id, |run| run.phase = Phase::Queued { ready_at });
                self.effects.writes.push(write);
            }
            (End::Failed { error, .. }, None) => {
                let error = Some(error);
                let told = |news| What::TaskFailed(TaskNews { error, duration_ms, ..news });
                self.end_task(id, TaskEnd::Failed, cause, told);
            }
        }
    }

    /// Ends a task for good.
    pub(super) fn end_task(
        &mut self,
        id: &TaskId,
        end: TaskEnd,
        cause: CommandId,
        what: impl FnOnce(TaskNews) -> What,
    ) {
        self.tell_task(id, cause, what);
        let writes = self.tasks.end(id, end, self.clock.running_ms());
        self.effects.writes.extend(writes);
    }

    /// Tells of a task that waits or runs.
    pub(super) fn tell_task(
        &mut self,
        id: &TaskId,
        cause: CommandId,
        what: impl FnOnce(TaskNews) -> What,
    ) {
        let Some(task) = self.tasks.get(id) else { return };
        let attempt = match task.run.phase {
            Phase::Queued { .. } => task.run.attempts + 1,
            Phase::Running { .. } | Phase::Ended { .. } => task.run.attempts,
        };
        let news = TaskNews {
            task: id.clone(),
            kind: task.spec.kind.clone(),
            attempt,
            error: None,
            next_at_ms: None,
            result: None,
            duration_ms: None,
        };
        self.tell(Some(cause), what(news));
    }

    /// An attempt that a crash interrupted counts; what follows is decided as if it had failed.
    pub(super) fn recover_attempts(&mut self) {
        for id in self.tasks.running().cloned().collect::<Vec<_>>() {
            self.attempt_ended(&id, End::failed("the agent ended in the middle of the attempt"));
        }
    }

    /// An attempt that an orderly stop interrupts does not count.
    pub(super) fn interrupt_attempts(&mut self) {
        for id in self.tasks.running().cloned().collect::<Vec<_>>() {
            let attempt = self.attempts.remove(&id);
            if attempt.is_some_and(|attempt| matches!(attempt.doing, Doing::Script)) {
                self.effects.acts.push(Act::Kill { task: id.clone() });
            }
            if self.tasks.get(&id).is_some_and(|task| task.cancelled_by().is_some()) {
                self.attempt_ended(&id, End::failed("cancelled"));
                continue;
            }
            let ready_at = self.now.boot;
            let write = self.tasks.change(&id, |run| {
                run.attempts -= 1;
                run.phase = Phase::Queued { ready_at };
            });
            self.effects.writes.push(write);
        }
    }
}

/// A result that an event can carry.
fn fits(
    result: Option<Map<String, Value>>,
    encoding: Encoding,
) -> Result<Option<Map<String, Value>>, String> {
    let Some(result) = result else { return Ok(None) };
    let result = Value::Object(result);
    let bytes = result.to_string().len();
    if bytes > MAX_RESULT_BYTES {
        return Err(format!("its result has {bytes} bytes of JSON, at most {MAX_RESULT_BYTES} go"));
    }
    // Numbers can take more room in CBOR than in JSON.
    let bytes = codec::encode(encoding, &result).len();
    if bytes > MAX_MESSAGE_BYTES - BESIDE_RESULT_BYTES {
        return Err(format!("its result has {bytes} bytes encoded, more than an event can carry"));
    }
    let depth = codec::depth(&result);
    if depth > MAX_RESULT_DEPTH {
        return Err(format!("its result nests {depth} deep, at most {MAX_RESULT_DEPTH} go"));
    }
    match result {
        Value::Object(result) => Ok(Some(result)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Ok(None)
        }
    }
}

/// The beginning of an error that is too long for an event.
fn cut(mut error: String) -> String {
    if error.len() > MAX_ERROR_BYTES {
        let end = (0..=MAX_ERROR_BYTES).rev().find(|end| error.is_char_boundary(*end));
        error.truncate(end.unwrap_or_default());
        error.push('…');
    }
    error
}

#[cfg(test)]
mod tests;
