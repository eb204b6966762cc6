//! Stories of a site, each told from outside: one file a chapter.

mod blackout;
mod booking;
mod broker_away;
mod commands;
mod holds;
mod identities;
mod kill_loop;
mod killed;
mod leases;
mod plug_faults;
mod queue;
mod refusals;
mod repeats;
mod scripts;
mod session;
mod stations;
mod topics;
mod unsynced;
