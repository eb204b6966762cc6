//! The promises under strain, in real time: an agent that hangs, parts that hang, a flood of
//! commands, a disk that is full, days of work in minutes.
//!
//! Each has a short version for every day and a long one (`EDGE_AGENT_LONG`), and prints figures.
//! `docs/reliability/load.md` tells what they show.

mod census;
mod flood;
mod full_disk;
mod hang;
mod machine;
mod outings;
mod soak;
mod stalled;
