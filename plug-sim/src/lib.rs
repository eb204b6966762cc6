//! Smart plugs that don't exist: Tasmota and Shelly over real HTTP, with timers that run, and
//! faults on demand.
//!
//! A [`Device`] is the plug without sockets and without a clock of its own: a request goes in, a
//! reply comes out, and time passes when it is told to. A [`FakePlug`] is the same behind
//! sockets on loopback, in real time. The program `plug-sim` serves them to whoever is not
//! written in Rust. Each imitated behaviour cites the firmware's source or a report where it is
//! written. Nothing here was compared with hardware.

mod board;
mod device;
mod fault;
mod profile;
mod reply;
mod request;
mod shell;
mod shelly;
mod tasmota;
mod time;

pub use board::Change;
pub use device::{Asked, Device, PlugClock};
pub use fault::Fault;
pub use profile::{Family, PROFILES, Profile, Version};
pub use reply::{Answer, Manner, Reply, Response};
pub use request::Request;
pub use shell::{Broker, FakePlug, Pace, Switch};
pub use tasmota::Message;

/// Who switched a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A command over HTTP.
    Http,
    /// A command over MQTT.
    Mqtt,
    /// A frame over a Shelly's WebSocket.
    WebSocket,
    /// One of the plug's own timers: `PulseTime`, `TimedPower`, `RuleTimer`; a Shelly's.
    Timer,
    /// A stored rule at boot.
    Rule,
    /// The button.
    Button,
    /// A restart.
    Restart,
    /// A Shelly that protects itself or its load.
    Protection,
}

/// How a plug starts over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// A watchdog, an exception, a `Restart 1`: the mains were there all along.
    Warm,
    /// The mains came back.
    Cold,
}
