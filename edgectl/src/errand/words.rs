//! What went wrong on the way to a node, and what to do about it.

use edge_protocol::id::NodeId;
use edge_protocol::presence::Status;
use edgectl::control::ConnectError;

use super::goal::Scene;
use crate::command::{CONFIG, Failure, NO_PERMISSION, UNAVAILABLE};
use crate::instant;

/// What to do about a broker that gives each certificate one client id.
const ONE_AT_A_TIME: &str = "use a certificate for each edgectl that runs at a time, or let the broker keep client ids (see docs/edgectl.md)";

/// Why there is no connection.
pub(super) fn no_connection(error: &ConnectError) -> Failure {
    let (code, advice) = match error {
        ConnectError::Certificates { .. } => (CONFIG, "`edgectl profile check` looks at them"),
        ConnectError::Refused { .. } => {
            (UNAVAILABLE, "is the broker running, and is `broker` in the profile right?")
        }
        ConnectError::TakenOver { .. } => (UNAVAILABLE, ONE_AT_A_TIME),
        ConnectError::Distrusted { .. } => {
            (NO_PERMISSION, "`edgectl profile check` looks at `ca`, `cert` and `key`")
        }
    };
    Failure::new(code, format!("{error}; {advice}"))
}

/// The broker gave the connection to another client.
pub(crate) fn taken_over() -> String {
    format!("another client of the same certificate took this connection over; {ONE_AT_A_TIME}")
}

/// The broker does not let this operator write commands.
pub(super) fn no_right(node: &NodeId, reason: &str) -> Failure {
    Failure::new(
        NO_PERMISSION,
        format!(
            "the broker does not let this certificate send commands to {node} ({reason}): its rights are the broker's to give"
        ),
    )
}

/// Why the node will not take the command at once, where it will not.
pub(super) fn why_it_waits(scene: &Scene<'_>) -> Option<String> {
    let node = scene.node;
    if let Some(absence) = scene.picture.absence(scene.now_ms) {
        return Some(format!("{node} is {absence}"));
    }
    match &scene.picture.status {
        Some(Status::Online(online)) if !online.accepting => {
            Some(format!("{node} takes no commands now, since its disk or its queue is full"))
        }
        Some(Status::Online(_) | Status::Offline(_)) | None => None,
    }
}

/// Nobody answered in time.
pub(super) fn no_answer(scene: &Scene<'_>, limit: &str, expires_at_ms: u64) -> String {
    let node = scene.node;
    let fate = if scene.now_ms + 1_000 >= expires_at_ms {
        "the command has expired and will not act any more".to_owned()
    } else {
        let until = instant::said(expires_at_ms, scene.now_ms);
        format!("the command waits at the broker until {until}")
    };
    match why_it_waits(scene) {
        Some(why) => format!("{why}, and has not answered within {limit}; {fate}"),
        None => format!(
            "{node} is connected but has not answered within {limit}; if it has not acted by now, {fate}"
        ),
    }
}

/// The broker keeps nothing for the node.
pub(super) fn nobody(scene: &Scene<'_>) -> String {
    let absence = scene.picture.absence(scene.now_ms);
    let absence = absence.unwrap_or_else(|| "not subscribed to its commands".to_owned());
    format!(
        "the broker keeps no commands for {}: it is {absence}, and its session there is over. Nothing was sent; try again when it is back",
        scene.node
    )
}
