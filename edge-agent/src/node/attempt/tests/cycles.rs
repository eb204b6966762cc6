//! Power cycles (section 7.6).

use edge_protocol::event::By;
use serde_json::{Value, json};

use crate::node::trial::{Batch, Trial};
use crate::node::{Act, Input};

fn start_session(trial: &mut Trial) {
    let body = json!({"session": "s", "station": "pc-1", "duration_ms": 600_000});
    trial.accept("session.start", body);
    assert!(trial.lit.contains("plug-1"));
}

fn cycle(trial: &mut Trial, outlet: &str, more: Value) -> Batch {
    trial.submit("t", "outlet.cycle", json!({"outlet": outlet, "off_ms": 3_000}), more)
}

/// The camera was on when the agent first saw it, and nobody wants it either way.
fn camera() -> Trial {
    let mut trial = Trial::new();
    trial.lit.insert("camera".to_owned());
    trial.pass(3_000);
    trial
}

#[test]
fn a_cycle_within_a_session_goes_off_for_its_time_and_back_on() {
    let mut trial = Trial::new();
    start_session(&mut trial);
    let batch = cycle(&mut trial, "plug-1", json!({}));
    assert!(!trial.lit.contains("plug-1"));
    assert!(batch.kinds().contains(&"outlet.changed"));
    trial.pass(2_900);
    assert!(!trial.lit.contains("plug-1"));
    let batch = trial.pass(200);
    assert!(trial.lit.contains("plug-1"));
    assert!(batch.kinds().contains(&"task.succeeded"));
    assert!(!batch.kinds().contains(&"session.ended"));
}

#[test]
fn the_power_goes_only_once_the_attempt_is_counted_on_disk() {
    let mut trial = Trial::new();
    start_session(&mut trial);
    let payload = json!({"outlet": "plug-1", "off_ms": 3_000});
    let body = json!({"task": "t", "kind": "outlet.cycle", "payload": payload});
    let batch = trial.send("task.submit", body);
    assert!(batch.acts.contains(&Act::Begin { task: "t".parse().unwrap(), attempt: 1 }));
    trial.inbox.retain(|input| !matches!(input, Input::Begun { .. }));
    trial.pass(5_000);
    assert!(trial.lit.contains("plug-1"), "the disk has not answered");
    trial.step(Input::Begun { task: "t".parse().unwrap(), attempt: 1 });
    trial.run();
    assert!(!trial.lit.contains("plug-1"));
}

#[test]
fn a_cycle_of_an_outlet_that_is_off_fails_for_good_and_switches_nothing() {
    let mut trial = Trial::new();
    for outlet in ["plug-1", "camera"] {
        let payload = json!({"outlet": outlet, "off_ms": 3_000});
        let batch = trial.submit(outlet, "outlet.cycle", payload, json!({}));
        let error = batch.body("task.failed")["error"].as_str().unwrap().to_owned();
        assert!(error.contains("not on"), "{error}");
        assert!(!batch.kinds().contains(&"outlet.changed"));
    }
    assert!(trial.lit.is_empty());
}

#[test]
fn its_on_is_dropped_if_the_session_has_ended_meanwhile() {
    let mut trial = Trial::new();
    start_session(&mut trial);
    cycle(&mut trial, "plug-1", json!({}));
    let batch = trial.accept("session.end", json!({"session": "s"}));
    assert!(batch.kinds().contains(&"session.ended"));
    let batch = trial.pass(10_000);
    assert_eq!(batch.body("task.succeeded")["attempt"], json!(1));
    assert!(!batch.kinds().contains(&"outlet.changed"));
    assert!(trial.lit.is_empty());
}

#[test]
fn an_outlet_that_nobody_wants_either_way_goes_back_on() {
    let mut trial = camera();
    cycle(&mut trial, "camera", json!({}));
    assert!(!trial.lit.contains("camera"));
    assert!(trial.pass(3_100).kinds().contains(&"task.succeeded"));
    assert!(trial.lit.contains("camera"));
}

#[test]
fn a_cancelled_cycle_leaves_its_outlet_as_it_was() {
    let mut trial = camera();
    cycle(&mut trial, "camera", json!({}));
    let batch = trial.send_as("stop-it", "task.cancel", json!({"task": "t"}));
    assert_eq!(batch.kinds()[0], "command.accepted");
    let rest = trial.run();
    assert!(trial.lit.contains("camera"));
    let kinds = [batch.kinds(), rest.kinds()].concat();
    assert_eq!(kinds.last(), Some(&"task.cancelled"), "{kinds:?}");
    assert_eq!(rest.cause("task.cancelled"), "stop-it");
}

