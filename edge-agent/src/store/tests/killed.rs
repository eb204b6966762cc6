//! A real process, killed at any moment, on the same directory again and again.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

const DIRECTORY: &str = "EDGE_AGENT_TEST_STORE_DIR";

/// Not a test of its own: what the killed process runs. Stores batches until it is killed and
/// writes a line for each that is durable.
#[test]
#[ignore = "run as a child by a_kill_at_any_moment_loses_nothing_that_was_stored"]
fn stores_until_killed() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let mut store = opened(Path::new(&dir));
    report(&format!("id {}", store.id));
    if let Some(lost) = &store.lost {
        report(&format!("lost {lost}"));
    }
    let mut next = store.events.last().map_or(0, |event| event.0) + 1;
    loop {
        for _ in 0..3 {
            let mut batch = numbered(next);
            if next > 30 {
                batch.writes.push(Write::Delete { key: event_key(next - 30) });
            }
            batch.writes.push(put(
                b"session/long",
                &vec![b'l'; usize::try_from(next % 9).unwrap() * 1_500],
            ));
            store.journal.submit(batch);
            next += 1;
        }
        store.await_stored(next - 1);
        report(&format!("stored {}", next - 1));
    }
}

/// Straight to the parent: the test harness would hold it back.
fn report(line: &str) {
    use std::io::Write as _;
    let mut out = std::fs::OpenOptions::new().append(true).open("/proc/self/fd/1").unwrap();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(41);
    let mut id = None;
    let mut stored = 0;
    for round in 0..40 {
        if round % 10 == 0 {
            // A new store now and then, so that kills also hit its making.
            std::fs::remove_dir_all(dir.path()).unwrap();
            (id, stored) = (None, 0);
        }
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--ignored",
                "--nocapture",
                "store::tests::killed::stores_until_killed",
            ])
            .env(DIRECTORY, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (lines, heard) = std::sync::mpsc::channel();
        let out = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            BufReader::new(out).lines().map_while(Result::ok).for_each(|line| {
                let _ = lines.send(line);
            });
        });
        // Some die while they open the store, some after so many lines.
        let early = round % 2 == 0;
        let patience = if early { random.u64(1..60) } else { 30_000 };
        let mut left = random.u32(1..40);
        while left > 0 {
            let Ok(line) = heard.recv_timeout(Duration::from_millis(patience)) else { break };
            left -= u32::from(line.starts_with("stored"));
            note(&line, &mut id, &mut stored);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        reader.join().unwrap();
        heard.try_iter().for_each(|line| note(&line, &mut id, &mut stored));

        let store = opened(dir.path());
        assert_eq!(store.lost, None, "round {round}");
        assert_eq!(id.get_or_insert_with(|| store.id.clone()), &store.id, "round {round}");
        let last = store.events.last().map_or(0, |event| event.0);
        assert!(last >= stored, "round {round}: {stored} was stored, {last} is there");
        // What was stored together is there together.
        let expected: Vec<u64> = (last.saturating_sub(29).max(1)..=last).collect();
        assert_eq!(numbers(&store), expected, "round {round}");
        assert_eq!(store.row(b"task/t").is_none(), last == 0);
        assert!(store.row(b"task/t").is_none_or(|row| row == last.to_be_bytes()));
        let long = store.row(b"session/long").map_or(0, <[u8]>::len);
        assert_eq!(long, usize::try_from(last % 9).unwrap() * 1_500);
        stored = last;
        store.journal.close();
    }
}

fn note(line: &str, id: &mut Option<String>, stored: &mut u64) {
    match line.split_once(' ') {
        Some(("id", new)) => assert_eq!(id.get_or_insert_with(|| new.to_owned()), new),
        Some(("stored", number)) => *stored = number.parse().unwrap(),
        Some(("lost", lost)) => panic!("lost: {lost}"),
        _ => {} // the test harness's own lines
    }
}
