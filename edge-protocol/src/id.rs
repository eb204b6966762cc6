//! Identifiers: `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`, one type a noun so that none stands in for another.
//! A clone shares the text: ids are handed on with every decision and every event.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::MAX_ID_BYTES;

/// A text that is no identifier: it must match `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id: 1 to 64 of A-Z a-z 0-9 . _ - and the first a letter or digit")]
pub struct InvalidId {
    text: String,
}

fn parse(text: &str) -> Result<Arc<str>, InvalidId> {
    let tail = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let mut bytes = text.bytes();
    let legal = text.len() <= MAX_ID_BYTES
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(tail);
    if legal { Ok(text.into()) } else { Err(InvalidId { text: text.chars().take(80).collect() }) }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The identifier as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }
    )*};
}

ids! {
    /// One Raspberry Pi that runs the agent; the common name of its client certificate.
    NodeId
    /// A set of nodes that share a command topic.
    GroupId
    /// What a customer uses: one outlet or several, switched together.
    StationId
    /// One thing that can be switched.
    OutletId
    /// A customer's right to have a station powered until a deadline.
    SessionId
    /// A unit of queued work with retries.
    TaskId
    /// One message from the control plane; repeated, it has no second effect.
    CommandId
    /// A command that runs at each occurrence of a cron expression.
    ScheduleId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_1_to_64_of_the_legal_characters_and_starts_with_a_letter_or_digit() {
        let longest = "a".repeat(64);
        for legal in ["a", "0", "pi-0042", "A.b_c-d", &longest] {
            assert_eq!(legal.parse::<NodeId>().unwrap().as_str(), legal);
        }
        let too_long = "a".repeat(65);
        for illegal in ["", "-a", ".a", "_a", "a b", "a/b", "a+", "ä", "a\n", &too_long] {
            assert!(illegal.parse::<NodeId>().is_err(), "{illegal:?}");
        }
    }
}
