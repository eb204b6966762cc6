//! News of outlets.

use serde::{Deserialize, Serialize};

use crate::id::{OutletId, SessionId};

/// How sure a node is of what an outlet does, from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The plug said yes.
    Accepted,
    /// Asked again, it said the same.
    ReadBack,
    /// And its own timer was read back.
    LeaseConfirmed,
    /// And its meter agrees.
    WattsConfirmed,
}

/// Who switched an outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// A session.
    Session,
    /// A hold from the control plane.
    Hold,
    /// What the outlet does when nothing covers it.
    Rest,
    /// A thumb.
    Button,
    /// The plug's own timer.
    Lease,
    /// A field tech, through the running agent.
    Local,
    /// Nobody knows.
    Unknown,
}

/// An outlet was found on or off, other than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletChanged {
    /// Which outlet.
    pub outlet: OutletId,
    /// The session that owns it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// What it was found to be.
    pub on: bool,
    /// Who did it.
    pub by: By,
    /// The highest proof reached.
    pub proof: Proof,
}

/// What an outlet would do if nobody renewed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletLease {
    /// Which outlet.
    pub outlet: OutletId,
    /// The session that owns it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// Its lease.
    pub lease: Lease,
    /// When the plug will cut the power by itself, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_at_ms: Option<u64>,
}

/// The state of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lease {
    /// The plug will cut the power when it should.
    Armed,
    /// The plug will cut the power at another time than it should.
    Stale,
    /// The plug will not cut the power by itself.
    None,
}

/// An outlet does not do what it should, or does so again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletFault {
    /// Which outlet.
    pub outlet: OutletId,
    /// The session that owns it, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// What is wrong.
    pub fault: Fault,
    /// What the driver said.
    pub message: String,
    /// Since when, UTC.
    pub since_ms: u64,
}

/// What can be wrong with an outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No answer, or none in time.
    Unreachable,
    /// An answer, but not yes.
    Refused,
    /// It should be off and isn't.
    StuckOn,
    /// It should be on and isn't.
    StuckOff,
}
