//! The first generation.

use super::*;

fn plug() -> Device {
    Device::made_at(Profile::shelly_gen1(), Duration::from_secs(1_700_000_000))
}

#[test]
fn a_relay_tells_its_timer_in_seconds_of_the_plugs_clock() {
    let mut plug = plug();
    let (_, told) = get(&mut plug, "/relay/0?turn=on&timer=60");
    let expected = json!({
        "ison": true, "has_timer": true, "timer_started": 1_700_000_000, "timer_duration": 60,
        "timer_remaining": 60, "overpower": false, "source": "http",
    });
    assert_eq!(told, expected);
    plug.advance(seconds(15));
    assert_eq!(get(&mut plug, "/relay/0").1["timer_remaining"], 45);
    let (_, told) = get(&mut plug, "/relay/0?turn=off");
    assert_eq!(
        (&told["ison"], &told["has_timer"], &told["timer_remaining"]),
        (&json!(false), &json!(false), &json!(0))
    );
}

#[test]
fn energy_is_counted_in_watt_minutes() {
    let mut plug = plug();
    get(&mut plug, "/relay/0?turn=on");
    plug.advance(seconds(3_600));
    let (_, status) = get(&mut plug, "/status");
    assert_eq!(status["meters"][0]["power"], json!(60.0));
    assert_eq!(status["meters"][0]["total"], json!(3_600), "60 Wh");
    assert_eq!((&status["uptime"], &status["unixtime"]), (&json!(3_600), &json!(1_700_003_600)));
    assert_eq!(status["relays"][0]["ison"], true);
    let mut bare = Device::new(Profile { meter: false, ..Profile::shelly_gen1() });
    assert_eq!(get(&mut bare, "/status").1["meters"], json!([]));
}

#[test]
fn an_unset_clock_tells_no_time_and_a_wrong_one_a_wrong_time() {
    let mut plug = plug();
    plug.set_clock(PlugClock::Unset);
    plug.advance(seconds(7));
    let (_, told) = get(&mut plug, "/relay/0?turn=on&timer=60");
    assert_eq!(told["timer_started"], 7, "since it started");
    assert_eq!(get(&mut plug, "/status").1["unixtime"], 0);
    plug.set_clock(PlugClock::Off(-3_600));
    assert_eq!(get(&mut plug, "/status").1["unixtime"], 1_700_000_007 - 3_600);
}

#[test]
fn settings_are_told_as_they_were_set() {
    let mut plug = plug();
    let (_, told) =
        get(&mut plug, "/settings/relay/0?auto_off=3600&default_state=on&name=cold%20room");
    assert_eq!((&told["auto_off"], &told["default_state"]), (&json!(3600.0), &json!("on")));
    let (_, all) = get(&mut plug, "/settings");
    assert_eq!(all["relays"][0]["name"], "cold room");
    assert_eq!(all["device"]["type"], "SHPLG-S");
    assert_eq!(get(&mut plug, "/settings/relay/0?auto_off=0").1["auto_off"], 0.0);
    assert_eq!(plug.flash_writes(), 2);
    plug.restart(Restart::Cold);
    assert!(plug.is_on(1));
}

#[test]
fn refusals_are_plain_text() {
    let mut plug = plug();
    for (target, status, text) in [
        ("/relay/1", 404, "Not Found"),
        ("/joy", 404, "Not Found"),
        ("/relay/0?turn=banana", 400, "Bad turn!"),
        ("/relay/0?turn=on&timer=soon", 400, "Bad timer!"),
        ("/settings/relay/0?default_state=banana", 400, "Bad default_state!"),
    ] {
        assert_eq!(plug.handle(&Request::get(target)).response(), Some((status, text)));
    }
    assert!(!plug.is_on(1) && plug.flash_writes() == 0);
    assert_eq!(plug.requests().len(), 5);
}

#[test]
fn with_a_password_only_the_identity_is_free() {
    let mut plug =
        Device::new(Profile { password: Some("word".to_owned()), ..Profile::shelly_gen1() });
    assert_eq!(get(&mut plug, "/shelly").1["auth"], true);
    assert_eq!(
        plug.handle(&Request::get("/relay/0?turn=on")).response(),
        Some((401, "401 Unauthorized"))
    );
    let wrong = Request::get("/relay/0?turn=on").with_basic("admin", "worD");
    assert_eq!(plug.handle(&wrong).response().unwrap().0, 401);
    assert!(!plug.is_on(1));
    plug.handle(&Request::get("/relay/0?turn=on").with_basic("admin", "word"));
    assert!(plug.is_on(1));
}

#[test]
fn a_relay_that_protects_itself_says_so() {
    let mut plug = plug();
    get(&mut plug, "/relay/0?turn=on");
    plug.set_error(1, Some("overpower"));
    let (_, told) = get(&mut plug, "/relay/0?turn=on");
    assert_eq!((&told["ison"], &told["overpower"]), (&json!(false), &json!(true)));
}
