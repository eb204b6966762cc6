//! `edge-agent explain`: why an outlet is on or off.

use std::path::Path;

use clap::Args;
use edge_agent::explain;
use edge_agent::local::{Ask, ask};
use edge_agent::node::explain::Explanation;
use edge_protocol::id::OutletId;

use super::{Done, Failure, runtime, say, socket};

/// Which outlet, and how to tell.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Which outlet.
    outlet: OutletId,
    /// One JSON object, for machines.
    #[arg(long)]
    json: bool,
}

/// Asks the running agent and tells.
pub(crate) fn run(config: &Path, arguments: Arguments) -> Done {
    let Arguments { outlet, json } = arguments;
    let asked = || -> Result<Explanation, Failure> {
        let socket = socket(config)?;
        Ok(runtime()?.block_on(ask(&socket, &Ask::Explain { outlet }))?)
    };
    let explanation = asked().map_err(|failure| failure.for_machine(json))?;
    Ok(say(&if json { explain::json(&explanation) } else { explain::text(&explanation) }))
}
