//! What can be asked over the control socket, and what is answered: one line of JSON each way, one
//! request a connection.
//!
//! ```json
//! {"v":1,"ask":"set","outlet":"plug-07","on":true,"for_ms":3600000}
//! {"error":{"code":"conflict","message":"session s-1 owns plug-07; `force` overrides it"}}
//! ```
//!
//! An answer is what the request asks for, or an `error`. `docs/local.md` is the manual.

use std::fmt;
use std::time::Duration;

use edge_protocol::event::Code;
use edge_protocol::id::OutletId;
use plug_driver::LeaseReading;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::node::Rejection;
use crate::span;

/// The version of requests and answers.
pub const VERSION: u64 = 1;
/// A request names an outlet and little else.
pub(crate) const MAX_REQUEST_BYTES: u64 = 1_024;

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// The agent's [`super::Report`].
    Status {},
    /// A hold; answered with [`Done`] once it is on disk.
    Set {
        /// Which outlet.
        outlet: OutletId,
        /// Held on or held off.
        on: bool,
        /// For how long, at most 24 h; required when `on`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        for_ms: Option<u64>,
        /// Even while a session owns the outlet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    },
    /// The end of a hold; answered with [`Done`] once that is on disk.
    Release {
        /// Which outlet.
        outlet: OutletId,
    },
    /// Reads the device now; answered with [`ReadBack`].
    Read {
        /// Which outlet.
        outlet: OutletId,
    },
    /// Why it is on or off; answered with [`crate::node::explain::Explanation`].
    Explain {
        /// Which outlet.
        outlet: OutletId,
    },
    /// Looks at the device's settings; answered with [`crate::audit::Audited`].
    Audit {
        /// Which outlet.
        outlet: OutletId,
    },
    /// Mends the device's settings that can be mended, while no session owns the outlet; answered
    /// with [`crate::audit::Mended`].
    Mend {
        /// Which outlet.
        outlet: OutletId,
    },
}

/// It is done, and on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// Always true.
    pub done: bool,
}

/// What a device told when it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReadBack {
    /// Whether power flows.
    pub on: bool,
    /// When the device will cut the power by itself: in so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_in_ms: Option<u64>,
    /// Whether it can.
    pub leases: bool,
    /// How long the device has been up, where it tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<u64>,
    /// The power of its load, where it measures that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_w: Option<f64>,
    /// The energy that its load has taken since the device's register began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_wh: Option<f64>,
}

impl ReadBack {
    /// In a few words: `on, cuts itself in 58 min 3 s, draws 57.2 W`.
    #[must_use]
    pub fn said(&self) -> String {
        let mut said = if self.on { "on" } else { "off" }.to_owned();
        if let Some(rest_ms) = self.off_in_ms {
            said += &format!(", cuts itself in {}", span::said(rest_ms));
        }
        if let Some(power_w) = self.power_w {
            said += &format!(", draws {power_w} W");
        }
        if let Some(uptime_ms) = self.uptime_ms {
            said += &format!(", up for {}", span::said(uptime_ms));
        }
        said
    }
}

impl From<&plug_driver::Reading> for ReadBack {
    fn from(reading: &plug_driver::Reading) -> Self {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self {
            on: reading.on,
            off_in_ms: match reading.lease {
                LeaseReading::Remaining(rest) => Some(millis(rest)),
                LeaseReading::Unsupported | LeaseReading::None => None,
            },
            leases: reading.lease != LeaseReading::Unsupported,
            uptime_ms: reading.uptime.map(millis),
            power_w: reading.power_w,
            energy_wh: reading.energy_wh,
        }
    }
}

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The kind of reason.
    pub code: RefusedCode,
    /// The reason, for a person.
    pub message: String,
}

/// The kind of reason for which a request is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedCode {
    /// Not one line with a JSON object.
    Malformed,
    /// Of another version, or nothing that this agent can be asked.
    Unsupported,
    /// A field is missing, unknown or out of range.
    Invalid,
    /// The node has no such outlet.
    UnknownOutlet,
    /// The state does not allow it: a session owns the outlet.
    Conflict,
    /// Not now: the disk is full, the agent stops, or too many ask at once.
    Busy,
    /// The device did not do its part.
    Device,
}

impl Refused {
    /// For this reason.
    pub(crate) fn new(code: RefusedCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// As it goes over the socket.
    pub(crate) fn answer(&self) -> Vec<u8> {
        json!({ "error": self }).to_string().into_bytes()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        let code = match rejection.code {
            Code::UnknownOutlet => RefusedCode::UnknownOutlet,
            Code::Conflict => RefusedCode::Conflict,
            Code::Busy => RefusedCode::Busy,
            Code::Malformed
            | Code::TooLarge
            | Code::Unsupported
            | Code::Invalid
            | Code::Expired
            | Code::Unauthorized
            | Code::UnknownStation
            | Code::UnknownSession
            | Code::UnknownTask
            | Code::UnknownSchedule
            | Code::Unpowered => RefusedCode::Invalid,
        };
        Self::new(code, rejection.message)
    }
}

impl Ask {
    /// As it goes over the socket, with its line's end.
    pub(crate) fn line(&self) -> String {
        let mut request = serde_json::to_value(self).expect("a request has string keys only");
        request["v"] = VERSION.into();
        format!("{request}\n")
    }

