//! The commands: what each takes, does and tells.

pub(crate) mod ca;
pub(crate) mod demo;
pub(crate) mod label;
pub(crate) mod manual;
pub(crate) mod node;
pub(crate) mod outlet;
pub(crate) mod profile;
pub(crate) mod schedule;
pub(crate) mod session;
pub(crate) mod task;
pub(crate) mod watch;

use clap::{Parser, Subcommand};
use edge_protocol::command::Request;
use serde_json::Value;

use crate::caller::Caller;
use crate::errand::goal::Scene;

/// The arguments can't be understood (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// An input is not what it should be (`EX_DATAERR`).
pub(crate) const BAD_DATA: u8 = 65;
/// The node rejects the command (`EX_DATAERR`, too).
pub(crate) const REJECTED: u8 = 65;
/// An input is not there or can't be read (`EX_NOINPUT`).
pub(crate) const NO_INPUT: u8 = 66;
/// No such node (`EX_NOHOST`).
pub(crate) const UNKNOWN_NODE: u8 = 68;
/// Something that is needed can't be had, the broker above all (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// Something inside failed (`EX_SOFTWARE`).
pub(crate) const SOFTWARE: u8 = 70;
/// An output can't be made (`EX_CANTCREAT`).
pub(crate) const CANNOT_CREATE: u8 = 73;
/// Writing failed (`EX_IOERR`).
pub(crate) const IO_ERROR: u8 = 74;
/// Not in time; it may work later (`EX_TEMPFAIL`).
pub(crate) const TIMED_OUT: u8 = 75;
/// The node accepted the command, and then said that it failed (`EX_PROTOCOL`).
pub(crate) const FAILED: u8 = 76;
/// One side does not take the other for who it says it is (`EX_NOPERM`).
pub(crate) const NO_PERMISSION: u8 = 77;
/// The profile can't be used (`EX_CONFIG`).
pub(crate) const CONFIG: u8 = 78;

/// What a command tells when it is done.
#[derive(Debug)]
pub(crate) struct Report {
    /// For a person; empty where there is nothing more to tell.
    pub(crate) text: String,
    /// For a machine.
    pub(crate) json: Value,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code, out of sysexits(3).
    pub(crate) code: u8,
    /// What is wrong and what to do.
    pub(crate) message: String,
    /// What a machine may want to know beside it: an object, or null.
    pub(crate) facts: Value,
}

impl Failure {
    /// What is wrong and what to do.
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), facts: Value::Null }
    }

    /// The same, with more for a machine.
    pub(crate) fn with(self, facts: Value) -> Self {
        Self { facts, ..self }
    }
}

/// What a control plane asks of a node.
#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// Paid time on a station: start, extend, pause, resume, transfer, end.
    Session(session::Arguments),
    /// Switch by hand: on, off, release, cycle.
    Outlet(outlet::Arguments),
    /// Queued work: submit, cancel, retry.
    Task(task::Arguments),
    /// What a node runs by itself, again and again: put, remove.
    Schedule(schedule::Arguments),
    /// What a node is made of: version, hardware, certificate, outlets.
    Report(node::ReportArguments),
    /// Past events of a node, again.
    Resend(node::ResendArguments),
}

/// Asks it.
///
/// # Errors
/// [`Failure`].
pub(crate) fn ask(caller: &Caller, what: Ask) -> Result<Report, Failure> {
    match what {
        Ask::Session(arguments) => session::run(caller, arguments),
        Ask::Outlet(arguments) => outlet::run(caller, arguments),
        Ask::Task(arguments) => task::run(caller, arguments),
        Ask::Schedule(arguments) => schedule::run(caller, arguments),
        Ask::Report(arguments) => node::report(caller, &arguments),
        Ask::Resend(arguments) => node::resend(caller, &arguments),
    }
}

/// What a node can run by itself.
#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_help_flag = true)]
struct Scheduled {
    #[command(subcommand)]
    what: ScheduledWhat,
}

#[derive(Debug, Subcommand)]
enum ScheduledWhat {
    #[command(subcommand)]
    Session(session::What),
    #[command(subcommand)]
    Outlet(outlet::What),
    #[command(subcommand)]
    Task(task::What),
    Report,
}

/// The command that some words ask for, as they would follow `edgectl`.
///
/// # Errors
/// [`USAGE`]: they are none that a node can run by itself.
pub(crate) fn read(words: &[String], scene: &Scene<'_>) -> Result<Request, Failure> {
    let scheduled = Scheduled::try_parse_from(words).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        let text = first.strip_prefix("error: ").unwrap_or(first);
        Failure::new(USAGE, format!("the command after `--`: {text}"))
    })?;
    let plan = match scheduled.what {
        ScheduledWhat::Session(what) => session::plan(what, scene)?,
        ScheduledWhat::Outlet(what) => outlet::plan(what, scene)?,
        ScheduledWhat::Task(what) => task::plan(what, scene)?,
        ScheduledWhat::Report => return Ok(Request::NodeReport(edge_protocol::command::Empty {})),
    };
    Ok(plan.request)
}
