//! The contract, sentence by sentence: a chapter a file, each against a whole node in a virtual
//! [`world::World`].

mod booking;
mod chance;
mod clocks;
mod ending;
mod faults;
mod first;
mod holds;
mod leases;
mod local;
mod metering;
mod pacing;
mod pausing;
pub(super) mod plug;
mod reboots;
mod recovery;
mod restarts;
mod schedule_chance;
mod schedule_clocks;
mod schedules;
mod starting;
mod table;
mod transfers;
mod trips;
mod warnings;
pub(super) mod world;

/// How many cases a test draws: ten times as many where the long versions are asked for.
pub(super) fn cases(short: u32) -> u32 {
    let long = std::env::var_os("EDGE_AGENT_LONG").is_some_and(|value| !value.is_empty());
    if long { short * 10 } else { short }
}
