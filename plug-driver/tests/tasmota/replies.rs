//! What a plug's answers are taken for: a yes only if they are one.

use std::time::Duration;

use crate::scripted::{Device, Firmware, ScriptedPlug, Wire};
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
    for command in ["Power1 ", "TimedPower1 ", "Status "] {
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
        plug.wire("Status 0", Wire::Instead(status));
        let kind = plug.outlet(1).off().await.err().map(|error| error.kind());
        assert_eq!(kind, (!read).then_some(Kind::Refused));
    }
}

#[tokio::test]
async fn the_right_password_is_taken_in_the_form_that_the_firmware_reads() {
    for firmware in [Firmware::Old, Firmware::Lite, Firmware::V13_4] {
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
    for (stalled, waited_ms) in [("", 1_900), ("Status ", 3_000), ("TimedPower", 3_000)] {
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
    for firmware in [Firmware::Lite, Firmware::V12_4, Firmware::V13_4] {
        for lost in [
            "Power1 ON",
            "TimedPower1 ",
            "PulseTime1 ",
            "RuleTimer1 ",
            "Rule1",
            "Status 11",
            "Status 0",
        ] {
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
async fn an_unsafe_plug_is_not_switched_on_and_the_refusal_tells_the_remedy() {
    type Spoil = fn(&mut Device);
    let spoilt: [(&str, &str, Spoil); 6] = [
        ("PowerLock2 is on", "send PowerLock2 0", |device| {
            (device.power_lock, device.on[1]) = (Some(true), true);
        }),
        ("PowerOnState is 4", "send PowerOnState 0", |device| device.power_on_state = 4),
        ("PowerOnState is 5", "send PowerOnState 0", |device| device.power_on_state = 5),
        ("Interlock is on for 1,2", "send Interlock 0", |device| device.interlock = Some("1,2")),
        (r#"StateText is "ON" and "OFF""#, "StateText1 OFF", |device| device.words = ["ON", "OFF"]),
        (r#"StateText is "X" and "X""#, "StateText2 ON", |device| device.words = ["X", "X"]),
    ];
    for firmware in [Firmware::Lite, Firmware::V12_4, Firmware::V13_4] {
        for (told, remedy, spoil) in spoilt {
            let plug = ScriptedPlug::start(firmware, 2).await;
            spoil(&mut plug.device());
            let mut outlet = plug.outlet(2);
            let error = outlet.on(Some(LEASE)).await.unwrap_err();
            let seen = error.fault().to_string();
            assert!(seen.contains(told) && seen.contains(remedy), "{seen}");
            assert_eq!(error.kind(), Kind::Refused);
            let sent = plug.commands();
            assert!(!sent.iter().any(|it| it.starts_with("Power2 ") || it.contains("Timer2 ")));
            assert!(!sent.iter().any(|it| it.starts_with("TimedPower2")), "{sent:?}");
        }
    }
}

#[tokio::test]
async fn an_off_is_never_refused_for_a_setting() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 2).await;
    plug.device().on = vec![true, true];
    plug.device().power_on_state = 4;
    plug.device().interlock = Some("1,2");
    assert!(!plug.outlet(2).off().await.unwrap().on);
    assert_eq!(plug.device().on, [true, false]);
}

#[tokio::test]
async fn relays_that_are_interlocked_with_none_of_ours_do_not_hinder() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 4).await;
    plug.device().interlock = Some("1,2 3");
    assert_eq!(plug.outlet(1).on(Some(LEASE)).await.unwrap_err().kind(), Kind::Refused);
    assert!(plug.outlet(3).on(Some(LEASE)).await.unwrap().on);
    assert!(plug.outlet(4).on(Some(LEASE)).await.unwrap().on);
}

#[tokio::test]
async fn other_words_for_off_and_on_are_learnt() {
    for firmware in [Firmware::Lite, Firmware::V12_4, Firmware::V13_4] {
        let plug = ScriptedPlug::start(firmware, 1).await;
        plug.device().words = ["AUS", "AN"];
        assert!(!plug.outlet(1).off().await.unwrap().on);
        for result in each_operation(&mut plug.outlet(1)).await {
            result.unwrap();
        }
    }
}

#[tokio::test]
async fn a_relay_that_was_locked_in_a_session_has_no_lease() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    let mut outlet = plug.outlet(1);
    outlet.on(Some(LEASE)).await.unwrap();
    plug.device().power_lock = Some(true);
    let reading = outlet.read().await.unwrap();
    assert_eq!((reading.on, reading.lease), (true, LeaseReading::None));
    let error = outlet.on(Some(LEASE)).await.unwrap_err();
    assert!(error.fault().to_string().contains("PowerLock1 0"), "{}", error.fault());
}

#[tokio::test]
async fn two_relays_of_a_plug_never_ask_it_at_the_same_time() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 2).await;
    let [mut first, mut second] = [plug.outlet(1), plug.outlet(2)];
    for _ in 0..20 {
        let (one, two) = tokio::join!(first.read(), second.on(Some(LEASE)));
        one.unwrap();
        two.unwrap();
    }
    assert_eq!(plug.device().most_at_once, 1);
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
async fn a_poll_is_two_requests_and_tells_watts_and_watt_hours_where_there_is_a_meter() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 2).await;
    let mut outlet = plug.outlet(2);
    outlet.read().await.unwrap();
    plug.commands();
    let reading = outlet.read().await.unwrap();
    assert_eq!((reading.power_w, reading.energy_wh), (None, None));
    assert_eq!(plug.commands(), ["Status 0", "TimedPower"]);
    assert!(!outlet.capabilities().meters);
    plug.device().energy = Some(r#"{"Total":[0.5,2.25],"Power":[  0,61.5],"Voltage":230}"#);
    plug.device().on[1] = true;
    let mut outlet = plug.outlet(2);
    let reading = outlet.read().await.unwrap();
    assert_eq!((reading.power_w, reading.energy_wh), (Some(61.5), Some(2_250.0)));
    assert_eq!(plug.commands(), ["Status 0", "TimedPower"]);
    assert!(outlet.capabilities().meters);
}