#[test]
fn a_cycle_that_times_out_leaves_its_outlet_as_it_was() {
    let mut trial = camera();
    cycle(&mut trial, "camera", json!({"timeout_ms": 1_000, "max_retries": 0}));
    assert!(!trial.lit.contains("camera"));
    let batch = trial.pass(1_100);
    assert_eq!(batch.body("task.failed")["error"], json!("timed out"));
    assert!(trial.lit.contains("camera"));
}

#[test]
fn a_cycle_whose_outlet_does_not_answer_fails_in_the_end() {
    let mut trial = Trial::new();
    start_session(&mut trial);
    trial.deaf = true;
    cycle(&mut trial, "plug-1", json!({"timeout_ms": 5_000, "max_retries": 0}));
    let batch = trial.pass(60_000);
    assert_eq!(batch.body("task.failed")["error"], json!("timed out"));
}

#[test]
fn a_cycle_that_a_stop_or_a_crash_interrupted_starts_over_and_the_outlet_comes_back() {
    for orderly in [true, false] {
        let mut trial = camera();
        cycle(&mut trial, "camera", json!({"backoff_ms": 0, "backoff_max_ms": 0}));
        trial.pass(1_000);
        assert!(!trial.lit.contains("camera"));
        if orderly {
            trial.stop_and_start();
        } else {
            trial.restart();
        }
        let batch = trial.pass(10_000);
        let attempt = if orderly { 1 } else { 2 };
        assert_eq!(batch.body("task.succeeded")["attempt"], json!(attempt));
        assert!(trial.lit.contains("camera"), "orderly: {orderly}");
    }
}

#[test]
fn a_queued_cycle_of_a_running_session_survives_a_restart() {
    let mut trial = Trial::new();
    start_session(&mut trial);
    let later = json!({"not_before_ms": trial.now.wall_ms + 1_000});
    cycle(&mut trial, "plug-1", later);
    trial.now.boot.0 += 5_000;
    trial.now.wall_ms += 5_000;
    trial.restart();
    assert!(trial.pass(10_000).kinds().contains(&"task.succeeded"));
    assert!(trial.lit.contains("plug-1"));
}

#[test]
fn two_cycles_of_one_outlet_go_one_after_the_other() {
    let mut trial = Trial::new();
    start_session(&mut trial);
    let payload = json!({"outlet": "plug-1", "off_ms": 3_000});
    let mut changes = Vec::new();
    for task in ["a", "b"] {
        changes.push(trial.submit(task, "outlet.cycle", payload.clone(), json!({})));
    }
    changes.push(trial.pass(20_000));
    let flips: Vec<bool> = changes.iter().flat_map(Batch::switched).map(|(on, _)| on).collect();
    assert_eq!(flips, [false, true, false, true]);
    let succeeded =
        changes.iter().flat_map(Batch::kinds).filter(|kind| *kind == "task.succeeded").count();
    assert_eq!(succeeded, 2);
}

#[test]
fn a_cycle_under_an_off_hold_fails_and_under_an_on_hold_returns_to_it() {
    let mut trial = Trial::new();
    trial.accept("outlet.set", json!({"outlet": "plug-2", "on": true, "for_ms": 60_000}));
    let payload = json!({"outlet": "plug-2", "off_ms": 1_000});
    trial.submit("a", "outlet.cycle", payload.clone(), json!({}));
    let batch = trial.pass(2_000);
    assert!(batch.kinds().contains(&"task.succeeded"));
    assert_eq!(batch.switched(), [(true, By::Hold)]);
    trial.accept("outlet.set", json!({"outlet": "plug-2", "on": false}));
    let batch = trial.submit("b", "outlet.cycle", payload, json!({}));
    assert!(batch.kinds().contains(&"task.failed"));
}

#[test]
fn a_cycle_waits_until_its_session_is_powered() {
    let mut trial = Trial::new();
    trial.deaf = true;
    let body = json!({"session": "s", "station": "pc-1", "duration_ms": 600_000});
    trial.accept("session.start", body);
    cycle(&mut trial, "plug-1", json!({}));
    trial.deaf = false;
    let batch = trial.pass(20_000);
    let kinds = batch.kinds();
    let at = |kind: &str| kinds.iter().position(|found| *found == kind);
    assert!(at("session.started") < at("task.succeeded"), "{kinds:?}");
    assert!(at("session.started").is_some());
}
