//! What an audit reads and mends, and what the meter tells; in virtual time, without sockets.

use plug_sim::{Device, Request};

use super::*;

fn ask(plug: &mut Device, command: &str) -> Value {
    let reply = plug.handle(&Request::get(&cm(command)));
    assert_eq!(reply.response().expect("an answer").0, 200);
    reply.json()
}

#[test]
fn a_setting_is_told_as_it_was_set_and_each_change_is_a_write_to_flash() {
    for profile in Profile::tasmotas() {
        let mut plug = Device::new(profile);
        for (query, wanted, answer) in [
            ("PowerOnState", "PowerOnState 0", json!({ "PowerOnState": 0 })),
            ("SetOption0", "SetOption0 1", json!({ "SetOption0": "ON" })),
            ("SetOption1", "SetOption1 1", json!({ "SetOption1": "ON" })),
            ("SetOption21", "SetOption21 1", json!({ "SetOption21": "ON" })),
            ("SetOption26", "SetOption26 0", json!({ "SetOption26": "OFF" })),
            ("SetOption36", "SetOption36 0", json!({ "SetOption36": 0 })),
            ("SetOption63", "SetOption63 0", json!({ "SetOption63": "OFF" })),
            ("SetOption65", "SetOption65 1", json!({ "SetOption65": "ON" })),
            ("SetOption73", "SetOption73 1", json!({ "SetOption73": "ON" })),
            ("SetOption128", "SetOption128 1", json!({ "SetOption128": "ON" })),
            ("PowerRetain", "PowerRetain 0", json!({ "PowerRetain": "OFF" })),
            ("StateText2", "StateText2 ON", json!({ "StateText2": "ON" })),
            ("MaxPower", "MaxPower 2000", json!({ "MaxPower": 2000 })),
            ("WebPassword", "WebPassword word", json!({ "WebPassword": "****" })),
        ] {
            let before = plug.flash_writes();
            let told: Value = serde_json::from_str(&plug.console(wanted)).unwrap();
            assert_eq!(told, answer);
            assert_eq!(serde_json::from_str::<Value>(&plug.console(query)).unwrap(), answer);
            assert_eq!(plug.flash_writes(), before + 1, "{wanted}");
        }
    }
}

#[test]
fn defaults_are_those_of_a_plug_out_of_the_box() {
    let mut plug = Device::new(Profile::tasmota_14_4());
    for (query, answer) in [
        ("PowerOnState", json!({ "PowerOnState": 3 })),
        ("SetOption0", json!({ "SetOption0": "ON" })),
        ("SetOption21", json!({ "SetOption21": "OFF" })),
        ("SetOption36", json!({ "SetOption36": 1 })),
        ("SetOption65", json!({ "SetOption65": "OFF" })),
        ("SetOption128", json!({ "SetOption128": "ON" })),
        ("WebPassword", json!({ "WebPassword": "" })),
        ("PowerLock1", json!({ "PowerLock1": "OFF" })),
        ("Interlock", json!({ "Interlock": "OFF", "Groups": "1" })),
        ("Timers", json!({ "Timers": "OFF" })),
    ] {
        assert_eq!(ask(&mut plug, query), answer);
    }
    let server = ask(&mut plug, "Webserver")["Webserver"].clone();
    assert!(
        server.as_str().is_some_and(|text| text.starts_with("Active for Admin on ")),
        "{server}"
    );
    assert_eq!(plug.flash_writes(), 0, "to ask is no write");
}

#[test]
fn in_user_mode_commands_get_a_page_and_without_a_web_server_nothing_answers() {
    let mut plug = Device::new(Profile::tasmota_13_4());
    plug.console("Webserver 1");
    let reply = plug.handle(&Request::get(&cm("Power ON")));
    assert!(
        reply.response().is_some_and(|(status, body)| status == 200 && body.contains("<html>"))
    );
    plug.console("Webserver 0");
    assert_eq!(plug.handle(&Request::get(&cm("Power ON"))).response(), None);
    assert!(!plug.is_on(1));
}

