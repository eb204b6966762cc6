//! edge-agent: cuts the power when a paid session ends, whatever else fails, and runs a control
//! plane's queued tasks without losing or doubling one.
//!
//! [`node`] decides: a state machine without I/O. The other rooms act: each is the one door to
//! a part of the world. [`agent`] is the loop between them.

pub mod agent;
pub mod audit;
pub mod config;
pub mod doctor;
mod drivers;
pub mod endpoint;
pub mod explain;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod host;
pub mod identity;
pub mod keeper;
pub mod link;
pub mod local;
mod metrics;
pub mod node;
pub mod runners;
pub mod span;
pub mod status;
mod step;
pub mod store;
pub mod venue;

/// An error and all that led to it, joined by `: `.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
