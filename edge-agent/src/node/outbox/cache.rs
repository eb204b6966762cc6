//! What of the outbox is in memory for the way out.

use std::collections::BTreeMap;

/// How much: a few windows of the largest events.
const MAX_BYTES: usize = 512 * 1024;

/// Events by number, the first that fit.
#[derive(Debug, Default)]
pub(super) struct Cache {
    rows: BTreeMap<u64, Vec<u8>>,
    bytes: usize,
}

impl Cache {
    /// Keeps an event, if it fits beside those that go out sooner.
    pub(super) fn insert(&mut self, seq: u64, payload: Vec<u8>) {
        self.take(seq);
        while self.bytes + payload.len() > MAX_BYTES {
            match self.rows.last_key_value() {
                Some((&last, _)) if last > seq => self.take(last),
                Some(_) | None => return,
            };
        }
        self.bytes += payload.len();
        self.rows.insert(seq, payload);
    }

    pub(super) fn take(&mut self, seq: u64) -> Option<Vec<u8>> {
        let payload = self.rows.remove(&seq)?;
        self.bytes -= payload.len();
        Some(payload)
    }

    pub(super) fn contains(&self, seq: u64) -> bool {
        self.rows.contains_key(&seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_what_goes_out_sooner_is_worth_more() {
        let mut cache = Cache::default();
        let event = || vec![0; 60_000];
        for seq in 10..100 {
            cache.insert(seq, event());
            assert!(cache.bytes <= MAX_BYTES);
        }
        assert!(cache.contains(10) && cache.contains(17) && !cache.contains(18));
        cache.insert(3, event());
        assert!(cache.contains(3) && cache.contains(16) && !cache.contains(17));
        assert!(cache.bytes <= MAX_BYTES);
        assert_eq!(cache.take(3), Some(event()));
        cache.insert(10, vec![1]);
        assert_eq!(cache.take(10), Some(vec![1]));
        assert_eq!(cache.bytes, cache.rows.values().map(Vec::len).sum::<usize>());
    }
}
