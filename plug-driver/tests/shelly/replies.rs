//! What a plug's answers are taken for: a yes only if they are one.

use std::time::Duration;

use crate::scripted::ScriptedPlug;
use crate::wire::Wire;
use plug_driver::{AnyOutlet, Error, Kind, Outlet as _, Reading, ShellySettings};
use tokio::time::Instant;

const LEASE: Duration = Duration::from_secs(90);

/// Every operation, one after the other.
async fn each_operation(outlet: &mut AnyOutlet) -> [Result<Reading, Error>; 5] {
    [
        outlet.on(Some(LEASE)).await,
        outlet.on(None).await,
        outlet.off().await,
        outlet.clear_lease().await,
        outlet.read().await,
    ]
}

#[tokio::test]
async fn no_failure_reply_makes_any_operation_a_success() {
    let long = "x".repeat(70_000);
    let instead = |status, body: &str| Wire::Instead(status, body.to_owned());
    for (wire, kind) in [
        (instead(200, ""), Kind::Refused),
        (instead(200, "null"), Kind::Refused),
        (instead(200, "{}"), Kind::Refused),
        (instead(200, "[]"), Kind::Refused),
        (instead(200, "true"), Kind::Refused),
        (instead(200, "<html>"), Kind::Refused),
        (instead(200, r#"{"ison":"on","output":"on","was_on":"on"}"#), Kind::Refused),
        (instead(200, r#"{"POWER":"ON"}"#), Kind::Refused),
        (instead(200, r#"{"code":404,"message":"No handler for X"}"#), Kind::Refused),
        (instead(200, &format!("{{\"ison\":true,\"x\":\"{long}\"}}")), Kind::Refused),
        (instead(404, r#"{"code":404,"message":"No handler for X"}"#), Kind::Refused),
        (instead(500, r#"{"code":-103,"message":"Argument 'on' wrong"}"#), Kind::Refused),
        (instead(500, r#"{"code":-105,"message":"not found"}"#), Kind::Refused),
        (instead(500, r#"{"code":-114,"message":"Unavailable"}"#), Kind::Transient),
        (instead(500, r#"{"code":-104,"message":"Deadline"}"#), Kind::Transient),
        (instead(400, "Bad Request"), Kind::Refused),
        (instead(401, ""), Kind::Refused),
        (instead(404, "Not Found"), Kind::Refused),
        (instead(302, ""), Kind::Refused),
        (instead(429, ""), Kind::Transient),
        (instead(503, ""), Kind::Transient),
        (Wire::Noise, Kind::Refused),
        (Wire::ObeyAndClose, Kind::Transient),
        (Wire::ResetInBody, Kind::Transient),
    ] {
        for generation in [1, 2] {
            for all in [true, false] {
                let plug = ScriptedPlug::start(generation, 1).await;
                if all {
                    plug.wire("", wire.clone());
                }
                for prefix in ["/relay", "/status", "/settings", "/rpc"] {
                    plug.wire(prefix, wire.clone());
                }
                for result in each_operation(&mut plug.outlet(1)).await {
                    let error = result.unwrap_err();
                    assert_eq!(error.kind(), kind, "{wire:?}: {error}: {}", error.fault());
                }
            }
        }
    }
}

#[tokio::test]
async fn a_null_result_is_neither_yes_nor_no_and_the_read_back_decides() {
    let plug = ScriptedPlug::start(2, 1).await;
    plug.device().null_results = true;
    let mut outlet = plug.outlet(1);
    for result in each_operation(&mut outlet).await {
        result.unwrap();
    }
    plug.device().relays[0].stuck = true;
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap_err().kind(), Kind::Contradicted);
}

#[tokio::test]
async fn a_yes_that_reads_back_otherwise_is_contradicted() {
    for (generation, switch, on, off) in [
        (1, "/relay/0", r#"{"ison":true}"#, r#"{"ison":false}"#),
        (2, "/rpc/Switch.Set", r#"{"was_on":false}"#, r#"{"was_on":true}"#),
    ] {
        let plug = ScriptedPlug::start(generation, 1).await;
        plug.wire(switch, Wire::Instead(200, off.to_owned()));
        plug.device().relays[0].on = true;
        assert_eq!(plug.outlet(1).off().await.unwrap_err().kind(), Kind::Contradicted);
        plug.device().wire.clear();
        plug.wire(switch, Wire::Instead(200, on.to_owned()));
        plug.device().relays[0].on = false;
        assert_eq!(plug.outlet(1).on(Some(LEASE)).await.unwrap_err().kind(), Kind::Contradicted);
    }
}

#[tokio::test]
async fn numbers_are_read_however_they_are_written_and_unknown_keys_are_nothing() {
    for body in [
        r#"{"switch:0":{"id":0,"output":false,"apower":0,"aenergy":{"total":12},"new":[{}]},"sys":{"uptime":7}}"#,
        r#"{"switch:0":{"output":false,"apower":0.0,"aenergy":{"total":12.0},"errors":[]},"sys":{"uptime":7.0,"unixtime":null}}"#,
    ] {
        let plug = ScriptedPlug::start(2, 1).await;
        plug.wire("/rpc/Shelly.GetStatus", Wire::Instead(200, body.to_owned()));
        let reading = plug.outlet(1).read().await.unwrap();
        assert_eq!((reading.power_w, reading.energy_wh), (Some(0.0), Some(12.0)), "{body}");
        assert_eq!(reading.uptime, Some(Duration::from_secs(7)), "{body}");
    }
}

#[tokio::test]
async fn a_reply_may_be_chunked_anywhere() {
    for size in [1, 3, 64] {
        for generation in [1, 2] {
            let plug = ScriptedPlug::start(generation, 2).await;
            plug.wire("", Wire::Chunks(size));
            for result in each_operation(&mut plug.outlet(2)).await {
                result.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_relay_that_the_plug_does_not_have_is_refused() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 2).await;
        for result in each_operation(&mut plug.outlet(3)).await {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), Kind::Refused, "{generation}: {}", error.fault());
        }
    }
}

#[tokio::test]
async fn an_off_that_is_not_acknowledged_is_given_up_in_time_to_be_tried_again() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 1).await;
        let mut outlet = plug.outlet(1);
        outlet.read().await.unwrap();
        plug.wire("/re", Wire::Stall);
        plug.wire("/rpc/Switch.Set", Wire::Stall);
        let asked = Instant::now();
        assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Transient);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
}

#[tokio::test]
async fn a_plug_that_is_not_there_is_transient() {
    let outlet = |url: &str, relay| {
        AnyOutlet::shelly(ShellySettings {
            url: url.to_owned(),
            relay,
            username: None,
            password: None,
        })
    };
    let mut gone = outlet("http://127.0.0.1:1", 1).unwrap();
    assert_eq!(gone.driver_name(), "shelly");
    for result in each_operation(&mut gone).await {
        assert_eq!(result.unwrap_err().kind(), Kind::Transient);
    }
    for (url, relay) in [("https://192.0.2.50", 1), ("192.0.2.50", 1), ("http://192.0.2.50", 0)] {
        assert_eq!(outlet(url, relay).unwrap_err().kind(), Kind::Broken, "{url} {relay}");
    }
}
