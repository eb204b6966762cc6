//! What an undamaged store promises.

use super::super::disk::faults::fail_syncs;
use super::*;

#[test]
fn batches_that_wait_share_one_flush() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = opened(dir.path());
    let before = store.journal.syncs();
    for n in 1..=1_000 {
        store.journal.submit(numbered(n));
    }
    store.await_stored(1_000);
    let flushes = store.journal.syncs() - before;
    assert!(flushes <= 100, "{flushes} flushes for 1,000 batches");
    store.journal.close();
    assert_eq!(numbers(&opened(dir.path())), (1..=1_000).collect::<Vec<_>>());
}

#[test]
fn everything_stored_is_found_again_under_the_same_id() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let id = store.id.clone();
    assert_eq!((store.lost.as_deref(), store.rows.len(), store.events.len()), (None, 0, 0));
    let delete = Batch {
        number: 4,
        writes: vec![
            Write::Delete { key: event_key(2) },
            Write::Delete { key: b"task/t".to_vec() },
            put(b"session/s", b"first"),
            put(b"session/s", b"last"),
        ],
        last_seq: 3,
    };
    store.store((1..=3).map(numbered).chain([delete]));
    let store = opened(dir.path());
    assert_eq!((&store.id, &store.lost), (&id, &None));
    assert_eq!(store.events, [(1, 7), (3, 7)]);
    assert_eq!(store.rows, [Row { key: b"session/s".to_vec(), value: b"last".to_vec() }]);
}

#[test]
fn closing_stores_what_was_submitted() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    for n in 1..=50 {
        store.journal.submit(numbered(n));
    }
    store.journal.close();
    assert_eq!(numbers(&opened(dir.path())), (1..=50).collect::<Vec<_>>());
}

#[test]
fn a_load_is_answered_after_the_batches_before_it_and_before_those_after() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = opened(dir.path());
    store.journal.submit(numbered(1));
    store.journal.submit(numbered(2));
    store.journal.load(0..=u64::MAX, usize::MAX);
    store.journal.submit(numbered(3));
    let mut said = Vec::new();
    while said.last() != Some(&Completion::Stored { through: 3 }) {
        said.push(store.next());
    }
    let rows = vec![(1, b"event 1".to_vec()), (2, b"event 2".to_vec())];
    let loaded = Completion::Loaded { from: 0, through: u64::MAX, rows };
    let expected = [Completion::Stored { through: 2 }, loaded, Completion::Stored { through: 3 }];
    assert!(said.ends_with(&expected), "{said:?}");
}

#[test]
fn a_load_gives_as_much_as_fits_and_at_least_one_event() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = opened(dir.path());
    let writes = (1..=5).map(|n| put(&event_key(n), &[7; 10_000])).collect();
    store.journal.submit(Batch { number: 1, writes, last_seq: 5 });
    store.await_stored(1);
    for (from, max_bytes, expected) in [(1, 25_000, 1..=2), (3, 1, 3..=3), (4, 25_000, 4..=9)] {
        store.journal.load(from..=9, max_bytes);
        let Completion::Loaded { through, rows, .. } = store.next() else { panic!() };
        assert_eq!(through, *expected.end());
        assert!(rows.iter().all(|(seq, value)| expected.contains(seq) && value.len() == 10_000));
    }
    store.journal.load(6..=9, 1);
    assert_eq!(store.next(), Completion::Loaded { from: 6, through: 9, rows: vec![] });
}

#[test]
fn a_failing_flush_is_told_once_and_tried_until_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = opened(dir.path());
    store.journal.submit(numbered(1));
    store.await_stored(1);
    fail_syncs(&dir.path().join("store"), 3);
    store.journal.submit(numbered(2));
    let Completion::Trouble { error, full } = store.next() else { panic!() };
    assert!(error.contains("syncing") && !full, "{error}");
    store.journal.submit(numbered(3));
    assert_eq!(store.next(), Completion::Stored { through: 2 });
    assert_eq!(store.next(), Completion::Stored { through: 3 });
    store.journal.close();
    let store = opened(dir.path());
    assert_eq!((numbers(&store), &store.lost), (vec![1, 2, 3], &None));
}

#[test]
fn a_second_agent_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = opened(dir.path());
    let error = open(dir.path(), options()).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    assert!(error.to_string().contains("another agent"));
    store.journal.close();
    opened(dir.path()).journal.close();
}

/// An agent that was killed while it started a script was started again at once, and refused:
/// the script's process still held the lock, for the moment before it became the script.
#[test]
fn a_lock_that_is_let_go_within_a_moment_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = std::fs::File::create(&path).unwrap();
    let held = nix::fcntl::Flock::lock(held, nix::fcntl::FlockArg::LockExclusive).unwrap();
    std::thread::scope(|scope| {
        let opening = scope.spawn(|| open(dir.path(), options()));
        // The opener looks again every 20 ms; that it looked once already is all this is for.
        std::thread::sleep(std::time::Duration::from_millis(100));
        drop(held);
        opening.join().unwrap().unwrap().journal.close();
    });
}

#[test]
fn long_values_and_many_long_keys_never_leave_sleds_file() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = opened(dir.path());
    let key = |n: u64| format!("command/{:0>72}", n * 7_919 % 10_000).into_bytes();
    let mut number = 0;
    for round in 0..4_u64 {
        for some in (0..6_000).collect::<Vec<u64>>().chunks(500) {
            // Most just fill a piece; some have several, and another number in each round.
            let length =
                |n: u64| [1_399, 9_000, 40, 70_000][usize::try_from((n + round) % 4).unwrap()];
            let writes = some.iter().filter(|n| *n % 50 < 49).map(|&n| {
                let length = if n % 40 == 0 { length(n) } else { 1_400 };
                put(&key(n), &vec![b'x'; length])
            });
            let deletes = some.iter().filter(|n| (*n + round) % 3 == 0);
            let deletes = deletes.map(|&n| Write::Delete { key: key(n) });
            number += 1;
            let writes = writes.chain(deletes).collect();
            store.journal.submit(Batch { number, writes, last_seq: 0 });
            store.await_stored(number);
        }
    }
    store.journal.close();
    let blobs = std::fs::read_dir(dir.path().join("store/blobs")).unwrap().count();
    assert_eq!(blobs, 0);
    assert_eq!(opened(dir.path()).lost, None);
}

#[test]
fn the_file_does_not_grow_with_what_was_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = opened(dir.path());
    for n in 1..=3_000_u64 {
        let mut batch = numbered(n);
        if n > 20 {
            batch.writes.push(Write::Delete { key: event_key(n - 20) });
        }
        store.journal.submit(batch);
        if n % 10 == 0 {
            store.await_stored(n);
        }
    }
    store.journal.close();
    let bytes = std::fs::metadata(dir.path().join("store/db")).unwrap().len();
    assert!(bytes < 4 << 20, "{bytes} bytes for 20 events");
}
