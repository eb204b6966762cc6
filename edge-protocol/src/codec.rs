//! Messages to bytes and back, behind the limits.

use crate::command::Command;
use crate::event::Code;
use crate::id::CommandId;

/// How a message is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// RFC 8259.
    Json,
    /// RFC 8949.
    #[default]
    Cbor,
}

/// A message that is no command at all: it can't be named, so its answer can't either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Unreadable {
    /// [`Code::Malformed`] or [`Code::TooLarge`].
    pub code: Code,
    /// What is wrong.
    pub message: String,
}

/// Why a command that could be named is refused by its form alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// [`Code::Unsupported`] or [`Code::Invalid`].
    pub code: Code,
    /// What is wrong; names the field.
    pub message: String,
}

/// A message that names a command, whether or not the rest of it can be read.
///
/// The id comes first, since a repeated id is answered as before whatever its body.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    /// The command's id.
    pub id: CommandId,
    /// The command, or why it is refused.
    pub command: Result<Command, Refusal>,
}
