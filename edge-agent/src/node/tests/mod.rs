//! The contract, sentence by sentence: a chapter a file, each against a whole node in a virtual
//! [`world::World`].

mod first;
mod plug;
mod world;
