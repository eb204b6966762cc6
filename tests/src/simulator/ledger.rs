//! What the node told, under which number, and what became of it: answers, numbers, bytes and
//! attempts. What a crash takes back before it was on disk was never told.

use std::collections::BTreeMap;

use edge_protocol::event::{Code, Event, What};
use edge_protocol::id::{CommandId, SessionId, TaskId};

type Held = Result<(), String>;

#[derive(Debug)]
struct Entry {
    payload: Vec<u8>,
    what: What,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<u64, Entry>,
    /// Every event up to this one is on disk.
    pub(super) durable: u64,
    answers: BTreeMap<CommandId, u32>,
    starts: BTreeMap<SessionId, u32>,
    ends: BTreeMap<SessionId, u32>,
    attempts: BTreeMap<(TaskId, u32), u32>,
    /// Replaced on purpose, since the broker would not take it.
    replaced: BTreeMap<u64, ()>,
}

/// The command that an event answers for the first time.
fn answer(what: &What) -> Option<&CommandId> {
    if let What::CommandAccepted(accepted) = what {
        return Some(&accepted.command).filter(|_| !accepted.repeat);
    }
    if let What::CommandRejected(rejected) = what {
        return rejected
            .command
            .as_ref()
            .filter(|_| !rejected.repeat && rejected.code != Code::Busy);
    }
    None
}

impl Ledger {
    pub(super) fn last(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    /// The node numbered an event.
    pub(super) fn told(&mut self, event: &Event, payload: &[u8]) -> Held {
        let last = self.last();
        if event.seq <= last && self.replaced.contains_key(&event.seq) {
            return Ok(());
        }
        if event.seq <= last && matches!(event.what, What::NodeDropped(_)) {
            return Err(format!(
                "event {} was replaced by node.dropped though nobody refused it",
                event.seq
            ));
        }
        if event.seq != last + 1 {
            return Err(format!("`seq` rises by one for each event: {} follows {last}", event.seq));
        }
        self.entries
            .insert(event.seq, Entry { payload: payload.to_vec(), what: event.what.clone() });
        self.count(&event.what, true);
        if let Some(command) = answer(&event.what)
            && self.answers[command] > 1
        {
            return Err(format!(
                "each command gets one answer: {command} got another that is no repeat"
            ));
        }
        if let Some(session) = event.what.session() {
            let [starts, ends] =
                [&self.starts, &self.ends].map(|counts| counts.get(session).copied().unwrap_or(0));
            if starts > 1 || ends > 1 {
                return Err(format!(
                    "a command has at most one effect: session {session} started {starts}, ended {ends} times"
                ));
            }
        }
        Ok(())
    }

    fn count(&mut self, what: &What, up: bool) {
        fn change<K: Ord + Clone>(counts: &mut BTreeMap<K, u32>, key: &K, up: bool) {
            let count = counts.entry(key.clone()).or_default();
            *count = if up { *count + 1 } else { *count - 1 };
        }
        if let Some(command) = answer(what) {
            change(&mut self.answers, command, up);
        }
        if let What::SessionStarted(times) = what {
            change(&mut self.starts, &times.session, up);
        } else if let What::SessionEnded(ended) = what {
            change(&mut self.ends, &ended.session, up);
        } else if let What::SessionFailed(failed) = what {
            change(&mut self.ends, &failed.session, up);
        }
    }

    /// The process died; its batches up to here are on disk.
    pub(super) fn crashed(&mut self) {
        for (_, entry) in self.entries.split_off(&(self.durable + 1)) {
            self.count(&entry.what, false);
        }
    }

    /// The broker would not take an event as it is.
    pub(super) fn refuse(&mut self, seq: u64) {
        self.replaced.insert(seq, ());
    }

    pub(super) fn was_refused(&self, seq: u64) -> bool {
        self.replaced.contains_key(&seq)
    }

    /// An event goes out.
    pub(super) fn published(&self, seq: u64, payload: &[u8]) -> Held {
        if seq > self.durable {
            return Err(format!(
                "an event is published once it is on disk: {seq} is out, {} is on disk",
                self.durable
            ));
        }
        match self.entries.get(&seq) {
            _ if self.replaced.contains_key(&seq) => Ok(()),
            Some(entry) if entry.payload == payload => Ok(()),
            Some(_) => {
                Err(format!("an event is published unchanged: {seq} goes out with other bytes"))
            }
            None => Err(format!("event {seq} was never told")),
        }
    }

    /// Whether a command's answer is on disk.
    pub(super) fn answered(&self, command: &CommandId) -> bool {
        self.answers.get(command).is_some_and(|count| *count > 0)
            && self.entries.range(..=self.durable).any(|(_, entry)| match &entry.what {
                What::CommandAccepted(accepted) => accepted.command == *command,
                What::CommandRejected(rejected) => rejected.command.as_ref() == Some(command),
                _ => false,
            })
    }

    /// How often a command was answered for the first time, on disk or not.
    pub(super) fn answers(&self, command: &CommandId) -> u32 {
        self.answers.get(command).copied().unwrap_or(0)
    }

    /// A script's attempt is started. `again` where an orderly stop may have interrupted it.
    pub(super) fn run(&mut self, task: &TaskId, attempt: u32, again: bool) -> Held {
        let told = self.entries.range(..=self.durable).rev().any(|(_, entry)| {
            matches!(&entry.what, What::TaskStarted(news) if news.task == *task && news.attempt == attempt)
        });
        if !told {
            return Err(format!(
                "the attempt count is durable before an attempt starts: {task} {attempt} is not"
            ));
        }
        let runs = self.attempts.entry((task.clone(), attempt)).or_default();
        *runs += 1;
        if *runs > 1 && !again {
            return Err(format!("attempt {attempt} of {task} ran {runs} times"));
        }
        Ok(())
    }

    /// Whether a command was turned away because there was no room.
    pub(super) fn busy(&self, command: &CommandId) -> bool {
        self.entries.values().any(|entry| match &entry.what {
            What::CommandRejected(rejected) => {
                rejected.command.as_ref() == Some(command) && rejected.code == Code::Busy
            }
            _ => false,
        })
    }

    pub(super) fn sessions(&self) -> u64 {
        self.starts.values().map(|count| u64::from(*count)).sum()
    }
}
