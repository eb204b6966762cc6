//! sled, and everything we know about it: how to open it, write to it, and make that durable.
//!
//! Nothing else touches sled, and nobody else flushes. `docs/storage.md` says what is assumed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::mark::{POSITION_BYTES, Position, sync_dir};
use super::pieces::{self, Layout, SEGMENT_BYTES};
use super::space::is_full;
use super::sum::Sum;
use super::{Batch, Row, event_key, event_seq};
use crate::step::step;

/// sled's own default is 1 GB.
const CACHE_BYTES: u64 = 8 << 20;

/// Why sled did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The system refused: no room, no rights, a card that does not answer. Worth another try.
    #[error("{doing}: {source}")]
    System { doing: &'static str, source: io::Error },
    /// The store itself is not sound. Trying again can't help.
    #[error("the store is damaged: {0}")]
    Damage(String),
}

impl Failure {
    /// Whether there was no room on the disk.
    pub(super) fn is_full(&self) -> bool {
        match self {
            Self::System { source, .. } => is_full(source),
            Self::Damage(_) => false,
        }
    }

    /// Whether the reason lies in the store's files, not in what the system allows at the moment.
    pub(super) fn is_of_the_store(&self) -> bool {
        match self {
            Self::System { source, .. } => {
                source.raw_os_error() == Some(Errno::EIO as i32)
                    || matches!(
                        source.kind(),
                        io::ErrorKind::NotFound
                            | io::ErrorKind::NotADirectory
                            | io::ErrorKind::IsADirectory
                            | io::ErrorKind::AlreadyExists
                            | io::ErrorKind::InvalidInput
                    )
            }
            Self::Damage(_) => true,
        }
    }

    pub(super) fn system(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { doing, source }
    }

    fn sled(doing: &'static str) -> impl FnOnce(sled::Error) -> Self {
        move |error| match error {
            // What sled means by these two is that the bytes are not what it wrote.
            sled::Error::Io(source)
                if !matches!(
                    source.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
                ) =>
            {
                Self::System { doing, source }
            }
            broken @ (sled::Error::Io(_)
            | sled::Error::CollectionNotFound(_)
            | sled::Error::Unsupported(_)
            | sled::Error::ReportableBug(_)
            | sled::Error::Corruption { .. }) => Self::Damage(format!("{doing}: {broken}")),
        }
    }
}

/// What a look at every row found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) rows: Vec<Row>,
    pub(super) events: Vec<(u64, u32)>,
    /// How far this store had come by its own account; none only in one never written to.
    pub(super) position: Option<Position>,
    /// Rows whose pieces are not all there. Left out of the above.
    pub(super) incomplete: usize,
    /// Whether these are other rows than were stored.
    pub(super) altered: bool,
}

/// Seq and value, ascending.
type Events = Vec<(u64, Vec<u8>)>;

/// The open database.
#[derive(Debug)]
pub(super) struct Disk {
    db: sled::Db,
    /// sled's file, opened once more: sled itself never calls fsync when asked to flush.
    file: File,
    layout: Layout,
    sum: Sum,
    syncs: Arc<AtomicU64>,
    #[cfg_attr(not(test), expect(dead_code, reason = "names the store for injected faults"))]
    path: PathBuf,
}

impl Disk {
    /// Opens or makes the database in `path` and reads all of it.
    ///
    /// # Errors
    ///
    /// [`Failure`]; a panic of sled is caught and told as damage where panics unwind.
    pub(super) fn open(path: &Path, syncs: Arc<AtomicU64>) -> Result<(Self, Scan), Failure> {
        catch_unwind(AssertUnwindSafe(|| Self::open_unguarded(path, syncs)))
            .unwrap_or_else(|_| Err(Failure::Damage("sled panicked while opening it".to_owned())))
    }

