//! What commands about tasks are sent for.

use edge_protocol::event::{Event, TaskNews, What};
use edge_protocol::id::TaskId;

use super::{Goal, Scene, Step};
use crate::instant;
use crate::plain::plain;
use crate::span::said;

/// A task that is to end.
#[derive(Debug)]
pub(crate) struct TaskGoal {
    task: TaskId,
    /// What it is for, as it stands before "is done".
    what: String,
    /// Whether its end is to be a cancellation.
    cancel: bool,
    /// How long one attempt may take; 0 where unknown.
    attempt_ms: u64,
}

impl TaskGoal {
    /// A task that is to succeed.
    pub(crate) fn succeeds(task: TaskId, what: String, attempt_ms: u64) -> Self {
        Self { task, what, cancel: false, attempt_ms }
    }

    /// A task that is to be cancelled.
    pub(crate) fn cancelled(task: TaskId) -> Self {
        let what = format!("task {task}");
        Self { task, what, cancel: true, attempt_ms: 0 }
    }

    fn gone(&self) -> Step {
        let text = format!("{} is cancelled", self.what);
        if self.cancel { Step::done(text) } else { Step::failed(text) }
    }

    fn retrying(&self, news: &TaskNews, scene: &Scene<'_>) -> Step {
        let error = news.error.as_deref().map_or_else(String::new, |e| format!(": {}", plain(e)));
        let note = format!("attempt {} failed{error}", news.attempt);
        match news.next_at_ms {
            Some(at_ms) => Step::Until {
                at_ms: at_ms.saturating_add(self.attempt_ms),
                note: format!("{note}; the next starts at {}", instant::said(at_ms, scene.now_ms)),
            },
            None => Step::Note(note),
        }
    }

    fn succeeded(&self, news: &TaskNews) -> Step {
        let took = news.duration_ms.map_or_else(String::new, |ms| format!(" after {}", said(ms)));
        let attempt =
            if news.attempt > 1 { format!(", attempt {}", news.attempt) } else { String::new() };
        let result = news.result.as_ref().map_or_else(String::new, |result| {
            let result = serde_json::to_string(result).unwrap_or_default();
            format!("; result: {}", plain(&result))
        });
        let text = format!("{} is done{took}{attempt}{result}", self.what);
        if self.cancel {
            Step::failed(format!("too late to cancel: {text}"))
        } else {
            Step::done(text)
        }
    }

    fn failed(&self, news: &TaskNews) -> Step {
        let error = news.error.as_deref().map_or_else(String::new, |e| format!(": {}", plain(e)));
        let text = format!("{} failed for good after attempt {}{error}", self.what, news.attempt);
        let again = format!("; `edgectl task retry {}` runs it again", self.task);
        Step::failed(if self.cancel { text } else { text + &again })
    }
}

impl Goal for TaskGoal {
    fn awaited(&self) -> String {
        let end = if self.cancel { "cancelled" } else { "done" };
        format!("{} to be {end}", self.what)
    }

    fn event(&mut self, event: &Event, _ours: bool, scene: &Scene<'_>) -> Step {
        // One look for the task, whatever became of it.
        let (What::TaskQueued(news)
        | What::TaskStarted(news)
        | What::TaskRetrying(news)
        | What::TaskSucceeded(news)
        | What::TaskFailed(news)
        | What::TaskCancelled(news)) = &event.what
        else {
            return Step::Wait;
        };
        if news.task != self.task {
            return Step::Wait;
        }
        match event.what.kind() {
            "task.queued" => Step::Wait,
            "task.started" => Step::Until {
                at_ms: scene.now_ms.saturating_add(self.attempt_ms),
                note: format!("attempt {} runs", news.attempt),
            },
            "task.retrying" => self.retrying(news, scene),
            "task.succeeded" => self.succeeded(news),
            "task.failed" => self.failed(news),
            _ => self.gone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use edge_protocol::presence::Status;
    use serde_json::json;

    use super::*;
    use crate::command::FAILED;
    use crate::picture::Picture;

    fn hear(goal: &mut TaskGoal, kind: &str, more: &serde_json::Value) -> Step {
        let mut body = json!({ "task": "t-1", "kind": "script", "attempt": 2 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let event = json!({ "store": "a", "seq": 9, "type": kind, "at_ms": 1, "clock": "synced",
            "uptime_ms": 1, "boot_id": "b", "body": body });
        let event: Event = serde_json::from_value(event).unwrap();
        let (picture, node) = (Picture::default(), "pi-1".parse().unwrap());
        assert!(!matches!(picture.status, Some(Status::Online(_))));
        goal.event(&event, true, &Scene { node: &node, picture: &picture, now_ms: 1_000 })
    }

    fn goal() -> TaskGoal {
        TaskGoal::succeeds("t-1".parse().unwrap(), "menu".to_owned(), 60_000)
    }

    #[test]
    fn each_attempt_is_told_and_waited_for_as_long_as_it_may_take() {
        let Step::Until { at_ms, note } = hear(&mut goal(), "task.started", &json!({})) else {
            panic!("it is news")
        };
        assert_eq!((at_ms, note.as_str()), (61_000, "attempt 2 runs"));
        let retrying = json!({ "error": "exit 1\u{1b}[2J", "next_at_ms": 5_000 });
        let Step::Until { at_ms, note } = hear(&mut goal(), "task.retrying", &retrying) else {
            panic!("it is news")
        };
        assert_eq!(at_ms, 65_000);
        assert!(
            note.starts_with("attempt 2 failed: exit 1\\u{1b}[2J; the next starts at "),
            "{note}"
        );
    }

    #[test]
    fn the_end_of_a_task_is_told_as_what_was_asked_for() {
        let result = json!({ "duration_ms": 1_500, "result": { "pages": 3 } });
        let done = Step::done("menu is done after 1.5 s, attempt 2; result: {\"pages\":3}");
        assert_eq!(hear(&mut goal(), "task.succeeded", &result), done);
        let Step::Failed { code, text } =
            hear(&mut goal(), "task.failed", &json!({ "error": "exit 64" }))
        else {
            panic!("it failed")
        };
        assert_eq!(code, FAILED);
        assert_eq!(
            text,
            "menu failed for good after attempt 2: exit 64; `edgectl task retry t-1` runs it again"
        );
        let mut cancel = TaskGoal::cancelled("t-1".parse().unwrap());
        assert_eq!(
            hear(&mut cancel, "task.cancelled", &json!({})),
            Step::done("task t-1 is cancelled")
        );
        let Step::Failed { text, .. } = hear(&mut cancel, "task.succeeded", &json!({})) else {
            panic!("it was too late")
        };
        assert_eq!(text, "too late to cancel: task t-1 is done, attempt 2");
    }

    #[test]
    fn another_task_is_none_of_its_business() {
        let mut other = TaskGoal::succeeds("t-2".parse().unwrap(), "menu".to_owned(), 1);
        assert_eq!(hear(&mut other, "task.succeeded", &json!({})), Step::Wait);
    }
}
