//! What can go wrong between an agent and a plug.

use std::time::Duration;

/// How requests are met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Connections are reset as soon as they are made.
    Unreachable,
    /// Takes connections, does nothing and never answers, until the other side gives up.
    Silent,
    /// Obeys at once and answers this late; meanwhile nobody else is served.
    Stall(Duration),
    /// Obeys, and resets the connection in the middle of the answer's body.
    ResetMidBody,
    /// Obeys, and closes the connection without a byte.
    ObeysButReplyLost,
    /// Does nothing, and closes the connection without a byte (`SetOption128 0`).
    EmptyReply,
    /// Does nothing, and answers 200 with an HTML page (`Webserver 1`).
    Html,
    /// Answers as if it had obeyed; nothing happens. Queries are answered truly.
    Lies,
    /// Does nothing, and answers 200 with this body.
    Refuses(String),
    /// Obeys, and sends the answer in chunks and packets of one byte each.
    ChunkedSplits,
    /// Does nothing, and answers as if the password were wrong.
    WrongPassword,
}
