//! What a plug is told, and in which order, to hold and to lose a lease.

use std::time::Duration;

use crate::scripted::{Firmware, Rule, ScriptedPlug, Wire};
use crate::still_time::StillTime;
use plug_driver::{Kind, LeaseReading, Outlet as _};

const LEASE: Duration = Duration::from_secs(90);
const HELD: LeaseReading = LeaseReading::Remaining(LEASE);

/// What an on asks of a plug that it meets for the first time.
const MEETING: [&str; 3] = ["Status 0", "StateText1", "StateText2"];
const RULES: [&str; 3] = ["Rule1", "Rule2", "Rule3"];
const RULE: &str = "ON Rules#Timer=1 DO Power1 0 ENDON ON Power1#Boot DO Power1 0 ENDON";

fn after_meeting(commands: &[&str]) -> Vec<String> {
    MEETING.iter().chain(commands).map(|command| (*command).to_owned()).collect()
}

#[tokio::test]
async fn each_firmware_holds_the_lease_in_the_best_timer_that_it_has() {
    let _still = StillTime::begin();
    let pulse_time = ["PulseTime1", "PulseTime1 190", "Power1 ON", "Status 11", "PulseTime1"];
    let looking =
        ["RuleTimer", pulse_time[0], pulse_time[1], pulse_time[2], pulse_time[3], pulse_time[4]];
    let timed_power = ["TimedPower", "PulseTime1", "TimedPower1 90000", "Status 11", "TimedPower"];
    for (firmware, commands) in [
        (Firmware::Old, &pulse_time[..]),
        (Firmware::Lite, &looking[..]),
        (Firmware::V13_4, &timed_power[..]),
    ] {
        let plug = ScriptedPlug::start(firmware, 1).await;
        let reading = plug.outlet(1).on(Some(LEASE)).await.unwrap();
        assert_eq!((reading.on, reading.lease), (true, HELD), "{firmware:?}");
        assert_eq!(plug.commands(), after_meeting(commands), "{firmware:?}");
    }
}

#[tokio::test]
async fn a_rule_timer_is_armed_before_the_switch_and_its_rule_is_stored_once() {
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::V12_4, 1).await;
    let mut outlet = plug.outlet(1);
    let reading = outlet.on(Some(LEASE)).await.unwrap();
    assert_eq!((reading.on, reading.lease), (true, HELD));
    let set = format!("Rule1 {RULE}");
    let expected = [
        &["RuleTimer"],
        &RULES[..],
        &RULES[..],
        &[set.as_str(), "Rule1", "Rule1 1"],
        &RULES[..],
        &["PulseTime1", "PulseTime1 64900"],
        &["RuleTimer1 90", "Power1 ON", "Status 11", "RuleTimer"],
    ];
    assert_eq!(plug.commands(), after_meeting(&expected.concat()));

    outlet.on(Some(LEASE * 2)).await.unwrap();
    let renewal = ["Rule1", "RuleTimer1 180", "Power1 ON", "Status 11", "RuleTimer"];
    assert_eq!(plug.commands(), renewal, "no flash is written");
    assert_eq!(plug.device().pulse[0].0, 64_900, "the backstop");

    let off = outlet.off().await.unwrap();
    assert_eq!((off.on, off.lease), (false, LeaseReading::Remaining(LEASE * 2)));
    assert_eq!(outlet.clear_lease().await.unwrap().lease, LeaseReading::None);
    assert_eq!(plug.device().rule_timers, [0; 8]);
}

#[tokio::test]
async fn each_relay_has_a_rule_and_a_rule_timer_of_its_own() {
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::V12_4, 2).await;
    for slot in [1, 2] {
        plug.device().rules[slot].text = "ON Wifi#Connected DO Delay 1 ENDON".to_owned();
    }
    let [mut first, mut second] = [plug.outlet(1), plug.outlet(2)];
    first.on(Some(LEASE)).await.unwrap();
    second.on(Some(LEASE * 2)).await.unwrap();
    assert_eq!(plug.device().rule_timers[..3], [90, 180, 0]);
    let rule = plug.device().rules[0].clone();
    assert_eq!(rule.text, format!("{RULE} {}", RULE.replace('1', "2")));
    assert!(rule.enabled);
    assert_eq!(first.read().await.unwrap().lease, HELD);
    assert_eq!(second.read().await.unwrap().lease, LeaseReading::Remaining(LEASE * 2));
}

#[tokio::test]
async fn relays_that_go_on_together_do_not_write_over_each_other_s_rule() {
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::V12_4, 4).await;
    let [mut a, mut b, mut c, mut d] = [1, 2, 3, 4].map(|relay| plug.outlet(relay));
    let lease = Some(LEASE);
    let (a, b, c, d) = tokio::join!(a.on(lease), b.on(lease), c.on(lease), d.on(lease));
    for reading in [a, b, c, d] {
        assert_eq!(reading.unwrap().lease, HELD);
    }
    let device = plug.device();
    for relay in ["1", "2", "3", "4"] {
        let rule = RULE.replace('1', relay);
        assert!(device.rules.iter().any(|it| it.enabled && it.text.contains(&rule)), "{relay}");
    }
}

