//! News of the node itself.

use serde::{Deserialize, Serialize};

use crate::id::{OutletId, SessionId};

/// The agent runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStarted {
    /// The agent's version.
    pub version: String,
    /// Why it started.
    pub reason: StartReason,
    /// Live sessions that go on.
    pub sessions_recovered: u64,
    /// Tasks that go on.
    pub tasks_recovered: u64,
    /// How long it did not run, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_for_ms: Option<u64>,
}

/// Why the agent started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartReason {
    /// The node booted.
    Boot,
    /// It was stopped in order and started again.
    Restart,
    /// It ended without an orderly stop.
    Crash,
    /// Another version runs now.
    Update,
}

/// The wall clock was corrected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeClock {
    /// By how much.
    pub step_ms: i64,
    /// The live sessions whose deadline has another name now.
    #[serde(default)]
    pub sessions: Vec<ClockedSession>,
    /// How long the node was off, where plugs that stayed up have told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_for_ms: Option<u64>,
}

/// A live session's deadline after a clock correction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockedSession {
    /// Which session.
    pub session: SessionId,
    /// Its deadline, UTC.
    pub ends_at_ms: u64,
}

/// The node reached the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeLink {
    /// False: the broker had forgotten this node, so what waited there may be lost.
    pub session_present: bool,
}

/// News of the node's store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStore {
    /// What could not be recovered, as far as known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<String>,
    /// Disk space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub space: Option<Space>,
}

/// Disk space for the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Space {
    /// The node takes no more commands.
    Low,
    /// It does again.
    Ok,
}

/// Events that can't be had any more; both ends are included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDropped {
    /// The first.
    pub from_seq: u64,
    /// The last.
    pub to_seq: u64,
    /// Why.
    pub reason: String,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// The agent's version.
    pub version: String,
    /// The board and its memory, as the kernel names them.
    pub hardware: String,
    /// Its outlets.
    pub outlets: Vec<OutletReport>,
    /// SHA-256 of the configuration file, hexadecimal.
    pub configuration: String,
    /// When the client certificate expires, UTC.
    pub expires_at_ms: u64,
}

/// One outlet in a node's report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletReport {
    /// Which outlet.
    pub outlet: OutletId,
    /// Its driver's name.
    pub driver: String,
    /// Whether it answered last.
    pub reachable: bool,
    /// How often its relay was found to have closed, since this store was made; absent while it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycles: Option<u64>,
    /// How much of its relay's life that is, in percent; absent below 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worn_percent: Option<u64>,
}
