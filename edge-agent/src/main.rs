//! `edge-agent`: arguments in, exit code out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use edge_agent::{agent, chain, config, local, log, status};

/// sysexits(3).
const UNAVAILABLE: u8 = 69;
const SOFTWARE: u8 = 70;
const CONFIG: u8 = 78;

/// Cuts the power when a paid session ends, whatever else fails, and runs a control plane's tasks.
#[derive(Parser)]
#[command(version)]
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
    /// Shows what the running agent does.
    Status {
        /// One JSON object, for machines.
        #[arg(long)]
        json: bool,
    },
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            // Help and version are no mistakes; sysexits(3) has 64 for the rest.
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    let config = match config::load(&arguments.config) {
        Ok(config) => config,
        Err(error) => return fail(CONFIG, &error.to_string()),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(SOFTWARE, &format!("no runtime: {error}")),
    };
    match arguments.command {
        Verb::Check => {
            for warning in &config.warnings {
                status::complain(&format!("warning: {warning}"));
            }
            status::say(&format!("{}: ok", arguments.config.display()));
            ExitCode::SUCCESS
        }
        Verb::Run => {
            log::start();
            match runtime.block_on(agent::run(config)) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(UNAVAILABLE, &chain(&error)),
            }
        }
        Verb::Status { json } => match runtime.block_on(local::ask(&config.socket)) {
            Ok(report) => {
                status::say(&if json { status::json(&report) } else { status::text(&report) });
                ExitCode::SUCCESS
            }
            Err(error) => fail(UNAVAILABLE, &chain(&error)),
        },
    }
}

fn fail(code: u8, message: &str) -> ExitCode {
    status::complain(message);
    ExitCode::from(code)
}
