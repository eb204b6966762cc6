//! The agent's own process and its store.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{SysconfVar, sysconf};

use super::kernel::TICK_MS;
use super::{Agent, Machine};

/// `st_blocks` counts in these, whatever the file system's own blocks are.
const BLOCK_BYTES: u64 = 512;

pub(super) fn agent(machine: &Machine) -> Agent {
    let written = machine.text("proc/self/io").as_deref().and_then(written_bytes);
    Agent {
        rss_bytes: machine.text("proc/self/statm").as_deref().and_then(rss_bytes),
        cpu_ms: machine.text("proc/self/stat").as_deref().and_then(cpu_ms),
        written_bytes: written,
        open_files: open_files(&machine.root.join("proc/self/fd")),
        store_bytes: used_bytes(&machine.data_dir.join("store")),
    }
}

/// The second figure: pages in memory.
fn rss_bytes(statm: &str) -> Option<u64> {
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let page_bytes = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    pages.checked_mul(page_bytes.try_into().ok()?)
}

/// `PID (NAME) STATE …`: a name may hold blanks and brackets, so figures are counted from its end.
fn cpu_ms(stat: &str) -> Option<u64> {
    let (_, behind) = stat.rsplit_once(')')?;
    let figure = |index| behind.split_ascii_whitespace().nth(index)?.parse::<u64>().ok();
    let (user, system) = (figure(11)?, figure(12)?);
    Some((user + system) * TICK_MS)
}

/// `write_bytes: 4096`, what truncation took back left out.
fn written_bytes(io: &str) -> Option<u64> {
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:"))?;
    line.trim().parse().ok()
}

fn open_files(folder: &Path) -> Option<u64> {
    let entries = std::fs::read_dir(folder).ok()?.count();
    // The folder itself is open while it is read.
    u64::try_from(entries).ok()?.checked_sub(1)
}

/// What the files of a folder occupy, folders in it included.
fn used_bytes(folder: &Path) -> Option<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += metadata.blocks() * BLOCK_BYTES;
        if metadata.is_dir() {
            bytes += used_bytes(&entry.path()).unwrap_or(0);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_whose_name_holds_blanks_and_brackets_is_read_from_the_end_of_its_name() {
        let stat = "42 (a (b) c) S 1 42 42 0 -1 4194560 900 0 0 0 12 5 0 0 20 0 3 0 777 8 9";
        assert_eq!(cpu_ms(stat), Some(170));
        assert_eq!(cpu_ms("42 (short) S 1"), None);
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_absent() {
        assert_eq!(
            written_bytes("rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 7\n"),
            Some(4_096)
        );
        assert_eq!((written_bytes(""), rss_bytes("12"), rss_bytes("a b")), (None, None, None));
        assert_eq!(
            (open_files(Path::new("/no/such")), used_bytes(Path::new("/no/such"))),
            (None, None)
        );
    }

    #[test]
    fn a_folders_size_is_what_its_files_occupy() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("blobs")).unwrap();
        for file in ["db", "blobs/1"] {
            std::fs::write(dir.path().join(file), vec![7; 100_000]).unwrap();
        }
        let bytes = used_bytes(dir.path()).unwrap();
        assert!((200_000..300_000).contains(&bytes), "{bytes}");
    }
}
