//! What an operator asks of a node, in one line each.

use edge_protocol::command::{
    EventResend, Extension, OutletSet, Request, Script, SessionEnd, SessionExtend, SessionRef,
    SessionStart, TaskSubmit, Wait, Work,
};

use crate::{of, start};

/// Starts `session` on `station` for so long.
///
/// # Panics
/// One of them is no id.
#[must_use]
pub fn start_on(station: &str, session: &str, duration_ms: u64) -> Request {
    let station = station.parse().expect("a legal id");
    Request::SessionStart(SessionStart { station, ..asked(session, duration_ms) })
}

/// Starts `session` on `pc-1` with a grace.
#[must_use]
pub fn start_with_grace(session: &str, duration_ms: u64, grace_ms: u64) -> Request {
    let grace_ms = Some(grace_ms);
    Request::SessionStart(SessionStart { grace_ms, ..asked(session, duration_ms) })
}

/// Starts `session` on `pc-1` with one warning.
#[must_use]
pub fn start_with_warning(session: &str, duration_ms: u64, before_ms: u64) -> Request {
    let warn_before_ms = Some(vec![before_ms]);
    Request::SessionStart(SessionStart { warn_before_ms, ..asked(session, duration_ms) })
}

fn asked(session: &str, duration_ms: u64) -> SessionStart {
    let Request::SessionStart(start) = start(session, duration_ms) else {
        unreachable!("it was just made")
    };
    start
}

/// Moves the deadline of `session`.
#[must_use]
pub fn extend(session: &str, by_ms: i64) -> Request {
    let SessionRef { session } = of(session);
    Request::SessionExtend(SessionExtend { session, to: Extension::By(by_ms) })
}

/// Ends `session` without its grace.
#[must_use]
pub fn end(session: &str) -> Request {
    let SessionRef { session } = of(session);
    Request::SessionEnd(SessionEnd { session, immediate: true, abandon: false })
}

/// Ends `session`, whatever its outlets say.
#[must_use]
pub fn abandon(session: &str) -> Request {
    let SessionRef { session } = of(session);
    Request::SessionEnd(SessionEnd { session, immediate: true, abandon: true })
}

/// Pauses `session`.
#[must_use]
pub fn pause(session: &str) -> Request {
    Request::SessionPause(of(session))
}

/// Resumes `session`.
#[must_use]
pub fn resume(session: &str) -> Request {
    Request::SessionResume(of(session))
}

/// Keeps `outlet` on for so long.
///
/// # Panics
/// `outlet` is no id.
#[must_use]
pub fn hold_on(outlet: &str, for_ms: u64) -> Request {
    let outlet = outlet.parse().expect("a legal id");
    Request::OutletSet(OutletSet { outlet, on: true, for_ms: Some(for_ms), force: false })
}

/// Queues a task that does nothing for so long.
#[must_use]
pub fn wait(task: &str, wait_ms: u64) -> Request {
    submit(task, Work::Wait(Wait { wait_ms }))
}

/// Queues a task that runs `script`.
#[must_use]
pub fn run(task: &str, script: &str) -> Request {
    submit(task, Work::Script(Script { name: script.to_owned(), args: serde_json::Map::new() }))
}

fn submit(task: &str, work: Work) -> Request {
    Request::TaskSubmit(TaskSubmit {
        task: task.parse().expect("a legal id"),
        work,
        not_before_ms: None,
        max_retries: 1_000,
        timeout_ms: 60_000,
        backoff_ms: 1,
        backoff_max_ms: 1,
        priority: 5,
    })
}

/// Asks for the events in this range again.
#[must_use]
pub fn resend(from_seq: u64, to_seq: u64) -> Request {
    Request::EventResend(EventResend { from_seq, to_seq })
}
