//! Commands wait at the broker while a node can't take them.

use edge_protocol::event::Code;
use serde_json::json;

use crate::node::trial::{Trial, WALL_MS};
use crate::node::{Disk, Input};

fn report(id: &str) -> String {
    json!({"id": id, "type": "node.report"}).to_string()
}

#[test]
fn a_node_that_does_not_accept_leaves_commands_at_the_broker() {
    for disk in [Disk::Low, Disk::Failing] {
        let mut trial = Trial::new();
        trial.step(Input::Disk(disk));
        trial.settle();
        let batch = trial.message(report("c"));
        assert_eq!((batch.acknowledged(), batch.events.len()), (vec![], 0));
        trial.step(Input::Disk(Disk::Ok));
        let batch = trial.settle();
        assert_eq!(batch.acknowledged(), [1]);
        assert!(batch.kinds().contains(&"command.accepted"));
    }
}

#[test]
fn low_space_is_told_once_though_writes_fail_meanwhile() {
    // A disk that ran full while it was low was told as low once more when it took a write.
    let mut trial = Trial::new();
    let mut told = vec![];
    for disk in [Disk::Failing, Disk::Low, Disk::Failing, Disk::Low, Disk::Failing, Disk::Ok] {
        trial.step(Input::Disk(disk));
        let batch = trial.settle();
        if batch.kinds().contains(&"node.store") {
            told.push(batch.body("node.store")["space"].clone());
        }
    }
    assert_eq!(told, ["low", "ok"]);
}

#[test]
fn a_command_never_overtakes_those_that_wait() {
    let mut trial = Trial::new();
    trial.step(Input::Disk(Disk::Low));
    trial.arrive(report("first"), false);
    trial.arrive(report("second"), false);
    trial.settle();
    trial.step(Input::Disk(Disk::Ok));
    trial.arrive(report("third"), false);
    assert_eq!(trial.settle().acknowledged(), [1, 2, 3]);
}

#[test]
fn what_waits_is_forgotten_with_the_link_since_the_broker_sends_it_again() {
    let mut trial = Trial::new();
    trial.step(Input::Disk(Disk::Low));
    trial.arrive(report("c"), false);
    trial.step(Input::Down);
    trial.step(Input::Disk(Disk::Ok));
    assert_eq!(trial.settle().acknowledged(), [0; 0]);
}

#[test]
fn no_command_is_taken_after_an_orderly_stop() {
    let mut trial = Trial::new();
    trial.arrive(report("before"), false);
    trial.step(Input::Stop);
    trial.arrive(report("after"), false);
    let batch = trial.settle();
    assert_eq!(batch.acknowledged(), [1]);
    assert_eq!(batch.body("command.accepted")["command"], json!("before"));
}

#[test]
fn once_two_hundred_thousand_young_ids_are_remembered_further_commands_wait() {
    let mut trial = Trial::new();
    for number in 0..200_000 {
        let id = format!("f{number}").parse().unwrap();
        trial.node.answers.remember(&id, None, trial.node.clock.running_ms());
    }
    let batch = trial.message(report("c"));
    assert_eq!((batch.acknowledged(), batch.events.len()), (vec![], 0));
    assert!(trial.node.wake_at().is_some(), "room comes with time alone");
    trial.now.boot.0 += 7 * 24 * 3_600_000 - 1;
    trial.now.wall_ms += 7 * 24 * 3_600_000 - 1;
    assert_eq!(trial.settle().acknowledged(), [0; 0]);
    trial.now.boot.0 += 1;
    trial.now.wall_ms += 1;
    assert_eq!(trial.settle().acknowledged(), [1]);
}

#[test]
fn a_powering_command_that_waited_on_an_unsynced_clock_does_not_act_late() {
    // The clock may be years behind, so only the wait itself tells how late it is.
    for (waited_ms, code) in [(4_000, None), (6_000, Some(Code::Expired))] {
        let mut trial = Trial::unsynced();
        trial.step(Input::Disk(Disk::Low));
        let body = json!({"outlet": "plug-1", "on": true, "for_ms": 1_000});
        let issued_at_ms = WALL_MS + 86_400_000;
        let command =
            json!({"id": "c", "type": "outlet.set", "issued_at_ms": issued_at_ms, "body": body});
        trial.arrive(command.to_string(), false);
        trial.pass(waited_ms);
        trial.step(Input::Disk(Disk::Ok));
        let batch = trial.settle();
        assert_eq!((batch.code(), batch.acknowledged()), (code, vec![1]));
    }
}

#[test]
fn a_command_that_waited_past_its_life_is_expired_though_the_clock_does_not_know() {
    let mut trial = Trial::unsynced();
    trial.step(Input::Disk(Disk::Low));
    let issued_at_ms = WALL_MS + 86_400_000;
    let command = json!({
        "id": "c", "type": "node.report",
        "issued_at_ms": issued_at_ms, "expires_at_ms": issued_at_ms + 10_000,
    });
    trial.arrive(command.to_string(), false);
    trial.pass(10_001);
    trial.step(Input::Disk(Disk::Ok));
    assert_eq!(trial.settle().code(), Some(Code::Expired));
}
