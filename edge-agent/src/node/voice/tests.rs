//! Numbers, refusals, collapse and the retained topics, through a whole node.

use edge_protocol::codec;
use edge_protocol::event::{Fault, What};
use serde_json::{Value, json};

use super::repeats;
use crate::node::record::Kind;
use crate::node::trial::{Batch, Trial};
use crate::node::{Act, Failure, Input};

/// A node whose outbox is filled to so many percent of `bytes`.
fn filled(percent: u64) -> Trial {
    let mut trial = Trial::with(|settings| settings.outbox_max_bytes = 100_000);
    while trial.node.state().queues.outbox_bytes < 1_000 * percent - 400 {
        trial.send("task.cancel", json!({"task": "none"}));
    }
    trial
}

/// Every outlet fails once, and answers nothing from then on.
fn fails(trial: &mut Trial, fault: Fault, message: &str) {
    trial.deaf = true;
    trial.pass(2_100);
    let orders = std::mem::take(&mut trial.withheld);
    for (outlet, number, _) in orders {
        let result = Err(Failure { fault, message: message.to_owned() });
        trial.step(Input::Outlet { outlet, number, result });
    }
}

fn publishes(batch: &Batch) -> Vec<Value> {
    let event = |act: &Act| {
        let Act::Publish { payload, .. } = act else { return None };
        Some(codec::decode::<Value>(payload).unwrap())
    };
    batch.acts.iter().filter_map(event).collect()
}

#[test]
fn numbers_start_at_1_and_rise_by_one_across_restarts() {
    let mut trial = Trial::new();
    let mut seqs = Vec::new();
    for _ in 0..3 {
        seqs.extend(trial.send("node.report", json!({})).events.iter().map(|event| event.seq));
        seqs.extend(trial.restart().events.iter().map(|event| event.seq));
    }
    assert_eq!(seqs, (2..2 + seqs.len() as u64).collect::<Vec<_>>(), "1 was the first start");
}

#[test]
fn an_event_is_published_as_it_was_written_and_not_before() {
    let mut trial = Trial::new();
    trial.up();
    let batch = trial.send("task.cancel", json!({"task": "none"}));
    let [Act::Acknowledge(_), Act::Publish { seq, payload }, ..] = &batch.acts[..] else {
        panic!("{:?}", batch.acts)
    };
    assert_eq!(trial.disk[&Kind::Event.key(seq.to_be_bytes())], *payload);
}

#[test]
fn an_acknowledgement_alone_writes_nothing_and_the_next_write_takes_it_along() {
    let mut trial = Trial::new();
    let batch = trial.up();
    for seq in batch.published() {
        trial.step(Input::Delivered { seq });
    }
    assert_eq!(trial.settle().writes, []);
    assert_eq!(trial.node.state().queues.outbox_events, 0);
    assert_eq!(trial.rows(Kind::Event).len(), 2);
    let batch = trial.send("task.cancel", json!({"task": "none"}));
    assert!(batch.writes.iter().any(|write| format!("{write:?}").contains("Delete")));
    assert_eq!(trial.rows(Kind::Event).len(), 1, "node.* is not kept once it is acknowledged");
}

#[test]
fn a_crash_before_the_next_write_publishes_the_acknowledged_again() {
    let mut trial = Trial::new();
    let batch = trial.up();
    for seq in batch.published() {
        trial.step(Input::Delivered { seq });
    }
    trial.settle();
    trial.restart();
    let again = trial.up();
    assert_eq!(again.published()[..2], batch.published()[..]);
}

#[test]
fn an_event_that_the_broker_finds_malformed_or_too_large_is_replaced_under_its_number() {
    for code in [0x95, 0x99] {
        let mut trial = Trial::new();
        let seq = trial.up().published()[0];
        trial.step(Input::Refused { seq, code });
        let batch = trial.run();
        let told = &publishes(&batch)[0];
        assert_eq!((&told["type"], &told["seq"]), (&json!("node.dropped"), &json!(seq)));
        assert_eq!(
            (&told["body"]["from_seq"], &told["body"]["to_seq"]),
            (&json!(seq), &json!(seq))
        );
        let written = &trial.disk[&Kind::Event.key(seq.to_be_bytes())];
        assert_eq!(codec::decode::<Value>(written).unwrap(), *told, "on disk in the same batch");
    }
}

