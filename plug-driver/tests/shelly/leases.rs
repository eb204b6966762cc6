//! What a plug is told, and in which order, to hold and to lose a lease.

use std::time::Duration;

use crate::scripted::ScriptedPlug;
use crate::wire::Wire;
use plug_driver::{Kind, LeaseReading, Outlet as _, Reading};
use tokio::time;

const LEASE: Duration = Duration::from_secs(90);

fn remaining(reading: Reading) -> Duration {
    match reading.lease {
        LeaseReading::Remaining(remaining) => remaining,
        other @ (LeaseReading::Unsupported | LeaseReading::None) => panic!("{other:?}"),
    }
}

fn about(wanted: Duration, reading: Reading) -> bool {
    let remaining = remaining(reading);
    remaining <= wanted && remaining + Duration::from_secs(2) >= wanted
}

/// Moves the clock that plug and driver share, while their connections run on the real one.
async fn pass(duration: Duration) {
    time::pause();
    time::advance(duration).await;
    time::resume();
}

#[tokio::test]
async fn each_generation_holds_the_lease_in_the_timer_of_its_on() {
    for (generation, told) in [
        (1, ["/shelly", "/status", "/settings/relay/0", "/relay/0?turn=on&timer=90", "/status"]),
        (
            2,
            [
                "/shelly",
                "/rpc/Shelly.GetStatus",
                "/rpc/Switch.GetConfig?id=0",
                "/rpc/Switch.Set?id=0&on=true&toggle_after=90",
                "/rpc/Shelly.GetStatus",
            ],
        ),
    ] {
        let plug = ScriptedPlug::start(generation, 1).await;
        let mut outlet = plug.outlet(1);
        let reading = outlet.on(Some(LEASE)).await.unwrap();
        assert!(reading.on && about(LEASE, reading), "{generation}: {reading:?}");
        assert_eq!(plug.targets(), told);
        // A renewal is the same on, and asks for nothing that is known.
        let renewed = outlet.on(Some(LEASE * 2)).await.unwrap();
        assert!(about(LEASE * 2, renewed), "{generation}: {renewed:?}");
        assert_eq!(plug.targets(), [told[3].replace("90", "180").as_str(), told[4]]);
        pass(LEASE * 2 - Duration::from_secs(1)).await;
        assert!(plug.device().relays[0].on);
        pass(Duration::from_secs(1)).await;
        assert!(!plug.device().relays[0].on);
        assert_eq!(outlet.read().await.unwrap().lease, LeaseReading::None);
    }
}

#[tokio::test]
async fn third_and_fourth_generations_are_spoken_to_like_the_second() {
    for generation in [3, 4] {
        let plug = ScriptedPlug::start(generation, 2).await;
        assert!(plug.outlet(2).on(Some(LEASE)).await.unwrap().on);
        assert!(plug.targets().contains(&"/rpc/Switch.Set?id=1&on=true&toggle_after=90".into()));
        assert_eq!(plug.device().relays.iter().map(|it| it.on).collect::<Vec<_>>(), [false, true]);
    }
}

#[tokio::test]
async fn a_lease_is_whole_seconds_from_1_to_18_hours() {
    for (lease_ms, seconds) in [(0, 1.0), (1_500, 2.0), (64_800_001, 64_800.0)] {
        for generation in [1, 2] {
            let plug = ScriptedPlug::start(generation, 1).await;
            let lease = Duration::from_millis(lease_ms);
            plug.outlet(1).on(Some(lease)).await.unwrap();
            assert_eq!(plug.device().relays[0].flips.unwrap().1, seconds, "{lease_ms}");
        }
    }
    let limits = ScriptedPlug::start(1, 1).await.outlet(1).capabilities().lease.unwrap();
    assert_eq!((limits.max, limits.resolution), (Duration::from_hours(18), Duration::from_secs(1)));
}

#[tokio::test]
async fn an_off_is_sent_first_ends_the_timer_and_never_arms_one() {
    for (generation, told) in [
        (1, ["/relay/0?turn=off", "/status"]),
        (2, ["/rpc/Switch.Set?id=0&on=false", "/rpc/Shelly.GetStatus"]),
    ] {
        let plug = ScriptedPlug::start(generation, 1).await;
        let mut outlet = plug.outlet(1);
        outlet.on(Some(LEASE)).await.unwrap();
        plug.targets();
        let off = outlet.off().await.unwrap();
        assert_eq!((off.on, off.lease), (false, LeaseReading::None));
        assert_eq!(plug.targets(), told);
        pass(LEASE).await;
        assert!(!plug.device().relays[0].on, "it flipped back");
        let cleared = outlet.clear_lease().await.unwrap();
        assert_eq!((cleared.on, cleared.lease), (false, LeaseReading::None));
        assert_eq!(plug.targets(), told[1..], "nothing runs, so nothing is sent");
    }
}

