//! Opening the store: what is there, what is missing, and whether it is still the same history.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::sync::mpsc;

use super::aside::{self, Opening};
use super::disk::{Disk, Failure, Scan};
use super::mark::{HighWater, Marker, Position, StoreId, sync_dir};
use super::space::{Space, is_full};
use super::verdict::{Verdict, judge, unsound};
use super::writer::{Pace, Writer};
use super::{Journal, OpenError, Opened, Options, salvage};
use crate::step::step;

/// So many starts may die while sled opens the store until it is put aside. One alone may have
/// been killed by chance.
const DEATHS_ALLOWED: usize = 3;

/// A card may fail to answer and then answer.
const TRIES: u32 = 3;

/// How long another holder of the lock is waited for, 1 s in all: an agent that was killed as it
/// started a script leaves a child that holds it, until that child is the script.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

pub(super) fn open(dir: &Path, options: Options) -> Result<Opened, OpenError> {
    let system = |doing: &'static str| {
        move |source: io::Error| OpenError::System { doing, dir: dir.to_owned(), source }
    };
    make_dir(dir).map_err(system("making the data directory"))?;
    step!("store.dir_made");
    let lock = lock(dir)?;
    step!("store.locked");
    let space = Space::new(dir, options.min_free_bytes, options.reserve_bytes);
    let mut opening = Opening::begin(dir, &options.boot_id)
        .or_else(|error| {
            if is_full(&error) && space.release() {
                Opening::begin(dir, &options.boot_id)
            } else {
                Err(error)
            }
        })
        .map_err(system("noting that the store is being opened"))?;
    step!("store.opening_noted");
    aside::prune(dir).map_err(system("removing old stores that were put aside"))?;
    salvage::take_place(dir).map_err(system("putting a saved store in its place"))?;

    let marker = Marker::read(dir).map_err(system("reading store.id"))?;
    step!("store.marker_read");
    let syncs = Arc::new(AtomicU64::new(0));
    let found = open_disk(dir, &space, &mut opening, &syncs)?;
    let (mark, slots) = HighWater::open(dir).map_err(system("opening the high-water mark"))?;
    step!("store.high_water_opened");

    let Found { mut disk, mut scan, put_aside, made } = found;
    let unsound = !made && unsound(marker, &slots, &scan);
    let verdict = judge(marker, &slots, &scan, put_aside);
    let id = match verdict {
        Verdict::Same(id) => id,
        Verdict::New | Verdict::Lost(_) => StoreId::random().ok_or(OpenError::Random)?,
    };
    let known = || slots.iter().chain(&scan.position);
    let position = Position {
        id,
        last_seq: match verdict {
            Verdict::Same(_) => scan.position.map_or(0, |position| position.last_seq),
            // A new history counts from 1.
            Verdict::New | Verdict::Lost(_) => 0,
        },
        // Never lower than in either slot: the newest of them is the one that is not overwritten.
        generation: known().map(|position| position.generation).max().unwrap_or(0),
    };
    if unsound {
        match salvage::save(dir, &scan.rows, &position, &syncs) {
            // Its events are not in the new one, and are still to be told of as dropped.
            Ok(()) => (disk, scan.position) = in_place(dir, disk, &syncs)?,
            Err(error) => {
                tracing::error!(%error, "a damaged store can't be saved; it is used as it is")
            }
        }
    }
    drop(opening);
    step!("store.opening_over");
    let (completions, receiver) = mpsc::unbounded_channel();
    let mut writer = Writer {
        path: dir.join("store"),
        dir: dir.to_owned(),
        disk: Some(disk),
        durable: scan.position,
        position,
        mark,
        marker_due: false,
        space,
        syncs: Arc::clone(&syncs),
        boot_ms: options.boot_ms,
        pace: Pace::default(),
        _lock: lock,
        completions,
    };
    let lost = match verdict {
        Verdict::Same(_) => None,
        Verdict::New => {
            writer
                .begin()
                .map_err(|failure| system("beginning the store")(io::Error::other(failure)))?;
            step!("store.begun");
            None
        }
        Verdict::Lost(lost) => {
            tracing::error!(lost, new_id = %id, "the store is not what it was");
            writer.marker_due = true;
            step!("store.loss_found");
            Some(lost)
        }
    };
    let (requests, inbox) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || writer.run(&inbox))
        .map_err(system("starting the store's thread"))?;
    step!("store.at_work");
    Ok(Opened {
        journal: Journal { requests, thread, syncs },
        completions: receiver,
        id: id.to_string(),
        rows: scan.rows,
        events: scan.events,
        last_seq: position.last_seq,
        lost,
    })
}

