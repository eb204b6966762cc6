//! Messages to bytes and back, behind the limits (contract, section 3).
//!
//! A node reads commands with [`decode_command`]; a control plane reads what nodes say with
//! [`decode_event`] and [`decode`]. Both write with [`encode`]. Nothing here panics on what
//! arrives. A tree is larger than its bytes: at worst, 64 KiB of maps with one entry, some 14 MB;
//! so who keeps many of them keeps the bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::command::Command;
use crate::event::{Code, Event, What};
use crate::id::CommandId;
use crate::limits::MAX_TYPE_BYTES;
pub use crate::refusal::{Refusal, Unreadable};
use crate::tree;

/// How a message is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
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

/// The bytes of a message of this crate.
///
/// The limits are the caller's: what comes from outside (a task's result, a driver's words) is
/// cut before it becomes part of a message.
///
/// # Panics
/// If a map in `message` has keys that are no text; no type of this crate has such a map.
pub fn encode<T: Serialize>(encoding: Encoding, message: &T) -> Vec<u8> {
    match encoding {
        Encoding::Json => serde_json::to_vec(message).expect("a message has text keys"),
        Encoding::Cbor => serde_cbor::to_vec(message).expect("a message has text keys"),
    }
}

/// Reads what arrived on a topic of commands, in either encoding.
///
/// What has a legal `id` and `type` is [`Received`], with a [`Refusal`] inside where anything
/// else is wrong with it.
///
/// # Errors
/// `too_large` or `malformed`: there is no id under which to answer.
pub fn decode_command(bytes: &[u8]) -> Result<Received, Unreadable> {
    let mut envelope = tree::read(bytes)?;
    let id: CommandId = text(&mut envelope, "id")?
        .parse()
        .map_err(|problem| malformed(&format!("id: {problem}")))?;
    let kind = text(&mut envelope, "type")?;
    if kind.is_empty() || kind.len() > MAX_TYPE_BYTES {
        return Err(malformed(&format!("type: not 1 to {MAX_TYPE_BYTES} bytes")));
    }
    let command = Command::read(id.clone(), &kind, envelope);
    Ok(Received { id, command })
}

/// Reads an event of a node, in either encoding. Fields that are not known are ignored.
///
/// # Errors
/// As [`decode`]; `unsupported` for a type that this version does not know, such as a newer
/// node may send. `decode::<serde_json::Value>` still shows it.
pub fn decode_event(bytes: &[u8]) -> Result<Event, Unreadable> {
    let event = tree::read(bytes)?;
    match event.get("type") {
        Some(Value::String(kind)) if !What::KINDS.contains(&kind.as_str()) => {
            let message = format!("event type {kind:?} is not known to this version");
            Err(Unreadable::new(Code::Unsupported, &message))
        }
        Some(_) | None => typed(event),
    }
}

/// Reads any other message of a node (`Status`, `State`, `Telemetry`), in either encoding.
/// Fields that are not known are ignored.
///
/// # Errors
/// `too_large` or `malformed`; `invalid` for a message that is no `T`, naming the field.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Unreadable> {
    typed(tree::read(bytes)?)
}

/// How deep arrays and maps nest in `value`, itself being 1 if it is one and 0 if it is neither:
/// for what becomes part of a message, see [`crate::limits::MAX_RESULT_DEPTH`].
#[must_use]
pub fn depth(value: &Value) -> usize {
    tree::depth(value)
}

fn typed<T: DeserializeOwned>(message: Map<String, Value>) -> Result<T, Unreadable> {
    serde_path_to_error::deserialize(Value::Object(message))
        .map_err(|error| Unreadable::new(Code::Invalid, &error.to_string()))
}

fn text(envelope: &mut Map<String, Value>, name: &str) -> Result<String, Unreadable> {
    match envelope.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(malformed(&format!("{name}: not a text"))),
        None => Err(malformed(&format!("{name}: missing"))),
    }
}

fn malformed(problem: &str) -> Unreadable {
    Unreadable::new(Code::Malformed, &format!("malformed: {problem}"))
}
