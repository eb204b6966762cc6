//! The wall clock, for stories in which the time that passes is itself what happens.

use std::time::Duration;

pub use edgectl::lab::wall::now_ms;

/// Waits until the wall clock shows `at_ms`: a deadline that nobody alive could tell of.
pub async fn passes(at_ms: u64) {
    while let Some(rest @ 1..) = at_ms.checked_sub(now_ms()) {
        tokio::time::sleep(Duration::from_millis(rest)).await;
    }
}