#[tokio::test]
async fn a_rule_that_is_not_stored_as_it_was_sent_holds_no_lease() {
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::V12_4, 1).await;
    plug.wire("Rule1 ON ", Wire::Instead("{}".to_owned()));
    let reading = plug.outlet(1).on(Some(LEASE)).await.unwrap();
    assert_eq!((reading.on, reading.lease), (true, HELD));
    let device = plug.device();
    assert_eq!((device.rule_timers[0], device.pulse[0]), (0, (190, 190)));
}

#[tokio::test]
async fn somebody_elses_rules_are_never_touched_and_then_pulse_time_holds_the_lease() {
    let _still = StillTime::begin();
    let theirs = "ON Wifi#Connected DO Delay 1 ENDON";
    let with_our_timer = "ON Rules#Timer=1 DO Power2 TOGGLE ENDON";
    for rules in [[theirs; 3], [with_our_timer, "", ""]] {
        let plug = ScriptedPlug::start(Firmware::V12_4, 1).await;
        let rules = rules.map(|text| Rule { text: text.to_owned(), enabled: true, once: true });
        plug.device().rules.clone_from(&rules);
        let reading = plug.outlet(1).on(Some(LEASE)).await.unwrap();
        assert_eq!((reading.on, reading.lease), (true, HELD));
        assert_eq!(plug.device().pulse[0], (190, 190));
        assert_eq!(plug.device().rules, rules);
    }
}

#[tokio::test]
async fn our_rule_is_woken_where_somebody_put_it_to_sleep() {
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::V12_4, 1).await;
    let mut outlet = plug.outlet(1);
    outlet.on(Some(LEASE)).await.unwrap();
    let asleep = Rule { text: RULE.to_owned(), enabled: false, once: true };
    plug.device().rules[0] = asleep;
    outlet.on(Some(LEASE)).await.unwrap();
    let awake = Rule { text: RULE.to_owned(), enabled: true, once: false };
    assert_eq!(plug.device().rules[0], awake);
}

#[tokio::test]
async fn a_rule_timer_that_reckons_wrong_is_stopped_and_pulse_time_holds_the_lease() {
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::V12_4, 1).await;
    plug.wire("RuleTimer1 ", Wire::Chunks(usize::MAX));
    let wrong = r#"{"T1":4000,"T2":0}"#;
    let mut outlet = plug.outlet(1);
    outlet.read().await.unwrap();
    plug.wire("RuleTimer", Wire::Instead(wrong.to_owned()));
    let reading = outlet.on(Some(LEASE)).await.unwrap();
    assert_eq!((reading.on, reading.lease), (true, HELD));
    let device = plug.device();
    assert_eq!((device.rule_timers[0], device.pulse[0]), (0, (190, 190)));
}

#[tokio::test]
async fn each_relay_is_switched_by_its_own_number() {
    let _still = StillTime::begin();
    for firmware in [Firmware::Old, Firmware::Lite, Firmware::V12_4, Firmware::V13_4] {
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
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::V13_4, 2).await;
    let mut outlet = plug.outlet(3);
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(outlet.read().await.unwrap_err().kind(), Kind::Refused);
}

#[tokio::test]
async fn an_off_is_sent_first_and_leaves_the_timer_to_clear_lease() {
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    plug.outlet(1).on(Some(LEASE)).await.unwrap();
    plug.commands();
    let mut outlet = plug.outlet(1);
    let off = outlet.off().await.unwrap();
    assert_eq!((off.on, off.lease), (false, HELD));
    assert_eq!(plug.commands(), ["Power1 OFF", "Status 0", "TimedPower"]);
    let cleared = outlet.clear_lease().await.unwrap();
    assert_eq!((cleared.on, cleared.lease), (false, LeaseReading::None));
    assert_eq!(plug.commands(), ["TimedPower", "TimedPower1", "TimedPower", "Status 11"]);
}

#[tokio::test]
async fn clearing_never_changes_the_relay_and_spares_the_flash_where_nothing_runs() {
    let _still = StillTime::begin();
    for firmware in [Firmware::Old, Firmware::Lite, Firmware::V12_4, Firmware::V13_4] {
        let plug = ScriptedPlug::start(firmware, 1).await;
        let mut outlet = plug.outlet(1);
        outlet.on(Some(LEASE)).await.unwrap();
        let cleared = outlet.clear_lease().await.unwrap();
        assert_eq!((cleared.on, cleared.lease), (true, LeaseReading::None), "{firmware:?}");
        outlet.on(Some(LEASE)).await.unwrap();
        outlet.off().await.unwrap();
        outlet.clear_lease().await.unwrap();
        let standing = match firmware {
            Firmware::Old | Firmware::Lite => 190,
            Firmware::V12_4 => 64_900,
            Firmware::V13_4 | Firmware::Minimal => 0,
        };
        assert_eq!(plug.device().rule_timers[0], 0);
        assert_eq!(plug.device().pulse[0], (standing, 0), "{firmware:?}");
    }
}

