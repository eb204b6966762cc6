//! What a node keeps on disk: keys sorted by kind, values with a version byte in front.
//!
//! | key | value |
//! |---|---|
//! | `session/{id}` | a booked or live session |
//! | `ended/{id}` | a session whose id can't be used again yet |
//! | `hold/{outlet}` | a hold |
//! | `outlet/{id}` | the settings of an outlet that something covers |
//! | `life/{outlet}` | what an outlet has been through: its relay's cycles, its last switch |
//! | `task/{id}`, `run/{id}` | what a task is, as long as it may run; what became of it, small |
//! | `schedule/{id}`, `course/{id}` | what a schedule is; which of its occurrences ran, small |
//! | `command/{digest}` | the answer to a command |
//! | `event/{seq}` | an event, as it goes over the wire |
//! | `node/checkpoint`, `node/outbox` | one record each |
//!
//! A changed layout is a new version byte and a migration, never another meaning of an old one.

use std::fmt;

use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The version that is written.
const VERSION: u8 = 1;

/// One change to the store; those of a batch happen together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Sets a row.
    Put {
        /// Its key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// Removes a row, if it is there.
    Delete {
        /// Its key.
        key: Vec<u8>,
    },
}

/// A row that can't be read: damaged, or written by a newer version.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The version byte is missing or unknown.
    #[error("its version byte is {0:?}, this agent reads {VERSION}")]
    Version(Option<u8>),
    /// Its key names nothing of its kind.
    #[error("its key names nothing of its kind")]
    Key,
    /// The rest is no record of its kind.
    #[error("its value can't be decoded")]
    Value(#[from] serde_cbor::Error),
}

/// The kinds of rows: the part of a key before the slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the table above says what each is")]
pub enum Kind {
    Session,
    Ended,
    Hold,
    Outlet,
    Life,
    Task,
    Run,
    Schedule,
    Course,
    Command,
    Event,
    Node,
    /// A row that a start could not read, kept under its old key for a person to look at.
    Damaged,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::Session,
        Self::Ended,
        Self::Hold,
        Self::Outlet,
        Self::Life,
        Self::Task,
        Self::Run,
        Self::Schedule,
        Self::Course,
        Self::Command,
        Self::Event,
        Self::Node,
        Self::Damaged,
    ];

    fn prefix(self) -> &'static [u8] {
        match self {
            Self::Session => b"session/",
            Self::Ended => b"ended/",
            Self::Hold => b"hold/",
            Self::Outlet => b"outlet/",
            Self::Life => b"life/",
            Self::Task => b"task/",
            Self::Run => b"run/",
            Self::Schedule => b"schedule/",
            Self::Course => b"course/",
            Self::Command => b"command/",
            Self::Event => b"event/",
            Self::Node => b"node/",
            Self::Damaged => b"damaged/",
        }
    }

    /// The key of `name` among its kind.
    #[must_use]
    pub fn key(self, name: impl AsRef<[u8]>) -> Vec<u8> {
        [self.prefix(), name.as_ref()].concat()
    }

    /// The kind and name of a key.
    #[must_use]
    pub fn of(key: &[u8]) -> Option<(Self, &[u8])> {
        Self::ALL.into_iter().find_map(|kind| Some((kind, key.strip_prefix(kind.prefix())?)))
    }
}

/// Where the checkpoint is kept.
pub(super) const CHECKPOINT: &[u8] = b"checkpoint";
/// Where the outbox's marks are kept.
pub(super) const OUTBOX: &[u8] = b"outbox";

/// Sets the row of `name` to `record`.
pub(super) fn put(kind: Kind, name: impl AsRef<[u8]>, record: &impl Serialize) -> Write {
    let mut value = vec![VERSION];
    serde_cbor::to_writer(&mut value, record)
        .expect("records have string keys and write to memory");
    Write::Put { key: kind.key(name), value }
}

/// Removes the row of `name`.
pub(super) fn delete(kind: Kind, name: impl AsRef<[u8]>) -> Write {
    Write::Delete { key: kind.key(name) }
}

/// Reads a row's value.
pub(super) fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, Unreadable> {
    match value.split_first() {
        Some((&VERSION, record)) => Ok(serde_cbor::from_slice(record)?),
        other => Err(Unreadable::Version(other.map(|(version, _)| *version))),
    }
}

/// Bytes that a record carries as they are: serde on its own would write them as numbers, one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) Box<[u8]>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(BytesVisitor)
    }
}

struct BytesVisitor;

impl Visitor<'_> for BytesVisitor {
    type Value = Bytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a byte string")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Bytes, E> {
        Ok(Bytes(bytes.into()))
    }
}

#[cfg(test)]
mod tests;
