//! The ranges of a command's fields; each message names the field and what it may be.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::{
    End, EventResend, Extension, OutletSet, Request, SchedulePut, SessionExtend, SessionStart,
    TaskSubmit, Work,
};
use crate::limits::{
    MAX_CRON_BYTES, MAX_GRACE_MS, MAX_HOLD_MS, MAX_INSTANT_MS, MAX_LABEL_BYTES, MAX_LATE_MS,
    MAX_PRIORITY, MAX_RETRIES, MAX_SCRIPT_NAME_BYTES, MAX_SESSION_MS, MAX_TASK_MS,
    MAX_TIMEZONE_BYTES, MAX_WARNINGS,
};
use crate::refusal::Refusal;

type Checked = Result<(), Refusal>;

impl Request {
    /// Looks at the ranges of the body that stands at `path`.
    pub(super) fn check(&self, path: &str) -> Checked {
        match self {
            Self::SessionStart(start) => session_start(path, start),
            Self::SessionExtend(extend) => session_extend(path, extend),
            Self::OutletSet(set) => outlet_set(path, set),
            Self::TaskSubmit(submit) => task_submit(path, submit),
            Self::SchedulePut(put) => schedule_put(path, put),
            Self::EventResend(resend) => event_resend(path, *resend),
            // Ids and booleans, whose types are their ranges.
            Self::SessionPause(_)
            | Self::SessionResume(_)
            | Self::SessionTransfer(_)
            | Self::SessionEnd(_)
            | Self::OutletRelease(_)
            | Self::TaskCancel(_)
            | Self::TaskRetry(_)
            | Self::ScheduleRemove(_)
            | Self::NodeReport(_) => Ok(()),
        }
    }
}

fn session_start(path: &str, start: &SessionStart) -> Checked {
    match start.end {
        End::After(ms) => within(path, "duration_ms", ms, 1..=MAX_SESSION_MS)?,
        End::At(at_ms) => {
            instant(path, "ends_at_ms", Some(at_ms))?;
            if let Some(starts_at_ms) = start.starts_at_ms
                && at_ms <= starts_at_ms
            {
                let problem = format!("{at_ms} is not after starts_at_ms, {starts_at_ms}");
                return Err(invalid(path, "ends_at_ms", &problem));
            }
        }
    }
    instant(path, "starts_at_ms", start.starts_at_ms)?;
    let warnings = start.warn_before_ms.as_deref().unwrap_or_default();
    if warnings.len() > MAX_WARNINGS {
        let problem = format!("{} warnings: at most {MAX_WARNINGS}", warnings.len());
        return Err(invalid(path, "warn_before_ms", &problem));
    }
    for (position, &before_ms) in warnings.iter().enumerate() {
        within(path, &format!("warn_before_ms[{position}]"), before_ms, 1..=MAX_SESSION_MS)?;
    }
    if let Some(grace_ms) = start.grace_ms {
        within(path, "grace_ms", grace_ms, 0..=MAX_GRACE_MS)?;
    }
    if let Some(label) = &start.label {
        bytes(path, "label", label, 0..=MAX_LABEL_BYTES)?;
    }
    Ok(())
}

fn session_extend(path: &str, extend: &SessionExtend) -> Checked {
    match extend.to {
        Extension::By(0) => Err(invalid(path, "by_ms", "0 moves nothing")),
        Extension::By(ms) if ms.unsigned_abs() > MAX_SESSION_MS => {
            let problem = format!("{ms} is not from -{MAX_SESSION_MS} to {MAX_SESSION_MS}");
            Err(invalid(path, "by_ms", &problem))
        }
        Extension::By(_) => Ok(()),
        Extension::To(at_ms) => instant(path, "ends_at_ms", Some(at_ms)),
    }
}

