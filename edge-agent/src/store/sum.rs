//! A sum over all rows: whether sled gives back what it was given, no more, no less, nothing older.
//!
//! sled answers a damaged page by leaving it out or by an older state of it alone, without an
//! error. The sum stands in the row of the position, written with each group; a start adds up
//! what it reads, and compares. It does not depend on order, so a change costs one row.

use ring::digest::{Context, SHA256};

/// Half a SHA-256 of each row, added up. Nobody forges rows, a card merely garbles them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sum(u128);

/// Big endian.
pub(super) const SUM_BYTES: usize = 16;

impl Sum {
    pub(super) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_add(hash(key, value));
    }

    pub(super) fn remove(&mut self, key: &[u8], value: &[u8]) {
        self.0 = self.0.wrapping_sub(hash(key, value));
    }

    pub(super) fn encode(self) -> [u8; SUM_BYTES] {
        self.0.to_be_bytes()
    }

    pub(super) fn decode(bytes: [u8; SUM_BYTES]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

fn hash(key: &[u8], value: &[u8]) -> u128 {
    let mut context = Context::new(&SHA256);
    // Keys are shorter than 256 bytes: with the length in front no two rows read alike.
    context.update(&[u8::try_from(key.len()).unwrap_or(u8::MAX)]);
    context.update(key);
    context.update(value);
    let mut half = [0; SUM_BYTES];
    half.copy_from_slice(&context.finish().as_ref()[..SUM_BYTES]);
    u128::from_be_bytes(half)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[(&str, &str)]) -> Sum {
        let mut sum = Sum::default();
        rows.iter().for_each(|(key, value)| sum.add(key.as_bytes(), value.as_bytes()));
        sum
    }

    #[test]
    fn the_sum_is_of_the_rows_that_are_there_however_they_came() {
        let mut other = sum(&[("c", "old"), ("a", "1")]);
        other.remove(b"c", b"old");
        other.add(b"b", b"2");
        assert_eq!(other, sum(&[("b", "2"), ("a", "1")]));
        assert_ne!(other, sum(&[("a", "1")]));
        assert_ne!(sum(&[("ab", "c")]), sum(&[("a", "bc")]));
        assert_eq!(Sum::decode(other.encode()), other);
    }

    #[test]
    fn the_bytes_of_a_sum_are_frozen() {
        // The first half of SHA-256 of 0x01 "a" "1", by another implementation.
        let expected = "39fa52aada797b8689d7257fdb2bc0d0";
        let hex: String = sum(&[("a", "1")]).encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, expected);
    }
}
