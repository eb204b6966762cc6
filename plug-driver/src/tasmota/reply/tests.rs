use proptest::prelude::*;

use super::*;

fn reply(body: &str) -> Result<Reply, Fault> {
    Reply::parse("Power1 ON", body.as_bytes())
}

fn power(body: &str, relay: u8) -> Option<bool> {
    reply(body).and_then(|reply| reply.power(relay, &Words::default())).ok()
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
        let fault = reply(body).and_then(|reply| reply.power(1, &Words::default())).unwrap_err();
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
        let state = reply(&body).unwrap().state(1, &Words::default()).ok();
        let seen = state.map(|state| (state.on, state.uptime.map(|uptime| uptime.as_secs())));
        assert_eq!(seen, expected, "{body}");
    }
    let not_a_status = reply(r#"{"POWER":"ON"}"#).unwrap().state(1, &Words::default());
    assert!(not_a_status.is_err());
    let odd_name = b"{\"StatusSTS\":{\"POWER\":\"ON\",\"Wifi\":{\"SSId\":\"caf\xe9\"}}}";
    let state = Reply::parse("Status 11", odd_name).unwrap().state(1, &Words::default());
    assert!(state.unwrap().on);
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
fn watts_and_watt_hours_are_one_number_or_one_a_channel() {
    let load = |energy: &str, relay, relays| {
        let body = format!("{{\"StatusSNS\":{{\"Time\":\"x\",\"ENERGY\":{energy}}}}}");
        let load = reply(&body).unwrap().load(relay, relays);
        load.map(|load| (load.power_w, load.energy_wh))
    };
    let plain = r#"{"Total":1.25,"Power":  85.2,"Voltage":230}"#;
    assert_eq!(load(plain, 1, 1), Some((Some(85.2), Some(1_250.0))));
    let padded = r#"{"Total":" 0.500","Power":"  0","Voltage":230}"#;
    assert_eq!(load(padded, 1, 1), Some((Some(0.0), Some(500.0))));
    let channels = r#"{"Total":[0.5,2],"Power":[0,61],"Voltage":230}"#;
    assert_eq!(load(channels, 2, 2), Some((Some(61.0), Some(2_000.0))));
    assert_eq!(load(channels, 1, 1), Some((Some(61.0), Some(2_500.0))), "phases of one relay");
    assert_eq!(load(channels, 2, 3), Some((None, None)), "whose channels are they");
    assert_eq!(load(plain, 1, 2), Some((None, None)), "one meter for several relays");
    let mixed = r#"{"Total":7.5,"Power":[0,61]}"#;
    assert_eq!(load(mixed, 2, 2), Some((Some(61.0), None)));
    for odd in [r#"{"Total":-1,"Power":null}"#, r#"{"Total":"nan","Power":[]}"#, "{}", "7"] {
        assert_eq!(load(odd, 1, 1), Some((None, None)), "{odd}");
    }
    let no_meter = r#"{"StatusSNS":{"DS18B20":{"Temperature":20.1}}}"#;
    assert!(reply(no_meter).unwrap().load(1, 1).is_none());
}

#[test]
fn the_words_for_off_and_on_may_be_any_two_that_are_told_apart() {
    let german = Words::new("AUS", "AN");
    let power = |body: &str, words: &Words| reply(body).unwrap().power(1, words).ok();
    assert_eq!(power(r#"{"POWER":"AN"}"#, &german), Some(true));
    assert_eq!(power(r#"{"POWER":"AUS"}"#, &german), Some(false));
    assert_eq!(power(r#"{"POWER":"an"}"#, &german), None);
    let swapped = Words::new("ON", "OFF");
    assert_eq!(power(r#"{"POWER":"ON"}"#, &swapped), Some(false), "its own word counts");
    assert_eq!(power(r#"{"POWER":"X"}"#, &Words::new("X", "X")), None);
    for (off, on, clear) in [
        ("OFF", "ON", true),
        ("0", "1", true),
        ("AUS", "AN", true),
        ("ON", "OFF", false),
        ("AUS", "0", false),
        ("on", "AN", false),
        ("X", "X", false),
    ] {
        assert_eq!(Words::new(off, on).are_clear(), clear, "{off} {on}");
    }
}

#[test]
fn status_0_tells_the_particulars_in_old_and_new_forms() {
    let particulars = |body: &str| reply(body).unwrap().particulars();
    let new = r#"{"Status":{"Power":"00","PowerLock":"10","PowerOnState":3},
        "StatusPRM":{"BootCount":7},"StatusFWR":{"Version":"14.4.1(tasmota)"}}"#;
    let expected = Particulars {
        version: Version::parse("14.4.1"),
        boot_count: Some(7),
        power_on_state: Some(3),
        locked: true,
    };
    assert_eq!(particulars(new), expected);
    let old = r#"{"Status":{"Power":-2,"PowerOnState":0},"StatusPRM":{"BootCount":7},
        "StatusFWR":{"Version":"8.5.0(tasmota)"}}"#;
    let version = Version::parse("8.5.0");
    let expected = Particulars { version, power_on_state: Some(0), locked: false, ..expected };
    assert_eq!(particulars(old), expected);
    let nothing = particulars("{}");
    assert_eq!((nothing.version, nothing.boot_count, nothing.locked), (None, None, false));
}

#[test]
fn a_rule_timer_is_its_own_and_in_whole_seconds() {
    let timer = |body: &str, relay| reply(body).unwrap().rule_timer(relay).ok();
    let body = r#"{"T1":0,"T2":3595,"T3":65536,"T10":7}"#;
    assert_eq!(timer(body, 1), Some(None));
    assert_eq!(timer(body, 2), Some(Some(Duration::from_secs(3_595))));
    for relay in [3, 4] {
        assert_eq!(timer(body, relay), None, "T{relay}");
    }
    assert_eq!(timer(r#"{"T1":"7"}"#, 1), None);
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
    let words = Words::default();
    let _ = (reply.state(1, &words), reply.timed_power(), reply.pulse_time(1));
    let _ = (reply.load(1, 1), reply.load(0, 2), reply.timed_power_cleared(1));
    let _ = (reply.particulars(), reply.rule_timer(1), reply.stored_rule(1, &words));
    let _ = (reply.is_unknown_command(), reply.is_command_error(), reply.unexpected());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(50_000))]

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
            prop_assert!(reply.power(1, &Words::default()).is_err());
            read_as_everything(&reply);
        }
    }
}
