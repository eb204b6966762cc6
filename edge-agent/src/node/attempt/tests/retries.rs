//! Order, attempts, retries, cancelling (sections 7.1 to 7.4).

use edge_protocol::event::Code;
use serde_json::{Value, json};

use crate::node::record::{Kind, Write};
use crate::node::trial::{Trial, failed, succeeded};
use crate::node::{Act, Disk, Input, ScriptOutcome};

fn script() -> Value {
    json!({"name": "there.sh", "args": {"n": 1}})
}

fn trial() -> Trial {
    let mut trial = Trial::new();
    trial.scripts(&["there.sh"]);
    trial
}

#[test]
fn an_attempt_is_counted_in_the_batch_before_it_starts() {
    let mut trial = trial();
    let batch = trial.submit("t", "script", script(), json!({}));
    assert_eq!(batch.kinds(), ["command.accepted", "task.queued", "task.started"]);
    assert_eq!(batch.runs(), [("t".to_owned(), 1)]);
    let key = Kind::Run.key("t");
    let counted = batch.writes.iter().rev().find_map(|write| match write {
        Write::Put { key: found, value } if *found == key => Some(value.clone()),
        Write::Put { .. } | Write::Delete { .. } => None,
    });
    let run: crate::node::task::Run = crate::node::record::read(&counted.unwrap()).unwrap();
    assert_eq!(run.attempts, 1);
}

#[test]
fn a_script_gets_its_name_arguments_and_time() {
    let mut trial = trial();
    let batch = trial.submit("t", "script", script(), json!({"timeout_ms": 777}));
    let found = batch.acts.iter().find_map(|act| {
        let Act::Run { script, timeout_ms, .. } = act else { return None };
        Some((script.clone(), *timeout_ms))
    });
    let (script, timeout_ms) = found.unwrap();
    assert_eq!((script.name.as_str(), &script.args["n"], timeout_ms), ("there.sh", &json!(1), 777));
}

#[test]
fn at_most_the_configured_number_run_at_once_and_the_next_starts_as_one_ends() {
    let mut trial = trial();
    for task in ["a", "b", "c"] {
        trial.submit(task, "script", script(), json!({}));
    }
    assert_eq!(trial.node.state().queues.tasks_running, 2);
    let batch = trial.script("a", 1, succeeded());
    assert_eq!(batch.kinds(), ["task.succeeded", "task.started"]);
    assert_eq!(batch.runs(), [("c".to_owned(), 1)]);
}

#[test]
fn max_retries_3_means_4_attempts_and_a_failure_then_is_for_good() {
    let mut trial = trial();
    trial.submit("t", "script", script(), json!({}));
    for attempt in 1..=3 {
        let batch = trial.script("t", attempt, failed("broken"));
        let body = batch.body("task.retrying");
        assert_eq!((&body["attempt"], &body["error"]), (&json!(attempt), &json!("broken")));
        let started = trial.pass(60_000);
        assert_eq!(started.body("task.started")["attempt"], json!(attempt + 1));
    }
    let batch = trial.script("t", 4, failed("broken"));
    assert_eq!(batch.body("task.failed")["attempt"], json!(4));
    assert_eq!(trial.pass(600_000).kinds(), [""; 0]);
}

#[test]
fn the_delay_before_a_retry_is_fully_jittered_within_a_bound_that_doubles() {
    let mut highest = [0_u64; 4];
    let mut lowest = [u64::MAX; 4];
    for seed in 0..200 {
        let mut trial = Trial::with(|settings| settings.seed = seed);
        trial.scripts(&["there.sh"]);
        let more = json!({"max_retries": 4, "backoff_ms": 1_000, "backoff_max_ms": 5_000});
        trial.submit("t", "script", script(), more);
        for attempt in 0..4_u32 {
            let batch = trial.script("t", attempt + 1, failed("no"));
            let told = batch.body("task.retrying")["next_at_ms"].as_u64().unwrap();
            let delay = told - trial.now.wall_ms;
            let slot = attempt as usize;
            highest[slot] = highest[slot].max(delay);
            lowest[slot] = lowest[slot].min(delay);
            trial.pass(delay);
        }
    }
    for (slot, bound) in [1_000, 2_000, 4_000, 5_000].into_iter().enumerate() {
        assert!(highest[slot] <= bound, "{highest:?}");
        assert!(
            highest[slot] > bound * 9 / 10 && lowest[slot] < bound / 10,
            "{lowest:?} {highest:?}"
        );
    }
}

#[test]
fn a_retry_starts_when_it_was_told_and_no_earlier() {
    let mut trial = trial();
    let more = json!({"backoff_ms": 100_000, "backoff_max_ms": 100_000});
    trial.submit("t", "script", script(), more);
    let batch = trial.script("t", 1, failed("no"));
    let next = batch.body("task.retrying")["next_at_ms"].as_u64().unwrap();
    let left = next - trial.now.wall_ms;
    assert_eq!(trial.pass(left - 1).kinds(), [""; 0]);
    assert_eq!(trial.pass(1).kinds(), ["task.started"]);
}

#[test]
fn exit_64_and_65_fail_for_good() {
    let mut trial = trial();
    trial.submit("t", "script", script(), json!({}));
    let outcome = ScriptOutcome::Failed { error: "exit 64".to_owned(), for_good: true };
    assert_eq!(trial.script("t", 1, outcome).kinds(), ["task.failed"]);
}

