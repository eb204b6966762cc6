//! The store's thread: takes what waits, makes it durable with one flush, says so.

use std::fs::File;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use nix::fcntl::Flock;
use tokio::sync::mpsc::UnboundedSender;

use super::disk::{self, Disk, Failure};
use super::mark::{HighWater, Marker, Position, sync_dir};
use super::space::{Space, SpaceLevel};
use super::{Batch, Completion, Write};
use crate::step::step;

/// What the writer is asked for. It ends when all senders are gone.
#[derive(Debug)]
pub(super) enum Request {
    Submit(Batch),
    Load { seqs: RangeInclusive<u64>, max_bytes: usize },
}

/// A group closes once it has as many bytes: the first of many batches shall not wait for a
/// card to take them all.
const GROUP_BYTES: usize = 1 << 20;

/// The high-water mark needs a device flush of its own: for each group it would double the
/// cost. A second of it lost to a power cut only makes the mark claim less.
const MARK_SYNC_MS: u64 = 1_000;

/// Free space changes slowly.
const SPACE_CHECK_MS: u64 = 3_000;

/// Pauses between tries on a disk that fails: doubling from the first to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Everything the thread owns.
pub(super) struct Writer {
    /// `sled`'s directory.
    pub(super) path: PathBuf,
    /// The data directory.
    pub(super) dir: PathBuf,
    /// None after a failure: sled stays broken once an I/O error hit it.
    pub(super) disk: Option<Disk>,
    /// What sled holds for certain, by its own account.
    pub(super) durable: Option<Position>,
    /// What the next group goes on from.
    pub(super) position: Position,
    pub(super) mark: HighWater,
    /// A new id was begun and `store.id` still names the one before.
    pub(super) marker_due: bool,
    pub(super) space: Space,
    pub(super) syncs: Arc<AtomicU64>,
    pub(super) boot_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    pub(super) pace: Pace,
    /// Held, never read: nobody else works on the data directory.
    pub(super) _lock: Flock<File>,
    /// Last of the fields, so dropped last: who sees the completions end may open anew.
    pub(super) completions: UnboundedSender<Completion>,
}

/// When the paced duties were last done, on the boot clock.
#[derive(Debug, Default)]
pub(super) struct Pace {
    pub(super) mark_synced_ms: u64,
    pub(super) space_checked_ms: u64,
    /// Whether something was written since.
    pub(super) space_unchecked: bool,
}

/// What is known of a failure while it lasts.
#[derive(Debug, Default)]
struct Trouble {
    told: bool,
    /// sled said so once: twice is not by chance.
    damaged: bool,
    /// A sync may have failed, so what the disk holds is unknown.
    rewrite: bool,
}

/// The store is beyond this process; the completions close.
struct Beyond;