fn make_dir(dir: &Path) -> io::Result<()> {
    if !dir.is_dir() {
        fs::create_dir_all(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(parent)?;
        }
    }
    Ok(())
}

fn lock(dir: &Path) -> Result<Flock<File>, OpenError> {
    let system = |source| OpenError::System { doing: "locking", dir: dir.to_owned(), source };
    let path = dir.join("lock");
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let mut file = file.map_err(system)?;
    for _ in 0..LOCK_TRIES {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((held, Errno::EWOULDBLOCK)) => file = held,
            Err((_, errno)) => return Err(system(errno.into())),
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Err(OpenError::InUse(dir.to_owned()))
}

struct Found {
    disk: Disk,
    scan: Scan,
    /// Why another store was put aside before this one was made.
    put_aside: Option<String>,
    /// There was none before.
    made: bool,
}

/// Opens sled, putting aside what can't be opened. Only damage is put aside: a store that the
/// system keeps from us, for want of room or rights, stays where it is and the start fails.
fn open_disk(
    dir: &Path,
    space: &Space,
    opening: &mut Opening,
    syncs: &Arc<AtomicU64>,
) -> Result<Found, OpenError> {
    let path = dir.join("store");
    let mut put_aside = None;
    let mut made = false;
    let mut tries = 0;
    if opening.died_before >= DEATHS_ALLOWED && path.exists() {
        let why = format!("the last {} starts died while opening it", opening.died_before);
        put_aside = Some(move_aside(dir, opening, &why)?);
    }
    loop {
        made |= !path.exists();
        let whole = if path.exists() { Ok(()) } else { salvage::make(dir, syncs) };
        let failure = match whole.and_then(|()| Disk::open(&path, Arc::clone(syncs))) {
            Ok((disk, scan)) => return Ok(Found { disk, scan, put_aside, made }),
            Err(failure) => failure,
        };
        tries += 1;
        match failure {
            full if full.is_full() && space.release() => {}
            damage if damage.is_of_the_store() && put_aside.is_none() => {
                if matches!(damage, Failure::Damage(_)) || tries >= TRIES {
                    put_aside = Some(move_aside(dir, opening, &damage.to_string())?);
                }
            }
            Failure::System { doing, source } => {
                return Err(OpenError::System { doing, dir: dir.to_owned(), source });
            }
            // A store just made can't be damaged, unless nothing can be stored here at all.
            Failure::Damage(error) => {
                let source = io::Error::other(error);
                let doing = "making a new store";
                return Err(OpenError::System { doing, dir: dir.to_owned(), source });
            }
        }
    }
}

/// Puts the damaged store aside, and the one that was saved from it in its place.
fn in_place(
    dir: &Path,
    damaged: Disk,
    syncs: &Arc<AtomicU64>,
) -> Result<(Disk, Option<Position>), OpenError> {
    let system = |doing: &'static str| {
        move |source: io::Error| OpenError::System { doing, dir: dir.to_owned(), source }
    };
    drop(damaged);
    aside::put_aside(dir).map_err(system("putting a damaged store aside"))?;
    salvage::take_place(dir).map_err(system("putting a saved store in its place"))?;
    let (disk, Scan { position, .. }) = Disk::open(&dir.join("store"), Arc::clone(syncs))
        .map_err(|failure| system("opening a saved store")(io::Error::other(failure)))?;
    Ok((disk, position))
}

fn move_aside(dir: &Path, opening: &mut Opening, why: &str) -> Result<String, OpenError> {
    let system = |source| OpenError::System {
        doing: "putting a damaged store aside",
        dir: dir.to_owned(),
        source,
    };
    let aside = aside::put_aside(dir).map_err(system)?;
    opening.reset().map_err(system)?;
    step!("aside.recounted");
    Ok(format!("the store could not be opened ({why}) and is now in {}", aside.display()))
}
