//! edge-agent: cuts the power when a paid session ends, whatever else fails, and runs a control
//! plane's queued tasks without losing or doubling one.
//!
//! [`node`] decides: a state machine without I/O. The other rooms act: each is the one door to
//! a part of the world. `agent` is the loop between them.

pub mod config;
pub mod host;
pub mod link;
pub mod node;
pub mod runners;
pub mod store;
