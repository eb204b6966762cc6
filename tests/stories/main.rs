//! Stories of a site, each told from outside: one file a chapter.

mod blackout;
mod booking;
mod commands;
mod holds;
mod leases;
mod queue;
mod refusals;
mod repeats;
mod scripts;
mod session;
mod stations;
mod topics;
mod unsynced;
