//! The store from its door, on real files.

mod child;
mod cuts;
mod damage;
mod full;
mod images;
mod journal;
mod killed;
mod large;
mod medium;
mod power;
mod recording;

use std::path::Path;
use std::sync::Arc;

use super::*;

fn options() -> Options {
    let boot_id = std::process::id().to_string();
    Options { reserve_bytes: 0, min_free_bytes: 0, boot_id, boot_ms: Arc::new(|| 0) }
}

/// The count of a longer version is taken where `EDGE_AGENT_LONG` asks for it.
fn count(short: usize, long: usize) -> usize {
    let asked = std::env::var_os("EDGE_AGENT_LONG").is_some_and(|value| !value.is_empty());
    if asked { long } else { short }
}

/// `EDGE_AGENT_TEST_SEED`, or one of this run's own; a failure names it.
fn seed() -> u64 {
    let asked = std::env::var("EDGE_AGENT_TEST_SEED").ok();
    asked.map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap())
}

/// One line of the table of figures.
#[expect(clippy::print_stdout, reason = "figures are what the long version is run for")]
fn figure(part: &str, what: &str, value: impl std::fmt::Display) {
    println!("FIGURE\t{part}\t{what}\t{value}");
}

/// A folder in memory where there is one: what syncs there is not the disk's to keep.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn opened(dir: &Path) -> Opened {
    open(dir, options()).unwrap()
}

fn put(key: &[u8], value: &[u8]) -> Write {
    Write::Put { key: key.to_vec(), value: value.to_vec() }
}

/// The batch of number `n`: event `n` and a row that must agree with it.
fn numbered(n: u64) -> Batch {
    let event = put(&event_key(n), format!("event {n}").as_bytes());
    Batch { number: n, writes: vec![event, put(b"task/t", &n.to_be_bytes())], last_seq: n }
}

fn numbers(opened: &Opened) -> Vec<u64> {
    opened.events.iter().map(|event| event.0).collect()
}

impl Opened {
    fn next(&mut self) -> Completion {
        self.completions.blocking_recv().expect("the store is at work")
    }

    fn await_stored(&mut self, number: u64) {
        loop {
            match self.next() {
                Completion::Stored { through } if through >= number => return,
                Completion::Stored { .. } | Completion::Space(_) => {}
                other @ (Completion::Loaded { .. } | Completion::Trouble { .. }) => {
                    panic!("{other:?}")
                }
            }
        }
    }

    fn row(&self, key: &[u8]) -> Option<&[u8]> {
        self.rows.iter().find(|row| row.key == key).map(|row| &row.value[..])
    }

    /// Stores these batches and closes.
    fn store(mut self, batches: impl IntoIterator<Item = Batch>) {
        for batch in batches {
            let number = batch.number;
            self.journal.submit(batch);
            self.await_stored(number);
        }
        self.journal.close();
    }
}

/// A copy as a backup or a card image would make it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
