//! The simulated Shellys: what they answer, when they switch, what they forget. In virtual time,
//! without sockets.

mod gen1;
mod gen2;
mod logins;

use std::time::Duration;

use plug_sim::{By, Device, Fault, PlugClock, Profile, Request, Restart};
use serde_json::{Value, json};

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn get(plug: &mut Device, target: &str) -> (u16, Value) {
    let reply = plug.handle(&Request::get(target));
    (reply.response().expect("an answer").0, reply.json())
}

/// Both generations switch through this: `on` with a timer where there is one.
fn switch(plug: &mut Device, on: bool, flip_after: Option<u64>) {
    let gen1 = plug.profile().name() == "shelly-gen1";
    let (target, timer) = if gen1 {
        (format!("/relay/0?turn={}", if on { "on" } else { "off" }), "timer")
    } else {
        (format!("/rpc/Switch.Set?id=0&on={on}"), "toggle_after")
    };
    let timer = flip_after.map(|seconds| format!("&{timer}={seconds}")).unwrap_or_default();
    assert_eq!(get(plug, &(target + &timer)).0, 200);
}

fn plugs() -> impl Iterator<Item = Device> {
    Profile::shellies().into_iter().map(Device::new)
}

#[test]
fn a_timer_switches_off_by_itself_and_the_same_call_renews_it() {
    for mut plug in plugs() {
        switch(&mut plug, true, Some(60));
        plug.advance(seconds(40));
        assert_eq!(plug.lease_remaining(1), Some(seconds(20)));
        switch(&mut plug, true, Some(60));
        plug.advance(Duration::from_millis(59_999));
        assert!(plug.is_on(1));
        plug.advance(Duration::from_millis(1));
        assert!(!plug.is_on(1));
        assert_eq!(plug.history().last().unwrap().by, By::Timer);
        assert_eq!(plug.history().last().unwrap().at, seconds(100));
    }
}

#[test]
fn a_timer_on_an_off_switches_on_later() {
    for mut plug in plugs() {
        switch(&mut plug, true, None);
        switch(&mut plug, false, Some(30));
        assert_eq!(plug.lease_remaining(1), None, "that is none");
        plug.advance(seconds(30));
        assert!(plug.is_on(1));
    }
}

#[test]
fn auto_off_cuts_whatever_switched_on_and_a_timer_takes_its_place() {
    for mut plug in plugs() {
        if plug.profile().name() == "shelly-gen1" {
            plug.console("/settings/relay/0?auto_off=100");
        } else {
            plug.console(
                r#"Switch.SetConfig {"id":0,"config":{"auto_off":true,"auto_off_delay":100}}"#,
            );
        }
        plug.press_button(1);
        plug.advance(seconds(100));
        assert!(!plug.is_on(1));
        switch(&mut plug, true, Some(300));
        assert_eq!(plug.lease_remaining(1), Some(seconds(300)));
        assert_eq!(plug.flash_writes(), 1, "a setting is written, a timer never");
    }
}

#[test]
fn a_restart_loses_the_timer_and_the_mains_obey_the_initial_state() {
    for mut plug in plugs() {
        switch(&mut plug, true, Some(60));
        plug.advance(seconds(10));
        plug.restart(Restart::Warm);
        assert!(plug.is_on(1), "a warm one leaves the relay alone");
        assert_eq!(plug.lease_remaining(1), None);
        assert_eq!((plug.uptime(), plug.boot_count()), (seconds(0), 2));
        plug.restart(Restart::Cold);
        assert!(!plug.is_on(1));
    }
}

#[test]
fn auto_off_starts_anew_after_a_restart() {
    let mut plug = Device::new(Profile::shelly_gen1());
    plug.console("/settings/relay/0?auto_off=100&default_state=last");
    switch(&mut plug, true, None);
    plug.advance(seconds(90));
    plug.restart(Restart::Cold);
    assert_eq!((plug.is_on(1), plug.lease_remaining(1)), (true, Some(seconds(100))));
}

#[test]
fn a_reboot_that_was_asked_for_is_answered_first() {
    for mut plug in plugs() {
        let gen1 = plug.profile().name() == "shelly-gen1";
        let target = if gen1 { "/reboot" } else { "/rpc/Shelly.Reboot?delay_ms=500" };
        assert_eq!(get(&mut plug, target).0, 200);
        assert_eq!(plug.boot_count(), 1);
        plug.advance(seconds(1));
        assert_eq!(plug.boot_count(), 2);
    }
}

#[test]
fn too_much_load_switches_off_and_keeps_off() {
    for mut plug in plugs() {
        switch(&mut plug, true, Some(60));
        plug.set_power_w(1, 4_000.0);
        assert!(!plug.is_on(1));
        assert_eq!(plug.history().last().unwrap().by, By::Protection);
        switch(&mut plug, true, Some(60));
        assert!(!plug.is_on(1), "it stays off while something is wrong");
        plug.set_power_w(1, 60.0);
        plug.set_error(1, None);
        switch(&mut plug, true, Some(60));
        assert!(plug.is_on(1));
    }
}

#[test]
fn a_welded_relay_shows_no_watts_for_45_s_and_counts_none_for_80_s() {
    for mut plug in plugs() {
        plug.set_power_w(1, 85.0);
        switch(&mut plug, true, None);
        plug.advance(seconds(3_600));
        plug.set_welded(1, true);
        switch(&mut plug, false, None);
        let watts = |plug: &mut Device| {
            let name = plug.profile().name();
            let status = get(
                plug,
                if name == "shelly-gen1" { "/status" } else { "/rpc/Switch.GetStatus?id=0" },
            )
            .1;
            if name == "shelly-gen1" {
                status["meters"][0]["power"].clone()
            } else {
                status["apower"].clone()
            }
        };
        plug.advance(seconds(44));
        assert_eq!(watts(&mut plug), json!(0.0));
        plug.advance(seconds(1));
        assert_eq!(watts(&mut plug), json!(85.0));
        plug.advance(seconds(35));
        assert!((plug.energy_wh(1) - 85.0).abs() < 0.001, "{}", plug.energy_wh(1));
        plug.advance(seconds(3_600));
        assert!((plug.energy_wh(1) - 170.0).abs() < 0.001, "{}", plug.energy_wh(1));
        assert!((plug.drawn_w(1) - 85.0).abs() < f64::EPSILON);
    }
}