#[tokio::test]
async fn the_watts_of_an_open_relay_are_told_only_where_the_meter_looks_at_it() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    plug.device().energy = Some(r#"{"Total":3,"Power":0}"#);
    let mut outlet = plug.outlet(1);
    let reading = outlet.read().await.unwrap();
    assert_eq!((reading.power_w, reading.energy_wh), (None, Some(3_000.0)));
    assert_eq!(plug.commands(), ["Status 0", "TimedPower", "SetOption21"]);
    outlet.read().await.unwrap();
    assert_eq!(plug.commands(), ["Status 0", "TimedPower"], "asked for once");

    plug.device().meters_open = true;
    outlet.on(Some(LEASE)).await.unwrap();
    assert_eq!(outlet.off().await.unwrap().power_w, Some(0.0), "with the next on again");

    plug.device().meters_open = true;
    plug.device().energy = Some(r#"{"Total":3,"Power":85.2}"#);
    let welded = plug.outlet(1).read().await.unwrap();
    assert_eq!((welded.on, welded.power_w), (false, Some(85.2)));
}

#[tokio::test]
async fn an_off_tells_the_energy_after_it_was_read_back_and_never_fails_for_it() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    plug.device().energy = Some(r#"{"Total":3,"Power":60}"#);
    let mut outlet = plug.outlet(1);
    outlet.on(Some(LEASE)).await.unwrap();
    plug.commands();
    let off = outlet.off().await.unwrap();
    assert_eq!((off.on, off.power_w, off.energy_wh), (false, None, Some(3_000.0)));
    let asked = ["Power1 OFF", "Status 11", "TimedPower", "Status 10", "SetOption21"];
    assert_eq!(plug.commands(), asked);
    for wire in [Wire::ObeyAndClose, Wire::Status(503), Wire::Instead("{}".into())] {
        plug.device().wire.clear();
        plug.wire("Status 10", wire);
        let off = outlet.off().await.unwrap();
        assert_eq!((off.on, off.energy_wh), (false, None));
    }
}

#[tokio::test]
async fn a_plug_that_cannot_tell_everything_at_once_is_asked_in_pieces() {
    let pieces = ["Status", "Status 1", "Status 2", "Status 10", "Status 11", "TimedPower"];
    for short in [
        r#"{"Status":{"Module":1},"StatusPRM":{"Bo"#,
        r#"{"StatusFWR":{"Version":"13.4.0(tasmota)"},"StatusSTS":{"POWER":"ON"}}"#,
    ] {
        let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
        plug.device().on[0] = true;
        plug.device().energy = Some(r#"{"Total":3,"Power":60}"#);
        plug.wire("Status 0", Wire::Instead(short.to_owned()));
        let mut outlet = plug.outlet(1);
        let reading = outlet.read().await.unwrap();
        assert_eq!((reading.power_w, reading.boot_count), (Some(60.0), Some(7)));
        assert_eq!(plug.commands(), [&["Status 0"], &pieces[..]].concat());
        outlet.read().await.unwrap();
        assert_eq!(plug.commands(), pieces);
    }
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
