//! Waiting for what a plug does, but not for ever.

use anyhow::Result;
use plug_sim::FakePlug;

use crate::within;

/// Waits until `predicate` holds.
///
/// # Errors
/// `what` does not happen.
pub async fn until(
    plug: &FakePlug,
    what: &str,
    predicate: impl Fn(&FakePlug) -> bool,
) -> Result<()> {
    within(what, async {
        plug.until(predicate).await;
        Ok(())
    })
    .await
}

/// Waits until its relay is on.
///
/// # Errors
/// It does not go on.
pub async fn goes_on(plug: &FakePlug) -> Result<()> {
    until(plug, "the plug goes on", |plug| plug.is_on(1)).await
}

/// Waits until its relay is off.
///
/// # Errors
/// It does not go off.
pub async fn goes_off(plug: &FakePlug) -> Result<()> {
    until(plug, "the plug goes off", |plug| !plug.is_on(1)).await
}

/// Waits until a timer of its own would switch it off.
///
/// # Errors
/// None is set.
pub async fn is_leased(plug: &FakePlug) -> Result<()> {
    until(plug, "a lease in the plug", |plug| plug.lease_remaining(1).is_some()).await
}

/// Waits until no timer of its own would switch it off.
///
/// # Errors
/// One remains.
pub async fn is_unleased(plug: &FakePlug) -> Result<()> {
    until(plug, "no lease in the plug", |plug| plug.lease_remaining(1).is_none()).await
}
