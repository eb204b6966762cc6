//! Acknowledged events that can be asked for again (contract, section 5).

use std::collections::VecDeque;

/// So many bytes,
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// and for so long of the node's running time.
const MAX_AGE_MS: u64 = 7 * 24 * 3_600_000;
/// They are forgotten in groups that span so many numbers.
const SEGMENT: u64 = 256;

#[derive(Debug)]
struct Segment {
    first: u64,
    last: u64,
    bytes: u64,
    /// When its last one was acknowledged, in running time.
    acked_at_ms: u64,
}

/// Which events are kept, oldest first.
#[derive(Debug, Default)]
pub(super) struct History {
    segments: VecDeque<Segment>,
    bytes: u64,
}

impl History {
    /// Keeps an event that has just been acknowledged, or was found at a start.
    pub(super) fn remember(&mut self, seq: u64, bytes: u32, running_ms: u64) {
        let bytes = u64::from(bytes);
        self.bytes += bytes;
        match self.segments.back_mut() {
            Some(segment) if seq - segment.first < SEGMENT => {
                segment.last = seq;
                segment.bytes += bytes;
                segment.acked_at_ms = running_ms;
            }
            Some(_) | None => {
                let acked_at_ms = running_ms;
                self.segments.push_back(Segment { first: seq, last: seq, bytes, acked_at_ms });
            }
        }
    }

    /// Forgets the oldest, where they are old or too many. Returns the first and last of them.
    pub(super) fn forget(&mut self, running_ms: u64) -> Option<(u64, u64)> {
        let Segment { acked_at_ms, .. } = self.segments.front()?;
        let old = running_ms.saturating_sub(*acked_at_ms) > MAX_AGE_MS;
        if self.bytes <= MAX_BYTES && !old {
            return None;
        }
        let Segment { first, last, bytes, .. } = self.segments.pop_front()?;
        self.bytes -= bytes;
        Some((first, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledged_events_stay_for_seven_days() {
        let mut history = History::default();
        history.remember(1, 100, 0);
        history.remember(300, 100, 50);
        assert_eq!(history.forget(MAX_AGE_MS), None);
        assert_eq!(history.forget(MAX_AGE_MS + 1), Some((1, 1)));
        assert_eq!(history.forget(MAX_AGE_MS + 1), None);
        assert_eq!(history.forget(MAX_AGE_MS + 51), Some((300, 300)));
        assert_eq!((history.forget(u64::MAX), history.bytes), (None, 0));
    }

    #[test]
    fn acknowledged_events_stay_within_16_mib() {
        let mut history = History::default();
        for seq in 1..=2_048 {
            history.remember(seq, 8 * 1024, 0);
        }
        assert_eq!(history.forget(0), None);
        history.remember(2_049, 1, 0);
        assert_eq!(history.forget(0), Some((1, 256)));
        assert_eq!(history.forget(0), None);
    }

    #[test]
    fn a_group_spans_at_most_256_numbers_though_some_are_not_kept() {
        let mut history = History::default();
        for seq in [1, 200, 256, 257, 600] {
            history.remember(seq, 1, 0);
        }
        let groups: Vec<_> = std::iter::from_fn(|| history.forget(u64::MAX)).collect();
        assert_eq!(groups, [(1, 256), (257, 257), (600, 600)]);
    }
}
