//! What switches an outlet: as configured, as kept with a session, and as a device.

use std::path::{Path, PathBuf};

use plug_driver::{
    AnyOutlet, GpioSettings, KeeperSettings, LineSettings, PlugTopics, Secret, ShellySettings,
    TasmotaSettings,
};
use serde::{Deserialize, Serialize};

use super::named;
use crate::host::clock;
use crate::node::settings::Rest;
use crate::venue::{Place, Venue};

/// What switches an outlet.
///
/// A session keeps this text in the store until its outlets are confirmed off, so passwords stay
/// in their files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "lowercase")]
pub enum Driver {
    /// A plug with Tasmota's firmware.
    Tasmota {
        /// `http://HOST` or `http://HOST:PORT`, nothing behind it.
        url: String,
        /// Which of its relays, from 1.
        relay: u8,
        /// Tasmota's own user name; matters with a password only.
        username: String,
        /// Where its web password is, where it has one.
        password_file: Option<PathBuf>,
    },
    /// A plug with Tasmota's firmware, at a broker of the venue's network.
    #[serde(rename = "tasmota_mqtt")]
    TasmotaMqtt {
        /// Its broker; kept with it, so that a session's end finds the plug whatever the file says by then.
        broker: Place,
        /// Its `Topic`.
        topic: String,
        /// Its `FullTopic`.
        full_topic: String,
        /// Which of its relays, from 1.
        relay: u8,
    },
    /// A Shelly plug, of any generation.
    Shelly {
        /// `http://HOST` or `http://HOST:PORT`, nothing behind it.
        url: String,
        /// Which of its relays, from 1.
        relay: u8,
        /// The user of a plug of the first generation; later ones have only `admin`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        username: Option<String>,
        /// Where its password is, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        password_file: Option<PathBuf>,
    },
    /// A relay on a pin of this board.
    Gpio {
        /// The pin, and what drives it.
        #[serde(flatten)]
        line: LineSettings,
        /// The socket of the keeper that holds its leases; absent: it has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        keeper: Option<PathBuf>,
    },
    /// No hardware: for trying things out.
    Simulated {
        /// What hangs on it draws so much while it is on, in milliwatts; without one it has no meter.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        load_mw: Option<u64>,
    },
}

impl Driver {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tasmota { .. } | Self::TasmotaMqtt { .. } => "tasmota",
            Self::Shelly { .. } => "shelly",
            Self::Gpio { .. } => "gpio",
            Self::Simulated { .. } => "simulated",
        }
    }

    /// Whether such a device can cut the power by itself.
    #[must_use]
    pub fn leases(&self) -> bool {
        match self {
            Self::Tasmota { .. }
            | Self::TasmotaMqtt { .. }
            | Self::Shelly { .. }
            | Self::Simulated { .. } => true,
            // By its keeper, a process of its own.
            Self::Gpio { keeper, .. } => keeper.is_some(),
        }
    }

    /// As text, to be read again by [`Self::defined`].
    #[must_use]
    pub fn definition(&self) -> String {
        serde_json::to_string(self).expect("a driver has string keys only")
    }

    /// Out of its text; `None` where another version wrote it.
    #[must_use]
    pub fn defined(definition: &str) -> Option<Self> {
        serde_json::from_str(definition).ok()
    }

    /// The device, which comes to `rest` when nothing covers it. Nothing is switched or asked yet; one at a
    /// broker is reached once `venue` connects.
    ///
    /// # Errors
    /// Settings that no device can have.
    pub fn device(&self, rest: Rest, venue: &mut Venue) -> Result<AnyOutlet, plug_driver::Error> {
        let rest = match rest {
            Rest::Off => plug_driver::Rest::Off,
            Rest::On => plug_driver::Rest::On,
            Rest::Keep => plug_driver::Rest::Keep,
        };
        self.bare_device(venue).map(|device| device.resting(rest))
    }

    fn bare_device(&self, venue: &mut Venue) -> Result<AnyOutlet, plug_driver::Error> {
        match self {
            Self::TasmotaMqtt { broker, topic, full_topic, relay } => {
                let configure = |source| {
                    let device = format!("Tasmota {topic} relay {relay}");
                    plug_driver::Error::Configure { device, source }
                };
                let topics = PlugTopics::new(topic, full_topic).map_err(configure)?;
                AnyOutlet::tasmota_by_mqtt(venue.plug(broker, topics), *relay)
            }
            Self::Tasmota { url, relay, username, password_file } => {
                AnyOutlet::tasmota(TasmotaSettings {
                    url: url.clone(),
                    relay: *relay,
                    username: username.clone(),
                    password: secret(password_file.as_deref()),
                })
            }
            Self::Shelly { url, relay, username, password_file } => {
                AnyOutlet::shelly(ShellySettings {
                    url: url.clone(),
                    relay: *relay,
                    username: username.clone(),
                    password: secret(password_file.as_deref()),
                })
            }
            Self::Gpio { line, keeper } => {
                let keeper = keeper.clone().map(|socket| KeeperSettings {
                    socket,
                    // A boot without an id has no keeper that would answer to it.
                    boot_id: clock::boot_id().unwrap_or_default(),
                    boot_ms: plug_driver::BootMs(clock::boot_ms),
                });
                AnyOutlet::gpio(GpioSettings { line: line.clone(), keeper })
            }
            Self::Simulated { load_mw } => {
                let load_w = load_mw.map(|load_mw| {
                    let milliwatts = u32::try_from(load_mw).unwrap_or(u32::MAX);
                    f64::from(milliwatts) / 1_000.0
                });
                let behaviour = plug_driver::Behaviour::default();
                Ok(AnyOutlet::simulated(plug_driver::Behaviour { load_w, ..behaviour }))
            }
        }
    }
}

/// The password of a plug at its start. Without it the plug will refuse us, which is told; a session
/// must still be ended.
fn secret(file: Option<&Path>) -> Option<Secret> {
    let file = file?;
    let unreadable = |error: &String| tracing::error!(file = %file.display(), error, "no password");
    password(file).inspect_err(unreadable).ok().map(Secret::new)
}

/// Reads a password file: its text without the line's end.
pub(crate) fn password(file: &Path) -> Result<String, String> {
    let text = String::from_utf8(named::read(file)?).map_err(|_| "is no text".to_owned())?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err("is empty".to_owned()),
        password => Ok(password.to_owned()),
    }
}