#[test]
fn any_other_refusal_shows_in_status_until_the_broker_takes_an_event() {
    let mut trial = Trial::new();
    let seq = trial.up().published()[0];
    trial.step(Input::Refused { seq, code: 0x97 });
    let status = trial.settle().status().unwrap();
    assert_eq!(status["refused"], json!("the broker refuses events with 0x97"));
    let wake = trial.node.wake_at().unwrap();
    assert!(wake <= trial.now.boot + 1_000);
    let batch = trial.pass(1_000);
    assert_eq!(batch.published()[0], seq);
    trial.step(Input::Delivered { seq });
    assert_eq!(trial.settle().status().unwrap().get("refused"), None);
}

#[test]
fn a_row_that_is_not_on_disk_becomes_node_dropped_under_its_number() {
    let mut trial = Trial::new();
    for _ in 0..5 {
        trial.send("task.cancel", json!({"task": "none"}));
    }
    let key = |seq: u64| Kind::Event.key(seq.to_be_bytes());
    trial.disk.remove(&key(3));
    let batch = trial.restart();
    let at_start: Vec<_> = batch.events.iter().filter(|event| event.seq == 3).collect();
    assert!(matches!(at_start[0].what, What::NodeDropped(_)), "noticed by the start");
    trial.disk.remove(&key(4));
    let batch = trial.up();
    let told: Vec<_> = publishes(&batch).iter().map(|event| event["seq"].clone()).collect();
    assert_eq!(told[..6], [1, 2, 3, 4, 5, 6].map(|seq| json!(seq)));
    let types: Vec<_> = publishes(&batch).iter().map(|event| event["type"].clone()).collect();
    assert_eq!(types[2..4], [json!("node.dropped"), json!("node.dropped")]);
}

#[test]
fn a_resend_tells_what_is_gone_with_its_range_and_names_its_command() {
    let mut trial = Trial::new();
    trial.send("task.cancel", json!({"task": "none"}));
    for seq in trial.up().published() {
        trial.step(Input::Delivered { seq });
    }
    trial.send("task.cancel", json!({"task": "none"}));
    trial.send_as("again", "event.resend", json!({"from_seq": 1, "to_seq": 3}));
    let batch = trial.run();
    assert_eq!(batch.published()[0], 2);
    let dropped: Vec<Value> = batch
        .events
        .iter()
        .filter(|event| event.what.kind() == "node.dropped")
        .map(|event| serde_json::to_value(event).unwrap())
        .collect();
    let ranges: Vec<_> = dropped.iter().map(|told| told["body"]["from_seq"].clone()).collect();
    assert_eq!(ranges, [json!(1), json!(3)], "node.started and node.link");
    assert!(dropped.iter().all(|told| told["cause"] == json!("again")));
}

#[test]
fn above_75_percent_what_repeats_collapses_and_below_it_the_latest_is_told_in_order() {
    let mut trial = filled(76);
    for (fault, message) in [(Fault::Unreachable, "first"), (Fault::Refused, "second")] {
        fails(&mut trial, fault, message);
        trial.settle();
        fails(&mut trial, fault, message);
        assert_eq!(trial.settle().kinds(), [""; 0]);
        trial.deaf = false;
        trial.pass(2_100);
    }
    fails(&mut trial, Fault::Unreachable, "last");
    fails(&mut trial, Fault::Unreachable, "last");
    let happened = trial.now.wall_ms;
    assert_eq!(trial.settle().kinds(), [""; 0]);
    trial.pass(500);
    let mut told = Vec::new();
    let mut batch = trial.up();
    while !batch.published().is_empty() {
        for seq in batch.published() {
            trial.step(Input::Delivered { seq });
        }
        batch = trial.run();
        told.extend(batch.events.clone());
    }
    let plug: Vec<_> = told
        .iter()
        .filter(|event| event.what.outlet().is_some_and(|outlet| outlet.as_str() == "plug-1"))
        .map(|event| (event.what.kind(), event.at_ms))
        .collect();
    assert_eq!(
        plug.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        ["outlet.recovered", "outlet.fault"]
    );
    assert!(plug[1].1 <= happened, "told as of when it happened: {plug:?} {happened}");
}

#[test]
fn what_was_held_back_is_told_by_an_orderly_stop() {
    let mut trial = filled(76);
    fails(&mut trial, Fault::Unreachable, "no answer");
    trial.settle();
    fails(&mut trial, Fault::Unreachable, "no answer");
    trial.step(Input::Stop);
    assert!(trial.settle().kinds().contains(&"outlet.fault"));
}

