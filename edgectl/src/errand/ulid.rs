//! Names for commands, sessions and tasks that nobody named: ULIDs, which sort by their time.

use ring::rand::{SecureRandom as _, SystemRandom};

/// Crockford's alphabet: no I, L, O, U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A new name: 48 bits of time and 80 random bits, 26 characters.
pub(crate) fn ulid(now_ms: u64) -> String {
    let mut random = [0; 16];
    // Without random bytes from the system, those of the process will do: a name is no secret.
    if SystemRandom::new().fill(&mut random).is_err() {
        random = fastrand::u128(..).to_be_bytes();
    }
    written(now_ms, u128::from_be_bytes(random))
}

fn written(now_ms: u64, random: u128) -> String {
    let number = (u128::from(now_ms) << 80) | (random & ((1 << 80) - 1));
    let digit = |place: u32| {
        let bits = usize::try_from((number >> (5 * place)) & 31).expect("five bits fit");
        char::from(DIGITS[bits])
    };
    (0..26).rev().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_written_as_the_ulid_specification_says() {
        assert_eq!(written(0, 0), "00000000000000000000000000");
        assert_eq!(written(1_469_918_176_385, 0), "01ARYZ6S410000000000000000");
        assert_eq!(written((1 << 48) - 1, u128::MAX), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    }

    #[test]
    fn two_names_of_the_same_moment_differ_and_a_later_one_sorts_behind() {
        let (one, other) = (ulid(5), ulid(5));
        assert_ne!(one, other);
        assert!(ulid(6) > one.max(other));
    }
}
