//! Which occurrences of a schedule have run, so that none runs twice wherever the clock goes.

use serde::{Deserialize, Serialize};

use super::timing::Timing;

/// How many stretches are told apart: one for each time that the clock was set wrong, or occurrences
/// were left out. What lies between two that are joined counts as run.
const MAX_SPANS: usize = 16;

/// All occurrences from one to another: all of them ran, or are not to run any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    from: u64,
    through: u64,
}

/// The occurrences that ran; a small record whatever their number.
///
/// A single "last one" would not do: a clock that was years ahead for a minute would leave the
/// schedule silent for years.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Ran {
    /// Ascending, apart from each other.
    spans: Vec<Span>,
}

impl Ran {
    /// The last of those that ran in one stretch with `at`, itself perhaps; `None` if it has not run.
    pub(super) fn through(&self, at: u64) -> Option<u64> {
        let covers = |span: &&Span| (span.from..=span.through).contains(&at);
        self.spans.iter().find(covers).map(|span| span.through)
    }

    /// Takes in that `at`, an occurrence of `timing`, runs.
    pub(super) fn add(&mut self, at: u64, timing: &Timing) {
        if self.through(at).is_some() {
            return;
        }
        let position = self.spans.partition_point(|span| span.through < at);
        self.spans.insert(position, Span { from: at, through: at });
        let next = timing.after(at);
        if next.is_some() && self.spans.get(position + 1).map(|span| span.from) == next {
            self.join(position);
        }
        if position > 0 && timing.after(self.spans[position - 1].through) == Some(at) {
            self.join(position - 1);
        }
        if self.spans.len() > MAX_SPANS {
            let gap =
                |position: &usize| self.spans[position + 1].from - self.spans[*position].through;
            let closest = (0..self.spans.len() - 1).min_by_key(gap).unwrap_or_default();
            self.join(closest);
        }
    }

    /// Makes one of a span and the next.
    fn join(&mut self, position: usize) {
        let next = self.spans.remove(position + 1);
        self.spans[position].through = next.through;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000;

    fn timing() -> Timing {
        Timing::read("* * * * * *", "UTC").unwrap()
    }

    fn ran(seconds: impl IntoIterator<Item = u64>) -> Ran {
        let mut ran = Ran::default();
        seconds.into_iter().for_each(|at| ran.add(at * SECOND, &timing()));
        ran
    }

    #[test]
    fn what_follows_directly_is_one_stretch_in_whatever_order_it_ran() {
        for order in [[1, 2, 3, 4], [4, 3, 2, 1], [1, 4, 3, 2], [2, 3, 1, 4]] {
            let ran = ran(order);
            assert_eq!(ran.spans, [Span { from: SECOND, through: 4 * SECOND }], "{order:?}");
        }
    }

    #[test]
    fn what_did_not_run_between_stretches_may_still_run() {
        let ran = ran([1, 2, 5, 6, 100]);
        let open: Vec<u64> = (0..=101).filter(|at| ran.through(at * SECOND).is_none()).collect();
        assert_eq!(open, [vec![0, 3, 4], (7..100).collect(), vec![101]].concat());
        assert_eq!(ran.through(SECOND), Some(2 * SECOND));
    }

    #[test]
    fn past_sixteen_stretches_the_closest_two_become_one_and_what_ran_stays_run() {
        let mut seconds: Vec<u64> = (0..15).map(|thousands| thousands * 1_000).collect();
        seconds.extend([6_010, 9_000_000]);
        let ran = ran(seconds.clone());
        assert_eq!(ran.spans.len(), MAX_SPANS);
        assert!(seconds.iter().all(|at| ran.through(at * SECOND).is_some()));
        assert_eq!(ran.through(6_005 * SECOND), Some(6_010 * SECOND));
        assert_eq!(ran.through(20_000 * SECOND), None, "the years between stay open");
    }
}
