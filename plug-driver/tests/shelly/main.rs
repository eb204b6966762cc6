//! The Shelly driver against a scripted plug of either generation, and against a simulated one.

// Said so that clippy takes all of it for test code, where `unwrap` is allowed.
#![cfg(test)]

mod accuracy;
mod audit;
mod leases;
mod login;
mod meters;
mod replies;
mod scripted;
mod simulated;
mod wire;
