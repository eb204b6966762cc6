//! What is done with a store that can't be opened: it is moved aside, never deleted at once and
//! never opened again and again.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::mark::sync_dir;
use crate::step::step;

/// More would fill the card: each holds up to a whole store.
const KEPT: usize = 2;

/// Moves `dir/store` to the next `dir/aside-<n>` and drops all but the newest two of them.
pub(super) fn put_aside(dir: &Path) -> io::Result<PathBuf> {
    let next = numbers(dir)?.last().map_or(1, |newest| newest.saturating_add(1));
    let aside = dir.join(format!("aside-{next}"));
    fs::rename(dir.join("store"), &aside)?;
    step!("aside.renamed");
    sync_dir(dir)?;
    step!("aside.synced");
    prune(dir)?;
    step!("aside.pruned");
    Ok(aside)
}

/// Also run at each start: a kill may have come between the move and the pruning.
pub(super) fn prune(dir: &Path) -> io::Result<()> {
    let numbers = numbers(dir)?;
    let surplus = numbers.len().saturating_sub(KEPT);
    for number in &numbers[..surplus] {
        fs::remove_dir_all(dir.join(format!("aside-{number}")))?;
    }
    Ok(())
}

/// The numbers in use, ascending.
fn numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("aside-"));
        numbers.extend(number.and_then(|digits| digits.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The file `opening`: there while sled opens the store; this boot's id, and one byte for each
/// start of it that is at it or died at it. A panic within sled ends the process, so no code of
/// ours can answer it; the next start can.
///
/// The file is deliberately not synced. It outlives a process that panics or is killed, which
/// is what it counts. A power cut says nothing about the store, so another boot counts anew.
#[derive(Debug)]
pub(super) struct Opening {
    path: PathBuf,
    boot_id: String,
    /// How many starts in a row died here before this one.
    pub(super) died_before: usize,
}

impl Opening {
    pub(super) fn begin(dir: &Path, boot_id: &str) -> io::Result<Self> {
        let path = dir.join("opening");
        let before = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            before => before?,
        };
        let of_this_boot = before.strip_prefix(boot_id.as_bytes());
        let died_before = of_this_boot.and_then(|rest| rest.strip_prefix(b"\n")).map(<[u8]>::len);
        let mut opening = Self { path, boot_id: boot_id.to_owned(), died_before: 0 };
        match died_before {
            Some(died_before) => {
                opening.died_before = died_before;
                OpenOptions::new().append(true).open(&opening.path)?.write_all(b".")?;
            }
            None => opening.reset()?,
        }
        Ok(opening)
    }

    /// Begins to count anew, since what was being opened is now another store.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        self.died_before = 0;
        fs::write(&self.path, format!("{}\n.", self.boot_id))
    }
}

impl Drop for Opening {
    /// Opened or refused with an error: this start did not die.
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "can't remove the opening flag");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_newest_stores_put_aside_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        for round in 1..=12_u8 {
            fs::create_dir(dir.path().join("store")).unwrap();
            fs::write(dir.path().join("store/db"), [round]).unwrap();
            put_aside(dir.path()).unwrap();
        }
        assert_eq!(numbers(dir.path()).unwrap(), [11, 12]);
        assert_eq!(fs::read(dir.path().join("aside-12/db")).unwrap(), [12]);
    }

    #[test]
    fn starts_that_died_while_opening_are_counted_until_one_lives_or_the_power_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let died = || {
            let opening = Opening::begin(dir.path(), "boot-1").unwrap();
            let died_before = opening.died_before;
            std::mem::forget(opening); // what a kill leaves behind
            died_before
        };
        assert_eq!([died(), died(), died()], [0, 1, 2]);
        drop(Opening::begin(dir.path(), "boot-1").unwrap());
        assert_eq!([died(), died()], [0, 1]);
        assert_eq!(Opening::begin(dir.path(), "boot-2").unwrap().died_before, 0);
    }
}
