//! The last events, for people who look.

use std::collections::VecDeque;

use edge_protocol::event::{Event, TaskNews, What};

/// As many as fit a phone without much scrolling.
const KEPT: usize = 20;

/// The last events that are worth a person's while.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<Event>);

impl Recent {
    /// An event was told.
    pub(crate) fn told(&mut self, mut event: Event) {
        if !noteworthy(&mut event.what) {
            return;
        }
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(event);
    }

    /// What is kept, the oldest first.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.0.iter().cloned().collect()
    }
}

/// Whether a person would want to know. What is shown elsewhere, and each step of the routine, would
/// only push out what matters. Takes a task's result out: it may be large.
fn noteworthy(what: &mut What) -> bool {
    match what {
        What::TaskRetrying(news)
        | What::TaskSucceeded(news)
        | What::TaskFailed(news)
        | What::TaskCancelled(news) => {
            *news = TaskNews { result: None, ..news.clone() };
            true
        }
        What::CommandAccepted(_)
        | What::OutletLease(_)
        | What::TaskQueued(_)
        | What::TaskStarted(_)
        | What::NodeReport(_) => false,
        What::CommandRejected(_)
        | What::SessionBooked(_)
        | What::SessionStarted(_)
        | What::SessionExtended(_)
        | What::SessionWarning(_)
        | What::SessionPaused(_)
        | What::SessionResumed(_)
        | What::SessionTransferred(_)
        | What::SessionEnding(_)
        | What::SessionEnded(_)
        | What::SessionFailed(_)
        | What::SessionRefused(_)
        | What::OutletChanged(_)
        | What::OutletFault(_)
        | What::OutletRecovered(_)
        | What::NodeStarted(_)
        | What::NodeClock(_)
        | What::NodeLink(_)
        | What::NodeStore(_)
        | What::NodeDropped(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use edge_protocol::event::{Clock, CommandAccepted, NodeLink};

    use super::*;

    fn event(seq: u64, what: What) -> Event {
        Event {
            store: "9f3ac01b".to_owned(),
            seq,
            at_ms: 1,
            clock: Clock::Synced,
            uptime_ms: 1,
            boot_id: "boot".to_owned(),
            cause: None,
            what,
        }
    }

    #[test]
    fn the_last_are_kept_in_their_order_and_the_routine_is_passed_over() {
        let mut recent = Recent::default();
        for seq in 1..=50 {
            let command = "c-1".parse().unwrap();
            recent.told(event(seq * 2, What::NodeLink(NodeLink { session_present: true })));
            let accepted = CommandAccepted { command, repeat: false };
            recent.told(event(seq * 2 + 1, What::CommandAccepted(accepted)));
        }
        let kept: Vec<u64> = recent.events().iter().map(|event| event.seq).collect();
        assert_eq!(kept, (31..=50).map(|seq| seq * 2).collect::<Vec<u64>>());
    }

    #[test]
    fn a_tasks_result_is_not_kept() {
        let mut recent = Recent::default();
        let news = TaskNews {
            task: "t-1".parse().unwrap(),
            kind: "script".to_owned(),
            attempt: 1,
            error: None,
            next_at_ms: None,
            result: Some(serde_json::Map::from_iter([("big".to_owned(), "x".into())])),
            duration_ms: Some(5),
        };
        recent.told(event(1, What::TaskSucceeded(news.clone())));
        let kept = recent.events().remove(0).what;
        assert_eq!(kept, What::TaskSucceeded(TaskNews { result: None, ..news }));
    }
}
