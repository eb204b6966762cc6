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
use super::writer::{Pace, Writer};
use super::{Journal, OpenError, Opened, Options};
use crate::step::step;

/// So many starts may die while sled opens the store until it is put aside. One alone may have
/// been killed by chance.
const DEATHS_ALLOWED: u64 = 3;

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
    let mut opening =
        Opening::begin(dir)
            .or_else(|error| {
                if is_full(&error) && space.release() { Opening::begin(dir) } else { Err(error) }
            })
            .map_err(system("noting that the store is being opened"))?;
    step!("store.opening_noted");
    aside::prune(dir).map_err(system("removing old stores that were put aside"))?;

    let marker = Marker::read(dir).map_err(system("reading store.id"))?;
    step!("store.marker_read");
    let syncs = Arc::new(AtomicU64::new(0));
    let found = open_disk(dir, &space, &mut opening, &syncs)?;
    let (mark, slots) = HighWater::open(dir).map_err(system("opening the high-water mark"))?;
    step!("store.high_water_opened");
    drop(opening);
    step!("store.opening_over");

    let scan = found.scan;
    let verdict = judge(marker, &slots, &scan, found.put_aside);
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
    let (completions, receiver) = mpsc::unbounded_channel();
    let mut writer = Writer {
        path: dir.join("store"),
        dir: dir.to_owned(),
        disk: Some(found.disk),
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
    let mut tries = 0;
    if opening.died_before >= DEATHS_ALLOWED && path.exists() {
        let why = format!("the last {} starts died while opening it", opening.died_before);
        put_aside = Some(move_aside(dir, opening, &why)?);
    }
    loop {
        let whole = if path.exists() { Ok(()) } else { make(dir, syncs) };
        let failure = match whole.and_then(|()| Disk::open(&path, Arc::clone(syncs))) {
            Ok((disk, scan)) => return Ok(Found { disk, scan, put_aside }),
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

/// Makes the store under another name first. A `store` that is there was whole once: one that can't
/// be opened is a loss, never a making that was interrupted.
fn make(dir: &Path, syncs: &Arc<AtomicU64>) -> Result<(), Failure> {
    let draft = dir.join("store.new");
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Failure::system("removing a half-made store")(error));
        }
        Ok(()) | Err(_) => {}
    }
    drop(Disk::open(&draft, Arc::clone(syncs))?);
    step!("store.drafted");
    fs::rename(&draft, dir.join("store"))
        .and_then(|()| sync_dir(dir))
        .map_err(Failure::system("putting a new store in its place"))?;
    step!("store.made");
    Ok(())
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

/// Whether what was found is the history that `store.id` names.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// There never was a store here, or its making was interrupted before anything was stored.
    New,
    Same(StoreId),
    /// Something that was stored is gone, as told. What is there stays, since it is the best
    /// knowledge of live sessions there is; but its event numbers were used before.
    Lost(String),
}

