//! The surroundings of a node on one machine, all on loopback: what the demo and the tests run
//! an agent against.
//!
//! [`broker`] is a real mosquitto with mutual TLS, [`agent`] the real program, and [`site`] all of
//! it together. The plugs are `plug-sim`'s.

pub mod agent;
pub mod broker;
pub mod mosquitto;
pub mod site;
pub use crate::wall;
