//! Attempts of tasks: which run, how they end, what follows (contract, sections 7.1 to 7.6). A
//! `wait` and an `outlet.cycle` run in here; a `script` runs outside.

use edge_protocol::command::{OutletCycle, Work};
use edge_protocol::event::{By, TaskNews, What};
use edge_protocol::id::{CommandId, OutletId, TaskId};
use serde_json::{Map, Value};

use super::outlet::{Outlet, Want};
use super::task::{Phase, Task, TaskEnd};
use super::time::BootMs;
use super::{Act, Node, ScriptOutcome};

/// A running attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    doing: Doing,
    /// When it counts as failed. A script's runner keeps its own time, since it has to end the process.
    times_out: Option<BootMs>,
}

#[derive(Debug)]
enum Doing {
    Script,
    Wait { until: BootMs },
    Cycle { outlet: OutletId, off_ms: u64, stage: Stage },
}

/// How far a power cycle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Until the outlet is confirmed off.
    GoingOff,
    /// Until its time off is over.
    Off { until: BootMs },
    /// Until the outlet is confirmed to be what it should be.
    GoingOn,
}

/// How an attempt ended.
enum End {
    Succeeded(Option<Map<String, Value>>),
    Failed { error: String, for_good: bool },
}

/// Off, because whoever covers it wants it off by now: a cycle's own off does not count.
fn wanted_off(outlet: &Outlet) -> bool {
    outlet.confirmed_off() && outlet.want() != Want::Off(By::Unknown)
}

impl Attempt {
    pub(super) fn wake_at(&self) -> Option<BootMs> {
        let own = match self.doing {
            Doing::Wait { until } | Doing::Cycle { stage: Stage::Off { until }, .. } => Some(until),
            Doing::Script | Doing::Cycle { .. } => None,
        };
        [own, self.times_out].into_iter().flatten().min()
    }
}

impl Node {
    /// Starts attempts while there is room; each is on disk before it runs.
    pub(super) fn start_attempts(&mut self) {
        let forgotten = self.tasks.forget(self.clock.running_ms());
        self.effects.writes.extend(forgotten);
        while self.accepting() {
            let concurrency = self.settings.tasks.concurrency;
            let Some((id, write)) = self.tasks.start_next(self.now.boot, concurrency) else {
                break;
            };
            self.effects.writes.push(write);
            self.start_attempt(&id);
        }
    }

    fn start_attempt(&mut self, id: &TaskId) {
        let Some(task) = self.tasks.get(id) else { return };
        let (cause, attempt) = (task.spec.cause.clone(), task.run.attempts);
        let timeout_ms = task.spec.submit.timeout_ms;
        let doing = match task.spec.submit.work.clone() {
            Work::Script(script) => {
                let run = Act::Run { task: id.clone(), attempt, script, timeout_ms };
                self.effects.acts.push(run);
                Doing::Script
            }
            Work::Wait(wait) => Doing::Wait { until: self.now.boot + wait.wait_ms },
            Work::OutletCycle(OutletCycle { outlet, off_ms }) => {
                Doing::Cycle { outlet, off_ms, stage: Stage::GoingOff }
            }
        };
        let times_out = match doing {
            Doing::Script => None,
            Doing::Wait { .. } | Doing::Cycle { .. } => Some(self.now.boot + timeout_ms),
        };
        let dark = match &doing {
            Doing::Cycle { outlet, .. } => !self.is_powered(outlet),
            Doing::Script | Doing::Wait { .. } => false,
        };
        self.attempts.insert(id.clone(), Attempt { doing, times_out });
        self.tell_task(id, cause, What::TaskStarted);
        if dark {
            let error = "the outlet is not on: there is nothing to power-cycle".to_owned();
            self.attempt_ended(id, End::Failed { error, for_good: true });
        }
    }

    /// Whether an outlet is on, or was found on and nobody wants it off.
    fn is_powered(&self, outlet: &OutletId) -> bool {
        self.outlets.get(outlet).is_some_and(|outlet| match outlet.want() {
            Want::On(..) => true,
            Want::Off(_) => false,
            Want::Nothing => outlet.on() == Some(true),
        })
    }

