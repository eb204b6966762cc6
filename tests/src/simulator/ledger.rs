//! What the node told, under which number, and what became of it: answers, numbers, bytes and
//! attempts. What a crash takes back before it was on disk was never told.

use std::collections::{BTreeMap, BTreeSet};

use edge_protocol::event::{Code, Event, What};
use edge_protocol::id::{CommandId, SessionId, TaskId};

type Held = Result<(), String>;

/// A repeated command is answered again at most so often.
const REPEAT_MS: u64 = 60_000;

#[derive(Debug)]
struct Entry {
    payload: Vec<u8>,
    what: What,
}

/// A command's first answer.
#[derive(Debug)]
struct Answer {
    seq: u64,
    /// `None`: accepted.
    code: Option<Code>,
    /// When it was given again last, in this run of the process.
    repeated_at: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: BTreeMap<u64, Entry>,
    /// Every event up to this one is on disk.
    pub(super) durable: u64,
    answers: BTreeMap<CommandId, Answer>,
    /// Turned away because there was no room: that is not remembered.
    busy: BTreeSet<CommandId>,
    starts: BTreeMap<SessionId, u32>,
    ends: BTreeMap<SessionId, u32>,
    /// Attempts that were told to start, with the event's number; and how often they ran.
    attempts: BTreeMap<(TaskId, u32), u64>,
    runs: BTreeMap<(TaskId, u32), u32>,
    /// Replaced on purpose, since the broker would not take it.
    replaced: BTreeSet<u64>,
}

/// The command that an event answers: its code where it was rejected, and whether that is a repeat.
fn answer(what: &What) -> Option<(&CommandId, Option<Code>, bool)> {
    if let What::CommandAccepted(accepted) = what {
        return Some((&accepted.command, None, accepted.repeat));
    }
    if let What::CommandRejected(rejected) = what {
        return Some((rejected.command.as_ref()?, Some(rejected.code), rejected.repeat));
    }
    None
}

impl Ledger {
    pub(super) fn last(&self) -> u64 {
        self.entries.last_key_value().map_or(0, |(seq, _)| *seq)
    }

    /// The node numbered an event.
    pub(super) fn told(&mut self, event: &Event, payload: &[u8], real: u64) -> Held {
        let last = self.last();
        let seq = event.seq;
        if seq <= last && self.replaced.contains(&seq) {
            return Ok(());
        }
        if seq <= last && matches!(event.what, What::NodeDropped(_)) {
            return Err(format!(
                "nothing that has a `seq` is dropped: {seq} was replaced though nobody refused it"
            ));
        }
        if seq != last + 1 {
            return Err(format!("`seq` rises by one for each event: {seq} follows {last}"));
        }
        self.answered(event, real)?;
        if let What::TaskStarted(news) = &event.what {
            self.attempts.insert((news.task.clone(), news.attempt), seq);
        }
        self.count_ends(&event.what, true);
        let entry = Entry { payload: payload.to_vec(), what: event.what.clone() };
        self.entries.insert(seq, entry);
        let Some(session) = event.what.session() else { return Ok(()) };
        let [starts, ends] =
            [&self.starts, &self.ends].map(|counts| counts.get(session).copied().unwrap_or(0));
        if starts > 1 || ends > 1 {
            return Err(format!(
                "a command has at most one effect: session {session} started {starts}, ended {ends} times"
            ));
        }
        Ok(())
    }

