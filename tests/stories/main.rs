//! Stories of a site, each told from outside: one file a chapter.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a story waits for one kind of event and passes over all others"
)]

mod alerts;
mod blackout;
mod booking;
mod broker_away;
mod browser;
mod bundle;
mod command_line;
mod commands;
mod doctor;
mod holds;
mod identities;
mod installed;
mod keeper;
mod keeper_dies;
mod kill_loop;
mod killed;
mod leases;
mod local;
mod metering;
mod page;
mod plug_faults;
mod plug_hands;
mod plugs_by_mqtt;
mod protocol;
mod provisioned;
mod queue;
mod refusals;
mod repeats;
mod schedules;
mod scripts;
mod session;
mod stations;
mod supervised;
mod topics;
mod trips;
mod unsynced;
