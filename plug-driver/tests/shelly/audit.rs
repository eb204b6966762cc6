//! Which settings of a plug are found wanting, and mended.

use crate::scripted::ScriptedPlug;
use crate::wire::Wire;
use plug_driver::{Finding, FindingState, Kind, Outlet as _};
use serde_json::json;

fn states(findings: &[Finding]) -> Vec<(&str, &str, FindingState)> {
    findings.iter().map(|it| (it.setting.as_str(), it.actual.as_str(), it.state)).collect()
}

#[tokio::test]
async fn a_plug_as_it_should_be_has_only_good_findings() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 1).await;
        {
            let mut device = plug.device();
            device.relays[0].auto_off = 64_800.0;
            device.password = Some("joker");
            (device.button, device.jobs) = (Some("detached"), Some(json!([{"enable": false}])));
        }
        let mut outlet = plug.outlet_with(1, Some("admin"), Some("joker"));
        let findings = outlet.audit().await.unwrap();
        assert!(findings.len() >= 5, "{findings:?}");
        assert!(findings.iter().all(|it| it.state == FindingState::Good), "{findings:?}");
    }
}

#[tokio::test]
async fn what_a_call_can_change_is_mended_once_and_read_back() {
    use FindingState::{ByHand, Mendable};
    for (generation, expected) in [
        (
            1,
            vec![
                ("default_state", "last", Mendable),
                ("auto_off", "off", Mendable),
                ("auto_on", "5 s", Mendable),
                ("btn_type", "momentary", Mendable),
                ("schedule", "on", Mendable),
                ("login", "off", ByHand),
            ],
        ),
        (
            2,
            vec![
                ("initial_state", "match_input", Mendable),
                ("auto_off", "60 s", Mendable),
                ("auto_on", "5 s", Mendable),
                ("in_mode", "follow", Mendable),
                ("PLUGS_UI in_mode", "momentary", Mendable),
                ("Schedule", "on", ByHand),
                ("login", "off", ByHand),
            ],
        ),
    ] {
        let plug = ScriptedPlug::start(generation, 1).await;
        {
            let mut device = plug.device();
            (device.button, device.jobs) = (Some("momentary"), Some(json!([{"enable": true}])));
            device.relays[0].auto_off = if generation == 1 { 0.0 } else { 60.0 };
            device.relays[0].settings = json!({
                "default_state": "last", "btn_type": "momentary", "auto_on": true, "auto_on_delay": 5,
                "schedule": true, "initial_state": "match_input", "in_mode": "follow",
            });
            if generation == 1 {
                device.relays[0].settings["auto_on"] = 5.0.into();
            }
            device.relays[0].on = true;
        }
        let mut outlet = plug.outlet(1);
        let findings = outlet.audit().await.unwrap();
        assert_eq!(states(&findings), expected);
        assert!(findings.iter().all(|it| it.wanted != it.actual && !it.why.is_empty()));
        for finding in &findings {
            let mended = outlet.mend(finding).await;
            match finding.state {
                ByHand => assert_eq!(mended.unwrap_err().kind(), Kind::Refused, "{finding:?}"),
                FindingState::Good | Mendable => mended.unwrap(),
            }
        }
        let left: Vec<_> = outlet.audit().await.unwrap();
        let left = left.iter().filter(|it| it.state != FindingState::Good).count();
        assert_eq!(left, expected.iter().filter(|it| it.2 == ByHand).count());
        assert!(plug.device().relays[0].on, "nothing was switched");
        assert_eq!(plug.device().relays[0].auto_off, 64_800.0);
    }
}

#[tokio::test]
async fn a_setting_that_does_not_take_is_told_and_a_good_one_is_left_alone() {
    for (generation, set, reply) in [
        (1, "/settings/relay/0?", r#"{"auto_off":0}"#),
        (2, "/rpc/Switch.SetConfig", r#"{"restart_required":false}"#),
    ] {
        let plug = ScriptedPlug::start(generation, 1).await;
        plug.wire(set, Wire::Instead(200, reply.to_owned()));
        let mut outlet = plug.outlet(1);
        let findings = outlet.audit().await.unwrap();
        plug.targets();
        outlet.mend(&findings[0]).await.unwrap();
        assert_eq!(plug.targets(), [""; 0]);
        assert_eq!(outlet.mend(&findings[1]).await.unwrap_err().kind(), Kind::Contradicted);
    }
}

#[tokio::test]
async fn a_plug_that_does_not_tell_its_settings_is_not_found_good() {
    for (generation, get) in [(1, "/settings"), (2, "/rpc/Switch.GetConfig")] {
        let plug = ScriptedPlug::start(generation, 1).await;
        plug.wire(get, Wire::Instead(200, "{}".to_owned()));
        let findings = plug.outlet(1).audit().await.unwrap();
        assert!(findings.iter().all(|it| it.state != FindingState::Good), "{findings:?}");
        plug.device().wire.clear();
        plug.wire(get, Wire::Instead(503, String::new()));
        assert_eq!(plug.outlet(1).audit().await.unwrap_err().kind(), Kind::Transient);
    }
}
