//! How long a start takes.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use super::*;

/// Tasks and events, each task two rows.
const SHORT: (u64, u64) = (1_000, 10_000);
const LONG: (u64, u64) = (10_000, 100_000);
/// In a program compiled for use.
const LIMIT: Duration = Duration::from_secs(2);

fn filled(dir: &Path, tasks: u64, events: u64) {
    let event = |seq: u64| put(&event_key(seq), &[b'e'; 220]);
    let task = |n: u64| {
        let row =
            |kind: &str, bytes: usize| put(format!("{kind}/t-{n}").as_bytes(), &vec![7; bytes]);
        [row("task", 250), row("run", 60)]
    };
    let writes = (1..=events).map(event).chain((0..tasks).flat_map(task));
    let writes: Vec<Write> = writes.collect();
    let batches = (1..).zip(writes.chunks(2_000));
    opened(dir).store(batches.map(|(number, writes)| Batch {
        number,
        writes: writes.to_vec(),
        last_seq: events,
    }));
}

/// What this thread has computed so far: unlike the time of day, it does not depend on what else
/// runs on this machine.
fn computed() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).unwrap();
    let parts = [usage.user_time(), usage.system_time()];
    let micros = parts.map(|part| part.num_microseconds()).iter().sum::<i64>();
    Duration::from_micros(u64::try_from(micros).unwrap())
}

#[test]
fn a_large_store_opens_in_time() {
    let (tasks, events) = if count(0, 1) == 1 { LONG } else { SHORT };
    let dir = folder();
    filled(dir.path(), tasks, events);
    let begun = computed();
    let db = sled::Config::new().path(dir.path().join("store")).segment_size(128 << 10);
    let rows = db.flush_every_ms(None).open().unwrap().iter().map(Result::unwrap).count();
    let sled_alone = computed() - begun;
    let begun = computed();
    let store = opened(dir.path());
    let took = computed() - begun;
    assert_eq!((store.events.len() as u64, store.rows.len() as u64), (events, 2 * tasks));
    assert_eq!(rows as u64, events + 2 * tasks + 1);
    // What is ours costs as reading the rows does, whoever compiled it.
    let limit = 4 * sled_alone + LIMIT / 4;
    assert!(took < limit, "{took:?}, where sled alone takes {sled_alone:?}");
    if !cfg!(debug_assertions) {
        assert!(took < LIMIT, "{took:?} for {tasks} tasks and {events} events");
    }
    figure("large store", "rows", rows);
    figure("large store", "computed at a start, ms", took.as_millis());
    figure("large store", "of that by sled alone, ms", sled_alone.as_millis());
}
