//! `edge-agent`: arguments in, exit code (sysexits(3)) out.

mod command;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use edge_agent::config;

use crate::command::{Failure, USAGE};

/// Cuts the power when a paid session ends, whatever else fails, and runs a control plane's tasks.
#[derive(Parser)]
#[command(name = "edge-agent", version)]
struct Arguments {
    #[command(subcommand)]
    command: Verb,
    /// The configuration.
    #[arg(long, global = true, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    config: PathBuf,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs the agent until SIGTERM or SIGINT.
    Run,
    /// Validates the configuration: exit 0, or 78 with the file, line and reason.
    Check,
    /// Keeps the leases of GPIO relays until SIGTERM or SIGINT, and switches each off at its time.
    Keeper(command::run::KeeperArguments),
    /// Shows what the running agent does.
    Status(command::status::Arguments),
    /// Switches an outlet by hand, through the running agent, or reads it.
    Outlet(command::outlet::Arguments),
    /// Tells why an outlet is on or off: what decided, when, and what happens next.
    Explain(command::explain::Arguments),
    /// Tells what is wrong with this node, and the one thing to do about each: exit 0 if nothing is.
    Doctor(command::doctor::Arguments),
    /// Who this node is: its key, made here, and the certificate for it.
    Identity(command::identity::Arguments),
    /// Finds the plugs of the local network, and prints them as configuration ready to paste.
    Discover(command::discover::Arguments),
    /// Prints the completions for a shell.
    Completions(command::manual::CompletionsArguments),
    /// Writes the manual pages.
    Man(command::manual::ManArguments),
}

fn main() -> ExitCode {
    let Arguments { command, config } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nowhere left to tell that the terminal is gone. Help and version are no mistakes.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let done = match command {
        Verb::Run => command::run::run(&config),
        Verb::Check => command::run::check(&config),
        Verb::Keeper(arguments) => command::run::keeper(config, &arguments),
        Verb::Status(arguments) => command::status::run(&config, &arguments),
        Verb::Outlet(arguments) => command::outlet::run(&config, arguments),
        Verb::Explain(arguments) => command::explain::run(&config, arguments),
        Verb::Doctor(arguments) => command::doctor::run(&config, &arguments),
        Verb::Identity(arguments) => command::identity::run(arguments),
        Verb::Discover(arguments) => command::discover::run(&config, &arguments),
        Verb::Completions(arguments) => {
            command::manual::completions(Arguments::command(), &arguments)
        }
        Verb::Man(arguments) => command::manual::man(Arguments::command(), &arguments),
    };
    done.unwrap_or_else(Failure::told)
}
