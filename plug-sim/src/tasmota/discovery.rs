//! The retained announcement that other programs find the plug by.
//!
//! Source: arendst/Tasmota `xdrv_12_discovery` (`TasDiscoverMessage`); the judge is hatasmota.

use serde_json::{Value, json};

use super::Tasmota;
use super::mqtt::Message;
use crate::Version;

/// How many relays, switches and buttons are told of, present or not.
const PLACES: usize = 8;

impl Tasmota {
    /// `tasmota/discovery/<MAC>/config` and `…/sensors`; empty with `SetOption19`.
    pub(super) fn discovery(&self) -> [Message; 2] {
        let quiet = self.option(19) == 1;
        let message = |name: &str, payload: &Value| Message {
            topic: format!("tasmota/discovery/{}/{name}", self.profile.mac),
            payload: if quiet { String::new() } else { payload.to_string() },
            retain: true,
        };
        let sensors = json!({ "sn": self.sensors(), "ver": 1 });
        [message("config", &self.announcement()), message("sensors", &sensors)]
    }

    fn announcement(&self) -> Value {
        let present = |place: usize| place < self.board.relays.len();
        let options = [4, 11, 13, 17, 20, 30, 68, 73, 82, 114, 117];
        let options: serde_json::Map<String, Value> = options
            .iter()
            .map(|option| (option.to_string(), json!(self.option(*option))))
            .collect();
        let names = (0..PLACES).map(|place| present(place).then(|| self.friendly_name(place)));
        let relays = (0..PLACES).map(|place| u8::from(present(place)));
        let buttons = (0..PLACES).map(|place| u8::from(place == 0 && self.option(73) == 1));
        let mut told = json!({
            "ip": "127.0.0.1",
            "dn": "Plug",
            "fn": names.collect::<Vec<Option<String>>>(),
            "hn": self.host_name(),
            "mac": self.profile.mac,
            "md": "Generic",
            "ty": 0,
            "if": 0,
            "ofln": "Offline",
            "onln": "Online",
            "state": self.state_texts,
            "sw": self.profile.version.text(),
            "t": self.topic,
            "ft": "%prefix%/%topic%/",
            "tp": ["cmnd", "stat", "tele"],
            "rl": relays.collect::<Vec<u8>>(),
            "swc": vec![-1; PLACES],
            "swn": vec![Value::Null; PLACES],
            "btn": buttons.collect::<Vec<u8>>(),
            "so": options,
            "lk": 0,
            "lt_st": 0,
            "sho": [],
            "ver": 1,
        });
        // Later fields, by the changelog as hatasmota cites it.
        let version = self.profile.version;
        if version >= Version(11, 0, 0, 0) {
            told["sht"] = json!([]);
        }
        if version >= Version(13, 0, 0, 3) {
            told["bat"] = json!(0);
        }
        if version >= Version(13, 1, 0, 0) {
            told["dslp"] = json!(0);
        }
        told
    }

    /// The first is the device's name, further ones are numbered.
    pub(super) fn friendly_name(&self, relay: usize) -> String {
        if relay == 0 { "Plug".to_owned() } else { format!("Plug{}", relay + 1) }
    }
}
