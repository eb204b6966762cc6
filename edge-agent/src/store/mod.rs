//! The journal: rows of bytes that survive a killed process, a cut power line and a full card.
//!
//! The one door to the disk. It knows keys and values, not sessions. What it says was stored is
//! durable: [`Completion::Stored`] is sent after the device was told to write, never before.
//! What a start can't find again it tells ([`Opened::lost`]); it never drops a row silently, and
//! damage never keeps the agent from starting. Contract: section 5 and the promises P2 to P5.
//!
//! One thread of its own does all the work, since a card may stall for half a minute and no
//! timer may wait for it. `docs/storage.md` lists what is assumed of card, filesystem and sled.
//!
//! ```text
//! data_dir/lock        held while the store is open
//!          store/      sled; made as `store.new`, or saved from a damaged one as `store.saved`
//!          store.id    whose history this is; written once         ┐ what sled itself would
//!          high-water  how far it had come; follows the flushes    ┘ not tell: a rollback
//!          opening     a start is at it, or died at it
//!          aside-<n>/  stores that could not be opened; the newest two
//!          reserve     room that a full disk gives back to running sessions
//! ```

mod aside;
mod disk;
mod mark;
mod pieces;
mod salvage;
mod space;
mod start;
mod sum;
#[cfg(test)]
mod tests;
mod verdict;
mod writer;

use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedReceiver;

/// One change of one row: a key of at most 180 bytes, a value of at most 16 MiB.
pub use crate::node::record::Write;
pub use space::SpaceLevel;

/// What the store needs to know about its surroundings.
#[derive(Clone)]
pub struct Options {
    /// Disk space held back, in bytes, and given up when the disk is full, so that the events of
    /// running sessions still fit. 0: none.
    pub reserve_bytes: u64,
    /// Free space, in bytes, below which [`SpaceLevel::Low`] is told.
    pub min_free_bytes: u64,
    /// Names this boot of the machine: a start that a power cut ended says nothing of the store.
    pub boot_id: String,
    /// Milliseconds on the boot clock: paces what needn't happen at each flush.
    pub boot_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// A store that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Takes the writes.
    pub journal: Journal,
    /// What became of them. Closes when the journal was closed, or when the store was found
    /// damaged beyond this process: then nothing further is stored, and only a new start, which
    /// puts the store aside or tells what is gone, can help.
    pub completions: UnboundedReceiver<Completion>,
    /// 8 hex digits that name this history of event numbers: new when the store was made, put
    /// aside, or found rolled back. A new id is kept for good once the first batch is stored, so
    /// a start that dies before finds the same loss again.
    pub id: String,
    /// Every row but the events, by key.
    pub rows: Vec<Row>,
    /// Each event's seq and its value's length in bytes, ascending. The values stay on the disk.
    pub events: Vec<(u64, u32)>,
    /// The highest event seq ever given in this history; the event may have been deleted since.
    pub last_seq: u64,
    /// What this start found missing, for people to read.
    pub lost: Option<String>,
}

/// A stored row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// As it was put.
    pub key: Vec<u8>,
    /// As it was put.
    pub value: Vec<u8>,
}

/// Writes that are stored together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Comes back in [`Completion::Stored`]; rises with each batch.
    pub number: u64,
    /// In order: the last write of a key wins.
    pub writes: Vec<Write>,
    /// The highest event seq there ever was, this batch's events included. From it a later start
    /// sees that it lost events, even acknowledged and deleted ones.
    pub last_seq: u64,
}

impl Batch {
    /// How much it is to store: its keys and values.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.writes.iter().map(writer::size).sum::<usize>() as u64
    }
}

/// What the store has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// This batch and all before it are durable.
    Stored {
        /// The batch's number.
        through: u64,
    },
    /// The events of a range, as answer to [`Journal::load`].
    Loaded {
        /// The first seq that was asked for.
        from: u64,
        /// The seq up to which this answers: the last one asked for, or less where `max_bytes`
        /// was reached. Ask again from the next.
        through: u64,
        /// Seq and value, ascending; deleted events are absent.
        rows: Vec<(u64, Vec<u8>)>,
    },
    /// A write, a flush or a read failed. It is tried again without end and nothing is lost;
    /// told once, until something is stored or loaded again.
    Trouble {
        /// What failed and why.
        error: String,
        /// Whether the reason is a full disk.
        full: bool,
    },
    /// Free disk space crossed a mark. Told on change; the level at the start is `Ok`.
    Space(SpaceLevel),
}

/// Why there is no store to work with. A damaged store is none of these: it is put aside.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another agent works on the same directory.
    #[error("{} is in use by another agent: stop it, or set another data_dir", .0.display())]
    InUse(PathBuf),
    /// The system refused something that a start can't do without.
    #[error("{doing} in {}: check that the directory exists, is writable and has room", dir.display())]
    System {
        /// What was being done.
        doing: &'static str,
        /// The data directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel gave no random bytes for the store's id.
    #[error("no randomness for the store's id")]
    Random,
}

/// Opens the store in `dir`, or makes it. What can't be opened is put aside and told in
/// [`Opened::lost`]. Blocks for as long as reading the whole store takes.
///
/// # Errors
///
/// [`OpenError`]: the directory is in use, or the system refuses.
pub fn open(dir: &Path, options: Options) -> Result<Opened, OpenError> {
    start::open(dir, options)
}

const EVENT_PREFIX: &[u8] = b"event/";

/// The key of an event's row. Keys sort as their seqs do.
#[must_use]
pub fn event_key(seq: u64) -> Vec<u8> {
    [EVENT_PREFIX, &seq.to_be_bytes()].concat()
}

fn event_seq(key: &[u8]) -> Option<u64> {
    let seq = key.strip_prefix(EVENT_PREFIX)?;
    seq.try_into().ok().map(u64::from_be_bytes)
}

/// The way in. Dropping it is as closing it, without the wait.
#[derive(Debug)]
pub struct Journal {
    requests: Sender<writer::Request>,
    thread: JoinHandle<()>,
    syncs: Arc<AtomicU64>,
}

impl Journal {
    /// Hands in a batch. Never blocks. Batches are stored in the order of submission, as many
    /// with one flush as are waiting.
    pub fn submit(&self, batch: Batch) {
        debug_assert!(batch.writes.iter().all(within_limits), "key or value too long");
        self.request(writer::Request::Submit(batch));
    }

    /// Asks for events, at most `max_bytes` of values at a time but at least one event. Answered
    /// by [`Completion::Loaded`] after all earlier batches were stored. Never blocks.
    pub fn load(&self, seqs: RangeInclusive<u64>, max_bytes: usize) {
        self.request(writer::Request::Load { seqs, max_bytes });
    }

    /// How often the device was told to make rows durable since the store was opened.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }

    /// Waits until everything submitted is durable, however long the disk takes, and ends the
    /// store's thread.
    pub fn close(self) {
        drop(self.requests);
        if self.thread.join().is_err() {
            tracing::error!("the store's thread panicked");
        }
    }

    fn request(&self, request: writer::Request) {
        // The thread is gone only after it closed the completions, which tells the caller.
        let _ = self.requests.send(request);
    }
}

fn within_limits(write: &Write) -> bool {
    let (key, length) = match write {
        Write::Put { key, value } => (key, value.len()),
        Write::Delete { key } => (key, 0),
    };
    key.len() <= pieces::KEY_BYTES_MAX && length <= pieces::VALUE_BYTES_MAX
}