#[test]
fn the_end_of_another_attempt_says_nothing() {
    let mut trial = trial();
    trial.submit("t", "script", script(), json!({"backoff_ms": 0, "backoff_max_ms": 0}));
    trial.script("t", 1, failed("no"));
    assert_eq!(trial.script("t", 1, succeeded()).kinds(), [""; 0]);
    assert_eq!(trial.script("none", 1, succeeded()).kinds(), [""; 0]);
    assert_eq!(trial.script("t", 2, succeeded()).kinds(), ["task.succeeded"]);
    assert_eq!(trial.script("t", 2, succeeded()).kinds(), [""; 0]);
}

#[test]
fn a_queued_task_is_cancelled_at_once() {
    let mut trial = trial();
    let far = json!({"not_before_ms": trial.now.wall_ms + 60_000});
    trial.submit("t", "script", script(), far);
    let batch = trial.send_as("stop-it", "task.cancel", json!({"task": "t"}));
    assert_eq!(batch.kinds(), ["command.accepted", "task.cancelled"]);
    assert_eq!(batch.cause("task.cancelled"), "stop-it");
    assert_eq!(batch.body("task.cancelled")["attempt"], json!(1));
    assert_eq!(trial.pass(120_000).kinds(), [""; 0]);
}

#[test]
fn a_running_script_is_cancelled_once_it_has_ended_and_the_cancel_is_the_cause() {
    for outcome in [ScriptOutcome::Stopped, failed("killed")] {
        let mut trial = trial();
        trial.submit("t", "script", script(), json!({}));
        let batch = trial.send_as("stop-it", "task.cancel", json!({"task": "t"}));
        assert_eq!(batch.kinds(), ["command.accepted"]);
        assert!(batch.kills("t"));
        let batch = trial.script("t", 1, outcome);
        assert_eq!(batch.kinds(), ["task.cancelled"]);
        assert_eq!(batch.cause("task.cancelled"), "stop-it");
    }
}

#[test]
fn a_script_that_succeeded_before_its_cancel_reached_it_has_succeeded() {
    let mut trial = trial();
    trial.submit("t", "script", script(), json!({}));
    trial.send("task.cancel", json!({"task": "t"}));
    assert_eq!(trial.script("t", 1, succeeded()).kinds(), ["task.succeeded"]);
}

#[test]
fn a_running_wait_is_cancelled_at_once() {
    let mut trial = trial();
    trial.submit("t", "wait", json!({"wait_ms": 50_000}), json!({}));
    trial.pass(1_000);
    let batch = trial.send("task.cancel", json!({"task": "t"}));
    assert_eq!(batch.kinds(), ["command.accepted", "task.cancelled"]);
    assert_eq!(batch.body("task.cancelled")["duration_ms"], json!(1_000));
}

#[test]
fn a_failed_task_runs_again_with_its_retries_back_and_its_attempts_counted_on() {
    let mut trial = trial();
    let more = json!({"max_retries": 1, "backoff_ms": 0, "backoff_max_ms": 0});
    trial.submit("t", "script", script(), more);
    trial.script("t", 1, failed("no"));
    assert_eq!(trial.script("t", 2, failed("no")).kinds(), ["task.failed"]);
    let batch = trial.send("task.retry", json!({"task": "t"}));
    assert_eq!(batch.kinds(), ["command.accepted", "task.queued", "task.started"]);
    assert_eq!(batch.runs(), [("t".to_owned(), 3)]);
    assert_eq!(trial.script("t", 3, failed("no")).kinds()[0], "task.retrying");
    assert_eq!(trial.script("t", 4, failed("no")).kinds(), ["task.failed"]);
}

#[test]
fn a_wait_waits_and_times_out() {
    let mut trial = trial();
    trial.submit("short", "wait", json!({"wait_ms": 5_000}), json!({}));
    let batch = trial.pass(5_000);
    assert_eq!(batch.body("task.succeeded")["duration_ms"], json!(5_000));
    let more = json!({"timeout_ms": 2_000, "max_retries": 0});
    trial.submit("long", "wait", json!({"wait_ms": 5_000}), more);
    let batch = trial.pass(2_000);
    assert_eq!(batch.body("task.failed")["error"], json!("timed out"));
}

#[test]
fn a_node_that_does_not_accept_starts_nothing_and_lets_what_runs_end() {
    let mut trial = trial();
    trial.submit("runs", "wait", json!({"wait_ms": 5_000}), json!({}));
    let soon = json!({"not_before_ms": trial.now.wall_ms + 1_000});
    trial.submit("waits", "wait", json!({"wait_ms": 1}), soon);
    trial.step(Input::Disk(Disk::Failing));
    let batch = trial.pass(60_000);
    assert_eq!(batch.kinds(), ["task.succeeded"]);
    trial.step(Input::Disk(Disk::Ok));
    assert_eq!(trial.run().body("task.started")["task"], json!("waits"));
}

#[test]
fn a_cancelled_task_can_not_be_retried() {
    let mut trial = trial();
    trial.submit("t", "wait", json!({"wait_ms": 5_000}), json!({}));
    trial.send("task.cancel", json!({"task": "t"}));
    assert_eq!(trial.send("task.retry", json!({"task": "t"})).code(), Some(Code::Conflict));
}
