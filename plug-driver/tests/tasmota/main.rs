//! The Tasmota driver against a scripted plug.

mod leases;
mod replies;
// Said so that clippy takes it for test code, where `unwrap` is allowed.
#[cfg(test)]
mod scripted;
mod still_time;
