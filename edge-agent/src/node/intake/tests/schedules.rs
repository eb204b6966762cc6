//! Commands about schedules: what is refused, what is written, and what a crash leaves of both.

use edge_protocol::event::Code;
use serde_json::{Value, json};

use crate::node::record::Kind;
use crate::node::trial::{Trial, WALL_MS};

fn put(cron: &str) -> Value {
    json!({"schedule": "s", "cron": cron, "command": {"type": "node.report"}})
}

#[test]
fn a_schedule_that_can_never_run_is_invalid_and_the_message_names_the_field() {
    let mut trial = Trial::new();
    for (field, value) in [
        ("cron", "60 * * * *"),
        ("cron", "0 0 30 2 *"),
        ("cron", "@daily"),
        ("cron", "0 0 0 1 1 * 2020"),
        ("cron", "a b c d \u{7}"),
        ("timezone", "Mars/Olympus"),
    ] {
        let mut body = put("* * * * *");
        body[field] = json!(value);
        let (code, message) = trial.send("schedule.put", body).rejection().unwrap();
        assert_eq!(code, Code::Invalid, "{value:?}");
        assert!(message.starts_with(&format!("body.{field}: ")), "{value:?}: {message}");
        assert!(!message.contains('\u{7}'));
    }
    assert_eq!(trial.rows(Kind::Schedule), [""; 0]);
}

#[test]
fn what_there_is_no_schedule_of_can_not_be_removed() {
    let mut trial = Trial::new();
    let batch = trial.send("schedule.remove", json!({"schedule": "s"}));
    assert_eq!(batch.rejection(), Some((Code::UnknownSchedule, "there is no schedule s".into())));
}

#[test]
fn past_its_bounds_a_put_is_busy_and_may_be_sent_again() {
    let mut trial = Trial::new();
    for number in 0..1_000 {
        let mut body = put("0 4 * * *");
        body["schedule"] = json!(format!("s{number}"));
        trial.accept("schedule.put", body);
    }
    assert_eq!(trial.send_as("c", "schedule.put", put("0 4 * * *")).code(), Some(Code::Busy));
    trial.accept("schedule.remove", json!({"schedule": "s7"}));
    assert_eq!(trial.send_as("c", "schedule.put", put("0 4 * * *")).code(), None);
}

#[test]
fn that_an_occurrence_ran_is_written_in_one_batch_with_its_answer_and_its_effect() {
    let mut trial = Trial::new();
    let task = json!({"task": "t", "kind": "wait", "payload": {"wait_ms": 1}});
    let body = json!({"schedule": "s", "cron": "* * * * * *",
        "command": {"type": "task.submit", "body": task}});
    trial.accept("schedule.put", body);
    let at = WALL_MS / 1_000 * 1_000 + 1_000;
    trial.now.boot.0 += i64::try_from(at - trial.now.wall_ms).unwrap();
    trial.now.wall_ms = at;
    let batch = trial.settle();
    assert_eq!(batch.kinds()[..2], ["command.accepted", "task.queued"]);
    assert!(batch.cause("task.queued").starts_with("s.2025"));
    let written: Vec<Kind> = batch
        .writes
        .iter()
        .filter_map(|write| match write {
            crate::node::record::Write::Put { key, .. } => Kind::of(key).map(|(kind, _)| kind),
            crate::node::record::Write::Delete { .. } => None,
        })
        .collect();
    for kind in [Kind::Course, Kind::Task, Kind::Event] {
        assert!(written.contains(&kind), "{kind:?} in {written:?}");
    }
    // A schedule of each second would take up all the room there is for ids of commands.
    assert!(!written.contains(&Kind::Command), "its own record remembers that it ran");
}

#[test]
fn a_crash_between_the_decision_and_the_disk_runs_it_once_or_leaves_it_out_as_asked() {
    for (missed, stored, expected) in
        [("once", false, 1), ("once", true, 0), ("skip", false, 0), ("skip", true, 0)]
    {
        let mut trial = Trial::new();
        let mut body = put("* * * * *");
        body["missed"] = json!(missed);
        trial.accept("schedule.put", body);
        let at = WALL_MS / 60_000 * 60_000 + 60_000;
        trial.now.boot.0 += i64::try_from(at - trial.now.wall_ms).unwrap();
        trial.now.wall_ms = at;
        if stored {
            assert_eq!(trial.settle().kinds()[0], "command.accepted");
        } else {
            drop(trial.node.settle(trial.now));
        }
        let batch = trial.restart();
        let runs = batch.kinds().iter().filter(|kind| **kind == "command.accepted").count();
        assert_eq!(runs, expected, "{missed}, stored: {stored}");
        let again = trial.restart();
        assert!(!again.kinds().contains(&"command.accepted"), "{missed}, stored: {stored}");
    }
}

#[test]
fn a_schedule_whose_course_is_lost_runs_nothing_of_the_past_and_goes_on() {
    let mut trial = Trial::new();
    let mut body = put("* * * * *");
    body["missed"] = json!("once");
    trial.accept("schedule.put", body);
    trial.pass(120_000);
    trial.disk.remove(&Kind::Course.key("s"));
    let batch = trial.restart();
    assert!(!batch.kinds().contains(&"command.accepted"), "it may have run");
    assert_eq!(trial.rows(Kind::Course), ["s"]);
    assert_eq!(trial.pass(60_000).body("command.accepted")["command"], "s.20251121T015600Z");
}
