//! What can go wrong with an outlet: [`Error`] names operation and device, its source [`Fault`]
//! what was seen, and [`Kind`] what the caller can do about it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A failed operation. The chain of sources tells what was seen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings cannot be those of an outlet.
    #[error("{device} cannot be used")]
    Configure {
        /// The device, as an operator knows it.
        device: String,
        /// What is wrong.
        source: Fault,
    },
    /// It was not confirmed on. It may be on, with or without the lease.
    #[error("{device} was not confirmed on")]
    SwitchOn {
        /// The device, as an operator knows it.
        device: String,
        /// What was seen.
        source: Fault,
    },
    /// It was not confirmed off. It may be off.
    #[error("{device} was not confirmed off")]
    SwitchOff {
        /// The device, as an operator knows it.
        device: String,
        /// What was seen.
        source: Fault,
    },
    /// Its lease was not confirmed cleared.
    #[error("the lease in {device} was not confirmed cleared")]
    ClearLease {
        /// The device, as an operator knows it.
        device: String,
        /// What was seen.
        source: Fault,
    },
    /// It could not be read.
    #[error("{device} could not be read")]
    Read {
        /// The device, as an operator knows it.
        device: String,
        /// What was seen.
        source: Fault,
    },
    /// Its settings could not be asked for.
    #[error("the settings of {device} could not be read")]
    Audit {
        /// The device, as an operator knows it.
        device: String,
        /// What was seen.
        source: Fault,
    },
    /// One of its settings was not confirmed changed.
    #[error("{setting} of {device} was not confirmed changed")]
    Mend {
        /// The device, as an operator knows it.
        device: String,
        /// The setting, as the device calls it.
        setting: String,
        /// What was seen.
        source: Fault,
    },
}

impl Error {
    /// What the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.fault().kind()
    }

    /// What was seen.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        match self {
            Self::Configure { source, .. }
            | Self::SwitchOn { source, .. }
            | Self::SwitchOff { source, .. }
            | Self::ClearLease { source, .. }
            | Self::Read { source, .. }
            | Self::Audit { source, .. }
            | Self::Mend { source, .. } => source,
        }
    }
}

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The device did not answer, or not in time: try again.
    Transient,
    /// The device answered, and not with yes: a person must look at its settings or at ours.
    Refused,
    /// The device said yes and then read back otherwise.
    Contradicted,
    /// It cannot work here, however often it is tried.
    Broken,
}

