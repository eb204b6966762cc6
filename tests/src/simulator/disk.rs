//! The disk: whole batches become durable after a while, in their order; a crash keeps some of those that waited.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use edge_agent::node::Found;
use edge_agent::node::record::Write;
use edge_agent::store::{Batch, Completion};

use super::chance::{Chance, For};
use super::sabotage::{self, Sabotage};

#[derive(Debug)]
enum Job {
    Batch(Batch),
    Load { seqs: RangeInclusive<u64>, max_bytes: usize },
}

/// What a crash made of the batches that waited for their flush.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Survived {
    /// The number of the last one that was written all the same; 0 for none.
    pub(super) through: u64,
    pub(super) waited: usize,
    pub(super) kept: usize,
}

#[derive(Debug)]
pub(super) struct Disk {
    chance: Chance,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    jobs: VecDeque<Job>,
    /// How many of the jobs the flush under way serves.
    flushing: usize,
    pub(super) failing: bool,
    /// Trouble was told and nothing stored since.
    troubled: bool,
    /// The next flush takes so long.
    pub(super) stall_ms: Option<u64>,
    sabotage: Option<Sabotage>,
    /// The rows before the last flush, where a crash is to forget it.
    before: Option<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Disk {
    pub(super) fn new(chance: Chance, sabotage: Option<Sabotage>) -> Self {
        Self {
            chance,
            rows: BTreeMap::new(),
            jobs: VecDeque::new(),
            flushing: 0,
            failing: false,
            troubled: false,
            stall_ms: None,
            sabotage,
            before: None,
        }
    }

    pub(super) fn submit(&mut self, batch: Batch) {
        self.jobs.push_back(Job::Batch(batch));
    }

    pub(super) fn load(&mut self, seqs: RangeInclusive<u64>, max_bytes: usize) {
        self.jobs.push_back(Job::Load { seqs, max_bytes });
    }

    /// Begins the next flush, if one is needed. Returns how long it takes.
    pub(super) fn begin(&mut self, now: u64) -> Option<u64> {
        if self.flushing > 0 || self.jobs.is_empty() {
            return None;
        }
        self.flushing = self.jobs.len();
        let mut rng = self.chance.at(now, For::Flush);
        let usual_ms = if rng.u8(0..20) == 0 { rng.u64(100..1_000) } else { rng.u64(2..40) };
        Some(self.stall_ms.take().unwrap_or(usual_ms))
    }

    /// The flush is over, one way or the other.
    pub(super) fn flushed(&mut self, now: u64) -> Vec<Completion> {
        if self.failing {
            self.flushing = 0;
            let trouble = Completion::Trouble { error: "no space left".to_owned(), full: true };
            let told = std::mem::replace(&mut self.troubled, true);
            return if told { vec![] } else { vec![trouble] };
        }
        self.troubled = false;
        if self.sabotage == Some(Sabotage::FlushesForgotten) {
            self.before = Some(self.rows.clone());
        }
        let mut completions = Vec::new();
        let mut through = None;
        for _ in 0..std::mem::take(&mut self.flushing) {
            match self.jobs.pop_front() {
                Some(Job::Batch(batch)) => {
                    through = Some(batch.number);
                    self.apply(batch, now);
                }
                Some(Job::Load { seqs, max_bytes }) => {
                    let stored = through.take().map(|through| Completion::Stored { through });
                    completions.extend(stored);
                    completions.push(self.read(seqs, max_bytes));
                }
                None => break,
            }
        }
        completions.extend(through.map(|through| Completion::Stored { through }));
        completions
    }

    fn apply(&mut self, batch: Batch, now: u64) {
        let loses = self.sabotage == Some(Sabotage::EventsLost);
        let mut rng = self.chance.at(now, For::Sabotage);
        for write in batch.writes {
            match write {
                Write::Put { key, .. }
                    if loses && key.starts_with(b"event/") && rng.u8(0..40) == 0 => {}
                Write::Put { key, value } => {
                    self.rows.insert(key, value);
                }
                Write::Delete { key } => {
                    self.rows.remove(&key);
                }
            }
        }
    }

    fn read(&self, seqs: RangeInclusive<u64>, max_bytes: usize) -> Completion {
        let (from, mut through) = (*seqs.start(), *seqs.end());
        let mut rows = Vec::new();
        let mut bytes = 0;
        for seq in seqs {
            let Some(value) = self.rows.get(&edge_agent::store::event_key(seq)) else { continue };
            if !rows.is_empty() && bytes + value.len() > max_bytes {
                through = seq - 1;
                break;
            }
            bytes += value.len();
            rows.push((seq, value.clone()));
        }
        Completion::Loaded { from, through, rows }
    }

    /// The process is gone: of what waited some was written all the same, as a prefix of whole
    /// batches.
    pub(super) fn crash(&mut self, now: u64) -> Survived {
        let mut batches: VecDeque<Batch> = std::mem::take(&mut self.jobs)
            .into_iter()
            .filter_map(|job| match job {
                Job::Batch(batch) => Some(batch),
                Job::Load { .. } => None,
            })
            .collect();
        self.flushing = 0;
        self.troubled = false;
        let waited = batches.len();
        let written = self.chance.at(now, For::Crash).usize(0..=waited);
        let kept = if self.failing { 0 } else { written };
        let mut through = 0;
        for batch in batches.drain(..kept) {
            through = batch.number;
            self.apply(batch, now);
        }
        if let Some(before) = self.before.take() {
            self.rows = before;
        }
        Survived { through, waited, kept }
    }

    /// What a start finds.
    pub(super) fn found(&self) -> Found {
        let mut found = Found::default();
        for (key, value) in &self.rows {
            match key.strip_prefix(b"event/") {
                Some(seq) => {
                    let seq = u64::from_be_bytes(seq.try_into().expect("a seq has 8 bytes"));
                    let bytes = u32::try_from(value.len()).expect("an event is small");
                    found.events.push((seq, bytes));
                }
                None => found.rows.push((key.clone(), value.clone())),
            }
        }
        sabotage::found(self.sabotage, &mut found);
        found
    }

    /// The sessions that are still on it, for a person.
    pub(super) fn sessions(&self) -> Vec<String> {
        let keys = self.rows.keys().filter(|key| key.starts_with(b"session/"));
        keys.map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }
}
