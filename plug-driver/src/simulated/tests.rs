//! What the outlet without a device does, in still time.

use tokio::time::advance;

use super::*;
use crate::{Finding, FindingState, Kind};

const MINUTE: Duration = Duration::from_secs(60);

fn outlet() -> (Simulated, SimulatedControl) {
    let outlet = Simulated::new(Behaviour { load_w: Some(60.0), ..Behaviour::default() });
    let control = outlet.control();
    (outlet, control)
}

impl SimulatedControl {
    fn conduct(&self, conduct: Conduct) {
        let behaviour = settled(&self.device).behaviour;
        self.behave(Behaviour { conduct, ..behaviour });
    }
}

#[tokio::test(start_paused = true)]
async fn it_counts_the_energy_of_its_load_and_stops_when_the_lease_cuts_it() {
    let (mut outlet, _) = outlet();
    assert_eq!(outlet.on(Some(MINUTE * 30)).await.unwrap().energy_wh, Some(0.0));
    advance(MINUTE * 10).await;
    assert_eq!(outlet.read().await.unwrap().energy_wh, Some(10.0));
    advance(MINUTE * 50).await;
    let reading = outlet.read().await.unwrap();
    assert_eq!((reading.on, reading.energy_wh), (false, Some(30.0)));
}

#[tokio::test(start_paused = true)]
async fn its_settings_are_of_no_account_and_nothing_of_it_is_mended() {
    let (mut outlet, _) = outlet();
    assert_eq!(outlet.audit().await.unwrap(), []);
    let text = |text: &str| text.to_owned();
    let finding = Finding {
        setting: text("Fuse"),
        wanted: text("16 A"),
        actual: text("none"),
        why: "it burns",
        state: FindingState::ByHand,
    };
    assert_eq!(outlet.mend(&finding).await.unwrap_err().kind(), Kind::Refused);
    outlet.mend(&Finding { state: FindingState::Good, ..finding }).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_cuts_the_power_by_itself() {
    let (mut outlet, control) = outlet();
    let reading = outlet.on(Some(MINUTE)).await.unwrap();
    assert_eq!((reading.on, reading.lease), (true, LeaseReading::Remaining(MINUTE)));
    advance(MINUTE - RESOLUTION).await;
    assert!(control.is_powered());
    advance(RESOLUTION).await;
    let reading = outlet.read().await.unwrap();
    assert_eq!((reading.on, reading.lease), (false, LeaseReading::None));
    assert_eq!((reading.power_w, reading.uptime), (Some(0.0), Some(MINUTE)));
}

#[tokio::test(start_paused = true)]
async fn an_on_renews_the_lease_or_takes_it_away() {
    let (mut outlet, _) = outlet();
    outlet.on(Some(MINUTE)).await.unwrap();
    advance(MINUTE / 2).await;
    let renewed = outlet.on(Some(MINUTE)).await.unwrap();
    assert_eq!(renewed.lease, LeaseReading::Remaining(MINUTE));
    assert_eq!(outlet.on(None).await.unwrap().lease, LeaseReading::None);
    advance(MINUTE * 2).await;
    assert!(outlet.read().await.unwrap().on);
}

#[tokio::test(start_paused = true)]
async fn an_off_leaves_the_lease_and_clearing_it_leaves_the_relay() {
    let (mut outlet, _) = outlet();
    outlet.on(Some(MINUTE)).await.unwrap();
    let off = outlet.off().await.unwrap();
    assert_eq!((off.on, off.lease), (false, LeaseReading::Remaining(MINUTE)));
    outlet.on(Some(MINUTE)).await.unwrap();
    let cleared = outlet.clear_lease().await.unwrap();
    assert_eq!((cleared.on, cleared.lease), (true, LeaseReading::None));
}

#[tokio::test(start_paused = true)]
async fn one_that_stalls_fails_in_time_and_its_lease_still_runs() {
    let (mut outlet, control) = outlet();
    outlet.on(Some(MINUTE)).await.unwrap();
    control.conduct(Conduct::Stall);
    let began = Instant::now();
    assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Transient);
    assert_eq!(began.elapsed(), OFF_LIMIT);
    assert_eq!(outlet.read().await.unwrap_err().kind(), Kind::Transient);
    assert!(control.is_powered());
    advance(MINUTE).await;
    assert!(!control.is_powered());
}

#[tokio::test(start_paused = true)]
async fn one_that_lies_is_given_away_only_by_its_watts() {
    let (mut outlet, control) = outlet();
    outlet.on(None).await.unwrap();
    control.conduct(Conduct::Lie);
    let reading = outlet.off().await.unwrap();
    assert_eq!((reading.on, reading.power_w), (false, Some(60.0)));
    assert!(control.is_powered());
}

#[tokio::test(start_paused = true)]
async fn one_that_refuses_can_still_be_read() {
    let (mut outlet, control) = outlet();
    control.conduct(Conduct::Refuse);
    assert_eq!(outlet.on(Some(MINUTE)).await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(outlet.clear_lease().await.unwrap_err().kind(), Kind::Refused);
    assert!(!outlet.read().await.unwrap().on);
}

#[tokio::test(start_paused = true)]
async fn one_that_sticks_is_contradicted_by_its_read_back() {
    let (mut outlet, control) = outlet();
    outlet.on(Some(MINUTE)).await.unwrap();
    control.conduct(Conduct::Stick);
    assert_eq!(outlet.off().await.unwrap_err().kind(), Kind::Contradicted);
    advance(MINUTE * 2).await;
    let reading = outlet.read().await.unwrap();
    assert_eq!((reading.on, reading.power_w), (true, Some(60.0)));
}

#[tokio::test(start_paused = true)]
async fn one_without_leases_is_never_switched_on_under_one() {
    let mut outlet = Simulated::new(Behaviour { leases: false, ..Behaviour::default() });
    assert_eq!(outlet.capabilities().lease, None);
    assert_eq!(outlet.on(Some(MINUTE)).await.unwrap_err().kind(), Kind::Refused);
    let reading = outlet.on(None).await.unwrap();
    assert_eq!((reading.on, reading.lease), (true, LeaseReading::Unsupported));
}

#[tokio::test(start_paused = true)]
async fn a_restart_and_a_button_are_seen_in_the_next_reading() {
    let (mut outlet, control) = outlet();
    outlet.on(Some(MINUTE)).await.unwrap();
    advance(RESOLUTION).await;
    control.restart();
    let reading = outlet.read().await.unwrap();
    assert_eq!((reading.on, reading.lease), (false, LeaseReading::None));
    assert_eq!((reading.uptime, reading.boot_count), (Some(Duration::ZERO), Some(2)));
    control.press_button();
    assert!(outlet.read().await.unwrap().on);
}
