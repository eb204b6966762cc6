//! Damaged images: whatever a card makes of the files, a start ends, and tells what it cost.

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::medium::{Image, image, lay_out};
use super::*;

const IMAGES: (usize, usize) = (300, 10_000);
/// sled takes milliseconds; what takes so long does not end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store, what is in it, and an earlier state of the same one.
struct Original {
    image: Image,
    older: Image,
    rows: Vec<Row>,
    events: Vec<(u64, u32)>,
}

/// A store of `events` events after which all but the last 300 were deleted, and rows that grow and shrink.
fn original(events: u64) -> Original {
    let dir = folder();
    let fill = |numbers: RangeInclusive<u64>| {
        let batch = |n: u64| {
            let mut batch = numbered(n);
            let length = usize::try_from(n % 7 * 900).unwrap();
            batch.writes.push(put(format!("session/{}", n % 11).as_bytes(), &vec![b's'; length]));
            batch.writes.push(put(format!("task/{}", n % 90).as_bytes(), &n.to_be_bytes()));
            let fallen = n.checked_sub(300).map(event_key);
            batch.writes.extend(fallen.map(|key| Write::Delete { key }));
            batch
        };
        opened(dir.path()).store(numbers.map(batch));
        image(dir.path())
    };
    let (older, image) = (fill(1..=events / 2), fill(events / 2 + 1..=events));
    let store = opened(dir.path());
    Original { image, older, rows: store.rows, events: store.events }
}

/// Damages one file: which, where, how.
fn damage(
    image: &mut Image,
    older: &Image,
    random: &mut fastrand::Rng,
) -> (PathBuf, usize, &'static str) {
    let files = image.iter().filter(|(path, content)| content.is_some() && !path.ends_with("lock"));
    let files: Vec<PathBuf> = files.map(|(path, _)| path.clone()).collect();
    // Half of the damage to the file with the rows.
    let db = files.iter().find(|path| path.ends_with("db") && random.bool());
    let victim = db.unwrap_or_else(|| &files[random.usize(..files.len())]).clone();
    let bytes = image.get_mut(&victim).and_then(Option::as_mut).unwrap();
    let at = random.usize(..bytes.len().max(1));
    let sector = at / 512 * 512;
    let to = |length: usize| (at + length).min(bytes.len());
    let what = match random.u8(..8) {
        0 => {
            bytes.truncate(at);
            "cut short"
        }
        1 => {
            let to = to(random.usize(1..70_000));
            bytes[at..to].fill(0);
            "zeroes"
        }
        2 | 3 => {
            let bit = 1 << random.u8(..8);
            bytes.get_mut(at..=at).into_iter().flatten().for_each(|byte| *byte ^= bit);
            "a bit"
        }
        4 => {
            let to = (sector + 512).min(bytes.len());
            bytes[sector..to].iter_mut().for_each(|byte| *byte = random.u8(..));
            "garbage"
        }
        5 => {
            // A write that the card took and dropped.
            let before = older.get(&victim).and_then(Option::as_ref).map_or(&[][..], |it| it);
            let to = (sector + 4096).min(bytes.len()).min(before.len());
            if sector < to {
                bytes[sector..to].copy_from_slice(&before[sector..to]);
            }
            "an old sector"
        }
        6 => {
            bytes.clear();
            "emptied"
        }
        _ => {
            image.remove(&victim);
            "missing"
        }
    };
    (victim, at, what)
}

/// Opens what was laid out, uses it, and opens it again.
fn survives(dir: &Path, original: &Original) -> Result<bool, String> {
    let mut store = open(dir, options()).map_err(|error| format!("no start: {error}"))?;
    let whole = store.rows == original.rows && store.events == original.events;
    if !whole && store.lost.is_none() {
        return Err("something is gone, and nobody says so".to_owned());
    }
    let told = store.lost.is_some();
    store.journal.submit(Batch { last_seq: 1_000_000, ..numbered(1_000_000) });
    let stored = loop {
        match store.completions.blocking_recv() {
            Some(Completion::Stored { .. }) => break true,
            // Beyond this process: the next start tells.
            None => break false,
            Some(Completion::Trouble { .. } | Completion::Space(_) | Completion::Loaded { .. }) => {
            }
        }
    };
    store.journal.close();
    let again = open(dir, options()).map_err(|error| format!("no second start: {error}"))?;
    let there = numbers(&again).contains(&1_000_000);
    if stored && (again.lost.is_some() || !there) {
        return Err(format!("the second start: {:?}, the event there: {there}", again.lost));
    }
    if !stored && again.lost.is_none() {
        return Err("found damaged while running, and never said".to_owned());
    }
    Ok(told)
}

#[test]
fn no_damage_stops_a_start_or_stays_unsaid() {
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let originals = [original(400), original(3_000)].map(Arc::new);
    let images = count(IMAGES.0, IMAGES.1);
    let mut told = 0;
    for round in 0..images {
        let original = Arc::clone(&originals[round % originals.len()]);
        let mut image = original.image.clone();
        let mut damages = vec![damage(&mut image, &original.older, &mut random)];
        if random.u8(..) < 64 {
            let mut twice = image.clone();
            damages.push(damage(&mut twice, &original.older, &mut random));
            // A mark that was damaged together with what it would show shows nothing.
            if damages.iter().any(|(victim, ..)| victim.ends_with("high-water")) {
                damages.pop();
            } else {
                image = twice;
            }
        }
        let dir = folder();
        lay_out(&image, dir.path());
        let (say, hear) = channel();
        let path = dir.path().to_owned();
        // A thread of its own: one that panics or never ends is seen.
        std::thread::spawn(move || say.send(survives(&path, &original)));
        let survived = hear.recv_timeout(PATIENCE).map_err(|error| format!("{error:?}"));
        match survived.and_then(|survived| survived) {
            Ok(lost) => told += usize::from(lost),
            Err(wrong) => {
                if let Some(kept) = std::env::var_os("EDGE_AGENT_TEST_KEEP") {
                    lay_out(&image, Path::new(&kept));
                }
                panic!("seed {seed}, round {round}, {damages:?}: {wrong}");
            }
        }
    }
    assert!(told * 10 > images, "only {told} of {images} did any harm");
    figure("damaged images", "images", images);
    figure("damaged images", "told as a loss", told);
    figure("damaged images", "without harm", images - told);
}
