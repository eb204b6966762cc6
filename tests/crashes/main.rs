//! The agent dies: at each of its named points, and at random under load. Whatever was accepted
//! happens, once; whatever was acknowledged is remembered; what nothing covers goes off.
//!
//! `EDGE_AGENT_LONG=1` asks for the long counts. A failure names its seed; `EDGE_AGENT_CRASH_SEED=n`
//! takes that one.

mod damages;
mod fragile;
mod judge;
mod points;
mod rig;
mod scenarios;

/// The seed asked for, or any.
fn seed() -> u64 {
    let asked = std::env::var("EDGE_AGENT_CRASH_SEED").ok();
    asked.map_or_else(|| fastrand::u64(..), |seed| seed.parse().expect("a number"))
}