    /// Each command gets one answer, and the same one again when asked again.
    fn answered(&mut self, event: &Event, real: u64) -> Held {
        let Some((command, code, repeat)) = answer(&event.what) else { return Ok(()) };
        if code == Some(Code::Busy) {
            self.busy.insert(command.clone());
            return Ok(());
        }
        match self.answers.get_mut(command) {
            None if repeat => {
                Err(format!("each command gets one answer: {command} got none, and it is repeated"))
            }
            None => {
                let answer = Answer { seq: event.seq, code, repeated_at: None };
                self.answers.insert(command.clone(), answer);
                Ok(())
            }
            Some(_) if !repeat => Err(format!(
                "each command gets one answer: {command} got another that is no repeat"
            )),
            Some(known) if known.code != code => {
                let was = known.code;
                Err(format!(
                    "a repeated command is answered as before: {command} {was:?}, {code:?}"
                ))
            }
            Some(known) => {
                let before = known.repeated_at.replace(real);
                match before.filter(|before| real < before + REPEAT_MS) {
                    Some(before) => Err(format!(
                        "a repeated command is answered at most once a minute: {command} after {} ms",
                        real - before
                    )),
                    None => Ok(()),
                }
            }
        }
    }

    fn count_ends(&mut self, what: &What, up: bool) {
        let mut change = |counts: fn(&mut Self) -> &mut BTreeMap<SessionId, u32>,
                          id: &SessionId| {
            let count = counts(self).entry(id.clone()).or_default();
            *count = if up { *count + 1 } else { *count - 1 };
        };
        if let What::SessionStarted(times) = what {
            change(|ledger| &mut ledger.starts, &times.session);
        } else if let What::SessionEnded(ended) = what {
            change(|ledger| &mut ledger.ends, &ended.session);
        } else if let What::SessionFailed(failed) = what {
            change(|ledger| &mut ledger.ends, &failed.session);
        }
    }

    /// The process died; its events up to `durable` are on disk.
    pub(super) fn crashed(&mut self) {
        for (_, entry) in self.entries.split_off(&(self.durable + 1)) {
            self.count_ends(&entry.what, false);
        }
        let durable = self.durable;
        self.answers.retain(|_, answer| answer.seq <= durable);
        self.answers.values_mut().for_each(|answer| answer.repeated_at = None);
        self.attempts.retain(|_, seq| *seq <= durable);
    }

    /// The broker would not take an event as it is.
    pub(super) fn refuse(&mut self, seq: u64) {
        self.replaced.insert(seq);
    }

    pub(super) fn was_refused(&self, seq: u64) -> bool {
        self.replaced.contains(&seq)
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
            _ if self.replaced.contains(&seq) => Ok(()),
            Some(entry) if entry.payload == payload => Ok(()),
            Some(_) => {
                Err(format!("an event is published unchanged: {seq} goes out with other bytes"))
            }
            None => Err(format!("event {seq} was never told")),
        }
    }

    /// A command is acknowledged to the broker.
    pub(super) fn acknowledged(&self, command: &CommandId) -> Held {
        let stored = |answer: &Answer| answer.seq <= self.durable;
        if self.answers.get(command).is_some_and(stored) || self.busy.contains(command) {
            return Ok(());
        }
        Err(format!("a command is acknowledged once its answer is on disk: {command} is not"))
    }

    /// How often a command was answered for the first time, on disk or not.
    pub(super) fn answers(&self, command: &CommandId) -> usize {
        usize::from(self.answers.contains_key(command))
    }

    /// A script's attempt is started. `again` where an orderly stop may have interrupted it.
    pub(super) fn run(&mut self, task: &TaskId, attempt: u32, again: bool) -> Held {
        let key = (task.clone(), attempt);
        if self.attempts.get(&key).is_none_or(|seq| *seq > self.durable) {
            return Err(format!(
                "the attempt count is durable before an attempt starts: {task} {attempt} is not"
            ));
        }
        let runs = self.runs.entry(key).or_default();
        *runs += 1;
        if *runs > 1 && !again {
            return Err(format!("an attempt runs once: {attempt} of {task} ran {runs} times"));
        }
        Ok(())
    }

    /// Whether a command was turned away because there was no room.
    pub(super) fn busy(&self, command: &CommandId) -> bool {
        self.busy.contains(command)
    }

    pub(super) fn sessions(&self) -> u64 {
        self.starts.values().map(|count| u64::from(*count)).sum()
    }
}
