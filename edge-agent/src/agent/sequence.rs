//! The order in which a node's effects are carried out, without carrying them out: so that the
//! agent and a simulator keep the same one.

use std::collections::VecDeque;

use crate::node::{Act, Effects};
use crate::store::Batch;

/// An act, and the connection that was up when the node decided it: a publish belongs to that.
pub type Stamped = (u64, Act);

/// What waits for a batch to be stored.
#[derive(Debug)]
struct Unstored {
    number: u64,
    acts: Vec<Stamped>,
}

/// Acts in their order, each behind the writes that were decided before or with it.
#[derive(Debug)]
pub struct Sequence {
    unstored: VecDeque<Unstored>,
    next_batch: u64,
}

impl Default for Sequence {
    fn default() -> Self {
        Self { unstored: VecDeque::new(), next_batch: 1 }
    }
}

impl Sequence {
    /// Takes a batch's effects, but for its orders, which wait for nothing. Returns what to store
    /// now and what to do now.
    pub fn admit(&mut self, effects: Effects, connection: u64) -> (Option<Batch>, Vec<Stamped>) {
        let batch = (!effects.writes.is_empty()).then(|| {
            let number = self.next_batch;
            self.next_batch += 1;
            self.unstored.push_back(Unstored { number, acts: Vec::new() });
            Batch { number, writes: effects.writes, last_seq: effects.last_seq }
        });
        let acts = effects.acts.into_iter().map(|act| (connection, act));
        // Without writes of its own an act still waits for those before it.
        match self.unstored.back_mut() {
            Some(last) => {
                last.acts.extend(acts);
                (batch, Vec::new())
            }
            None => (batch, acts.collect()),
        }
    }

    /// Every batch up to `through` is on disk. Returns what to do now.
    pub fn stored(&mut self, through: u64) -> Vec<Stamped> {
        let mut ready = Vec::new();
        while self.unstored.front().is_some_and(|first| first.number <= through) {
            ready.extend(self.unstored.pop_front().into_iter().flat_map(|stored| stored.acts));
        }
        ready
    }

    /// How many batches wait for the disk.
    #[must_use]
    pub fn unstored(&self) -> usize {
        self.unstored.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::record::Write;

    fn effects(writes: usize, acts: &[u64]) -> Effects {
        let write = || Write::Delete { key: Vec::new() };
        Effects {
            writes: std::iter::repeat_with(write).take(writes).collect(),
            acts: acts.iter().map(|token| Act::Acknowledge(*token)).collect(),
            ..Effects::default()
        }
    }

    fn tokens(acts: Vec<Stamped>) -> Vec<u64> {
        let token = |(_, act)| if let Act::Acknowledge(token) = act { Some(token) } else { None };
        acts.into_iter().filter_map(token).collect()
    }

    #[test]
    fn an_act_waits_for_the_writes_decided_with_it_and_before_it() {
        let mut sequence = Sequence::default();
        assert_eq!(tokens(sequence.admit(effects(0, &[1]), 1).1), [1], "nothing to wait for");
        let (batch, now) = sequence.admit(effects(1, &[2]), 1);
        assert_eq!((batch.unwrap().number, tokens(now)), (1, Vec::<u64>::new()));
        assert!(sequence.admit(effects(0, &[3]), 1).1.is_empty(), "behind the batch before it");
        let (batch, _) = sequence.admit(effects(1, &[4]), 1);
        assert_eq!(batch.unwrap().number, 2);
        assert_eq!(tokens(sequence.stored(1)), [2, 3]);
        assert_eq!(tokens(sequence.stored(2)), [4]);
        assert_eq!(sequence.unstored(), 0);
    }
}
