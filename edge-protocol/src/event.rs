//! What a node tells its control plane, durably and in order (contract, section 5).
//!
//! Consumers ignore fields they don't know, so these types do too.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{CommandId, OutletId, SessionId, StationId, TaskId};

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
}
