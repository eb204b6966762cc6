//! What a damaged, replaced or half-made store is answered with.

use std::fs;
use std::os::unix::fs::FileExt;

use super::super::disk::faults::fail_syncs;
use super::*;

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
    fs::write(dir.path().join("opening"), ".").unwrap();
    let store = opened(dir.path());
    assert_eq!((&store.id, &store.lost), (&id, &None));
    store.journal.close();
    fs::write(dir.path().join("opening"), "...").unwrap();
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

/// Flips, zeroes and truncations of each file that sled keeps, at seeded places: whatever sled
/// makes of them, the store opens, and says so if anything that was stored is gone.
#[test]
fn no_damage_to_sleds_files_stops_a_start_or_stays_unsaid() {
    let original = tempfile::tempdir().unwrap();
    filled(original.path(), 400);
    let mut random = fastrand::Rng::with_seed(20);
    let mut told = 0;
    for round in 0..90_u64 {
        let dir = tempfile::tempdir().unwrap();
        copy(original.path(), dir.path());
        let files: Vec<_> = fs::read_dir(dir.path().join("store"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_file())
            .collect();
        // Most of the damage to the file with the rows.
        let victim = files.iter().find(|path| path.ends_with("db") && round % 3 != 0);
        let victim = victim.unwrap_or_else(|| &files[random.usize(..files.len())]);
        let file = fs::OpenOptions::new().read(true).write(true).open(victim).unwrap();
        let length = file.metadata().unwrap().len();
        let at = random.u64(..length);
        match round % 4 {
            0 => file.set_len(at).unwrap(),
            1 => file.write_all_at(&vec![0; random.usize(1..70_000)], at).unwrap(),
            2 => {
                let mut byte = [0];
                file.read_exact_at(&mut byte, at).unwrap();
                file.write_all_at(&[byte[0] ^ (1 << random.u8(..8))], at).unwrap();
            }
            _ => file.write_all_at(&[random.u8(..); 64], at / 4096 * 4096).unwrap(),
        }
        let mut store = opened(dir.path());
        let whole = numbers(&store) == (1..=400).collect::<Vec<_>>()
            && store.row(b"task/t") == Some(&400_u64.to_be_bytes());
        assert!(whole || store.lost.is_some(), "round {round}, {victim:?} at {at}");
        told += u32::from(store.lost.is_some());
        store.journal.submit(numbered(401));
        store.await_stored(401);
        store.journal.close();
        let again = opened(dir.path());
        assert_eq!(again.lost, None, "round {round}");
        assert!(numbers(&again).contains(&401));
    }
    assert!(told > 10, "only {told} of 90 did any harm");
}
