//! Whatever happens in whatever order, the promises hold: random commands, faults, thumbs, clock
//! steps, restarts and reboots. A failure names its seed.

use std::collections::BTreeMap;

use edge_protocol::command::OutletSet;
use serde_json::{Value, json};

use super::plug::Conduct;
use super::world::World;
use crate::node::LocalOrder;

const SEEDS: u64 = 24;
const DEEDS: usize = 120;
const MINUTE: u64 = 60_000;
const STATIONS: [&str; 3] = ["pc-1", "pc-2", "bay"];
const PLUGS: [&str; 5] = ["plug-1", "plug-2", "plug-3", "plug-4", "relay-1"];

/// A world, and what chance does to it.
struct Chance {
    world: World,
    random: fastrand::Rng,
    sessions: usize,
    /// The sessions whose start was accepted, and how often each came to an end.
    ends: BTreeMap<String, usize>,
}

impl Chance {
    fn new(seed: u64) -> Self {
        let mut world = World::with(|settings| settings.seed = seed);
        for id in PLUGS {
            world.plug(id).disturbed = true;
            world.plug(id).lease_excused = true;
        }
        Self { world, random: fastrand::Rng::with_seed(seed), sessions: 0, ends: BTreeMap::new() }
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.usize(..of.len())]
    }

    fn session(&mut self) -> String {
        let newest = self.sessions.saturating_sub(4)..self.sessions.max(1);
        format!("s{}", self.random.usize(newest))
    }

    /// Whether it is accepted is the table's affair.
    fn send(&mut self, kind: &str, body: Value) -> bool {
        self.world.send(kind, body).is_ok()
    }

    fn locally(&mut self, order: LocalOrder) -> bool {
        self.world.locally(order).is_ok()
    }

    fn start(&mut self) {
        let (station, minutes) = (self.one_of(&STATIONS), self.random.u64(1..60));
        let mut body = json!({
            "session": format!("s{}", self.sessions), "station": station,
            "duration_ms": minutes * MINUTE, "grace_ms": self.one_of(&[0, 10_000, 120_000])
        });
        if self.random.u8(..4) == 0 {
            body["starts_at_ms"] = json!(self.world.true_wall() + self.random.u64(..30) * MINUTE);
        }
        let session = format!("s{}", self.sessions);
        self.sessions += 1;
        if self.send("session.start", body) {
            self.ends.insert(session, 0);
        }
    }

    fn command(&mut self) -> bool {
        let session = self.session();
        let plug = self.one_of(&PLUGS);
        match self.random.u8(..13) {
            0..=2 => {
                self.start();
                true
            }
            3 => {
                let by_ms = self.random.i64(-20..40) * 60_000 + 1;
                self.send("session.extend", json!({"session": session, "by_ms": by_ms}))
            }
            4 => self.send("session.pause", json!({"session": session})),
            5 => self.send("session.resume", json!({"session": session})),
            6 => {
                let station = self.one_of(&STATIONS);
                self.send("session.transfer", json!({"session": session, "station": station}))
            }
            7 => {
                let (immediate, abandon) = (self.random.bool(), self.random.u8(..4) == 0);
                let body = json!({"session": session, "immediate": immediate, "abandon": abandon});
                self.send("session.end", body)
            }
            8 | 9 => {
                let (on, force) = (self.random.bool(), self.random.bool());
                let for_ms = self.random.u64(1..20) * MINUTE;
                let body = json!({"outlet": plug, "on": on, "for_ms": for_ms, "force": force});
                self.send("outlet.set", body)
            }
            10 => self.send("outlet.release", json!({"outlet": plug})),
            11 => {
                let (on, force) = (self.random.bool(), self.random.bool());
                let for_ms = Some(self.random.u64(1..20) * MINUTE);
                let outlet = plug.parse().unwrap();
                self.locally(LocalOrder::Set(OutletSet { outlet, on, for_ms, force }))
            }
            _ => self.locally(LocalOrder::Release(plug.parse().unwrap())),
        }
    }

    fn deed(&mut self) {
        let plug = self.one_of(&PLUGS);
        match self.random.u8(..32) {
            0..=15 => {
                self.command();
            }
            16..=18 => {
                let conduct = self.one_of(&[
                    Conduct::Deaf,
                    Conduct::Mute,
                    Conduct::Refuses,
                    Conduct::Stuck,
                    Conduct::Shrugs,
                    Conduct::Forgets,
                ]);
                self.world.conduct(plug, conduct);
            }
            19..=23 => self.world.conduct(plug, Conduct::Obeys),
            24 => self.world.press(plug),
            25 => self.world.replug(plug),
            26 => {
                let latency_ms = self.one_of(&[0, 20, 150, 400]);
                self.world.plug(plug).latency_ms = latency_ms;
            }
            27 => {
                let up = !self.world.up;
                self.world.link(up);
            }
            28 => {
                let step = self.random.i64(-40..40) * 1_000;
                self.world.right_wall();
                self.world.step_wall(step);
            }
            29 | 30 => {
                let after = self.random.u64(..20_000);
                self.world.restart(after);
            }
            _ => {
                let (away, behind) = (self.random.u64(..10 * MINUTE), self.one_of(&[0, MINUTE]));
                self.world.right_wall();
                self.world.reboot(away, behind);
            }
        }
        let ms = self.one_of(&[0, 1, 19, 20, 100, 999, 5_000, MINUTE, 5 * MINUTE]);
        let ms = self.random.u64(..=ms);
        self.world.run_for(ms);
    }

    /// In the end everything obeys, every session has come to one end, and nothing is on.
    fn come_to_rest(&mut self) {
        for id in PLUGS {
            self.world.conduct(id, Conduct::Obeys);
            self.world.accept("outlet.release", json!({"outlet": id}));
        }
        for number in 0..self.sessions {
            let session = format!("s{number}");
            self.send("session.end", json!({"session": session, "immediate": true}));
        }
        self.world.run_for(MINUTE);
        assert!(self.world.node().sessions.is_empty());
        assert!(self.world.node().falls.is_empty());
        for id in PLUGS {
            assert!(!self.world.plug(id).on, "{id} is still on");
            assert_eq!(self.world.plug(id).lease, None, "{id} is still leased");
        }
        for kind in ["session.ended", "session.failed"] {
            for told in self.world.told(kind) {
                let session = told["session"].as_str().unwrap();
                *self.ends.get_mut(session).expect("its start was accepted") += 1;
            }
        }
        for (session, ends) in &self.ends {
            assert_eq!(*ends, 1, "{session} came to {ends} ends");
        }
        for (number, event) in (1_u64..).zip(self.world.events()) {
            assert_eq!(event["seq"], number, "numbers rise by one");
        }
    }
}

#[test]
fn the_promises_hold_whatever_happens() {
    for seed in 0..SEEDS {
        let told = std::panic::catch_unwind(|| {
            let mut chance = Chance::new(seed);
            for _ in 0..DEEDS {
                chance.deed();
            }
            chance.come_to_rest();
        });
        assert!(told.is_ok(), "seed {seed}");
    }
}