    /// What a power cycle wants of an outlet that `covered` would be without it.
    pub(super) fn cycle_wants(&self, id: &OutletId, covered: Want) -> Option<Want> {
        let stage = self.attempts.values().find_map(|attempt| match &attempt.doing {
            Doing::Cycle { outlet, stage, .. } if outlet == id => Some(*stage),
            Doing::Cycle { .. } | Doing::Script | Doing::Wait { .. } => None,
        })?;
        match (stage, covered) {
            (Stage::GoingOff | Stage::Off { .. }, _) => Some(Want::Off(By::Unknown)),
            // An outlet that nobody wants either way goes back on, since it was.
            (Stage::GoingOn, Want::Nothing) => Some(Want::On(By::Unknown, None)),
            (Stage::GoingOn, Want::On(..) | Want::Off(_)) => None,
        }
    }

    /// Lets time and outlets act on waits and power cycles.
    pub(super) fn advance_attempts(&mut self) {
        let now = self.now.boot;
        let mut ended = Vec::new();
        for (id, attempt) in &mut self.attempts {
            let done = match &mut attempt.doing {
                Doing::Script => false,
                Doing::Wait { until } => now >= *until,
                Doing::Cycle { outlet, off_ms, stage } => {
                    let Some(outlet) = self.outlets.get(outlet) else { continue };
                    if *stage == Stage::GoingOff && outlet.confirmed_off() {
                        *stage = Stage::Off { until: now + *off_ms };
                    }
                    if matches!(*stage, Stage::Off { until } if now >= until) {
                        *stage = Stage::GoingOn;
                        false
                    } else {
                        *stage == Stage::GoingOn && (outlet.confirmed_on() || wanted_off(outlet))
                    }
                }
            };
            let timed_out = attempt.times_out.is_some_and(|at| now >= at);
            if done {
                ended.push((id.clone(), End::Succeeded(None)));
            } else if timed_out {
                let error = "timed out".to_owned();
                ended.push((id.clone(), End::Failed { error, for_good: false }));
            }
        }
        for (id, end) in ended {
            self.attempt_ended(&id, end);
        }
    }

    /// Takes a script's end in; the end of an attempt that is no longer the current one says nothing.
    pub(super) fn script_ended(&mut self, id: &TaskId, attempt: u32, outcome: ScriptOutcome) {
        let Some(task) = self.tasks.get(id) else { return };
        let Phase::Running { cancelled, .. } = task.run.phase else { return };
        if task.run.attempts != attempt {
            return;
        }
        match outcome {
            ScriptOutcome::Succeeded(result) => self.attempt_ended(id, End::Succeeded(result)),
            ScriptOutcome::Failed { .. } | ScriptOutcome::Stopped if cancelled => {
                self.cancelled(id)
            }
            ScriptOutcome::Failed { error, for_good } => {
                self.attempt_ended(id, End::Failed { error, for_good });
            }
            ScriptOutcome::Stopped => {
                let error = "the attempt was stopped".to_owned();
                self.attempt_ended(id, End::Failed { error, for_good: false });
            }
        }
    }

    /// Cancels a running attempt: a script first has to end.
    pub(super) fn cancel_attempt(&mut self, id: &TaskId, cause: CommandId) {
        let script =
            self.attempts.get(id).is_some_and(|attempt| matches!(attempt.doing, Doing::Script));
        if !script {
            self.attempts.remove(id);
            return self.end_task(id, TaskEnd::Cancelled, Some(cause), What::TaskCancelled);
        }
        let write = self.tasks.change(id, |run| {
            if let Phase::Running { cancelled, .. } = &mut run.phase {
                *cancelled = true;
            }
        });
        self.effects.writes.push(write);
        self.effects.acts.push(Act::Kill { task: id.clone() });
    }

    fn cancelled(&mut self, id: &TaskId) {
        self.attempts.remove(id);
        self.end_task(id, TaskEnd::Cancelled, None, What::TaskCancelled);
    }

