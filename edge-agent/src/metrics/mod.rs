//! What `/metrics` tells: counts of what passed through the loop, and their text for Prometheus.
//!
//! The loop shows each event, order, answer, batch and piece of news to its [`Meter`], which counts
//! in plain integers: no lock, no allocation in steady state, no registry. It must never decide
//! anything, and nothing that decides may read it. `text` writes a copy down, off the loop's thread.

mod families;
mod histogram;
mod host;
mod meter;
#[cfg(test)]
mod tests;
mod text;

pub(crate) use families::{Reading, text};
pub(crate) use meter::Meter;
