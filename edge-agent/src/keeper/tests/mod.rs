//! A keeper in virtual time.

mod restarts;
mod rights;
mod world;
