//! Saves what was read of a store that is not what it was, into a new one.
//!
//! Nothing may be built on a file that sled was mistaken about once: it goes on from there, and
//! the next start may find less, even of what was stored since. Nor is it read once more: a page
//! that has left sled's cache meanwhile may be wrong then, and sled panics. So what the start has
//! in memory is saved, and that is every row but the events, which belong to a history that is over.
//! The damaged store is put aside.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::disk::{Disk, Failure};
use super::mark::{Position, sync_dir};
use super::{Batch, Row, Write};
use crate::step::step;

/// A whole one that has not taken the damaged one's place yet.
const SAVED: &str = "store.saved";

/// What is worth one batch of a store that is being saved.
const BATCH_BYTES: usize = 1 << 20;

/// Writes `rows` to a new store at `position`, which waits for [`take_place`].
///
/// # Errors
/// [`Failure`]; then nothing has changed.
pub(super) fn save(
    dir: &Path,
    rows: &[Row],
    position: &Position,
    syncs: &Arc<AtomicU64>,
) -> Result<(), Failure> {
    let draft = draft(dir)?;
    let (mut disk, _) = Disk::open(&draft, Arc::clone(syncs))?;
    let (mut writes, mut bytes) = (Vec::new(), 0);
    for Row { key, value } in rows {
        bytes += key.len() + value.len();
        writes.push(Write::Put { key: key.clone(), value: value.clone() });
        if bytes >= BATCH_BYTES {
            let writes = std::mem::take(&mut writes);
            disk.apply(&[Batch { number: 0, writes, last_seq: 0 }], position)?;
            bytes = 0;
        }
    }
    disk.apply(&[Batch { number: 0, writes, last_seq: 0 }], position)?;
    disk.sync()?;
    drop(disk);
    step!("salvage.written");
    put(dir, &draft, SAVED)?;
    step!("salvage.saved");
    Ok(())
}

/// Puts a saved store in the place of the damaged one, which is no longer there. Also run at each
/// start: a death may have come before.
pub(super) fn take_place(dir: &Path) -> io::Result<()> {
    let saved = dir.join(SAVED);
    if !saved.exists() {
        return Ok(());
    }
    if dir.join("store").exists() {
        // It is saved once more, should it need it.
        return fs::remove_dir_all(saved);
    }
    fs::rename(saved, dir.join("store"))?;
    sync_dir(dir)?;
    step!("salvage.in_place");
    Ok(())
}

/// Makes an empty store. It is made under another name first: a `store` that is there was whole
/// once, so one that can't be opened is a loss, never a making that was interrupted.
pub(super) fn make(dir: &Path, syncs: &Arc<AtomicU64>) -> Result<(), Failure> {
    let draft = draft(dir)?;
    drop(Disk::open(&draft, Arc::clone(syncs))?);
    step!("store.drafted");
    put(dir, &draft, "store")?;
    step!("store.made");
    Ok(())
}

/// Where to make a store; what an earlier start left there is gone.
fn draft(dir: &Path) -> Result<PathBuf, Failure> {
    let draft = dir.join("store.new");
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::system("removing a half-made store")(error))
        }
        Ok(()) | Err(_) => Ok(draft),
    }
}

fn put(dir: &Path, draft: &Path, name: &str) -> Result<(), Failure> {
    fs::rename(draft, dir.join(name))
        .and_then(|()| sync_dir(dir))
        .map_err(Failure::system("putting a new store in its place"))
}
