//! Every code of a rejection, where its command can earn it.

use edge_protocol::event::Code;
use serde_json::{Value, json};

use crate::node::trial::{Trial, failed};

#[track_caller]
fn earns(trial: &mut Trial, kind: &str, body: Value, code: Code) -> String {
    let told = format!("{kind} {body}");
    let batch = trial.send(kind, body);
    let Some((found, message)) = batch.rejection() else { panic!("{told} was accepted") };
    assert_eq!(found, code, "{told}: {message}");
    message
}

fn script(task: &str) -> Value {
    json!({"task": task, "kind": "script", "payload": {"name": "there.sh"}, "max_retries": 0})
}

#[test]
fn what_does_not_exist_is_named_so() {
    let mut trial = Trial::new();
    let times = json!({"session": "s", "station": "bath", "duration_ms": 1_000});
    earns(&mut trial, "session.start", times, Code::UnknownStation);
    for kind in ["session.pause", "session.resume", "session.end"] {
        earns(&mut trial, kind, json!({"session": "s"}), Code::UnknownSession);
    }
    let extend = json!({"session": "s", "by_ms": 1});
    earns(&mut trial, "session.extend", extend, Code::UnknownSession);
    let transfer = |station: &str| json!({"session": "s", "station": station});
    earns(&mut trial, "session.transfer", transfer("pc-1"), Code::UnknownSession);
    earns(&mut trial, "session.transfer", transfer("bath"), Code::UnknownStation);
    let set = json!({"outlet": "oven", "on": false});
    earns(&mut trial, "outlet.set", set, Code::UnknownOutlet);
    earns(&mut trial, "outlet.release", json!({"outlet": "oven"}), Code::UnknownOutlet);
    let cycle =
        json!({"task": "t", "kind": "outlet.cycle", "payload": {"outlet": "oven", "off_ms": 1}});
    earns(&mut trial, "task.submit", cycle, Code::UnknownOutlet);
    earns(&mut trial, "task.cancel", json!({"task": "t"}), Code::UnknownTask);
    earns(&mut trial, "task.retry", json!({"task": "t"}), Code::UnknownTask);
}

#[test]
fn an_unknown_type_or_kind_of_task_is_unsupported() {
    let mut trial = Trial::new();
    earns(&mut trial, "session.swap", json!({}), Code::Unsupported);
    let camera = json!({"task": "t", "kind": "camera.shoot", "payload": {}});
    earns(&mut trial, "task.submit", camera, Code::Unsupported);
}

#[test]
fn what_is_out_of_range_is_invalid_and_the_message_names_it() {
    let mut trial = Trial::new();
    let forever = json!({"outlet": "plug-1", "on": true});
    assert!(earns(&mut trial, "outlet.set", forever, Code::Invalid).contains("body.for_ms"));
    let ahead = json!({"from_seq": 1, "to_seq": 99});
    assert!(earns(&mut trial, "event.resend", ahead, Code::Invalid).contains("body.to_seq"));
    let times = json!({"session": "s", "station": "pc-1", "ends_at_ms": 5});
    let message = earns(&mut trial, "session.start", times, Code::Invalid);
    assert!(message.contains("body.ends_at_ms"), "{message}");
}

#[test]
fn a_script_that_is_not_there_is_invalid() {
    let mut trial = Trial::new();
    let message = earns(&mut trial, "task.submit", script("t"), Code::Invalid);
    assert!(message.contains("body.payload.name"), "{message}");
    trial.scripts(&["there.sh"]);
    trial.accept("task.submit", script("t"));
    trial.scripts(&[]);
    earns(&mut trial, "task.submit", script("u"), Code::Invalid);
}

#[test]
fn a_powering_command_without_issue_or_expiry_is_invalid() {
    let mut trial = Trial::new();
    let body = json!({"outlet": "plug-1", "on": true, "for_ms": 1});
    let command = json!({"id": "c", "type": "outlet.set", "body": body});
    assert_eq!(trial.message(command.to_string()).code(), Some(Code::Invalid));
}

#[test]
fn what_the_state_does_not_allow_is_a_conflict() {
    let mut trial = Trial::new();
    trial.scripts(&["there.sh"]);
    let start = |session: &str, station: &str| json!({"session": session, "station": station, "duration_ms": 60_000});
    trial.accept("session.start", start("s", "pc-1"));
    earns(&mut trial, "session.start", start("s", "pc-2"), Code::Conflict);
    earns(&mut trial, "session.start", start("other", "pc-1"), Code::Conflict);
    let hold = json!({"outlet": "plug-1", "on": false});
    earns(&mut trial, "outlet.set", hold, Code::Conflict);
    trial.accept("session.end", json!({"session": "s"}));
    earns(&mut trial, "session.end", json!({"session": "s"}), Code::Conflict);
    earns(&mut trial, "session.start", start("s", "pc-1"), Code::Conflict);

    trial.accept("task.submit", script("t"));
    earns(&mut trial, "task.submit", script("t"), Code::Conflict);
    earns(&mut trial, "task.retry", json!({"task": "t"}), Code::Conflict);
    trial.script("t", 1, failed("no"));
    earns(&mut trial, "task.cancel", json!({"task": "t"}), Code::Conflict);
    earns(&mut trial, "task.submit", script("t"), Code::Conflict);
    trial.accept("task.retry", json!({"task": "t"}));
}

#[test]
fn an_ended_session_is_a_conflict_while_it_is_remembered_and_unknown_after_that() {
    let mut trial = Trial::new();
    let start =
        |session: &str| json!({"session": session, "station": "pc-1", "duration_ms": 9_000});
    trial.accept("session.start", start("first"));
    trial.accept("session.end", json!({"session": "first"}));
    trial.restart();
    earns(&mut trial, "session.end", json!({"session": "first"}), Code::Conflict);
    for number in 0..1_000 {
        let session = format!("s{number}");
        trial.accept("session.start", start(&session));
        trial.accept("session.end", json!({"session": session}));
    }
    earns(&mut trial, "session.end", json!({"session": "first"}), Code::UnknownSession);
    earns(&mut trial, "session.end", json!({"session": "s0"}), Code::Conflict);
    trial.accept("session.start", start("first"));
}

#[test]
fn more_resends_than_can_wait_are_busy() {
    let mut trial = Trial::new();
    trial.up();
    for seq in 1..=trial.node.state().queues.last_seq {
        trial.step(crate::node::Input::Delivered { seq });
    }
    trial.step(crate::node::Input::Down);
    for _ in 0..16 {
        trial.accept("event.resend", json!({"from_seq": 1, "to_seq": 1}));
    }
    earns(&mut trial, "event.resend", json!({"from_seq": 1, "to_seq": 1}), Code::Busy);
}
