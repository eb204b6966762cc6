//! Messages to bytes and back, behind the limits.

use crate::command::Command;
use crate::id::CommandId;
pub use crate::refusal::{Refusal, Unreadable};

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
