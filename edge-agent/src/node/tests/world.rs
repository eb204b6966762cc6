//! A virtual world around a real [`Node`]: clocks, plugs, a disk and a link. It jumps from one
//! instant at which something happens to the next, and after each checks the promises: nobody's
//! power stays on too long, nobody's is cut early, and the node never spins.

use std::collections::BTreeMap;

use edge_protocol::codec::{self, Encoding};
use edge_protocol::id::OutletId;
use serde_json::{Value, json};

use super::plug::{Conduct, Plug};
use crate::node::record::{Kind, Write};
use crate::node::recover::Found;
use crate::node::session::Session;
use crate::node::settings::{Button, OutletSettings, Rest, Settings, TaskLimits};
use crate::node::time::{BootMs, Now};
use crate::node::{Act, Effects, Input, Node};

/// What the wall clock shows when the world begins.
pub(super) const EPOCH_MS: u64 = 1_763_690_000_000;
/// The world's own time by then.
const BEGINNING: u64 = 1_000_000_000;
/// How long the machine has been up by then.
const UPTIME_MS: u64 = 100_000;
/// More settles at one instant than this are a node that spins.
const MAX_SETTLES: u32 = 40;

pub(super) struct World {
    pub(super) settings: Settings,
    node: Option<Node>,
    /// The time that all share; the world's own, and no clock of the node's.
    pub(super) time: u64,
    boot_at: u64,
    /// What the wall clock shows, less the world's time.
    wall_ahead: u64,
    pub(super) synced: bool,
    plugs: BTreeMap<String, Plug>,
    pub(super) disk: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) up: bool,
    events: Vec<Value>,
    taken: usize,
    commands: u64,
    pub(super) acknowledged: Vec<u64>,
    pub(super) states: Vec<Value>,
    /// Batches that wrote a session's record.
    pub(super) session_writes: usize,
    /// Batches that wrote the clocks down.
    pub(super) checkpoints: usize,
    settles: (u64, u32),
    /// When each outlet's power has to be gone, as of the last settle.
    due: BTreeMap<String, Due>,
    /// When the agent last started, or the machine woke up.
    woken: u64,
}

/// When an outlet's power has to be gone, and since when the node could know.
#[derive(Debug, Clone, Copy)]
struct Due {
    off: u64,
    known: u64,
    /// It is an off time, for which a lease was armed.
    promised: bool,
}

/// Until when an outlet may be on.
#[derive(Debug, Clone, Copy)]
enum Limit {
    At(u64),
    /// Nothing wants it on.
    Now,
}

pub(super) fn outlet(leases: bool, rest: Rest) -> OutletSettings {
    let driver = if leases { "tasmota" } else { "gpio" };
    OutletSettings {
        driver: driver.to_owned(),
        rest,
        button: Button::Obey,
        leases,
        definition: String::new(),
    }
}

fn settings() -> Settings {
    let plugs = ["plug-1", "plug-2", "plug-3", "plug-4"];
    let mut outlets: BTreeMap<_, _> =
        plugs.map(|id| (id.parse().unwrap(), outlet(true, Rest::Off))).into();
    outlets.insert("relay-1".parse().unwrap(), outlet(false, Rest::Off));
    outlets.insert("modem".parse().unwrap(), outlet(true, Rest::On));
    outlets.insert("camera".parse().unwrap(), outlet(true, Rest::Keep));
    let station = |id: &str, outlets: &[&str]| {
        (id.parse().unwrap(), outlets.iter().map(|id| id.parse().unwrap()).collect())
    };
    Settings {
        node: "pi-1".parse().unwrap(),
        version: "1.0.0".to_owned(),
        boot_id: "boot-1".to_owned(),
        store: "9f3ac01b".to_owned(),
        encoding: Encoding::Json,
        stations: BTreeMap::from([
            station("pc-1", &["plug-1"]),
            station("pc-2", &["plug-2"]),
            station("bay", &["relay-1", "plug-3", "plug-4"]),
        ]),
        outlets,
        warn_before_ms: vec![300_000, 60_000],
        grace_ms: 0,
        outbox_max_bytes: 64 * 1024 * 1024,
        tasks: TaskLimits { concurrency: 2, max_queued: 10_000, max_bytes: 32 * 1024 * 1024 },
        hardware: "a virtual board".to_owned(),
        configuration: "c0ffee".to_owned(),
        certificate_expires_at_ms: EPOCH_MS,
        seed: 1,
    }
}

