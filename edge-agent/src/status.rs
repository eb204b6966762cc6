//! What `edge-agent status` shows: the running agent's report, for a person or for a machine.

use std::fmt::Write as _;
use std::io::Write as _;

use edge_protocol::event::{Clock, Lease};
use edge_protocol::presence::OutletState;

use crate::local::Report;
use crate::span::said as span;

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
    if let Some(expiry) = expiry(report.certificate_expires_at_ms, state.at_ms) {
        let _ = writeln!(text, "identity {expiry}");
    }
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

/// From then on an operator is told that a certificate ends.
pub const EXPIRY_WARNING_MS: u64 = 30 * 24 * 3_600_000;

/// What to say of a certificate that has ended, or ends soon.
#[must_use]
pub fn expiry(expires_at_ms: u64, now_ms: u64) -> Option<String> {
    match expires_at_ms.checked_sub(now_ms) {
        None | Some(0) => Some("the certificate has expired: renew it".to_owned()),
        Some(rest_ms) if rest_ms <= EXPIRY_WARNING_MS => {
            Some(format!("the certificate expires in {}: renew it", span(rest_ms)))
        }
        Some(_) => None,
    }
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
    if let Some(percent) = outlet.worn_percent {
        let _ = write!(power, ", relay worn: {percent} % of its rated cycles");
    }
    if let Some(fault) = outlet.fault {
        let _ = write!(power, ", FAULT {fault:?}");
    }
    power
}

/// A line on standard output; a closed pipe is the reader's choice.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// An object on standard error, for machines.
pub fn complain_as_json(object: &serde_json::Value) {
    let _ = writeln!(std::io::stderr(), "{object}");
}

/// A line on standard error.
pub fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "edge-agent: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_of_from_30_days_before_its_end() {
        const DAY_MS: u64 = 24 * 3_600_000;
        let said = |rest_ms: u64| expiry(100 * DAY_MS, 100 * DAY_MS - rest_ms);
        assert_eq!(said(30 * DAY_MS + 1), None);
        assert_eq!(said(30 * DAY_MS).unwrap(), "the certificate expires in 30 d 0 h: renew it");
        assert_eq!(said(0).unwrap(), "the certificate has expired: renew it");
        assert_eq!(expiry(1, 2), said(0));
    }
}
