//! How often each thing happened: a world that never does something proves nothing about it.

use std::collections::BTreeMap;

/// Counts by what is counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    counts: BTreeMap<&'static str, BTreeMap<String, u64>>,
}

impl Tally {
    pub(super) fn count(&mut self, group: &'static str, what: &str) {
        self.add(group, what, 1);
    }

    pub(super) fn add(&mut self, group: &'static str, what: &str, times: u64) {
        let counts = self.counts.entry(group).or_default();
        match counts.get_mut(what) {
            Some(count) => *count += times,
            None => drop(counts.insert(what.to_owned(), times)),
        }
    }

    /// Takes another's counts in.
    pub fn merge(&mut self, other: &Self) {
        for (group, counts) in &other.counts {
            for (what, times) in counts {
                self.add(group, what, *times);
            }
        }
    }

    /// How often something was counted.
    #[must_use]
    pub fn of(&self, group: &'static str, what: &str) -> u64 {
        self.counts.get(group).and_then(|counts| counts.get(what)).copied().unwrap_or(0)
    }

    /// All of a group.
    #[must_use]
    pub fn sum(&self, group: &str) -> u64 {
        self.group(group).map(|(_, times)| times).sum()
    }

    /// What was counted of a group.
    pub fn group(&self, group: &str) -> impl Iterator<Item = (&str, u64)> {
        let counts = self.counts.get(group).into_iter().flatten();
        counts.map(|(what, times)| (what.as_str(), *times))
    }
}
