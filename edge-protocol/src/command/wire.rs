//! The shapes on the wire of those bodies whose type says more than a list of optional fields.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{ScheduleId, SessionId, StationId, TaskId};
use crate::refusal::Refusal;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionStart {
    session: SessionId,
    station: StationId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starts_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warn_before_ms: Option<Vec<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grace_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    label: Option<String>,
}

impl TryFrom<SessionStart> for super::SessionStart {
    type Error = &'static str;

    fn try_from(wire: SessionStart) -> Result<Self, Self::Error> {
        let end = match (wire.duration_ms, wire.ends_at_ms) {
            (Some(ms), None) => super::End::After(ms),
            (None, Some(at)) => super::End::At(at),
            (None, None) => return Err("missing: one of duration_ms and ends_at_ms"),
            (Some(_), Some(_)) => return Err("both duration_ms and ends_at_ms: give one"),
        };
        Ok(Self {
            session: wire.session,
            station: wire.station,
            end,
            starts_at_ms: wire.starts_at_ms,
            warn_before_ms: wire.warn_before_ms,
            grace_ms: wire.grace_ms,
            label: wire.label,
        })
    }
}

impl From<super::SessionStart> for SessionStart {
    fn from(start: super::SessionStart) -> Self {
        let (duration_ms, ends_at_ms) = match start.end {
            super::End::After(ms) => (Some(ms), None),
            super::End::At(at) => (None, Some(at)),
        };
        Self {
            session: start.session,
            station: start.station,
            duration_ms,
            ends_at_ms,
            starts_at_ms: start.starts_at_ms,
            warn_before_ms: start.warn_before_ms,
            grace_ms: start.grace_ms,
            label: start.label,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionExtend {
    session: SessionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at_ms: Option<u64>,
}

impl TryFrom<SessionExtend> for super::SessionExtend {
    type Error = &'static str;

    fn try_from(wire: SessionExtend) -> Result<Self, Self::Error> {
        let to = match (wire.by_ms, wire.ends_at_ms) {
            (Some(ms), None) => super::Extension::By(ms),
            (None, Some(at)) => super::Extension::To(at),
            (None, None) => return Err("missing: one of by_ms and ends_at_ms"),
            (Some(_), Some(_)) => return Err("both by_ms and ends_at_ms: give one"),
        };
        Ok(Self { session: wire.session, to })
    }
}

impl From<super::SessionExtend> for SessionExtend {
    fn from(extend: super::SessionExtend) -> Self {
        let (by_ms, ends_at_ms) = match extend.to {
            super::Extension::By(ms) => (Some(ms), None),
            super::Extension::To(at) => (None, Some(at)),
        };
        Self { session: extend.session, by_ms, ends_at_ms }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TaskSubmit {
    task: TaskId,
    kind: String,
    payload: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_before_ms: Option<u64>,
    #[serde(default = "max_retries")]
    max_retries: u32,
    #[serde(default = "timeout_ms")]
    timeout_ms: u64,
    #[serde(default = "backoff_ms")]
    backoff_ms: u64,
    #[serde(default = "backoff_max_ms")]
    backoff_max_ms: u64,
    #[serde(default = "priority")]
    priority: u8,
}

fn max_retries() -> u32 {
    3
}
fn timeout_ms() -> u64 {
    60_000
}
fn backoff_ms() -> u64 {
    1_000
}
fn backoff_max_ms() -> u64 {
    300_000
}
fn priority() -> u8 {
    5
}

impl TryFrom<TaskSubmit> for super::TaskSubmit {
    type Error = Refusal;

    fn try_from(wire: TaskSubmit) -> Result<Self, Self::Error> {
        wire.typed("payload")
    }
}

impl TaskSubmit {
    /// The body whose payload stands at `path`.
    pub(super) fn typed(self, path: &str) -> Result<super::TaskSubmit, Refusal> {
        Ok(super::TaskSubmit {
            task: self.task,
            work: super::Work::read_at(path, &self.kind, self.payload)?,
            not_before_ms: self.not_before_ms,
            max_retries: self.max_retries,
            timeout_ms: self.timeout_ms,
            backoff_ms: self.backoff_ms,
            backoff_max_ms: self.backoff_max_ms,
            priority: self.priority,
        })
    }
}

impl From<super::TaskSubmit> for TaskSubmit {
    fn from(submit: super::TaskSubmit) -> Self {
        let (kind, payload) = submit.work.write();
        Self {
            task: submit.task,
            kind,
            payload,
            not_before_ms: submit.not_before_ms,
            max_retries: submit.max_retries,
            timeout_ms: submit.timeout_ms,
            backoff_ms: submit.backoff_ms,
            backoff_max_ms: submit.backoff_max_ms,
            priority: submit.priority,
        }
    }
}

/// `schedule.put` without its command, which is read by the rules of its own type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Schedule {
    pub(super) schedule: ScheduleId,
    pub(super) cron: String,
    #[serde(default = "super::utc")]
    pub(super) timezone: String,
    #[serde(default)]
    pub(super) missed: super::Missed,
    #[serde(default = "super::a_minute")]
    pub(super) max_late_ms: u64,
}
