//! Commands to the wire: what a control plane sends.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Command, Request};

impl Request {
    /// Every type of command.
    pub const KINDS: [&str; 15] = [
        "session.start",
        "session.extend",
        "session.pause",
        "session.resume",
        "session.transfer",
        "session.end",
        "outlet.set",
        "outlet.release",
        "task.submit",
        "task.cancel",
        "task.retry",
        "schedule.put",
        "schedule.remove",
        "event.resend",
        "node.report",
    ];

    /// Its `type`, as it stands on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SessionStart(_) => "session.start",
            Self::SessionExtend(_) => "session.extend",
            Self::SessionPause(_) => "session.pause",
            Self::SessionResume(_) => "session.resume",
            Self::SessionTransfer(_) => "session.transfer",
            Self::SessionEnd(_) => "session.end",
            Self::OutletSet(_) => "outlet.set",
            Self::OutletRelease(_) => "outlet.release",
            Self::TaskSubmit(_) => "task.submit",
            Self::TaskCancel(_) => "task.cancel",
            Self::TaskRetry(_) => "task.retry",
            Self::SchedulePut(_) => "schedule.put",
            Self::ScheduleRemove(_) => "schedule.remove",
            Self::EventResend(_) => "event.resend",
            Self::NodeReport(_) => "node.report",
        }
    }
}

/// Written in the contract's order; an instant that is not there is left out.
impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let instants = [("issued_at_ms", self.issued_at_ms), ("expires_at_ms", self.expires_at_ms)];
        let present = instants.into_iter().filter_map(|(name, at)| at.map(|at| (name, at)));
        let mut map = serializer.serialize_map(Some(3 + present.clone().count()))?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("type", self.request.kind())?;
        for (name, at_ms) in present {
            map.serialize_entry(name, &at_ms)?;
        }
        map.serialize_entry("body", &Body(&self.request))?;
        map.end()
    }
}

/// A request without its type.
struct Body<'a>(&'a Request);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Request::SessionStart(body) => body.serialize(serializer),
            Request::SessionExtend(body) => body.serialize(serializer),
            Request::SessionPause(body) | Request::SessionResume(body) => {
                body.serialize(serializer)
            }
            Request::SessionTransfer(body) => body.serialize(serializer),
            Request::SessionEnd(body) => body.serialize(serializer),
            Request::OutletSet(body) => body.serialize(serializer),
            Request::OutletRelease(body) => body.serialize(serializer),
            Request::TaskSubmit(body) => body.serialize(serializer),
            Request::TaskCancel(body) | Request::TaskRetry(body) => body.serialize(serializer),
            Request::SchedulePut(body) => body.serialize(serializer),
            Request::ScheduleRemove(body) => body.serialize(serializer),
            Request::EventResend(body) => body.serialize(serializer),
            Request::NodeReport(body) => body.serialize(serializer),
        }
    }
}
