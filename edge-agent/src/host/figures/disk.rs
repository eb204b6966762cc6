//! The disk that holds the data directory: its room, its writes, its wear.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use edge_protocol::presence::Spares;
use nix::sys::stat::{major, minor};
use nix::sys::statvfs::statvfs;

use super::{Machine, Space};

/// The kernel counts in sectors of this size, whatever the disk's own is.
const SECTOR_BYTES: u64 = 512;

/// What an SD card or eMMC that names no other is called by the kernel of a Raspberry Pi.
const FIRST_CARD: &str = "sys/block/mmcblk0";

/// A whole disk, as the kernel shows it in a folder of its own.
#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// The disk under the machine's data directory; the first card where that is on no disk that
    /// the kernel names (an overlay, a btrfs).
    pub(super) fn under(machine: &Machine) -> Option<Self> {
        let device = std::fs::metadata(&machine.data_dir).map(|metadata| metadata.dev());
        let known = device.ok().and_then(|device| Self::of(machine, device));
        known.or_else(|| Self::at(&machine.root.join(FIRST_CARD)))
    }

    /// The disk that `device`, or a part of it, is.
    pub(super) fn of(machine: &Machine, device: u64) -> Option<Self> {
        let link = format!("sys/dev/block/{}:{}", major(device), minor(device));
        let folder = std::fs::canonicalize(machine.root.join(link)).ok()?;
        // A partition's folder is in its disk's.
        match folder.join("partition").exists() {
            true => Self::at(folder.parent()?),
            false => Self::at(&folder),
        }
    }

    fn at(folder: &Path) -> Option<Self> {
        folder.join("stat").exists().then(|| Self { folder: folder.to_owned() })
    }

    fn text(&self, name: &str) -> Option<String> {
        let text = std::fs::read_to_string(self.folder.join(name)).ok()?;
        Some(text.trim().to_owned())
    }

    /// The seventh figure of `stat`: sectors written since the boot.
    pub(super) fn written_bytes(&self) -> Option<u64> {
        let sectors: u64 = self.text("stat")?.split_ascii_whitespace().nth(6)?.parse().ok()?;
        sectors.checked_mul(SECTOR_BYTES)
    }

    /// `life_time` is two figures, of the two kinds of cell: `0x01` is up to 10 %, `0x0a` up to
    /// 100 %, `0x0b` beyond; `0x00` is not told.
    pub(super) fn worn_percent(&self) -> Option<u32> {
        let text = self.text("device/life_time")?;
        let tenths = text.split_ascii_whitespace().map(hexadecimal);
        let most = tenths.collect::<Option<Vec<u32>>>()?.into_iter().max()?;
        (1..=11).contains(&most).then_some(most * 10)
    }

    pub(super) fn spares(&self) -> Option<Spares> {
        match hexadecimal(&self.text("device/pre_eol_info")?)? {
            1 => Some(Spares::Normal),
            2 => Some(Spares::Warning),
            3 => Some(Spares::Urgent),
            _ => None,
        }
    }

    /// Its kind and its maker's name for it, such as `SD card SC32G`.
    pub(super) fn name(&self) -> Option<String> {
        if let Some(name) = self.text("device/name") {
            let kind = match self.text("device/type").as_deref() {
                Some("MMC") => "eMMC",
                _ => "SD card",
            };
            return Some(format!("{kind} {name}"));
        }
        self.text("device/model").filter(|model| !model.is_empty())
    }
}

/// Room on the file system that holds `path`.
#[allow(clippy::useless_conversion, reason = "these are u32 where a machine word is")]
pub(super) fn space(path: &Path) -> Option<Space> {
    let disk = statvfs(path).ok()?;
    let fragment_bytes = u64::from(disk.fragment_size());
    Some(Space {
        available_bytes: u64::from(disk.blocks_available()).checked_mul(fragment_bytes)?,
        bytes: u64::from(disk.blocks()).checked_mul(fragment_bytes)?,
    })
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
