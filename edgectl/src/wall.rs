//! The wall clock of the control plane's side. Commands and events are stamped in wall time, so
//! what an operator or the lab saw must be stamped alike to be compared.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch.
#[expect(clippy::disallowed_methods, reason = "what is sent and seen is dated by the wall clock")]
#[must_use]
pub fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}
