//! A failing seed becomes a case that a person can read, and a seed replays exactly.

use tests::simulator::{Case, Plan, Sabotage, run, shrink, tell};

use super::figures::{figure, say};

#[test]
fn a_failing_seed_shrinks_to_the_few_things_that_matter() {
    for (sabotage, most) in [
        (Sabotage::OffsForgotten, 3),
        (Sabotage::LeasesKept, 3),
        (Sabotage::SessionsForgotten, 4),
        (Sabotage::ExtensionsInexact, 3),
    ] {
        let plan = |seed| Plan { seed, hours: 4, sabotage: Some(sabotage) };
        let failing = (0..40).map(|seed| Case::of(plan(seed))).find(|case| run(case).is_err());
        let case = failing.expect("it is found");
        let whole = run(&case).expect_err("a case replays exactly");
        let (least, broken) = shrink(&case);
        let (before, after) = (case.entries.len(), least.entries.len());
        figure(&format!("shrunk {sabotage:?}"), format!("{before} entries to {after}"));
        least.entries.iter().for_each(|entry| say(&format!("    {entry}")));
        say(&format!("    {}", broken.sentence));
        assert_eq!(broken.rule(), whole.rule(), "it fails alike");
        assert!(after <= most, "{after} entries are left");
        assert_eq!(run(&least).expect_err("it still fails").sentence, broken.sentence);
    }
}

#[test]
fn a_seed_replays_exactly_told_or_not() {
    for seed in 0..3 {
        let case = Case::of(Plan { seed, hours: 2, sabotage: None });
        let [one, two] = [run(&case), tell(&case)].map(|done| done.expect("the contract holds"));
        assert_eq!(one.decisions, two.decisions);
        assert_eq!(one.events, two.events);
        assert_eq!(one.virtual_ms, two.virtual_ms);
    }
}
