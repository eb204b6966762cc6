//! A real process that stores batches until it is killed, and what must be there afterwards.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::medium;
use super::recording::{CALLS, Recording};
use super::*;

const DIRECTORY: &str = "EDGE_AGENT_TEST_STORE_DIR";
/// After how many groups the process ends by itself; never where it is not set.
const GROUPS: &str = "EDGE_AGENT_TEST_STORE_GROUPS";

const TEST: &str = "store::tests::child::stores_until_killed";

/// So many events are there at most; each batch deletes the one that falls out.
const EVENTS_KEPT: u64 = 30;

/// Not a test of its own: what the process runs. Writes a line for each group that is durable.
#[test]
#[ignore = "run as a child of the tests that kill it"]
fn stores_until_killed() {
    let Some(dir) = std::env::var_os(DIRECTORY) else { return };
    let mut store = opened(Path::new(&dir));
    report(&format!("id {}", store.id));
    if let Some(lost) = &store.lost {
        report(&format!("lost {lost}"));
    }
    let mut next = store.events.last().map_or(0, |event| event.0) + 1;
    let groups = std::env::var(GROUPS).map_or(u32::MAX, |groups| groups.parse().unwrap());
    for _ in 0..groups {
        for _ in 0..next * 7_919 % 40 {
            store.journal.submit(batch(next));
            next += 1;
        }
        store.journal.submit(batch(next));
        store.await_stored(next);
        report(&format!("stored {next}"));
        next += 1;
    }
    store.journal.close();
}

fn batch(n: u64) -> Batch {
    let mut batch = numbered(n);
    if n > EVENTS_KEPT {
        batch.writes.push(Write::Delete { key: event_key(n - EVENTS_KEPT) });
    }
    batch.writes.push(put(b"session/long", &vec![b'l'; long(n)]));
    // Rows that come and stay, so that a rollback has something to take.
    batch.writes.push(put(format!("task/{}", n % 500).as_bytes(), &n.to_be_bytes().repeat(30)));
    batch
}

fn long(n: u64) -> usize {
    usize::try_from(n % 9 * 1_500).unwrap()
}

/// Straight to the parent: the test harness would hold it back.
fn report(line: &str) {
    use std::io::Write as _;
    let mut out = std::fs::OpenOptions::new().append(true).open("/proc/self/fd/1").unwrap();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Lets a process store so many groups under `strace`. Gives what it did; none without `strace`.
pub(super) fn recorded(dir: &Path, groups: u32) -> Option<Recording> {
    let files = tempfile::tempdir().unwrap();
    let log = files.path().join("log");
    let before = medium::files(&medium::image(dir));
    let traced = Command::new("strace")
        .args(["-f", "-xx", "-s", "100000000", "-e", &format!("trace={CALLS}"), "-o"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "--nocapture", TEST])
        .env(DIRECTORY, dir)
        .env(GROUPS, groups.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    assert!(traced.as_ref().ok()?.success(), "what is recorded goes well: {traced:?}");
    Some(Recording::read(&std::fs::read_to_string(log).unwrap(), dir, &before))
}

/// What the processes that worked on a store have said so far.
#[derive(Debug, Default, Clone)]
pub(super) struct Heard {
    id: Option<String>,
    stored: u64,
}

/// The process.
pub(super) struct Storing {
    child: Child,
    lines: Receiver<String>,
}

impl Storing {
    pub(super) fn start(dir: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--ignored", "--nocapture", TEST])
            .env(DIRECTORY, dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (send, lines) = std::sync::mpsc::channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            // Ends with the process, or with the test that stopped to listen.
            out.lines().map_while(Result::ok).try_for_each(|line| send.send(line).ok())
        });
        Self { child, lines }
    }

    /// Listens for `groups` lines of stored groups, or until the line before is `patience` old.
    pub(super) fn listen(&self, groups: u32, patience: Duration, heard: &mut Heard) {
        let mut left = groups;
        while left > 0 {
            let Ok(line) = self.lines.recv_timeout(patience) else { return };
            left -= u32::from(line.starts_with("stored"));
            heard.note(&line);
        }
    }

    /// Stops the process where it is.
    pub(super) fn stop(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, Signal::SIGSTOP).unwrap();
    }

    pub(super) fn kill(mut self, heard: &mut Heard) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        // The pipe ends with the process, and with it this.
        self.lines.iter().for_each(|line| heard.note(&line));
    }
}

impl Heard {
    pub(super) fn note(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("id", id)) => assert_eq!(self.id.get_or_insert_with(|| id.to_owned()), id),
            Some(("stored", number)) => self.stored = number.parse().unwrap(),
            Some(("lost", lost)) => panic!("lost: {lost}"),
            _ => {} // the test harness's own lines
        }
    }

    /// All that was reported stored is there, and what was stored together is there together.
    pub(super) fn check(&mut self, store: &Opened) {
        self.compare(store).unwrap();
    }

    /// As [`Self::check`], and says what is wrong.
    pub(super) fn compare(&mut self, store: &Opened) -> Result<(), String> {
        let or = |good: bool, wrong: String| if good { Ok(()) } else { Err(wrong) };
        or(store.lost.is_none(), format!("told lost: {:?}", store.lost))?;
        let same = self.id.as_ref().is_none_or(|id| *id == store.id);
        or(same, format!("the store {:?} is now {}", self.id, store.id))?;
        let last = store.events.last().map_or(0, |event| event.0);
        or(last >= self.stored, format!("{} was stored, {last} is there", self.stored))?;
        let expected: Vec<u64> = ((last + 1).saturating_sub(EVENTS_KEPT).max(1)..=last).collect();
        or(numbers(store) == expected, format!("up to {last} these: {:?}", numbers(store)))?;
        let number = (last > 0).then(|| last.to_be_bytes());
        let agrees = store.row(b"task/t") == number.as_ref().map(|bytes| &bytes[..]);
        or(agrees, format!("task/t is not of event {last}"))?;
        let length = store.row(b"session/long").map_or(0, <[u8]>::len);
        or(length == long(last), format!("{length} bytes, not of event {last}"))?;
        for n in (last + 1).saturating_sub(500).max(1)..=last {
            let row = store.row(format!("task/{}", n % 500).as_bytes());
            let there = row == Some(&n.to_be_bytes().repeat(30)[..]);
            or(there, format!("the row of event {n} of {last} is {row:?}"))?;
        }
        self.stored = last;
        Ok(())
    }
}