#[test]
fn a_state_that_waits_for_its_turn_is_published_by_an_orderly_stop() {
    let mut trial = Trial::new();
    trial.up();
    trial.send("outlet.release", json!({"outlet": "plug-1"}));
    let hold = json!({"outlet": "plug-1", "on": false});
    assert_eq!(trial.send("outlet.set", hold).state(), None, "the last one was a moment ago");
    trial.step(Input::Stop);
    let state = trial.settle().state().expect("the last word");
    let mut outlets = state["outlets"].as_array().unwrap().iter();
    let plug = outlets.find(|outlet| outlet["outlet"] == "plug-1").unwrap();
    assert_eq!(plug["hold"]["on"], json!(false));
}

#[test]
fn answers_sessions_and_tasks_never_collapse_nor_does_what_is_lost() {
    let text = |kind: &str, body: Value| -> What {
        serde_json::from_value(json!({"type": kind, "body": body})).unwrap()
    };
    let dropped = text("node.dropped", json!({"from_seq": 1, "to_seq": 2, "reason": "x"}));
    let lost = text("node.store", json!({"lost": "x"}));
    let accepted = text("command.accepted", json!({"command": "c"}));
    let queued = text("task.queued", json!({"task": "t", "kind": "wait", "attempt": 1}));
    let paused = json!({"session": "s", "station": "a", "remaining_ms": 1});
    for what in [dropped, lost, accepted, queued, text("session.paused", paused)] {
        assert_eq!(repeats(&what), None, "{what:?}");
    }
    let space = text("node.store", json!({"space": "low"}));
    let link = text("node.link", json!({"session_present": true}));
    assert!(repeats(&space).is_some() && repeats(&link).is_some());
}

#[test]
fn above_90_percent_the_node_says_that_it_does_not_accept_and_takes_no_commands() {
    let mut trial = filled(90);
    trial.up();
    let mut taken = 0;
    let refused = loop {
        let batch = trial.send("task.cancel", json!({"task": "none"}));
        if batch.acknowledged().is_empty() {
            break batch;
        }
        taken += 1;
        assert!(taken < 100, "it takes commands without end");
    };
    assert_eq!(refused.events.len(), 0);
    let bytes = trial.node.state().queues.outbox_bytes;
    assert!((90_000..92_000).contains(&bytes), "{bytes}");
    let status: Value =
        codec::decode(&codec::encode(codec::Encoding::Cbor, &trial.node.status())).unwrap();
    assert_eq!(status["accepting"], json!(false));
    trial.step(Input::Down);
    for seq in trial.up().published() {
        trial.step(Input::Delivered { seq });
    }
    assert_eq!(trial.run().status().unwrap()["accepting"], json!(true));
}

#[test]
fn an_event_too_large_for_the_wire_is_told_as_dropped_under_its_number() {
    let mut trial = Trial::new();
    fails(&mut trial, Fault::Unreachable, &"x".repeat(70_000));
    trial.settle();
    fails(&mut trial, Fault::Unreachable, &"x".repeat(70_000));
    let batch = trial.settle();
    assert!(batch.kinds().iter().all(|kind| *kind == "node.dropped"), "{:?}", batch.kinds());
    assert!(!batch.events.is_empty());
}

#[test]
fn state_is_told_after_a_change_at_most_once_a_second() {
    let mut trial = Trial::new();
    trial.up();
    let states =
        |batch: &Batch| batch.acts.iter().filter(|act| matches!(act, Act::State(_))).count();
    let mut told = 0;
    for _ in 0..20 {
        told += states(&trial.send("task.cancel", json!({"task": "none"})));
        told += states(&trial.pass(100));
    }
    assert!((2..=3).contains(&told), "{told} in two seconds");
    trial.pass(2_000);
    let quiet = trial.pass(60_000);
    assert!(states(&quiet) <= 60, "outlets are read meanwhile");
}

#[test]
fn node_report_tells_everything_now() {
    let mut trial = Trial::new();
    trial.up();
    trial.send("task.cancel", json!({"task": "none"}));
    let batch = trial.send("node.report", json!({}));
    assert_eq!(batch.kinds(), ["command.accepted", "node.report"]);
    assert!(batch.acts.contains(&Act::Telemetry));
    assert!(batch.acts.iter().any(|act| matches!(act, Act::State(_))));
}