#[tokio::test]
async fn a_stale_timer_is_cleared_and_the_lease_armed_again() {
    let _still = StillTime::begin();
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
    let _still = StillTime::begin();
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
    let _still = StillTime::begin();
    for firmware in [Firmware::Old, Firmware::Lite, Firmware::V12_4, Firmware::V13_4] {
        let plug = ScriptedPlug::start(firmware, 1).await;
        let mut outlet = plug.outlet(1);
        outlet.on(Some(LEASE)).await.unwrap();
        plug.device().pulse[0].0 = 400;
        plug.commands();
        let reading = plug.outlet(1).on(None).await.unwrap();
        assert_eq!((reading.on, reading.lease), (true, LeaseReading::None), "{firmware:?}");
        assert_eq!(plug.device().pulse[0], (0, 0), "{firmware:?}");
        assert!(plug.device().timed.is_empty(), "{firmware:?}");
        assert_eq!(plug.device().rule_timers, [0; 8], "{firmware:?}");
        let commands = plug.commands();
        let switched = commands.iter().position(|command| command == "Power1 ON").unwrap();
        assert_eq!(commands[switched + 1], "Status 11");
        assert!(commands[..switched].contains(&"PulseTime1 0".to_owned()), "{commands:?}");
    }
}

#[tokio::test]
async fn a_standing_pulse_time_that_would_cut_first_is_made_the_longest() {
    let _still = StillTime::begin();
    for (standing, expected) in [(0, 0), (64_900, 64_900), (191, 191), (189, 64_900)] {
        let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
        plug.device().pulse[0].0 = standing;
        assert_eq!(plug.outlet(1).on(Some(LEASE)).await.unwrap().lease, HELD);
        assert_eq!(plug.device().pulse[0].0, expected);
    }
}

#[tokio::test]
async fn a_pulse_time_that_is_not_taken_is_a_refusal() {
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    plug.device().pulse[0].0 = 189;
    plug.wire("PulseTime1 ", Wire::Instead(r#"{"PulseTime1":{"Set":189,"Remaining":0}}"#.into()));
    assert_eq!(plug.outlet(1).on(Some(LEASE)).await.unwrap_err().kind(), Kind::Refused);
    assert!(!plug.device().on[0]);
}

#[tokio::test]
async fn a_lease_that_is_not_read_back_is_a_contradiction() {
    let _still = StillTime::begin();
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
    let plug = ScriptedPlug::start(Firmware::Lite, 1).await;
    plug.device().locked = true;
    plug.device().on[0] = true;
    plug.wire("PulseTime1 ", Wire::Instead(r#"{"PulseTime1":{"Set":190,"Remaining":190}}"#.into()));
    let error = plug.outlet(1).on(Some(LEASE)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Contradicted, "{}", error.fault());
}

#[tokio::test]
async fn a_minimal_firmware_is_switched_without_a_lease_or_not_at_all() {
    let _still = StillTime::begin();
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
    let _still = StillTime::begin();
    for (firmware, resolution_ms) in
        [(Firmware::Lite, 1_000), (Firmware::V12_4, 1_000), (Firmware::V13_4, 50)]
    {
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
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::Lite, 1).await;
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
    assert_eq!(plug.commands(), ["Status 0", "TimedPower"]);
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap().lease, HELD);
    assert_eq!(plug.device().timed, [(90_000, "Power1 0".to_owned())]);
}

#[tokio::test]
async fn a_restart_is_seen_by_the_count_of_starts_too() {
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::Lite, 1).await;
    let mut outlet = plug.outlet(1);
    outlet.read().await.unwrap();
    {
        // Up for longer than when it was last read.
        let mut device = plug.device();
        (device.firmware, device.uptime_s, device.boot_count) = (Firmware::V13_4, 2_000, 8);
    }
    assert_eq!(outlet.read().await.unwrap().boot_count, Some(8));
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap().lease, HELD);
    assert_eq!(plug.device().timed, [(90_000, "Power1 0".to_owned())]);
}

#[tokio::test]
async fn an_error_makes_the_plug_a_stranger_too() {
    let _still = StillTime::begin();
    let plug = ScriptedPlug::start(Firmware::V13_4, 1).await;
    let mut outlet = plug.outlet(1);
    outlet.read().await.unwrap();
    plug.device().firmware = Firmware::Lite;
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(outlet.on(Some(LEASE)).await.unwrap().lease, HELD);
    assert_eq!(plug.device().pulse[0], (190, 190));
}
