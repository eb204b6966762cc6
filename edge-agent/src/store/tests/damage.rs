//! What a damaged, replaced or half-made store is answered with.

use std::fs;
use std::os::unix::fs::FileExt;

use super::super::disk::faults::fail_syncs;
use super::*;
use crate::store::pieces::{self, SEGMENT_BYTES};

/// A store of `events` events, closed.
fn filled(dir: &Path, events: u64) -> String {
    let store = opened(dir);
    let id = store.id.clone();
    store.store((1..=events).map(numbered));
    id
}

fn asides(dir: &Path) -> usize {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("aside-")).count()
}

#[test]
fn an_older_copy_put_back_is_told_kept_and_given_a_new_id() {
    let dir = tempfile::tempdir().unwrap();
    let backup = tempfile::tempdir().unwrap();
    let id = filled(dir.path(), 5);
    copy(&dir.path().join("store"), &backup.path().join("store"));
    opened(dir.path()).store((6..=9).map(numbered));
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    copy(&backup.path().join("store"), &dir.path().join("store"));

    let store = opened(dir.path());
    assert_eq!(store.lost.as_deref(), Some("rolled back from seq 9 to 5, by 4 flushes"));
    assert_eq!(numbers(&store), [1, 2, 3, 4, 5]);
    let new_id = store.id.clone();
    assert_ne!(new_id, id);
    store.store([numbered(6)]);

    let store = opened(dir.path());
    assert_eq!((store.id, store.lost), (new_id, None));
}

#[test]
fn a_rollback_shows_even_if_it_took_no_event_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let backup = tempfile::tempdir().unwrap();
    filled(dir.path(), 5);
    copy(&dir.path().join("store"), &backup.path().join("store"));
    let writes = vec![Write::Delete { key: event_key(5) }, put(b"session/s", b"x")];
    opened(dir.path()).store([Batch { number: 1, writes, last_seq: 5 }]);
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    copy(&backup.path().join("store"), &dir.path().join("store"));
    let lost = opened(dir.path()).lost.unwrap();
    assert_eq!(lost, "rolled back from seq 5 to 5, by 1 flushes");
}

#[test]
fn a_loss_is_told_until_something_was_stored_under_the_new_id() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 5);
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    for _ in 0..2 {
        let store = opened(dir.path());
        assert!(store.lost.as_deref().unwrap().contains("is gone; rolled back from seq 5 to 0"));
        store.journal.close();
    }
    let store = opened(dir.path());
    let id = store.id.clone();
    store.store([numbered(1)]);
    let store = opened(dir.path());
    assert_eq!((store.id, store.lost), (id, None));
}

#[test]
fn a_missing_or_damaged_marker_keeps_the_rows_and_is_told() {
    for damage in [None, Some("12345678 nonsense\n"), Some("")] {
        let dir = tempfile::tempdir().unwrap();
        let id = filled(dir.path(), 3);
        let marker = dir.path().join("store.id");
        match damage {
            None => fs::remove_file(&marker).unwrap(),
            Some(text) => fs::write(&marker, text).unwrap(),
        }
        let store = opened(dir.path());
        assert!(store.lost.as_deref().unwrap().starts_with("store.id is "), "{:?}", store.lost);
        assert_eq!(numbers(&store), [1, 2, 3]);
        assert_ne!(store.id, id);
    }
}

#[test]
fn a_torn_high_water_slot_is_no_loss() {
    for slot in [0, 4096] {
        let dir = tempfile::tempdir().unwrap();
        let id = filled(dir.path(), 3);
        let mark = fs::OpenOptions::new().write(true).open(dir.path().join("high-water")).unwrap();
        mark.write_all_at(&[0xff; 20], slot).unwrap();
        let store = opened(dir.path());
        assert_eq!((store.id, store.lost), (id, None));
    }
}

#[test]
fn a_making_that_was_interrupted_anywhere_is_made_again_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    opened(dir.path()).journal.close();
    for gone in
        [&["store.id"][..], &["store.id", "high-water"], &["store.id", "high-water", "store"]]
    {
        for name in gone {
            let path = dir.path().join(name);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.unwrap();
        }
        let store = opened(dir.path());
        assert_eq!(store.lost, None);
        store.journal.close();
    }
}

#[test]
fn a_store_never_written_to_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    let id = filled(dir.path(), 0);
    let store = opened(dir.path());
    assert_eq!((store.id, store.lost), (id, None));
}

