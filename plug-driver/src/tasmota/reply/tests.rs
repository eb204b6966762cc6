use proptest::prelude::*;

use super::*;

fn reply(body: &str) -> Result<Reply, Fault> {
    Reply::parse("Power1 ON", body.as_bytes())
}

fn power(body: &str, relay: u8) -> Option<bool> {
    reply(body).and_then(|reply| reply.power(relay)).ok()
}

#[test]
fn a_yes_is_the_expected_key_with_an_expected_value() {
    for (body, relay, expected) in [
        (r#"{"POWER":"ON"}"#, 1, Some(true)),
        (r#"{"POWER":"OFF"}"#, 1, Some(false)),
        (r#"{"POWER1":"ON"}"#, 1, Some(true)),
        (r#"{"POWER1":"1"}"#, 1, Some(true)),
        (r#"{"POWER2":"0"}"#, 2, Some(false)),
        (r#"{"POWER1":"ON","POWER2":"OFF"}"#, 2, Some(false)),
        (r#"{"POWER2":"OFF","POWER1":"OFF","POWER1":"ON"}"#, 1, Some(true)),
        (r#"{"Heap":  27,"POWER1":"ON"}"#, 1, Some(true)),
        (r#"{"POWER":"ON"}"#, 2, None),
        (r#"{"POWER1":"ON"}"#, 2, None),
        (r#"{"POWER10":"ON"}"#, 1, None),
        (r#"{"POWER":"AN"}"#, 1, None),
        (r#"{"POWER":true}"#, 1, None),
        (r#"{"StatusSTS":{"POWER":"ON"}}"#, 1, None),
        (r#"[{"POWER":"ON"}]"#, 1, None),
        (r#"{"POWER":"ON"#, 1, None),
        ("POWER = ON", 1, None),
    ] {
        assert_eq!(power(body, relay), expected, "relay {relay}: {body}");
    }
}

#[test]
fn every_known_failure_reply_is_refused_and_told_in_the_error() {
    for (body, told) in [
        (r#"{"WARNING":"Need user=<username>&password=<password>"}"#, "Need user="),
        (r#"{"WARNING":"Benötige user=<username>&password=<password>"}"#, "Benötige user="),
        (r#"{"WARNING":"Enter command cmnd="}"#, "Enter command"),
        (r#"{"WARNING":"Enable weblog 2 if response expected"}"#, "Enable weblog 2"),
        (r#"{"WARNING":"and yet","POWER":"ON"}"#, "and yet"),
        (r#"{"Command":"Unknown"}"#, "Unknown"),
        (r#"{"Command":"Error"}"#, "Error"),
        ("{}", "{}"),
        ("", r#"Power1 ON was answered with """#),
        ("<!DOCTYPE html><html><title>Tasmota</title></html>", "<!DOCTYPE html>"),
    ] {
        let fault = reply(body).and_then(|reply| reply.power(1)).unwrap_err();
        assert_eq!(fault.kind(), crate::Kind::Refused, "{body}");
        assert!(fault.to_string().contains(told), "{fault}");
    }
}

#[test]
fn status_11_tells_relay_and_uptime_in_both_forms() {
    for (status, expected) in [
        (r#""Uptime":"0T00:12:34","UptimeSec":754,"POWER":"ON""#, Some((true, Some(754)))),
        (r#""Uptime":"2T03:04:05","POWER":"OFF""#, Some((false, Some(183_845)))),
        (r#""UptimeSec":4294967295,"POWER":"ON""#, Some((true, Some(4_294_967_295)))),
        (r#""UptimeSec":4294967296,"POWER":"ON""#, Some((true, None))),
        (r#""Uptime":"49711T00:00:00","POWER":"ON""#, Some((true, None))),
        (r#""Uptime":"soon","POWER1":"OFF","Wifi":{"SSId":"x"}"#, Some((false, None))),
        (r#""Uptime":"0T00:12:34","UptimeSec":754,"POWER2":"ON""#, None),
    ] {
        let body = format!("{{\"StatusSTS\":{{{status}}}}}");
        let state = reply(&body).unwrap().state(1).ok();
        let seen = state.map(|state| (state.on, state.uptime.map(|uptime| uptime.as_secs())));
        assert_eq!(seen, expected, "{body}");
    }
    assert!(reply(r#"{"POWER":"ON"}"#).unwrap().state(1).is_err(), "not a Status 11");
    let odd_name = b"{\"StatusSTS\":{\"POWER\":\"ON\",\"Wifi\":{\"SSId\":\"caf\xe9\"}}}";
    assert!(Reply::parse("Status 11", odd_name).unwrap().state(1).unwrap().on);
}

#[test]
fn the_timer_list_is_read_whole_or_not_at_all() {
    let timers = |body: &str| reply(body).unwrap().timed_power().ok();
    assert_eq!(timers(r#"{"TimedPower":"Empty"}"#), Some(vec![]));
    let two = r#"{"TimedPower":[{"Remaining":59950,"Command":"Power1 0"},
                                {"Remaining":-3,"Command":"Power12 1"}]}"#;
    let command =
        |ms, relay, action| TimedCommand { remaining: Duration::from_millis(ms), relay, action };
    assert_eq!(timers(two), Some(vec![command(59_950, 1, 0), command(0, 12, 1)]));
    assert_eq!(timers(r#"{"TimedPower":[{"Remaining":1,"Command":"Dimmer 0"}]}"#), None);
    assert_eq!(timers(r#"{"TimedPower":"Done"}"#), None);
    assert_eq!(timers(r#"{"Command":"Unknown"}"#), None);
}

#[test]
fn pulse_time_is_read_in_each_of_its_forms() {
    let timer = |body: &str, relay| reply(body).unwrap().pulse_time(relay).ok();
    let expected = Some(PulseTime { set: 300, remaining: 295 });
    assert_eq!(timer(r#"{"PulseTime1":{"Set":300,"Remaining":295}}"#, 1), expected);
    assert_eq!(timer(r#"{"PulseTime2":"300 (Active 295)"}"#, 2), expected);
    let all = r#"{"PulseTime":{"Set":[0,300],"Remaining":[0,295]}}"#;
    assert_eq!(timer(all, 2), expected);
    assert_eq!(timer(all, 3), None);
    assert_eq!(timer(r#"{"PulseTime1":{"Set":300}}"#, 1), None);
    assert_eq!(timer(r#"{"PulseTime1":{"Set":70000,"Remaining":0}}"#, 1), None);
    assert_eq!(timer(r#"{"PulseTime1":"300"}"#, 1), None);
    assert_eq!(timer(r#"{"PulseTime1":{"Set":300,"Remaining":295}}"#, 2), None);
}

#[test]
fn watts_are_one_number_or_one_a_channel() {
    let watts = |energy: &str, relay| {
        let body = format!("{{\"StatusSNS\":{{\"Time\":\"x\",{energy}}}}}");
        reply(&body).unwrap().power_w(relay)
    };
    assert_eq!(watts(r#""ENERGY":{"Power":  85.2,"Voltage":230}"#, 1), Some(85.2));
    assert_eq!(watts(r#""ENERGY":{"Power":[0,61],"Voltage":230}"#, 2), Some(61.0));
    assert_eq!(watts(r#""ENERGY":{"Power":[0,61]}"#, 3), None);
    assert_eq!(watts(r#""DS18B20":{"Temperature":20.1}"#, 1), None);
}

#[test]
fn an_error_repeats_only_the_beginning_of_a_reply() {
    let fault = reply(&"<html>".repeat(10_000)).unwrap_err();
    assert!(fault.to_string().len() < 200, "{fault}");
}

/// JSON of the words that plugs use, in places where they may or may not belong.
fn near_misses() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "POWER",
        "POWER1",
        "POWER2",
        "POWER11",
        "Power1",
        "WARNING",
        "Command",
        "TimedPower",
        "PulseTime1",
        "PulseTime",
        "Set",
        "Remaining",
        "StatusSTS",
        "Uptime",
        "UptimeSec",
    ]);
    let leaf = prop::sample::select(vec![
        "\"ON\"",
        "\"OFF\"",
        "\"1\"",
        "0",
        "-1",
        "1e99",
        "null",
        "true",
        "\"Empty\"",
        "\"Unknown\"",
        "\"Power1 0\"",
        "\"300 (Active 295)\"",
        "\"0T00:00:0\"",
        "70000",
        "\"99999999999T9:9:9\"",
    ]);
    let value = leaf.prop_map(str::to_owned).prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec((key.clone(), inner.clone()), 0..4).prop_map(|entries| {
                let entries: Vec<_> =
                    entries.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
                format!("{{{}}}", entries.join(","))
            }),
            prop::collection::vec(inner, 0..4).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    });
    (value, any::<prop::sample::Index>(), any::<bool>()).prop_map(|(text, cut, whole)| {
        if whole { text } else { text[..cut.index(text.len())].to_owned() }
    })
}

/// A second, naive opinion: the last `"POWER2":` at the top level of a whole object decides.
fn says_on(body: &str) -> bool {
    match serde_json::from_str::<Value>(body) {
        Ok(object @ Value::Object(_)) => {
            object.get("WARNING").is_none()
                && (object["POWER2"] == "ON" || object["POWER2"] == "1" || object["POWER2"] == 1)
        }
        _ => false,
    }
}

/// Reads `body` as an answer to everything; must not panic.
fn read_as_everything(reply: &Reply) {
    let _ = (reply.state(1), reply.timed_power(), reply.pulse_time(1), reply.boot_count());
    let _ = (reply.power_w(1), reply.power_w(0), reply.timed_power_cleared(1));
    let _ = (reply.is_unknown_command(), reply.is_command_error(), reply.unexpected());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_near_miss_is_taken_for_a_yes(body in near_misses()) {
        prop_assert_eq!(power(&body, 2) == Some(true), says_on(&body));
        if let Ok(reply) = reply(&body) {
            read_as_everything(&reply);
        }
    }

    #[test]
    fn no_random_bytes_are_taken_for_a_yes(body in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(reply) = Reply::parse("Power1 ON", &body) {
            prop_assert!(reply.power(1).is_err());
            read_as_everything(&reply);
        }
    }
}
