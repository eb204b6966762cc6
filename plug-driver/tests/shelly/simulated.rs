//! Against `plug-sim`, which imitates each profile by what its maker and its users say of it.

use std::time::Duration;

use plug_driver::{
    AnyOutlet, FindingState, Kind, LeaseReading, Outlet as _, Rest, Secret, ShellySettings, Trip,
};
use plug_sim::{FakePlug, Family, Fault, PlugClock, Profile, Restart};
use tokio::time;

const LEASE: Duration = Duration::from_secs(90);

struct Site {
    plug: FakePlug,
    outlet: AnyOutlet,
}

impl Site {
    async fn new(profile: Profile) -> Self {
        let plug = FakePlug::start(profile).await.unwrap();
        let outlet = Self::outlet(&plug);
        Self { plug, outlet }
    }

    /// A driver that knows nothing yet, as after the agent's restart.
    fn outlet(plug: &FakePlug) -> AnyOutlet {
        AnyOutlet::shelly(ShellySettings {
            url: plug.url(),
            relay: 1,
            username: Some("admin".to_owned()),
            password: Some(Secret::new("joker".to_owned())),
        })
        .unwrap()
    }

    /// What the plug holds and what the driver tells of it, which agree within 2 s.
    fn lease_of(&self, reading: plug_driver::Reading) -> Option<Duration> {
        let held = self.plug.lease_remaining(1);
        match (reading.lease, held) {
            (LeaseReading::Remaining(told), Some(held)) => {
                assert!(told.abs_diff(held) <= Duration::from_secs(2), "{told:?} of {held:?}");
            }
            (LeaseReading::None, None) => {}
            other => panic!("{other:?}"),
        }
        held
    }
}

/// Moves the clock that plug and driver share, while their connections run on the real one.
async fn pass(duration: Duration) {
    time::pause();
    time::advance(duration).await;
    time::resume();
}

fn locked() -> impl Iterator<Item = Profile> {
    Profile::shellies()
        .into_iter()
        .map(|profile| Profile { password: Some("joker".into()), ..profile })
}

#[tokio::test]
async fn a_lease_is_armed_renewed_read_back_and_cuts_the_power() {
    for profile in locked().chain(Profile::shellies()) {
        let name = profile.name();
        let mut site = Site::new(profile).await;
        let reading = site.outlet.on(Some(LEASE)).await.unwrap();
        assert!(site.lease_of(reading).is_some() && site.plug.is_on(1), "{name}");
        pass(Duration::from_secs(60)).await;
        let reading = site.outlet.on(Some(LEASE)).await.unwrap();
        assert!(site.lease_of(reading).unwrap() > Duration::from_secs(88), "{name}");
        let reading = Site::outlet(&site.plug).read().await.unwrap();
        assert!(site.lease_of(reading).is_some(), "{name}: met by a driver that did not arm it");
        pass(LEASE + Duration::from_secs(1)).await;
        assert!(!site.plug.is_on(1), "{name}");
        assert!(!site.outlet.read().await.unwrap().on);
    }
}

#[tokio::test]
async fn an_off_stays_off_and_leaves_nothing_that_could_switch_on() {
    for profile in locked() {
        let mut site = Site::new(profile).await;
        site.outlet.on(Some(LEASE)).await.unwrap();
        let off = site.outlet.off().await.unwrap();
        assert_eq!((off.on, off.lease), (false, LeaseReading::None));
        site.outlet.clear_lease().await.unwrap();
        pass(LEASE * 2).await;
        assert!(!site.plug.is_on(1));
        assert_eq!(site.plug.history().iter().filter(|switch| switch.on).count(), 1);
    }
}

#[tokio::test]
async fn logins_that_the_plug_forgot_cost_one_question_and_no_failure() {
    for profile in locked() {
        let mut site = Site::new(profile).await;
        site.outlet.read().await.unwrap();
        for _ in 0..3 {
            site.plug.forget_logins();
            site.outlet.on(Some(LEASE)).await.unwrap();
            site.plug.forget_logins();
            assert!(!site.outlet.off().await.unwrap().on);
        }
    }
}

