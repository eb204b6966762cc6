//! The checker sees: each deliberate bug is found, soon, and taken for what it is.

use tests::simulator::{Case, Plan, Sabotage, run};

use super::each;
use super::figures::{Stopwatch, figure, say};

/// So many seeds are tried at most, and so much of one core.
const SEEDS: u64 = 60;
const MOST_SECONDS: f64 = 60.0;
const HOURS: u64 = 4;

/// The first seed that takes a bug for what it is, with the sentence; and what others took it for.
fn find(sabotage: Sabotage, rules: &[&str]) -> Result<(u64, String), Vec<String>> {
    let mut others = Vec::new();
    for seed in 0..SEEDS {
        let case = Case::of(Plan { seed, hours: HOURS, sabotage: Some(sabotage) });
        let Err(broken) = run(&case) else { continue };
        if rules.iter().any(|rule| broken.rule().contains(rule)) {
            return Ok((seed, broken.sentence));
        }
        others.push(broken.sentence);
    }
    Err(others)
}

#[test]
fn every_deliberate_bug_is_found_and_taken_for_what_it_is() {
    let watch = Stopwatch::start();
    let found = each(&Sabotage::ALL, |(sabotage, rules)| {
        let before = watch.cpu_seconds();
        // At most: other searches had their part of it.
        (find(*sabotage, rules), watch.cpu_seconds() - before)
    });
    let mut missed = Vec::new();
    for ((sabotage, _), (found, seconds)) in Sabotage::ALL.iter().zip(found) {
        match found {
            Ok((seed, sentence)) => {
                figure(&format!("bug {sabotage:?}"), format!("seed {seed}, {seconds:.1} s"));
                say(&format!("    {sentence}"));
            }
            Err(others) => missed.push(format!("{sabotage:?} was taken for: {others:?}")),
        }
        if seconds > MOST_SECONDS {
            missed.push(format!("{sabotage:?} took {seconds:.0} s"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
