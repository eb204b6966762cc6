//! Whatever a plug answers without having done it, the driver does not take it for done.

use std::time::Duration;

use plug_driver::{LeaseReading, Outlet as _};
use plug_sim::{Device, Profile};

use crate::bench::{Bench, profiles, trials};

const LEASE: Duration = Duration::from_hours(1);

/// Replies of plugs, and of what lives where a plug was, that are no yes to anything.
const ODD: [&str; 14] = [
    "",
    "{}",
    "null",
    "[]",
    "ON",
    r#"{"WARNING":"Need user=<username>&password=<password>"}"#,
    r#"{"WARNING":"Enter command cmnd="}"#,
    r#"{"WARNING":"Enable weblog 2 if response expected"}"#,
    r#"{"Command":"Unknown"}"#,
    r#"{"Command":"Error"}"#,
    r#"{"POWER2":"ON"}"#,
    r#"{"ison":true,"has_timer":true}"#,
    r#"{"StatusSTS":{"POWER":"BLINK"}}"#,
    "<!DOCTYPE html><html><head><title>Plug - Main Menu</title></head><body>ON</body></html>",
];

/// Whether the plug is in truth as an operation's success would say.
fn believes_a_lie(device: &Device, on: bool, lease: LeaseReading) -> bool {
    let leased = matches!(lease, LeaseReading::Remaining(_));
    device.is_on(1) != on || (leased && device.lease_remaining(1).is_none())
}

#[tokio::test]
async fn no_odd_reply_is_a_success_of_any_operation_on_any_firmware() {
    let (mut tried, mut false_successes) = (0, 0);
    for (_, profile) in profiles() {
        for (index, odd) in (0..).zip(ODD) {
            for was_on in [false, true] {
                let mut device = Device::new(profile.clone());
                device.console(if was_on { "Power1 1" } else { "Power1 0" });
                let bench = Bench::new(profile.clone(), index).await;
                bench.replace(device);
                bench.between().instead = Some(Box::new(|_, _, _| odd.to_owned()));
                let mut outlet = bench.outlet(1);
                let results = [
                    outlet.on(Some(LEASE)).await,
                    outlet.on(None).await,
                    outlet.off().await,
                    outlet.clear_lease().await,
                    outlet.read().await,
                ];
                tried += results.len();
                false_successes += results.iter().filter(|result| result.is_ok()).count();
            }
        }
    }
    println!("odd replies: {tried} operations, {false_successes} false successes");
    assert_eq!(false_successes, 0);
}

/// A reply that was whole, damaged at one place.
fn damaged(body: &str, random: &mut fastrand::Rng) -> String {
    let mut bytes = body.as_bytes().to_vec();
    match random.u8(0..4) {
        0 => bytes.truncate(random.usize(..=bytes.len())),
        1 if !bytes.is_empty() => {
            let at = random.usize(..bytes.len());
            bytes[at] = random.u8(..);
        }
        2 if !bytes.is_empty() => {
            let at = random.usize(..bytes.len());
            bytes.drain(at..random.usize(at..=bytes.len()));
        }
        _ => {
            let odd = ODD[random.usize(..ODD.len())];
            bytes.splice(random.usize(..=bytes.len()).., odd.bytes());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn no_plug_that_says_yes_and_does_nothing_is_believed_however_its_replies_are_damaged() {
    let trials = trials(600);
    let (mut tried, mut false_successes) = (0, 0);
    for (index, (_, profile)) in (0..).zip(profiles()) {
        let bench = Bench::new(profile.clone(), index).await;
        for trial in 0..trials.div_ceil(profiles().len()) {
            let mut device = Device::new(profile.clone());
            let on = trial % 2 == 0;
            device.console(if on { "Power1 0" } else { "Power1 1" });
            bench.replace(device);
            // Orders are dreamt of; questions are answered truly, or in pieces.
            bench.between().instead = Some(Box::new(|command, body, random| {
                let order = command.contains(' ') && !command.starts_with("Status");
                if (order && random.bool()) || random.u8(0..20) == 0 {
                    damaged(body, random)
                } else {
                    body.to_owned()
                }
            }));
            let mut outlet = bench.outlet(1);
            let result = if on { outlet.on(Some(LEASE)).await } else { outlet.off().await };
            tried += 1;
            if let Ok(reading) = result
                && believes_a_lie(&bench.between().device, reading.on, reading.lease)
            {
                false_successes += 1;
            }
        }
    }
    println!("lies and damaged replies: {tried} operations, {false_successes} false successes");
    assert_eq!(false_successes, 0);
}

#[tokio::test]
async fn a_password_is_taken_in_its_header_or_form_and_a_wrong_one_switches_nothing() {
    for (name, profile) in profiles() {
        let profile = Profile { password: Some("joker".to_owned()), ..profile };
        let bench = Bench::new(profile.clone(), 1).await;
        let mut right = bench.outlet(1);
        assert!(right.on(Some(LEASE)).await.unwrap().on, "{name}");
        assert!(!right.off().await.unwrap().on, "{name}");
        let takes_any = profile.version >= plug_sim::Version(9, 2, 0, 0)
            && profile.version < plug_sim::Version(9, 3, 0, 1);
        let other = Profile { password: Some("jester".to_owned()), ..profile };
        bench.replace(Device::new(other));
        assert_eq!(right.on(Some(LEASE)).await.is_ok(), takes_any, "{name}");
        assert_eq!(bench.between().device.is_on(1), takes_any, "{name}");
    }
}
