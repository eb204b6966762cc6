//! What the store knows about itself outside sled: whose it is, and how far it had come.
//!
//! sled answers a damaged file by silently opening an older state, or an empty one. Two small
//! files beside it make that visible: `store.id`, written once, and `high-water`, which follows
//! the flushes. Neither may ever claim more than what is durable in sled.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use ring::digest;
use ring::rand::{SecureRandom, SystemRandom};

use crate::step::step;

/// Names one history of event numbers: 8 hex digits. A new history begins with a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StoreId([u8; 8]);

impl StoreId {
    /// A fresh id, or `None` where the kernel gives no randomness.
    pub(super) fn random() -> Option<Self> {
        let mut bytes = [0; 4];
        SystemRandom::new().fill(&mut bytes).ok()?;
        Self::parse(format!("{:08x}", u32::from_be_bytes(bytes)).as_bytes())
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
        text.iter().all(hex).then_some(())?;
        text.try_into().ok().map(Self)
    }
}

impl std::fmt::Display for StoreId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{}", char::from(*b)))
    }
}

/// How far a store has come. Written into sled with each group of batches, and after its flush
/// into `high-water`: so what the mark says can only be at or behind what sled holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) id: StoreId,
    /// The highest event seq there ever was; the event itself may have been deleted since.
    pub(super) last_seq: u64,
    /// Counts flushes, so that a rollback shows even if it took no event with it.
    pub(super) generation: u64,
}

/// Frozen: magic with the version, id, last seq and generation big endian, checksum.
pub(super) const POSITION_BYTES: usize = 4 + 8 + 8 + 8 + CHECKSUM_BYTES;
const MAGIC: &[u8; 4] = b"eap1";
/// Half a SHA-256: nobody forges this file, a card merely garbles it.
const CHECKSUM_BYTES: usize = 16;

impl Position {
    pub(super) fn encode(&self) -> [u8; POSITION_BYTES] {
        let mut bytes = [0; POSITION_BYTES];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..12].copy_from_slice(&self.id.0);
        bytes[12..20].copy_from_slice(&self.last_seq.to_be_bytes());
        bytes[20..28].copy_from_slice(&self.generation.to_be_bytes());
        let sum = checksum(&bytes[..28]);
        bytes[28..].copy_from_slice(&sum);
        bytes
    }

    /// `None` for anything but exactly what `encode` gives.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; POSITION_BYTES] = bytes.try_into().ok()?;
        (bytes[..4] == *MAGIC && bytes[28..] == checksum(&bytes[..28])).then_some(())?;
        Some(Self {
            id: StoreId::parse(&bytes[4..12])?,
            last_seq: u64::from_be_bytes(bytes[12..20].try_into().ok()?),
            generation: u64::from_be_bytes(bytes[20..28].try_into().ok()?),
        })
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&digest::digest(&digest::SHA256, bytes).as_ref()[..CHECKSUM_BYTES]);
    sum
}

/// What `store.id` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Absent,
    Damaged,
    Id(StoreId),
}

const MARKER: &str = "store.id";

impl Marker {
    pub(super) fn read(dir: &Path) -> io::Result<Self> {
        let text = match fs::read(dir.join(MARKER)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::Absent),
            Err(error) => return Err(error),
        };
        let id = text.get(..8).and_then(StoreId::parse);
        Ok(id.filter(|id| text == marker_text(*id)).map_or(Self::Damaged, Self::Id))
    }

    /// Replaces the marker in one step: a crash leaves the old one or the new one, never half.
    pub(super) fn write(dir: &Path, id: StoreId) -> io::Result<()> {
        let draft = dir.join("store.id.new");
        fs::write(&draft, marker_text(id))?;
        step!("marker.drafted");
        File::open(&draft)?.sync_all()?;
        step!("marker.synced");
        fs::rename(&draft, dir.join(MARKER))?;
        step!("marker.renamed");
        sync_dir(dir)?;
        step!("marker.durable");
        Ok(())
    }
}

fn marker_text(id: StoreId) -> Vec<u8> {
    let sum: String = checksum(&id.0).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{id} {sum}\n").into_bytes()
}

/// Makes created, renamed and removed names in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The file `high-water`: two slots, overwritten in place, so that following the flushes
/// allocates nothing and a torn write spoils one slot only.
#[derive(Debug)]
pub(super) struct HighWater {
    file: File,
    /// The slot that is being overwritten; the other one is on the disk and stays untouched
    /// until this one is, too.
    slot: u64,
    unsynced: bool,
}