impl Writer {
    /// Makes a new store's first record, and only then the marker: a marker vouches for a store.
    pub(super) fn begin(&mut self) -> Result<(), Failure> {
        if let Some(disk) = &mut self.disk {
            disk.apply(&[], &self.position)?;
            disk.sync()?;
            self.durable = Some(self.position);
        }
        sync_dir(&self.dir)
            .and_then(|()| self.mark.write(&self.position))
            .and_then(|()| self.mark.sync())
            .and_then(|()| Marker::write(&self.dir, self.position.id))
            .map_err(Failure::system("writing the store's marker"))
    }

    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        self.check_space();
        while let Some(first) = self.next(requests) {
            let (group, load) = gather(first, requests);
            step!("batch.gathered", batches = group.len());
            let done = self.store(&group).and_then(|()| match load {
                Some((seqs, max_bytes)) => self.load(&seqs, max_bytes),
                None => Ok(()),
            });
            if let Err(Beyond) = done {
                return;
            }
            self.keep_pace();
        }
        self.sync_mark();
        step!("store.ended");
    }

    /// Waits for a request. Wakes by itself only while a mark is unsynced, once after writing to see
    /// what space that has left, and while space is low, so an idle store costs nothing.
    fn next(&mut self, requests: &Receiver<Request>) -> Option<Request> {
        loop {
            let pause_ms = if self.mark.is_unsynced() {
                MARK_SYNC_MS
            } else if self.pace.space_unchecked || self.space.level() == SpaceLevel::Low {
                SPACE_CHECK_MS
            } else {
                return requests.recv().ok();
            };
            match requests.recv_timeout(Duration::from_millis(pause_ms)) {
                Ok(request) => return Some(request),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if self.mark.is_unsynced() => self.sync_mark(),
                Err(RecvTimeoutError::Timeout) => self.check_space(),
            }
        }
    }

    fn store(&mut self, group: &[Batch]) -> Result<(), Beyond> {
        let Some(last) = group.last() else { return Ok(()) };
        let highest = group.iter().map(|batch| batch.last_seq).max().unwrap_or(0);
        let position = Position {
            id: self.position.id,
            last_seq: highest.max(self.position.last_seq),
            generation: self.position.generation + 1,
        };
        self.until_done(|disk| {
            disk.apply(group, &position)?;
            disk.sync()
        })?;
        self.position = position;
        self.durable = Some(position);
        self.pace.space_unchecked = true;
        self.follow();
        step!("batch.followed");
        self.say(Completion::Stored { through: last.number });
        step!("batch.told");
        Ok(())
    }

    fn load(&mut self, seqs: &RangeInclusive<u64>, max_bytes: usize) -> Result<(), Beyond> {
        let (through, rows) = self.until_done(|disk| disk.load(seqs, max_bytes))?;
        step!("events.read");
        self.say(Completion::Loaded { from: *seqs.start(), through, rows });
        Ok(())
    }

    /// Does `work` on the open store. While that fails, opens the store anew and tries again:
    /// for ever, since there is nothing better to do with a write that was promised.
    fn until_done<T>(
        &mut self,
        work: impl Fn(&mut Disk) -> Result<T, Failure>,
    ) -> Result<T, Beyond> {
        let mut pause = FIRST_PAUSE;
        let mut trouble = Trouble::default();
        loop {
            let failure = match self.opened(&mut trouble).and_then(&work) {
                Ok(done) => return Ok(done),
                Err(failure) => failure,
            };
            let reopening = self.disk.take().is_none();
            let full = failure.is_full();
            if !trouble.told {
                trouble.told = true;
                tracing::error!(error = %failure, "the store failed; it is being tried again");
                self.say(Completion::Trouble { error: failure.to_string(), full });
            }
            match failure {
                Failure::Damage(error) if reopening || trouble.damaged => {
                    tracing::error!(error, "the store is damaged; only a new start can help");
                    return Err(Beyond);
                }
                Failure::Damage(_) => trouble.damaged = true,
                Failure::System { .. } if full => {
                    let released = self.space.release();
                    // Low is told before what the reserve makes room for: new work must not eat
                    // what running sessions need.
                    self.check_space();
                    if released {
                        continue;
                    }
                }
                Failure::System { .. } => trouble.rewrite = true,
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The open store; opens it if a failure closed it.
    fn opened(&mut self, trouble: &mut Trouble) -> Result<&mut Disk, Failure> {
        let disk = match self.disk.take() {
            Some(disk) => disk,
            None => {
                if trouble.rewrite {
                    disk::rewrite(&self.path)?;
                    trouble.rewrite = false;
                }
                let (disk, scan) = Disk::open(&self.path, Arc::clone(&self.syncs))?;
                let found = scan.position.map(|position| position.generation);
                let behind = found < self.durable.map(|position| position.generation);
                if behind || scan.incomplete > 0 || scan.altered {
                    return Err(Failure::Damage("rows that were stored are gone".to_owned()));
                }
                disk
            }
        };
        Ok(self.disk.insert(disk))
    }

    /// Lets the files beside sled follow a flush. Should that fail, a later start may notice
    /// less, or tell a loss twice; no row depends on it, so it doesn't hold up the answer.
    fn follow(&mut self) {
        let mut followed = self.mark.write(&self.position);
        if followed.is_ok() && self.marker_due {
            followed = self.mark.sync().and_then(|()| Marker::write(&self.dir, self.position.id));
            self.marker_due = followed.is_err();
        }
        if let Err(error) = followed {
            tracing::warn!(%error, "can't keep the store's high-water mark");
        }
    }

    fn keep_pace(&mut self) {
        let now = (self.boot_ms)();
        if now.saturating_sub(self.pace.mark_synced_ms) >= MARK_SYNC_MS {
            self.sync_mark();
        }
        if now.saturating_sub(self.pace.space_checked_ms) >= SPACE_CHECK_MS {
            self.check_space();
        }
    }

    fn sync_mark(&mut self) {
        self.pace.mark_synced_ms = (self.boot_ms)();
        if let Err(error) = self.mark.sync() {
            tracing::warn!(%error, "can't sync the store's high-water mark");
        }
    }

    fn check_space(&mut self) {
        self.pace.space_checked_ms = (self.boot_ms)();
        self.pace.space_unchecked = false;
        if let Some(level) = self.space.check() {
            self.say(Completion::Space(level));
        }
        step!("space.checked");
    }

    fn say(&self, completion: Completion) {
        // Nobody listens any more when the agent ends without closing: the rows matter alone.
        let _ = self.completions.send(completion);
    }
}

type Load = (RangeInclusive<u64>, usize);

/// Takes the batches that wait, up to a load or a group's size.
fn gather(first: Request, requests: &Receiver<Request>) -> (Vec<Batch>, Option<Load>) {
    let mut group = Vec::new();
    let mut bytes = 0_usize;
    let mut next = first;
    loop {
        match next {
            Request::Load { seqs, max_bytes } => return (group, Some((seqs, max_bytes))),
            Request::Submit(batch) => {
                bytes += batch.writes.iter().map(size).sum::<usize>();
                group.push(batch);
            }
        }
        if bytes >= GROUP_BYTES {
            return (group, None);
        }
        next = match requests.try_recv() {
            Ok(request) => request,
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return (group, None),
        };
    }
}

/// Of its key and its value, in bytes.
pub(super) fn size(write: &Write) -> usize {
    match write {
        Write::Put { key, value } => key.len() + value.len(),
        Write::Delete { key } => key.len(),
    }
}
