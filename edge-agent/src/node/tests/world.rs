//! A virtual world around a real [`Node`]: clocks, plugs, a disk and a link. It jumps from one
//! instant at which something happens to the next, and after each checks the promises: nobody's
//! power stays on too long, nobody's is cut early, and the node never spins.

mod agent;
mod promises;
mod talk;
mod time;

use std::collections::BTreeMap;

use edge_protocol::codec::Encoding;
use serde_json::Value;

use self::promises::Due;
use super::plug::{Conduct, Plug};
use crate::node::settings::{Button, OutletSettings, Rest, Settings, TaskLimits};
use crate::node::time::{BootMs, Now};
use crate::node::{Node, Rejection};

/// What the wall clock shows when the world begins.
pub(super) const EPOCH_MS: u64 = 1_763_690_000_000;
/// The world's own time by then.
const BEGINNING: u64 = 1_000_000_000;
/// How long the machine has been up by then.
const UPTIME_MS: u64 = 100_000;

pub(in crate::node) struct World {
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
    /// What the machine itself was answered.
    local_answers: Vec<(u64, Result<(), Rejection>)>,
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

pub(super) fn outlet(leases: bool, rest: Rest) -> OutletSettings {
    let driver = if leases { "tasmota" } else { "gpio" };
    OutletSettings {
        driver: driver.to_owned(),
        rest,
        button: Button::Obey,
        leases,
        ..OutletSettings::default()
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
        stagger_ms: 0,
        outbox_max_bytes: 64 * 1024 * 1024,
        tasks: TaskLimits { concurrency: 2, max_queued: 10_000, max_bytes: 32 * 1024 * 1024 },
        hardware: "a virtual board".to_owned(),
        configuration: "c0ffee".to_owned(),
        certificate_expires_at_ms: EPOCH_MS,
        seed: 1,
    }
}

/// An instant as people write it.
fn instant(text: &str) -> u64 {
    let at = text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
    at.timestamp_millis().try_into().unwrap()
}

impl World {
    /// A node that has run for a moment, connected, on a synced clock; everything at rest.
    pub(in crate::node) fn new() -> Self {
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
            local_answers: Vec::new(),
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

    pub(in crate::node) fn node(&self) -> &Node {
        self.node.as_ref().expect("the agent runs")
    }

    pub(in crate::node) fn plug(&mut self, id: &str) -> &mut Plug {
        self.plugs.get_mut(id).unwrap()
    }

    /// From now on a plug behaves like that.
    pub(in crate::node) fn conduct(&mut self, id: &str, conduct: Conduct) {
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

    pub(in crate::node) fn press(&mut self, id: &str) {
        let time = self.time;
        self.plug(id).press(time);
    }

    /// Too much hangs on a plug from now on, or no more.
    pub(super) fn overload(&mut self, id: &str, overloaded: bool) {
        let time = self.time;
        let plug = self.plug(id);
        plug.overloaded = overloaded;
        if overloaded {
            plug.overload(time);
        }
    }

    pub(super) fn replug(&mut self, id: &str) {
        let time = self.time;
        self.plug(id).restart(time);
    }

    /// Steps the wall clock.
    pub(super) fn step_wall(&mut self, ms: i64) {
        self.wall_ahead = self.wall_ahead.checked_add_signed(ms).unwrap();
    }

    /// Sets the wall clock to an instant such as `2026-12-01T12:00:00Z`, and lets the node see it.
    pub(super) fn set_wall(&mut self, wall: &str) {
        self.wall_ahead = instant(wall) - self.time;
        self.tick();
        self.take();
    }

    /// Sets the wall clock to what it would show had it shown that when the world began.
    pub(super) fn right_wall_of(&mut self, wall: &str) {
        self.wall_ahead = instant(wall) - BEGINNING;
        self.tick();
    }

    /// Steps the wall clock, and lets the node see it as its ticker would.
    pub(super) fn tick_wall(&mut self, ms: i64) {
        self.step_wall(ms);
        self.tick();
    }

    /// Has the node look at its clocks.
    pub(super) fn tick(&mut self) {
        self.settles = (self.time, 0);
        self.turn();
    }

    /// Sets the wall clock right, and has it trusted.
    pub(super) fn right_wall(&mut self) {
        self.wall_ahead = EPOCH_MS - BEGINNING;
        self.synced = true;
    }
}