#[test]
fn a_password_that_was_set_is_asked_for_from_then_on() {
    let mut plug = Device::new(Profile::tasmota_13_4());
    plug.console("WebPassword word");
    assert_eq!(plug.handle(&Request::get(&cm("Power ON"))).response().unwrap().0, 401);
    let right = Request::get(&cm("Power ON")).with_basic("admin", "word");
    assert_eq!(plug.handle(&right).json(), json!({ "POWER": "ON" }));
    plug.console("WebPassword 0");
    assert_eq!(ask(&mut plug, "Power"), json!({ "POWER": "ON" }));
}

#[test]
fn rule_1_is_told_with_its_state_nested_or_beside() {
    for (profile, nested) in [(Profile::tasmota_8_5(), false), (Profile::tasmota_14_4(), true)] {
        let mut plug = Device::new(profile);
        plug.console("Rule1 ON Power1#Boot DO Power1 0 ENDON");
        let told = ask(&mut plug, "Rule1 1");
        let (state, rule) = if nested {
            (told["Rule1"]["State"].clone(), told["Rule1"]["Rules"].clone())
        } else {
            (told["Rule1"].clone(), told["Rules"].clone())
        };
        assert_eq!((state, rule), (json!("ON"), json!("ON Power1#Boot DO Power1 0 ENDON")));
    }
}

#[test]
fn the_meter_counts_kilowatt_hours_and_looks_at_an_open_relay_only_if_it_is_told_to() {
    let mut plug = Device::new(Profile::tasmota_13_4());
    let total = |plug: &mut Device| ask(plug, "Status 10")["StatusSNS"]["ENERGY"]["Total"].clone();
    plug.set_power_w(1, 1_000.0);
    plug.console("Power ON");
    plug.advance(Duration::from_secs(3_600));
    assert_eq!(total(&mut plug), json!(1.0));
    plug.set_welded(1, true);
    plug.console("Power OFF");
    plug.advance(Duration::from_secs(3_600));
    assert_eq!(total(&mut plug), json!(1.0), "it does not look");
    plug.console("SetOption21 1");
    plug.advance(Duration::from_secs(3_600));
    assert_eq!(total(&mut plug), json!(2.0));
}

#[test]
fn channels_are_arrays_and_totals_too_once_they_are_split() {
    let mut plug = Device::new(Profile { relays: 2, ..Profile::tasmota_12_4() });
    plug.console("Power2 ON");
    plug.advance(Duration::from_secs(3_600));
    let energy = ask(&mut plug, "Status 8")["StatusSNS"]["ENERGY"].clone();
    assert_eq!((&energy["Power"], &energy["Total"]), (&json!([0.0, 60.0]), &json!(0.06)));
    assert!(energy["Voltage"].is_number(), "common to both");
    plug.console("SetOption129 1");
    assert_eq!(ask(&mut plug, "Status 8")["StatusSNS"]["ENERGY"]["Total"], json!([0.0, 0.06]));
}

#[test]
fn a_number_may_be_padded_with_blanks() {
    let mut plug = Device::new(Profile::tasmota_12_4());
    assert!(plug.console("Status 8").contains(r#""Power":  0"#), "{}", plug.console("Status 8"));
    let mut newer = Device::new(Profile::tasmota_13_4());
    assert!(newer.console("Status 8").contains(r#""Power":0"#));
}

#[test]
fn four_seconds_late_and_split_anywhere_is_still_the_same_answer() {
    let mut plug = Device::new(Profile::tasmota_13_4());
    plug.set_fault_for(Fault::Stall(Duration::from_secs(4)), 1);
    let reply = plug.handle(&Request::get(&cm("Power ON")));
    assert_eq!((reply.delay, reply.json()), (Duration::from_secs(4), json!({ "POWER": "ON" })));
    for at in 0..=16 {
        plug.set_fault_for(Fault::SplitAt(at), 1);
        let reply = plug.handle(&Request::get(&cm("Power")));
        assert_eq!((reply.manner, reply.json()), (Manner::SplitAt(at), json!({ "POWER": "ON" })));
    }
}