#[tokio::test]
async fn an_off_of_a_stranger_asks_who_it_is_and_no_more() {
    let plug = ScriptedPlug::start(2, 1).await;
    plug.device().relays[0].on = true;
    assert!(!plug.outlet(1).off().await.unwrap().on);
    let told = ["/shelly", "/rpc/Switch.Set?id=0&on=false", "/rpc/Shelly.GetStatus"];
    assert_eq!(plug.targets(), told);
}

#[tokio::test]
async fn clearing_leaves_the_relay_on_and_takes_the_timer_and_the_backstop_away() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 1).await;
        plug.device().relays[0].auto_off = 64_800.0;
        let mut outlet = plug.outlet(1);
        outlet.on(Some(LEASE)).await.unwrap();
        let cleared = outlet.clear_lease().await.unwrap();
        assert_eq!((cleared.on, cleared.lease), (true, LeaseReading::None), "{generation}");
        // A bare on would have armed it.
        assert_eq!(plug.device().relays[0].auto_off, 0.0);
        let reading = plug.outlet(1).on(None).await.unwrap();
        assert_eq!((reading.on, reading.lease), (true, LeaseReading::None), "{generation}");
    }
}

#[tokio::test]
async fn a_lease_that_ends_soon_is_not_taken_away_since_that_could_switch_on_again() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 1).await;
        let mut outlet = plug.outlet(1);
        outlet.on(Some(Duration::from_secs(9))).await.unwrap();
        plug.targets();
        assert_eq!(outlet.clear_lease().await.unwrap_err().kind(), Kind::Transient);
        assert_eq!(plug.targets().len(), 1, "it was only read");
        pass(Duration::from_secs(9)).await;
        let cleared = outlet.clear_lease().await.unwrap();
        assert_eq!((cleared.on, cleared.lease), (false, LeaseReading::None), "{generation}");
    }
}

#[tokio::test]
async fn a_timer_that_neither_an_off_nor_an_on_ends_is_told_and_not_denied() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 1).await;
        let mut outlet = plug.outlet(1);
        outlet.on(Some(LEASE)).await.unwrap();
        plug.device().keeps_timers = true;
        assert_eq!(outlet.clear_lease().await.unwrap_err().kind(), Kind::Contradicted);
        let off = outlet.off().await.unwrap();
        assert!(!off.on && about(LEASE, off), "it will switch on by itself: {off:?}");
        let error = outlet.clear_lease().await.unwrap_err();
        assert_eq!(error.kind(), Kind::Contradicted);
        assert!(error.fault().to_string().contains("will switch it on"), "{}", error.fault());
        assert_eq!(outlet.on(None).await.unwrap_err().kind(), Kind::Contradicted);
    }
}

#[tokio::test]
async fn a_standing_auto_off_that_would_cut_first_is_made_the_longest() {
    for (standing, expected) in [(0.0, 0.0), (64_800.0, 64_800.0), (90.0, 90.0), (89.0, 64_800.0)] {
        for generation in [1, 2] {
            let plug = ScriptedPlug::start(generation, 1).await;
            plug.device().relays[0].auto_off = standing;
            assert!(about(LEASE, plug.outlet(1).on(Some(LEASE)).await.unwrap()));
            assert_eq!(plug.device().relays[0].auto_off, expected, "{generation} {standing}");
        }
    }
}

#[tokio::test]
async fn a_timer_that_is_not_the_one_sent_is_a_contradiction() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 1).await;
        let mut outlet = plug.outlet(1);
        plug.device().deaf_to_timers = true;
        assert_eq!(outlet.on(Some(LEASE)).await.unwrap_err().kind(), Kind::Contradicted);
        // Only the backstop runs.
        plug.device().relays[0].auto_off = 3_600.0;
        assert_eq!(outlet.on(Some(LEASE)).await.unwrap_err().kind(), Kind::Contradicted);
        plug.device().deaf_to_timers = false;
        assert!(about(LEASE, outlet.on(Some(LEASE)).await.unwrap()));
    }
}

