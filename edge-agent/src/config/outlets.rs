//! The outlets and stations of a configuration, checked against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use edge_protocol::id::OutletId;
use plug_driver::{Fault, PlugTopics};
use toml::Spanned;

use super::driver::{self, Driver};
use super::file::{self, DriverName};
use super::pins;
use super::{Flaw, OutletConfig, StationConfig};
use crate::endpoint::Endpoint;
use crate::node::settings::Rest;
use crate::venue::{MQTT_PORT, Place};

/// Tasmota numbers up to 32 relays, and no Shelly has more.
const LAST_RELAY: u64 = 32;
/// What a meter can tell apart at the least, and more than a household's fuse lets through.
const WATTS: RangeInclusive<f64> = 0.1..=20_000.0;
/// An hour is more than any compressor asks for.
const MIN_OFF_MS: RangeInclusive<u64> = 1..=3_600_000;
/// From the worst contactor to what no relay reaches.
const CYCLES: RangeInclusive<u64> = 100..=100_000_000;
/// The name of a circuit is a label, not a text.
const MAX_CIRCUIT_BYTES: usize = 64;
/// The user name that Tasmota has unless it was built with another.
const TASMOTA_USERNAME: &str = "admin";

/// What outlets lean on that is said elsewhere in the file.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    /// The socket of whoever keeps the pins.
    pub(super) keeper: Option<&'a Path>,
    /// The broker of the plugs that hang on one.
    pub(super) broker: Option<&'a Place>,
}

