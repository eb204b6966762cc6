//! `edgectl task`: queued work.

use std::time::Duration;

use clap::{Args, Subcommand, value_parser};
use edge_protocol::command::{Request, TaskRef, TaskSubmit, Work};
use edge_protocol::id::TaskId;
use serde_json::{Map, Value};

use super::{Failure, Report, USAGE};
use crate::caller::Caller;
use crate::errand::goal::Scene;
use crate::errand::goal::task::TaskGoal;
use crate::errand::{PATIENCE, Plan, Sending, ulid};
use crate::instant::Instant;
use crate::span::Span;

/// The contract's own defaults.
const MAX_RETRIES: u32 = 3;
const TIMEOUT_MS: u64 = 60_000;
const BACKOFF_MS: u64 = 1_000;
const BACKOFF_MAX_MS: u64 = 300_000;
const PRIORITY: u8 = 5;

/// What to do with which task.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) what: What,
    #[command(flatten)]
    sending: Sending,
}

/// What to do with a task.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum What {
    /// Queue a task, and wait for its end.
    Submit(Submit),
    /// Cancel a queued or running task.
    Cancel {
        /// Which task.
        task: TaskId,
    },
    /// Run a failed task again, and wait for its end.
    Retry {
        /// Which task.
        task: TaskId,
    },
}

/// A task to queue.
#[derive(Debug, Clone, Args)]
pub(crate) struct Submit {
    /// What kind: script, outlet.cycle or wait.
    kind: String,
    /// What exactly, a JSON object: '{"name":"update-menu","args":{}}'.
    #[arg(value_parser = payload)]
    payload: Map<String, Value>,
    /// The task's id; a new one is made where none is given.
    #[arg(long, value_name = "ID")]
    task: Option<TaskId>,
    /// Not before then: 18:00, or a date and time.
    #[arg(long, value_name = "INSTANT")]
    not_before: Option<Instant>,
    /// Retries after the first attempt.
    #[arg(long, value_name = "COUNT", default_value_t = MAX_RETRIES)]
    max_retries: u32,
    /// The longest that one attempt may take; 1 minute where absent.
    #[arg(long, value_name = "SPAN")]
    attempt_timeout: Option<Span>,
    /// The bound of the first retry's delay, doubling with each; 1s where absent.
    #[arg(long, value_name = "SPAN")]
    backoff: Option<Span>,
    /// The bound of every retry's delay; 5m where absent.
    #[arg(long, value_name = "SPAN")]
    backoff_max: Option<Span>,
    /// 9 first, 0 last.
    #[arg(long, value_name = "0-9", default_value_t = PRIORITY, value_parser = value_parser!(u8).range(0..=9))]
    priority: u8,
}

fn payload(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("it is no JSON object: {error}"))
}

/// Does it.
///
/// # Errors
/// [`Failure`].
pub(crate) fn run(caller: &Caller, arguments: Arguments) -> Result<Report, Failure> {
    let Arguments { what, sending } = arguments;
    crate::errand::run(caller, &sending, |scene| plan(what.clone(), scene))
}

/// What to ask, as the node is now.
pub(crate) fn plan(what: What, scene: &Scene<'_>) -> Result<Plan, Failure> {
    match what {
        What::Submit(submit) => plan_submit(submit, scene),
        What::Cancel { task } => Ok(Plan {
            request: Request::TaskCancel(TaskRef { task: task.clone() }),
            goal: Box::new(TaskGoal::cancelled(task)),
            patience: PATIENCE,
            guess: false,
        }),
        What::Retry { task } => {
            let what = format!("task {task}");
            let goal = Box::new(TaskGoal::succeeds(task.clone(), what, TIMEOUT_MS));
            let patience = PATIENCE + Duration::from_millis(TIMEOUT_MS);
            Ok(Plan { request: Request::TaskRetry(TaskRef { task }), goal, patience, guess: false })
        }
    }
}

/// A task with the contract's defaults.
pub(super) fn submit(task: TaskId, work: Work) -> TaskSubmit {
    TaskSubmit {
        task,
        work,
        not_before_ms: None,
        max_retries: MAX_RETRIES,
        timeout_ms: TIMEOUT_MS,
        backoff_ms: BACKOFF_MS,
        backoff_max_ms: BACKOFF_MAX_MS,
        priority: PRIORITY,
    }
}

fn plan_submit(asked: Submit, scene: &Scene<'_>) -> Result<Plan, Failure> {
    let usage = |error: String| Failure::new(USAGE, error);
    let new = || format!("t-{}", ulid(scene.now_ms)).parse().expect("it is a legal id");
    let task: TaskId = asked.task.unwrap_or_else(new);
    let work = Work::read(&asked.kind, asked.payload).map_err(|error| usage(error.to_string()))?;
    let defaults = submit(task.clone(), work);
    let not_before_ms = asked.not_before.map(|at| at.at_ms(scene.now_ms)).transpose();
    let backoff_ms = asked.backoff.map_or(defaults.backoff_ms, Span::ms);
    let submit = TaskSubmit {
        not_before_ms: not_before_ms.map_err(usage)?,
        max_retries: asked.max_retries,
        timeout_ms: asked.attempt_timeout.map_or(defaults.timeout_ms, Span::ms),
        backoff_ms,
        // A longer first delay means a longer last one.
        backoff_max_ms: asked.backoff_max.map_or(defaults.backoff_max_ms.max(backoff_ms), Span::ms),
        priority: asked.priority,
        ..defaults
    };
    let attempt_ms = submit.timeout_ms;
    let goal = Box::new(TaskGoal::succeeds(task.clone(), format!("task {task}"), attempt_ms));
    let waits_ms = submit.not_before_ms.map_or(0, |at| at.saturating_sub(scene.now_ms));
    let patience = PATIENCE + Duration::from_millis(waits_ms.saturating_add(attempt_ms));
    Ok(Plan { request: Request::TaskSubmit(submit), goal, patience, guess: false })
}