/// What was seen of a device that did not do its part.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No connection.
    #[error("no connection to {address}")]
    Unreachable {
        /// Where the device should be.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The broker that the plug hangs on is away.
    #[error("no connection to the plugs' broker at {broker}: {reason}")]
    NoBroker {
        /// `host:port`.
        broker: String,
        /// Why not.
        reason: String,
    },
    /// The plug has no connection to its broker.
    #[error("the plug is offline, as the broker at {broker} says on {topic}")]
    Offline {
        /// `host:port`.
        broker: String,
        /// Where it says so.
        topic: String,
    },
    /// No whole answer in time.
    #[error("no complete reply within {} ms", limit.as_millis())]
    Slow {
        /// How long was waited.
        limit: Duration,
    },
    /// The connection ended before the reply was whole. Tasmota's `SetOption128 0` (no commands
    /// over HTTP) looks so too.
    #[error("the connection ended before a complete reply (Tasmota: SetOption128 must be 1)")]
    Cut(#[source] hyper::Error),
    /// The device's web server is up and has no room for the request.
    #[error("the device is busy (HTTP status {status})")]
    Busy {
        /// The HTTP status, 429 or 5xx.
        status: u16,
    },
    /// Wrong or missing password.
    #[error("user name or password is wrong or missing (HTTP status 401)")]
    Password,
    /// A login that this driver does not speak.
    #[error("the device asks for another login than HTTP Digest with SHA-256")]
    Login,
    /// Tasmota's `WARNING`: mostly a wrong password, in the language of its firmware.
    #[error("the device warns {text:?}; check user name and password, else do what it says")]
    Warning {
        /// The beginning of what it says.
        text: String,
    },
    /// The answer is no reply of such a device.
    #[error("HTTP status {status} is no answer of such a plug; check url and driver")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// The answer does not end where every answer of such a device has ended.
    #[error("the reply is longer than {limit} bytes; check the url")]
    TooLong {
        /// The most that is read.
        limit: usize,
    },
    /// The answer lacks what a yes would hold.
    #[error("{command} was answered with {reply:?}")]
    Answer {
        /// What was asked.
        command: String,
        /// The beginning of the answer.
        reply: String,
    },
    /// The device can hold no lease, so it was not switched on under one.
    #[error("the device can hold no lease, so it was not switched on under one")]
    NoLease,
    /// The device has switched off by itself, and will again.
    #[error("the device has switched off by itself: {word}")]
    Tripped {
        /// What the device calls it: `overpower`, `overtemp`, `overvoltage`, `undervoltage`.
        word: String,
    },
    /// Taking the lease away means switching on, which must not meet the end of that lease.
    #[error("the lease in the device ends too soon to be taken away")]
    LeaseEnds,
    /// Tasmota clears timers by prefix: those of other relays would go too.
    #[error("clearing the timer of relay {relay} would clear that of relay {other}, which runs")]
    SharedTimer {
        /// Our relay.
        relay: u8,
        /// The relay whose number begins like ours.
        other: u8,
    },
    /// The device said yes, and then something else was read.
    #[error("{expected} was expected and {found} was read back")]
    Contradicted {
        /// What the device had agreed to.
        expected: String,
        /// What it then told.
        found: String,
    },
    /// A setting of the device would break a promise, so it was not switched on.
    #[error("{found}: {why}; {remedy}")]
    Unsafe {
        /// The setting, as the device calls it, and what it is.
        found: String,
        /// What would go wrong.
        why: &'static str,
        /// What to do about it.
        remedy: String,
    },
    /// The setting cannot be changed from here.
    #[error("only a person can change it")]
    ByHand,
    /// A setting that no device can have.
    #[error("{setting} {value:?} {remedy}")]
    Setting {
        /// The setting's name in the configuration.
        setting: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        remedy: &'static str,
    },
    /// The board has no pins that can be driven.
    #[error(
        "driver gpio: rppal knows no Raspberry Pi like this board; use backend = \"cdev\" where it \
         has GPIO, driver \"simulated\" where it has none"
    )]
    NoRaspberryPi,
    /// The pin cannot be had.
    #[error("driver gpio: {remedy}")]
    Pin {
        /// What to do.
        remedy: &'static str,
        /// What rppal says.
        source: rppal::gpio::Error,
    },
    /// The line cannot be had from the kernel.
    #[error("driver gpio, backend cdev: {remedy}")]
    Chip {
        /// What to do.
        remedy: String,
        /// What the kernel says.
        source: gpiocdev::Error,
    },
    /// A simulated line's file cannot be used.
    #[error("driver gpio, backend files: {} can't be used; its folder must be there", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Nobody keeps the lines.
    #[error(
        "no keeper answers at {}: see `systemctl status edge-agent-keeper`; with [keeper] socket = \"\" \
         the agent drives its pins itself, without leases", socket.display()
    )]
    Keeper {
        /// The keeper's socket.
        socket: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The keeper could not do it.
    #[error("the keeper says: {message}")]
    Kept {
        /// What can be done about it.
        kind: Kind,
        /// What is wrong.
        message: String,
    },
    /// A simulated outlet was told to behave so.
    #[error("the simulated outlet refuses, as it was told to")]
    SimulatedRefusal,
}

impl Fault {
    /// What a caller can do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unreachable { .. }
            | Self::NoBroker { .. }
            | Self::Offline { .. }
            | Self::Slow { .. }
            | Self::Busy { .. }
            | Self::Keeper { .. }
            | Self::LeaseEnds => Kind::Transient,
            // Bytes that are no HTTP are an answer: something else lives at that address.
            Self::Cut(source) if source.is_parse() => Kind::Refused,
            Self::Cut(_) => Kind::Transient,
            Self::Password
            | Self::Login
            | Self::Tripped { .. }
            | Self::Warning { .. }
            | Self::Status { .. }
            | Self::TooLong { .. }
            | Self::Answer { .. }
            | Self::NoLease
            | Self::SharedTimer { .. }
            | Self::Unsafe { .. }
            | Self::ByHand
            | Self::SimulatedRefusal => Kind::Refused,
            Self::Contradicted { .. } => Kind::Contradicted,
            Self::Kept { kind, .. } => *kind,
            Self::Setting { .. }
            | Self::NoRaspberryPi
            | Self::Pin { .. }
            | Self::Chip { .. }
            | Self::File { .. } => Kind::Broken,
        }
    }
}
