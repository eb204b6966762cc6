//! What runs the tasks of the control plane, one file a kind.
//!
//! A runner makes one attempt and tells how it went. When to try, how often and what is remembered is
//! `node`'s to decide; a runner keeps nothing, and it never outlives the attempt it was asked for.
//! The other kinds need none: `outlet.cycle` switches through the outlet's driver, and `wait` is a timer.

pub mod script;
