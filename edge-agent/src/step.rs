//! Named points on the agent's way: how far it has got, told at the level `trace`.
//!
//! `RUST_LOG=edge_agent::step=trace` shows each of them as it is passed, and so where a hung agent
//! hangs. They are also where tests kill the agent. A point changes nothing and returns nothing;
//! while nobody listens it costs one comparison.

/// Tells that the agent has got to the point of this name: what was done, then how it went, such
/// as `"batch.synced"`. Fields may follow, as `tracing` takes them.
macro_rules! step {
    ($name:literal $(, $($fields:tt)+)?) => {
        tracing::trace!(name: $name, target: "edge_agent::step", $($($fields)+,)? $name)
    };
}

pub(crate) use step;
