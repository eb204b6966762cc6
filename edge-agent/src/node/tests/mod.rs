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
mod pausing;
mod plug;
mod reboots;
mod recovery;
mod starting;
mod table;
mod transfers;
mod warnings;
mod world;
