//! Each command gets one answer, on disk before it is acknowledged.

use edge_protocol::event::Code;
use serde_json::{Value, json};

use crate::node::record::Kind;
use crate::node::trial::{Batch, Trial};

fn wait(task: &str) -> Value {
    json!({"task": task, "kind": "wait", "payload": {"wait_ms": 1}})
}

/// The kinds of rows that a batch writes.
fn rows(batch: &Batch) -> Vec<Kind> {
    let key = |write: &crate::node::record::Write| match write {
        crate::node::record::Write::Put { key, .. } => Kind::of(key).unwrap().0,
        crate::node::record::Write::Delete { key } => panic!("deletes {key:?}"),
    };
    batch.writes.iter().map(key).collect()
}

#[test]
fn the_answer_the_effect_and_the_memory_of_it_are_one_batch_and_the_acknowledgement_waits_for_it() {
    let mut trial = Trial::new();
    let batch = trial.send("task.submit", wait("t"));
    let written = rows(&batch);
    for kind in [Kind::Task, Kind::Run, Kind::Command, Kind::Event] {
        assert!(written.contains(&kind), "{kind:?} in {written:?}");
    }
    assert_eq!(batch.kinds()[0], "command.accepted");
    assert_eq!(batch.acknowledged(), [1]);
}

#[test]
fn a_command_that_starts_a_session_is_answered_in_the_batch_that_writes_the_session() {
    let mut trial = Trial::new();
    let body = json!({"session": "s", "station": "pc-1", "duration_ms": 60_000});
    let batch = trial.send("session.start", body);
    assert!(rows(&batch).contains(&Kind::Session));
    assert_eq!((batch.kinds()[0], batch.acknowledged()), ("command.accepted", vec![1]));
}

#[test]
fn the_answer_comes_before_what_the_command_led_to_and_both_name_it() {
    let mut trial = Trial::new();
    let batch = trial.send_as("cmd-7", "task.submit", wait("t"));
    assert_eq!(batch.kinds()[..2], ["command.accepted", "task.queued"]);
    assert_eq!(batch.cause("command.accepted"), "cmd-7");
    assert_eq!(batch.cause("task.queued"), "cmd-7");
}

#[test]
fn a_rejected_command_is_answered_on_disk_remembered_and_acknowledged_too() {
    let mut trial = Trial::new();
    let batch = trial.send("task.cancel", json!({"task": "none"}));
    assert_eq!(batch.kinds(), ["command.rejected"]);
    assert_eq!((batch.code(), batch.acknowledged()), (Some(Code::UnknownTask), vec![1]));
    assert!(rows(&batch).contains(&Kind::Command));
}

#[test]
fn a_repeated_id_has_no_second_effect_whatever_its_body_and_is_answered_again() {
    let mut trial = Trial::new();
    trial.send_as("c", "task.submit", wait("t"));
    let batch = trial.send_as("c", "task.submit", wait("other"));
    assert_eq!(batch.kinds(), ["command.accepted"]);
    assert_eq!(batch.body("command.accepted"), json!({"command": "c", "repeat": true}));
    assert_eq!(batch.acknowledged(), [2]);
    let again = trial.send_as("c", "session.start", json!({"nonsense": 1}));
    assert_eq!((again.events.len(), again.acknowledged()), (0, vec![3]), "within the minute");
    assert_eq!(trial.rows(Kind::Task), ["t"]);
}

#[test]
fn a_repeated_command_is_answered_again_at_most_once_a_minute() {
    let mut trial = Trial::new();
    trial.send_as("c", "task.cancel", json!({"task": "none"}));
    let mut answered = Vec::new();
    for second in 0..130_u64 {
        let batch = trial.send_as("c", "node.report", json!({}));
        answered.extend((!batch.events.is_empty()).then_some(second));
        if let Some(rejection) = batch.rejection() {
            assert_eq!(rejection, (Code::UnknownTask, "there is no task none".to_owned()));
            assert_eq!(batch.body("command.rejected")["repeat"], json!(true));
        }
        trial.pass(1_000);
    }
    assert_eq!(answered, [0, 60, 120]);
}

#[test]
fn a_command_is_answered_as_before_after_a_restart_and_has_no_second_effect() {
    let mut trial = Trial::new();
    trial.send_as("yes", "task.submit", wait("t"));
    trial.send_as("no", "task.retry", json!({"task": "none"}));
    trial.restart();
    let yes = trial.send_as("yes", "task.submit", wait("t"));
    assert_eq!(yes.body("command.accepted"), json!({"command": "yes", "repeat": true}));
    let no = trial.send_as("no", "task.retry", json!({"task": "none"}));
    assert_eq!(no.body("command.rejected")["code"], json!("unknown_task"));
    assert_eq!(no.body("command.rejected")["repeat"], json!(true));
}

#[test]
fn busy_is_not_remembered() {
    let mut trial = Trial::with(|settings| {
        settings.tasks.max_queued = 1;
        settings.tasks.concurrency = 1;
    });
    for task in ["running", "a"] {
        trial.send("task.submit", wait(task));
    }
    assert_eq!(trial.send_as("c", "task.submit", wait("b")).code(), Some(Code::Busy));
    trial.send("task.cancel", json!({"task": "a"}));
    let second = trial.send_as("c", "task.submit", wait("b"));
    assert_eq!(second.body("command.accepted"), json!({"command": "c"}));
}

#[test]
fn malformed_and_too_large_have_no_command_no_cause_and_are_not_remembered() {
    let mut trial = Trial::new();
    let large = format!(r#"{{"id":"c","type":"node.report","body":"{}"}}"#, "x".repeat(65_536));
    let deep = format!(
        r#"{{"id":"c","type":"node.report","body":{}1{}}}"#,
        "[".repeat(16),
        "]".repeat(16)
    );
    for (message, code) in [
        ("hello", "malformed"),
        (r#"{"id":"-","type":"node.report"}"#, "malformed"),
        (&deep, "malformed"),
        (&large, "too_large"),
    ] {
        for _ in 0..2 {
            let batch = trial.message(message);
            let body = batch.body("command.rejected");
            assert_eq!((&body["code"], &body["command"]), (&json!(code), &Value::Null));
            assert_eq!(body.get("repeat"), None);
            assert_eq!(batch.events[0].cause, None);
            assert_eq!(batch.acknowledged().len(), 1, "or it would come back for ever");
        }
    }
    assert_eq!(trial.rows(Kind::Command), [""; 0]);
}

#[test]
fn a_retained_command_is_invalid_and_a_retained_repeat_is_a_repeat() {
    let mut trial = Trial::new();
    let report = r#"{"id":"c","type":"node.report"}"#;
    trial.arrive(report, true);
    let batch = trial.settle();
    assert_eq!((batch.code(), batch.acknowledged()), (Some(Code::Invalid), vec![1]));
    assert_eq!(trial.message(report).body("command.rejected")["repeat"], json!(true));
    trial.send_as("d", "node.report", json!({}));
    trial.arrive(r#"{"id":"d","type":"node.report"}"#, true);
    assert_eq!(trial.settle().body("command.accepted")["repeat"], json!(true));
}

#[test]
fn many_commands_of_one_batch_are_answered_in_their_order() {
    let mut trial = Trial::new();
    for name in ["a", "b", "c"] {
        let command = json!({"id": name, "type": "task.submit", "body": wait(name)});
        trial.arrive(command.to_string(), false);
    }
    let batch = trial.settle();
    assert_eq!(batch.acknowledged(), [1, 2, 3]);
    let answers = ["command.accepted", "task.queued"];
    assert_eq!(batch.kinds()[..6], [answers, answers, answers].concat());
}