#[tokio::test]
async fn a_restart_is_noticed_and_the_lease_armed_again() {
    for profile in locked() {
        for kind in [Restart::Warm, Restart::Cold] {
            let mut site = Site::new(profile.clone()).await;
            let before = site.outlet.on(Some(LEASE)).await.unwrap();
            pass(Duration::from_secs(5)).await;
            site.plug.restart(kind);
            let after = site.outlet.read().await.unwrap();
            assert!(after.uptime < before.uptime || before.uptime == Some(Duration::ZERO));
            assert_eq!((after.lease, after.on), (LeaseReading::None, kind == Restart::Warm));
            let reading = site.outlet.on(Some(LEASE)).await.unwrap();
            assert!(site.lease_of(reading).is_some());
        }
    }
}

#[tokio::test]
async fn whatever_the_plugs_clock_shows_a_lease_is_told_right_or_not_at_all() {
    for clock in [PlugClock::Off(-5_000), PlugClock::Off(40), PlugClock::Unset] {
        for profile in locked() {
            let mut site = Site::new(profile).await;
            site.outlet.on(Some(LEASE)).await.unwrap();
            pass(Duration::from_secs(20)).await;
            site.plug.set_clock(clock);
            let reading = site.outlet.read().await.unwrap();
            assert!(reading.on);
            if site.plug.lease_remaining(1).is_some() && reading.lease != LeaseReading::None {
                site.lease_of(reading);
            }
            let reading = site.outlet.on(Some(LEASE)).await.unwrap();
            assert!(site.lease_of(reading).is_some(), "{clock:?}");
        }
    }
}

#[tokio::test]
async fn overload_is_a_refusal_with_the_plugs_own_word() {
    for profile in locked() {
        let mut site = Site::new(profile).await;
        site.plug.set_power_w(1, 3_000.0);
        let error = site.outlet.on(Some(LEASE)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused);
        assert!(error.fault().to_string().contains("overpower"), "{}", error.fault());
        let reading = site.outlet.read().await.unwrap();
        assert_eq!((reading.on, reading.trip), (false, Some(Trip::Overpower)));
        assert!(!site.plug.is_on(1));
    }
}

/// It was taken for a thumb on the button, and the customer sat in the dark without a word.
#[tokio::test]
async fn a_plug_that_switched_itself_off_tells_why_until_it_is_on_again() {
    for profile in locked() {
        let name = profile.name();
        let mut site = Site::new(profile).await;
        assert_eq!(site.outlet.on(Some(LEASE)).await.unwrap().trip, None, "{name}");
        site.plug.set_power_w(1, 3_000.0);
        let reading = site.outlet.read().await.unwrap();
        assert_eq!((reading.on, reading.trip), (false, Some(Trip::Overpower)), "{name}");
        site.plug.set_power_w(1, 60.0);
        site.plug.set_error(1, None);
        assert_eq!(site.outlet.on(Some(LEASE)).await.unwrap().trip, None, "{name}");
        site.plug.press_button(1);
        let reading = site.outlet.read().await.unwrap();
        assert_eq!((reading.on, reading.trip), (false, None), "{name}: that was a thumb");
    }
}

#[tokio::test]
async fn energy_is_watt_hours_in_every_profile_and_nothing_without_a_meter() {
    for profile in locked() {
        let mut site = Site::new(profile.clone()).await;
        site.plug.set_power_w(1, 600.0);
        site.outlet.on(Some(LEASE * 60)).await.unwrap();
        pass(Duration::from_mins(30)).await;
        let reading = site.outlet.read().await.unwrap();
        assert_eq!(reading.power_w, Some(600.0));
        let (told, true_wh) = (reading.energy_wh.unwrap(), site.plug.energy_wh(1));
        assert!((told - true_wh).abs() < 1.0 && true_wh > 299.0, "{told} of {true_wh}");
        let mut site = Site::new(Profile { meter: false, ..profile }).await;
        let reading = site.outlet.read().await.unwrap();
        assert_eq!((reading.power_w, reading.energy_wh), (None, None));
    }
}

#[tokio::test]
async fn watts_through_welded_contacts_are_told_beside_an_off() {
    for profile in locked() {
        let mut site = Site::new(profile).await;
        site.plug.set_power_w(1, 85.2);
        site.outlet.on(Some(LEASE)).await.unwrap();
        site.plug.set_welded(1, true);
        assert!(!site.outlet.off().await.unwrap().on, "it says so");
        pass(Duration::from_secs(60)).await;
        let reading = site.outlet.read().await.unwrap();
        assert_eq!((reading.on, reading.power_w), (false, Some(85.2)));
    }
}

