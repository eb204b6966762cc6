//! Switching by hand.

use anyhow::Result;
use tests::plug::{goes_on, until};

use crate::{Shift, says};

#[tokio::test]
async fn a_hold_is_told_with_its_end_and_its_lease_and_released_again() -> Result<()> {
    let shift = Shift::begin().await?;
    let (operator, plug) = (&shift.operator, &shift.story.plug);
    let told = operator.asks("outlet on plug-1 --for 30m").await?;
    let on = ["plug-1 is held on until ", "; the plug cuts it by itself at ", " if the node dies"];
    assert!(says(&told, &on), "{told}");
    // Half an hour, less the moment that it took.
    assert!(told.contains("(30 min)") || told.contains("(29 min 5"), "{told}");
    assert!(plug.is_on(1) && plug.lease_remaining(1).is_some(), "what is told is so");
    assert_eq!(operator.asks("outlet release plug-1").await?, "plug-1 is released; it is off");
    assert!(!plug.is_on(1), "what is told is so");
    let told = operator.asks("outlet off plug-1").await?;
    assert_eq!(told, "plug-1 is held off until it is released");
    let refused = operator.types("session start pc-1 --for 1h").await?;
    assert_eq!(refused.code, Some(65));
    assert!(refused.err.contains("(conflict): plug-1 is held off"), "{}", refused.err);
    operator.asks("outlet release plug-1").await?;
    assert_eq!(operator.asks("outlet release plug-1").await?, "plug-1 was not held; it is off");
    Ok(())
}

#[tokio::test]
async fn a_sessions_outlet_is_held_by_force_only() -> Result<()> {
    let shift = Shift::begin().await?;
    shift.operator.asks("session start pc-1 --for 1h").await?;
    let refused = shift.operator.types("outlet off plug-1 --for 1m").await?;
    assert_eq!(refused.code, Some(65));
    assert!(refused.err.contains("owns plug-1; `force` overrides it"), "{}", refused.err);
    let told = shift.operator.asks("outlet off plug-1 --for 1m --force").await?;
    assert!(says(&told, &["plug-1 is held off until ", "("]), "{told}");
    assert!(!shift.story.plug.is_on(1), "what is told is so");
    let told = shift.operator.asks("outlet release plug-1").await?;
    assert_eq!(told, "plug-1 is released; it is on", "its session wants it");
    Ok(())
}

#[tokio::test]
async fn a_power_cycle_is_done_when_the_power_is_back() -> Result<()> {
    let shift = Shift::begin().await?;
    let (operator, plug) = (&shift.operator, &shift.story.plug);
    let refused = operator.types("outlet cycle plug-1").await?;
    assert_eq!(refused.code, Some(76), "accepted, and then it failed: {refused:?}");
    assert!(refused.err.contains("the outlet is not on"), "{}", refused.err);
    operator.asks("session start pc-1 --for 1h").await?;
    let cycle = operator.asks("outlet cycle plug-1 --off-for 700ms");
    let (told, dark) = tokio::join!(cycle, until(plug, "a dark moment", |plug| !plug.is_on(1)));
    dark?;
    let told = told?;
    assert!(says(&told, &["the power cycle of plug-1 (700 ms off) is done after "]), "{told}");
    goes_on(plug).await?;
    Ok(())
}
