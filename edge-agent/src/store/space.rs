//! Free space of the data directory's filesystem, and a reserve to give up when there is none.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

use crate::step::step;

/// How much room is left on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpaceLevel {
    /// Free space, the reserve not counted, fell below the minimum: take no new work.
    Low,
    /// It rose above one and a half times the minimum.
    Ok,
}

/// Watches the free space and keeps the reserve.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    min_free_bytes: u64,
    reserve_bytes: u64,
    level: SpaceLevel,
}

impl Space {
    pub(super) fn new(dir: &Path, min_free_bytes: u64, reserve_bytes: u64) -> Self {
        Self { dir: dir.to_owned(), min_free_bytes, reserve_bytes, level: SpaceLevel::Ok }
    }

    pub(super) fn level(&self) -> SpaceLevel {
        self.level
    }

    /// Measures. Gives the level if it changed; makes the reserve again where there is room
    /// for it.
    pub(super) fn check(&mut self) -> Option<SpaceLevel> {
        let free = match free_bytes(&self.dir) {
            Ok(free) => free,
            Err(error) => {
                tracing::warn!(dir = %self.dir.display(), %error, "can't measure the free space");
                return None;
            }
        };
        // What a released reserve gave back is for running sessions, and no room for new work.
        let owed = if self.is_reserved() { 0 } else { self.reserve_bytes };
        let free = free.saturating_sub(owed);
        let plenty = self.min_free_bytes.saturating_add(self.min_free_bytes / 2);
        if free > plenty && owed > 0 {
            self.reserve();
        }
        let level = match self.level {
            SpaceLevel::Ok if free < self.min_free_bytes => SpaceLevel::Low,
            SpaceLevel::Low if free > plenty => SpaceLevel::Ok,
            same @ (SpaceLevel::Ok | SpaceLevel::Low) => same,
        };
        (level != self.level).then(|| {
            self.level = level;
            level
        })
    }

    /// Gives the reserve's blocks back to the filesystem. False if there was none.
    pub(super) fn release(&self) -> bool {
        fs::remove_file(self.path()).is_ok()
    }

    fn path(&self) -> PathBuf {
        self.dir.join("reserve")
    }

    fn is_reserved(&self) -> bool {
        fs::metadata(self.path())
            .is_ok_and(|m| m.len() == self.reserve_bytes && m.blocks() * 512 >= self.reserve_bytes)
    }

    fn reserve(&self) {
        if let Err(error) = allocate(&self.path(), self.reserve_bytes) {
            tracing::warn!(%error, "can't set disk space aside for running sessions");
            self.release();
        }
        step!("space.reserved");
    }
}

/// Whether an error says that there is no room, rather than that something is broken.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn allocate(path: &Path, bytes: u64) -> io::Result<()> {
    let file: File = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    let length = bytes.try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(posix_fallocate(&file, 0, length)?)
}

fn free_bytes(dir: &Path) -> io::Result<u64> {
    // The C types differ in width between our targets.
    fn wide(number: impl Into<u64>) -> u64 {
        number.into()
    }
    let stat = statvfs(dir)?;
    Ok(wide(stat.blocks_available()).saturating_mul(wide(stat.fragment_size())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_told_on_change_only_and_has_hysteresis() {
        let dir = tempfile::tempdir().unwrap();
        let free = free_bytes(dir.path()).unwrap();
        let mut space = Space::new(dir.path(), free / 2, 0);
        assert_eq!(space.check(), None);
        space.min_free_bytes = free * 2;
        assert_eq!(space.check(), Some(SpaceLevel::Low));
        assert_eq!(space.check(), None);
        space.min_free_bytes = free / 5 * 4; // above the minimum, yet not by half
        assert_eq!(space.check(), None);
        space.min_free_bytes = free / 2;
        assert_eq!(space.check(), Some(SpaceLevel::Ok));
    }

    #[test]
    fn a_released_reserve_is_no_free_space() {
        // A reserve larger than the minimum made the disk look roomy once it was given up: the
        // node took new work again, and filled with it what sessions were to have.
        let dir = tempfile::tempdir().unwrap();
        let free = free_bytes(dir.path()).unwrap();
        let mut space = Space::new(dir.path(), 1 << 20, free);
        assert_eq!(space.check(), Some(SpaceLevel::Low));
        assert!(!dir.path().join("reserve").exists());
        space.reserve_bytes = 1 << 20;
        assert_eq!(space.check(), Some(SpaceLevel::Ok));
        assert!(dir.path().join("reserve").exists());
    }

    #[test]
    fn the_reserve_holds_real_blocks_and_comes_back_after_its_release() {
        let dir = tempfile::tempdir().unwrap();
        let mut space = Space::new(dir.path(), 1, 1 << 20);
        space.check();
        let made = fs::metadata(dir.path().join("reserve")).unwrap();
        assert!(made.len() == 1 << 20 && made.blocks() * 512 >= 1 << 20);
        assert!(space.release());
        assert!(!space.release());
        space.check();
        assert!(dir.path().join("reserve").exists());
    }
}
