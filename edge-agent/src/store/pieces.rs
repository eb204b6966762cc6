//! How rows lie in sled: long values are cut into pieces.
//!
//! sled keeps up to some 20 rows in one record, and a record over a quarter of a segment becomes
//! a file of its own, with which sled is neither durable nor safe on a full disk. So no row may
//! be longer than [`PIECE_BYTES`], and keys no longer than [`KEY_BYTES_MAX`].
//!
//! | key in sled | value |
//! |---|---|
//! | `p` | the store's position (`mark`), the sum of all rows below (`sum`) |
//! | `r` key | 0, the value; or 1, its length as 4 bytes big endian, its first piece |
//! | `c` key, piece number as 2 bytes big endian, from 1 | a further piece |

use std::collections::BTreeMap;

use super::Write;

/// Unit of sled's file; fixed when a store is made. A quarter of it is the longest record that
/// sled keeps in its file. Longer ones become files of their own, which sled neither syncs nor
/// survives a full disk with: its flush then waits for ever. [`PIECE_BYTES`] keeps records shorter.
/// Smaller segments mean fewer bytes written for a lone batch (64 KiB: a sixth less), but leave
/// no room for our longest keys.
pub(super) const SEGMENT_BYTES: usize = 128 << 10;

/// The longest key a row may have: a kind and an id. An index record of sled holds up to 320.
pub(super) const KEY_BYTES_MAX: usize = 80;

/// The longest value a row may have; the contract's longest payload is 64 KiB.
pub(super) const VALUE_BYTES_MAX: usize = 16 << 20;

/// Longest piece of a value.
const PIECE_BYTES: usize = 1400;

/// sled's records, by the figures in its source: a leaf of 16 rows that took in a neighbour of
/// 3 and one more, an index of 256 that took in one of 63 and one more, 16 bytes for each.
const _: () = {
    let longest_record = SEGMENT_BYTES / 4 - 64;
    assert!(20 * (KEY_BYTES_MAX + 3 + PIECE_BYTES + 5 + 16) < longest_record);
    assert!(VALUE_BYTES_MAX / PIECE_BYTES < 65_535);
    assert!(320 * (KEY_BYTES_MAX + 3 + 16) < longest_record);
};

pub(super) const POSITION_KEY: &[u8] = b"p";

const WHOLE: u8 = 0;
const CUT: u8 = 1;

/// Which rows have further pieces, and how many: what a shorter value or a delete must remove.
#[derive(Debug, Default)]
pub(super) struct Layout {
    further: BTreeMap<Vec<u8>, u16>,
}

impl Layout {
    /// Notes a row that is in the store, by its head.
    pub(super) fn found(&mut self, key: &[u8], head: &[u8]) {
        let further = length(head).map_or(0, further_pieces);
        self.set(key, further);
    }

    /// Turns writes of rows into writes of sled's keys: a value to put, or `None` to remove.
    pub(super) fn lay_out<'a>(
        &mut self,
        writes: impl Iterator<Item = &'a Write>,
        mut write: impl FnMut(Vec<u8>, Option<Vec<u8>>),
    ) {
        for change in writes {
            let (key, value) = match change {
                Write::Put { key, value } => (key, Some(value)),
                Write::Delete { key } => (key, None),
            };
            let before = self.further.get(key).copied().unwrap_or(0);
            let now = value.map_or(0, |value| further_pieces(value.len()));
            let mut rest = &[][..];
            write(
                row_key(key),
                value.map(|value| {
                    let (head, further) = split(value);
                    rest = further;
                    head
                }),
            );
            for (number, piece) in (1..=now).zip(rest.chunks(PIECE_BYTES)) {
                write(piece_key(key, number), Some(piece.to_vec()));
            }
            for number in now + 1..=before {
                write(piece_key(key, number), None);
            }
            self.set(key, now);
        }
    }

    fn set(&mut self, key: &[u8], further: u16) {
        if further == 0 {
            self.further.remove(key);
        } else {
            self.further.insert(key.to_vec(), further);
        }
    }
}

pub(super) fn row_key(key: &[u8]) -> Vec<u8> {
    [b"r", key].concat()
}

/// The row's own key, if this key of sled's is the head of a row.
pub(super) fn key_of_row(stored: &[u8]) -> Option<&[u8]> {
    stored.strip_prefix(b"r")
}

/// Unambiguous for any key: the number is always the last two bytes.
fn piece_key(key: &[u8], number: u16) -> Vec<u8> {
    [b"c", key, &number.to_be_bytes()].concat()
}

