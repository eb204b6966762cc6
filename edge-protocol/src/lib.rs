//! The contract between a control plane and its nodes, version 1, as types.
//!
//! Both sides of the wire are here: a [`command::Command`] goes to a node, an [`event::Event`]
//! comes from it, and [`presence`] is what a node says of itself. [`codec`] puts them into
//! bytes, as JSON or CBOR, behind the [`limits`]. [`span`] is how both sides let people type a time.
//! No I/O and no clock.

pub mod codec;
pub mod command;
pub mod event;
mod field;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod id;
pub mod limits;
pub mod presence;
mod refusal;
pub mod span;
pub mod topic;
mod tree;
