//! Stories of a site, each told from outside: one file a chapter.

mod broker_away;
mod identities;
mod kill_loop;
mod killed;
mod plug_faults;
mod session;
