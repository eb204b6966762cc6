//! What `edge-agent status` shows: the running agent's report, for a person or for a machine.

use std::fmt::Write as _;
use std::io::Write as _;

use edge_protocol::event::{Clock, Lease};
use edge_protocol::presence::OutletState;

use crate::local::Report;

/// One JSON object.
#[must_use]
pub fn json(report: &Report) -> String {
    serde_json::to_string(report).expect("a report has string keys only")
}

/// A few lines for a terminal.
#[must_use]
pub fn text(report: &Report) -> String {
    let state = &report.state;
    let mut text = format!("{}  edge-agent {}\n", state.node, report.version);
    let broker = match &report.offline_because {
        None => "connected".to_owned(),
        Some(reason) => format!("not connected: {reason}"),
    };
    let clock = match report.clock {
        Clock::Synced => "synced",
        Clock::Unsynced => "not synced",
    };
    let queues = state.queues;
    let _ = writeln!(text, "broker   {broker}");
    let _ = writeln!(text, "clock    {clock}");
    let _ =
        writeln!(text, "tasks    {} queued, {} running", queues.tasks_queued, queues.tasks_running);
    let _ = writeln!(
        text,
        "events   {} wait for the broker ({} bytes)",
        queues.outbox_events, queues.outbox_bytes
    );
    for session in &state.sessions {
        let rest = session.remaining_ms.map_or(String::new(), |ms| format!(", {} left", span(ms)));
        let _ = writeln!(
            text,
            "session  {} on {}: {}{rest}",
            session.session, session.station, session.phase
        );
    }
    for schedule in &state.schedules {
        let next = schedule.next_at_ms.map_or_else(
            || "waits for a synced clock".to_owned(),
            |at_ms| format!("next in {}", span(at_ms.saturating_sub(state.at_ms))),
        );
        let _ = writeln!(text, "schedule {}: {next}", schedule.schedule);
    }
    for outlet in &state.outlets {
        let _ = writeln!(text, "outlet   {}: {}", outlet.outlet, power(outlet, state.at_ms));
    }
    text.truncate(text.trim_end().len());
    text
}

fn power(outlet: &OutletState, at_ms: u64) -> String {
    let mut power = match outlet.on {
        Some(true) => "on".to_owned(),
        Some(false) => "off".to_owned(),
        None => "not reached yet".to_owned(),
    };
    if let (Lease::Armed | Lease::Stale, Some(off_at_ms)) = (outlet.lease, outlet.off_at_ms) {
        let _ = write!(power, ", cuts itself in {}", span(off_at_ms.saturating_sub(at_ms)));
    }
    if let Some(hold) = &outlet.hold {
        let _ = write!(power, ", held {}", if hold.on { "on" } else { "off" });
    }
    if let Some(fault) = outlet.fault {
        let _ = write!(power, ", FAULT {fault:?}");
    }
    power
}

/// Hours, minutes and seconds, without those that are 0 in front.
fn span(ms: u64) -> String {
    let seconds = ms.div_ceil(1_000);
    match (seconds / 3_600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

/// A line on standard output; a closed pipe is the reader's choice.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line on standard error.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "edge-agent: {line}");
}
