//! `edgectl watch`: what nodes say, as it happens.

use clap::Args;
use edge_protocol::id::NodeId;

use super::{Failure, Report};
use crate::caller::Caller;
use crate::watch;

/// Whom to watch.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// These nodes; all where none is named.
    nodes: Vec<NodeId>,
    /// Show what is so now, and end.
    #[arg(long)]
    once: bool,
}

/// Watches until it is interrupted or nobody reads any more.
///
/// # Errors
/// [`Failure`].
pub(crate) fn run(caller: &Caller, arguments: &Arguments) -> Result<Report, Failure> {
    let profile = caller.profile()?;
    watch::run(caller, &profile, &arguments.nodes, arguments.once)
}
