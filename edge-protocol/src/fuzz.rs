//! What must hold of any bytes that arrive, whoever made them up.
//!
//! The fuzz targets in `fuzz/` call these, and so do the tests below with what the fuzzer kept.
//! Each panics where something does not hold.

use std::fmt::Debug;

use serde::Serialize;

use crate::codec::{Encoding, Received, decode, decode_command, decode_event, encode};
use crate::event::Code;
use crate::limits::{MAX_MESSAGE_BYTES, MAX_REASON_BYTES};
use crate::presence::{State, Status, Telemetry};
use crate::refusal::Unreadable;
use crate::tree;

const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::Cbor];

/// What came on a topic of commands: it is a command, or it is refused with a reason that can be
/// shown; what is accepted reads the same after it was written; and the other encoding of the
/// same message says the same.
///
/// # Panics
/// Something of this does not hold.
pub fn command(bytes: &[u8]) {
    let received = decode_command(bytes);
    match &received {
        Ok(Received { id, command: Ok(command) }) => {
            assert_eq!(id, &command.id);
            for written in written(command) {
                assert_eq!(decode_command(&written), received, "written and read again");
            }
        }
        Ok(Received { command: Err(refusal), .. }) => {
            assert!(matches!(refusal.code, Code::Unsupported | Code::Invalid), "{refusal:?}");
            assert_presentable(&refusal.message);
        }
        Err(unreadable) => {
            assert!(matches!(unreadable.code, Code::TooLarge | Code::Malformed), "{unreadable:?}");
            assert_presentable(&unreadable.message);
        }
    }
    if let Ok(message) = tree::read(bytes) {
        for written in written(&message) {
            assert_eq!(decode_command(&written), received, "in another encoding");
        }
    }
}

/// What came on any other topic of a node: whatever it is read as, it reads the same after it
/// was written, in either encoding.
///
/// # Panics
/// It does not.
pub fn presence(bytes: &[u8]) {
    reads_the_same(bytes, decode_event);
    reads_the_same(bytes, decode::<Status>);
    reads_the_same(bytes, decode::<State>);
    reads_the_same(bytes, decode::<Telemetry>);
}

fn reads_the_same<T>(bytes: &[u8], read: impl Fn(&[u8]) -> Result<T, Unreadable>)
where
    T: Debug + PartialEq + Serialize,
{
    match read(bytes) {
        Ok(message) => {
            for written in written(&message) {
                assert_eq!(read(&written).as_ref(), Ok(&message), "written and read again");
            }
        }
        Err(unreadable) => assert_presentable(&unreadable.message),
    }
}

/// In each encoding in which it is small enough: a number may take one byte in one of them and
/// nine in the other.
fn written(message: &impl Serialize) -> impl Iterator<Item = Vec<u8>> {
    let all = ENCODINGS.map(|encoding| encode(encoding, message));
    all.into_iter().filter(|written| written.len() <= MAX_MESSAGE_BYTES)
}

fn assert_presentable(reason: &str) {
    assert!(!reason.is_empty() && reason.len() <= MAX_REASON_BYTES, "{reason:?}");
    assert!(!reason.contains(char::is_control), "{reason:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(target: &str, body: fn(&[u8])) {
        let folder = format!("{}/../fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap()).collect();
        assert!(files.len() > 10, "{} inputs of {target}", files.len());
        files.iter().for_each(|file| body(&std::fs::read(file.path()).unwrap()));
    }

    #[test]
    fn what_the_fuzzer_kept_of_commands_holds() {
        kept("command", command);
    }

    #[test]
    fn what_the_fuzzer_kept_of_a_nodes_messages_holds() {
        kept("presence", presence);
    }
}
