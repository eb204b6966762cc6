//! The audit: what it finds in a plug as it leaves the box, what it mends and what that costs.

use std::time::Duration;

use plug_driver::{AnyOutlet, FindingState, Kind, Outlet as _, Rest};
use plug_sim::{Profile, Restart};

use crate::bench::{Bench, profiles};

#[tokio::test]
async fn what_an_audit_finds_is_mended_once_and_then_nothing_is_written_again() {
    println!("settings found and mended in a plug as it leaves the box:");
    for (name, profile) in profiles() {
        let bench = Bench::new(Profile { password: Some("joker".to_owned()), ..profile }, 1).await;
        let writes = || bench.between().device.flash_writes();
        let mut outlet = bench.outlet(1);
        let findings = outlet.audit().await.unwrap();
        assert_eq!(writes(), 0, "{name}: an audit only asks");
        let mendable = findings.iter().filter(|it| it.state == FindingState::Mendable);
        let mendable: Vec<_> = mendable.cloned().collect();
        for finding in &findings {
            assert!(finding.state != FindingState::Good || !finding.setting.is_empty());
            assert!(!finding.why.ends_with('.') && !finding.why.is_empty());
        }
        for finding in &mendable {
            outlet.mend(finding).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        }
        let written = writes();
        println!(
            "  {name:<20} {} findings, {} mended by {written} flash writes",
            findings.len(),
            mendable.len()
        );
        for finding in &mendable {
            outlet.mend(finding).await.unwrap();
        }
        assert_eq!(writes(), written, "{name}: nothing is written where nothing differs");
        for finding in outlet.audit().await.unwrap() {
            assert_eq!(finding.state, FindingState::Good, "{name}: {finding:?}");
        }
        assert!(!bench.between().device.is_on(1));
    }
}

/// Mends all that can be, and gives the names of what was.
async fn mended(outlet: &mut AnyOutlet) -> Vec<String> {
    let mut names = Vec::new();
    for finding in outlet.audit().await.unwrap() {
        if finding.state == FindingState::Mendable {
            outlet.mend(&finding).await.unwrap();
            names.push(finding.setting);
        }
    }
    names
}

/// `doctor --fix` gave a modem what makes a washer safe: after each restart of its plug it was off, and
/// whoever wanted to look at the site from afar could not.
#[tokio::test]
async fn a_plug_of_what_rests_on_comes_back_on_by_itself_and_cuts_nothing() {
    for (name, profile) in profiles() {
        let bench = Bench::new(Profile { password: Some("joker".to_owned()), ..profile }, 1).await;
        // Somebody had it mended before the configuration said that it rests on.
        mended(&mut bench.outlet(1)).await;
        let mut outlet = bench.outlet(1).resting(Rest::On);
        let again = mended(&mut outlet).await;
        assert!(again.iter().any(|it| it == "PowerOnState"), "{name}: {again:?}");
        let ruled = bench.between().device.profile().rules;
        assert_eq!(again.iter().any(|it| it == "Rule"), ruled, "{name}: {again:?}");
        let writes = || bench.between().device.flash_writes();
        let written = writes();
        for finding in outlet.audit().await.unwrap() {
            assert_eq!(finding.state, FindingState::Good, "{name}: {finding:?}");
            outlet.mend(&finding).await.unwrap();
        }
        assert_eq!(writes(), written, "{name}: nothing is written where nothing differs");
        outlet.on(None).await.unwrap();
        for restart in [Restart::Cold, Restart::Warm] {
            bench.between().device.restart(restart);
            bench.advance(Duration::from_hours(20));
            assert!(bench.between().device.is_on(1), "{name}: {restart:?}");
        }
        let back = mended(&mut bench.outlet(1)).await;
        assert!(back.iter().any(|it| it == "PowerOnState"), "{name}: {back:?}");
        bench.between().device.restart(Restart::Cold);
        bench.advance(Duration::from_secs(5));
        assert!(!bench.between().device.is_on(1), "{name}: off again, as what rests off is");
    }
}

/// `PowerOnState` goes for all relays: where one is sold, its neighbour waits for the agent.
#[tokio::test]
async fn a_relay_that_rests_on_beside_another_has_no_say_in_what_goes_for_both() {
    let profile = Profile { relays: 2, ..Profile::tasmota_14_4() };
    let bench = Bench::new(profile, 1).await;
    mended(&mut bench.outlet(1)).await;
    let mut modem = bench.outlet(2).resting(Rest::On);
    mended(&mut modem).await;
    let left = mended(&mut bench.outlet(1)).await;
    assert_eq!(left, [""; 0], "neither undoes what the other needs");
    modem.on(None).await.unwrap();
    bench.between().device.restart(Restart::Warm);
    bench.advance(Duration::from_hours(20));
    assert!(bench.between().device.is_on(2) && !bench.between().device.is_on(1));
}

#[tokio::test]
async fn what_is_kept_as_it_is_comes_back_as_it_was() {
    for (name, profile) in profiles() {
        let bench = Bench::new(profile, 1).await;
        let mut outlet = bench.outlet(1).resting(Rest::Keep);
        mended(&mut outlet).await;
        for on in [true, false] {
            if on { outlet.on(None).await } else { outlet.off().await }.unwrap();
            bench.advance(Duration::from_secs(5));
            bench.between().device.restart(Restart::Cold);
            bench.advance(Duration::from_hours(20));
            assert_eq!(bench.between().device.is_on(1), on, "{name}");
        }
    }
}

#[tokio::test]
async fn a_backstop_that_was_set_fights_no_lease() {
    for (name, profile) in profiles() {
        let bench = Bench::new(profile, 1).await;
        let mut outlet = bench.outlet(1);
        for finding in outlet.audit().await.unwrap() {
            if finding.state == FindingState::Mendable {
                outlet.mend(&finding).await.unwrap();
            }
        }
        let hour = Duration::from_hours(1);
        outlet.on(Some(hour)).await.unwrap();
        let held = bench.between().device.lease_remaining(1).unwrap();
        assert!(hour.abs_diff(held).as_secs() <= 2, "{name}: {held:?}");
    }
}

#[tokio::test]
async fn what_only_a_person_can_change_is_told_as_such() {
    let bench = Bench::new(Profile::tasmota_14_4(), 1).await;
    bench.between().device.console("Rule1 ON Switch1#State DO Power1 TOGGLE ENDON");
    bench.between().device.console("Rule1 1");
    let mut outlet = bench.outlet(1);
    let findings = outlet.audit().await.unwrap();
    let by_hand = findings.iter().filter(|it| it.state == FindingState::ByHand);
    let by_hand: Vec<_> = by_hand.collect();
    let names: Vec<&str> = by_hand.iter().map(|it| it.setting.as_str()).collect();
    assert_eq!(names, ["Rules of others", "WebPassword"]);
    for finding in by_hand {
        assert_eq!(outlet.mend(finding).await.unwrap_err().kind(), Kind::Refused);
    }
}
