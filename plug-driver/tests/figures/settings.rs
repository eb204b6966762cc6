//! The audit: what it finds in a plug as it leaves the box, what it mends and what that costs.

use plug_driver::{FindingState, Kind, Outlet as _};
use plug_sim::Profile;

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
        let hour = std::time::Duration::from_hours(1);
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
