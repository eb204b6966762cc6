//! A node's rejection of a command, in a sentence that says what to do.

use edge_protocol::event::{Code, CommandRejected, Event};
use edge_protocol::presence::Status;

use super::goal::Scene;
use crate::command::{REJECTED, TIMED_OUT};
use crate::plain::plain;
use crate::span::about;

/// Beyond this, the two clocks are told to differ.
const CLOCKS_DIFFER_MS: u64 = 5_000;

/// The exit code: what may work later is told apart from what will not.
pub(super) fn exit_code(code: Code) -> u8 {
    match code {
        Code::Busy => TIMED_OUT,
        Code::Malformed
        | Code::TooLarge
        | Code::Unsupported
        | Code::Invalid
        | Code::Expired
        | Code::Unauthorized
        | Code::UnknownStation
        | Code::UnknownOutlet
        | Code::UnknownSession
        | Code::UnknownTask
        | Code::UnknownSchedule
        | Code::Conflict
        | Code::Unpowered => REJECTED,
    }
}

/// The sentence.
pub(super) fn said(rejected: &CommandRejected, event: &Event, scene: &Scene<'_>) -> String {
    let code = serde_json::to_value(rejected.code).unwrap_or_default();
    let code = code.as_str().unwrap_or_default();
    let message = plain(&rejected.message);
    let advice = advice(rejected.code, event, scene).map_or_else(String::new, |a| format!(". {a}"));
    format!("{} rejects it ({code}): {message}{advice}", scene.node)
}

fn advice(code: Code, event: &Event, scene: &Scene<'_>) -> Option<String> {
    let state = scene.picture.state.as_ref();
    let names = |what: &str, names: Vec<String>| {
        if names.is_empty() {
            format!("It has no {what}")
        } else {
            format!("Its {what}: {}", names.join(", "))
        }
    };
    match code {
        Code::Expired => {
            let apart = event.at_ms.abs_diff(scene.now_ms);
            let side = if event.at_ms < scene.now_ms { "behind" } else { "ahead of" };
            (apart > CLOCKS_DIFFER_MS).then(|| {
                format!(
                    "The node's clock is {} {side} this machine's: correct the wrong one",
                    about(apart)
                )
            })
        }
        Code::Busy => Some("Try again later".to_owned()),
        Code::Unsupported => match &scene.picture.status {
            Some(Status::Online(online)) => {
                Some(format!("It runs edge-agent {}", plain(&online.version)))
            }
            Some(Status::Offline(_)) | None => None,
        },
        Code::UnknownStation => state.map(|state| {
            names("stations", state.stations.iter().map(|s| s.station.to_string()).collect())
        }),
        Code::UnknownOutlet => state.map(|state| {
            names("outlets", state.outlets.iter().map(|o| o.outlet.to_string()).collect())
        }),
        Code::UnknownSession => state.map(|state| {
            let on = |s: &edge_protocol::presence::SessionState| {
                format!("{} on {}", s.session, s.station)
            };
            names("sessions", state.sessions.iter().map(on).collect())
        }),
        Code::Malformed
        | Code::TooLarge
        | Code::Invalid
        | Code::Unauthorized
        | Code::UnknownTask
        | Code::UnknownSchedule
        | Code::Conflict
        | Code::Unpowered => None,
    }
}