#[tokio::test]
async fn a_renewal_that_the_plug_only_pretended_is_a_contradiction() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 1).await;
        let mut outlet = plug.outlet(1);
        outlet.on(Some(LEASE)).await.unwrap();
        pass(Duration::from_secs(30)).await;
        {
            let mut device = plug.device();
            (device.deaf_to_timers, device.keeps_timers) = (true, true);
        }
        let error = outlet.on(Some(LEASE)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Contradicted, "{generation}");
        assert!(error.fault().to_string().contains("was read back"), "{}", error.fault());
    }
}

#[tokio::test]
async fn a_lease_that_was_armed_counts_on_our_clock_whatever_the_plugs_clock_does() {
    for skew in [None, Some(0.0), Some(-86_400.0), Some(35.0), Some(1e9)] {
        let plug = ScriptedPlug::start(2, 1).await;
        let mut outlet = plug.outlet(1);
        plug.device().skew = skew;
        outlet.on(Some(LEASE)).await.unwrap();
        pass(Duration::from_secs(40)).await;
        plug.device().skew = skew.map(|skew| skew + 20.0);
        let reading = outlet.read().await.unwrap();
        assert!(about(LEASE - Duration::from_secs(40), reading), "{skew:?}: {reading:?}");
    }
}

#[tokio::test]
async fn a_lease_that_was_met_is_reckoned_by_the_plugs_clock_or_is_none() {
    let plug = ScriptedPlug::start(2, 1).await;
    plug.outlet(1).on(Some(LEASE)).await.unwrap();
    pass(Duration::from_secs(40)).await;
    let reading = plug.outlet(1).read().await.unwrap();
    assert!(about(LEASE - Duration::from_secs(39), reading), "{reading:?}");
    // Its clock was set since, or it has none: nobody knows when it cuts, so it is armed anew.
    for skew in [None, Some(-3_600.0), Some(3_600.0)] {
        plug.device().skew = skew;
        let mut outlet = plug.outlet(1);
        assert_eq!(outlet.read().await.unwrap().lease, LeaseReading::None, "{skew:?}");
        let renewed = outlet.on(Some(LEASE)).await.unwrap();
        assert!(about(LEASE, renewed), "{skew:?}: {renewed:?}");
    }
}

#[tokio::test]
async fn a_restart_of_the_plug_loses_the_lease_and_makes_it_a_stranger() {
    for generation in [1, 2] {
        let plug = ScriptedPlug::start(generation, 1).await;
        let mut outlet = plug.outlet(1);
        let before = outlet.on(Some(LEASE)).await.unwrap();
        assert_eq!(before.uptime, Some(Duration::from_secs(1_000)));
        plug.device().restart();
        plug.device().relays[0].on = true;
        let after = outlet.read().await.unwrap();
        assert_eq!((after.on, after.uptime), (true, Some(Duration::ZERO)), "{generation}");
        assert_eq!(after.lease, LeaseReading::None, "{generation}");
        plug.targets();
        assert!(about(LEASE, outlet.on(Some(LEASE)).await.unwrap()));
        assert_eq!(plug.targets()[0], "/shelly");
    }
}

#[tokio::test]
async fn a_plug_that_was_exchanged_for_one_of_another_generation_is_met_anew() {
    for (before, after) in [(1, 2), (2, 1)] {
        let plug = ScriptedPlug::start(before, 1).await;
        let mut outlet = plug.outlet(1);
        outlet.on(Some(LEASE)).await.unwrap();
        plug.device().generation = after;
        assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Refused);
        assert!(!outlet.off().await.unwrap().on);
    }
}

#[tokio::test]
async fn a_command_whose_reply_was_lost_can_be_sent_again() {
    for (generation, lost) in [
        (1, ["/relay/0?turn=on", "/status", "/shelly"]),
        (2, ["/rpc/Switch.Set", "/rpc/Shelly.GetStatus", "/shelly"]),
    ] {
        for lost in lost {
            let plug = ScriptedPlug::start(generation, 1).await;
            let mut outlet = plug.outlet(1);
            if lost != "/shelly" {
                outlet.read().await.unwrap();
            }
            plug.wire(lost, Wire::ObeyAndClose);
            assert_eq!(outlet.on(Some(LEASE)).await.unwrap_err().kind(), Kind::Transient);
            plug.device().wire.clear();
            let reading = outlet.on(Some(LEASE)).await.unwrap();
            assert!(reading.on && about(LEASE, reading), "{lost}: {reading:?}");
        }
    }
}
