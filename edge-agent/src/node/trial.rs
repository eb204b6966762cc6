//! A node on trial: what goes in by hand, what comes out taken apart. Its disk is a map, its
//! outlets obey at once, its link and scripts are the test's.

#![cfg_attr(not(test), allow(dead_code, reason = "the fuzzer needs less of it than the tests do"))]
#![allow(clippy::unwrap_used, reason = "only tests and the fuzzer build this")]

mod batch;

use std::collections::{BTreeMap, BTreeSet};

use edge_protocol::codec::{self, Encoding};
use edge_protocol::id::OutletId;
use serde_json::{Map, Value, json};

pub(super) use self::batch::Batch;
use super::record::{Kind, Write};
use super::recover::Found;
use super::settings::{Button, OutletSettings, Rest, Settings, TaskLimits};
use super::time::{BootMs, Now};
use super::{Act, Effects, Input, Node, Order, Reading, ScriptOutcome};

/// The wall clock when a trial begins.
pub(super) const WALL_MS: u64 = 1_763_690_000_000;
/// And the boot clock.
pub(super) const BOOT_MS: u64 = 1_000_000;

pub(super) struct Trial {
    pub(super) settings: Settings,
    pub(super) node: Node,
    pub(super) now: Now,
    pub(super) disk: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The outlets that are on.
    pub(super) lit: BTreeSet<String>,
    /// Whether outlets answer; while not, their orders wait.
    pub(super) deaf: bool,
    pub(super) withheld: Vec<(OutletId, u64, Order)>,
    /// What the world answered and the node was not told yet.
    pub(super) inbox: Vec<Input>,
    commands: u64,
}

pub(super) fn settings() -> Settings {
    let outlet = |rest| OutletSettings {
        driver: "simulated".to_owned(),
        rest,
        button: Button::Obey,
        leases: false,
        definition: "{}".to_owned(),
        ..OutletSettings::default()
    };
    let outlets = [("plug-1", Rest::Off), ("plug-2", Rest::Off), ("camera", Rest::Keep)];
    Settings {
        node: "pi-1".parse().unwrap(),
        version: "1.0.0".to_owned(),
        boot_id: "boot-1".to_owned(),
        store: "9f3ac01b".to_owned(),
        encoding: Encoding::Cbor,
        stations: BTreeMap::from([
            ("pc-1".parse().unwrap(), vec!["plug-1".parse().unwrap()]),
            ("pc-2".parse().unwrap(), vec!["plug-2".parse().unwrap()]),
        ]),
        outlets: outlets.map(|(id, rest)| (id.parse().unwrap(), outlet(rest))).into(),
        warn_before_ms: vec![],
        grace_ms: 0,
        stagger_ms: 0,
        outbox_max_bytes: 64 * 1024 * 1024,
        tasks: TaskLimits { concurrency: 2, max_queued: 10_000, max_bytes: 32 * 1024 * 1024 },
        hardware: "a board on trial".to_owned(),
        configuration: "c0ffee".to_owned(),
        certificate_expires_at_ms: WALL_MS,
        seed: 7,
    }
}

