//! What a plug measures, in watts and watt-hours, and why it switches off by itself.

use std::time::Duration;

use crate::scripted::ScriptedPlug;
use crate::wire::Wire;
use plug_driver::{AnyOutlet, Kind, Outlet as _};

const LEASE: Duration = Duration::from_secs(90);

async fn metered(outlet: &mut AnyOutlet) -> (Option<f64>, Option<f64>) {
    let reading = outlet.read().await.unwrap();
    assert_eq!(outlet.capabilities().meters, reading.power_w.is_some());
    (reading.power_w, reading.energy_wh)
}

#[tokio::test]
async fn watt_minutes_and_watt_hours_are_both_told_as_watt_hours() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 1).await;
        let mut outlet = plug.outlet(1);
        assert!(!outlet.capabilities().meters, "until it was met");
        // 90 watt-minutes, 1.5 watt-hours.
        assert_eq!(metered(&mut outlet).await, (Some(61.5), Some(1.5)), "{generation}");
        let off = outlet.off().await.unwrap();
        assert_eq!((off.power_w, off.energy_wh), (Some(61.5), Some(1.5)), "{generation}");
    }
}

#[tokio::test]
async fn a_plug_without_a_meter_measures_nothing_whatever_its_owner_typed_in() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 1).await;
        plug.device().metered = false;
        assert_eq!(metered(&mut plug.outlet(1)).await, (None, None), "{generation}");
    }
}

#[tokio::test]
async fn the_meters_of_the_first_generation_are_told_apart() {
    for (meters, told) in [
        (r#""emeters":[{"power":7,"total":20},{"power":8,"total":40.5}]"#, (Some(8.0), Some(40.5))),
        (r#""meters":[{"power":7,"is_valid":true,"total":60}]"#, (None, None)),
        (
            r#""meters":[{"power":7,"total":60},{"power":8,"is_valid":false,"total":120}]"#,
            (None, None),
        ),
        (
            r#""meters":[{"power":7,"total":60},{"power":8,"is_valid":true,"total":120}]"#,
            (Some(8.0), Some(2.0)),
        ),
    ] {
        let plug = ScriptedPlug::start(1, 2).await;
        let relay = r#"{"ison":true,"has_timer":false}"#;
        let status = format!("{{\"relays\":[{relay},{relay}],{meters},\"uptime\":9}}");
        plug.wire("/status", Wire::Instead(200, status));
        assert_eq!(metered(&mut plug.outlet(2)).await, told, "{meters}");
    }
}

#[tokio::test]
async fn a_plug_that_switched_off_by_itself_is_refused_by_its_own_word() {
    for (generation, word) in [
        (1, "overpower"),
        (2, "overpower"),
        (2, "overtemp"),
        (2, "overvoltage"),
        (3, "undervoltage"),
    ] {
        let plug = ScriptedPlug::start(generation, 1).await;
        plug.device().relays[0].errors.push(word);
        let mut outlet = plug.outlet(1);
        let error = outlet.on(Some(LEASE)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{word}");
        assert!(error.fault().to_string().contains(word), "{}", error.fault());
        assert!(!outlet.read().await.unwrap().on, "it is off, and that is told");
        assert!(!outlet.off().await.unwrap().on);
    }
}

#[tokio::test]
async fn a_relay_that_is_stuck_is_a_contradiction() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 1).await;
        (plug.device().relays[0].stuck, plug.device().relays[0].on) = (true, true);
        let error = plug.outlet(1).off().await.unwrap_err();
        // The first generation tells at once how it is, the others when they are read.
        let kind = if generation == 1 { Kind::Refused } else { Kind::Contradicted };
        assert_eq!(error.kind(), kind, "{}", error.fault());
    }
}
