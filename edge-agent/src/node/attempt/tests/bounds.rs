//! The queue is bounded, and ids are remembered (section 7.5).

use edge_protocol::event::Code;
use serde_json::{Value, json};

use crate::node::record::Kind;
use crate::node::trial::{Trial, failed};

fn wait(task: &str) -> Value {
    json!({"task": task, "kind": "wait", "payload": {"wait_ms": 3_600_000}, "timeout_ms": 7_200_000})
}

fn script(task: &str, bytes: usize) -> Value {
    let payload = json!({"name": "there.sh", "args": {"text": "x".repeat(bytes)}});
    json!({"task": task, "kind": "script", "payload": payload, "max_retries": 0})
}

#[test]
fn past_the_number_of_tasks_a_submit_is_busy() {
    let mut trial = Trial::with(|settings| settings.tasks.max_queued = 1);
    // Two of them run, and only the third waits.
    for task in ["a", "b", "c"] {
        trial.accept("task.submit", wait(task));
    }
    assert_eq!(trial.send("task.submit", wait("d")).code(), Some(Code::Busy));
    trial.accept("task.cancel", json!({"task": "a"}));
    trial.accept("task.submit", wait("d"));
}

#[test]
fn past_the_bytes_of_tasks_a_submit_is_busy() {
    let mut trial = Trial::with(|settings| settings.tasks.max_bytes = 100_000);
    trial.scripts(&["there.sh"]);
    trial.accept("task.submit", script("a", 50_000));
    assert_eq!(trial.send("task.submit", script("b", 50_000)).code(), Some(Code::Busy));
    trial.accept("task.submit", script("c", 40_000));
}

#[test]
fn a_retry_needs_room_too() {
    let mut trial = Trial::with(|settings| settings.tasks.max_bytes = 100_000);
    trial.scripts(&["there.sh"]);
    trial.accept("task.submit", script("a", 60_000));
    trial.script("a", 1, failed("no"));
    trial.accept("task.submit", script("b", 60_000));
    assert_eq!(trial.send("task.retry", json!({"task": "a"})).code(), Some(Code::Busy));
    trial.script("b", 1, failed("no"));
    trial.accept("task.retry", json!({"task": "a"}));
}

#[test]
fn a_tasks_id_can_not_be_used_again_within_the_last_thousand_ended() {
    let mut trial = Trial::new();
    for number in 0..=1_000 {
        let task = format!("t{number}");
        trial.accept("task.submit", wait(&task));
        trial.accept("task.cancel", json!({"task": task}));
        trial.now.boot.0 += 1;
    }
    trial.run();
    assert_eq!(trial.send("task.submit", wait("t1")).code(), Some(Code::Conflict));
    assert_eq!(trial.send("task.cancel", json!({"task": "t0"})).code(), Some(Code::UnknownTask));
    trial.accept("task.submit", wait("t0"));
    assert_eq!(trial.rows(Kind::Run).len(), 1_001);
    assert_eq!(trial.rows(Kind::Task), ["t0"]);
}

#[test]
fn a_tasks_id_can_be_used_again_seven_days_after_its_end() {
    let mut trial = Trial::new();
    trial.accept("task.submit", wait("t"));
    trial.accept("task.cancel", json!({"task": "t"}));
    trial.restart();
    let days = |days: u64| days * 24 * 3_600_000;
    trial.now.boot = trial.now.boot + (days(7) - 1);
    trial.now.wall_ms += days(7) - 1;
    trial.run();
    assert_eq!(trial.send("task.submit", wait("t")).code(), Some(Code::Conflict));
    trial.now.boot.0 += 1;
    trial.now.wall_ms += 1;
    trial.run();
    trial.accept("task.submit", wait("t"));
}

#[test]
fn ten_thousand_waiting_tasks_cost_a_command_nothing() {
    let mut trial = Trial::new();
    let later = trial.now.wall_ms + 3_600_000;
    for number in 0..9_999 {
        let mut task = wait(&format!("t{number}"));
        task["not_before_ms"] = json!(later);
        trial.send("task.submit", task);
    }
    let batch = trial.send("task.submit", wait("last"));
    // Its own rows, its answer's, its events' and the outbox's marks; no other task's.
    assert_eq!(batch.writes.len(), 8, "{:#?}", batch.kinds());
    assert_eq!(trial.node.state().queues.tasks_queued, 9_999);
}

#[test]
fn a_failed_task_whose_work_was_given_up_is_forgotten_for_a_retry_but_its_id_is_taken() {
    let mut trial = Trial::new();
    trial.scripts(&["there.sh"]);
    for number in 0..150 {
        let task = format!("t{number}");
        trial.accept("task.submit", script(&task, 60_000));
        trial.script(&task, 1, failed("no"));
        trial.now.boot.0 += 1;
    }
    assert_eq!(trial.send("task.retry", json!({"task": "t0"})).code(), Some(Code::UnknownTask));
    assert_eq!(trial.send("task.submit", wait("t0")).code(), Some(Code::Conflict));
    let kept = trial.rows(Kind::Task).len();
    assert!((100..150).contains(&kept), "{kept}");
    trial.restart();
    assert_eq!(trial.send("task.retry", json!({"task": "t0"})).code(), Some(Code::UnknownTask));
    trial.accept("task.retry", json!({"task": "t149"}));
}
