//! What a plug is told, and in which order, to hold and to lose a lease.

use std::time::Duration;

use crate::scripted::{Firmware, ScriptedPlug, Wire};
use plug_driver::{Kind, LeaseReading, Outlet as _};

const LEASE: Duration = Duration::from_secs(90);
const HELD: LeaseReading = LeaseReading::Remaining(LEASE);

#[tokio::test]
async fn each_firmware_holds_the_lease_in_the_timer_that_it_has() {
    let pulse_time =
        ["TimedPower", "PulseTime1", "PulseTime1 190", "Power1 ON", "Status 11", "PulseTime1"];
    let timed_power = ["TimedPower", "PulseTime1", "TimedPower1 90000", "Status 11", "TimedPower"];
    for (firmware, commands) in [
        (Firmware::Old, &pulse_time[..]),
        (Firmware::V12_4, &pulse_time[..]),
        (Firmware::V13_4, &timed_power[..]),
    ] {
        let plug = ScriptedPlug::start(firmware, 1).await;
        let reading = plug.outlet(1).on(Some(LEASE)).await.unwrap();
        assert_eq!((reading.on, reading.lease), (true, HELD), "{firmware:?}");
        assert_eq!(plug.commands(), commands, "{firmware:?}");
    }
}

#[tokio::test]
async fn a_renewal_is_the_same_on_and_asks_for_nothing_that_is_known() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    let mut outlet = plug.outlet(1);
    outlet.on(Some(LEASE)).await.unwrap();
    plug.commands();
    let renewed = outlet.on(Some(LEASE * 2)).await.unwrap();
    assert_eq!(renewed.lease, LeaseReading::Remaining(LEASE * 2));
    assert_eq!(plug.commands(), ["TimedPower1 180000", "Status 11", "TimedPower"]);
    assert_eq!(plug.device().timed.len(), 1);
}

#[tokio::test]
async fn each_relay_is_switched_by_its_own_number() {
    for firmware in [Firmware::Old, Firmware::V12_4, Firmware::V13_4] {
        let plug = ScriptedPlug::start(firmware, 3).await;
        let mut outlet = plug.outlet(2);
        assert_eq!(outlet.on(Some(LEASE)).await.unwrap().lease, HELD);
        assert_eq!(plug.device().on, [false, true, false]);
        plug.device().on[0] = true;
        assert!(!outlet.off().await.unwrap().on);
        assert_eq!(plug.device().on, [true, false, false]);
    }
}

#[tokio::test]
async fn a_relay_that_the_plug_does_not_have_is_refused() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 2).await;
    let mut outlet = plug.outlet(3);
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(outlet.read().await.unwrap_err().kind(), Kind::Refused);
}

#[tokio::test]
async fn an_off_is_sent_first_and_leaves_the_timer_to_clear_lease() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    plug.outlet(1).on(Some(LEASE)).await.unwrap();
    plug.commands();
    let mut outlet = plug.outlet(1);
    let off = outlet.off().await.unwrap();
    assert_eq!((off.on, off.lease), (false, HELD));
    assert_eq!(plug.commands(), ["Power1 OFF", "Status 11", "TimedPower"]);
    let cleared = outlet.clear_lease().await.unwrap();
    assert_eq!((cleared.on, cleared.lease), (false, LeaseReading::None));
    assert_eq!(plug.commands(), ["TimedPower", "TimedPower1", "TimedPower", "Status 11"]);
}

#[tokio::test]
async fn clearing_never_changes_the_relay_and_spares_the_flash_where_nothing_runs() {
    for firmware in [Firmware::Old, Firmware::V12_4, Firmware::V13_4] {
        let plug = ScriptedPlug::start(firmware, 1).await;
        let mut outlet = plug.outlet(1);
        outlet.on(Some(LEASE)).await.unwrap();
        let cleared = outlet.clear_lease().await.unwrap();
        assert_eq!((cleared.on, cleared.lease), (true, LeaseReading::None), "{firmware:?}");
        outlet.on(Some(LEASE)).await.unwrap();
        outlet.off().await.unwrap();
        outlet.clear_lease().await.unwrap();
        let standing = if firmware == Firmware::V13_4 { 0 } else { 190 };
        assert_eq!(plug.device().pulse[0], (standing, 0), "{firmware:?}");
    }
}

#[tokio::test]
async fn a_stale_timer_is_cleared_and_the_lease_armed_again() {
    for stale in ["Power2 1", "Power2 2", "Power0 0"] {
        let plug = ScriptedPlug::start(Firmware::V13_4, 2).await;
        plug.device().timed = vec![(5_000, stale.to_owned()), (7_000, "Power1 0".to_owned())];
        let reading = plug.outlet(2).on(Some(LEASE)).await.unwrap();
        assert_eq!((reading.on, reading.lease), (true, HELD), "{stale}");
        let timed = plug.device().timed.clone();
        let expected = [(7_000, "Power1 0".to_owned()), (90_000, "Power2 0".to_owned())];
        assert_eq!(timed, expected, "{stale}");
    }
}

#[tokio::test]
async fn clearing_relay_1_never_takes_the_timer_of_relay_10_along() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 12).await;
    plug.device().timed = vec![(9_000, "Power10 0".to_owned())];
    let mut outlet = plug.outlet(1);
    // An equal timer is replaced without clearing.
    outlet.on(Some(LEASE)).await.unwrap();
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap().lease, HELD);
    let error = outlet.clear_lease().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
    assert!(error.fault().to_string().contains("relay 10"), "{}", error.fault());
    assert!(plug.device().timed.contains(&(9_000, "Power10 0".to_owned())));
}

