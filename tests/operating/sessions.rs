//! Paid time, from the first minute to the last.

use anyhow::Result;
use tests::plug::goes_off;

use crate::{Shift, says};

#[tokio::test]
async fn a_session_is_driven_from_start_to_end_and_each_step_waits_for_its_power() -> Result<()> {
    let shift = Shift::begin().await?;
    let (operator, plug) = (&shift.operator, &shift.story.plug);

    let told = operator.asks("session start pc-1 --for 1h30m --session s-1").await?;
    let on =
        ["pc-1 is on until ", " (1 h 30 min); the plug cuts it by itself at ", " if the node dies"];
    assert!(says(&told, &on), "{told}");
    assert!(plug.is_on(1), "what is told is so");
    assert!(plug.lease_remaining(1).is_some(), "and so is the lease");

    let told = operator.asks("session extend pc-1 --by 30m").await?;
    assert!(says(&told, &["pc-1 is on until ", "(2 h); the plug cuts"]), "{told}");
    let told = operator.asks("session extend s-1 --by -1h").await?;
    assert!(says(&told, &["pc-1 is on until ", "; the plug cuts it by itself at "]), "{told}");

    let told = operator.asks("session pause pc-1").await?;
    assert!(says(&told, &["pc-1 is off; ", " are kept"]), "{told}");
    assert!(!plug.is_on(1), "what is told is so");
    let again = operator.asks("session pause pc-1").await?;
    assert_eq!(again, told, "a second pause changes nothing");
    let told = operator.asks("session extend pc-1 --by 30m").await?;
    assert!(says(&told, &["s-1 is moved: it is paused and keeps 1 h "]), "{told}");

    let told = operator.asks("session resume pc-1").await?;
    assert!(says(&told, &["pc-1 is on until ", "(1 h "]), "{told}");
    assert!(plug.is_on(1), "what is told is so");
    let again = operator.asks("session resume pc-1").await?;
    assert!(says(&again, &["pc-1 is on until "]), "a second resume changes nothing: {again}");

    let told = operator.asks("session transfer pc-1 pc-2").await?;
    assert!(says(&told, &["pc-2 is on until ", "; pc-1 goes off"]), "{told}");
    assert!(shift.other.is_on(1), "what is told is so");
    goes_off(plug).await?;

    let told = operator.asks("session end pc-2").await?;
    assert!(
        says(&told, &["pc-2 is off, read back ", " after the off time; s-1 ran for "]),
        "{told}"
    );
    assert!(!shift.other.is_on(1), "what is told is so");
    Ok(())
}

#[tokio::test]
async fn an_end_waits_for_the_grace_and_says_when_the_power_goes() -> Result<()> {
    let shift = Shift::begin().await?;
    shift.operator.asks("session start pc-1 --for 1h --grace 3s").await?;
    let said = shift.operator.types("session end pc-1").await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        says(&said.err, &["pc-1 has its grace: the power goes at ", "--immediate"]),
        "{said:?}"
    );
    assert!(!shift.story.plug.is_on(1), "it waited for the power");
    shift.operator.asks("session start pc-1 --for 1h --grace 10m").await?;
    let said = shift.operator.types("session end pc-1 --immediate").await?;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn a_session_is_booked_moved_and_given_up_before_it_begins() -> Result<()> {
    let shift = Shift::begin().await?;
    let operator = &shift.operator;
    let book =
        "session start pc-1 --at 2099-01-01T10:00:00Z --until 2099-01-01T11:00:00Z --session b-1";
    let told = operator.asks(book).await?;
    assert_eq!(told, "pc-1 is booked as b-1 from 2099-01-01 10:00:00 until 2099-01-01 11:00:00");
    let told = operator.asks("session extend b-1 --by 30m").await?;
    assert_eq!(told, "b-1 is moved: it is booked and ends at 2099-01-01 11:30:00");
    assert_eq!(operator.asks("session end pc-1").await?, "b-1 is over; it never had power");
    Ok(())
}

#[tokio::test]
async fn a_machine_gets_one_object_with_the_deciding_event() -> Result<()> {
    let shift = Shift::begin().await?;
    let told = shift.operator.json("session start pc-1 --for 10m --label 'seat 7'").await?;
    assert_eq!(told["outcome"], "done");
    assert_eq!((&told["node"], &told["type"]), (&"pi-0042".into(), &"session.start".into()));
    assert_eq!(told["event"]["type"], "session.started");
    assert_eq!(told["event"]["cause"], told["command"], "the event is the command's");
    assert_eq!(told["event"]["body"]["ends_at_ms"], told["ends_at_ms"]);
    assert_eq!(told["outlets"][0]["lease"], "armed");
    assert!(told["session"].as_str().is_some_and(|id| id.starts_with("s-")), "{told}");
    let said = shift.operator.types("--json session start pc-1 --for 10m").await?;
    assert_eq!((said.code, said.out.as_str()), (Some(65), ""));
    let told: serde_json::Value = serde_json::from_str(&said.err)?;
    assert_eq!((&told["exit"], &told["event"]["body"]["code"]), (&65.into(), &"conflict".into()));
    Ok(())
}

#[tokio::test]
async fn operators_at_the_same_time_are_in_nobodys_way() -> Result<()> {
    let mut shift = Shift::begin().await?;
    let operator = &shift.operator;
    let (one, other) = tokio::join!(
        operator.asks("session start pc-1 --for 1h"),
        operator.asks("session start pc-2 --for 2h"),
    );
    assert!(one?.starts_with("pc-1 is on until "));
    assert!(other?.starts_with("pc-2 is on until "));
    // The control plane's own connection heard both, too.
    for _ in 0..2 {
        shift.story.told("session.started").await?;
    }
    Ok(())
}
