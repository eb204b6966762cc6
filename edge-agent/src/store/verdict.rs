//! What a start makes of what it found: the same history, a new one, or a loss.

use super::disk::Scan;
use super::mark::{Marker, Position, StoreId};

/// Whether what was found is the history that `store.id` names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There never was a store here, or its making was interrupted before anything was stored.
    New,
    Same(StoreId),
    /// Something that was stored is gone, as told. What is there stays, since it is the best
    /// knowledge of live sessions there is; but its event numbers were used before.
    Lost(String),
}

/// Compares what was `found` in sled with what lies beside it: `store.id` and the slots of
/// `high-water`. `put_aside` tells why another store was just put aside.
pub(super) fn judge(
    marker: Marker,
    slots: &[Position],
    scan: &Scan,
    put_aside: Option<String>,
) -> Verdict {
    let unused = |position: &Position| position.generation == 0;
    let blank = scan.rows.is_empty()
        && scan.events.is_empty()
        && slots.iter().chain(&scan.position).all(unused)
        && put_aside.is_none();
    let mark = newest(marker, slots);
    let is_gone = scan.position.is_none() && put_aside.is_none();

    let mut lost: Vec<String> = put_aside.into_iter().collect();
    match (marker, scan.position) {
        (Marker::Absent, _) if blank => return Verdict::New,
        (Marker::Absent, _) => lost.push("store.id is missing".to_owned()),
        (Marker::Damaged, _) => lost.push("store.id is damaged".to_owned()),
        (Marker::Id(id), None) if is_gone => lost.push(format!("the store {id} is gone")),
        (Marker::Id(id), Some(found)) if found.id != id => {
            lost.push(format!("the store is {}, where store.id says {id}", found.id));
        }
        (Marker::Id(_), _) => {}
    }
    if mark.is_none() && marker != Marker::Absent {
        // It was synced before store.id was written: without it, a rollback would not be seen.
        lost.push("high-water is missing or damaged".to_owned());
    }
    lost.extend(mark.and_then(|mark| rolled_back(mark, scan.position)));
    if scan.incomplete > 0 {
        lost.push(format!("{} rows are incomplete and were left out", scan.incomplete));
    }
    if scan.altered {
        lost.push("some rows are missing or older than what was stored".to_owned());
    }
    match marker {
        Marker::Id(id) if lost.is_empty() => Verdict::Same(id),
        Marker::Id(_) | Marker::Absent | Marker::Damaged => Verdict::Lost(lost.join("; ")),
    }
}

/// Whether sled itself is mistaken about its file, so that nothing may be built on it.
pub(super) fn unsound(marker: Marker, slots: &[Position], scan: &Scan) -> bool {
    // A new history that no start has confirmed yet lies beside the mark of the one before.
    let same = |mark: &&Position| scan.position.is_none_or(|position| position.id == mark.id);
    let mark = newest(marker, slots).filter(same);
    let rolled_back = mark.and_then(|mark| rolled_back(mark, scan.position));
    scan.altered || scan.incomplete > 0 || rolled_back.is_some()
}

/// The mark of the history that the marker names; of any where it names none.
fn newest(marker: Marker, slots: &[Position]) -> Option<&Position> {
    let of_this_store = |slot: &&Position| match marker {
        Marker::Id(id) => slot.id == id,
        Marker::Absent | Marker::Damaged => true,
    };
    slots.iter().filter(of_this_store).max_by_key(|slot| slot.generation)
}

fn rolled_back(mark: &Position, found: Option<Position>) -> Option<String> {
    let (seq, generation) = found.map_or((0, 0), |p| (p.last_seq, p.generation));
    let writes = mark.generation.saturating_sub(generation);
    let from = mark.last_seq;
    (seq < from || writes > 0)
        .then(|| format!("rolled back from seq {from} to {seq}, by {writes} flushes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Row;

    fn at(id: StoreId, last_seq: u64, generation: u64) -> Position {
        Position { id, last_seq, generation }
    }

    fn scan(position: Option<Position>) -> Scan {
        Scan { position, ..Scan::default() }
    }

    fn lost(verdict: &Verdict) -> &str {
        match verdict {
            Verdict::Lost(lost) => lost,
            Verdict::New | Verdict::Same(_) => panic!("nothing was found lost: {verdict:?}"),
        }
    }

    #[test]
    fn an_interrupted_making_is_no_loss() {
        let id = StoreId::random().unwrap();
        assert_eq!(judge(Marker::Absent, &[], &scan(None), None), Verdict::New);
        let begun = at(id, 0, 0);
        assert_eq!(judge(Marker::Absent, &[begun], &scan(Some(begun)), None), Verdict::New);
    }

    #[test]
    fn a_store_at_or_ahead_of_its_mark_is_the_same() {
        let id = StoreId::random().unwrap();
        for mark in [vec![at(id, 7, 3)], vec![at(id, 7, 3), at(id, 8, 4)]] {
            let verdict = judge(Marker::Id(id), &mark, &scan(Some(at(id, 8, 4))), None);
            assert_eq!(verdict, Verdict::Same(id));
        }
    }

    #[test]
    fn a_store_behind_its_mark_was_rolled_back() {
        let id = StoreId::random().unwrap();
        let verdict = judge(Marker::Id(id), &[at(id, 9, 5)], &scan(Some(at(id, 8, 4))), None);
        assert_eq!(lost(&verdict), "rolled back from seq 9 to 8, by 1 flushes");
        let verdict = judge(Marker::Id(id), &[at(id, 8, 5)], &scan(Some(at(id, 8, 4))), None);
        assert_eq!(lost(&verdict), "rolled back from seq 8 to 8, by 1 flushes");
        let verdict = judge(Marker::Id(id), &[at(id, 9, 5)], &scan(None), None);
        assert!(lost(&verdict).contains("is gone; rolled back from seq 9 to 0"));
    }

    #[test]
    fn the_mark_of_an_older_history_says_nothing_about_this_one() {
        let (old, new) = (StoreId::random().unwrap(), StoreId::random().unwrap());
        let slots = [at(old, 900, 90), at(new, 5, 91)];
        let verdict = judge(Marker::Id(new), &slots, &scan(Some(at(new, 5, 91))), None);
        assert_eq!(verdict, Verdict::Same(new));
    }

    #[test]
    fn rows_without_a_marker_are_not_taken_for_a_new_store() {
        let id = StoreId::random().unwrap();
        let mut found = scan(Some(at(id, 1, 1)));
        found.rows.push(Row { key: b"session/a".to_vec(), value: vec![] });
        assert_eq!(lost(&judge(Marker::Absent, &[], &found, None)), "store.id is missing");
        let verdict = judge(Marker::Damaged, &[at(id, 1, 1)], &found, None);
        assert_eq!(lost(&verdict), "store.id is damaged");
        let verdict = judge(Marker::Absent, &[at(id, 9, 9)], &scan(None), None);
        assert!(lost(&verdict).contains("rolled back from seq 9 to 0"));
    }

    #[test]
    fn a_store_whose_mark_is_gone_may_have_been_rolled_back() {
        let id = StoreId::random().unwrap();
        let verdict = judge(Marker::Id(id), &[], &scan(Some(at(id, 8, 4))), None);
        assert_eq!(lost(&verdict), "high-water is missing or damaged");
    }

    #[test]
    fn a_store_of_another_history_is_told() {
        let (ours, other) = (StoreId::random().unwrap(), StoreId::random().unwrap());
        let verdict = judge(Marker::Id(ours), &[], &scan(Some(at(other, 3, 3))), None);
        assert!(lost(&verdict).contains(&other.to_string()));
    }
}
