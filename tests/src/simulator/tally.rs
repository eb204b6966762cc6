//! How often each thing happened: a world that never does something proves nothing about it.

use std::collections::BTreeMap;

/// Counts by what is counted.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    counts: BTreeMap<(&'static str, String), u64>,
}

impl Tally {
    pub(super) fn count(&mut self, group: &'static str, what: &str) {
        self.add(group, what, 1);
    }

    pub(super) fn add(&mut self, group: &'static str, what: &str, times: u64) {
        *self.counts.entry((group, what.to_owned())).or_default() += times;
    }

    /// Takes another's counts in.
    pub fn merge(&mut self, other: &Self) {
        for ((group, what), times) in &other.counts {
            self.add(group, what, *times);
        }
    }

    /// How often something was counted.
    #[must_use]
    pub fn of(&self, group: &'static str, what: &str) -> u64 {
        self.counts.get(&(group, what.to_owned())).copied().unwrap_or(0)
    }

    /// All of a group.
    #[must_use]
    pub fn sum(&self, group: &str) -> u64 {
        self.group(group).map(|(_, times)| times).sum()
    }

    /// What was counted of a group.
    pub fn group(&self, group: &str) -> impl Iterator<Item = (&str, u64)> {
        let own = move |key: &&(&'static str, String)| key.0 == group;
        self.counts.keys().filter(own).map(|key| (key.1.as_str(), self.counts[key]))
    }
}