    fn open_unguarded(path: &Path, syncs: Arc<AtomicU64>) -> Result<(Self, Scan), Failure> {
        wait_for_lock(path).map_err(Failure::system("waiting for the last user of the store"))?;
        step!("sled.unlocked");
        remove_unfinished(path).map_err(Failure::system("removing a half-written snapshot"))?;
        let db = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(None)
            .open()
            .map_err(Failure::sled("opening the store"))?;
        step!("sled.opened");
        let file = File::open(path.join("db")).map_err(Failure::system("opening sled's file"))?;
        let (layout, sum, scan) = scan(&db)?;
        step!("sled.scanned");
        let mut disk = Self { db, file, layout, sum, syncs, path: path.to_owned() };
        // A store may read well and still bring sled down at its first write. Better here, where
        // that is caught or counted, than in a batch at each start.
        if let Some(position) = &scan.position {
            disk.apply(&[], position)?;
        }
        disk.sync()?;
        step!("sled.tried");
        // sled writes it once and never syncs it, and refuses a store where it came out empty.
        File::open(path.join("conf"))
            .and_then(|conf| conf.sync_all())
            .map_err(Failure::system("syncing sled's configuration"))?;
        // Opening writes a snapshot file and drops the one before.
        sync_dir(path).map_err(Failure::system("syncing the store's directory"))?;
        step!("sled.dir_synced");
        Ok((disk, scan))
    }

    /// Writes a group of batches as one atomic batch of sled. The last write of a key wins.
    ///
    /// One, because sled syncs its buffer for each batch it is given, and because while a batch
    /// is under way sled frees no space that the state before still needs: with a sync after
    /// each, a power cut can't find old rows overwritten and new ones missing.
    pub(super) fn apply(&mut self, group: &[Batch], position: &Position) -> Result<(), Failure> {
        let mut changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        let writes_of_all = group.iter().flat_map(|batch| &batch.writes);
        self.layout.lay_out(writes_of_all, |key, value| {
            changes.insert(key, value);
        });
        let mut sum = self.sum;
        let mut writes = sled::Batch::default();
        for (key, value) in changes {
            if let Some(before) = self.db.get(&key).map_err(Failure::sled("reading"))? {
                sum.remove(&key, &before);
            }
            match value {
                Some(value) => {
                    sum.add(&key, &value);
                    writes.insert(key, value);
                }
                None => writes.remove(key),
            }
        }
        let row = [&position.encode()[..], &sum.encode()].concat();
        writes.insert(pieces::POSITION_KEY, row);
        self.db.apply_batch(writes).map_err(Failure::sled("writing"))?;
        self.sum = sum;
        step!("batch.applied");
        Ok(())
    }

    /// Makes everything applied durable. The one place that does.
    pub(super) fn sync(&self) -> Result<(), Failure> {
        self.db.flush().map_err(Failure::sled("flushing"))?;
        step!("batch.flushed");
        self.syncs.fetch_add(1, Ordering::Relaxed);
        #[cfg(test)]
        faults::strike(&self.path).map_err(Failure::system("syncing (injected)"))?;
        // sled's flush pushes the bytes with sync_file_range: neither the file's length and
        // extents nor the card's cache take part. Without this, power cuts lose acknowledged
        // rows, and sometimes the store.
        self.file.sync_all().map_err(Failure::system("syncing"))?;
        step!("batch.synced");
        Ok(())
    }

    /// Events of the range, ascending, as many as fit `max_bytes` but at least one, and the seq
    /// up to which that answers the question.
    pub(super) fn load(
        &self,
        seqs: &RangeInclusive<u64>,
        max_bytes: usize,
    ) -> Result<(u64, Events), Failure> {
        let row_key = |seq| pieces::row_key(&event_key(seq));
        let mut found = Vec::new();
        let mut bytes = 0_usize;
        let mut through = *seqs.start();
        for entry in self.db.range(row_key(*seqs.start())..=row_key(*seqs.end())) {
            let (key, head) = entry.map_err(Failure::sled("reading"))?;
            let key = pieces::key_of_row(&key);
            let (Some(key), Some(seq)) = (key, key.and_then(event_seq)) else { continue };
            let read = |piece_key: Vec<u8>| self.db.get(piece_key);
            let Some(value) = pieces::join(key, &head, read).map_err(Failure::sled("reading"))?
            else {
                return Err(Failure::Damage(format!("event {seq} is incomplete")));
            };
            bytes = bytes.saturating_add(value.len());
            if bytes > max_bytes && !found.is_empty() {
                return Ok((through, found));
            }
            found.push((seq, value));
            through = seq;
        }
        Ok((*seqs.end(), found))
    }
}

