use edge_protocol::command::{Script, Wait};
use serde_json::{Map, json};

use super::*;
use crate::node::trial::{Trial, failed, succeeded};

fn submit(task: &str, priority: u8, args: Map<String, serde_json::Value>) -> TaskSubmit {
    TaskSubmit {
        task: task.parse().unwrap(),
        work: Work::Script(Script { name: "there.sh".to_owned(), args }),
        not_before_ms: None,
        max_retries: 3,
        timeout_ms: 60_000,
        backoff_ms: 1_000,
        backoff_max_ms: 6_000,
        priority,
    }
}

fn cause() -> CommandId {
    "c".parse().unwrap()
}

fn queue(tasks: &mut Tasks, task: &str, priority: u8, ready_at: u64) -> [Write; 2] {
    let submit = submit(task, priority, Map::new());
    tasks.submit(New::of(&submit, cause(), BootMs::from(ready_at)))
}

fn start(tasks: &mut Tasks, now: u64) -> Option<String> {
    tasks.start_next(BootMs::from(now), 99).map(|(id, _)| id.to_string())
}

#[test]
fn priority_goes_first_then_arrival() {
    let mut tasks = Tasks::default();
    for (task, priority) in [("a", 5), ("b", 9), ("c", 5), ("d", 0), ("e", 9)] {
        queue(&mut tasks, task, priority, 0);
    }
    let order: Vec<_> = std::iter::from_fn(|| start(&mut tasks, 0)).collect();
    assert_eq!(order, ["b", "e", "a", "c", "d"]);
}

#[test]
fn a_task_that_is_not_due_waits_and_takes_its_place_by_arrival_once_it_is() {
    let mut tasks = Tasks::default();
    queue(&mut tasks, "later", 5, 100);
    queue(&mut tasks, "now", 5, 0);
    queue(&mut tasks, "also", 5, 0);
    assert_eq!(tasks.wake_at(), Some(BootMs(0)));
    assert_eq!(start(&mut tasks, 99).as_deref(), Some("now"));
    assert_eq!(tasks.wake_at(), Some(BootMs(100)));
    assert_eq!(start(&mut tasks, 100).as_deref(), Some("later"));
    assert_eq!(start(&mut tasks, 100).as_deref(), Some("also"));
    assert_eq!((start(&mut tasks, u64::MAX), tasks.wake_at()), (None, None));
}

#[test]
fn no_more_than_the_concurrency_are_started() {
    let mut tasks = Tasks::default();
    queue(&mut tasks, "a", 5, 0);
    queue(&mut tasks, "b", 5, 0);
    assert!(tasks.start_next(BootMs(0), 1).is_some());
    assert!(tasks.start_next(BootMs(0), 1).is_none());
    assert_eq!((tasks.running_count(), tasks.queued()), (1, 1));
}

#[test]
fn the_backoff_doubles_up_to_its_bound_and_starts_over_with_a_retry() {
    let mut tasks = Tasks::default();
    let id: TaskId = "t".parse().unwrap();
    queue(&mut tasks, "t", 5, 0);
    for _round in 0..2 {
        for bound in [1_000, 2_000, 4_000, 6_000] {
            start(&mut tasks, 0).unwrap();
            assert_eq!(tasks.get(&id).unwrap().backoff_ms(), bound);
            assert_eq!(tasks.get(&id).unwrap().may_retry(), bound < 6_000);
            let ready_at = BootMs(0);
            tasks.change(&id, |run| run.phase = Phase::Queued { ready_at });
        }
        tasks.end(&id, TaskEnd::Failed, 0);
        tasks.retry(&id, BootMs(0));
    }
}

#[test]
fn no_backoff_overflows() {
    let mut tasks = Tasks::default();
    let id: TaskId = "t".parse().unwrap();
    let huge = TaskSubmit { max_retries: 1_000, ..submit("t", 5, Map::new()) };
    tasks.submit(New::of(&huge, cause(), BootMs(0)));
    tasks.change(&id, |run| run.attempts = 1_000);
    assert_eq!(tasks.get(&id).unwrap().backoff_ms(), 6_000);
}

