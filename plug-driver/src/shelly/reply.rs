//! What a plug's replies say, in either generation.
//!
//! Firmware differs in what it leaves out and in how it writes a number, so unknown keys are
//! nothing and missing ones are not zero. A yes is exactly the expected key with an expected value.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Map, Value};

use super::lease::Timer;
use crate::error::Fault;
use crate::http::Response;

/// How much of a reply an error repeats.
const EXCERPT_CHARACTERS: usize = 120;
/// What a plug's RPC answers where it is too busy: its deadline passed; it is unavailable.
const BUSY_CODES: [i64; 2] = [-104, -114];

/// A reply with status 200 that is JSON.
#[derive(Debug)]
pub(super) struct Reply {
    asked: String,
    value: Value,
}

/// What a plug tells of one relay.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Status {
    pub(super) on: bool,
    /// What will flip the relay back by itself: switch it off while it is on, or on while it is
    /// off.
    pub(super) timer: Option<Timer>,
    pub(super) uptime: Option<Duration>,
    pub(super) power_w: Option<f64>,
    pub(super) energy_wh: Option<f64>,
    /// Why the plug has switched off by itself, if it has.
    pub(super) trouble: Option<String>,
}

impl Reply {
    /// The reply to a request for `target`.
    pub(super) fn read(target: &str, response: Response) -> Result<Self, Fault> {
        let Response { status, body, .. } = response;
        match status {
            StatusCode::OK => Self::parse(target, &body),
            StatusCode::UNAUTHORIZED => Err(Fault::Password),
            StatusCode::TOO_MANY_REQUESTS => Err(Fault::Busy { status: status.as_u16() }),
            // {"code":-105,"message":"…"}: it is up, and says no.
            _ => match serde_json::from_slice::<Value>(&body) {
                Ok(error) if refuses(&error) => Err(answer(target, &error.to_string())),
                Ok(_) | Err(_) if status.is_server_error() => {
                    Err(Fault::Busy { status: status.as_u16() })
                }
                Ok(_) | Err(_) => Err(Fault::Status { status: status.as_u16() }),
            },
        }
    }

    /// The reply to a request for `target`, out of its body.
    pub(super) fn parse(target: &str, body: &[u8]) -> Result<Self, Fault> {
        // A device's name may hold any bytes, and is of no interest.
        let text = String::from_utf8_lossy(body);
        match serde_json::from_str::<Value>(&text) {
            Ok(error) if refuses(&error) => Err(answer(target, &text)),
            Ok(value @ (Value::Object(_) | Value::Null)) => {
                Ok(Self { asked: target.to_owned(), value })
            }
            Ok(_) | Err(_) => Err(answer(target, &text)),
        }
    }

    /// The object that it is; `None` for `null`, which is neither yes nor no.
    pub(super) fn object(&self) -> Option<&Map<String, Value>> {
        self.value.as_object()
    }

    /// What stands under `key`, if it is an object.
    pub(super) fn part(&self, key: &str) -> Option<&Map<String, Value>> {
        self.value.get(key)?.as_object()
    }

    /// The error of a reply that lacks what was expected.
    pub(super) fn unexpected(&self) -> Fault {
        answer(&self.asked, &self.value.to_string())
    }
}

/// Whether it is an error of the plug's RPC that trying again would not change.
fn refuses(error: &Value) -> bool {
    let code = error.get("code").and_then(Value::as_i64);
    code.is_some_and(|code| !BUSY_CODES.contains(&code)) && error.get("message").is_some()
}

fn answer(target: &str, text: &str) -> Fault {
    Fault::Answer { command: target.to_owned(), reply: excerpt(text) }
}

/// The number under `key`, written as `1` or as `1.0`.
pub(super) fn number(object: &Map<String, Value>, key: &str) -> Option<f64> {
    object.get(key)?.as_f64().filter(|number| number.is_finite())
}

/// The seconds under `key`, zero included, up to what a device counts in 32 bits.
pub(super) fn seconds(object: &Map<String, Value>, key: &str) -> Option<Duration> {
    let seconds = number(object, key).filter(|seconds| *seconds <= f64::from(u32::MAX))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The truth under `key`.
pub(super) fn truth(object: &Map<String, Value>, key: &str) -> Option<bool> {
    object.get(key)?.as_bool()
}

/// The text under `key`.
pub(super) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    object.get(key)?.as_str()
}

/// A register's watt-hours: never negative.
pub(super) fn energy(object: &Map<String, Value>, key: &str) -> Option<f64> {
    number(object, key).filter(|energy| *energy >= 0.0)
}

/// The beginning of a device's own words.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARACTERS).collect()
}
