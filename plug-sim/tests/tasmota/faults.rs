//! Faults: what the other side sees, and whether the plug obeyed.

use super::*;

fn on() -> String {
    get(&cm("Power ON"), "")
}

#[tokio::test]
async fn an_unreachable_plug_resets_and_does_nothing() {
    let plug = start(Profile::tasmota_14_4()).await;
    plug.set_fault(Fault::Unreachable);
    assert!(raw(&plug, &on()).await.is_err());
    assert!(!plug.is_on(1) && plug.requests().is_empty());
    plug.clear_fault();
    assert_eq!(ask(&plug, "Power ON").await, json!({ "POWER": "ON" }));
}

#[tokio::test]
async fn a_silent_plug_does_nothing_until_the_other_side_gives_up() {
    let plug = start(Profile::tasmota_14_4()).await;
    plug.set_fault_for(Fault::Silent, 1);
    let request = on();
    let given_up = timeout(Duration::from_millis(100), raw(&plug, &request)).await;
    assert!(given_up.is_err(), "{given_up:?}");
    assert!(!plug.is_on(1));
    assert_eq!(ask(&plug, "Power ON").await, json!({ "POWER": "ON" }));
}

#[tokio::test]
async fn a_fault_for_one_request_is_gone_with_the_next() {
    let plug = start(Profile::tasmota_14_4()).await;
    plug.set_fault_for(Fault::Unreachable, 1);
    assert!(raw(&plug, &on()).await.is_err());
    assert_eq!(ask(&plug, "Power").await, json!({ "POWER": "OFF" }));
    plug.set_fault_for(Fault::ResetMidBody, 1);
    assert!(raw(&plug, &on()).await.is_err());
    assert_eq!(ask(&plug, "Power").await, json!({ "POWER": "ON" }), "it was obeyed");
}

#[tokio::test]
async fn a_lost_reply_is_an_obeyed_command() {
    let plug = start(Profile::tasmota_14_4()).await;
    plug.set_fault(Fault::ObeysButReplyLost);
    assert_eq!(raw(&plug, &on()).await.unwrap(), "");
    assert!(plug.is_on(1));
    plug.set_fault(Fault::EmptyReply);
    assert_eq!(raw(&plug, &get(&cm("Power OFF"), "")).await.unwrap(), "");
    assert!(plug.is_on(1));
}

#[tokio::test]
async fn a_liar_says_on_and_stays_off() {
    let plug = start(Profile::tasmota_14_4()).await;
    plug.set_fault(Fault::Lies);
    assert_eq!(ask(&plug, "TimedPower1 60000").await, json!({ "POWER": "ON" }));
    assert!(!plug.is_on(1) && plug.history().is_empty() && plug.lease_remaining(1).is_none());
    assert_eq!(ask(&plug, "Power").await, json!({ "POWER": "OFF" }));
    assert_eq!(plug.requests().len(), 2);
}

#[tokio::test]
async fn pages_refusals_and_wrong_passwords_do_nothing() {
    let plug = start(Profile::tasmota_14_4()).await;
    let refusal = r#"{"POWER":"BLOCKED"}"#.to_owned();
    for (fault, status, body) in [
        (Fault::Html, 200, "<!DOCTYPE"),
        (Fault::Refuses(refusal.clone()), 200, refusal.as_str()),
        (Fault::WrongPassword, 401, r#"{"WARNING":"#),
    ] {
        plug.set_fault(fault);
        let answer = parts(&raw(&plug, &on()).await.unwrap());
        assert_eq!(answer.0, status);
        assert!(answer.1.starts_with(body), "{}", answer.1);
        assert!(!plug.is_on(1));
    }
}

#[tokio::test]
async fn an_answer_in_single_bytes_is_the_same_answer() {
    let plug = start(Profile::tasmota_14_4()).await;
    plug.set_fault(Fault::ChunkedSplits);
    let response = raw(&plug, &on()).await.unwrap();
    assert!(response.contains("\r\n1\r\n{\r\n1\r\n\"\r\n"), "{response}");
    assert_eq!(parts(&response), (200, r#"{"POWER":"ON"}"#.to_owned()));
}

#[tokio::test]
async fn a_stalling_plug_obeys_at_once_answers_late_and_serves_nobody_else() {
    let plug = start(Profile::tasmota_14_4()).await;
    let stall = Duration::from_millis(300);
    plug.set_fault_for(Fault::Stall(stall), 1);
    let started = tokio::time::Instant::now();
    let request = on();
    let first = raw(&plug, &request);
    let second = async {
        plug.until(|plug| plug.is_on(1)).await;
        assert!(started.elapsed() < stall, "obeyed at once");
        ask(&plug, "Power OFF").await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(parts(&first.unwrap()).1, r#"{"POWER":"ON"}"#);
    assert_eq!(second, json!({ "POWER": "OFF" }));
    assert!(started.elapsed() >= stall, "the second waited for the first");
    let off_after = plug.history()[1].at.duration_since(plug.history()[0].at);
    assert!(off_after >= stall, "{off_after:?}");
}

#[tokio::test]
async fn a_restart_breaks_the_request_at_hand() {
    let plug = start(Profile::tasmota_14_4()).await;
    plug.set_fault(Fault::Stall(LIMIT));
    let restart = async {
        plug.until(|plug| plug.is_on(1)).await;
        plug.restart(Restart::Warm);
    };
    let request = on();
    let (answer, ()) = tokio::join!(raw(&plug, &request), restart);
    assert!(answer.is_err(), "{answer:?}");
}
