//! The plug's own timers, in virtual time: what arms, renews, cancels and survives.

use plug_sim::Switch;
use tokio::time::{Instant, advance};

use super::*;

/// Commands at the console only: virtual time and sockets don't mix.
async fn console(profile: Profile) -> FakePlug {
    start(profile).await
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// How long after `since` the relay went off by a timer; waits for it.
async fn off_by_timer(plug: &FakePlug, since: Instant) -> Duration {
    plug.until(|plug| !plug.is_on(1)).await;
    let Switch { at, by, on, .. } = *plug.history().last().expect("it switched");
    assert_eq!((on, by), (false, By::Timer));
    at - since
}

#[tokio::test(start_paused = true)]
async fn timed_power_switches_on_and_by_itself_off_again() {
    let plug = console(Profile::tasmota_13_4()).await;
    let start = Instant::now();
    assert_eq!(plug.console("TimedPower1 60000"), r#"{"POWER":"ON"}"#);
    advance(seconds(20)).await;
    let list = plug.console("TimedPower");
    assert_eq!(list, r#"{"TimedPower":[{"Command":"Power1 0","Remaining":40000}]}"#);
    assert_eq!(plug.lease_remaining(1), Some(seconds(40)));
    plug.console("TimedPower1 100000");
    assert_eq!(off_by_timer(&plug, start).await, seconds(120));
    assert_eq!(plug.console("TimedPower"), r#"{"TimedPower":"Empty"}"#);
    assert_eq!(plug.flash_writes(), 2, "the power state, never the timer");
}

#[tokio::test(start_paused = true)]
async fn timed_power_is_cleared_by_prefix_and_not_by_off() {
    let plug = console(Profile { relays: 2, ..Profile::tasmota_13_4() }).await;
    plug.console("TimedPower1 60000");
    plug.console("TimedPower2 60000");
    plug.console("Power1 OFF");
    plug.press_button(2);
    assert!(!plug.is_on(1) && !plug.is_on(2));
    assert!(plug.lease_remaining(1).is_some(), "a stale one waits for the next customer");
    assert_eq!(plug.console("TimedPower1"), r#"{"TimedPower1":"Done"}"#);
    assert_eq!((plug.lease_remaining(1), plug.lease_remaining(2)), (None, Some(seconds(60))));
    assert_eq!(plug.console("TimedPower3 60000"), r#"{"Command":"Error"}"#);
}

#[tokio::test(start_paused = true)]
async fn timed_power_0_is_a_pulse_of_50_ms() {
    for argument in ["0", "banana", "-5"] {
        let plug = console(Profile::tasmota_14_4()).await;
        let start = Instant::now();
        plug.console(&format!("TimedPower1 {argument}"));
        assert!(plug.is_on(1));
        assert_eq!(off_by_timer(&plug, start).await, Duration::from_millis(50));
    }
}

#[tokio::test(start_paused = true)]
async fn timed_power_is_unknown_before_13_4() {
    for profile in Profile::tasmotas() {
        let has = profile.version >= Version(13, 4, 0, 0);
        let plug = console(profile).await;
        let known = plug.console("TimedPower1 60000") == r#"{"POWER":"ON"}"#;
        assert_eq!((known, plug.is_on(1)), (has, has));
    }
}

#[tokio::test(start_paused = true)]
async fn pulse_time_is_armed_by_each_on_and_cancelled_by_off() {
    let plug = console(Profile::tasmota_12_4()).await;
    assert_eq!(plug.console("PulseTime1 400"), r#"{"PulseTime1":{"Remaining":400,"Set":400}}"#);
    plug.console("Power1 OFF");
    assert_eq!(plug.lease_remaining(1), None);
    plug.console("Power1 ON");
    advance(seconds(100)).await;
    assert_eq!(plug.console("PulseTime1"), r#"{"PulseTime1":{"Remaining":300,"Set":400}}"#);
    plug.console("Power1");
    assert_eq!(plug.lease_remaining(1), Some(seconds(200)), "a query changes nothing");
    let start = Instant::now();
    plug.console("Power1 ON");
    assert_eq!(off_by_timer(&plug, start).await, seconds(300));
    plug.console("PulseTime1 5");
    plug.console("Power1 ON");
    let start = Instant::now();
    assert_eq!(off_by_timer(&plug, start).await, Duration::from_millis(500));
}

#[tokio::test(start_paused = true)]
async fn before_9_4_0_1_a_bare_query_cancels_the_pulse() {
    for profile in Profile::tasmotas() {
        let cancels = profile.version < Version(9, 4, 0, 1);
        let plug = console(profile).await;
        plug.console("PulseTime1 400");
        plug.console("Power1 ON");
        assert_eq!(plug.console("Power1"), r#"{"POWER":"ON"}"#);
        assert_eq!(plug.lease_remaining(1).is_none(), cancels);
        plug.console("Power1 ON");
        plug.console("Status 11");
        plug.console("PulseTime1");
        assert_eq!(plug.lease_remaining(1), Some(seconds(300)), "these are safe to ask");
    }
}

#[tokio::test(start_paused = true)]
async fn power_0_arms_no_pulse_and_cancels_none() {
    let plug = console(Profile::tasmota_14_4()).await;
    plug.console("PulseTime1 400");
    advance(seconds(10)).await;
    plug.console("Power0 ON");
    assert_eq!(plug.lease_remaining(1), Some(seconds(290)), "it runs since it was set");
    plug.console("Power0 OFF");
    assert!(plug.lease_remaining(1).is_some());
    plug.console("Power1 OFF");
    plug.console("Power0 ON");
    assert_eq!(plug.lease_remaining(1), None);
}

#[tokio::test(start_paused = true)]
async fn pulse_time_answers_as_its_firmware_does() {
    let two = |profile| Profile { relays: 2, ..profile };
    let old = console(two(Profile::tasmota_9_5())).await;
    old.console("PulseTime2 0300");
    let answer: Value = serde_json::from_str(&old.console("PulseTime")).unwrap();
    assert_eq!(answer["PulseTime2"], json!({ "Set": 192, "Remaining": 192 }), "octal");
    let new = console(two(Profile::tasmota_12_4())).await;
    new.console("PulseTime2 300");
    let answer: Value = serde_json::from_str(&new.console("PulseTime")).unwrap();
    assert_eq!(answer, json!({ "PulseTime": { "Set": [0, 300], "Remaining": [0, 300] } }));
    let ancient = console(Profile::tasmota(Version(6, 5, 0, 0))).await;
    ancient.console("PulseTime1 300");
    advance(seconds(4)).await;
    assert_eq!(ancient.console("PulseTime1"), r#"{"PulseTime1":"300 (Active 296)"}"#);
}

#[tokio::test(start_paused = true)]
async fn a_rule_timer_cuts_through_its_rule() {
    let plug = console(Profile::tasmota_9_5()).await;
    plug.console("Rule1 ON Rules#Timer=1 DO Power1 0 ENDON");
    plug.console("RuleTimer1 30");
    assert_eq!(plug.lease_remaining(1), None, "the rule is not enabled");
    plug.console("Rule1 1");
    plug.console("Power1 ON");
    assert_eq!(plug.lease_remaining(1), Some(seconds(30)));
    advance(seconds(10)).await;
    let start = Instant::now();
    let timers: Value = serde_json::from_str(&plug.console("RuleTimer1 60")).unwrap();
    assert_eq!((&timers["T1"], &timers["T8"]), (&json!(60), &json!(0)));
    assert_eq!(off_by_timer(&plug, start).await, seconds(60));
    assert_eq!(plug.console("RuleTimer9 1"), r#"{"Command":"Error"}"#);
    let bare = console(Profile { rules: false, ..Profile::tasmota_9_5() }).await;
    assert_eq!(bare.console("RuleTimer1 60"), r#"{"Command":"Unknown"}"#);
}

#[tokio::test(start_paused = true)]
async fn a_rule_timer_that_ends_while_the_rules_are_busy_is_lost() {
    let plug = console(Profile::tasmota_9_5()).await;
    plug.console("Rule1 ON Rules#Timer=1 DO Power1 0 ENDON");
    plug.console("Rule1 1");
    plug.console("RuleTimer1 30");
    plug.console("Power1 ON");
    plug.set_rules_busy(true);
    advance(seconds(31)).await;
    plug.set_rules_busy(false);
    advance(seconds(1_000)).await;
    assert!(plug.is_on(1) && plug.lease_remaining(1).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_backlog_answers_before_it_is_done_and_is_cleared_by_an_empty_one() {
    let plug = console(Profile { relays: 3, ..Profile::tasmota_9_5() }).await;
    let start = Instant::now();
    assert_eq!(plug.console("Backlog Power1 1; Power2 1; Delay 10; Power3 1"), "{}");
    plug.until(|plug| plug.is_on(3)).await;
    let at: Vec<Duration> = plug.history().iter().map(|switch| switch.at - start).collect();
    assert_eq!(at, [0, 200, 1_600].map(Duration::from_millis));
    plug.console("Backlog Delay 100; Power1 0");
    advance(seconds(1)).await;
    plug.console("Backlog");
    advance(seconds(60)).await;
    assert!(plug.is_on(1));
    plug.console(&format!("Backlog {}Power1 0", "Power2 1;".repeat(30)));
    advance(seconds(60)).await;
    assert!(plug.is_on(1), "the 31st is dropped");
}

#[tokio::test(start_paused = true)]
async fn after_a_warm_restart_the_load_is_on_again_and_the_lease_is_gone_or_full() {
    let plug = console(Profile::tasmota_13_4()).await;
    plug.console("PowerOnState 0");
    plug.console("TimedPower1 60000");
    plug.restart(Restart::Warm);
    assert!(plug.is_on(1), "PowerOnState counts after a cold start only");
    assert_eq!(plug.lease_remaining(1), None);
    plug.console("PulseTime1 400");
    advance(seconds(200)).await;
    plug.restart(Restart::Warm);
    assert_eq!(plug.lease_remaining(1), Some(seconds(300)));
    plug.restart(Restart::Cold);
    assert!(!plug.is_on(1));
    assert_eq!(plug.history().last().unwrap().by, By::Restart);
}

#[tokio::test(start_paused = true)]
async fn a_boot_rule_cuts_what_a_warm_restart_brought_back() {
    let plug = console(Profile::tasmota_9_5()).await;
    plug.console("Rule1 ON Power1#Boot DO Power1 0 ENDON");
    plug.console("Rule1 1");
    plug.console("Power1 ON");
    plug.restart(Restart::Warm);
    let last = *plug.history().last().unwrap();
    assert_eq!((last.on, last.by), (false, By::Rule));
}

#[tokio::test(start_paused = true)]
async fn a_locked_relay_has_no_lease() {
    let plug = console(Profile::tasmota_14_4()).await;
    plug.console("TimedPower1 60000");
    assert_eq!(plug.console("PowerLock1 ON"), r#"{"PowerLock1":"ON"}"#);
    assert_eq!(plug.console("Power1 OFF"), r#"{"POWER":"ON"}"#);
    advance(seconds(1_000)).await;
    assert!(plug.is_on(1));
    let old = console(Profile::tasmota_13_4()).await;
    assert_eq!(old.console("PowerLock1 ON"), r#"{"Command":"Unknown"}"#);
}

#[tokio::test]
async fn timers_run_in_real_time_and_leave_wall_instants() {
    let plug = start(Profile::tasmota_14_4()).await;
    ask(&plug, "TimedPower1 200").await;
    limit(plug.until(|plug| !plug.is_on(1))).await;
    let history = plug.history();
    let apart = history[1].at_ms - history[0].at_ms;
    assert!((195..2_000).contains(&apart), "{apart} ms");
}
