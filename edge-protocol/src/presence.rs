//! What a node says of itself on its retained topics: `status`, `state`, and `telemetry`.

use serde::{Deserialize, Serialize};

use crate::event::{Clock, Fault, Lease};
use crate::id::{NodeId, OutletId, ScheduleId, SessionId, StationId};

/// The retained `status`; `Offline` is also the last will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Status {
    /// The node is connected.
    Online(Online),
    /// It is not.
    Offline(Offline),
}

/// The status of a connected node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Online {
    /// Always true.
    pub online: bool,
    /// Whether it takes commands.
    pub accepting: bool,
    /// The agent's version.
    pub version: String,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// Since when it is connected, UTC.
    pub since_ms: u64,
    /// Whether its wall clock can be trusted.
    pub clock: Clock,
    /// The broker refuses its events for this reason, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// The status of a node that is not connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offline {
    /// Always false.
    pub online: bool,
    /// Why.
    pub reason: OfflineReason,
}

/// Why a node is not connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfflineReason {
    /// The broker lost it.
    Lost,
    /// It was stopped in order.
    Shutdown,
}

impl Status {
    /// The status of a node that is not connected.
    #[must_use]
    pub fn offline(reason: OfflineReason) -> Self {
        Self::Offline(Offline { online: false, reason })
    }
}

/// The whole present state of a node, retained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Which node.
    pub node: NodeId,
    /// When this was so, UTC.
    pub at_ms: u64,
    /// Its stations.
    pub stations: Vec<StationState>,
    /// Its outlets.
    pub outlets: Vec<OutletState>,
    /// Its booked and live sessions.
    pub sessions: Vec<SessionState>,
    /// Its schedules; absent where it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<ScheduleState>,
    /// Its queues.
    pub queues: Queues,
}

/// One station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StationState {
    /// Which station.
    pub station: StationId,
    /// Its outlets, in the order in which they go on.
    pub outlets: Vec<OutletId>,
    /// Its live session, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
}

/// One outlet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutletState {
    /// Which outlet.
    pub outlet: OutletId,
    /// What it was last found to be; absent until it answered once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<bool>,
    /// Its lease.
    pub lease: Lease,
    /// When the plug will cut the power by itself, UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub off_at_ms: Option<u64>,
    /// The hold on it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldState>,
    /// What is wrong with it, where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Fault>,
    /// How much of its relay's life is spent, in percent; absent below 80.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worn_percent: Option<u64>,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldState {
    /// Held on or held off.
    pub on: bool,
    /// Until when, UTC; absent where it has no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

/// One booked or live session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// Which session.
    pub session: SessionId,
    /// Where.
    pub station: StationId,
    /// `booked`, `starting`, `active`, `paused` or `ending`.
    pub phase: String,
    /// The deadline, UTC, where it has one now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at_ms: Option<u64>,
    /// The time until the deadline, where it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_ms: Option<u64>,
    /// The control plane's own text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its last event.
    pub seq: u64,
}

/// One schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// Which schedule.
    pub schedule: ScheduleId,
    /// Its next occurrence, UTC; absent while the node's clock is unsynced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at_ms: Option<u64>,
}

/// How much waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queues {
    /// Tasks that wait for their turn.
    pub tasks_queued: u64,
    /// Tasks that run.
    pub tasks_running: u64,
    /// Events that the broker has not acknowledged.
    pub outbox_events: u64,
    /// Their size.
    pub outbox_bytes: u64,
    /// The last event's `seq`.
    pub last_seq: u64,
}

/// Host figures, not retained. A figure that a machine does not have is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Telemetry {
    /// When they were read, UTC.
    pub at_ms: u64,
    /// CLOCK_BOOTTIME.
    pub uptime_ms: u64,
    /// The one-minute load average.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_1m: Option<f64>,
    /// How busy all processors together were since the reading before (the first: since the boot), 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// The processor's temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_c: Option<f64>,
    /// What slows the processor down now; empty where nothing does, absent where the board does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<Vec<Throttle>>,
    /// What slowed it down earlier, for as long as its firmware remembers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled_earlier: Option<Vec<Throttle>>,
    /// Memory that programs could still have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_available_bytes: Option<u64>,
    /// All the memory there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Space left for the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_available_bytes: Option<u64>,
    /// The size of the file system that the store is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// What everybody wrote to the store's disk since the boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_written_bytes: Option<u64>,
    /// How much of its life the store's disk has spent, at most: 10 to 100 in tens, 110 beyond its
    /// time. An eMMC tells; an SD card does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_worn_percent: Option<u32>,
    /// How many of its spare blocks the store's disk has used. An eMMC tells; an SD card does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_spares: Option<Spares>,
    /// What each network interface but loopback carried since it came up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub network: Vec<Traffic>,
    /// What the agent itself occupies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_rss_bytes: Option<u64>,
    /// The processor time that the agent has spent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_cpu_ms: Option<u64>,
    /// What the agent has given to storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_written_bytes: Option<u64>,
}

/// What can slow a Raspberry Pi's processor down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Throttle {
    /// The power supply or its cable is too weak.
    UnderVoltage,
    /// Its frequency is capped.
    FrequencyCapped,
    /// It is slowed down.
    Throttled,
    /// It is hot enough to be slowed down a little.
    SoftTemperatureLimit,
}

/// How many of its spare blocks a disk has used: the PRE_EOL_INFO of an eMMC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spares {
    /// Less than 80 %.
    Normal,
    /// 80 % or more: replace it soon.
    Warning,
    /// 90 % or more: replace it now.
    Urgent,
}

/// What a network interface carried since it came up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Its name, such as `eth0`.
    pub interface: String,
    /// What came in.
    pub received_bytes: u64,
    /// What went out.
    pub sent_bytes: u64,
}
