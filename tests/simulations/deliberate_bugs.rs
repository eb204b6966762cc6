//! The checker sees: each deliberate bug is found, soon, and taken for what it is.

use tests::simulator::{Case, Plan, Sabotage, run};

use super::each;
use super::figures::{Stopwatch, figure, say};

/// So many seeds are tried at most, and so much of one core.
const SEEDS: u64 = 60;
const MOST_SECONDS: f64 = 60.0;
const HOURS: u64 = 4;

/// The first seed that finds a bug, and the sentence.
fn find(sabotage: Sabotage) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| {
        let case = Case::of(Plan { seed, hours: HOURS, sabotage: Some(sabotage) });
        Some((seed, run(&case).err()?.sentence))
    })
}

#[test]
fn every_deliberate_bug_is_found_and_taken_for_what_it_is() {
    let watch = Stopwatch::start();
    let found = each(&Sabotage::ALL, |(sabotage, _)| {
        let before = watch.cpu_seconds();
        let found = find(*sabotage);
        // At most: other searches had their part of it.
        (found, watch.cpu_seconds() - before)
    });
    let mut missed = Vec::new();
    for ((sabotage, sentences), (found, seconds)) in Sabotage::ALL.iter().zip(found) {
        let Some((seed, sentence)) = found else {
            missed.push(format!("nobody saw {sabotage:?}"));
            continue;
        };
        figure(&format!("bug {sabotage:?}"), format!("seed {seed}, {seconds:.1} s"));
        say(&format!("    {sentence}"));
        if !sentences.iter().any(|known| sentence.contains(known)) {
            missed.push(format!("{sabotage:?} was taken for: {sentence}"));
        }
        if seconds > MOST_SECONDS {
            missed.push(format!("{sabotage:?} took {seconds:.0} s"));
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
