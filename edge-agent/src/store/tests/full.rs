//! A disk that fills up, really: on a filesystem of its own, where this process may mount one.

use std::fs;
use std::io::Write as _;
use std::process::Command;

use super::*;

/// A small tmpfs, unmounted at the end.
struct Small(tempfile::TempDir);

impl Small {
    /// None, and that is said, where this process may not mount one.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(dir.path())
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            writeln!(io::stderr(), "skipped: mounting a tmpfs needs root").unwrap();
        }
        mounted.then_some(Self(dir))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a store's threads may hold it a moment longer.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

/// Fills the filesystem to the last page.
fn fill(dir: &Path) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(dir.join("fill")).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
}

#[test]
fn a_full_disk_gives_up_the_reserve_then_waits_and_goes_on_when_there_is_room() {
    let Some(small) = Small::mount() else { return };
    let dir = small.0.path().join("data");
    let clock = Arc::new(AtomicU64::new(0));
    let boot_ms = {
        let clock = clock.clone();
        Arc::new(move || clock.fetch_add(500, Ordering::Relaxed))
    };
    let mut store = open(
        &dir,
        Options { reserve_bytes: 1 << 20, min_free_bytes: 1 << 20, boot_ms, ..options() },
    )
    .unwrap();
    store.journal.submit(numbered(1));
    store.await_stored(1);
    assert!(dir.join("reserve").exists());

    fill(small.0.path());
    let (mut low, mut troubles, mut stored) = (false, 0, 1);
    let mut number = 1;
    // Ten kilobytes a batch: the reserve is needed, and then is not enough.
    while troubles < 2 {
        number += 1;
        let writes = vec![put(&event_key(number), &[7; 10_000])];
        store.journal.submit(Batch { number, writes, last_seq: number });
        loop {
            match store.next() {
                Completion::Trouble { full, .. } => {
                    assert!(full);
                    troubles += 1;
                    if troubles == 2 {
                        break;
                    }
                }
                Completion::Stored { through } => {
                    stored = through;
                    break;
                }
                Completion::Space(level) => {
                    assert_eq!(level, SpaceLevel::Low);
                    low = true
                }
                other @ Completion::Loaded { .. } => panic!("{other:?}"),
            }
        }
        assert!(number < 1_000, "the disk never filled up");
    }
    assert!(low && !dir.join("reserve").exists());
    assert!(stored > 10, "only {stored} batches fit the reserve");

    fs::remove_file(small.0.path().join("fill")).unwrap();
    let mut roomy = false;
    while !(roomy && stored == number) {
        match store.next() {
            Completion::Space(level) => {
                assert_eq!(level, SpaceLevel::Ok);
                roomy = true;
            }
            Completion::Stored { through } => {
                stored = through;
                if !roomy {
                    // Room is looked for as batches come.
                    number += 1;
                    store.journal.submit(numbered(number));
                }
            }
            other @ (Completion::Trouble { .. } | Completion::Loaded { .. }) => {
                panic!("{other:?}")
            }
        }
    }
    store.journal.close();
    let store = opened(&dir);
    assert_eq!((numbers(&store), &store.lost), ((1..=number).collect(), &None));
}

#[test]
fn low_space_is_told_before_the_reserve_makes_room() {
    // It was told up to three seconds later: until then the node took new work, for which the
    // reserve is not.
    let Some(small) = Small::mount() else { return };
    let dir = small.0.path().join("data");
    let spacious = Options { reserve_bytes: 1 << 20, min_free_bytes: 1 << 20, ..options() };
    let mut store = open(&dir, spacious).unwrap();
    store.journal.submit(numbered(1));
    store.await_stored(1);
    assert!(dir.join("reserve").exists());
    fill(small.0.path());
    let mut low = false;
    for number in 2.. {
        let writes = vec![put(&event_key(number), &[7; 10_000])];
        store.journal.submit(Batch { number, writes, last_seq: number });
        loop {
            match store.next() {
                Completion::Stored { .. } if !dir.join("reserve").exists() => {
                    assert!(low, "the reserve made room, and nobody was told");
                    return;
                }
                Completion::Stored { .. } => break,
                Completion::Space(level) => low = level == SpaceLevel::Low,
                Completion::Trouble { full, .. } => assert!(full),
                Completion::Loaded { .. } => panic!("nobody asked"),
            }
        }
    }
}

#[test]
fn low_space_is_told_soon_after_the_last_write_though_no_other_comes() {
    // Space was looked at only along with a write, three seconds after the look before: a node that
    // had just written learned of a full disk with the next session's end, and called itself ready
    // for work until then.
    let Some(small) = Small::mount() else { return };
    let spacious = Options { reserve_bytes: 1 << 20, min_free_bytes: 1 << 20, ..options() };
    let mut store = open(&small.0.path().join("data"), spacious).unwrap();
    store.journal.submit(numbered(1));
    store.await_stored(1);
    fill(small.0.path());
    let filled = fs::OpenOptions::new().write(true).open(small.0.path().join("fill")).unwrap();
    filled.set_len(filled.metadata().unwrap().len() - (512 << 10)).unwrap();
    store.journal.submit(numbered(2));
    store.await_stored(2);
    assert!(matches!(store.next(), Completion::Space(SpaceLevel::Low)));
    store.journal.close();
}

#[test]
fn a_start_on_a_full_disk_keeps_the_store() {
    let Some(small) = Small::mount() else { return };
    let dir = small.0.path().join("data");
    opened(&dir).store((1..=3).map(numbered));
    fill(small.0.path());
    match open(&dir, options()) {
        Ok(store) => assert_eq!((numbers(&store), &store.lost), (vec![1, 2, 3], &None)),
        Err(error) => assert!(matches!(error, OpenError::System { .. }), "{error}"),
    }
    fs::remove_file(small.0.path().join("fill")).unwrap();
    let store = opened(&dir);
    assert_eq!((numbers(&store), &store.lost), (vec![1, 2, 3], &None));
}
