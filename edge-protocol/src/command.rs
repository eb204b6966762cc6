//! What a control plane may ask of a node (contract, section 4).

mod range;
mod read;
mod wire;
mod work;
mod write;

use serde::{Deserialize, Serialize};

pub use self::work::{OutletCycle, Script, Wait, Work};
use crate::id::{CommandId, OutletId, ScheduleId, SessionId, StationId, TaskId};

/// One command as it stands on the wire: `{"id", "type", "issued_at_ms", "expires_at_ms", "body"}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// Names the command for ever; a second command of this id has no second effect.
    pub id: CommandId,
    /// When the control plane made it: UTC, milliseconds since the Unix epoch.
    pub issued_at_ms: Option<u64>,
    /// From when on it must not act any more; at most 7 days after its issue.
    pub expires_at_ms: Option<u64>,
    /// What to do.
    pub request: Request,
}

/// What a command asks for: its `type` and `body`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "body")]
pub enum Request {
    /// Powers a station until a deadline.
    #[serde(rename = "session.start")]
    SessionStart(SessionStart),
    /// Moves a session's deadline.
    #[serde(rename = "session.extend")]
    SessionExtend(SessionExtend),
    /// Power off, the remaining time kept.
    #[serde(rename = "session.pause")]
    SessionPause(SessionRef),
    /// Power on, and the time runs again.
    #[serde(rename = "session.resume")]
    SessionResume(SessionRef),
    /// Moves the remaining time to another station.
    #[serde(rename = "session.transfer")]
    SessionTransfer(SessionTransfer),
    /// Ends a session now.
    #[serde(rename = "session.end")]
    SessionEnd(SessionEnd),
    /// Keeps an outlet on or off by hand.
    #[serde(rename = "outlet.set")]
    OutletSet(OutletSet),
    /// Ends a hold.
    #[serde(rename = "outlet.release")]
    OutletRelease(OutletRef),
    /// Queues a task.
    #[serde(rename = "task.submit")]
    TaskSubmit(TaskSubmit),
    /// Cancels a queued or running task.
    #[serde(rename = "task.cancel")]
    TaskCancel(TaskRef),
    /// Runs a failed task again, its retry count reset.
    #[serde(rename = "task.retry")]
    TaskRetry(TaskRef),
    /// Runs a command at each occurrence of a cron expression.
    #[serde(rename = "schedule.put")]
    SchedulePut(SchedulePut),
    /// Removes a schedule.
    #[serde(rename = "schedule.remove")]
    ScheduleRemove(ScheduleRef),
    /// Publishes past events again, unchanged.
    #[serde(rename = "event.resend")]
    EventResend(EventResend),
    /// Publishes state, telemetry and a report now.
    #[serde(rename = "node.report")]
    NodeReport(Empty),
}

/// `session.start`: powers the station; a duration runs from the moment all its outlets are confirmed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "wire::SessionStart", into = "wire::SessionStart")]
pub struct SessionStart {
    /// The session's id; it can't be used again while the node remembers it.
    pub session: SessionId,
    /// What to power.
    pub station: StationId,
    /// When it ends.
    pub end: End,
    /// When it begins, UTC; at once where absent or past.
    pub starts_at_ms: Option<u64>,
    /// How long before the deadline to warn; the node's default where absent.
    pub warn_before_ms: Option<Vec<u64>>,
    /// The time between the deadline and the off time; the node's default where absent.
    pub grace_ms: Option<u64>,
    /// Opaque text of the control plane's, at most 256 bytes.
    pub label: Option<String>,
}

/// The end of a session: a duration, or an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// So many milliseconds after all outlets are confirmed on.
    #[serde(rename = "duration_ms")]
    After(u64),
    /// At this instant: UTC, milliseconds since the Unix epoch.
    #[serde(rename = "ends_at_ms")]
    At(u64),
}

/// `session.extend`: moves the deadline, by exactly that much, never into the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "wire::SessionExtend", into = "wire::SessionExtend")]
pub struct SessionExtend {
    /// Which session.
    pub session: SessionId,
    /// By how much, or to when.
    pub to: Extension,
}

