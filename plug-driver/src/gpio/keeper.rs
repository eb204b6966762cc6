//! What is said to a keeper, the process that holds the leases of GPIO lines (`docs/keeper.md`):
//! one request a connection, a line of JSON; the answer is one, too.

use serde::{Deserialize, Serialize};

use super::line::LineSettings;
use crate::error::Kind;

/// The version of what is said here. Another one is refused by both sides.
pub const VERSION: u8 = 1;
/// The longest request or answer, its line's end included.
pub const MAX_BYTES: usize = 2_048;

/// What a keeper is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// [`VERSION`].
    pub v: u8,
    /// What to do.
    pub op: Op,
    /// With which line.
    pub line: LineSettings,
    /// When the keeper switches it off, whatever becomes of us: milliseconds on CLOCK_BOOTTIME of
    /// the boot `boot_id`. With [`Op::On`] only; absent: on until it is told otherwise, which only
    /// a line takes that does not rest off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_at_ms: Option<u64>,
    /// The kernel's id of the boot; goes with `off_at_ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
}

/// What can be done with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// On, until `off_at_ms`.
    On,
    /// Off; its lease ends with that.
    Off,
    /// Takes the lease away; never switches.
    Clear,
    /// Reads; never switches.
    Read,
}

/// What a keeper answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Answer {
    /// What was read back after it was done.
    Found {
        /// [`VERSION`].
        v: u8,
        /// Whether the relay is on.
        on: bool,
        /// When the keeper switches it off, on CLOCK_BOOTTIME; absent: never by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        off_at_ms: Option<u64>,
    },
    /// It was not done, or not seen to be done.
    Failed {
        /// [`VERSION`].
        v: u8,
        /// What can be done about it.
        error: Kind,
        /// What is wrong, for a person.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backend;

    fn line() -> LineSettings {
        LineSettings { pin: 17, active_low: true, backend: Backend::Rppal }
    }

    /// An agent and a keeper of different builds talk to each other during an upgrade.
    #[test]
    fn the_bytes_of_version_1_are_frozen() {
        let bare = |op| Request { v: 1, op, line: line(), off_at_ms: None, boot_id: None };
        let on = Request { off_at_ms: Some(90_061_001), boot_id: Some("b".into()), ..bare(Op::On) };
        for (text, request) in [
            (
                r#"{"v":1,"op":"on","line":{"pin":17,"active_low":true},"off_at_ms":90061001,"boot_id":"b"}"#,
                on,
            ),
            (r#"{"v":1,"op":"on","line":{"pin":17,"active_low":true}}"#, bare(Op::On)),
            (r#"{"v":1,"op":"off","line":{"pin":17,"active_low":true}}"#, bare(Op::Off)),
            (r#"{"v":1,"op":"clear","line":{"pin":17,"active_low":true}}"#, bare(Op::Clear)),
            (r#"{"v":1,"op":"read","line":{"pin":17,"active_low":true}}"#, bare(Op::Read)),
        ] {
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
            assert_eq!(serde_json::from_str::<Request>(text).unwrap(), request);
        }
        for (text, answer) in [
            (
                r#"{"v":1,"on":true,"off_at_ms":90061001}"#,
                Answer::Found { v: 1, on: true, off_at_ms: Some(90_061_001) },
            ),
            (r#"{"v":1,"on":false}"#, Answer::Found { v: 1, on: false, off_at_ms: None }),
            (
                r#"{"v":1,"error":"refused","message":"no"}"#,
                Answer::Failed { v: 1, error: Kind::Refused, message: "no".into() },
            ),
            (
                r#"{"v":1,"error":"transient","message":"no"}"#,
                Answer::Failed { v: 1, error: Kind::Transient, message: "no".into() },
            ),
            (
                r#"{"v":1,"error":"contradicted","message":"no"}"#,
                Answer::Failed { v: 1, error: Kind::Contradicted, message: "no".into() },
            ),
            (
                r#"{"v":1,"error":"broken","message":"no"}"#,
                Answer::Failed { v: 1, error: Kind::Broken, message: "no".into() },
            ),
        ] {
            assert_eq!(serde_json::to_string(&answer).unwrap(), text);
            assert_eq!(serde_json::from_str::<Answer>(text).unwrap(), answer);
        }
    }

    #[test]
    fn a_request_with_an_unknown_field_is_none() {
        let text = r#"{"v":1,"op":"off","line":{"pin":17,"active_low":true},"gently":true}"#;
        assert!(serde_json::from_str::<Request>(text).is_err());
    }
}
