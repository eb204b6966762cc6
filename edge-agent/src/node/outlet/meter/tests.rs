//! What samples come to show, one by one.

use super::*;

const HOUR: u64 = 3_600_000;
const SECOND: u64 = 1_000;

/// A meter of a relay that is read off since 0, every so often; its verdicts with their times.
fn watch(
    life: &mut Life,
    every_ms: u64,
    until_ms: u64,
    watts: impl FnMut(u64) -> Option<u64>,
) -> (Meter, Vec<(u64, Verdict)>) {
    let (mut meter, mut verdicts, mut watts) = (Meter::default(), Vec::new(), watts);
    for at in (0..=until_ms).step_by(usize::try_from(every_ms).unwrap()) {
        let now = BootMs::from(at);
        life.found(false, now);
        let verdict = meter.sample(false, watts(at), life, now);
        verdicts.extend(verdict.map(|verdict| (at, verdict)));
    }
    (meter, verdicts)
}

#[test]
fn a_thousand_hours_of_noise_up_to_2_w_raise_no_alarm() {
    let mut rng = fastrand::Rng::with_seed(11);
    let mut life = Life::default();
    let mut samples = 0;
    let (meter, verdicts) = watch(&mut life, 4 * SECOND, 1_000 * HOUR, |_| {
        samples += 1;
        Some(rng.u64(0..=2_000))
    });
    figure("noise up to 2 W", &format!("{samples} samples in 1000 h, {} alarms", verdicts.len()));
    assert_eq!(verdicts, []);
    assert!(meter.proves(false));
}

#[test]
fn power_from_the_first_moment_or_after_45_blind_seconds_is_told_after_two_minutes() {
    for blind_ms in [0, 45 * SECOND] {
        let load = |at| Some(if at < blind_ms { 0 } else { 85_200 });
        let (meter, verdicts) = watch(&mut Life::default(), 4 * SECOND, 600 * SECOND, load);
        let [(at, Verdict::Stuck { since, power_mw })] = verdicts[..] else {
            panic!("{verdicts:?}");
        };
        assert_eq!((since, power_mw), (BootMs(0), 85_200));
        assert!((120 * SECOND..=150 * SECOND).contains(&at), "{at}");
        assert!(!meter.proves(false));
    }
}

#[test]
fn power_that_begins_to_flow_later_is_told_two_minutes_after_that() {
    let load = |at| Some(if at < HOUR { 0 } else { 10_000 });
    let (_, verdicts) = watch(&mut Life::default(), 4 * SECOND, 2 * HOUR, load);
    let [(at, Verdict::Stuck { since, .. })] = verdicts[..] else { panic!("{verdicts:?}") };
    assert_eq!(since, BootMs::from(HOUR));
    assert!((HOUR + 120 * SECOND..=HOUR + 150 * SECOND).contains(&at), "{at}");
}

#[test]
fn a_load_that_comes_and_goes_by_seconds_is_told_too() {
    let load = |at: u64| Some(if (at / (8 * SECOND)).is_multiple_of(2) { 40_000 } else { 0 });
    let (_, verdicts) = watch(&mut Life::default(), 4 * SECOND, 300 * SECOND, load);
    assert!(matches!(verdicts[..], [(120_000..=160_000, Verdict::Stuck { .. })]), "{verdicts:?}");
}

#[test]
fn a_spike_a_minute_is_no_load() {
    let load = |at| Some(if at % (40 * SECOND) == 0 { 40_000 } else { 0 });
    let (_, verdicts) = watch(&mut Life::default(), 4 * SECOND, HOUR, load);
    assert_eq!(verdicts, []);
}

#[test]
fn what_is_no_figure_is_no_sample() {
    let (meter, verdicts) = watch(&mut Life::default(), 4 * SECOND, HOUR, |_| None);
    assert_eq!(verdicts, []);
    assert!(!meter.proves(false) && meter.power_mw().is_none());
}

#[test]
fn no_off_is_proven_within_its_first_minute() {
    let (meter, _) = watch(&mut Life::default(), 2 * SECOND, 66 * SECOND, |_| Some(0));
    assert!(!meter.proves(false));
    let (meter, _) = watch(&mut Life::default(), 2 * SECOND, 68 * SECOND, |_| Some(0));
    assert!(meter.proves(false));
}

#[test]
fn what_is_read_at_rest_is_learnt_from_steady_samples_and_never_from_a_load() {
    let mut life = Life::default();
    let _ = watch(&mut life, 4 * SECOND, 300 * SECOND, |_| Some(1_200));
    assert_eq!(life.standby_mw, Some(1_200));
    let _ = watch(&mut life, 4 * SECOND, 300 * SECOND, |_| Some(1_900));
    assert_eq!(life.standby_mw, Some(1_200), "it only falls");
    let mut life = Life::default();
    let _ = watch(&mut life, 4 * SECOND, 300 * SECOND, |_| Some(85_200));
    assert_eq!(life.standby_mw, None);
}

#[test]
fn power_counts_from_three_watts_above_what_is_read_at_rest() {
    for (standby_mw, power_mw, stuck) in
        [(0, 3_000, false), (0, 3_001, true), (1_500, 4_500, false), (1_500, 4_501, true)]
    {
        let mut life = Life { standby_mw: Some(standby_mw), ..Life::default() };
        let (meter, verdicts) = watch(&mut life, 4 * SECOND, 300 * SECOND, |_| Some(power_mw));
        assert_eq!(verdicts.len(), usize::from(stuck), "{standby_mw} {power_mw}");
        assert_ne!(
            meter.proves(false),
            stuck,
            "what counts as power proves no off, and the reverse"
        );
    }
}

#[test]
fn a_stuck_relay_is_free_after_five_minutes_without() {
    let mut life = Life::default();
    let load = |at| Some(if at < 400 * SECOND || at == 600 * SECOND { 40_000 } else { 0 });
    let (_, verdicts) = watch(&mut life, 4 * SECOND, HOUR, load);
    let [(_, Verdict::Stuck { .. }), (free, Verdict::Free { .. })] = verdicts[..] else {
        panic!("{verdicts:?}");
    };
    assert_eq!(free, 604 * SECOND + FREE_MS, "power in between begins it anew");
    assert_eq!(life.stuck_since, None);
}

#[test]
fn a_register_that_rises_faster_than_a_fuse_allows_is_another_plugs() {
    let register = |mwh, at| Register { mwh, at: BootMs(at), on: true };
    let before = register(5_000_000, 0);
    assert_eq!(before.used_until(register(5_001_000, 60_000)), Some(1_000));
    assert_eq!(before.used_until(register(4_999_000, 60_000)), None);
    assert_eq!(before.used_until(register(90_000_000, 60_000)), None);
}

#[expect(clippy::print_stdout, reason = "the figures are for whoever runs it")]
fn figure(what: &str, value: &str) {
    println!("figure | node | {what} | {value}");
}
