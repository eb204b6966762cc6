//! `edgectl report` and `edgectl resend`: what a node says of itself, and what it said.

use std::time::Duration;

use clap::Args;
use edge_protocol::command::{Empty, EventResend, Request};

use super::{Failure, Report, USAGE};
use crate::caller::Caller;
use crate::errand::goal::node::{ReportGoal, ResendGoal};
use crate::errand::{PATIENCE, Plan, Sending};

/// How to ask for a report.
#[derive(Debug, Args)]
pub(crate) struct ReportArguments {
    #[command(flatten)]
    sending: Sending,
}

/// Which events are wanted again.
#[derive(Debug, Args)]
pub(crate) struct ResendArguments {
    /// The first, by its seq.
    from: u64,
    /// The last, by its seq; the first alone where absent.
    to: Option<u64>,
    #[command(flatten)]
    sending: Sending,
}

/// What the node is made of.
///
/// # Errors
/// [`Failure`].
pub(crate) fn report(caller: &Caller, arguments: &ReportArguments) -> Result<Report, Failure> {
    crate::errand::run(caller, &arguments.sending, |_| {
        let request = Request::NodeReport(Empty {});
        Ok(Plan { request, goal: Box::new(ReportGoal), patience: PATIENCE, guess: false })
    })
}

/// Past events, again.
///
/// # Errors
/// [`Failure`].
pub(crate) fn resend(caller: &Caller, arguments: &ResendArguments) -> Result<Report, Failure> {
    /// A node sends many times more.
    const EVENTS_A_SECOND: u64 = 20;
    let from_seq = arguments.from;
    let to_seq = arguments.to.unwrap_or(from_seq);
    if from_seq == 0 || to_seq < from_seq {
        let text = format!("events are numbered from 1 on: {from_seq} to {to_seq} is no range");
        return Err(Failure::new(USAGE, text));
    }
    crate::errand::run(caller, &arguments.sending, |_| {
        let request = Request::EventResend(EventResend { from_seq, to_seq });
        let goal = Box::new(ResendGoal::new(from_seq, to_seq));
        let patience = PATIENCE + Duration::from_secs((to_seq - from_seq) / EVENTS_A_SECOND);
        Ok(Plan { request, goal, patience, guess: false })
    })
}