#[test]
fn a_store_that_kills_its_starts_is_put_aside_but_one_death_is_no_proof() {
    let dir = tempfile::tempdir().unwrap();
    let id = filled(dir.path(), 3);
    fs::write(dir.path().join("opening"), format!("{}\n.", options().boot_id)).unwrap();
    let store = opened(dir.path());
    assert_eq!((&store.id, &store.lost), (&id, &None));
    store.journal.close();
    fs::write(dir.path().join("opening"), format!("{}\n...", options().boot_id)).unwrap();
    let store = opened(dir.path());
    let lost = store.lost.as_deref().unwrap();
    assert!(lost.contains("the last 3 starts died") && lost.contains("seq 3 to 0"), "{lost}");
    assert_eq!((numbers(&store), asides(dir.path())), (vec![], 1));
    assert!(!dir.path().join("opening").exists());
}

#[test]
fn what_sled_refuses_is_put_aside_and_never_more_than_two_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    for round in 1..=4 {
        let store = opened(dir.path());
        assert_eq!(store.lost.is_some(), round > 1, "round {round}: {:?}", store.lost);
        store.store([numbered(1)]);
        fs::write(dir.path().join("store/conf"), "segment_size: no number\nxxxx").unwrap();
    }
    assert_eq!(asides(dir.path()), 2);
}

/// A start that died as sled wrote its snapshot left a store that no start opened again: it was
/// put aside, and everything in it lost.
#[test]
fn a_half_written_snapshot_costs_nothing() {
    for bytes in [&b""[..], b"half of a snapshot"] {
        let dir = tempfile::tempdir().unwrap();
        let id = filled(dir.path(), 3);
        fs::write(dir.path().join("store/snap.00000000FFFFFFFF.generating"), bytes).unwrap();
        let store = opened(dir.path());
        assert_eq!((&store.id, &store.lost, numbers(&store)), (&id, &None, vec![1, 2, 3]));
    }
}

/// A power cut while the store was made left one that could not be opened; it was put aside and
/// told as a loss.
#[test]
fn a_half_made_store_is_made_again_without_a_word() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("store.new/blobs")).unwrap();
    fs::write(dir.path().join("store.new/conf"), "").unwrap();
    let store = opened(dir.path());
    assert_eq!((&store.lost, asides(dir.path())), (&None, 0));
}

#[test]
fn a_lone_missing_mark_is_told_since_it_would_hide_a_rollback() {
    let dir = tempfile::tempdir().unwrap();
    let id = filled(dir.path(), 3);
    fs::remove_file(dir.path().join("high-water")).unwrap();
    let store = opened(dir.path());
    assert_eq!(store.lost.as_deref(), Some("high-water is missing or damaged"));
    assert_eq!((numbers(&store), store.id == id), (vec![1, 2, 3], false));
}

/// The new history took over the old one's last number: had the node's own marks become
/// unreadable, it would have counted on from there.
#[test]
fn a_new_history_counts_from_one_and_the_same_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 3);
    assert_eq!(opened(dir.path()).last_seq, 3);
    fs::remove_file(dir.path().join("high-water")).unwrap();
    let store = opened(dir.path());
    assert_eq!(store.last_seq, 0);
    store.store([numbered(1)]);
    assert_eq!(opened(dir.path()).last_seq, 1);
}

#[test]
fn damage_found_while_running_ends_the_store_and_the_next_start_tells_it() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path(), 400);
    let mut store = opened(dir.path());
    let db = fs::OpenOptions::new().write(true).open(dir.path().join("store/db")).unwrap();
    db.write_all_at(&vec![0; 100_000], 0).unwrap();
    // sled only looks at its file again when it is opened anew.
    fail_syncs(&dir.path().join("store"), 1);
    store.journal.submit(numbered(401));
    assert!(matches!(store.next(), Completion::Trouble { full: false, .. }));
    assert_eq!(store.completions.blocking_recv(), None);
    store.journal.close();
    assert!(opened(dir.path()).lost.is_some());
}

/// It was read a second time to be saved. A page that had left sled's cache by then could be wrong,
/// and the start died of it; after three of those all of it was put aside, live sessions too.
#[test]
fn a_store_that_is_not_what_it_was_is_saved_from_memory_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let rows = [put(b"session/a", b"1"), put(b"session/b", b"2"), put(&event_key(1), b"told")];
    store.store([Batch { number: 1, writes: rows.into(), last_seq: 1 }]);
    let db = sled::Config::new().path(dir.path().join("store")).segment_size(SEGMENT_BYTES);
    let db = db.flush_every_ms(None).open().unwrap();
    db.remove(pieces::row_key(b"session/b")).unwrap().unwrap();
    drop(db);

    let store = opened(dir.path());
    assert!(store.lost.as_deref().unwrap().contains("some rows are missing"), "{:?}", store.lost);
    assert_eq!((store.row(b"session/a"), store.row(b"session/b")), (Some(&b"1"[..]), None));
    assert_eq!((numbers(&store), asides(dir.path())), (vec![1], 1), "it tells what it drops");
    store.store([numbered(1)]);
    let store = opened(dir.path());
    assert_eq!((store.row(b"session/a"), &store.lost), (Some(&b"1"[..]), &None));
}
