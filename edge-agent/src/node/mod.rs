//! Decides and does nothing else.

pub mod time;