fn split(value: &[u8]) -> (Vec<u8>, &[u8]) {
    if value.len() <= PIECE_BYTES {
        return ([&[WHOLE], value].concat(), &[]);
    }
    let (first, rest) = value.split_at(PIECE_BYTES);
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    ([&[CUT][..], &length.to_be_bytes(), first].concat(), rest)
}

/// The whole value's length as its head tells it; `None` for a head we never wrote.
pub(super) fn length(head: &[u8]) -> Option<usize> {
    match head {
        [WHOLE, value @ ..] => Some(value.len()),
        [CUT, a, b, c, d, ..] => usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).ok(),
        _ => None,
    }
}

fn further_pieces(length: usize) -> u16 {
    let pieces = length.div_ceil(PIECE_BYTES).saturating_sub(1);
    u16::try_from(pieces).unwrap_or(u16::MAX)
}

/// The whole value, from its head and the pieces that `read` finds; `None` if any is missing.
pub(super) fn join<E>(
    key: &[u8],
    head: &[u8],
    mut read: impl FnMut(Vec<u8>) -> Result<Option<sled::IVec>, E>,
) -> Result<Option<Vec<u8>>, E> {
    let Some(length) = length(head) else { return Ok(None) };
    let header_bytes = if head.first() == Some(&CUT) { 5 } else { 1 };
    let mut value = head[header_bytes..].to_vec();
    for number in 1..=further_pieces(length) {
        match read(piece_key(key, number))? {
            Some(piece) => value.extend_from_slice(&piece),
            None => return Ok(None),
        }
    }
    Ok((value.len() == length).then_some(value))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Applies writes to a map that stands for sled.
    #[derive(Default)]
    struct Table {
        layout: Layout,
        stored: BTreeMap<Vec<u8>, Vec<u8>>,
    }

    impl Table {
        fn write(&mut self, writes: &[Write]) {
            self.layout.lay_out(writes.iter(), |key, value| {
                match value {
                    Some(value) => self.stored.insert(key, value),
                    None => self.stored.remove(&key),
                };
            });
        }

        fn read(&self, key: &[u8]) -> Option<Vec<u8>> {
            let head = self.stored.get(&row_key(key))?;
            join(key, head, |piece| {
                Ok::<_, Infallible>(self.stored.get(&piece).map(|p| p.as_slice().into()))
            })
            .unwrap()
        }
    }

    fn put(length: usize) -> Write {
        let value = (0..=250).cycle().take(length).collect();
        Write::Put { key: b"key".to_vec(), value }
    }

    #[test]
    fn a_value_of_any_length_reads_back_and_leaves_no_piece_behind() {
        let lengths = [
            0,
            1,
            PIECE_BYTES,
            PIECE_BYTES + 1,
            3 * PIECE_BYTES,
            70_000,
            5,
            VALUE_BYTES_MAX,
            9_000,
        ];
        let mut table = Table::default();
        for length in lengths {
            let write = put(length);
            table.write(std::slice::from_ref(&write));
            let Write::Put { value, .. } = write else { unreachable!() };
            assert_eq!(table.read(b"key"), Some(value), "{length} bytes");
            assert_eq!(table.stored.len(), length.div_ceil(PIECE_BYTES).max(1));
            assert_eq!(super::length(&table.stored[&row_key(b"key")]), Some(length));
            assert!(table.stored.values().all(|stored| stored.len() <= PIECE_BYTES + 5));
        }
        table.write(&[put(70_000), put(9_000), Write::Delete { key: b"key".to_vec() }]);
        assert_eq!(table.stored, BTreeMap::new());
    }

    #[test]
    fn the_layout_of_rows_is_frozen() {
        let mut table = Table::default();
        let long = [b"x".repeat(1_400), b"y".repeat(3)].concat();
        let short = Write::Put { key: b"a".to_vec(), value: b"short".to_vec() };
        table.write(&[short, Write::Put { key: b"b".to_vec(), value: long }]);
        let head = [&[1, 0, 0, 5, 123][..], &b"x".repeat(1_400)].concat();
        let expected = [
            (b"cb\x00\x01".to_vec(), b"yyy".to_vec()),
            (b"ra".to_vec(), b"\x00short".to_vec()),
            (b"rb".to_vec(), head),
        ];
        assert_eq!(table.stored, BTreeMap::from(expected));
    }

    #[test]
    fn a_missing_piece_makes_no_shorter_value() {
        let mut table = Table::default();
        table.write(&[put(9_000)]);
        table.stored.remove(&piece_key(b"key", 2)).unwrap();
        assert_eq!(table.read(b"key"), None);
    }
}
