//! When the plug cuts the power of a node that died at any moment: never before what was last
//! confirmed, and soon after it.

use std::cell::RefCell;
use std::time::Duration;

use crate::scripted::ScriptedPlug;
use plug_driver::{LeaseReading, Outlet as _};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::time::{self, Instant, timeout};

/// As the node has it: what a lease is longer than what was promised.
const GUARD: Duration = Duration::from_secs(5);
/// The latest that a plug may cut after what was promised.
const LATEST: Duration = Duration::from_secs(15);

#[derive(Debug, Clone)]
struct Life {
    generation: u8,
    /// The clock is set by so much after each step, in seconds; `None`: it has no clock.
    skew: Option<i32>,
    /// `(the next off time from then, what passes before the next)`, in milliseconds.
    renewals: Vec<(u32, u32)>,
    /// The node dies so many microseconds into the last order.
    dies_after_us: u64,
}

fn life() -> impl Strategy<Value = Life> {
    let renewal = (20_000..4_000_000_u32, 0..15_000_u32);
    (
        1..=3_u8,
        prop::option::of(-100_000..100_000_i32),
        prop::collection::vec(renewal, 1..6),
        0..4_000_u64,
    )
        .prop_map(|(generation, skew, renewals, dies_after_us)| Life {
            generation,
            skew,
            renewals,
            dies_after_us,
        })
}

#[test]
fn the_power_of_a_node_that_died_is_cut_after_what_was_promised_and_within_15_s() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let cases = std::env::var("PLUG_TRIALS").map_or(300, |trials| trials.parse().unwrap());
    let mut runner = TestRunner::new(Config { cases, ..Config::default() });
    let cuts = RefCell::new(Vec::new());
    runner
        .run(&life(), |life| {
            cuts.borrow_mut().extend(runtime.block_on(live(life)));
            Ok(())
        })
        .unwrap();
    let cuts = cuts.into_inner();
    let (first, last) = (cuts.iter().min(), cuts.iter().max());
    eprintln!("{} of {cases} cut by the plug, from {first:?} to {last:?} after", cuts.len());
}

/// Lives it; how long after the deadline the plug cut the power, where it was on.
async fn live(life: Life) -> Option<Duration> {
    let plug = ScriptedPlug::start(life.generation, 1).await;
    let mut outlet = plug.outlet(1);
    let mut promised = None;
    let (last, renewals) = life.renewals.split_last().unwrap();
    for &(off_in_ms, passes_ms) in renewals {
        let off_at = Instant::now() + Duration::from_millis(off_in_ms.into());
        let lease = off_at - Instant::now() + GUARD;
        let reading = outlet.on(Some(lease)).await.unwrap();
        let LeaseReading::Remaining(told) = reading.lease else { panic!("{reading:?}") };
        let cuts_at = plug.device().relays[0].flips.unwrap().0;
        let told_at = Instant::now() + told;
        let apart = told_at.max(cuts_at) - told_at.min(cuts_at);
        assert!(apart <= Duration::from_secs(2), "told {apart:?} beside the truth: {life:?}");
        promised = Some(off_at);
        pass(Duration::from_millis(passes_ms.into())).await;
        plug.device().skew = life.skew.map(f64::from);
    }
    let off_at = Instant::now() + Duration::from_millis(last.0.into());
    let order = outlet.on(Some(off_at - Instant::now() + GUARD));
    // Whatever had come of the last order, the plug holds it or the one before.
    if timeout(Duration::from_micros(life.dies_after_us), order).await.is_ok_and(|it| it.is_ok()) {
        promised = Some(off_at);
    }
    drop(outlet);
    let device = plug.device();
    let Some((cuts_at, _)) = device.relays[0].flips else {
        assert!(promised.is_none() && !device.relays[0].on, "nothing cuts it: {life:?}");
        return None;
    };
    let due =
        if promised == Some(off_at) { off_at } else { promised.unwrap_or(off_at).min(off_at) };
    assert!(cuts_at >= due, "{:?} too early: {life:?}", due - cuts_at);
    let due = promised.map_or(off_at, |promised| promised.max(off_at));
    assert!(cuts_at <= due + LATEST, "{:?} too late: {life:?}", cuts_at - due);
    Some(cuts_at - due)
}

/// Moves the clock that plug and driver share, while their connections run on the real one.
async fn pass(duration: Duration) {
    time::pause();
    time::advance(duration).await;
    time::resume();
}
