//! `edge-agent status`: what the running agent does.

use std::path::Path;

use clap::Args;
use edge_agent::local::{Ask, Report, ask};
use edge_agent::status;

use super::{Done, Failure, runtime, say, socket};

/// How to show it.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// One JSON object, for machines.
    #[arg(long)]
    json: bool,
}

/// Asks the agent and shows what it says.
pub(crate) fn run(config: &Path, arguments: &Arguments) -> Done {
    let json = arguments.json;
    let shown = || -> Result<Report, Failure> {
        let socket = socket(config)?;
        Ok(runtime()?.block_on(ask(&socket, &Ask::Status {}))?)
    };
    let report = shown().map_err(|failure| failure.for_machine(json))?;
    Ok(say(&if json { status::json(&report) } else { status::text(&report) }))
}