/// The broker of the plugs, where `[plugs]` names one.
pub(super) fn broker(file: &file::Plugs) -> Result<Option<Place>, Flaw> {
    let password_file = file.password_file.as_ref().map(password_file).transpose()?;
    let username = file.username.as_ref();
    let Some(url) = &file.mqtt else {
        let lone = username.map(|name| Flaw::at(name, "username means nothing without mqtt"));
        let lone = lone.or_else(|| {
            let file = file.password_file.as_ref()?;
            Some(Flaw::at(file, "password_file means nothing without mqtt"))
        });
        return lone.map_or(Ok(None), Err);
    };
    let wrong = |reason: String| {
        let tls = if url.get_ref().starts_with("mqtts://") {
            "; no precompiled Tasmota for such plugs speaks TLS, so their broker listens without it"
        } else {
            ""
        };
        Flaw::at(url, format!("mqtt {reason}{tls}"))
    };
    let Endpoint { host, port } =
        Endpoint::parse(url.get_ref(), "mqtt", MQTT_PORT).map_err(wrong)?;
    match (username, &file.password_file) {
        (Some(name), None) => {
            return Err(Flaw::at(name, "username means nothing without a password_file"));
        }
        (None, Some(file)) => {
            return Err(Flaw::at(file, "password_file means nothing without a username"));
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
    let username = username.map(|name| name.get_ref().clone());
    Ok(Some(Place { host, port, username, password_file }))
}

/// Each outlet by itself, then that no two share an id or a pin.
pub(super) fn outlets(
    written: Vec<file::Outlet>,
    around: Around<'_>,
) -> Result<Vec<OutletConfig>, Flaw> {
    let mut ids = BTreeSet::new();
    let mut pins = BTreeMap::new();
    let mut outlets = Vec::with_capacity(written.len());
    for outlet in written {
        let id = outlet.id.get_ref().clone();
        if !ids.insert(id.clone()) {
            return Err(Flaw::at(&outlet.id, format!("there is an outlet {id} already")));
        }
        let driver = driver(&outlet, around)?;
        if let (Driver::Gpio { line, .. }, Some(at)) = (&driver, &outlet.pin)
            && let Some(other) = pins.insert(pins::place(line), id.clone())
        {
            let reason = format!("pin {} is the outlet {other}'s already", line.pin);
            return Err(Flaw::at(at, reason));
        }
        let limits = limits(&outlet)?;
        let (rest, button) = (outlet.rest, outlet.button);
        let Limits { cut_below_mw, min_off_ms, circuit, rated_cycles } = limits;
        outlets.push(OutletConfig {
            id,
            driver,
            rest,
            button,
            cut_below_mw,
            min_off_ms,
            circuit,
            rated_cycles,
        });
    }
    Ok(outlets)
}

/// The stations, whose outlets must be there, rest off, and belong to one station only.
pub(super) fn stations(
    written: Vec<file::Station>,
    outlets: &[OutletConfig],
) -> Result<Vec<StationConfig>, Flaw> {
    let mut ids = BTreeSet::new();
    let mut owners: BTreeMap<OutletId, _> = BTreeMap::new();
    let mut stations = Vec::with_capacity(written.len());
    for station in written {
        let id = station.id.get_ref().clone();
        if !ids.insert(id.clone()) {
            return Err(Flaw::at(&station.id, format!("there is a station {id} already")));
        }
        if station.outlets.get_ref().is_empty() {
            return Err(Flaw::at(&station.outlets, format!("the station {id} has no outlet")));
        }
        for named in station.outlets.get_ref() {
            let name = named.get_ref();
            let Some(outlet) = outlets.iter().find(|outlet| outlet.id == *name) else {
                return Err(Flaw::at(named, format!("there is no outlet {name}")));
            };
            if outlet.rest != Rest::Off {
                let reason = format!("the outlet {name} of a station must have rest = \"off\"");
                return Err(Flaw::at(named, reason));
            }
            if let Some(other) = owners.insert(name.clone(), id.clone()) {
                let reason = format!("the outlet {name} is in the station {other} already");
                return Err(Flaw::at(named, reason));
            }
        }
        let outlets = station.outlets.into_inner().into_iter().map(Spanned::into_inner).collect();
        stations.push(StationConfig { id, outlets });
    }
    Ok(stations)
}

/// What is said of an outlet's load and relay, whatever drives it.
struct Limits {
    cut_below_mw: Option<u64>,
    min_off_ms: Option<u64>,
    circuit: Option<String>,
    rated_cycles: Option<u64>,
}

fn limits(outlet: &file::Outlet) -> Result<Limits, Flaw> {
    let cut_below_mw = outlet.cut_below_w.as_ref().map(|watts| milliwatts(watts, "cut_below_w"));
    let cut_below_mw = cut_below_mw.transpose()?;
    let ranged = |written: &Option<Spanned<u64>>, key, range: RangeInclusive<u64>| match written {
        Some(value) if !range.contains(value.get_ref()) => {
            let (least, most) = range.into_inner();
            Err(Flaw::at(value, format!("{key} must be {least} to {most}")))
        }
        Some(value) => Ok(Some(*value.get_ref())),
        None => Ok(None),
    };
    let circuit = match &outlet.circuit {
        Some(name) if !(1..=MAX_CIRCUIT_BYTES).contains(&name.get_ref().len()) => {
            let reason = format!("circuit must be 1 to {MAX_CIRCUIT_BYTES} bytes");
            return Err(Flaw::at(name, reason));
        }
        Some(name) => Some(name.get_ref().clone()),
        None => None,
    };
    Ok(Limits {
        cut_below_mw,
        min_off_ms: ranged(&outlet.min_off_ms, "min_off_ms", MIN_OFF_MS)?,
        circuit,
        rated_cycles: ranged(&outlet.rated_cycles, "rated_cycles", CYCLES)?,
    })
}

fn milliwatts(written: &Spanned<f64>, key: &str) -> Result<u64, Flaw> {
    let watts = *written.get_ref();
    if !WATTS.contains(&watts) {
        let (least, most) = WATTS.into_inner();
        return Err(Flaw::at(written, format!("{key} must be {least} to {most} watts")));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is in a range that a u64 holds"
    )]
    Ok((watts * 1_000.0).round() as u64)
}

fn driver(outlet: &file::Outlet, around: Around<'_>) -> Result<Driver, Flaw> {
    if *outlet.driver.get_ref() != DriverName::Simulated {
        let reason = "load_w is a simulated outlet's: any other measures what hangs on it";
        outlet.load_w.as_ref().map_or(Ok(()), |load_w| Err(Flaw::at(load_w, reason)))?;
    }
    match outlet.driver.get_ref() {
        DriverName::Tasmota => {
            no_gpio_keys(outlet, "tasmota")?;
            match &outlet.mqtt_topic {
                Some(topic) => tasmota_by_mqtt(outlet, topic, around.broker),
                None => tasmota(outlet),
            }
        }
        DriverName::Shelly => {
            no_gpio_keys(outlet, "shelly")?;
            no_mqtt_keys(outlet, "shelly")?;
            shelly(outlet)
        }
        DriverName::Gpio => {
            no_plug_keys(outlet, "gpio")?;
            no_mqtt_keys(outlet, "gpio")?;
            let keeper = around.keeper.map(Path::to_owned);
            Ok(Driver::Gpio { line: pins::line(outlet)?, keeper })
        }
        DriverName::Simulated => {
            no_gpio_keys(outlet, "simulated")?;
            no_plug_keys(outlet, "simulated")?;
            no_mqtt_keys(outlet, "simulated")?;
            let load_mw = outlet.load_w.as_ref().map(|load_w| milliwatts(load_w, "load_w"));
            Ok(Driver::Simulated { load_mw: load_mw.transpose()? })
        }
    }
}

fn tasmota(outlet: &file::Outlet) -> Result<Driver, Flaw> {
    if let Some(full_topic) = &outlet.mqtt_full_topic {
        return Err(Flaw::at(full_topic, "mqtt_full_topic means nothing without mqtt_topic"));
    }
    if outlet.url.is_none() {
        return Err(missing(outlet, "url = \"http://…\", or mqtt_topic = \"…\""));
    }
    let plug = plug(outlet)?;
    let username = plug.username.unwrap_or_else(|| TASMOTA_USERNAME.to_owned());
    let Plug { url, relay, password_file, .. } = plug;
    Ok(Driver::Tasmota { url, relay, username, password_file })
}

fn tasmota_by_mqtt(
    outlet: &file::Outlet,
    topic: &Spanned<String>,
    broker: Option<&Place>,
) -> Result<Driver, Flaw> {
    if let Some(url) = &outlet.url {
        return Err(Flaw::at(url, "a plug has a url or an mqtt_topic, not both"));
    }
    // The broker's login is in [plugs]; over MQTT a plug asks for none of its own.
    let reason = "the plug's broker has its username and password_file in [plugs]";
    outlet.username.as_ref().map_or(Ok(()), |name| Err(Flaw::at(name, reason)))?;
    outlet.password_file.as_ref().map_or(Ok(()), |file| Err(Flaw::at(file, reason)))?;
    let Some(broker) = broker else {
        let reason = "mqtt_topic needs [plugs] mqtt = \"mqtt://HOST\", the broker of the plugs";
        return Err(Flaw::at(topic, reason));
    };
    let full = outlet.mqtt_full_topic.as_ref();
    let full_topic = full.map_or(PlugTopics::DEFAULT_FULL, |full| full.get_ref().as_str());
    PlugTopics::new(topic.get_ref(), full_topic).map_err(|fault| {
        let is_full = matches!(fault, Fault::Setting { setting: "mqtt_full_topic", .. });
        Flaw::at(full.filter(|_| is_full).unwrap_or(topic), fault.to_string())
    })?;
    let relay = number(outlet.relay.as_ref(), "relay", 1, LAST_RELAY)?.unwrap_or(1);
    let (topic, full_topic) = (topic.get_ref().clone(), full_topic.to_owned());
    Ok(Driver::TasmotaMqtt { broker: broker.clone(), topic, full_topic, relay })
}

fn shelly(outlet: &file::Outlet) -> Result<Driver, Flaw> {
    let Plug { url, relay, username, password_file } = plug(outlet)?;
    Ok(Driver::Shelly { url, relay, username, password_file })
}

/// What every plug on the network is configured by.
struct Plug {
    url: String,
    relay: u8,
    username: Option<String>,
    password_file: Option<PathBuf>,
}

fn plug(outlet: &file::Outlet) -> Result<Plug, Flaw> {
    let url = outlet.url.as_ref().ok_or_else(|| missing(outlet, "url = \"http://…\""))?;
    Endpoint::parse(url.get_ref(), "http", 80)
        .map_err(|reason| Flaw::at(url, format!("url {reason}")))?;
    let relay = number(outlet.relay.as_ref(), "relay", 1, LAST_RELAY)?.unwrap_or(1);
    let password_file = outlet.password_file.as_ref().map(password_file).transpose()?;
    if let (Some(username), None) = (&outlet.username, &password_file) {
        return Err(Flaw::at(username, "username means nothing without a password_file"));
    }
    let username = outlet.username.as_ref().map(|name| name.get_ref().clone());
    let url = url.get_ref().trim_end_matches('/').to_owned();
    Ok(Plug { url, relay, username, password_file })
}

fn password_file(file: &Spanned<PathBuf>) -> Result<PathBuf, Flaw> {
    let path = file.get_ref();
    let wrong = |reason| Flaw::at(file, format!("password_file {}: {reason}", path.display()));
    driver::password(path).map_err(wrong)?;
    Ok(path.clone())
}

fn number(
    written: Option<&Spanned<u64>>,
    key: &str,
    least: u64,
    most: u64,
) -> Result<Option<u8>, Flaw> {
    let Some(value) = written else { return Ok(None) };
    let fits = Some(*value.get_ref()).filter(|number| (least..=most).contains(number));
    let number = fits.and_then(|number| u8::try_from(number).ok());
    number.map(Some).ok_or_else(|| Flaw::at(value, format!("{key} must be {least} to {most}")))
}

pub(super) fn missing(outlet: &file::Outlet, key: &str) -> Flaw {
    Flaw::at(&outlet.driver, format!("the outlet {} needs {key}", outlet.id.get_ref()))
}

fn no_plug_keys(outlet: &file::Outlet, driver: &str) -> Result<(), Flaw> {
    absent(outlet.url.as_ref(), "url", driver)?;
    absent(outlet.relay.as_ref(), "relay", driver)?;
    absent(outlet.username.as_ref(), "username", driver)?;
    absent(outlet.password_file.as_ref(), "password_file", driver)
}

fn no_mqtt_keys(outlet: &file::Outlet, driver: &str) -> Result<(), Flaw> {
    absent(outlet.mqtt_topic.as_ref(), "mqtt_topic", driver)?;
    absent(outlet.mqtt_full_topic.as_ref(), "mqtt_full_topic", driver)
}

fn no_gpio_keys(outlet: &file::Outlet, driver: &str) -> Result<(), Flaw> {
    absent(outlet.pin.as_ref(), "pin", driver)?;
    absent(outlet.active_low.as_ref(), "active_low", driver)?;
    absent(outlet.backend.as_ref(), "backend", driver)?;
    absent(outlet.chip.as_ref(), "chip", driver)?;
    absent(outlet.folder.as_ref(), "folder", driver)
}

fn absent<T>(value: Option<&Spanned<T>>, key: &str, driver: &str) -> Result<(), Flaw> {
    match value {
        Some(value) => Err(Flaw::at(value, format!("{key} is no key of the driver {driver}"))),
        None => Ok(()),
    }
}