fn outlet_set(path: &str, set: &OutletSet) -> Checked {
    match set.for_ms {
        Some(ms) => within(path, "for_ms", ms, 1..=MAX_HOLD_MS),
        None if set.on => Err(invalid(path, "for_ms", "missing: what is held on has an end")),
        None => Ok(()),
    }
}

fn task_submit(path: &str, submit: &TaskSubmit) -> Checked {
    instant(path, "not_before_ms", submit.not_before_ms)?;
    within(path, "max_retries", submit.max_retries, 0..=MAX_RETRIES)?;
    within(path, "timeout_ms", submit.timeout_ms, 1..=MAX_TASK_MS)?;
    within(path, "backoff_max_ms", submit.backoff_max_ms, 0..=MAX_TASK_MS)?;
    if submit.backoff_ms > submit.backoff_max_ms {
        let (backoff, most) = (submit.backoff_ms, submit.backoff_max_ms);
        return Err(invalid(
            path,
            "backoff_ms",
            &format!("{backoff} is over backoff_max_ms, {most}"),
        ));
    }
    within(path, "priority", submit.priority, 0..=MAX_PRIORITY)?;
    match &submit.work {
        Work::Script(script) => script_name(path, &script.name),
        Work::OutletCycle(cycle) => within(path, "payload.off_ms", cycle.off_ms, 1..=MAX_TASK_MS),
        Work::Wait(wait) => within(path, "payload.wait_ms", wait.wait_ms, 0..=MAX_TASK_MS),
    }
}

/// One file in one folder: no separator can be in it, and it is neither hidden nor an option.
fn script_name(path: &str, name: &str) -> Checked {
    bytes(path, "payload.name", name, 1..=MAX_SCRIPT_NAME_BYTES)?;
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.starts_with(['.', '-']) || !name.bytes().all(legal) {
        let problem = format!(
            "{name:?} is not a script's name: A-Z a-z 0-9 . _ - and the first neither . nor -"
        );
        return Err(invalid(path, "payload.name", &problem));
    }
    Ok(())
}

fn schedule_put(path: &str, put: &SchedulePut) -> Checked {
    bytes(path, "cron", &put.cron, 1..=MAX_CRON_BYTES)?;
    let fields = put.cron.split_ascii_whitespace().count();
    if !(5..=6).contains(&fields) {
        return Err(invalid(path, "cron", &format!("{fields} fields: five, or six with seconds")));
    }
    bytes(path, "timezone", &put.timezone, 1..=MAX_TIMEZONE_BYTES)?;
    within(path, "max_late_ms", put.max_late_ms, 0..=MAX_LATE_MS)?;
    put.command.check(&format!("{path}.command.body"))
}

fn event_resend(path: &str, resend: EventResend) -> Checked {
    if resend.from_seq == 0 {
        return Err(invalid(path, "from_seq", "0 is no event: the first is 1"));
    }
    if resend.to_seq < resend.from_seq {
        let (from, to) = (resend.from_seq, resend.to_seq);
        return Err(invalid(path, "to_seq", &format!("{to} is below from_seq, {from}")));
    }
    Ok(())
}

fn instant(path: &str, name: &str, at_ms: Option<u64>) -> Checked {
    at_ms.map_or(Ok(()), |at_ms| within(path, name, at_ms, 0..=MAX_INSTANT_MS))
}

fn within<N: PartialOrd + Display>(
    path: &str,
    name: &str,
    value: N,
    range: RangeInclusive<N>,
) -> Checked {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(invalid(path, name, &format!("{value} is not from {least} to {most}")))
}

fn bytes(path: &str, name: &str, text: &str, range: RangeInclusive<usize>) -> Checked {
    if range.contains(&text.len()) {
        return Ok(());
    }
    let (size, (least, most)) = (text.len(), range.into_inner());
    Err(invalid(path, name, &format!("{size} bytes: from {least} to {most}")))
}

fn invalid(path: &str, name: &str, problem: &str) -> Refusal {
    Refusal::invalid(&format!("{path}.{name}"), problem)
}
