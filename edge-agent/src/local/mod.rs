//! What people see of a running agent on its own machine, and what they may order there: the control
//! socket, which `edge-agent status`, `outlet` and `doctor` ask, and the page with `/metrics`
//! (contract, sections 8 and 9).
//!
//! What is shown is read from one snapshot that the loop hands out when it is asked, and the loop
//! never waits for anybody who reads it. Only the socket orders: its file's mode says who may.

mod client;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod page;
pub(crate) mod recent;
mod request;
pub(crate) mod socket;
pub(crate) mod source;

use std::collections::BTreeMap;

use edge_protocol::event::{Clock, Event};
use edge_protocol::id::OutletId;
use edge_protocol::presence::{State, Telemetry};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use self::client::{AskError, ask};
pub use self::request::{Ask, Done, ReadBack, Refused, RefusedCode, VERSION};
use crate::drivers::Errand;
use crate::link::Retained;
use crate::metrics::Meter;
pub use crate::node::OutletDetail;
use crate::node::explain::Explanation;
use crate::node::time::Now;
use crate::node::{LocalOrder, Rejection};

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
    /// What is wrong with the store's disk, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskTrouble>,
    /// Why the broker takes none of its events, where it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What the broker refuses to keep for it, and the reason code of MQTT 5.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub not_kept: BTreeMap<Retained, u8>,
    /// The configuration's hash, as `node.report` tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
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

/// What is wrong with the store's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskTrouble {
    /// Space is low.
    Low,
    /// A write failed and is tried again.
    Failing,
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

/// What is asked of the loop.
#[derive(Debug)]
pub(crate) enum Question {
    /// A moment of the agent.
    Look(oneshot::Sender<Snapshot>),
    /// A field tech's order; answered once it is on disk.
    Order(LocalOrder, oneshot::Sender<Result<(), Rejection>>),
    /// Why an outlet is as it is; none where there is no such outlet.
    Explain(OutletId, oneshot::Sender<Option<Box<Explanation>>>),
    /// Something of a device, which its own task does and answers.
    Errand {
        outlet: OutletId,
        errand: Errand,
        /// Whether the task has it.
        taken: oneshot::Sender<Result<(), Rejection>>,
    },
}
