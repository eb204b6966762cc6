//! How long something took, counted by size.

/// Durations, counted in the ranges that `bounds` part: microseconds, ascending, each bound included.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    bounds_us: &'static [u64],
    /// One more than there are bounds: the last is for what is above them all.
    counts: Vec<u64>,
    sum_us: u64,
}

impl Histogram {
    pub(super) fn new(bounds_us: &'static [u64]) -> Self {
        Self { bounds_us, counts: vec![0; bounds_us.len() + 1], sum_us: 0 }
    }

    /// Counts one that took so long.
    pub(super) fn observe(&mut self, us: u64) {
        let range = self.bounds_us.partition_point(|bound| *bound < us);
        self.counts[range] += 1;
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Each bound, and how many took so long at most.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let running = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.bounds_us.iter().copied().zip(running)
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What they took together.
    pub(super) fn sum_us(&self) -> u64 {
        self.sum_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_what_it_bounds_and_nothing_is_lost_above_the_last() {
        let mut histogram = Histogram::new(&[10, 100]);
        for us in [0, 10, 11, 100, 101, 1_000_000] {
            histogram.observe(us);
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [(10, 2), (100, 4)]);
        assert_eq!((histogram.count(), histogram.sum_us()), (6, 1_000_222));
    }
}
