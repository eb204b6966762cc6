//! `edgectl`: arguments in, exit code (sysexits(3)) out.

mod command;
mod demo;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::command::{Failure, USAGE};

/// The control plane's side of edge-agent.
#[derive(Debug, Parser)]
#[command(name = "edgectl", version, arg_required_else_help = true)]
struct Arguments {
    /// Tell results and failures as one JSON object each, for machines.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A certificate authority for a small site.
    #[command(subcommand)]
    Ca(command::ca::Command),
    /// See it work: a paid session on one plug, with the agent killed in the middle.
    Demo(command::demo::Arguments),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nowhere left to tell that the terminal is gone.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let done = match arguments.command {
        Command::Ca(command) => command::ca::run(command),
        Command::Demo(demo) => command::demo::run(&demo, arguments.json),
    };
    match done {
        Ok(report) => {
            let line = if arguments.json { report.json.to_string() } else { report.text };
            match writeln!(std::io::stdout(), "{line}") {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::from(command::IO_ERROR),
            }
        }
        Err(Failure { code, message }) => {
            let line = if arguments.json {
                serde_json::json!({ "error": message, "exit": code }).to_string()
            } else {
                format!("edgectl: {message}")
            };
            // Nowhere left to tell that standard error is gone; the code still says it.
            let _ = writeln!(std::io::stderr(), "{line}");
            ExitCode::from(code)
        }
    }
}
