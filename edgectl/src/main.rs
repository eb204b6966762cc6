//! `edgectl`: arguments in, exit code (sysexits(3)) out.

mod caller;
mod command;
mod demo;
mod errand;
mod instant;
mod interrupt;
mod picture;
mod plain;
mod profile;
mod span;
mod story;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use serde_json::{Value, json};

use crate::caller::Caller;
use crate::command::{Failure, IO_ERROR, Report, USAGE};

/// The control plane's side of edge-agent.
#[derive(Debug, Parser)]
#[command(name = "edgectl", version, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    caller: Caller,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch nodes live: stations with their countdown, outlets, leases, faults, queues.
    Watch(command::watch::Arguments),
    #[command(flatten)]
    Ask(command::Ask),
    /// Where the broker is and who asks.
    #[command(subcommand)]
    Profile(command::profile::Command),
    /// A certificate authority for a small site.
    #[command(subcommand)]
    Ca(command::ca::Command),
    /// A label for a node: its id, and the same as a QR code.
    Label(command::label::Arguments),
    /// See it work: a paid session on one plug, with the agent killed in the middle.
    Demo(command::demo::Arguments),
    /// Print the completions for a shell.
    Completions(command::manual::CompletionsArguments),
    /// Write the manual pages.
    Man(command::manual::ManArguments),
}

fn main() -> ExitCode {
    let Arguments { caller, command } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nowhere left to tell that the terminal is gone.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let done = match command {
        Command::Watch(arguments) => command::watch::run(&caller, &arguments),
        Command::Ask(what) => command::ask(&caller, what),
        Command::Profile(command) => command::profile::run(&caller, command),
        Command::Ca(command) => command::ca::run(command),
        Command::Label(arguments) => command::label::run(&arguments),
        Command::Demo(demo) => command::demo::run(&demo, caller.json),
        Command::Completions(arguments) => {
            Ok(command::manual::completions(Arguments::command(), &arguments))
        }
        Command::Man(arguments) => command::manual::man(Arguments::command(), &arguments),
    };
    match done {
        Ok(report) => tell(report, caller.json),
        Err(failure) => complain(failure, caller.json),
    }
}

fn tell(report: Report, json: bool) -> ExitCode {
    if report.text.is_empty() {
        return ExitCode::SUCCESS;
    }
    let line = if json { report.json.to_string() } else { report.text };
    match writeln!(std::io::stdout(), "{line}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(IO_ERROR),
    }
}

fn complain(failure: Failure, json: bool) -> ExitCode {
    let Failure { code, message, facts } = failure;
    let line = if json {
        let mut object = json!({ "error": message, "exit": code });
        if let Value::Object(facts) = facts {
            facts.into_iter().for_each(|(name, fact)| object[name.as_str()] = fact);
        }
        object.to_string()
    } else {
        format!("edgectl: {message}")
    };
    // Nowhere left to tell that standard error is gone; the code still says it.
    let _ = writeln!(std::io::stderr(), "{line}");
    ExitCode::from(code)
}
