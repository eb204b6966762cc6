//! `edge-agent run` and `edge-agent check`.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use edge_agent::host::journal::{self, Journal};
use edge_agent::host::log::{self, Log};
use edge_agent::{agent, chain, config, status};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{Done, Failure, SOFTWARE, UNAVAILABLE, runtime, say};

/// Runs the agent until it is told to stop.
pub(crate) fn run(path: &Path) -> Done {
    let config = config::load(path)?;
    let runtime = runtime()?;
    let log = start_log()
        .map_err(|error| Failure::new(SOFTWARE, format!("no thread for the log: {error}")))?;
    let outcome = runtime.block_on(agent::run(config));
    // The store may be waiting for a disk that does not answer; an agent that was told to stop does not.
    runtime.shutdown_background();
    log.finish();
    match outcome {
        Ok(()) => Ok(std::process::ExitCode::SUCCESS),
        Err(error) => Err(Failure::new(UNAVAILABLE, chain(&error))),
    }
}

/// Validates the configuration.
pub(crate) fn check(path: &Path) -> Done {
    let config = config::load(path)?;
    for warning in &config.warnings {
        status::complain(&format!("warning: {warning}"));
    }
    Ok(say(&format!("{}: ok", path.display())))
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