fn judge(marker: Marker, slots: &[Position], scan: &Scan, put_aside: Option<String>) -> Verdict {
    let unused = |position: &Position| position.generation == 0;
    let blank = scan.rows.is_empty()
        && scan.events.is_empty()
        && slots.iter().chain(&scan.position).all(unused)
        && put_aside.is_none();
    let of_this_store = |slot: &&Position| match marker {
        Marker::Id(id) => slot.id == id,
        Marker::Absent | Marker::Damaged => true,
    };
    let mark = slots.iter().filter(of_this_store).max_by_key(|slot| slot.generation);
    let is_gone = scan.position.is_none() && put_aside.is_none();

    let mut lost: Vec<String> = put_aside.into_iter().collect();
    match (marker, scan.position) {
        (Marker::Absent, _) if blank => return Verdict::New,
        (Marker::Absent, _) => lost.push("store.id is missing".to_owned()),
        (Marker::Damaged, _) => lost.push("store.id is damaged".to_owned()),
        (Marker::Id(id), None) if is_gone => lost.push(format!("the store {id} is gone")),
        (Marker::Id(id), Some(found)) if found.id != id => {
            lost.push(format!("the store is {}, where store.id says {id}", found.id));
        }
        (Marker::Id(_), _) => {}
    }
    if mark.is_none() && marker != Marker::Absent {
        // It was synced before store.id was written: without it, a rollback would not be seen.
        lost.push("high-water is missing or damaged".to_owned());
    }
    if let Some(mark) = mark {
        let (seq, generation) = scan.position.map_or((0, 0), |p| (p.last_seq, p.generation));
        if seq < mark.last_seq || generation < mark.generation {
            let writes = mark.generation.saturating_sub(generation);
            let from = mark.last_seq;
            lost.push(format!("rolled back from seq {from} to {seq}, by {writes} flushes"));
        }
    }
    if scan.incomplete > 0 {
        lost.push(format!("{} rows are incomplete and were left out", scan.incomplete));
    }
    match marker {
        Marker::Id(id) if lost.is_empty() => Verdict::Same(id),
        Marker::Id(_) | Marker::Absent | Marker::Damaged => Verdict::Lost(lost.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Row;

    fn at(id: StoreId, last_seq: u64, generation: u64) -> Position {
        Position { id, last_seq, generation }
    }

    fn scan(position: Option<Position>) -> Scan {
        Scan { position, ..Scan::default() }
    }

    fn lost(verdict: &Verdict) -> &str {
        match verdict {
            Verdict::Lost(lost) => lost,
            Verdict::New | Verdict::Same(_) => panic!("nothing was found lost: {verdict:?}"),
        }
    }

    #[test]
    fn an_interrupted_making_is_no_loss() {
        let id = StoreId::random().unwrap();
        assert_eq!(judge(Marker::Absent, &[], &scan(None), None), Verdict::New);
        let begun = at(id, 0, 0);
        assert_eq!(judge(Marker::Absent, &[begun], &scan(Some(begun)), None), Verdict::New);
    }

    #[test]
    fn a_store_at_or_ahead_of_its_mark_is_the_same() {
        let id = StoreId::random().unwrap();
        for mark in [vec![at(id, 7, 3)], vec![at(id, 7, 3), at(id, 8, 4)]] {
            let verdict = judge(Marker::Id(id), &mark, &scan(Some(at(id, 8, 4))), None);
            assert_eq!(verdict, Verdict::Same(id));
        }
    }

    #[test]
    fn a_store_behind_its_mark_was_rolled_back() {
        let id = StoreId::random().unwrap();
        let verdict = judge(Marker::Id(id), &[at(id, 9, 5)], &scan(Some(at(id, 8, 4))), None);
        assert_eq!(lost(&verdict), "rolled back from seq 9 to 8, by 1 flushes");
        let verdict = judge(Marker::Id(id), &[at(id, 8, 5)], &scan(Some(at(id, 8, 4))), None);
        assert_eq!(lost(&verdict), "rolled back from seq 8 to 8, by 1 flushes");
        let verdict = judge(Marker::Id(id), &[at(id, 9, 5)], &scan(None), None);
        assert!(lost(&verdict).contains("is gone; rolled back from seq 9 to 0"));
    }

    #[test]
    fn the_mark_of_an_older_history_says_nothing_about_this_one() {
        let (old, new) = (StoreId::random().unwrap(), StoreId::random().unwrap());
        let slots = [at(old, 900, 90), at(new, 5, 91)];
        let verdict = judge(Marker::Id(new), &slots, &scan(Some(at(new, 5, 91))), None);
        assert_eq!(verdict, Verdict::Same(new));
    }

    #[test]
    fn rows_without_a_marker_are_not_taken_for_a_new_store() {
        let id = StoreId::random().unwrap();
        let mut found = scan(Some(at(id, 1, 1)));
        found.rows.push(Row { key: b"session/a".to_vec(), value: vec![] });
        assert_eq!(lost(&judge(Marker::Absent, &[], &found, None)), "store.id is missing");
        let verdict = judge(Marker::Damaged, &[at(id, 1, 1)], &found, None);
        assert_eq!(lost(&verdict), "store.id is damaged");
        let verdict = judge(Marker::Absent, &[at(id, 9, 9)], &scan(None), None);
        assert!(lost(&verdict).contains("rolled back from seq 9 to 0"));
    }

    #[test]
    fn a_store_whose_mark_is_gone_may_have_been_rolled_back() {
        let id = StoreId::random().unwrap();
        let verdict = judge(Marker::Id(id), &[], &scan(Some(at(id, 8, 4))), None);
        assert_eq!(lost(&verdict), "high-water is missing or damaged");
    }

    #[test]
    fn a_store_of_another_history_is_told() {
        let (ours, other) = (StoreId::random().unwrap(), StoreId::random().unwrap());
        let verdict = judge(Marker::Id(ours), &[], &scan(Some(at(other, 3, 3))), None);
        assert!(lost(&verdict).contains(&other.to_string()));
    }
}