/// How a deadline moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extension {
    /// By so many milliseconds; negative shortens.
    By(i64),
    /// To this instant: UTC, milliseconds since the Unix epoch.
    To(u64),
}

/// A body that names a session and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRef {
    /// Which session.
    pub session: SessionId,
}

/// `session.transfer`: the new station is on and confirmed before the old goes off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionTransfer {
    /// Which session.
    pub session: SessionId,
    /// Where its remaining time goes.
    pub station: StationId,
}

/// `session.end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionEnd {
    /// Which session.
    pub session: SessionId,
    /// No grace.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub immediate: bool,
    /// Don't wait for an outlet that can't be reached.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub abandon: bool,
}

/// `outlet.set`: a hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutletSet {
    /// Which outlet.
    pub outlet: OutletId,
    /// Held on or held off.
    pub on: bool,
    /// For how long, at most 24 h; required when `on`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Even while a session owns the outlet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// A body that names an outlet and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutletRef {
    /// Which outlet.
    pub outlet: OutletId,
}

/// `task.submit`: queues a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "wire::TaskSubmit", into = "wire::TaskSubmit")]
pub struct TaskSubmit {
    /// The task's id; it can't be used again while the node remembers it.
    pub task: TaskId,
    /// What to do: `kind` and `payload`.
    pub work: Work,
    /// Not before this instant: UTC, milliseconds since the Unix epoch.
    pub not_before_ms: Option<u64>,
    /// Retries after the first attempt.
    pub max_retries: u32,
    /// The longest that one attempt may take.
    pub timeout_ms: u64,
    /// The bound of the first retry's delay; it doubles with each.
    pub backoff_ms: u64,
    /// The bound of every retry's delay.
    pub backoff_max_ms: u64,
    /// 9 first, 0 last.
    pub priority: u8,
}

/// A body that names a task and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskRef {
    /// Which task.
    pub task: TaskId,
}

/// `schedule.put`: runs a command at each occurrence; the schedule of this id there was is replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SchedulePut {
    /// The schedule's id.
    pub schedule: ScheduleId,
    /// Five fields, or six with seconds in front.
    pub cron: String,
    /// An IANA name: the clock that the fields mean.
    #[serde(default = "utc")]
    pub timezone: String,
    /// What runs: any command but `schedule.*`.
    pub command: Box<Request>,
    /// What becomes of an occurrence that passed while the node was away.
    #[serde(default)]
    pub missed: Missed,
    /// How late an occurrence may run, missed or not.
    #[serde(default = "a_minute")]
    pub max_late_ms: u64,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn a_minute() -> u64 {
    60_000
}

/// What becomes of an occurrence that passed while the node was away: not running, its clock not
/// synced, or not accepting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum Missed {
    /// It is left out.
    #[default]
    Skip,
    /// The last one runs once, unless it is later than `max_late_ms` by then.
    Once,
}

/// A text only: the derived reader would take the map `{"once": null}` as well.
impl TryFrom<String> for Missed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "skip" => Ok(Self::Skip),
            "once" => Ok(Self::Once),
            _ => Err(format!("{text:?} is neither skip nor once")),
        }
    }
}

/// A body that names a schedule and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleRef {
    /// Which schedule.
    pub schedule: ScheduleId,
}

/// `event.resend`: both ends are included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventResend {
    /// The first event wanted.
    pub from_seq: u64,
    /// The last event wanted.
    pub to_seq: u64,
}

/// A body without fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

impl Request {
    /// Whether it powers something, so that it must not act late: it needs an issue time or an expiry.
    #[must_use]
    pub fn powers(&self) -> bool {
        match self {
            Self::SessionStart(_) | Self::SessionResume(_) | Self::SessionTransfer(_) => true,
            Self::OutletSet(set) => set.on,
            Self::TaskSubmit(submit) => matches!(submit.work, Work::OutletCycle(_)),
            Self::SessionExtend(_)
            | Self::SessionPause(_)
            | Self::SessionEnd(_)
            | Self::OutletRelease(_)
            | Self::TaskCancel(_)
            | Self::TaskRetry(_)
            | Self::SchedulePut(_)
            | Self::ScheduleRemove(_)
            | Self::EventResend(_)
            | Self::NodeReport(_) => false,
        }
    }
}
