//! Stories of a site, each told from outside: one file a chapter.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a story waits for one kind of event and passes over all others"
)]

mod broker_away;
mod command_line;
mod identities;
mod kill_loop;
mod killed;
mod plug_faults;
mod plug_hands;
mod session;
mod supervised;