#[tokio::test]
async fn an_on_without_a_lease_clears_every_timer_first() {
    for firmware in [Firmware::Old, Firmware::V12_4, Firmware::V13_4] {
        let plug = ScriptedPlug::start(firmware, 1).await;
        let mut outlet = plug.outlet(1);
        outlet.on(Some(LEASE)).await.unwrap();
        plug.device().pulse[0].0 = 400;
        plug.commands();
        let reading = plug.outlet(1).on(None).await.unwrap();
        assert_eq!((reading.on, reading.lease), (true, LeaseReading::None), "{firmware:?}");
        assert_eq!(plug.device().pulse[0], (0, 0), "{firmware:?}");
        assert!(plug.device().timed.is_empty(), "{firmware:?}");
        let commands = plug.commands();
        let switched = commands.iter().position(|command| command == "Power1 ON").unwrap();
        assert_eq!(commands[switched + 1], "Status 11");
        assert!(commands[..switched].contains(&"PulseTime1 0".to_owned()), "{commands:?}");
    }
}

#[tokio::test]
async fn a_standing_pulse_time_that_would_cut_first_is_made_the_longest() {
    for (standing, expected) in [(0, 0), (64_900, 64_900), (191, 191), (189, 64_900)] {
        let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
        plug.device().pulse[0].0 = standing;
        assert_eq!(plug.outlet(1).on(Some(LEASE)).await.unwrap().lease, HELD);
        assert_eq!(plug.device().pulse[0].0, expected);
    }
}

#[tokio::test]
async fn a_pulse_time_that_is_not_taken_is_a_refusal() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    plug.device().pulse[0].0 = 189;
    plug.wire("PulseTime1 ", Wire::Instead(r#"{"PulseTime1":{"Set":189,"Remaining":0}}"#.into()));
    assert_eq!(plug.outlet(1).on(Some(LEASE)).await.unwrap_err().kind(), Kind::Refused);
    assert!(!plug.device().on[0]);
}

#[tokio::test]
async fn a_lease_that_is_not_read_back_is_a_contradiction() {
    for list in [
        r#"{"TimedPower":"Empty"}"#,
        r#"{"TimedPower":[{"Remaining":87000,"Command":"Power1 0"}]}"#,
        r#"{"TimedPower":[{"Remaining":93000,"Command":"Power1 0"}]}"#,
    ] {
        let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
        plug.wire("TimedPower1", Wire::Chunks(usize::MAX));
        plug.wire("TimedPower", Wire::Instead(list.to_owned()));
        let error = plug.outlet(1).on(Some(LEASE)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Contradicted, "{list}: {}", error.fault());
        let armed = plug.commands().iter().filter(|it| *it == "TimedPower1 90000").count();
        assert!((1..=2).contains(&armed), "armed {armed} times");
    }
    let plug = ScriptedPlug::start(Firmware::V12_4, 1).await;
    plug.device().locked = true;
    plug.device().on[0] = true;
    plug.wire("PulseTime1 ", Wire::Instead(r#"{"PulseTime1":{"Set":190,"Remaining":190}}"#.into()));
    let error = plug.outlet(1).on(Some(LEASE)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Contradicted, "{}", error.fault());
}

#[tokio::test]
async fn a_minimal_firmware_is_switched_without_a_lease_or_not_at_all() {
    let plug = ScriptedPlug::start(Firmware::Minimal, 1).await;
    let mut outlet = plug.outlet(1);
    assert!(outlet.capabilities().lease.is_some(), "until the plug was met");
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap_err().kind(), Kind::Refused);
    assert!(!plug.device().on[0]);
    assert_eq!(outlet.capabilities().lease, None);
    let reading = outlet.on(None).await.unwrap();
    assert_eq!((reading.on, reading.lease), (true, LeaseReading::Unsupported));
}

#[tokio::test]
async fn capabilities_are_what_the_firmware_was_found_to_have() {
    for (firmware, resolution_ms) in [(Firmware::V12_4, 1_000), (Firmware::V13_4, 50)] {
        let plug = ScriptedPlug::start(firmware, 1).await;
        let mut outlet = plug.outlet(1);
        outlet.read().await.unwrap();
        let limits = outlet.capabilities().lease.unwrap();
        assert_eq!(limits.max, Duration::from_hours(18));
        assert_eq!(limits.resolution, Duration::from_millis(resolution_ms));
    }
}

#[tokio::test]
async fn a_restart_of_the_plug_makes_it_a_stranger() {
    let plug = ScriptedPlug::start(Firmware::V12_4, 1).await;
    let mut outlet = plug.outlet(1);
    let before = outlet.read().await.unwrap();
    assert_eq!((before.uptime, before.boot_count), (Some(Duration::from_secs(1_000)), Some(7)));
    {
        let mut device = plug.device();
        (device.firmware, device.uptime_s, device.boot_count) = (Firmware::V13_4, 3, 8);
    }
    plug.commands();
    let after = outlet.read().await.unwrap();
    assert_eq!((after.uptime, after.boot_count), (Some(Duration::from_secs(3)), Some(8)));
    assert_eq!(plug.commands(), ["Status 11", "TimedPower", "Status 1", "Status 10"]);
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap().lease, HELD);
    assert_eq!(plug.device().timed, [(90_000, "Power1 0".to_owned())]);
}

#[tokio::test]
async fn an_error_makes_the_plug_a_stranger_too() {
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    let mut outlet = plug.outlet(1);
    outlet.read().await.unwrap();
    plug.device().firmware = Firmware::V12_4;
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap().lease, HELD);
    assert_eq!(plug.device().pulse[0], (190, 190));
}
