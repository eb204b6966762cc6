//! How a connection ended, and what of that decides when the next one is tried.

use std::time::Duration;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// By an order, or because nobody is left to tell.
    Stopped,
    /// By us: the broker sent more than it may, and brings again what was left with it.
    Renewed,
    /// Otherwise.
    Lost(Lost),
}

/// A connection that was lost, or never made.
#[derive(Debug)]
pub(super) struct Lost {
    /// What happened, for a person.
    pub(super) reason: String,
    /// Another client took over the session.
    pub(super) session_taken_over: bool,
    /// How long it was up; zero where it never was.
    pub(super) worked: Duration,
}

impl Lost {
    /// What is told where the link itself hung up, to be brought what it left out.
    pub(super) fn renewed() -> Self {
        let reason = "the broker sent more commands than it may; it is asked for the rest";
        Self { reason: reason.to_owned(), session_taken_over: false, worked: Duration::ZERO }
    }
}
