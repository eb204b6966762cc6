//! The Shelly driver against a scripted plug of either generation.

mod accuracy;
mod audit;
mod leases;
mod login;
mod meters;
mod replies;
mod simulated;
// Said so that clippy takes them for test code, where `unwrap` is allowed.
#[cfg(test)]
mod scripted;
#[cfg(test)]
mod wire;
