//! What the fuzzer found, told by what would have happened.

use serde_json::json;

use crate::node::record::{Kind, Write, put};
use crate::node::trial::Trial;
use crate::node::{Input, Reading};

fn with(rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> (Trial, Vec<&'static str>) {
    let mut trial = Trial::new();
    trial.disk.extend(rows);
    let kinds = trial.restart().kinds();
    (trial, kinds)
}

/// Numbering would have begun anew: one less than the first is below zero, one more than the
/// last is none.
#[test]
fn an_event_that_can_have_no_such_number_moves_no_number() {
    for impossible in [0, (1 << 53) + 1, u64::MAX] {
        let key = Kind::Event.key(u64::to_be_bytes(impossible));
        let next = Trial::new().node.state().queues.last_seq + 1;
        let (mut trial, kinds) = with([(key.clone(), b"no event".to_vec())]);
        assert!(kinds.contains(&"node.store"), "{kinds:?}");
        assert_eq!(trial.node.state().queues.last_seq, next + 1, "its loss, and the start");
        assert!(!trial.disk.contains_key(&key));
        let kinds = trial.restart().kinds();
        assert!(!kinds.contains(&"node.store"), "it is told once: {kinds:?}");
    }
}

/// The outbox would have counted on from the end of all numbers.
#[test]
fn marks_that_no_outbox_left_are_put_aside() {
    let resend = |from: u64, to: u64| json!([{"from": from, "to": to, "cause": "c"}]);
    for marks in [
        json!({"acked": 1, "last": u64::MAX, "resends": []}),
        json!({"acked": 9, "last": 8, "resends": []}),
        json!({"acked": 1, "last": 1, "resends": resend(0, 1)}),
        json!({"acked": 1, "last": 1, "resends": resend(2, 1)}),
    ] {
        let Write::Put { key, value } = put(Kind::Node, "outbox", &marks) else { panic!("a row") };
        let (trial, kinds) = with([(key.clone(), value.clone())]);
        assert!(kinds.contains(&"node.store"), "{marks}: {kinds:?}");
        assert_eq!(trial.disk[&Kind::Damaged.key(&key)], value);
    }
}

/// The agent ended at each start, looking for the one by the name of the other.
#[test]
fn a_session_under_another_ones_key_is_put_aside() {
    let mut trial = Trial::new();
    let start = trial.now.wall_ms + 1_000;
    let body =
        json!({"session": "a", "station": "pc-1", "starts_at_ms": start, "duration_ms": 60_000});
    trial.accept("session.start", body);
    let row = trial.disk.remove(&Kind::Session.key("a")).unwrap();
    trial.disk.insert(Kind::Session.key("b"), row.clone());
    assert!(trial.restart().kinds().contains(&"node.store"));
    assert_eq!(trial.disk[&Kind::Damaged.key("session/b")], row);
    assert!(trial.pass(2_000).kinds().is_empty());
}

/// The agent would have ended at each start, and the store been put aside in the end.
#[test]
fn a_task_whose_counts_make_no_sense_ends_and_breaks_nothing() {
    let mut trial = Trial::new();
    trial.submit("t", "wait", json!({"wait_ms": 60_000}), json!({}));
    for (attempts, last_attempt) in [(u32::MAX, u32::MAX), (0, 0), (7, 1)] {
        let phase = json!({"Queued": {"ready_at": 0}});
        let run = json!({"attempts": attempts, "last_attempt": last_attempt, "dark": false, "phase": phase});
        let Write::Put { key, value } = put(Kind::Run, "t", &run) else { panic!("a row") };
        let mut damaged = Trial::new();
        damaged.disk.clone_from(&trial.disk);
        damaged.disk.insert(key, value);
        damaged.restart();
        damaged.pass(400_000);
        assert_eq!(damaged.node.state().queues.tasks_queued, 0, "{attempts} of {last_attempt}");
    }
}

/// A restart of the plug would have been read out of the wrapped sum, and its lease given up.
#[test]
fn a_device_that_tells_any_uptime_breaks_nothing() {
    let mut trial = Trial::new();
    for uptime_ms in [u64::MAX, 0, u64::MAX - 1, u64::MAX] {
        trial.deaf = true;
        trial.pass(2_000);
        for (outlet, number, _) in std::mem::take(&mut trial.withheld) {
            let reading = Reading { uptime_ms: Some(uptime_ms), ..Reading::default() };
            trial.step(Input::Outlet { outlet, number, result: Ok(reading) });
        }
        trial.run();
    }
    assert!(trial.node.state().outlets.iter().all(|outlet| outlet.fault.is_none()));
}
