//! `edge-agent`: arguments in, exit code out.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use edge_agent::host::journal::{self, Journal};
use edge_agent::host::log::{self, Log};
use edge_agent::{agent, chain, config, keeper, local, status};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

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
    /// Keeps the leases of GPIO relays until SIGTERM or SIGINT, and switches each off at its time.
    Keeper {
        /// Only tells whether there is anything to keep: exit 0 if so, else 1.
        #[arg(long)]
        needed: bool,
    },
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
    if let Verb::Keeper { needed } = arguments.command {
        // What is wrong with the rest of the configuration must not keep it from guarding.
        return keep(arguments.config, needed);
    }
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
            let log = match start_log() {
                Ok(log) => log,
                Err(error) => return fail(SOFTWARE, &format!("no thread for the log: {error}")),
            };
            let outcome = runtime.block_on(agent::run(config));
            // The store may be waiting for a disk that does not answer; an agent that was told to
            // stop does not.
            runtime.shutdown_background();
            log.finish();
            match outcome {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(UNAVAILABLE, &chain(&error)),
            }
        }
        Verb::Keeper { .. } => unreachable!("it was run above"),
        Verb::Status { json } => match runtime.block_on(local::ask(&config.socket)) {
            Ok(report) => {
                status::say(&if json { status::json(&report) } else { status::text(&report) });
                ExitCode::SUCCESS
            }
            Err(error) => fail(UNAVAILABLE, &chain(&error)),
        },
    }
}

fn keep(config: PathBuf, only_whether: bool) -> ExitCode {
    if only_whether {
        return if keeper::is_needed(&config) { ExitCode::SUCCESS } else { ExitCode::from(1) };
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (runtime, log) = match (runtime, start_log()) {
        (Ok(runtime), Ok(log)) => (runtime, log),
        (Err(error), _) => return fail(SOFTWARE, &format!("no runtime: {error}")),
        (_, Err(error)) => return fail(SOFTWARE, &format!("no thread for the log: {error}")),
    };
    let outcome = runtime.block_on(keeper::run(config));
    log.finish();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(UNAVAILABLE, &chain(&error)),
    }
}

/// Logs to the journal where systemd runs it, else to standard error; `RUST_LOG` chooses how much.
fn start_log() -> io::Result<Log> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sled=warn"));
    let lines = tracing_subscriber::registry().with(filter);
    if let Some(socket) = journal::behind_stderr() {
        let log = Log::start(socket, journal::left_out)?;
        lines.with(Journal::new(log.clone())).init();
        return Ok(log);
    }
    let log = Log::start(io::stderr(), log::left_out)?;
    let writer = log.clone();
    let text = tracing_subscriber::fmt::layer().with_writer(move || writer.clone());
    // In a file, escape codes would only hide words from a search.
    lines.with(text.with_ansi(io::stderr().is_terminal())).init();
    Ok(log)
}

fn fail(code: u8, message: &str) -> ExitCode {
    status::complain(message);
    ExitCode::from(code)
}