impl World {
    /// A node that has run for a moment, connected, on a synced clock; everything at rest.
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    /// The same with other settings.
    pub(super) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings();
        change(&mut settings);
        let time = BEGINNING;
        let plugs = settings
            .outlets
            .iter()
            .map(|(id, outlet)| (id.to_string(), Plug::new(outlet.leases, time)))
            .collect();
        let mut world = Self {
            settings,
            node: None,
            time,
            boot_at: time - UPTIME_MS,
            wall_ahead: EPOCH_MS - time,
            synced: true,
            plugs,
            disk: BTreeMap::new(),
            up: true,
            events: Vec::new(),
            taken: 0,
            commands: 0,
            acknowledged: Vec::new(),
            states: Vec::new(),
            session_writes: 0,
            checkpoints: 0,
            settles: (0, 0),
            due: BTreeMap::new(),
            woken: 0,
        };
        world.wake();
        world.run_for(10_000);
        world.take();
        world
    }

    fn now(&self) -> Now {
        Now {
            boot: BootMs::from(self.time - self.boot_at),
            wall_ms: self.wall(),
            synced: self.synced,
        }
    }

    /// What the wall clock shows.
    pub(super) fn wall(&self) -> u64 {
        self.time + self.wall_ahead
    }

    /// What the control plane's clock shows: it is right.
    pub(super) fn true_wall(&self) -> u64 {
        self.time - BEGINNING + EPOCH_MS
    }

    pub(super) fn node(&self) -> &Node {
        self.node.as_ref().expect("the agent runs")
    }

    pub(super) fn plug(&mut self, id: &str) -> &mut Plug {
        self.plugs.get_mut(id).unwrap()
    }

    /// From now on a plug behaves like that.
    pub(super) fn conduct(&mut self, id: &str, conduct: Conduct) {
        let time = self.time;
        let plug = self.plug(id);
        plug.conduct = conduct;
        plug.disturbed = true;
        plug.well_since = time;
        if conduct == Conduct::Obeys
            && let Some(job) = &mut plug.under_way
        {
            job.done_at = job.done_at.min(time + 2_000);
        }
    }

    pub(super) fn press(&mut self, id: &str) {
        let time = self.time;
        self.plug(id).press(time);
    }

    pub(super) fn replug(&mut self, id: &str) {
        let time = self.time;
        self.plug(id).restart(time);
    }

    /// Steps the wall clock.
    pub(super) fn step_wall(&mut self, ms: i64) {
        self.wall_ahead = self.wall_ahead.checked_add_signed(ms).unwrap();
    }

    /// Sets the wall clock right, and has it trusted.
    pub(super) fn right_wall(&mut self) {
        self.wall_ahead = EPOCH_MS - BEGINNING;
        self.synced = true;
    }

    // The agent.

    /// Starts the agent from what is on disk.
    pub(super) fn wake(&mut self) {
        let mut found = Found::default();
        for (key, value) in &self.disk {
            match Kind::of(key) {
                Some((Kind::Event, seq)) => {
                    let seq = u64::from_be_bytes(seq.try_into().unwrap());
                    found.events.push((seq, u32::try_from(value.len()).unwrap()));
                }
                _ => found.rows.push((key.clone(), value.clone())),
            }
        }
        let mut node = Node::recover(self.settings.clone(), found, self.now());
        for (id, _) in node.outlets() {
            let time = self.time;
            self.plugs.entry(id.to_string()).or_insert_with(|| Plug::new(true, time));
        }
        if self.up {
            node.step(self.now(), Input::Up { session_present: true });
        }
        self.node = Some(node);
        self.woken = self.time;
        self.settle();
    }

    /// The agent dies: nothing of it is left but its disk.
    pub(super) fn kill(&mut self) {
        self.node = None;
        for plug in self.plugs.values_mut() {
            plug.under_way = None;
        }
    }

    /// The agent dies and starts again `after_ms` later, in the same boot.
    pub(super) fn restart(&mut self, after_ms: u64) {
        self.kill();
        self.run_for(after_ms);
        self.wake();
    }

    /// The whole machine is away for `away_ms`. Its wall clock then shows `behind_ms` too little,
    /// and is unsynced if that is not 0. A relay without a plug around it falls open.
    pub(super) fn reboot(&mut self, away_ms: u64, behind_ms: u64) {
        self.kill();
        let time = self.time;
        for plug in self.plugs.values_mut().filter(|plug| !plug.leases) {
            plug.restart(time);
        }
        self.run_for(away_ms);
        self.boot_at = self.time;
        self.settings.boot_id = format!("boot-at-{}", self.time);
        self.wall_ahead -= behind_ms;
        self.synced = behind_ms == 0;
        self.run_for(20_000);
        self.wake();
    }

    /// The same, but the mains are away, so that no plug stays up.
    pub(super) fn blackout(&mut self, away_ms: u64, behind_ms: u64) {
        self.kill();
        self.run_for(away_ms);
        let time = self.time;
        self.plugs.values_mut().for_each(|plug| plug.restart(time));
        self.reboot(0, behind_ms);
    }

    /// The agent stops in order.
    pub(super) fn stop(&mut self) {
        self.step(Input::Stop);
        self.kill();
    }

    pub(super) fn link(&mut self, up: bool) {
        self.up = up;
        self.step(if up { Input::Up { session_present: true } } else { Input::Down });
    }

    // Commands and events.

    /// Sends a command: `{"type", "body"}`, the rest filled in. Returns its id.
    pub(super) fn command(&mut self, command: Value) -> String {
        let mut command = command;
        self.commands += 1;
        let envelope = command.as_object_mut().unwrap();
        let id = envelope.entry("id").or_insert(json!(format!("c{}", self.commands))).clone();
        envelope.entry("issued_at_ms").or_insert(json!(self.true_wall()));
        envelope.retain(|_, value| !value.is_null());
        let (token, payload) = (self.commands, command.to_string().into_bytes());
        self.step(Input::Command { token, payload, retained: false });
        id.as_str().unwrap().to_owned()
    }

    /// Sends a command; returns the code of its rejection, if it is rejected.
    pub(super) fn send(&mut self, kind: &str, body: Value) -> Result<String, String> {
        let id = self.command(json!({"type": kind, "body": body}));
        let answers = |event: &&Value| event["body"]["command"] == json!(id);
        let answer = self.events.iter().rev().find(answers).expect("each command is answered");
        match answer["body"]["code"].as_str() {
            None => Ok(id),
            Some(code) => Err(code.to_owned()),
        }
    }

    /// Sends a command that must be accepted.
    pub(super) fn accept(&mut self, kind: &str, body: Value) -> String {
        let told = body.to_string();
        self.send(kind, body).unwrap_or_else(|code| panic!("{kind} {told}: {code}"))
    }

    /// Starts a session and waits until it is `active`.
    pub(super) fn start(&mut self, session: &str, station: &str, duration_ms: u64) {
        self.start_with(
            json!({"session": session, "station": station, "duration_ms": duration_ms}),
        );
    }

    /// The same with any body.
    pub(super) fn start_with(&mut self, body: Value) {
        let session = body["session"].as_str().unwrap().to_owned();
        self.accept("session.start", body);
        self.run_until("session.started");
        assert_eq!(self.phase(&session), "active");
    }

    /// The phase of a session, `over` once it has none.
    pub(super) fn phase(&self, session: &str) -> String {
        let state = self.node().state();
        let found = state.sessions.iter().find(|found| found.session.as_str() == session);
        found.map_or_else(|| "over".to_owned(), |found| found.phase.clone())
    }

    /// The hold on an outlet: whether it is held on.
    pub(super) fn hold(&self, outlet: &str) -> Option<bool> {
        let state = self.node().state();
        let found = state.outlets.into_iter().find(|found| found.outlet.as_str() == outlet);
        found?.hold.map(|hold| hold.on)
    }

    /// Every event of the world.
    pub(super) fn events(&self) -> &[Value] {
        &self.events
    }

    /// The events since this was last called.
    pub(super) fn take(&mut self) -> Vec<Value> {
        let events = self.events[self.taken..].to_vec();
        self.taken = self.events.len();
        events
    }

    /// The bodies of events of one kind, each with its `at_ms` and `cause`.
    pub(super) fn told(&self, kind: &str) -> Vec<Value> {
        let bodies = self.events.iter().filter(|event| event["type"] == kind).map(|event| {
            let mut body = event["body"].clone();
            body["at_ms"] = event["at_ms"].clone();
            body["cause"] = event["cause"].clone();
            body
        });
        bodies.collect()
    }

    /// The last event of a kind.
    pub(super) fn last(&self, kind: &str) -> Value {
        self.told(kind).pop().unwrap_or_else(|| panic!("no {kind} was told"))
    }

    // Time.

    /// Lets time pass.
    pub(super) fn run_for(&mut self, ms: u64) {
        self.run_to(self.time + ms);
    }

    /// Lets time pass until an event of `kind` comes, 10 minutes at most.
    pub(super) fn run_until(&mut self, kind: &str) -> Value {
        self.run_for_kind(600_000, kind)
    }

    /// Lets time pass until an event of `kind` comes, so long at most.
    pub(super) fn run_for_kind(&mut self, ms: u64, kind: &str) -> Value {
        let end = self.time + ms;
        let count = |world: &Self| world.events.iter().filter(|it| it["type"] == kind).count();
        let before = count(self);
        while count(self) == before {
            assert!(self.time < end, "no {kind} came: {:#?}", self.events[self.taken..].to_vec());
            self.run_to(self.next().unwrap_or(end).clamp(self.time, end));
        }
        self.last(kind)
    }

    /// The machine sleeps: time passes, and nobody looks.
    pub(super) fn sleep(&mut self, ms: u64) {
        let node = self.node.take();
        self.run_for(ms);
        self.node = node;
        self.woken = self.time;
        self.turn();
    }

    /// Lets time pass up to an instant.
    pub(super) fn run_to(&mut self, end: u64) {
        loop {
            let next = self.next().filter(|next| *next <= end);
            self.time = next.unwrap_or(end).max(self.time);
            self.turn();
            if next.is_none() {
                return;
            }
        }
    }

    /// When something next happens.
    fn next(&self) -> Option<u64> {
        let wake =
            self.node.as_ref().and_then(Node::wake_at).map(|at| self.boot_at + at.uptime_ms());
        self.plugs.values().filter_map(Plug::wake_at).chain(wake).min()
    }

    /// What happens at this instant.
    fn turn(&mut self) {
        let (time, boot_at) = (self.time, self.boot_at);
        let mut answers = Vec::new();
        for (id, plug) in &mut self.plugs {
            plug.tick(time);
            answers.extend(plug.answer(time, boot_at).map(|answer| (id.clone(), answer)));
        }
        let now = self.now();
        if let Some(node) = &mut self.node {
            for (id, (number, result)) in answers {
                node.step(now, Input::Outlet { outlet: id.parse().unwrap(), number, result });
            }
        }
        self.settle();
    }

    /// Puts something in.
    pub(super) fn step(&mut self, input: Input) {
        self.settles = (self.time, 0);
        let now = self.now();
        self.node.as_mut().expect("the agent runs").step(now, input);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let now = self.now();
            let Some(node) = &mut self.node else { break };
            self.settles = if self.settles.0 == self.time {
                (self.time, self.settles.1 + 1)
            } else {
                (self.time, 1)
            };
            assert!(
                self.settles.1 < MAX_SETTLES,
                "the node spins at {}: it wants to wake at {:?}",
                now.boot.0,
                node.wake_at()
            );
            let effects = node.settle(now);
            let inputs = self.perform(effects);
            if inputs.is_empty() {
                break;
            }
            let node = self.node.as_mut().expect("it was just there");
            for input in inputs {
                node.step(now, input);
            }
        }
        self.check();
    }

    /// Carries effects out; returns what comes back at once.
    fn perform(&mut self, effects: Effects) -> Vec<Input> {
        for (id, number, order) in effects.orders {
            let time = self.time;
            self.plug(id.as_str()).order(number, order, time);
        }
        let wrote = |prefix: &[u8]| {
            let put = |write: &Write| match write {
                Write::Put { key, .. } => key.starts_with(prefix),
                Write::Delete { .. } => false,
            };
            usize::from(effects.writes.iter().any(put))
        };
        self.session_writes += wrote(b"session/");
        self.checkpoints += wrote(b"node/checkpoint");
        for write in effects.writes {
            match write {
                Write::Put { key, value } => {
                    if let Some((Kind::Event, _)) = Kind::of(&key)
                        && !self.disk.contains_key(&key)
                    {
                        let event = codec::decode_event(&value).expect("events are readable");
                        self.events.push(serde_json::to_value(event).unwrap());
                    }
                    self.disk.insert(key, value);
                }
                Write::Delete { key } => {
                    self.disk.remove(&key);
                }
            }
        }
        let mut inputs = Vec::new();
        for act in effects.acts {
            match act {
                Act::Acknowledge(token) => self.acknowledged.push(token),
                Act::Publish { seq, .. } => inputs.push(Input::Delivered { seq }),
                Act::Load { seqs, .. } => {
                    let row = |seq: u64| {
                        let value = self.disk.get(&Kind::Event.key(seq.to_be_bytes()))?;
                        Some((seq, value.clone()))
                    };
                    let (from, through) = (*seqs.start(), *seqs.end());
                    let rows = seqs.filter_map(row).collect();
                    inputs.push(Input::Loaded { from, through, rows });
                }
                Act::Begin { task, attempt } => inputs.push(Input::Begun { task, attempt }),
                Act::State(state) => self.states.push(serde_json::from_slice(&state).unwrap()),
                Act::Status(_) | Act::Telemetry | Act::Run { .. } | Act::Kill { .. } => {}
            }
        }
        inputs
    }

    // Promises.

    /// Asserts the promises at this instant.
    fn check(&mut self) {
        if let Some(node) = &self.node {
            let before = std::mem::take(&mut self.due);
            for id in node.outlets.keys() {
                let Some(limit) = self.limit(node, id) else { continue };
                let same = |due: &&Due| match limit {
                    Limit::At(off) => due.promised && due.off.abs_diff(off) <= 2_000,
                    Limit::Now => due.off <= self.time,
                };
                let before = before.get(id.as_str()).filter(same);
                let known = before.map_or(self.time, |due| due.known);
                let due = match limit {
                    Limit::At(off) => Due { off, known, promised: true },
                    Limit::Now => {
                        let off = before.map_or(self.time, |due| due.off);
                        Due { off, known, promised: false }
                    }
                };
                self.due.insert(id.to_string(), due);
            }
        }
        for (id, plug) in &self.plugs {
            self.check_late(id, plug);
            self.check_early(id, plug);
        }
    }

    /// Until when power may flow, as far as the node knows.
    fn limit(&self, node: &Node, id: &OutletId) -> Option<Limit> {
        let at = |at: BootMs| Limit::At(self.boot_at.saturating_add_signed(at.0));
        let session = node.sessions.values().find(|session| session.owns(id));
        match (session.map(Session::off_at), node.holds.get(id).filter(|hold| hold.on)) {
            (Some(Some(off)), _) => Some(at(off)),
            (_, Some(hold)) => hold.until.map(at),
            (Some(None) | None, None) => {
                let rests_off = node.outlets[id].settings.rest == Rest::Off;
                (rests_off || session.is_some()).then_some(Limit::Now)
            }
        }
    }

    fn check_late(&self, id: &str, plug: &Plug) {
        let Some(Due { off, known, promised }) = self.due.get(id).filter(|_| plug.on) else {
            return;
        };
        let late = self.time.saturating_sub(*off);
        assert!(
            late <= 15_000 || !promised || !plug.leases || plug.lease_excused,
            "{id} is on {late} ms after its off time, and its lease ({:?}) did not cut it",
            plug.lease
        );
        let well = plug.conduct == Conduct::Obeys && self.node.is_some();
        let since = *off.max(known).max(&(plug.well_since + 2_000)).max(&self.woken);
        let reachable = self.time.saturating_sub(since);
        assert!(!well || reachable <= 1_000, "{id} is on {late} ms after its off time");
    }

    fn check_early(&self, id: &str, plug: &Plug) {
        let Some(node) = &self.node else { return };
        let Some(outlet) = node.outlets.keys().find(|outlet| outlet.as_str() == id) else { return };
        let now = self.now().boot;
        let owner = node.sessions.values().find(|session| session.outlets.contains(outlet));
        let entitled = owner.is_some_and(|session| session.powered(now));
        let held = node.holds.contains_key(outlet);
        assert!(
            plug.on || !entitled || held || plug.disturbed,
            "{id} is off within its session at {}: {:#?}",
            now.0,
            owner
        );
    }
}
