//! `edge-agent run`, `edge-agent check` and `edge-agent keeper`.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use edge_agent::host::journal::{self, Journal};
use edge_agent::host::log::{self, Log};
use edge_agent::{agent, chain, config, keeper, status};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Done, Failure, SOFTWARE, UNAVAILABLE, runtime, say};

/// Runs the agent until it is told to stop.
pub(crate) fn run(path: &Path) -> Done {
    let config = config::load(path)?;
    let runtime = runtime()?;
    let log = start_log().map_err(no_log)?;
    let outcome = runtime.block_on(agent::run(config));
    // The store may be waiting for a disk that does not answer; an agent that was told to stop does not.
    runtime.shutdown_background();
    log.finish();
    outcome.map_err(|error| Failure::new(UNAVAILABLE, chain(&error)))?;
    Ok(ExitCode::SUCCESS)
}

/// What to do of a keeper's work.
#[derive(Debug, Args)]
pub(crate) struct KeeperArguments {
    /// Only tells whether there is anything to keep: exit 0 if so, else 1.
    #[arg(long)]
    needed: bool,
}

/// Keeps the leases of GPIO relays until it is told to stop. What is wrong with the rest of the
/// configuration must not keep it from guarding.
pub(crate) fn keeper(path: PathBuf, arguments: &KeeperArguments) -> Done {
    if arguments.needed {
        let needed = keeper::is_needed(&path);
        return Ok(if needed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let runtime = runtime()?;
    let log = start_log().map_err(no_log)?;
    let outcome = runtime.block_on(keeper::run(path));
    log.finish();
    outcome.map_err(|error| Failure::new(UNAVAILABLE, chain(&error)))?;
    Ok(ExitCode::SUCCESS)
}

fn no_log(error: io::Error) -> Failure {
    Failure::new(SOFTWARE, format!("no thread for the log: {error}"))
}

/// Validates the configuration.
pub(crate) fn check(path: &Path) -> Done {
    let config = config::load(path)?;
    for warning in &config.warnings {
        status::complain(&format!("warning: {warning}"));
    }
    Ok(say(&format!("{}: ok", path.display())))
}

/// Logs to the journal where systemd runs it, else to standard error.
fn start_log() -> io::Result<Log> {
    let lines = tracing_subscriber::registry().with(wanted_lines());
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

/// What is worth a line: as `RUST_LOG` says, such as `info,edge_agent::link=debug`.
fn wanted_lines() -> Targets {
    let usual =
        Targets::new().with_default(LevelFilter::INFO).with_target("sled", LevelFilter::WARN);
    let wanted = std::env::var("RUST_LOG").unwrap_or_default();
    if wanted.is_empty() {
        return usual;
    }
    wanted.parse().unwrap_or_else(|error| {
        // No reason not to look after the outlets.
        status::complain(&format!("warning: RUST_LOG is passed over, {error}: {wanted:?}"));
        usual
    })
}
