//! Outlets that can be switched, behind one trait: [`Tasmota`] and [`Shelly`] plugs, [`Gpio`]
//! relays and [`Simulated`] ones; and [`discover`], which finds plugs.
//!
//! A driver tells only what it read back from its device, never what it asked for. It knows no
//! session and no connection to a broker (a [`MqttPlug`] is handed what goes in and out of one),
//! keeps no timer that switches, and never retries an *on*: when to switch, and how often to try,
//! is decided by its owner.
//!
//! Another family of devices is one file with its `impl Outlet`, one variant of [`AnyOutlet`] and
//! one of [`AnyOutlet::driver_name`].

pub mod discover;
mod error;
mod gpio;
mod http;
mod secret;
mod shelly;
mod simulated;
mod tasmota;
mod trip;
mod turn;

use std::future::Future;
use std::time::Duration;

pub use error::{Error, Fault, Kind};
pub use gpio::{
    Backend, BootMs, Gpio, GpioSettings, KeeperSettings, LineSettings, OnDeath, Relay, keeper,
};
pub use secret::Secret;
pub use shelly::{Shelly, ShellySettings};
pub use simulated::{Behaviour, Conduct, Simulated, SimulatedControl};
pub use tasmota::{Line, Message, MqttPlug, PlugTopics, Tasmota, TasmotaSettings};
pub use trip::Trip;

/// What must hold of what plugs answer, for the fuzzer and for tests.
#[cfg(any(test, fuzzing))]
pub mod fuzz {
    pub use crate::shelly::fuzz::shelly_reply;
    pub use crate::tasmota::fuzz::tasmota_reply;
}

/// One thing that can be switched: a relay of a plug, or a pin with a relay behind it.
///
/// Every method may be called again after any error, and every command is absolute, so that a
/// command whose reply was lost does no harm when it is repeated.
pub trait Outlet: Send {
    /// What the device can do, as far as it is known. No I/O.
    fn capabilities(&self) -> Capabilities;

    /// Switches on; with a `lease` the device cuts the power by itself after it. On an outlet
    /// that is on, it renews, shortens or (without one) takes away the lease.
    ///
    /// A lease below 1 s is armed as 1 s, one above [`LeaseLimits::max`] as that; between, it is
    /// rounded up to [`LeaseLimits::resolution`]. Success only after relay and lease were read
    /// back. After an error the relay may be on, with or without the lease.
    fn on(
        &mut self,
        lease: Option<Duration>,
    ) -> impl Future<Output = Result<Reading, Error>> + Send;

    /// Switches off and reads back. Leaves the lease alone ([`Outlet::clear_lease`]): this is the
    /// shortest path. A device that does not even acknowledge it is given up within 2 s, so that
    /// it can be tried again; the read-back of a slow one may take longer.
    fn off(&mut self) -> impl Future<Output = Result<Reading, Error>> + Send;

    /// Clears a lease left in the device and reads that back. Never changes the relay.
    fn clear_lease(&mut self) -> impl Future<Output = Result<Reading, Error>> + Send;

    /// Reads the device. Never switches, never cancels a timer.
    fn read(&mut self) -> impl Future<Output = Result<Reading, Error>> + Send;

    /// Compares the settings of the device with those that make it safe; a device whose settings
    /// are of no account has no findings. Only asks: it writes nothing, switches nothing and
    /// cancels no timer. For a person who commissions or examines an outlet, not for each poll.
    fn audit(&mut self) -> impl Future<Output = Result<Vec<Finding>, Error>> + Send {
        async { Ok(Vec::new()) }
    }

    /// Sets what a finding of [`Outlet::audit`] wants, once, and reads it back. One that is
    /// [`FindingState::Good`] is left alone; one that is [`FindingState::ByHand`] is an error.
    /// Never switches.
    fn mend(&mut self, finding: &Finding) -> impl Future<Output = Result<(), Error>> + Send {
        let setting = finding.setting.clone();
        let good = finding.state == FindingState::Good;
        async move {
            let device = "the outlet".to_owned();
            if good { Ok(()) } else { Err(Error::Mend { device, setting, source: Fault::ByHand }) }
        }
    }
}

/// What an outlet can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The leases that the device can hold, if it can hold any.
    pub lease: Option<LeaseLimits>,
    /// Whether the device measures the power of its load.
    pub meters: bool,
}

/// The leases that a device can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseLimits {
    /// The longest; a longer one is armed at this length.
    pub max: Duration,
    /// A lease is rounded up to a multiple of this.
    pub resolution: Duration,
}

/// What was read back from a device.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Whether the relay is on.
    pub on: bool,
    /// When the device will cut the power by itself.
    pub lease: LeaseReading,
    /// How long the device has been running, where it tells.
    pub uptime: Option<Duration>,
    /// How often the device has started, where it tells. Only [`Outlet::read`] asks for it; the
    /// others repeat it until the device was seen to restart.
    pub boot_count: Option<u64>,
    /// The power of the load in watts, where the device measures it. `None`, too, where the
    /// device shows 0 of an open relay whatever flows: such a 0 proves nothing. [`Outlet::read`]
    /// asks for it, and [`Outlet::off`] may.
    pub power_w: Option<f64>,
    /// The energy that the load has taken since the device's register began, in watt-hours
    /// whatever the device counts in. It rises for ever, but for a person who resets it or the
    /// end of its digits. Told with `power_w`.
    pub energy_wh: Option<f64>,
    /// Why a device that is off switched itself off, where it tells. A device may tell it until it
    /// is on again, whoever was told to keep it off meanwhile.
    pub trip: Option<Trip>,
}