/// A page each: a card that garbles a whole page while writing it spoils one slot.
const SLOT_BYTES: u64 = 4096;

impl HighWater {
    /// Opens or makes the file. Gives every readable slot; a missing file has none.
    pub(super) fn open(dir: &Path) -> io::Result<(Self, Vec<Position>)> {
        let path = dir.join("high-water");
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut bytes = Vec::new();
        file.by_ref().take(2 * SLOT_BYTES).read_to_end(&mut bytes)?;
        file.set_len(2 * SLOT_BYTES)?;
        let read = |slot: u64| {
            let at = usize::try_from(slot * SLOT_BYTES).ok()?;
            Position::decode(bytes.get(at..at + POSITION_BYTES)?)
        };
        let slots = [read(0), read(1)];
        let newest = slots[0].map(|p| p.generation) >= slots[1].map(|p| p.generation);
        let mark = Self { file, slot: u64::from(newest), unsynced: false };
        Ok((mark, slots.into_iter().flatten().collect()))
    }

    /// Hands the position to the kernel: from here on a killed process can't lose it.
    pub(super) fn write(&mut self, position: &Position) -> io::Result<()> {
        self.unsynced = true;
        self.file.write_all_at(&position.encode(), self.slot * SLOT_BYTES)?;
        step!("high_water.written");
        Ok(())
    }

    /// Whether the last position written may not have reached the disk.
    pub(super) fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// Puts the last position on the disk. This is a device flush of its own, as dear as the
    /// store's: the writer asks for it at most once a second. What a power cut takes from the
    /// mark makes it claim less, never more.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.unsynced {
            self.file.sync_data()?;
            step!("high_water.synced");
            self.unsynced = false;
            self.slot = 1 - self.slot;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position(generation: u64) -> Position {
        Position { id: StoreId(*b"00c0ffee"), last_seq: 258, generation }
    }

    #[test]
    fn the_bytes_of_a_position_are_frozen() {
        let mut expected = b"eap100c0ffee".to_vec();
        expected.extend([0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 3]);
        // SHA-256 of the above, its first half, by another implementation.
        expected
            .extend([214, 116, 235, 10, 185, 244, 80, 250, 128, 123, 224, 207, 68, 221, 76, 175]);
        assert_eq!(position(3).encode().to_vec(), expected);
        assert_eq!(Position::decode(&expected), Some(position(3)));
    }

    #[test]
    fn a_position_with_any_byte_changed_is_none() {
        let good = position(3).encode();
        for at in 0..good.len() {
            let mut bad = good;
            bad[at] ^= 0x20;
            assert_eq!(Position::decode(&bad), None, "byte {at}");
        }
        assert_eq!(Position::decode(&good[1..]), None);
    }

    #[test]
    fn a_marker_is_read_back_and_damage_to_it_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Marker::read(dir.path()).unwrap(), Marker::Absent);
        Marker::write(dir.path(), StoreId(*b"00c0ffee")).unwrap();
        let text = fs::read_to_string(dir.path().join(MARKER)).unwrap();
        assert_eq!(text, "00c0ffee b7e3ef9e4ac67f53d193d7e9d8e5234c\n");
        assert_eq!(Marker::read(dir.path()).unwrap(), Marker::Id(StoreId(*b"00c0ffee")));
        fs::write(dir.path().join(MARKER), b"00c0ffef 00\n").unwrap();
        assert_eq!(Marker::read(dir.path()).unwrap(), Marker::Damaged);
    }

    #[test]
    fn a_torn_slot_leaves_the_last_one_that_was_synced() {
        let dir = tempfile::tempdir().unwrap();
        let (mut mark, found) = HighWater::open(dir.path()).unwrap();
        assert_eq!(found, []);
        mark.write(&position(1)).unwrap();
        mark.sync().unwrap();
        // Until the next sync the same slot takes every write.
        mark.write(&position(2)).unwrap();
        mark.write(&position(3)).unwrap();
        let torn = mark.slot;
        mark.file.write_all_at(b"torn", torn * SLOT_BYTES + 20).unwrap();
        let (mark, found) = HighWater::open(dir.path()).unwrap();
        assert_eq!(found, [position(1)]);
        assert_eq!(mark.slot, torn, "the readable slot is never the one overwritten next");
    }
}
