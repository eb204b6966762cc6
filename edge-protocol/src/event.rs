//! What a node tells its control plane, durably and in order (contract, section 5).
//!
//! Consumers ignore fields they don't know, so these types do too.

mod node;
mod outlet;
mod session;
mod subject;
mod task;

use serde::{Deserialize, Serialize};

pub use self::node::{
    ClockedSession, NodeClock, NodeDropped, NodeLink, NodeReport, NodeStarted, NodeStore,
    OutletReport, Space, StartReason,
};
pub use self::outlet::{By, Fault, Lease, OutletChanged, OutletFault, OutletLease, Proof};
pub use self::session::{
    Reason, SessionEnded, SessionEnding, SessionProblem, SessionRemaining, SessionTimes,
    SessionTransferred,
};
pub use self::task::TaskNews;
use crate::id::CommandId;

/// One event as it stands on the wire.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Names the node's store since it was made, put aside or found rolled back.
    pub store: String,
    /// Starts at 1 in each store and rises by one with each event.
    pub seq: u64,
    /// The node's wall clock: UTC, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Whether that clock could be trusted.
    pub clock: Clock,
    /// CLOCK_BOOTTIME.
    pub uptime_ms: u64,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// The command that led to it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CommandId>,
    /// What happened: `type` and `body`.
    #[serde(flatten)]
    pub what: What,
}

/// Whether the wall clock can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// It was set from a trusted source in this boot.
    Synced,
    /// It is a lower bound.
    Unsynced,
}

/// What happened: the `type` and `body` of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "body")]
#[expect(missing_docs, reason = "each variant is named and described by its body's type")]
pub enum What {
    #[serde(rename = "command.accepted")]
    CommandAccepted(CommandAccepted),
    #[serde(rename = "command.rejected")]
    CommandRejected(CommandRejected),
    #[serde(rename = "session.booked")]
    SessionBooked(SessionTimes),
    #[serde(rename = "session.started")]
    SessionStarted(SessionTimes),
    #[serde(rename = "session.extended")]
    SessionExtended(SessionTimes),
    #[serde(rename = "session.resumed")]
    SessionResumed(SessionTimes),
    #[serde(rename = "session.warning")]
    SessionWarning(SessionRemaining),
    #[serde(rename = "session.paused")]
    SessionPaused(SessionRemaining),
    #[serde(rename = "session.transferred")]
    SessionTransferred(SessionTransferred),
    #[serde(rename = "session.ending")]
    SessionEnding(SessionEnding),
    #[serde(rename = "session.ended")]
    SessionEnded(SessionEnded),
    #[serde(rename = "session.failed")]
    SessionFailed(SessionProblem),
    #[serde(rename = "session.refused")]
    SessionRefused(SessionProblem),
    #[serde(rename = "outlet.changed")]
    OutletChanged(OutletChanged),
    #[serde(rename = "outlet.lease")]
    OutletLease(OutletLease),
    #[serde(rename = "outlet.fault")]
    OutletFault(OutletFault),
    #[serde(rename = "outlet.recovered")]
    OutletRecovered(OutletFault),
    #[serde(rename = "task.queued")]
    TaskQueued(TaskNews),
    #[serde(rename = "task.started")]
    TaskStarted(TaskNews),
    #[serde(rename = "task.retrying")]
    TaskRetrying(TaskNews),
    #[serde(rename = "task.succeeded")]
    TaskSucceeded(TaskNews),
    #[serde(rename = "task.failed")]
    TaskFailed(TaskNews),
    #[serde(rename = "task.cancelled")]
    TaskCancelled(TaskNews),
    #[serde(rename = "node.started")]
    NodeStarted(NodeStarted),
    #[serde(rename = "node.clock")]
    NodeClock(NodeClock),
    #[serde(rename = "node.link")]
    NodeLink(NodeLink),
    #[serde(rename = "node.store")]
    NodeStore(NodeStore),
    #[serde(rename = "node.dropped")]
    NodeDropped(NodeDropped),
    #[serde(rename = "node.report")]
    NodeReport(NodeReport),
}

impl What {
    /// Every type of event.
    pub const KINDS: [&str; 29] = [
        "command.accepted",
        "command.rejected",
        "session.booked",
        "session.started",
        "session.extended",
        "session.resumed",
        "session.warning",
        "session.paused",
        "session.transferred",
        "session.ending",
        "session.ended",
        "session.failed",
        "session.refused",
        "outlet.changed",
        "outlet.lease",
        "outlet.fault",
        "outlet.recovered",
        "task.queued",
        "task.started",
        "task.retrying",
        "task.succeeded",
        "task.failed",
        "task.cancelled",
        "node.started",
        "node.clock",
        "node.link",
        "node.store",
        "node.dropped",
        "node.report",
    ];

    /// Its `type`, as it stands on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::CommandAccepted(_) => "command.accepted",
            Self::CommandRejected(_) => "command.rejected",
            Self::SessionBooked(_) => "session.booked",
            Self::SessionStarted(_) => "session.started",
            Self::SessionExtended(_) => "session.extended",
            Self::SessionResumed(_) => "session.resumed",
            Self::SessionWarning(_) => "session.warning",
            Self::SessionPaused(_) => "session.paused",
            Self::SessionTransferred(_) => "session.transferred",
            Self::SessionEnding(_) => "session.ending",
            Self::SessionEnded(_) => "session.ended",
            Self::SessionFailed(_) => "session.failed",
            Self::SessionRefused(_) => "session.refused",
            Self::OutletChanged(_) => "outlet.changed",
            Self::OutletLease(_) => "outlet.lease",
            Self::OutletFault(_) => "outlet.fault",
            Self::OutletRecovered(_) => "outlet.recovered",
            Self::TaskQueued(_) => "task.queued",
            Self::TaskStarted(_) => "task.started",
            Self::TaskRetrying(_) => "task.retrying",
            Self::TaskSucceeded(_) => "task.succeeded",
            Self::TaskFailed(_) => "task.failed",
            Self::TaskCancelled(_) => "task.cancelled",
            Self::NodeStarted(_) => "node.started",
            Self::NodeClock(_) => "node.clock",
            Self::NodeLink(_) => "node.link",
            Self::NodeStore(_) => "node.store",
            Self::NodeDropped(_) => "node.dropped",
            Self::NodeReport(_) => "node.report",
        }
    }
}

/// The answer to a command that takes effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandAccepted {
    /// Which command.
    pub command: CommandId,
    /// This answer was given before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeat: bool,
}

/// The answer to a command that has no effect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRejected {
    /// Which command; absent where the message named none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandId>,
    /// Why, for a machine.
    pub code: Code,
    /// Why, for a person: names the field, the state or the limit.
    pub message: String,
    /// This answer was given before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeat: bool,
}

/// Why a command is rejected, a session failed, or a transfer or resume was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Not one JSON object or CBOR map with a legal `id` and `type`, or nested too deep.
    Malformed,
    /// Over 64 KiB.
    TooLarge,
    /// Unknown type or task kind.
    Unsupported,
    /// A field unknown, missing or out of range; retained.
    Invalid,
    /// Too late to act.
    Expired,
    /// A bad signature. Reserved.
    Unauthorized,
    /// The task queue is full.
    Busy,
    /// No such station.
    UnknownStation,
    /// No such outlet.
    UnknownOutlet,
    /// No such session, or forgotten.
    UnknownSession,
    /// No such task, or forgotten.
    UnknownTask,
    /// No such schedule.
    UnknownSchedule,
    /// The state doesn't allow it.
    Conflict,
    /// An outlet could not be powered in time.
    Unpowered,
}
