//! When the power goes if the node is dead, the plug restarts, or replies are lost.

use std::time::Duration;

use plug_driver::{LeaseReading, Outlet as _};
use plug_sim::{Device, Profile, Restart};

use crate::bench::{Bench, profiles, trials, with_guard};

const HOUR: Duration = Duration::from_hours(1);
/// What may pass between the deadline and the plug's own off.
const LATEST: Duration = Duration::from_secs(15);
/// More requests than any on takes.
const LONGEST_ON: u32 = 30;

fn seconds(range: std::ops::Range<u64>, random: &mut fastrand::Rng) -> Duration {
    Duration::from_secs(random.u64(range)) + Duration::from_millis(random.u64(0..1_000))
}

/// When the plug switched the relay off by itself, in the end.
fn cut_at(bench: &Bench) -> Option<Duration> {
    bench.advance(HOUR * 19);
    let between = bench.between();
    assert!(!between.device.is_on(1), "on for ever");
    between.device.history().last().map(|change| change.at)
}

#[tokio::test]
async fn a_dead_node_s_lease_cuts_between_the_deadline_and_15_s_after_it() {
    let trials = trials(600);
    println!("node killed at a random request of an on or an extension:");
    for (index, (name, profile)) in (0..).zip(profiles()) {
        let mut random = fastrand::Rng::with_seed(index);
        let bench = Bench::new(profile.clone(), index).await;
        let (mut leased, mut extended) = (0, 0);
        let (mut earliest, mut latest) = (LATEST, Duration::ZERO);
        for _ in 0..trials.div_ceil(profiles().len()) {
            bench.replace(Device::new(profile.clone()));
            bench.advance(seconds(0..40 * 86_400, &mut random));
            let mut outlet = bench.outlet(1);
            if random.bool() {
                outlet.read().await.unwrap();
            }
            bench.between().alive_for = Some(random.u32(1..LONGEST_ON));
            let session = seconds(60..60_000, &mut random);
            let mut deadlines = vec![bench.now() + session];
            let on = outlet.on(Some(with_guard(session))).await;
            if on.is_ok() {
                leased += 1;
                bench.advance(session.mul_f64(random.f64() * 0.9));
                let rest = deadlines[0].saturating_sub(bench.now());
                let by = seconds(30..4_000, &mut random);
                bench.between().alive_for = Some(random.u32(1..LONGEST_ON));
                deadlines.push(deadlines[0] + by);
                if outlet.on(Some(with_guard(rest + by))).await.is_ok() {
                    extended += 1;
                    deadlines.remove(0);
                }
            }
            let Some(cut) = cut_at(&bench) else { continue };
            let late = deadlines.iter().rev().find_map(|deadline| cut.checked_sub(*deadline));
            let late = late.unwrap_or_else(|| panic!("{name}: cut at {cut:?} for {deadlines:?}"));
            assert!(late <= LATEST, "{name}: {late:?} late for {deadlines:?}");
            (earliest, latest) = (earliest.min(late), latest.max(late));
        }
        println!(
            "  {name:<20} {leased:>5} leased {extended:>5} extended: cut {:.2} to {:.2} s after the deadline",
            earliest.as_secs_f64(),
            latest.as_secs_f64()
        );
        assert!(leased > 0 && extended > 0);
    }
}

#[tokio::test]
async fn a_rule_timer_that_is_lost_is_caught_by_the_static_backstop() {
    let bench = Bench::new(Profile::tasmota_12_4(), 1).await;
    bench.outlet(1).on(Some(HOUR)).await.unwrap();
    bench.between().device.set_rules_busy(true);
    let on_at = bench.now();
    let cut = cut_at(&bench).unwrap() - on_at;
    println!(
        "rule engine busy at the end of a lease of 1 h: cut after {:.1} h",
        cut.as_secs_f64() / 3_600.0
    );
    assert!(cut <= HOUR * 18 + Duration::from_secs(1));
}

