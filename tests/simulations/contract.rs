//! The contract holds, whatever the world does.

use tests::figure::is_long;
use tests::simulator::{Broken, Case, Done, Plan, kinds, run, shrink, tell};

use super::figures::{Stopwatch, figure, say};
use super::{each, number};

/// The seeds of the short version, and how many hours each of them lives.
const SEEDS: u64 = 500;
const HOURS: u64 = 4;
/// The long version goes on for so many minutes.
const LONG_MINUTES: f64 = 10.0;
/// So many seeds at a time.
const PORTION: u64 = 100;

fn plan(seed: u64) -> Plan {
    Plan { seed, hours: number("EDGE_AGENT_SIM_HOURS").unwrap_or(HOURS), sabotage: None }
}

/// What many seeds did, and which of them failed.
#[derive(Default)]
struct Sum {
    done: Done,
    seeds: u64,
    failures: Vec<(u64, Box<Broken>)>,
}

impl Sum {
    fn add(&mut self, seeds: std::ops::Range<u64>) {
        let seeds: Vec<u64> = seeds.collect();
        self.seeds += seeds.len() as u64;
        let results = each(&seeds, |seed| run(&Case::of(plan(*seed))));
        for (seed, result) in seeds.into_iter().zip(results) {
            match result {
                Ok(done) => self.done.merge(&done),
                Err(broken) => self.failures.push((seed, broken)),
            }
        }
    }
}

fn hours(done: &Done) -> f64 {
    std::time::Duration::from_millis(done.virtual_ms).as_secs_f64() / 3_600.0
}

fn report(sum: &Sum, watch: &Stopwatch) {
    let (done, tally) = (&sum.done, &sum.done.tally);
    let (hours, seconds, cpu) = (hours(done), watch.seconds(), watch.cpu_seconds());
    figure("seeds", sum.seeds);
    figure("node-hours", format!("{hours:.0}"));
    figure("node-hours per minute here", format!("{:.0}", hours * 60.0 / seconds));
    figure("node-hours per minute of two cores", format!("{:.0}", hours * 120.0 / cpu));
    figure("violations", sum.failures.len());
    let commands = tally.sum("command");
    let crashes: u64 = ["killed", "dies between two steps", "dies at a flush"]
        .iter()
        .map(|how| tally.of("fault", how))
        .sum();
    let cuts = tally.of("fault", "power cut of the node");
    let cuts = cuts + tally.of("fault", "power cut of node and plugs");
    for (what, count) in [
        ("commands", commands),
        ("troubles and their consequences", tally.sum("fault")),
        ("crashes of the process", crashes),
        ("power cuts", cuts),
        ("reboots", tally.of("total", "reboots")),
        ("starts of the process", tally.of("total", "starts")),
        ("decisions", done.decisions),
        ("events", done.events),
        ("sessions powered", done.sessions),
        ("scripts run", tally.sum("script")),
    ] {
        let rate = format!("{count} ({:.1} per node-hour)", count as f64 / hours);
        figure(what, rate);
    }
    for group in ["fault", "command", "way", "encoding", "event", "script", "local", "total"] {
        for (what, count) in tally.group(group) {
            figure(&format!("{group}: {what}"), count);
        }
    }
}

/// What a person needs to see of a failure: what the world did, as far as it matters, and what happened last.
fn explain(plan: Plan, shown: usize) -> String {
    let (least, broken) = shrink(&Case::of(plan));
    let told = tell(&least).expect_err("a case replays exactly");
    assert_eq!(told.sentence, broken.sentence, "a case replays exactly");
    let entries: Vec<_> = least.entries.iter().map(|entry| format!("  {entry}")).collect();
    let count = entries.len();
    format!("it needs {count} things:\n{}\nit ends so:\n{told:.shown$}", entries.join("\n"))
}

#[test]
fn the_contract_holds_whatever_the_world_does() {
    let watch = Stopwatch::start();
    let mut sum = Sum::default();
    let one = number("EDGE_AGENT_SIM_SEED");
    let first = number("EDGE_AGENT_SIM_FROM").unwrap_or(0);
    match one {
        Some(seed) => sum.add(seed..seed + 1),
        None => {
            let count = number("EDGE_AGENT_SIM_SEEDS").unwrap_or(SEEDS);
            sum.add(first..first + count);
            while is_long() && sum.failures.is_empty() && watch.seconds() < LONG_MINUTES * 60.0 {
                let next = first + sum.seeds;
                sum.add(next..next + PORTION);
            }
        }
    }
    report(&sum, &watch);
    for (seed, broken) in &sum.failures {
        say(&format!("seed {seed}: {}", broken.sentence));
    }
    if let Some((seed, _)) = sum.failures.first() {
        let shown = if one.is_some() { 2_000 } else { 60 };
        let explained = explain(plan(*seed), shown);
        panic!("{} of {} seeds fail; the first: {explained}", sum.failures.len(), sum.seeds);
    }
    let standard = one.is_none() && number("EDGE_AGENT_SIM_SEEDS").is_none();
    let tally = &sum.done.tally;
    let never: Vec<_> =
        kinds().into_iter().filter(|(group, what)| tally.of(group, what) == 0).collect();
    assert!(!standard || never.is_empty(), "never happened: {never:?}");
}
