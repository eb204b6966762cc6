//! `edgectl outlet`: switching by hand.

use std::time::Duration;

use clap::{Args, Subcommand};
use edge_protocol::command::{OutletCycle, OutletRef, OutletSet, Request, Work};
use edge_protocol::id::{OutletId, TaskId};

use super::task::submit;
use super::{Failure, Report, USAGE};
use crate::caller::Caller;
use crate::errand::goal::Scene;
use crate::errand::goal::outlet::{HoldGoal, ReleaseGoal};
use crate::errand::goal::task::TaskGoal;
use crate::errand::{PATIENCE, Plan, Sending, ulid};
use crate::instant::Instant;
use crate::span::{Span, said};

/// How long a power cycle may take beside its time off: the plug is asked, and asked again.
const CYCLE_MS: u64 = 60_000;

/// What to do with which outlet.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) what: What,
    #[command(flatten)]
    sending: Sending,
}

/// What to do with an outlet.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum What {
    /// Hold an outlet on for a time, at most 24h.
    On {
        /// Which outlet.
        outlet: OutletId,
        #[command(flatten)]
        end: NeededEnd,
        /// Even while a session owns the outlet.
        #[arg(long)]
        force: bool,
    },
    /// Hold an outlet off: for a time, or until it is released.
    Off {
        /// Which outlet.
        outlet: OutletId,
        #[command(flatten)]
        end: HoldEnd,
        /// Even while a session owns the outlet.
        #[arg(long)]
        force: bool,
    },
    /// End a hold: the outlet returns to what its session or its rest wants.
    Release {
        /// Which outlet.
        outlet: OutletId,
    },
    /// Power-cycle what hangs on an outlet. This is a task.
    Cycle {
        /// Which outlet.
        outlet: OutletId,
        /// How long it stays off.
        #[arg(long, value_name = "SPAN", default_value = "5s")]
        off_for: Span,
    },
}

/// When a hold ends.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NeededEnd {
    /// For how long: 30m.
    #[arg(long = "for", value_name = "SPAN")]
    length: Option<Span>,
    /// Until when: 18:00, or a date and time.
    #[arg(long, value_name = "INSTANT")]
    until: Option<Instant>,
}

/// When a hold ends, where it does.
#[derive(Debug, Clone, Args)]
#[group(multiple = false)]
pub(crate) struct HoldEnd {
    /// For how long: 30m.
    #[arg(long = "for", value_name = "SPAN")]
    length: Option<Span>,
    /// Until when: 18:00, or a date and time.
    #[arg(long, value_name = "INSTANT")]
    until: Option<Instant>,
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
    let (outlet, on, end, force) = match what {
        What::On { outlet, end: NeededEnd { length, until }, force } => {
            (outlet, true, HoldEnd { length, until }, force)
        }
        What::Off { outlet, end, force } => (outlet, false, end, force),
        What::Release { outlet } => return Ok(plan_release(outlet, scene)),
        What::Cycle { outlet, off_for } => return Ok(plan_cycle(outlet, off_for, scene)),
    };
    let for_ms = match (end.length, end.until) {
        (Some(length), _) => Some(length.ms()),
        (None, Some(until)) => {
            let at = until.at_ms(scene.now_ms).map_err(|error| Failure::new(USAGE, error))?;
            Some(at - scene.now_ms)
        }
        (None, None) => None,
    };
    let request = Request::OutletSet(OutletSet { outlet: outlet.clone(), on, for_ms, force });
    Ok(Plan { request, goal: Box::new(HoldGoal { outlet, on }), patience: PATIENCE, guess: false })
}

fn plan_release(outlet: OutletId, scene: &Scene<'_>) -> Plan {
    let state = scene.picture.outlet(&outlet);
    let held = state.and_then(|state| state.hold.as_ref()).map(|hold| hold.on);
    let request = Request::OutletRelease(OutletRef { outlet: outlet.clone() });
    Plan { request, goal: Box::new(ReleaseGoal { outlet, held }), patience: PATIENCE, guess: true }
}

fn plan_cycle(outlet: OutletId, off_for: Span, scene: &Scene<'_>) -> Plan {
    let task: TaskId = format!("cycle-{}", ulid(scene.now_ms)).parse().expect("it is a legal id");
    let what = format!("the power cycle of {outlet} ({} off)", said(off_for.ms()));
    let attempt_ms = off_for.ms().saturating_add(CYCLE_MS);
    let work = Work::OutletCycle(OutletCycle { outlet, off_ms: off_for.ms() });
    let mut submit = submit(task.clone(), work);
    // Out of the contract's range the node says so.
    submit.timeout_ms = attempt_ms;
    // What an operator watches is not tried again behind their back.
    submit.max_retries = 0;
    let goal = Box::new(TaskGoal::succeeds(task, what, attempt_ms));
    let patience = PATIENCE + Duration::from_millis(attempt_ms);
    Plan { request: Request::TaskSubmit(submit), goal, patience, guess: false }
}
