//! What a session costs the plug's flash, and a poll its web server.

use std::time::Duration;

use plug_driver::{LeaseReading, Outlet as _};
use plug_sim::Profile;

use crate::bench::{Bench, profiles};

const HOUR: Duration = Duration::from_hours(1);
/// The relay's state, on and off: what a plug saves of itself unless `SetOption0` is 0.
const STATES: u32 = 2;

/// A session of an hour that was extended and ran out.
async fn session(bench: &Bench, minutes: u32) {
    let mut outlet = bench.outlet(1);
    outlet.on(Some(HOUR)).await.unwrap();
    bench.advance(HOUR / 2);
    outlet.on(Some(HOUR + Duration::from_secs(60) * minutes)).await.unwrap();
    bench.advance(HOUR / 2);
    outlet.off().await.unwrap();
    let cleared = outlet.clear_lease().await.unwrap();
    assert_eq!((cleared.on, cleared.lease), (false, LeaseReading::None));
}

#[tokio::test]
async fn no_session_after_the_first_writes_flash_for_its_timer_but_with_pulse_time() {
    println!("flash writes of a session with one extension, the relay's two states included:");
    for (name, profile) in profiles() {
        let bench = Bench::new(profile.clone(), 1).await;
        let writes = || bench.between().device.flash_writes();
        session(&bench, 1).await;
        let first = writes();
        for minutes in 2..12 {
            session(&bench, minutes).await;
        }
        let each = (writes() - first).div_ceil(10);
        println!("  {name:<20} first {first}, each other {each}");
        let in_memory = profile.rules || profile.version >= Profile::tasmota_13_4().version;
        let timer = each - STATES;
        if in_memory {
            assert_eq!(timer, 0, "{name}");
        } else {
            assert!(timer <= 2, "{name}: {timer}");
        }
    }
}

#[tokio::test]
async fn a_poll_is_two_requests_and_never_switches_or_cancels_anything() {
    for (name, profile) in profiles() {
        let bench = Bench::new(profile, 1).await;
        let mut outlet = bench.outlet(1);
        outlet.on(Some(HOUR)).await.unwrap();
        outlet.read().await.unwrap();
        bench.commands();
        let lease = bench.cuts_at();
        for _ in 0..10 {
            let reading = outlet.read().await.unwrap();
            assert!(reading.on && reading.power_w == Some(60.0), "{name}: {reading:?}");
        }
        assert_eq!(bench.commands().len(), 20, "{name}");
        assert_eq!(bench.cuts_at(), lease, "{name}");
    }
}

#[tokio::test]
async fn energy_is_told_in_watt_hours_and_rises_with_the_load() {
    for (name, profile) in profiles() {
        let bench = Bench::new(profile, 1).await;
        let mut outlet = bench.outlet(1);
        outlet.on(Some(HOUR * 3)).await.unwrap();
        let before = outlet.read().await.unwrap().energy_wh.unwrap();
        bench.advance(HOUR * 2);
        let off = outlet.off().await.unwrap();
        let used = off.energy_wh.unwrap() - before;
        assert!((119.0..=122.0).contains(&used), "{name}: {used} Wh of 60 W in 2 h");
        assert_eq!(off.power_w, None, "{name}: the meter does not look at an open relay");
        bench.between().device.console("SetOption21 1");
        bench.between().device.set_welded(1, true);
        let reading = bench.outlet(1).read().await.unwrap();
        assert_eq!((reading.on, reading.power_w), (false, Some(60.0)), "{name}");
    }
}