impl Trial {
    /// A node that has just started on an empty disk and settled: no link, a synced clock.
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        let now = Now { boot: BootMs::from(BOOT_MS), wall_ms: WALL_MS, synced: true };
        let mut trial = Self {
            node: Node::recover(settings.clone(), Found::default(), now),
            settings,
            now,
            disk: BTreeMap::new(),
            lit: BTreeSet::new(),
            deaf: false,
            withheld: Vec::new(),
            inbox: Vec::new(),
            commands: 0,
        };
        trial.run();
        trial
    }

    /// The same on a clock that is not synced.
    pub(super) fn unsynced() -> Self {
        let mut trial = Self::new();
        trial.now.synced = false;
        trial.disk.clear();
        trial.restart();
        trial
    }

    pub(super) fn step(&mut self, input: Input) {
        self.node.step(self.now, input);
    }

    /// Settles once and keeps what is written.
    pub(super) fn settle(&mut self) -> Batch {
        let effects = self.node.settle(self.now);
        self.perform(effects)
    }

    /// Settles, and tells what outlets, the disk and counted attempts answer, until nothing is
    /// left to do.
    pub(super) fn run(&mut self) -> Batch {
        let mut all = Batch::default();
        for _ in 0..100 {
            for input in std::mem::take(&mut self.inbox) {
                self.step(input);
            }
            all.append(self.settle());
            if self.inbox.is_empty() {
                return all;
            }
        }
        panic!("it never comes to rest");
    }

    fn perform(&mut self, effects: Effects) -> Batch {
        let Effects { orders, writes, acts, .. } = effects;
        self.withheld.extend(orders);
        if !self.deaf {
            for (outlet, number, order) in std::mem::take(&mut self.withheld) {
                let result = Ok(self.obey(outlet.as_str(), order));
                self.inbox.push(Input::Outlet { outlet, number, result });
            }
        }
        let mut events = Vec::new();
        for write in writes.clone() {
            match write {
                Write::Put { key, value } => {
                    if key.starts_with(b"event/") {
                        events.push(codec::decode_event(&value).unwrap());
                    }
                    self.disk.insert(key, value);
                }
                Write::Delete { key } => {
                    self.disk.remove(&key);
                }
            }
        }
        for act in &acts {
            match act {
                Act::Load { seqs, max_bytes } => {
                    self.inbox.push(load(&self.disk, seqs.clone(), *max_bytes));
                }
                Act::Begin { task, attempt } => {
                    self.inbox.push(Input::Begun { task: task.clone(), attempt: *attempt });
                }
                Act::Acknowledge(_)
                | Act::Answer { .. }
                | Act::Publish { .. }
                | Act::Status(_)
                | Act::State(_)
                | Act::Telemetry
                | Act::Run { .. }
                | Act::Kill { .. } => {}
            }
        }
        Batch { writes, acts, events }
    }

    fn obey(&mut self, outlet: &str, order: Order) -> Reading {
        match order {
            Order::On { .. } => {
                self.lit.insert(outlet.to_owned());
            }
            Order::Off => {
                self.lit.remove(outlet);
            }
            Order::Read | Order::ClearLease => {}
        }
        Reading { on: self.lit.contains(outlet), ..Reading::default() }
    }

    /// Lets time pass, to the millisecond at which something is due.
    pub(super) fn pass(&mut self, ms: u64) -> Batch {
        let end = self.now.boot + ms;
        let mut all = self.run();
        while self.now.boot < end {
            let wake = self.node.wake_at().map_or(end, |at| at.min(end));
            let ms = wake.max(self.now.boot + 1) - self.now.boot;
            self.now = Now { boot: self.now.boot + ms, wall_ms: self.now.wall_ms + ms, ..self.now };
            all.append(self.run());
        }
        all
    }

    /// The agent dies and starts again at once, from what is on disk.
    pub(super) fn restart(&mut self) -> Batch {
        let mut found = Found::default();
        for (key, value) in &self.disk {
            match key.strip_prefix(b"event/") {
                Some(seq) => {
                    let seq = u64::from_be_bytes(seq.try_into().unwrap());
                    found.events.push((seq, u32::try_from(value.len()).unwrap()));
                }
                None => found.rows.push((key.clone(), value.clone())),
            }
        }
        self.node = Node::recover(self.settings.clone(), found, self.now);
        self.inbox.clear();
        self.withheld.clear();
        self.run()
    }

    /// The agent stops in order and starts again at once. Returns what the stop led to.
    pub(super) fn stop_and_start(&mut self) -> Batch {
        self.step(Input::Stop);
        let last = self.settle();
        self.restart();
        last
    }

    pub(super) fn up(&mut self) -> Batch {
        self.step(Input::Up { session_present: true });
        self.run()
    }

    /// Hands a message in, under the next token, and settles once.
    pub(super) fn message(&mut self, payload: impl Into<Vec<u8>>) -> Batch {
        self.arrive(payload, false);
        self.settle()
    }

    /// Hands a message in. Returns its token.
    pub(super) fn arrive(&mut self, payload: impl Into<Vec<u8>>, retained: bool) -> u64 {
        self.commands += 1;
        let token = self.commands;
        self.step(Input::Command { token, payload: payload.into(), retained });
        token
    }

    /// Sends a command under an id of its own, issued now.
    pub(super) fn send(&mut self, kind: &str, body: Value) -> Batch {
        let id = format!("c{}", self.commands + 1);
        self.send_as(&id, kind, body)
    }

    pub(super) fn send_as(&mut self, id: &str, kind: &str, body: Value) -> Batch {
        let issued_at_ms = self.now.wall_ms;
        let command = json!({"id": id, "type": kind, "issued_at_ms": issued_at_ms, "body": body});
        self.message(command.to_string())
    }

    /// Sends a command that must be accepted, and lets everything come to rest.
    pub(super) fn accept(&mut self, kind: &str, body: Value) -> Batch {
        let mut batch = self.send(kind, body);
        assert_eq!(batch.code(), None, "{:?}", batch.events);
        batch.append(self.run());
        batch
    }

    /// Submits a task of a kind with more fields; it must be accepted.
    pub(super) fn submit(&mut self, task: &str, kind: &str, payload: Value, more: Value) -> Batch {
        let mut body = json!({"task": task, "kind": kind, "payload": payload});
        let Value::Object(more) = more else { panic!("not a map") };
        body.as_object_mut().unwrap().extend(more);
        self.accept("task.submit", body)
    }

    /// The scripts that are there.
    pub(super) fn scripts(&mut self, names: &[&str]) {
        self.step(Input::Scripts(names.iter().map(|name| (*name).to_owned()).collect()));
    }

    /// A script's attempt ends.
    pub(super) fn script(&mut self, task: &str, attempt: u32, outcome: ScriptOutcome) -> Batch {
        self.step(Input::Script { task: task.parse().unwrap(), attempt, outcome });
        self.run()
    }

    /// The rows of a kind, by name.
    pub(super) fn rows(&self, kind: Kind) -> Vec<String> {
        let names = self.disk.keys().filter_map(|key| match Kind::of(key) {
            Some((found, name)) if found == kind => Some(String::from_utf8_lossy(name).into()),
            Some(_) | None => None,
        });
        names.collect()
    }
}

/// What the store answers.
pub(super) fn load(
    disk: &BTreeMap<Vec<u8>, Vec<u8>>,
    seqs: std::ops::RangeInclusive<u64>,
    max_bytes: usize,
) -> Input {
    let (from, mut through) = (*seqs.start(), *seqs.end());
    let key = |seq: u64| Kind::Event.key(seq.to_be_bytes());
    let (mut rows, mut bytes) = (Vec::new(), 0);
    for (key, value) in disk.range(key(from)..=key(through)) {
        bytes += value.len();
        let seq = u64::from_be_bytes(key[6..].try_into().unwrap());
        if bytes > max_bytes && !rows.is_empty() {
            through = rows.last().map_or(through, |(seq, _)| *seq);
            break;
        }
        rows.push((seq, value.clone()));
    }
    Input::Loaded { from, through, rows }
}

pub(super) fn failed(error: &str) -> ScriptOutcome {
    ScriptOutcome::Failed { error: error.to_owned(), for_good: false }
}

pub(super) fn succeeded() -> ScriptOutcome {
    ScriptOutcome::Succeeded(Some(Map::new()))
}