#[tokio::test]
async fn a_plug_that_crashes_under_a_dead_node_goes_off_at_once_with_the_boot_rule() {
    println!("node dead and plug restarted warm:");
    for (name, profile) in profiles() {
        let bench = Bench::new(profile, 1).await;
        let mut outlet = bench.outlet(1);
        for finding in outlet.audit().await.unwrap() {
            if finding.state == plug_driver::FindingState::Mendable {
                outlet.mend(&finding).await.unwrap();
            }
        }
        outlet.on(Some(HOUR)).await.unwrap();
        bench.advance(HOUR / 2);
        bench.between().device.restart(Restart::Warm);
        let at = bench.now();
        let off_after = cut_at(&bench).map(|cut| cut.saturating_sub(at)).unwrap();
        let rules = !name.contains("without");
        println!("  {name:<20} off after {:.1} s", off_after.as_secs_f64());
        let bound = if rules { Duration::from_secs(5) } else { HOUR * 18 };
        assert!(off_after <= bound, "{name}: {off_after:?}");
    }
}

#[tokio::test]
async fn a_restart_of_the_plug_in_a_session_is_seen_by_the_next_read_and_armed_to_the_rest() {
    println!("plug restarted warm in a session, node alive:");
    for (name, profile) in profiles() {
        let bench = Bench::new(profile, 1).await;
        bench.advance(HOUR);
        let mut outlet = bench.outlet(1);
        let deadline = bench.now() + HOUR;
        outlet.on(Some(HOUR)).await.unwrap();
        let before = outlet.read().await.unwrap();
        bench.advance(HOUR / 2);
        bench.between().device.restart(Restart::Warm);
        bench.advance(Duration::from_secs(7));
        let answering = bench.now();
        let after = outlet.read().await.unwrap();
        assert!(after.uptime < before.uptime && after.boot_count > before.boot_count, "{name}");
        let rest = deadline - bench.now();
        let LeaseReading::Remaining(armed) = outlet.on(Some(rest)).await.unwrap().lease else {
            panic!("{name}: no lease");
        };
        let took = bench.now() - answering;
        let wrong = bench.cuts_at().abs_diff(deadline);
        println!(
            "  {name:<20} armed again after {:.2} s, off by {:.2} s",
            took.as_secs_f64(),
            wrong.as_secs_f64()
        );
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
        assert!(wrong <= Duration::from_secs(2), "{name}: {armed:?} for {rest:?}");
    }
}

#[tokio::test]
async fn an_extension_that_was_confirmed_is_never_shorter_than_it_said_however_much_is_lost() {
    println!("extensions while 30 of 100 replies are lost:");
    let trials = trials(240).div_ceil(profiles().len()).min(200);
    for (index, (name, profile)) in (0..).zip(profiles()) {
        let bench = Bench::new(profile.clone(), index).await;
        let (mut tries, mut most) = (0, 0);
        for _ in 0..trials {
            bench.replace(Device::new(profile.clone()));
            let mut outlet = bench.outlet(1);
            outlet.on(Some(HOUR)).await.unwrap();
            let promised = bench.cuts_at();
            bench.between().lost_percent = 30;
            let until = bench.now() + HOUR * 2;
            let mut took = 0;
            loop {
                took += 1;
                let rest = until - bench.now();
                let extended = outlet.on(Some(rest)).await;
                let cut = bench.cuts_at();
                match extended {
                    Ok(_) => {
                        assert!(cut >= until, "{name}: {cut:?} for {until:?}");
                        break;
                    }
                    // The node's owner is told nothing yet; what it was told before still holds.
                    Err(_) => assert!(cut >= promised, "{name}: {cut:?} for {promised:?}"),
                }
                bench.advance(Duration::from_millis(500));
            }
            // Polls under the same losses change nothing.
            for _ in 0..5 {
                let _ = outlet.read().await;
            }
            assert!(bench.cuts_at() >= until, "{name}");
            (tries, most) = (tries + took, most.max(took));
        }
        println!(
            "  {name:<20} {:.1} tries in the mean, {most} at most",
            f64::from(tries) / f64::from(u32::try_from(trials).unwrap())
        );
    }
}
