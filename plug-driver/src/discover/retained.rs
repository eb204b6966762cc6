//! What a Tasmota plug has its broker keep, so that others find it: `tasmota/discovery/<MAC>/config`.
//!
//! It is there from firmware 9.2 on, unless `SetOption19` or a build without it (`tasmota-lite`) says
//! otherwise.

use std::net::Ipv4Addr;

use serde_json::{Map, Value};

use super::{AtBroker, Family, Found};
use crate::PlugTopics;

/// The prefixes that the driver knows; a plug with others is none for it.
const PREFIXES: [&str; 3] = ["cmnd", "stat", "tele"];
/// In `rl`, what can be switched on and off and is no light or shutter.
const RELAY: u64 = 1;

/// What to subscribe to, to be told what plugs have their broker keep.
pub const RETAINED: &str = "tasmota/discovery/+/config";

/// The plug that `payload` announces; `None`: it is none that the driver could reach.
#[must_use]
pub fn retained(payload: &[u8]) -> Option<Found> {
    let told: Map<String, Value> = serde_json::from_slice(payload).ok()?;
    let text = |key: &str| told.get(key)?.as_str().filter(|text| !text.is_empty());
    let (topic, full_topic) = (text("t")?.to_owned(), text("ft")?.to_owned());
    PlugTopics::new(&topic, &full_topic).ok()?;
    // It is a stranger's, and goes between quotation marks.
    if topic.contains(['"', '\\']) || full_topic.contains(['"', '\\']) {
        return None;
    }
    let prefixes: Option<Vec<&str>> =
        told.get("tp")?.as_array()?.iter().map(Value::as_str).collect();
    if prefixes? != PREFIXES {
        return None;
    }
    let kinds = told.get("rl")?.as_array()?.iter();
    // Relays are counted from the first; what comes behind a shutter's has other numbers.
    let relays = kinds.take_while(|kind| kind.as_u64() == Some(RELAY)).count();
    let friendly = || told.get("fn")?.as_array()?.first()?.as_str().filter(|text| !text.is_empty());
    let name = text("dn").or_else(friendly).unwrap_or(&topic).to_owned();
    let address = text("ip").and_then(|ip| ip.parse::<Ipv4Addr>().ok());
    Some(Found {
        family: Family::Tasmota,
        generation: None,
        firmware: text("sw").unwrap_or_default().to_owned(),
        name,
        url: address.map(|address| format!("http://{address}")).unwrap_or_default(),
        at_broker: Some(AtBroker { topic, full_topic }),
        relays: u8::try_from(relays).ok(),
        metered: None,
        password_needed: false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(changed: &[(&str, Value)]) -> Option<Found> {
        let mut told = json!({
            "ip": "192.0.2.9", "dn": "Bar", "fn": ["Bar left", null], "hn": "bar-1234", "mac": "02A0B1C2D3E4",
            "md": "Nous A1T", "ty": 0, "if": 0, "ofln": "Offline", "onln": "Online",
            "state": ["OFF", "ON", "TOGGLE", "HOLD"], "sw": "13.4.0", "t": "tasmota_C2D3E4",
            "ft": "%prefix%/%topic%/", "tp": ["cmnd", "stat", "tele"], "rl": [1, 1, 0, 0, 0, 0, 0, 0], "ver": 1,
        });
        for (key, value) in changed {
            told[*key] = value.clone();
        }
        retained(told.to_string().as_bytes())
    }

    #[test]
    fn a_plugs_announcement_is_its_topic_its_relays_and_its_name() {
        let found = told(&[]).unwrap();
        let at_broker = AtBroker {
            topic: "tasmota_C2D3E4".to_owned(),
            full_topic: "%prefix%/%topic%/".to_owned(),
        };
        assert_eq!(found.at_broker, Some(at_broker));
        assert_eq!((found.name.as_str(), found.relays), ("Bar", Some(2)));
        assert_eq!((found.url.as_str(), found.firmware.as_str()), ("http://192.0.2.9", "13.4.0"));
        assert_eq!(told(&[("dn", json!(""))]).unwrap().name, "Bar left");
        assert_eq!(told(&[("dn", json!(7)), ("fn", json!([]))]).unwrap().name, "tasmota_C2D3E4");
        assert_eq!(told(&[("rl", json!([3, 3, 1]))]).unwrap().relays, Some(0));
        assert_eq!(told(&[("ip", json!("no"))]).unwrap().url, "");
    }

    #[test]
    fn what_the_driver_could_not_reach_or_a_stranger_made_up_is_no_plug() {
        for (key, value) in [
            ("t", json!("")),
            ("t", json!("a/#")),
            ("t", json!("a\"\nb")),
            ("t", json!("a\"b")),
            ("t", json!("a\\b")),
            ("ft", json!("%topic%/")),
            ("ft", json!(7)),
            ("tp", json!(["command", "stat", "tele"])),
            ("tp", json!(["cmnd", "stat"])),
            ("rl", json!("1")),
        ] {
            assert_eq!(told(&[(key, value.clone())]), None, "{key} {value}");
        }
        for payload in [&b""[..], b"[]", b"{", b"\xff", b"{}"] {
            assert_eq!(retained(payload), None);
        }
    }
}
