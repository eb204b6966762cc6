//! The door to the machine itself: its clocks, its timers, systemd and its figures.
//!
//! Nothing here decides anything, and nothing else in the agent reads a clock.

pub mod alarm;
pub mod clock;
pub mod figures;
pub mod journal;
pub mod log;
pub mod systemd;
pub mod ticker;
