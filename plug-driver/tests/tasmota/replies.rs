//! What a plug's answers are taken for: a yes only if they are one.

use std::time::Duration;

use crate::scripted::{Firmware, ScriptedPlug, Wire};
use plug_driver::{AnyOutlet, Error, Kind, LeaseReading, Outlet as _, Reading};
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
    for (wire, kind) in [
        (Wire::Instead(r#"{"WARNING":"Need user=<username>"}"#.into()), Kind::Refused),
        (Wire::Instead(r#"{"WARNING":"Enable weblog 2 if …"}"#.into()), Kind::Refused),
        (Wire::Instead(r#"{"WARNING":"Enter command cmnd="}"#.into()), Kind::Refused),
        (Wire::Instead(r#"{"Command":"Error"}"#.into()), Kind::Refused),
        (Wire::Instead("{}".into()), Kind::Refused),
        (Wire::Instead(String::new()), Kind::Refused),
        (Wire::Instead("<html><title>Tasmota</title></html>".into()), Kind::Refused),
        (Wire::Instead(format!("{{\"POWER\":\"ON\",\"x\":\"{long}\"}}")), Kind::Refused),
        (Wire::Status(401), Kind::Refused),
        (Wire::Status(404), Kind::Refused),
        (Wire::Status(302), Kind::Refused),
        (Wire::Status(503), Kind::Transient),
        (Wire::Noise, Kind::Refused),
        (Wire::ObeyAndClose, Kind::Transient),
        (Wire::ResetInBody, Kind::Transient),
    ] {
        let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
        plug.wire("", wire.clone());
        for result in each_operation(&mut plug.outlet(1)).await {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), kind, "{wire:?}: {error}: {}", error.fault());
        }
    }
}

#[tokio::test]
async fn an_unknown_switch_command_is_no_success_either() {
    for command in ["Power1 ", "TimedPower1 ", "Status 11"] {
        let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
        plug.wire(command, Wire::Instead(r#"{"Command":"Unknown"}"#.into()));
        let error = plug.outlet(1).on(Some(LEASE)).await.err();
        let off = plug.outlet(1).off().await.err();
        let kinds = [error, off].map(|error| error.map(|error| error.kind()));
        let expected = match command {
            "Power1 " => [None, Some(Kind::Refused)],
            "TimedPower1 " => [Some(Kind::Refused), None],
            _ => [Some(Kind::Refused), Some(Kind::Refused)],
        };
        assert_eq!(kinds, expected, "{command}");
    }
}

#[tokio::test]
async fn a_reply_may_be_chunked_anywhere() {
    for size in [1, 2, 3, 7, 64] {
        let plug = ScriptedPlug::start(Firmware::V13_4, 2).await;
        plug.wire("", Wire::Chunks(size));
        for result in each_operation(&mut plug.outlet(2)).await {
            result.unwrap();
        }
    }
}

#[tokio::test]
async fn a_reply_is_read_up_to_64_kib() {
    for (filler, read) in [(65_000, true), (66_000, false)] {
        let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
        let filler = "x".repeat(filler);
        let status = format!("{{\"StatusSTS\":{{\"x\":\"{filler}\",\"POWER\":\"OFF\"}}}}");
        plug.wire("Status 11", Wire::Instead(status));
        let kind = plug.outlet(1).off().await.err().map(|error| error.kind());
        assert_eq!(kind, (!read).then_some(Kind::Refused));
    }
}

#[tokio::test]
async fn the_right_password_is_taken_in_the_form_that_the_firmware_reads() {
    for firmware in [Firmware::Old, Firmware::V12_4, Firmware::V13_4] {
        let plug = ScriptedPlug::start(firmware, 1).await;
        plug.device().password = Some("joker");
        let mut outlet = plug.outlet_with(1, Some("joker"));
        assert!(outlet.on(Some(LEASE)).await.unwrap().on, "{firmware:?}");
        plug.commands();
        outlet.off().await.unwrap();
        assert_eq!(plug.commands().len(), 3, "{firmware:?} is asked in its own form only");
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_by_both_styles_and_told_by_neither() {
    for firmware in [Firmware::Old, Firmware::V12_4, Firmware::V13_4] {
        for password in [None, Some("jester")] {
            let plug = ScriptedPlug::start(firmware, 1).await;
            plug.device().password = Some("joker");
            let mut outlet = plug.outlet_with(1, password);
            for result in each_operation(&mut outlet).await {
                let error = result.unwrap_err();
                assert_eq!(error.kind(), Kind::Refused, "{firmware:?}");
                let told = format!("{error} {error:?} {outlet:?}");
                assert!(!told.contains("jester"), "{told}");
                assert!(error.fault().to_string().contains("password"), "{}", error.fault());
            }
        }
    }
}

#[tokio::test]
async fn an_error_names_operation_device_and_what_was_seen() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 2).await;
    plug.wire("Power2", Wire::Instead(r#"{"Command":"Error"}"#.into()));
    let error = plug.outlet(2).off().await.unwrap_err();
    let told = error.to_string();
    assert!(told.starts_with("Tasmota http://127.0.0.1:"), "{told}");
    assert!(told.ends_with(" relay 2 was not confirmed off"), "{told}");
    let seen = error.fault().to_string();
    assert!(seen.contains("Power2 OFF") && seen.contains("Error"), "{seen}");
}

#[tokio::test(start_paused = true)]
async fn an_off_that_is_not_acknowledged_is_given_up_within_2_s_and_any_other_request_after_3_s() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    let mut outlet = plug.outlet(1);
    outlet.read().await.unwrap();
    for (stalled, waited_ms) in [("", 1_900), ("Status 11", 3_000), ("TimedPower", 3_000)] {
        plug.device().wire.clear();
        plug.wire(stalled, Wire::Stall);
        let waited = |began: Instant| began.elapsed().as_millis().abs_diff(waited_ms);
        let began = Instant::now();
        assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Transient);
        assert!(waited(began) < 100, "{stalled:?}: {:?}", began.elapsed());
        let began = Instant::now();
        assert_eq!(outlet.read().await.unwrap_err().kind(), Kind::Transient);
        assert!(began.elapsed().as_millis().abs_diff(3_000) < 100, "{stalled:?}");
    }
}

#[tokio::test]
async fn a_plug_that_is_gone_is_unreachable() {
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mut outlet = AnyOutlet::tasmota(plug_driver::TasmotaSettings {
        url: format!("http://127.0.0.1:{port}"),
        relay: 1,
        username: "admin".to_owned(),
        password: None,
    })
    .unwrap();
    assert_eq!(outlet.driver_name(), "tasmota");
    for result in each_operation(&mut outlet).await {
        assert_eq!(result.unwrap_err().kind(), Kind::Transient);
    }
}

#[tokio::test]
async fn a_command_whose_reply_was_lost_can_be_sent_again() {
    for firmware in [Firmware::V12_4, Firmware::V13_4] {
        for lost in ["Power1 ON", "TimedPower1 ", "PulseTime1 ", "Status 11"] {
            let plug = ScriptedPlug::start(firmware, 1).await;
            let mut outlet = plug.outlet(1);
            outlet.read().await.unwrap();
            plug.wire(lost, Wire::ObeyAndClose);
            let _ = outlet.on(Some(LEASE)).await;
            plug.device().wire.clear();
            let reading = outlet.on(Some(LEASE)).await.unwrap();
            assert_eq!((reading.on, reading.lease), (true, LeaseReading::Remaining(LEASE)));
        }
    }
}

#[tokio::test]
async fn a_plug_that_says_yes_and_reads_otherwise_is_contradicted() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    plug.wire("Power1 OFF", Wire::Instead(r#"{"POWER":"OFF"}"#.into()));
    plug.device().on[0] = true;
    assert_eq!(plug.outlet(1).off().await.unwrap_err().kind(), Kind::Contradicted);
    plug.wire("TimedPower1 ", Wire::Instead(r#"{"POWER":"ON"}"#.into()));
    plug.device().on[0] = false;
    assert_eq!(plug.outlet(1).on(Some(LEASE)).await.unwrap_err().kind(), Kind::Contradicted);
}

#[tokio::test]
async fn a_locked_relay_is_a_refusal() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    plug.device().locked = true;
    assert_eq!(plug.outlet(1).on(Some(LEASE)).await.unwrap_err().kind(), Kind::Refused);
    plug.device().on[0] = true;
    assert_eq!(plug.outlet(1).off().await.unwrap_err().kind(), Kind::Refused);
}

#[tokio::test]
async fn watts_are_read_where_there_is_a_meter_and_asked_for_once_where_not() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 2).await;
    let mut outlet = plug.outlet(2);
    outlet.read().await.unwrap();
    plug.commands();
    assert_eq!(outlet.read().await.unwrap().power_w, None);
    assert_eq!(plug.commands(), ["Status 11", "TimedPower"]);
    assert!(!outlet.capabilities().meters);
    plug.device().energy = Some(r#"{"Power":[  0,61.5],"Voltage":230}"#);
    let mut outlet = plug.outlet(2);
    assert_eq!(outlet.read().await.unwrap().power_w, Some(61.5));
    assert!(outlet.capabilities().meters);
}

#[test]
fn a_plug_is_configured_without_meeting_it() {
    let settings = |url: &str, relay| plug_driver::TasmotaSettings {
        url: url.to_owned(),
        relay,
        username: "admin".to_owned(),
        password: None,
    };
    let outlet = AnyOutlet::tasmota(settings("http://192.0.2.50", 1)).unwrap();
    assert!(outlet.capabilities().lease.is_some());
    for (url, relay) in [("https://192.0.2.50", 1), ("192.0.2.50", 1), ("http://192.0.2.50", 0)] {
        let error = AnyOutlet::tasmota(settings(url, relay)).unwrap_err();
        assert_eq!(error.kind(), Kind::Broken, "{url} {relay}");
    }
}
