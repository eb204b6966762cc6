//! What a node is told about itself before its first step: plain values out of the configuration.

use std::collections::BTreeMap;

use edge_protocol::codec::Encoding;
use edge_protocol::id::{NodeId, OutletId, StationId};
use serde::{Deserialize, Serialize};

/// Everything that [`super::Node`] knows without having been told by an input.
#[derive(Debug, Clone)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// The agent's version.
    pub version: String,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// The store's id, new where it was made, put aside or found rolled back.
    pub store: String,
    /// How events, status and state are written.
    pub encoding: Encoding,
    /// What customers use; the outlets in the order in which they go on.
    pub stations: BTreeMap<StationId, Vec<OutletId>>,
    /// What can be switched.
    pub outlets: BTreeMap<OutletId, OutletSettings>,
    /// When a session warns that doesn't say.
    pub warn_before_ms: Vec<u64>,
    /// The grace of a session that doesn't say.
    pub grace_ms: u64,
    /// The least time between two ons of one circuit.
    pub stagger_ms: u64,
    /// The budget of the outbox.
    pub outbox_max_bytes: u64,
    /// The bounds of the task queue.
    pub tasks: TaskLimits,
    /// The board, for `node.report`.
    pub hardware: String,
    /// SHA-256 of the configuration file, for `node.report`.
    pub configuration: String,
    /// When the client certificate expires, for `node.report`.
    pub certificate_expires_at_ms: u64,
    /// Where this run's jitter starts.
    pub seed: u64,
}

/// How often a relay may close before it counts as worn out, unless its data sheet says otherwise.
const RATED_CYCLES: u64 = 50_000;

/// One outlet, as far as decisions need it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletSettings {
    /// The driver's name.
    pub driver: String,
    /// What it is when nothing covers it.
    pub rest: Rest,
    /// What a thumb may do within a session.
    pub button: Button,
    /// Whether the device can cut the power by itself.
    pub leases: bool,
    /// How to reach it: opaque here, kept with a session so that its off needs no configuration file.
    pub definition: String,
    /// Within the grace the cut comes as soon as the load draws less than this, in milliwatts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_below_mw: Option<u64>,
    /// How long it stays off at least: what a compressor needs. Delays an on, never an off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_off_ms: Option<u64>,
    /// The circuit whose breaker its inrush loads; the node's one where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<String>,
    /// How often its relay may close, by its data sheet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rated_cycles: Option<u64>,
}

impl OutletSettings {
    /// How often its relay may close before it counts as worn out.
    #[must_use]
    pub fn rated_cycles(&self) -> u64 {
        self.rated_cycles.unwrap_or(RATED_CYCLES)
    }
}

/// What an outlet is when no live session and no hold covers it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rest {
    /// Off.
    #[default]
    Off,
    /// On: a modem, a camera.
    On,
    /// As it is.
    Keep,
}

/// What becomes of a button-off within a session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Button {
    /// It stays off, and the time runs.
    #[default]
    Obey,
    /// It is set back.
    Undo,
}

/// The bounds of the task queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskLimits {
    /// Attempts that run at once.
    pub concurrency: usize,
    /// Tasks that wait for their turn.
    pub max_queued: usize,
    /// Their size, encoded.
    pub max_bytes: u64,
}
