//! Hundreds of nodes, hours each, against everything a world can do to them.
//!
//! `EDGE_AGENT_SIM_SEED=n` runs one seed, `EDGE_AGENT_SIM_SEEDS=from..to` more, and
//! `EDGE_AGENT_SIM_HOURS=h` makes each longer. A failure prints its seed, which replays it exactly.

use std::time::Duration;

use tests::simulator::{Broken, Done, Plan, Sabotage, TROUBLES, run};

/// The seeds that every check runs, and how long each lives.
const SEEDS: std::ops::Range<u64> = 0..200;
const HOURS: u64 = 1;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

fn seeds() -> std::ops::Range<u64> {
    if let Some(seed) = number("EDGE_AGENT_SIM_SEED") {
        return seed..seed + 1;
    }
    let Ok(range) = std::env::var("EDGE_AGENT_SIM_SEEDS") else { return SEEDS };
    let (from, to) = range.split_once("..").expect("from..to");
    from.parse().expect("a number")..to.parse().expect("a number")
}

fn plan(seed: u64) -> Plan {
    let without = std::env::var("EDGE_AGENT_SIM_WITHOUT").unwrap_or_default();
    let bit =
        |name: &str| TROUBLES.iter().position(|known| *known == name).map_or(0, |bit| 1 << bit);
    let without = without.split(',').map(str::trim).map(bit).sum();
    Plan { seed, hours: number("EDGE_AGENT_SIM_HOURS").unwrap_or(HOURS), sabotage: None, without }
}

/// The kinds of trouble that a failure does not need.
fn needless(broken: &Broken, plan: Plan) -> (Plan, Box<Broken>) {
    let kind = |sentence: &str| sentence.split(':').next().map(ToOwned::to_owned);
    let mut least = (plan, None);
    for bit in 0..TROUBLES.len() {
        let fewer = Plan { without: least.0.without | 1 << bit, ..least.0 };
        if let Err(other) = run(fewer)
            && kind(&other.sentence) == kind(&broken.sentence)
        {
            least = (fewer, Some(other));
        }
    }
    let (plan, found) = least;
    (plan, found.unwrap_or_else(|| run(plan).expect_err("a seed replays exactly")))
}

#[test]
#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a person who runs many seeds wants to see how fast"
)]
fn the_contract_holds_whatever_the_world_does() {
    let seeds = seeds();
    let started = std::time::Instant::now();
    let mut all = Done::default();
    let workers = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let parts: Vec<_> = std::thread::scope(|scope| {
        let part = |part: u64| {
            let seeds = seeds.clone();
            scope.spawn(move || {
                seeds
                    .filter(|seed| seed % workers == part)
                    .map(|seed| (seed, run(plan(seed))))
                    .collect::<Vec<_>>()
            })
        };
        let threads: Vec<_> = (0..workers).map(part).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let mut failures = Vec::new();
    for (seed, result) in parts {
        match result {
            Ok(done) => {
                all.virtual_ms += done.virtual_ms;
                all.settles += done.settles;
                all.events += done.events;
                all.sessions += done.sessions;
                all.starts += done.starts;
            }
            Err(broken) => failures.push((seed, broken)),
        }
    }
    let took = started.elapsed().max(Duration::from_millis(1)).as_secs_f64();
    let hours = Duration::from_millis(all.virtual_ms).as_secs_f64() / 3_600.0;
    println!(
        "{hours:.0} node-hours in {took:.1} s: {:.0} a minute; {} decisions, {} events, {} sessions, {} starts",
        hours * 60.0 / took,
        all.settles,
        all.events,
        all.sessions,
        all.starts,
    );
    failures.sort_by_key(|(seed, _)| *seed);
    for (seed, broken) in &failures {
        println!("seed {seed}: {}", broken.sentence);
    }
    if let Some((seed, broken)) = failures.first() {
        let (plan, least) = needless(broken, plan(*seed));
        let needed: Vec<_> = TROUBLES
            .iter()
            .enumerate()
            .filter(|(bit, _)| plan.without & 1 << bit == 0)
            .map(|(_, name)| *name)
            .collect();
        let shown = if seeds.clone().count() == 1 { 2_000 } else { 40 };
        panic!(
            "{} of {} seeds fail; of the first, needed {needed:?}\n{least:.shown$}",
            failures.len(),
            seeds.count()
        );
    }
}

fn found(sabotage: Sabotage) -> String {
    let broken = (0..40)
        .find_map(|seed| run(Plan { seed, hours: 2, sabotage: Some(sabotage), without: 0 }).err());
    broken.unwrap_or_else(|| panic!("nobody saw {sabotage:?}")).sentence
}

#[test]
fn the_checker_sees_what_no_node_can_make_good() {
    for (sabotage, sentence) in [
        (Sabotage::ActsBeforeWrites, "on disk"),
        (Sabotage::FlushLost, ""),
        (Sabotage::LeasesIgnored, "lease"),
        (Sabotage::LeasesCutEarly, "early"),
        (Sabotage::OffsSwallowed, "on time"),
        (Sabotage::AnswersForgotten, "one answer"),
        (Sabotage::EventsLost, ""),
    ] {
        let broken = found(sabotage);
        assert!(broken.contains(sentence), "{sabotage:?} was taken for: {broken}");
    }
}
