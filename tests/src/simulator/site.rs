//! What a node is configured to be.

use std::collections::BTreeMap;
use std::str::FromStr;

use edge_agent::node::settings::{Button, OutletSettings, Rest, Settings, TaskLimits};
use edge_protocol::codec::Encoding;
use edge_protocol::id::{OutletId, StationId};
use fastrand::Rng;

/// An id that is known to be one.
pub(super) fn id<T: FromStr>(text: &str) -> T {
    match text.parse() {
        Ok(id) => id,
        Err(_) => panic!("{text:?} is an id"),
    }
}

fn outlet(driver: &str, rest: Rest, button: Button, leases: bool) -> OutletSettings {
    OutletSettings { driver: driver.to_owned(), rest, button, leases, ..OutletSettings::default() }
}

/// The settings of a node; the boot, the store and the seed are each start's.
pub(super) fn settings(rng: &mut Rng) -> Settings {
    let mut outlets: BTreeMap<OutletId, OutletSettings> = BTreeMap::new();
    let mut stations: BTreeMap<StationId, Vec<OutletId>> = BTreeMap::new();
    outlets.insert(id("plug-1"), outlet("tasmota", Rest::Off, Button::Obey, true));
    stations.insert(id("pc-1"), vec![id("plug-1")]);
    if rng.u8(0..5) < 2 {
        outlets.insert(id("plug-2"), outlet("tasmota", Rest::Off, Button::Undo, true));
        outlets.insert(id("relay-1"), outlet("gpio", Rest::Off, Button::Obey, false));
        stations.insert(id("pc-2"), vec![id("plug-2"), id("relay-1")]);
    }
    if rng.u8(0..4) == 0 {
        outlets.insert(id("plug-3"), outlet("tasmota", Rest::Off, Button::Undo, true));
        stations.insert(id("pc-3"), vec![id("plug-3")]);
    }
    if rng.u8(0..8) == 0 {
        outlets.insert(id("modem"), outlet("tasmota", Rest::On, Button::Obey, true));
    }
    if rng.u8(0..8) == 0 {
        outlets.insert(id("lamp"), outlet("tasmota", Rest::Keep, Button::Obey, true));
    }
    // A fridge, and sites with more than one breaker.
    if rng.u8(0..4) == 0 {
        outlets.entry(id("plug-1")).and_modify(|outlet| outlet.min_off_ms = Some(20_000));
    }
    if rng.bool() {
        outlets.entry(id("plug-2")).and_modify(|outlet| outlet.circuit = Some("left".to_owned()));
    }
    Settings {
        node: id("pi-1"),
        version: "1".to_owned(),
        boot_id: String::new(),
        store: "5701e".to_owned(),
        encoding: if rng.bool() { Encoding::Cbor } else { Encoding::Json },
        stations,
        outlets,
        warn_before_ms: vec![300_000, 60_000],
        grace_ms: if rng.bool() { 0 } else { 20_000 },
        stagger_ms: 300,
        outbox_max_bytes: if rng.u8(0..3) == 0 { 40_000 } else { 8 << 20 },
        tasks: TaskLimits { concurrency: 2, max_queued: 20, max_bytes: 100_000 },
        hardware: "a board".to_owned(),
        configuration: "cafe".to_owned(),
        certificate_expires_at_ms: 1,
        seed: 0,
    }
}
