//! What waited at the broker must not act late; instants on an unsynced clock.

use edge_protocol::event::Code;
use serde_json::{Value, json};

use crate::node::Input;
use crate::node::trial::{Batch, Trial, WALL_MS};

fn hold() -> Value {
    json!({"outlet": "plug-1", "on": true, "for_ms": 60_000})
}

/// Sends a command whose envelope has these instants.
fn send(trial: &mut Trial, kind: &str, body: Value, envelope: Value) -> Batch {
    let id = format!("e{}", trial.now.boot.0);
    let mut command = json!({"id": id, "type": kind, "body": body});
    let Value::Object(envelope) = envelope else { panic!("not a map") };
    command.as_object_mut().unwrap().extend(envelope);
    trial.now.boot.0 += 1;
    trial.message(command.to_string())
}

#[test]
fn a_command_does_not_act_from_its_expiry_on() {
    let mut trial = Trial::new();
    let at = |at: u64| json!({"expires_at_ms": at});
    let late = send(&mut trial, "node.report", json!({}), at(WALL_MS));
    assert_eq!((late.code(), late.acknowledged().len()), (Some(Code::Expired), 1));
    assert_eq!(send(&mut trial, "node.report", json!({}), at(WALL_MS + 1)).code(), None);
}

#[test]
fn a_powering_command_expires_a_minute_after_its_issue_where_it_names_no_expiry() {
    for (age_ms, code) in [(59_999, None), (60_000, Some(Code::Expired))] {
        let mut trial = Trial::new();
        let issued = json!({"issued_at_ms": WALL_MS - age_ms});
        assert_eq!(send(&mut trial, "outlet.set", hold(), issued.clone()).code(), code);
        let start = json!({"session": "s", "station": "pc-2", "duration_ms": 60_000});
        assert_eq!(send(&mut trial, "session.start", start, issued.clone()).code(), code);
        let payload = json!({"outlet": "plug-1", "off_ms": 1});
        let cycle = json!({"task": "t", "kind": "outlet.cycle", "payload": payload});
        assert_eq!(send(&mut trial, "task.submit", cycle, issued).code(), code);
    }
}

#[test]
fn a_named_expiry_is_the_only_one_and_what_powers_nothing_has_none_of_its_own() {
    let mut trial = Trial::new();
    let old = json!({"issued_at_ms": WALL_MS - 3_600_000});
    let off = json!({"outlet": "plug-1", "on": false});
    assert_eq!(send(&mut trial, "outlet.set", off, old).code(), None);
    let patient = json!({"issued_at_ms": WALL_MS - 3_600_000, "expires_at_ms": WALL_MS + 9});
    assert_eq!(send(&mut trial, "outlet.set", hold(), patient).code(), None);
}

#[test]
fn an_unsynced_node_judges_by_the_lowest_time_it_can_be() {
    let mut trial = Trial::unsynced();
    let seen_expired = json!({"expires_at_ms": WALL_MS});
    assert_eq!(send(&mut trial, "outlet.set", hold(), seen_expired).code(), Some(Code::Expired));
    let from_the_future = json!({"issued_at_ms": WALL_MS + 86_400_000});
    assert_eq!(send(&mut trial, "outlet.set", hold(), from_the_future).code(), None);
}

#[test]
fn an_unsynced_node_rejects_a_powering_command_that_the_broker_had_queued() {
    let mut trial = Trial::unsynced();
    let fresh = json!({"issued_at_ms": WALL_MS + 86_400_000});
    trial.step(Input::Up { session_present: true });
    trial.pass(4_900);
    let queued = send(&mut trial, "outlet.set", hold(), fresh.clone());
    assert_eq!(queued.code(), Some(Code::Expired));
    let off = json!({"outlet": "plug-1", "on": false});
    assert_eq!(send(&mut trial, "outlet.set", off, fresh.clone()).code(), None);
    trial.pass(200);
    assert_eq!(send(&mut trial, "outlet.set", hold(), fresh.clone()).code(), None);

    trial.step(Input::Down);
    trial.step(Input::Up { session_present: false });
    assert_eq!(send(&mut trial, "outlet.set", hold(), fresh).code(), None, "nothing waited");
}

#[test]
fn a_synced_node_trusts_its_clock_right_after_a_connect() {
    let mut trial = Trial::new();
    trial.up();
    let fresh = json!({"issued_at_ms": WALL_MS});
    assert_eq!(send(&mut trial, "outlet.set", hold(), fresh).code(), None);
}

#[test]
fn instants_count_from_the_issue_while_the_clock_is_unsynced_and_need_it() {
    let mut trial = Trial::unsynced();
    let issued = WALL_MS + 86_400_000;
    let wait = |task: &str| {
        let payload = json!({"wait_ms": 1});
        json!({"task": task, "kind": "wait", "payload": payload, "not_before_ms": issued + 9_000})
    };
    let missing = send(&mut trial, "task.submit", wait("a"), json!({}));
    let (code, message) = missing.rejection().unwrap();
    assert_eq!(code, Code::Invalid);
    assert!(message.starts_with("body.not_before_ms"), "{message}");

    let taken = send(&mut trial, "task.submit", wait("b"), json!({"issued_at_ms": issued}));
    assert_eq!(taken.code(), None);
    assert_eq!(trial.pass(8_900).kinds(), [""; 0]);
    assert!(trial.pass(200).kinds().contains(&"task.started"));
}

#[test]
fn instants_stand_as_they_are_on_a_synced_clock() {
    let mut trial = Trial::new();
    let payload = json!({"wait_ms": 1});
    let wait =
        json!({"task": "t", "kind": "wait", "payload": payload, "not_before_ms": WALL_MS + 5_000});
    send(&mut trial, "task.submit", wait, json!({"issued_at_ms": WALL_MS - 3_000}));
    assert_eq!(trial.pass(4_900).kinds(), [""; 0]);
    assert!(trial.pass(200).kinds().contains(&"task.started"));
}
