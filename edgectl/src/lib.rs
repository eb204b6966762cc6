//! The control plane's side, for operators, the demo and the whole-system tests.
//!
//! [`ca`] is an authority for small sites, [`control`] talks to nodes through a broker, and
//! [`lab`] brings up the surroundings of a node on one machine: a real broker and plugs over
//! real HTTP; [`wall`] is the clock by which they are dated. Nothing here runs on a node.

pub mod ca;
pub mod control;
pub mod lab;
pub mod wall;
