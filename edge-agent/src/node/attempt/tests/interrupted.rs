//! What a crash and an orderly stop make of attempts (section 7.2).

use serde_json::{Value, json};

use crate::node::ScriptOutcome;
use crate::node::record::Kind;
use crate::node::trial::Trial;

fn script() -> Value {
    json!({"name": "there.sh"})
}

fn trial(more: Value) -> Trial {
    let mut trial = Trial::new();
    trial.scripts(&["there.sh"]);
    trial.submit("t", "script", script(), more);
    trial
}

#[test]
fn an_attempt_that_a_crash_interrupted_counts() {
    let mut trial = trial(json!({"max_retries": 1, "backoff_ms": 0, "backoff_max_ms": 0}));
    let batch = trial.restart();
    let told = batch.body("task.retrying");
    assert_eq!((&told["attempt"], told.get("duration_ms")), (&json!(1), None));
    assert_eq!(batch.runs(), [("t".to_owned(), 2)]);
    let batch = trial.restart();
    assert_eq!(batch.body("task.failed")["attempt"], json!(2));
    assert_eq!(batch.runs(), []);
}

#[test]
fn a_task_is_attempted_at_least_once_though_a_crash_came_first() {
    let mut trial = Trial::new();
    trial.scripts(&["there.sh"]);
    let later = json!({"not_before_ms": trial.now.wall_ms + 1_000, "max_retries": 0});
    trial.submit("t", "script", script(), later);
    trial.restart();
    assert_eq!(trial.pass(1_000).runs(), [("t".to_owned(), 1)]);
}

#[test]
fn an_attempt_that_an_orderly_stop_interrupted_does_not_count() {
    let mut trial = trial(json!({"max_retries": 0}));
    for _ in 0..3 {
        trial.step(crate::node::Input::Stop);
        let last = trial.settle();
        assert!(last.kills("t"));
        let batch = trial.restart();
        assert_eq!(batch.runs(), [("t".to_owned(), 1)]);
    }
}

#[test]
fn a_running_wait_starts_over_after_an_orderly_stop() {
    let mut trial = Trial::new();
    trial.submit("t", "wait", json!({"wait_ms": 5_000}), json!({"max_retries": 0}));
    trial.pass(4_000);
    trial.stop_and_start();
    assert_eq!(trial.pass(4_900).kinds(), [""; 0]);
    assert_eq!(trial.pass(100).kinds(), ["task.succeeded"]);
}

#[test]
fn a_script_that_was_to_end_when_the_agent_did_is_cancelled() {
    for orderly in [true, false] {
        let mut trial = trial(json!({}));
        trial.send_as("stop-it", "task.cancel", json!({"task": "t"}));
        let batch = if orderly { trial.stop_and_start() } else { trial.restart() };
        assert!(batch.kinds().contains(&"task.cancelled"));
        assert_eq!(batch.cause("task.cancelled"), "stop-it");
        assert_eq!(trial.pass(60_000).runs(), []);
    }
}

#[test]
fn a_script_that_ends_after_the_stop_says_nothing() {
    let mut trial = trial(json!({}));
    trial.step(crate::node::Input::Stop);
    trial.settle();
    assert_eq!(trial.script("t", 1, ScriptOutcome::Stopped).kinds(), [""; 0]);
}

#[test]
fn a_task_whose_work_can_not_be_read_fails_for_good_and_says_so() {
    let mut trial = Trial::new();
    trial.scripts(&["there.sh"]);
    let later = json!({"not_before_ms": trial.now.wall_ms + 1_000});
    trial.submit("t", "script", script(), later);
    let row = trial.disk.get_mut(&Kind::Task.key("t")).unwrap();
    let at = row.windows(7).position(|bytes| bytes == b"payload").unwrap();
    row[at] = b'P';
    trial.restart();
    let batch = trial.pass(1_000);
    assert_eq!(batch.kinds(), ["task.started", "task.failed"]);
    let error = batch.body("task.failed")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("can't be read"), "{error}");
}
