//! News of tasks.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::TaskId;

/// What became of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskNews {
    /// Which task.
    pub task: TaskId,
    /// Its kind.
    pub kind: String,
    /// The attempt it speaks of, from 1; of a queued one the attempt to come.
    pub attempt: u32,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the next attempt may start, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at_ms: Option<u64>,
    /// What it returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Map<String, Value>>,
    /// How long the attempt took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}