/// What an outlet is when nothing covers it. A device that nobody tells anything should come to it by
/// itself, and [`Outlet::audit`] judges its settings by that.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Rest {
    /// Off, as what is paid for.
    #[default]
    Off,
    /// On, as a modem or a camera.
    On,
    /// As it was.
    Keep,
}

/// What [`Outlet::audit`] found of one setting of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The setting, as the device calls it.
    pub setting: String,
    /// What it should be.
    pub wanted: String,
    /// What it is.
    pub actual: String,
    /// What goes wrong with another value: a sentence without its full stop.
    pub why: &'static str,
    /// Whether something is to be done, and by whom.
    pub state: FindingState,
}

/// Whether something is to be done about a [`Finding`], and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FindingState {
    /// It is as it should be.
    Good,
    /// [`Outlet::mend`] can set it.
    Mendable,
    /// Only a person can.
    ByHand,
}

/// The lease that a device holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseReading {
    /// The device can hold none: nothing but its owner cuts the power.
    Unsupported,
    /// The device could hold one, and holds none.
    None,
    /// The device cuts the power by itself after this time.
    Remaining(Duration),
}

/// The longest lease of every driver, 18 h: what Tasmota's `PulseTime` can count.
pub(crate) const LONGEST_LEASE: Duration = Duration::from_hours(18);
/// How long an off waits to be acknowledged: a little below the 2 s after which it must have been
/// tried again.
pub(crate) const OFF_LIMIT: Duration = Duration::from_millis(1_900);

/// An outlet of any family.
#[derive(Debug)]
pub enum AnyOutlet {
    /// A relay of a Tasmota plug.
    Tasmota(Box<Tasmota>),
    /// A relay of a Shelly plug.
    Shelly(Box<Shelly>),
    /// A relay on a pin of this board.
    Gpio(Gpio),
    /// A relay that exists only in this process.
    Simulated(Simulated),
}

impl AnyOutlet {
    /// A relay of a Tasmota plug. No I/O: the first operation meets the plug.
    ///
    /// # Errors
    /// If the settings cannot be those of a Tasmota plug.
    pub fn tasmota(settings: TasmotaSettings) -> Result<Self, Error> {
        Ok(Self::Tasmota(Box::new(Tasmota::new(settings)?)))
    }

    /// A relay, counted from 1, of a Tasmota plug at a broker. No I/O: the first operation meets the plug.
    ///
    /// # Errors
    /// If the relay is 0.
    pub fn tasmota_by_mqtt(plug: MqttPlug, relay: u8) -> Result<Self, Error> {
        Ok(Self::Tasmota(Box::new(Tasmota::by_mqtt(plug, relay)?)))
    }

    /// A relay of a Shelly plug. No I/O: the first operation meets the plug.
    ///
    /// # Errors
    /// If the settings cannot be those of a Shelly plug.
    pub fn shelly(settings: ShellySettings) -> Result<Self, Error> {
        Ok(Self::Shelly(Box::new(Shelly::new(settings)?)))
    }

    /// A relay on a line of this board. No I/O: the first operation claims the line, or meets the
    /// keeper.
    ///
    /// # Errors
    /// If no board has a line of that number.
    pub fn gpio(settings: GpioSettings) -> Result<Self, Error> {
        Ok(Self::Gpio(Gpio::new(settings)?))
    }

    /// A simulated outlet, off. [`Simulated::new`] gives one whose control is kept.
    #[must_use]
    pub fn simulated(behaviour: Behaviour) -> Self {
        Self::Simulated(Simulated::new(behaviour))
    }

    /// The driver's name as the configuration spells it.
    #[must_use]
    pub fn driver_name(&self) -> &'static str {
        match self {
            Self::Tasmota(_) => "tasmota",
            Self::Shelly(_) => "shelly",
            Self::Gpio(_) => "gpio",
            Self::Simulated(_) => "simulated",
        }
    }
}

/// Calls the same method of whichever outlet it is.
impl AnyOutlet {
    /// The outlet, which comes to `rest` when nothing covers it; [`Rest::Off`] unless that is said.
    #[must_use]
    pub fn resting(mut self, rest: Rest) -> Self {
        match &mut self {
            Self::Tasmota(outlet) => outlet.rests(rest),
            Self::Shelly(outlet) => outlet.rests(rest),
            // They have no settings to be judged by it.
            Self::Gpio(_) | Self::Simulated(_) => {}
        }
        self
    }
}

macro_rules! each {
    ($any:expr, $outlet:ident => $call:expr) => {
        match $any {
            AnyOutlet::Tasmota($outlet) => $call,
            AnyOutlet::Shelly($outlet) => $call,
            AnyOutlet::Gpio($outlet) => $call,
            AnyOutlet::Simulated($outlet) => $call,
        }
    };
}

impl Outlet for AnyOutlet {
    fn capabilities(&self) -> Capabilities {
        each!(self, outlet => outlet.capabilities())
    }

    async fn on(&mut self, lease: Option<Duration>) -> Result<Reading, Error> {
        each!(self, outlet => outlet.on(lease).await)
    }

    async fn off(&mut self) -> Result<Reading, Error> {
        each!(self, outlet => outlet.off().await)
    }

    async fn clear_lease(&mut self) -> Result<Reading, Error> {
        each!(self, outlet => outlet.clear_lease().await)
    }

    async fn read(&mut self) -> Result<Reading, Error> {
        each!(self, outlet => outlet.read().await)
    }

    async fn audit(&mut self) -> Result<Vec<Finding>, Error> {
        each!(self, outlet => outlet.audit().await)
    }

    async fn mend(&mut self, finding: &Finding) -> Result<(), Error> {
        each!(self, outlet => outlet.mend(finding).await)
    }
}
