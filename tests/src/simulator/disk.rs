//! The disk: whole batches become durable after a while, in their order; a crash keeps some of those that waited.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use edge_agent::node::Found;
use edge_agent::node::record::Write;
use edge_agent::store::{Batch, Completion};
use fastrand::Rng;

use super::Sabotage;

#[derive(Debug)]
enum Job {
    Batch(Batch),
    Load { seqs: RangeInclusive<u64>, max_bytes: usize },
}

#[derive(Debug)]
pub(super) struct Disk {
    rng: Rng,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    jobs: VecDeque<Job>,
    /// How many of the jobs the flush under way serves.
    flushing: usize,
    pub(super) failing: bool,
    /// Trouble was told and nothing stored since.
    troubled: bool,
    /// The rows before the last flush, where they are to be lost.
    before: Option<BTreeMap<Vec<u8>, Vec<u8>>>,
    sabotage: Option<Sabotage>,
    pub(super) stalls: bool,
}

impl Disk {
    pub(super) fn new(seed: u64, sabotage: Option<Sabotage>) -> Self {
        Self {
            rng: Rng::with_seed(seed ^ 0xd15c),
            rows: BTreeMap::new(),
            jobs: VecDeque::new(),
            flushing: 0,
            failing: false,
            troubled: false,
            before: None,
            sabotage,
            stalls: true,
        }
    }

    pub(super) fn submit(&mut self, batch: Batch) {
        self.jobs.push_back(Job::Batch(batch));
    }

    pub(super) fn load(&mut self, seqs: RangeInclusive<u64>, max_bytes: usize) {
        self.jobs.push_back(Job::Load { seqs, max_bytes });
    }

    /// Begins the next flush, if one is needed. Returns how long it takes.
    pub(super) fn begin(&mut self) -> Option<u64> {
        if self.flushing > 0 || self.jobs.is_empty() {
            return None;
        }
        self.flushing = self.jobs.len();
        Some(match self.rng.u32(0..1_000) {
            0..3 if self.stalls => self.rng.u64(1_000..30_000),
            0..50 if self.stalls => self.rng.u64(100..1_500),
            _ => self.rng.u64(2..40),
        })
    }

    /// The flush is over, one way or the other.
    pub(super) fn flushed(&mut self) -> Vec<Completion> {
        if self.failing {
            self.flushing = 0;
            let trouble = Completion::Trouble { error: "no space left".to_owned(), full: true };
            return if std::mem::replace(&mut self.troubled, true) {
                vec![]
            } else {
                vec![trouble]
            };
        }
        self.troubled = false;
        if self.sabotage == Some(Sabotage::FlushLost) {
            self.before = Some(self.rows.clone());
        }
        let mut completions = Vec::new();
        let mut through = None;
        for _ in 0..std::mem::take(&mut self.flushing) {
            match self.jobs.pop_front() {
                Some(Job::Batch(batch)) => {
                    through = Some(batch.number);
                    self.apply(batch);
                }
                Some(Job::Load { seqs, max_bytes }) => {
                    completions
                        .extend(through.take().map(|through| Completion::Stored { through }));
                    completions.push(self.read(seqs, max_bytes));
                }
                None => break,
            }
        }
        completions.extend(through.map(|through| Completion::Stored { through }));
        completions
    }

    fn apply(&mut self, batch: Batch) {
        for write in batch.writes {
            match write {
                Write::Put { key, value } => {
                    let dropped = self.sabotage == Some(Sabotage::EventsLost)
                        && key.starts_with(b"event/")
                        && self.rng.u32(0..40) == 0;
                    if !dropped {
                        self.rows.insert(key, value);
                    }
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

    /// The process is gone: some of what waited was written all the same, as a prefix of whole
    /// batches. Returns the number of the last one that was.
    pub(super) fn crash(&mut self) -> u64 {
        let mut batches: VecDeque<Batch> = std::mem::take(&mut self.jobs)
            .into_iter()
            .filter_map(|job| match job {
                Job::Batch(batch) => Some(batch),
                Job::Load { .. } => None,
            })
            .collect();
        self.flushing = 0;
        self.troubled = false;
        let kept = if self.failing { 0 } else { self.rng.usize(0..=batches.len()) };
        let mut through = 0;
        for batch in batches.drain(..kept) {
            through = batch.number;
            self.apply(batch);
        }
        if let Some(before) = self.before.take() {
            self.rows = before;
        }
        if self.sabotage == Some(Sabotage::AnswersForgotten) {
            self.rows.retain(|key, _| !key.starts_with(b"command/"));
        }
        through
    }

    pub(super) fn found(&self) -> Found {
        let mut found = Found::default();
        for (key, value) in &self.rows {
            match key.strip_prefix(b"event/") {
                Some(seq) => {
                    let seq = u64::from_be_bytes(seq.try_into().expect("a seq has 8 bytes"));
                    found
                        .events
                        .push((seq, u32::try_from(value.len()).expect("an event is small")));
                }
                None => found.rows.push((key.clone(), value.clone())),
            }
        }
        found
    }
}