    /// Reads a request. `status`, the one word that was a request before there were versions, is
    /// still one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn read(line: &[u8]) -> Result<Self, Refused> {
        if line.trim_ascii() == b"status" {
            return Ok(Self::Status {});
        }
        let malformed = |reason: String| Refused::new(RefusedCode::Malformed, reason);
        if !line.ends_with(b"\n") && line.len() as u64 >= MAX_REQUEST_BYTES {
            return Err(malformed(format!("a request has at most {MAX_REQUEST_BYTES} bytes")));
        }
        let mut request: Map<String, Value> = serde_json::from_slice(line).map_err(|error| {
            malformed(format!("a request is one line with a JSON object: {error}"))
        })?;
        let version = request.remove("v");
        if version.as_ref().and_then(Value::as_u64) != Some(VERSION) {
            let found = version.map_or("none".to_owned(), |version| version.to_string());
            let reason = format!("this agent takes requests of version {VERSION}: v is {found}");
            return Err(Refused::new(RefusedCode::Unsupported, reason));
        }
        let known = |name: &str| Self::NAMES.contains(&name);
        match request.get("ask").and_then(Value::as_str) {
            Some(name) if known(name) => {}
            Some(_) | None => {
                let names = Self::NAMES.join(", ");
                let reason = format!("this agent can be asked for: {names}");
                return Err(Refused::new(RefusedCode::Unsupported, reason));
            }
        }
        serde_json::from_value(Value::Object(request))
            .map_err(|error| Refused::new(RefusedCode::Invalid, error.to_string()))
    }

    const NAMES: [&'static str; 7] =
        ["status", "set", "release", "read", "explain", "audit", "mend"];
}

/// Reads an answer: what was asked for, or why not.
/// `None` where it is neither, as that of
/// an agent before there were versions.
pub(crate) fn answered<T: DeserializeOwned>(answer: &[u8]) -> Option<Result<T, Refused>> {
    let mut answer: Value = serde_json::from_slice(answer).ok()?;
    match answer.get_mut("error") {
        Some(refused) => serde_json::from_value(refused.take()).ok().map(Err),
        None => serde_json::from_value(answer).ok().map(Ok),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Ask, (RefusedCode, String)> {
        Ask::read(line.as_bytes()).map_err(|refused| (refused.code, refused.message))
    }

    #[test]
    fn a_request_is_a_line_of_its_version_and_the_old_word_still_is_one() {
        assert_eq!(read("status\n"), Ok(Ask::Status {}));
        let outlet: OutletId = "plug-1".parse().unwrap();
        let all = [
            (Ask::Status {}, r#"{"ask":"status","v":1}"#),
            (
                Ask::Set { outlet: outlet.clone(), on: true, for_ms: Some(60_000), force: false },
                r#"{"ask":"set","for_ms":60000,"on":true,"outlet":"plug-1","v":1}"#,
            ),
            (
                Ask::Set { outlet: outlet.clone(), on: false, for_ms: None, force: true },
                r#"{"ask":"set","force":true,"on":false,"outlet":"plug-1","v":1}"#,
            ),
            (
                Ask::Release { outlet: outlet.clone() },
                r#"{"ask":"release","outlet":"plug-1","v":1}"#,
            ),
            (Ask::Read { outlet: outlet.clone() }, r#"{"ask":"read","outlet":"plug-1","v":1}"#),
            (Ask::Audit { outlet: outlet.clone() }, r#"{"ask":"audit","outlet":"plug-1","v":1}"#),
            (Ask::Mend { outlet }, r#"{"ask":"mend","outlet":"plug-1","v":1}"#),
        ];
        for (ask, line) in all {
            assert_eq!(ask.line(), format!("{line}\n"));
            assert_eq!(read(line), Ok(ask));
        }
    }

    #[test]
    fn whatever_else_comes_is_refused_with_what_would_be_right() {
        use RefusedCode::{Invalid, Malformed, Unsupported};
        let long = "x".repeat(1_024);
        for (line, code, words) in [
            ("", Malformed, "one line with a JSON object"),
            ("dance\n", Malformed, "one line with a JSON object"),
            (long.as_str(), Malformed, "at most 1024 bytes"),
            (r#"{"ask":"status"}"#, Unsupported, "version 1: v is none"),
            (r#"{"v":2,"ask":"status"}"#, Unsupported, "version 1: v is 2"),
            (r#"{"v":1}"#, Unsupported, "can be asked for: status, set"),
            (r#"{"v":1,"ask":"dance"}"#, Unsupported, "can be asked for: status, set"),
            (r#"{"v":1,"ask":"read"}"#, Invalid, "missing field `outlet`"),
            (r#"{"v":1,"ask":"read","outlet":"a b"}"#, Invalid, "not an id"),
            (r#"{"v":1,"ask":"read","outlet":"a","x":1}"#, Invalid, "unknown field `x`"),
            (r#"{"v":1,"ask":"status","x":1}"#, Invalid, "unknown field `x`"),
            (r#"{"v":1,"ask":"set","outlet":"a","on":1}"#, Invalid, "expected a boolean"),
        ] {
            let (found, message) = read(line).unwrap_err();
            assert_eq!(found, code, "{line}: {message}");
            assert!(message.contains(words), "{line}: {message}");
        }
    }

    #[test]
    fn an_answer_is_what_was_asked_for_or_an_error() {
        assert_eq!(answered(br#"{"done":true}"#), Some(Ok(Done { done: true })));
        let refused = Refused::new(RefusedCode::Conflict, "no");
        assert_eq!(refused.answer(), br#"{"error":{"code":"conflict","message":"no"}}"#);
        assert_eq!(answered::<Done>(&refused.answer()), Some(Err(refused)));
        assert_eq!(answered::<Done>(br#"{"error":"unknown request"}"#), None, "of an old agent");
        assert_eq!(answered::<Done>(b""), None);
    }
}
