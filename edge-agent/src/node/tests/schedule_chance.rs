//! Whatever happens to the clock, the agent and the machine: each occurrence runs at most once, at
//! its time or as late as it may, and none is lost that the node was there for. A failure names its
//! seed.

use std::collections::BTreeSet;

use serde_json::json;

use super::schedules::{put, ran};
use super::world::World;
use crate::node::{Disk, Input};

const SEEDS: u32 = 120;
/// Few enough for a schedule to tell all stretches in which it ran apart,
const FEW_DEEDS: usize = 15;
/// and so many that it has to join some.
const MANY_DEEDS: usize = 200;
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60_000;
/// The schedule of the test: each two minutes.
const EVERY_MS: u64 = 2 * MINUTE;
const MAX_LATE_MS: u64 = 5 * MINUTE;

struct Chance {
    world: World,
    random: fastrand::Rng,
    accepting: bool,
    /// Those at which the node was there, on a clock that just went on.
    owed: BTreeSet<u64>,
}

impl Chance {
    fn new(seed: u64) -> Self {
        let mut world = World::with(|settings| settings.seed = seed);
        world.set_wall("2026-12-01T12:00:00Z");
        let mut random = fastrand::Rng::with_seed(seed);
        let missed = if random.bool() { "once" } else { "skip" };
        put(&mut world, "s", "*/2 * * * *", json!({"missed": missed, "max_late_ms": MAX_LATE_MS}));
        Self { world, random, accepting: true, owed: BTreeSet::new() }
    }

    /// Time passes, and nothing else.
    fn pass(&mut self, ms: u64) {
        // What is told at its very end may be decided a moment later.
        let (from, to) = (self.world.wall(), self.world.wall() + ms);
        self.world.tick();
        let there = self.world.synced && self.accepting;
        self.world.run_for(ms);
        let first = (from / EVERY_MS + 1) * EVERY_MS;
        self.owed
            .extend((first..=to).step_by(usize::try_from(EVERY_MS).unwrap()).filter(|_| there));
    }

    fn deed(&mut self) {
        match self.random.u8(..12) {
            0..=2 => {
                let reach = [3 * SECOND, 10 * MINUTE, 24 * 60 * MINUTE, 365 * 24 * 60 * MINUTE];
                let reach = i64::try_from(reach[self.random.usize(..4)]).unwrap();
                let step = self.random.i64(-reach..=reach);
                self.world.tick_wall(step);
            }
            3 | 4 => self.world.right_wall_of("2026-12-01T12:00:00Z"),
            5 | 6 => {
                let after = self.random.u64(..10 * MINUTE);
                self.world.restart(after);
                self.accepting = true;
            }
            7 => {
                let (away, behind) =
                    (self.random.u64(..10 * MINUTE), self.random.u64(..2) * MINUTE);
                self.world.reboot(away, behind);
                self.accepting = true;
            }
            8 => {
                self.world.synced = true;
            }
            9 => {
                self.accepting = self.random.bool();
                self.world.step(Input::Disk(if self.accepting { Disk::Ok } else { Disk::Low }));
            }
            10 => {
                let up = !self.world.up;
                self.world.link(up);
            }
            _ => self.world.tick(),
        }
        let ms = [0, 1, SECOND, MINUTE, 10 * MINUTE][self.random.usize(..5)];
        let ms = self.random.u64(..=ms);
        self.pass(ms);
    }

    fn judge(&self, none_lost: bool) {
        let ran = ran(&self.world, "s");
        let once: BTreeSet<&String> = ran.iter().collect();
        assert_eq!(once.len(), ran.len(), "an occurrence runs at most once: {ran:?}");
        for owed in self.owed.iter().filter(|_| none_lost) {
            let stamp = stamp(*owed);
            assert!(once.contains(&stamp), "the node was there and did not run {stamp}");
        }
        for accepted in self.world.events() {
            let Some(command) = accepted["body"]["command"].as_str() else { continue };
            let Some(name) = command.strip_prefix("s.") else { continue };
            let at_ms = accepted["at_ms"].as_u64().unwrap();
            let latest = at_ms / EVERY_MS * EVERY_MS;
            assert_eq!(name, stamp(latest), "only the last that is due runs");
            assert!(at_ms - latest <= MAX_LATE_MS);
            assert_eq!(accepted["clock"], "synced", "none runs while the clock is unsynced");
        }
    }
}

fn stamp(at_ms: u64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(i64::try_from(at_ms).unwrap()).unwrap();
    at.format("%Y%m%dT%H%M%SZ").to_string()
}

/// Returns how many occurrences ran in all.
fn worlds(seeds: u32, deeds: usize, none_lost: bool) -> usize {
    let world = |seed: u64| {
        let told = std::panic::catch_unwind(|| {
            let mut chance = Chance::new(seed);
            (0..deeds).for_each(|_| chance.deed());
            chance.judge(none_lost);
            ran(&chance.world, "s").len()
        });
        told.unwrap_or_else(|_| panic!("seed {seed}"))
    };
    (0..super::cases(seeds).into()).map(world).sum()
}

#[test]
fn each_occurrence_runs_at_most_once_and_none_is_lost_that_the_node_was_there_for() {
    let ran = worlds(SEEDS, FEW_DEEDS, true);
    assert!(ran > 1_000, "{ran} occurrences are no test");
}

#[test]
fn however_often_the_clock_is_set_no_occurrence_runs_twice() {
    let ran = worlds(SEEDS / 20, MANY_DEEDS, false);
    assert!(ran > 500, "{ran} occurrences are no test");
}
