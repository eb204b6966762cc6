//! News of sessions.

use serde::{Deserialize, Serialize};

use super::{Code, Proof};
use crate::id::{SessionId, StationId};

/// When a session starts, started and ends: UTC, milliseconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTimes {
    /// Which session.
    pub session: SessionId,
    /// Where.
    pub station: StationId,
    /// When it will start, of a booked one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at_ms: Option<u64>,
    /// When all its outlets were confirmed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// The deadline; absent while a booked session's duration has not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at_ms: Option<u64>,
}

/// How much time a session has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRemaining {
    /// Which session.
    pub session: SessionId,
    /// Where.
    pub station: StationId,
    /// Until the deadline.
    pub remaining_ms: u64,
}

/// A session moved to another station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionTransferred {
    /// Which session.
    pub session: SessionId,
    /// Where it is now.
    pub station: StationId,
    /// Where it was.
    pub from: StationId,
    /// The deadline, UTC; absent while a booked or paused session has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at_ms: Option<u64>,
}

/// A session is past its deadline, or was ended; its power goes at `off_at_ms`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnding {
    /// Which session.
    pub session: SessionId,
    /// Where.
    pub station: StationId,
    /// Why.
    pub reason: Reason,
    /// The off time, UTC.
    pub off_at_ms: u64,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its deadline came.
    Expired,
    /// It was ended by command.
    Ended,
    /// It was ended without waiting for an outlet that can't be reached.
    Abandoned,
}

/// Every outlet of a session is confirmed off (but for `abandoned`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEnded {
    /// Which session.
    pub session: SessionId,
    /// Where.
    pub station: StationId,
    /// Why.
    pub reason: Reason,
    /// How long it was powered, pauses left out.
    pub powered_ms: u64,
    /// When it ended, UTC.
    pub ended_at_ms: u64,
    /// How long after the off time the last outlet was confirmed off.
    pub late_ms: u64,
    /// The weakest of its outlets' proofs of being off; absent where nothing was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What it used, where the plug meters it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_wh: Option<u64>,
}

/// A session could not be powered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionProblem {
    /// Which session.
    pub session: SessionId,
    /// Where.
    pub station: StationId,
    /// Why, for a machine.
    pub code: Code,
    /// Why, for a person.
    pub message: String,
}
