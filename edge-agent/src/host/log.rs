//! The log's way out of the process: a thread of its own writes it.
//!
//! Who logs never waits for who reads. The journal may wait for the very card that stalls, and
//! an off must not wait with it. Lines that find no room are left out and counted, never queued
//! without bound.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;
use std::time::Duration;

/// Lines that wait to be written. A busy minute at `debug`, some 200 KiB.
const MAX_WAITING: usize = 1_024;
/// How long a process that ends waits for its last lines to be taken.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How often it looks for room meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// Takes whole lines, one a write. Clones write to the same log.
#[derive(Debug, Clone)]
pub struct Log {
    jobs: SyncSender<Job>,
    unsaid: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Job {
    Write(Vec<u8>),
    /// Everything before it is written.
    Tell(Sender<()>),
}

impl Log {
    /// A log that ends up in `destination`, which may block for as long as it likes. `left_out` is
    /// the line that tells of so many that found no room.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        destination: impl Write + Send + 'static,
        left_out: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> io::Result<Self> {
        let (jobs, asked) = sync_channel(MAX_WAITING);
        let unsaid = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&unsaid);
        let tell = move || match counted.swap(0, Ordering::Relaxed) {
            0 => None,
            count => Some(left_out(count)),
        };
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write(&asked, tell, destination))?;
        Ok(Self { jobs, unsaid })
    }

    /// Waits until what was logged is written, but not for long.
    pub fn finish(&self) {
        let (written, done) = channel();
        let mut job = Job::Tell(written);
        // In vain where nobody takes the lines: then they are lost with the process.
        for _ in 0..LAST_WORDS.as_millis() / LOOK.as_millis() {
            job = match self.jobs.try_send(job) {
                Err(TrySendError::Full(job)) => job,
                Ok(()) | Err(TrySendError::Disconnected(_)) => {
                    let _ = done.recv_timeout(LAST_WORDS);
                    return;
                }
            };
            thread::sleep(LOOK);
        }
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.jobs.try_send(Job::Write(line.to_vec())).is_err() {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The line of text that tells of so many that were left out.
#[must_use]
pub fn left_out(count: u64) -> Vec<u8> {
    format!("{count} lines of the log were left out: nobody took them\n").into_bytes()
}

fn write(
    asked: &Receiver<Job>,
    left_out: impl Fn() -> Option<Vec<u8>>,
    mut destination: impl Write,
) {
    for job in asked {
        match job {
            // A line that can't be written has no better place to go.
            Job::Write(line) => drop(destination.write_all(&line)),
            Job::Tell(written) => drop(written.send(())),
        }
        if let Some(line) = left_out() {
            drop(destination.write_all(&line));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Takes one write for each permit.
    struct Gate {
        permits: Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.permits.recv();
            self.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_logs_never_waits_and_what_is_left_out_is_counted() {
        let (open, permits) = channel();
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let mut log = Log::start(Gate { permits, taken: Arc::clone(&taken) }, left_out).unwrap();
        // Room for the queue, and the line that the thread is at or not.
        let more = 10;
        for _ in 0..MAX_WAITING + 1 + more {
            log.write_all(b"line\n").unwrap();
        }
        drop(open);
        log.finish();
        let text = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
        let (lines, counts): (Vec<&str>, Vec<&str>) = text.lines().partition(|it| *it == "line");
        let unsaid =
            counts.iter().map(|it| it.split(' ').next().unwrap().parse::<usize>().unwrap());
        assert_eq!(lines.len() + unsaid.sum::<usize>(), MAX_WAITING + 1 + more, "{counts:?}");
        assert!(lines.len() >= MAX_WAITING && !counts.is_empty());
    }

    #[test]
    fn the_last_lines_are_written_before_the_process_ends() {
        let (open, permits) = channel();
        drop(open);
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let mut log = Log::start(Gate { permits, taken: Arc::clone(&taken) }, left_out).unwrap();
        log.write_all(b"goodbye\n").unwrap();
        log.finish();
        assert_eq!(*taken.lock().unwrap(), b"goodbye\n");
    }
}
