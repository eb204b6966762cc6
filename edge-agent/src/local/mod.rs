//! What people see of a running agent on its own machine: the control socket, which `edge-agent
//! status` asks, and the page with `/metrics` (contract, sections 8 and 9).
//!
//! Everything here is read from one snapshot that the loop hands out when it is asked, and the
//! loop never waits for anybody who reads it. Nothing here switches anything.

#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod page;
pub(crate) mod recent;
pub(crate) mod socket;
pub(crate) mod source;

use edge_protocol::event::{Clock, Event};
use edge_protocol::presence::{State, Telemetry};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use self::socket::{AskError, ask};
use crate::metrics::Meter;
pub use crate::node::OutletDetail;
use crate::node::time::Now;

/// What a running agent says of itself: `edge-agent status --json` and `/status.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The agent's version.
    pub version: String,
    /// The store's id.
    pub store: String,
    /// When the agent started, as its clock read then: UTC, milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// Whether the wall clock can be trusted.
    pub clock: Clock,
    /// Whether the broker is reached.
    pub online: bool,
    /// Why it is not, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline_because: Option<String>,
    /// Since when it is reached, or is not: UTC, milliseconds since the Unix epoch.
    pub link_since_ms: u64,
    /// Whether the node takes commands and starts tasks.
    pub accepting: bool,
    /// When the client certificate expires: UTC, milliseconds since the Unix epoch.
    pub certificate_expires_at_ms: u64,
    /// Sessions, outlets, stations and queues.
    pub state: State,
    /// What the state does not say of each outlet, in the same order.
    pub outlets: Vec<OutletDetail>,
    /// The last events worth a person's while, the oldest first; none from before the agent's start.
    pub events: Vec<Event>,
    /// The machine's figures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Telemetry>,
}

/// One moment of the agent, as the loop hands it out.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) now: Now,
    pub(crate) report: Report,
    pub(crate) meter: Meter,
    pub(crate) store: StoreReport,
}

/// How the store is, beside what the meter counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreReport {
    pub(crate) outbox_max_bytes: u64,
    pub(crate) syncs: u64,
    pub(crate) unstored_batches: usize,
    pub(crate) failing: bool,
    pub(crate) space_low: bool,
}

/// Somebody asks for a [`Snapshot`].
pub(crate) type Question = oneshot::Sender<Snapshot>;
