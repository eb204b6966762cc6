//! The surroundings of a node on one machine, all on loopback: what the demo and the tests run
//! an agent against.
//!
//! [`broker`] is a real mosquitto with mutual TLS, [`plug`] a plug that keeps its own timers
//! and misbehaves on demand, [`agent`] the real program, and [`site`] all of it together.

pub mod agent;
pub mod broker;
pub mod mosquitto;
pub mod plug;
pub mod site;
pub use crate::wall;