/// Reads every row, so that whatever damage sled notices at all is noticed now.
fn scan(db: &sled::Db) -> Result<(Layout, Sum, Scan), Failure> {
    let mut scan = Scan::default();
    let mut layout = Layout::default();
    let mut sum = Sum::default();
    let mut stored_sum = None;
    for entry in db.iter() {
        let (stored, head) = entry.map_err(Failure::sled("reading"))?;
        if stored == pieces::POSITION_KEY {
            // A store of an older version has no sum yet.
            let (position, rest) = head.split_at(head.len().min(POSITION_BYTES));
            scan.position = Position::decode(position);
            stored_sum = rest.try_into().ok().map(Sum::decode);
            continue;
        }
        sum.add(&stored, &head);
        let Some(key) = pieces::key_of_row(&stored) else { continue };
        layout.found(key, &head);
        if let Some(seq) = event_seq(key) {
            match pieces::length(&head).and_then(|length| u32::try_from(length).ok()) {
                Some(length) => scan.events.push((seq, length)),
                None => scan.incomplete += 1,
            }
            continue;
        }
        match pieces::join(key, &head, |k| db.get(k)).map_err(Failure::sled("reading"))? {
            Some(value) => scan.rows.push(Row { key: key.to_vec(), value }),
            None => scan.incomplete += 1,
        }
    }
    scan.altered = stored_sum.is_some_and(|stored| stored != sum);
    Ok((layout, sum, scan))
}

/// Removes a snapshot that a death left half written. sled takes it for the newest one, finds it
/// damaged and refuses the store, though the one before is whole and all rows are there.
fn remove_unfinished(path: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Waits until sled's lock on its file is free. sled's threads let go of it shortly after the
/// database was dropped; without waiting, that would look like a store that can't be opened.
fn wait_for_lock(path: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        let file = match OpenOptions::new().read(true).write(true).open(path.join("db")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(_released_at_once) => return Ok(()),
            Err((_, errno)) if tries == LOCK_TRIES => return Err(errno.into()),
            Err(_) => tries += 1,
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// Five seconds in all: past that it is not our own thread that holds the file.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Writes sled's file over itself, byte for byte.
///
/// When a sync fails, Linux reports it once and then takes the pages for clean: they read back
/// as written, the next sync succeeds, and the disk never saw them. Building on such pages would
/// put acknowledged rows behind a hole that only a power cut shows. After this, what reads back
/// is what the next sync must put on the disk.
pub(super) fn rewrite(path: &Path) -> Result<(), Failure> {
    let again = || -> io::Result<()> {
        wait_for_lock(path)?;
        let file = OpenOptions::new().read(true).write(true).open(path.join("db"))?;
        let mut buffer = vec![0; SEGMENT_BYTES];
        let mut offset = 0;
        loop {
            let length = file.read_at(&mut buffer, offset)?;
            if length == 0 {
                return file.sync_all();
            }
            file.write_all_at(&buffer[..length], offset)?;
            offset += u64::try_from(length).map_err(io::Error::other)?;
        }
    };
    again().map_err(Failure::system("writing sled's file again after a failed sync"))
}

/// Syncs that fail because a test says so, by the store's path.
#[cfg(test)]
pub(super) mod faults {
    use std::collections::BTreeMap;
    use std::io;
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    static DUE: Mutex<BTreeMap<PathBuf, u32>> = Mutex::new(BTreeMap::new());

    /// The next `count` syncs of the store in `path` fail.
    pub(crate) fn fail_syncs(path: &Path, count: u32) {
        DUE.lock().unwrap().insert(path.to_owned(), count);
    }

    pub(super) fn strike(path: &Path) -> io::Result<()> {
        match DUE.lock().unwrap().get_mut(path) {
            Some(due) if *due > 0 => {
                *due -= 1;
                Err(io::Error::from_raw_os_error(5)) // EIO
            }
            Some(_) | None => Ok(()),
        }
    }
}
