//! The outlets and stations of a configuration, checked against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use edge_protocol::id::OutletId;
use toml::Spanned;

use super::driver::{self, Driver};
use super::file::{self, Backend, DriverName};
use super::{Flaw, OutletConfig, StationConfig};
use crate::endpoint::Endpoint;
use crate::node::settings::Rest;

/// The pins of the Raspberry Pi's header, by BCM number.
const LAST_PIN: u64 = 27;
/// Tasmota numbers up to 32 relays, and no Shelly has more.
const LAST_RELAY: u64 = 32;
/// The user name that Tasmota has unless it was built with another.
const TASMOTA_USERNAME: &str = "admin";

/// Each outlet by itself, then that no two share an id or a pin.
pub(super) fn outlets(written: Vec<file::Outlet>) -> Result<Vec<OutletConfig>, Flaw> {
    let mut ids = BTreeSet::new();
    let mut pins = BTreeMap::new();
    let mut outlets = Vec::with_capacity(written.len());
    for outlet in written {
        let id = outlet.id.get_ref().clone();
        if !ids.insert(id.clone()) {
            return Err(Flaw::at(&outlet.id, format!("there is an outlet {id} already")));
        }
        let driver = driver(&outlet)?;
        if let (Driver::Gpio { pin, .. }, Some(at)) = (&driver, &outlet.pin)
            && let Some(other) = pins.insert(*pin, id.clone())
        {
            return Err(Flaw::at(at, format!("pin {pin} is the outlet {other}'s already")));
        }
        outlets.push(OutletConfig { id, driver, rest: outlet.rest, button: outlet.button });
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

fn driver(outlet: &file::Outlet) -> Result<Driver, Flaw> {
    match outlet.driver.get_ref() {
        DriverName::Tasmota => {
            no_gpio_keys(outlet, "tasmota")?;
            tasmota(outlet)
        }
        DriverName::Shelly => {
            no_gpio_keys(outlet, "shelly")?;
            shelly(outlet)
        }
        DriverName::Gpio => {
            no_plug_keys(outlet, "gpio")?;
            gpio(outlet)
        }
        DriverName::Simulated => {
            no_gpio_keys(outlet, "simulated")?;
            no_plug_keys(outlet, "simulated")?;
            Ok(Driver::Simulated)
        }
    }
}

fn tasmota(outlet: &file::Outlet) -> Result<Driver, Flaw> {
    let plug = plug(outlet)?;
    let username = plug.username.unwrap_or_else(|| TASMOTA_USERNAME.to_owned());
    let Plug { url, relay, password_file, .. } = plug;
    Ok(Driver::Tasmota { url, relay, username, password_file })
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

fn gpio(outlet: &file::Outlet) -> Result<Driver, Flaw> {
    if let Some(backend) = &outlet.backend {
        match backend.get_ref() {
            Backend::Rppal => {}
            Backend::Cdev => {
                return Err(Flaw::at(backend, "backend = \"cdev\" is not yet supported"));
            }
        }
    }
    let pin = number(outlet.pin.as_ref(), "pin", 0, LAST_PIN)?
        .ok_or_else(|| missing(outlet, "pin = N (its BCM number)"))?;
    let active_low = outlet.active_low.as_ref().is_some_and(|active_low| *active_low.get_ref());
    Ok(Driver::Gpio { pin, active_low })
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

fn missing(outlet: &file::Outlet, key: &str) -> Flaw {
    Flaw::at(&outlet.driver, format!("the outlet {} needs {key}", outlet.id.get_ref()))
}

fn no_plug_keys(outlet: &file::Outlet, driver: &str) -> Result<(), Flaw> {
    absent(outlet.url.as_ref(), "url", driver)?;
    absent(outlet.relay.as_ref(), "relay", driver)?;
    absent(outlet.username.as_ref(), "username", driver)?;
    absent(outlet.password_file.as_ref(), "password_file", driver)
}

fn no_gpio_keys(outlet: &file::Outlet, driver: &str) -> Result<(), Flaw> {
    absent(outlet.pin.as_ref(), "pin", driver)?;
    absent(outlet.active_low.as_ref(), "active_low", driver)?;
    absent(outlet.backend.as_ref(), "backend", driver)
}

fn absent<T>(value: Option<&Spanned<T>>, key: &str, driver: &str) -> Result<(), Flaw> {
    match value {
        Some(value) => Err(Flaw::at(value, format!("{key} is no key of the driver {driver}"))),
        None => Ok(()),
    }
}