#[tokio::test]
async fn no_fault_of_a_plug_is_taken_for_an_off() {
    for fault in [
        Fault::Unreachable,
        Fault::ResetMidBody,
        Fault::ObeysButReplyLost,
        Fault::EmptyReply,
        Fault::Html,
        Fault::Lies,
        Fault::Refuses("{}".into()),
        Fault::WrongPassword,
        Fault::NullResult,
        Fault::NoHandler,
    ] {
        for profile in locked() {
            if fault == Fault::NoHandler && profile.family == Family::ShellyGen1 {
                continue;
            }
            let mut site = Site::new(profile.clone()).await;
            site.outlet.on(Some(LEASE)).await.unwrap();
            site.plug.set_fault(fault.clone());
            for result in [site.outlet.off().await, site.outlet.off().await] {
                let Ok(reading) = result else { continue };
                assert!(!reading.on && !site.plug.is_on(1), "{fault:?} {}", profile.name());
            }
            site.plug.clear_fault();
            assert!(!site.outlet.off().await.unwrap().on, "{fault:?}");
            assert!(!site.plug.is_on(1), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_null_result_is_decided_by_the_read_back() {
    let mut site = Site::new(Profile::shelly_gen2_2_0()).await;
    site.outlet.on(Some(LEASE)).await.unwrap();
    site.plug.set_fault_for(Fault::NullResult, 1);
    assert!(!site.outlet.off().await.unwrap().on);
    assert!(!site.plug.is_on(1));
}

/// `doctor --fix` gave a modem what makes a washer safe, and it stayed off when the mains came back.
#[tokio::test]
async fn a_plug_of_what_rests_on_comes_back_on_by_itself_and_cuts_nothing() {
    for profile in locked() {
        let name = profile.name();
        let mut site = Site::new(profile).await;
        for finding in site.outlet.audit().await.unwrap() {
            site.outlet.mend(&finding).await.unwrap();
        }
        let mut outlet = Site::outlet(&site.plug).resting(Rest::On);
        let found = outlet.audit().await.unwrap();
        let wrong = found.iter().filter(|it| it.state == FindingState::Mendable);
        let wrong: Vec<_> = wrong.cloned().collect();
        let names: Vec<_> = wrong.iter().map(|it| it.setting.as_str()).collect();
        assert!(
            matches!(names[..], ["default_state" | "initial_state", "auto_off"]),
            "{name}: {names:?}"
        );
        for finding in &wrong {
            outlet.mend(finding).await.unwrap();
        }
        let found = outlet.audit().await.unwrap();
        assert!(found.iter().all(|it| it.state == FindingState::Good), "{name}: {found:?}");
        outlet.on(None).await.unwrap();
        site.plug.restart(Restart::Cold);
        pass(Duration::from_hours(20)).await;
        assert!(site.plug.is_on(1), "{name}");
        let mut kept = Site::outlet(&site.plug).resting(Rest::Keep);
        for finding in kept.audit().await.unwrap() {
            kept.mend(&finding).await.unwrap();
        }
        for on in [true, false] {
            if on { kept.on(None).await } else { kept.off().await }.unwrap();
            site.plug.restart(Restart::Cold);
            assert_eq!(site.plug.is_on(1), on, "{name}");
        }
    }
}

#[tokio::test]
async fn the_settings_are_audited_and_mended() {
    for profile in locked() {
        let mut site = Site::new(profile).await;
        let found = site.outlet.audit().await.unwrap();
        assert!(found.iter().any(|it| it.state == FindingState::Mendable), "{found:?}");
        for finding in &found {
            site.outlet.mend(finding).await.unwrap();
        }
        let found = site.outlet.audit().await.unwrap();
        assert!(found.iter().all(|it| it.state == FindingState::Good), "{found:?}");
        // The backstop is armed by a bare on, and is as long as a lease may be.
        let reading = site.outlet.on(Some(LEASE)).await.unwrap();
        assert!(site.lease_of(reading).unwrap() <= LEASE);
    }
}