    fn attempt_ended(&mut self, id: &TaskId, end: End) {
        self.attempts.remove(id);
        let Some(task) = self.tasks.get(id) else { return };
        let duration_ms = self.duration_ms(task);
        let (may_retry, backoff_ms) = (task.may_retry(), task.backoff_ms());
        match end {
            End::Succeeded(result) => self.end_task(id, TaskEnd::Succeeded, None, |news| {
                What::TaskSucceeded(TaskNews { result, duration_ms, ..news })
            }),
            End::Failed { error, for_good: false } if may_retry => {
                let delay_ms = self.jitter.u64(0..=backoff_ms);
                let ready_at = self.now.boot + delay_ms;
                let next_at_ms = Some(self.now.wall_at(ready_at));
                let cause = task.spec.cause.clone();
                let told = |news| {
                    What::TaskRetrying(TaskNews {
                        error: Some(error),
                        next_at_ms,
                        duration_ms,
                        ..news
                    })
                };
                self.tell_task(id, cause, told);
                let write = self.tasks.change(id, |run| run.phase = Phase::Queued { ready_at });
                self.effects.writes.push(write);
            }
            End::Failed { error, .. } => self.end_task(id, TaskEnd::Failed, None, |news| {
                What::TaskFailed(TaskNews { error: Some(error), duration_ms, ..news })
            }),
        }
    }

    fn duration_ms(&self, task: &Task) -> Option<u64> {
        match task.run.phase {
            Phase::Running { since, .. } => Some(self.now.boot - since),
            Phase::Queued { .. } | Phase::Ended { .. } => None,
        }
    }

    /// Ends a task for good.
    pub(super) fn end_task(
        &mut self,
        id: &TaskId,
        end: TaskEnd,
        cause: Option<CommandId>,
        what: impl FnOnce(TaskNews) -> What,
    ) {
        let Some(task) = self.tasks.get(id) else { return };
        let cause = cause.unwrap_or_else(|| task.spec.cause.clone());
        self.tell_task(id, cause, what);
        let at_running_ms = self.clock.running_ms();
        let write = self.tasks.change(id, |run| run.phase = Phase::Ended { end, at_running_ms });
        self.effects.writes.push(write);
    }

    /// Tells of a task.
    pub(super) fn tell_task(
        &mut self,
        id: &TaskId,
        cause: CommandId,
        what: impl FnOnce(TaskNews) -> What,
    ) {
        let Some(task) = self.tasks.get(id) else { return };
        let attempt = match task.run.phase {
            Phase::Queued { .. } => task.run.attempts + 1,
            Phase::Running { .. } | Phase::Ended { .. } => task.run.attempts.max(1),
        };
        let news = TaskNews {
            task: id.clone(),
            kind: task.spec.submit.work.kind().to_owned(),
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
        let interrupted: Vec<(TaskId, bool)> = self
            .tasks
            .running()
            .map(|task| {
                (
                    task.id().clone(),
                    matches!(task.run.phase, Phase::Running { cancelled: true, .. }),
                )
            })
            .collect();
        for (id, cancelled) in interrupted {
            if cancelled {
                self.cancelled(&id);
            } else {
                let error = "the agent ended in the middle of the attempt".to_owned();
                self.attempt_ended(&id, End::Failed { error, for_good: false });
            }
        }
    }

    /// An attempt that an orderly stop interrupts does not count.
    pub(super) fn interrupt_attempts(&mut self) {
        let running: Vec<TaskId> = self.tasks.running().map(|task| task.id().clone()).collect();
        for id in running {
            let now = self.now.boot;
            if self.tasks.get(&id).is_some_and(|task| {
                matches!(task.run.phase, Phase::Running { cancelled: true, .. })
            }) {
                self.effects.acts.push(Act::Kill { task: id.clone() });
                self.cancelled(&id);
                continue;
            }
            let write = self.tasks.change(&id, |run| {
                run.attempts -= 1;
                run.phase = Phase::Queued { ready_at: now };
            });
            self.effects.writes.push(write);
            if let Some(Attempt { doing: Doing::Script, .. }) = self.attempts.remove(&id) {
                self.effects.acts.push(Act::Kill { task: id });
            }
        }
    }
}
