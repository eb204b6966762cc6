//! Trees to commands: every refusal that the form of a command can earn, in a fixed order.
//!
//! The type comes first, so that a command of a later version is `unsupported` whatever its
//! fields; then the envelope, the body's fields, and the ranges.

use serde_json::{Map, Value};

use super::{Command, Request, SchedulePut, Work, wire};
use crate::field;
use crate::id::CommandId;
use crate::limits::{MAX_COMMAND_LIFE_MS, MAX_INSTANT_MS};
use crate::refusal::Refusal;

impl Command {
    /// The command that `id`, `kind` and the rest of an envelope make.
    ///
    /// # Errors
    /// `unsupported` for a type or task kind that is not known, `invalid` for anything else.
    pub(crate) fn read(
        id: CommandId,
        kind: &str,
        mut envelope: Map<String, Value>,
    ) -> Result<Self, Refusal> {
        known(kind)?;
        let issued_at_ms = instant(&mut envelope, "issued_at_ms")?;
        let expires_at_ms = instant(&mut envelope, "expires_at_ms")?;
        let body = envelope.remove("body");
        nothing_else("", &envelope)?;
        if let (Some(issued), Some(expires)) = (issued_at_ms, expires_at_ms)
            && !(issued..=issued + MAX_COMMAND_LIFE_MS).contains(&expires)
        {
            let problem = format!(
                "{expires} is not from issued_at_ms, {issued}, to {MAX_COMMAND_LIFE_MS} ms after it"
            );
            return Err(Refusal::invalid("expires_at_ms", &problem));
        }
        let request = request("body", kind, body)?;
        request.check("body")?;
        if request.powers() && issued_at_ms.is_none() && expires_at_ms.is_none() {
            let problem = "missing, as is expires_at_ms: a command that powers something has one";
            return Err(Refusal::invalid("issued_at_ms", problem));
        }
        Ok(Self { id, issued_at_ms, expires_at_ms, request })
    }
}

fn known(kind: &str) -> Result<(), Refusal> {
    if Request::KINDS.contains(&kind) { Ok(()) } else { Err(unsupported(kind)) }
}

fn unsupported(kind: &str) -> Refusal {
    Refusal::unsupported(&format!("command type {kind:?} is not known to this node"))
}

/// The request whose body stands at `path`; ranges are not looked at yet.
fn request(path: &str, kind: &str, body: Option<Value>) -> Result<Request, Refusal> {
    let body = match body {
        Some(body) => map(path, body)?,
        None if kind == "node.report" => Map::new(),
        None => return Err(Refusal::invalid(path, "missing")),
    };
    match kind {
        "session.start" => field::read(path, body).map(Request::SessionStart),
        "session.extend" => field::read(path, body).map(Request::SessionExtend),
        "session.pause" => field::read(path, body).map(Request::SessionPause),
        "session.resume" => field::read(path, body).map(Request::SessionResume),
        "session.transfer" => field::read(path, body).map(Request::SessionTransfer),
        "session.end" => field::read(path, body).map(Request::SessionEnd),
        "outlet.set" => field::read(path, body).map(Request::OutletSet),
        "outlet.release" => field::read(path, body).map(Request::OutletRelease),
        "task.submit" => task_submit(path, body),
        "task.cancel" => field::read(path, body).map(Request::TaskCancel),
        "task.retry" => field::read(path, body).map(Request::TaskRetry),
        "schedule.put" => schedule_put(path, body),
        "schedule.remove" => field::read(path, body).map(Request::ScheduleRemove),
        "event.resend" => field::read(path, body).map(Request::EventResend),
        "node.report" => field::read(path, body).map(Request::NodeReport),
        unknown => Err(unsupported(unknown)),
    }
}

fn task_submit(path: &str, body: Map<String, Value>) -> Result<Request, Refusal> {
    // A kind of a later version may bring fields of its own: that it is unknown is what to say.
    if let Some(Value::String(kind)) = body.get("kind") {
        Work::known(kind)?;
    }
    let submit: wire::TaskSubmit = field::read(path, body)?;
    submit.typed(&format!("{path}.payload")).map(Request::TaskSubmit)
}

fn schedule_put(path: &str, mut body: Map<String, Value>) -> Result<Request, Refusal> {
    let inner = format!("{path}.command");
    let mut command = match body.remove("command") {
        Some(command) => map(&inner, command)?,
        None => return Err(Refusal::invalid(&inner, "missing")),
    };
    let kind = match command.remove("type") {
        Some(Value::String(kind)) => kind,
        Some(_) => return Err(Refusal::invalid(&format!("{inner}.type"), "not a text")),
        None => return Err(Refusal::invalid(&format!("{inner}.type"), "missing")),
    };
    if kind.starts_with("schedule.") {
        let problem = "a schedule runs any command but those of schedules";
        return Err(Refusal::invalid(&format!("{inner}.type"), problem));
    }
    known(&kind)?;
    let command_body = command.remove("body");
    nothing_else(&format!("{inner}."), &command)?;
    let wire::Schedule { schedule, cron, timezone, missed, max_late_ms } = field::read(path, body)?;
    let command = Box::new(request(&format!("{inner}.body"), &kind, command_body)?);
    let put = SchedulePut { schedule, cron, timezone, command, missed, max_late_ms };
    Ok(Request::SchedulePut(put))
}

fn map(path: &str, value: Value) -> Result<Map<String, Value>, Refusal> {
    match value {
        Value::Object(map) => Ok(map),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Refusal::invalid(path, "not a map"))
        }
    }
}

fn instant(envelope: &mut Map<String, Value>, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(value) = envelope.remove(name) else { return Ok(None) };
    match value.as_u64() {
        Some(at_ms) if at_ms <= MAX_INSTANT_MS => Ok(Some(at_ms)),
        Some(_) | None => {
            let problem = format!("not an integer from 0 to {MAX_INSTANT_MS}");
            Err(Refusal::invalid(name, &problem))
        }
    }
}

fn nothing_else(prefix: &str, rest: &Map<String, Value>) -> Result<(), Refusal> {
    match rest.keys().next() {
        Some(name) => Err(Refusal::invalid(&format!("{prefix}{name}"), "unknown field")),
        None => Ok(()),
    }
}