#[test]
fn what_waits_occupies_its_bytes_and_no_tree() {
    // 64 KiB of maps with one entry weigh 14 MB as a tree.
    let mut nested = json!({});
    for _ in 0..12 {
        nested = json!({"a": nested});
    }
    let many = serde_json::Value::Array(vec![nested; 1_000]);
    let submit = submit("t", 5, Map::from_iter([("args".to_owned(), many)]));
    let encoded = serde_cbor::to_vec(&submit.work).unwrap().len() as u64;
    let mut tasks = Tasks::default();
    tasks.submit(New::of(&submit, cause(), BootMs(0)));
    assert_eq!(tasks.bytes(), encoded + BESIDE_BYTES);
    let id = submit.task.clone();
    assert_eq!(tasks.get(&id).unwrap().spec.work().unwrap(), submit.work);
    tasks.end(&id, TaskEnd::Succeeded, 0);
    assert_eq!((tasks.bytes(), tasks.failed_bytes), (0, 0));
}

#[test]
fn a_task_that_succeeded_or_was_cancelled_keeps_its_id_and_nothing_else() {
    for end in [TaskEnd::Succeeded, TaskEnd::Cancelled] {
        let mut tasks = Tasks::default();
        queue(&mut tasks, "t", 5, 0);
        let id = "t".parse().unwrap();
        let writes = tasks.end(&id, end, 5);
        assert!(writes.contains(&record::delete(Kind::Task, "t")));
        assert!(matches!(tasks.known(&id), Some(Known::Over)));
        assert_eq!(tasks.forget(5 + 7 * 24 * 3_600_000), [record::delete(Kind::Run, "t")]);
        assert!(tasks.known(&id).is_none());
    }
}

#[test]
fn what_failed_tasks_occupy_is_bounded_and_the_oldest_give_way() {
    let mut tasks = Tasks::default();
    let text = Map::from_iter([("text".to_owned(), "x".repeat(60_000).into())]);
    let name = |number: u64| format!("t{number:03}").parse().unwrap();
    for number in 0..200 {
        let id: TaskId = name(number);
        tasks.submit(New::of(&submit(id.as_str(), 5, text.clone()), cause(), BootMs(0)));
        tasks.end(&id, TaskEnd::Failed, number);
        assert!(tasks.failed_bytes <= MAX_FAILED_BYTES);
    }
    assert!(matches!(tasks.known(&name(0)), Some(Known::FailedLongAgo)));
    assert!(matches!(tasks.known(&name(199)), Some(Known::Failed { .. })));
    tasks.forget(200 + 7 * 24 * 3_600_000);
    assert_eq!(tasks.failed_bytes, 0);
}

#[test]
fn tasks_outlive_a_restart_each_in_its_place() {
    let mut trial = Trial::new();
    trial.scripts(&["there.sh"]);
    let script = json!({"name": "there.sh"});
    for task in ["failed", "done", "runs", "waits", "later"] {
        let not_before = if task == "later" { trial.now.wall_ms + 500 } else { 0 };
        let more = json!({"max_retries": 0, "not_before_ms": not_before});
        trial.submit(task, "script", script.clone(), more);
    }
    trial.script("failed", 1, failed("no"));
    trial.script("done", 1, succeeded());
    let stopped = trial.stop_and_start();
    assert!(stopped.kills("runs") && stopped.kills("waits"));
    let tasks = &trial.node.tasks;
    let known = |task: &str| tasks.known(&task.parse().unwrap());
    assert!(matches!(known("failed"), Some(Known::Failed { .. })));
    assert!(matches!(known("done"), Some(Known::Over)));
    assert!(matches!(known("runs"), Some(Known::Running)));
    assert!(matches!(known("waits"), Some(Known::Running)));
    assert!(matches!(known("later"), Some(Known::Queued)));
}

#[test]
fn a_task_without_its_work_does_not_run_and_one_that_is_over_needs_none() {
    let run = |phase| Run { attempts: 1, last_attempt: 4, dark: false, phase };
    let over = Phase::Ended { end: TaskEnd::Succeeded, at_running_ms: 3 };
    let runs = [("lost", Phase::Queued { ready_at: BootMs(0) }), ("over", over)];
    let runs = runs.map(|(id, phase)| (id.parse().unwrap(), run(phase)));
    let mut tasks = Tasks::recovered(BTreeMap::new(), runs.into());
    assert!(tasks.known(&"lost".parse().unwrap()).is_none());
    assert!(tasks.known(&"over".parse().unwrap()).is_some());
    assert_eq!(start(&mut tasks, u64::MAX), None);
}

#[test]
fn a_wait_is_read_as_it_was_written() {
    let wait = TaskSubmit { work: Work::Wait(Wait { wait_ms: 7 }), ..submit("t", 5, Map::new()) };
    let spec = Spec::new(&wait, cause(), 0);
    assert_eq!((spec.work().unwrap(), spec.kind.as_str()), (wait.work, "wait"));
}
