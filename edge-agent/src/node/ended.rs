//! What is over, and whose id can't be used again yet: 7 days, within the last 1,000 (contract,
//! sections 6.1 and 7.5).

use std::collections::{BTreeMap, BTreeSet};

/// For so long of the node's running time,
const REMEMBERED_MS: u64 = 7 * 24 * 3_600_000;
/// and so many.
const MAX_REMEMBERED: usize = 1_000;

/// Remembered by id; of each what is still to be known.
#[derive(Debug)]
pub(super) struct Ended<Id, Of> {
    by_id: BTreeMap<Id, (u64, Of)>,
    /// By the running time of its end.
    by_age: BTreeSet<(u64, Id)>,
}

impl<Id: Ord + Clone, Of> Ended<Id, Of> {
    pub(super) fn contains(&self, id: &Id) -> bool {
        self.by_id.contains_key(id)
    }

    pub(super) fn get(&self, id: &Id) -> Option<&Of> {
        self.by_id.get(id).map(|(_, of)| of)
    }

    /// Remembers what ended `at`, in running time.
    pub(super) fn insert(&mut self, id: Id, at: u64, of: Of) {
        self.by_age.insert((at, id.clone()));
        self.by_id.insert(id, (at, of));
    }

    pub(super) fn remove(&mut self, id: &Id) -> Option<Of> {
        let (at, of) = self.by_id.remove(id)?;
        self.by_age.remove(&(at, id.clone()));
        Some(of)
    }

    /// Forgets what is old or too many. Returns it.
    pub(super) fn forget(&mut self, running_ms: u64) -> Vec<(Id, Of)> {
        let mut forgotten = Vec::new();
        while let Some((at, _)) = self.by_age.first() {
            let young = running_ms.saturating_sub(*at) < REMEMBERED_MS;
            if young && self.by_age.len() <= MAX_REMEMBERED {
                break;
            }
            let oldest = self.by_age.pop_first().and_then(|(_, id)| self.by_id.remove_entry(&id));
            forgotten.extend(oldest.map(|(id, (_, of))| (id, of)));
        }
        forgotten
    }

    /// The first, from the oldest on, of which something is to be known that `is_it`.
    pub(super) fn oldest(&mut self, is_it: impl Fn(&Of) -> bool) -> Option<(&Id, &mut Of)> {
        let by_id = &self.by_id;
        let found = |(_, id): &&(u64, Id)| by_id.get(id).is_some_and(|(_, of)| is_it(of));
        let (_, id) = self.by_age.iter().find(found)?;
        self.by_id.get_mut(id).map(|(_, of)| (id, of))
    }
}

impl<Id, Of> Default for Ended<Id, Of> {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), by_age: BTreeSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_remembered_for_seven_days() {
        let mut ended = Ended::default();
        ended.insert("a", 10, ());
        assert_eq!(ended.forget(10 + REMEMBERED_MS - 1), vec![]);
        assert!(ended.contains(&"a"));
        assert_eq!(ended.forget(10 + REMEMBERED_MS), vec![("a", ())]);
        assert!(!ended.contains(&"a"));
    }

    #[test]
    fn it_is_remembered_within_the_last_thousand_in_whatever_order_it_was_read() {
        let mut ended = Ended::default();
        for at in (0..1_003_u64).rev() {
            ended.insert(format!("{:04}", 9_999 - at), at, at);
        }
        let forgotten: Vec<u64> = ended.forget(2_000).into_iter().map(|(_, at)| at).collect();
        assert_eq!(forgotten, [0, 1, 2]);
    }

    #[test]
    fn what_is_taken_out_is_not_counted() {
        let mut ended = Ended::default();
        ended.insert("a", 1, 'x');
        ended.insert("b", 2, 'y');
        assert_eq!(ended.oldest(|of| *of == 'y').map(|(id, _)| *id), Some("b"));
        assert_eq!(ended.remove(&"a"), Some('x'));
        assert_eq!(ended.get(&"a"), None);
        assert_eq!(ended.forget(REMEMBERED_MS + 2), vec![("b", 'y')]);
    }
}
