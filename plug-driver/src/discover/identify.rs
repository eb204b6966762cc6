//! Asks an address what it is, in the way that each family answers to anybody.

use std::time::Duration;

use hyper::StatusCode;
use serde_json::{Map, Value};

use super::{Family, Found};
use crate::http::{Address, Hurry, Patience, Response};

/// One second each: a plug answers in 20 to 300 ms.
const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(1), whole: Duration::from_secs(1) };

/// The plug at `url`, if it is one. Two requests at most for a stranger, one at a time.
pub(super) async fn identify(url: &str) -> Option<Found> {
    let address = Address::new(url).ok()?;
    let response = ask(&address, "/shelly").await?;
    let object = object_of(&response);
    if let Some(found) = object.and_then(|told| shelly(url, &told)) {
        return Some(counted(&address, found).await);
    }
    // `Status 0` only tells; a bare `Power` would end a timer of old firmware.
    let response = ask(&address, "/cm?cmnd=Status%200").await?;
    tasmota(url, &response)
}

async fn ask(address: &Address, target: &str) -> Option<Response> {
    let request = address.request(target, None).ok()?;
    address.exchange(request, PATIENCE, Hurry::No).await.ok()
}

fn object_of(response: &Response) -> Option<Map<String, Value>> {
    let told = (response.status == StatusCode::OK).then_some(&response.body)?;
    let Ok(Value::Object(told)) = serde_json::from_str(&String::from_utf8_lossy(told)) else {
        return None;
    };
    Some(told)
}

/// What `/shelly` tells of either generation.
fn shelly(url: &str, told: &Map<String, Value>) -> Option<Found> {
    let text = |key| told.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let truth = |key| told.get(key).and_then(Value::as_bool);
    let found = Found {
        family: Family::Shelly,
        generation: None,
        firmware: String::new(),
        name: String::new(),
        url: url.to_owned(),
        at_broker: None,
        relays: None,
        metered: None,
        password_needed: false,
    };
    match told.get("gen").and_then(Value::as_f64) {
        Some(generation) if (2.0..=99.0).contains(&generation) => Some(Found {
            generation: (2..=99).find(|whole| f64::from(*whole) == generation.floor()),
            firmware: text("ver").or(text("fw_id")).unwrap_or_default().to_owned(),
            name: text("name").or(text("id"))?.to_owned(),
            password_needed: truth("auth_en").unwrap_or_default(),
            ..found
        }),
        None => {
            let (model, mac) = (text("type")?, text("mac")?);
            let count = |key| told.get(key).and_then(Value::as_u64);
            Some(Found {
                generation: Some(1),
                firmware: text("fw").unwrap_or_default().to_owned(),
                name: format!("{model}-{mac}").to_lowercase(),
                relays: count("num_outputs").and_then(|count| u8::try_from(count).ok()),
                metered: count("num_meters").map(|meters| meters > 0),
                password_needed: truth("auth").unwrap_or_default(),
                ..found
            })
        }
        Some(_) => None,
    }
}

/// Adds what a plug without a password tells of its relays and meters.
async fn counted(address: &Address, found: Found) -> Found {
    if found.password_needed || found.relays.is_some() {
        return found;
    }
    let later = found.generation != Some(1);
    let target = if later { "/rpc/Shelly.GetStatus" } else { "/status" };
    let Some(told) = ask(address, target).await.as_ref().and_then(object_of) else { return found };
    let (relays, metered) = if later {
        let switches = told.iter().filter(|(key, _)| key.starts_with("switch:"));
        let metered = switches.clone().any(|(_, switch)| switch.get("apower").is_some());
        (switches.count(), metered)
    } else {
        let count = |key: &str| told.get(key).and_then(Value::as_array);
        let metered = ["meters", "emeters"]
            .into_iter()
            .filter_map(count)
            .flatten()
            .any(|meter| meter.get("total").is_some());
        (count("relays").map_or(0, Vec::len), metered)
    };
    Found { relays: u8::try_from(relays).ok(), metered: Some(metered), ..found }
}

/// What `Status 0` is answered with, the refusal of a password included.
fn tasmota(url: &str, response: &Response) -> Option<Found> {
    // `Tasmota/13.4.0 (ESP8266EX)`
    let server = response.server.as_deref().and_then(|server| server.strip_prefix("Tasmota/"));
    let version = server.and_then(|version| version.split(' ').next()).unwrap_or_default();
    let closed = Found {
        family: Family::Tasmota,
        generation: None,
        firmware: version.to_owned(),
        name: String::new(),
        url: url.to_owned(),
        at_broker: None,
        relays: None,
        metered: None,
        password_needed: true,
    };
    if response.status == StatusCode::UNAUTHORIZED && server.is_some() {
        return Some(closed);
    }
    let told = object_of(response)?;
    let part = |key: &str| told.get(key).and_then(Value::as_object);
    let Some(state) = part("StatusSTS") else {
        let warning = told.get("WARNING").and_then(Value::as_str)?;
        let asks = server.is_some() || warning.contains("password");
        return asks.then_some(closed);
    };
    let text = |object: Option<&Map<String, Value>>, key: &str| {
        let value = object.and_then(|object| object.get(key))?;
        let text = value.as_str().or_else(|| value.as_array()?.first()?.as_str())?;
        (!text.is_empty()).then(|| text.to_owned())
    };
    let general = part("Status");
    let name = text(general, "DeviceName")
        .or_else(|| text(general, "FriendlyName"))
        .or_else(|| text(part("StatusNET"), "Hostname"));
    let relays = state.keys().filter(|key| is_relay(key)).count();
    Some(Found {
        firmware: text(part("StatusFWR"), "Version").unwrap_or(closed.firmware),
        name: name.unwrap_or_default(),
        relays: u8::try_from(relays).ok(),
        metered: Some(part("StatusSNS").is_some_and(|sensors| sensors.contains_key("ENERGY"))),
        password_needed: false,
        ..closed
    })
}

/// `POWER` or `POWER1` to `POWER32`.
fn is_relay(key: &str) -> bool {
    let number = key.strip_prefix("POWER");
    number.is_some_and(|number| number.is_empty() || number.parse::<u8>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(status: u16, server: &str, body: &str) -> Response {
        Response {
            status: StatusCode::from_u16(status).unwrap(),
            challenge: None,
            server: (!server.is_empty()).then(|| server.to_owned()),
            body: body.as_bytes().to_vec(),
        }
    }

    fn shelly_of(body: &str) -> Option<Found> {
        object_of(&told(200, "", body)).and_then(|told| shelly("http://192.0.2.7", &told))
    }

    #[test]
    fn a_shelly_of_each_generation_tells_who_it_is() {
        let first = r#"{"type":"SHPLG-S","mac":"5ECF7F632632","auth":true,"fw":"20230913-113421/v1.14.0","num_outputs":1,"num_meters":1}"#;
        let found = shelly_of(first).unwrap();
        assert_eq!((found.name.as_str(), found.generation), ("shplg-s-5ecf7f632632", Some(1)));
        assert_eq!((found.relays, found.metered), (Some(1), Some(true)));
        assert!(found.password_needed);
        let third = r#"{"name":null,"id":"shellyplugsg3-8cbfea9d","gen":3,"ver":"1.7.5","app":"PlugSG3","auth_en":false}"#;
        let found = shelly_of(third).unwrap();
        assert_eq!((found.name.as_str(), found.generation), ("shellyplugsg3-8cbfea9d", Some(3)));
        assert_eq!((found.firmware.as_str(), found.password_needed), ("1.7.5", false));
        for other in ["", "[]", "{}", r#"{"gen":1}"#, r#"{"type":"x"}"#, r#"{"gen":"2","id":"x"}"#]
        {
            assert_eq!(shelly_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_tasmota_tells_what_it_is_or_that_it_wants_a_password() {
        let url = "http://192.0.2.8";
        let open = r#"{"Status":{"DeviceName":"","FriendlyName":["Bar left","Bar right"],"Power":"00"},"StatusFWR":{"Version":"13.4.0(tasmota)"},"StatusNET":{"Hostname":"tasmota-1"},"StatusSNS":{"ENERGY":{}},"StatusSTS":{"POWER1":"ON","POWER2":"OFF","POWERX":"no"}}"#;
        let found = tasmota(url, &told(200, "Tasmota/13.4.0 (ESP32)", open)).unwrap();
        assert_eq!((found.name.as_str(), found.relays), ("Bar left", Some(2)));
        assert_eq!((found.firmware.as_str(), found.metered), ("13.4.0(tasmota)", Some(true)));
        assert!(!found.password_needed);
        let warning = r#"{"WARNING":"Need user=<username>&password=<password>"}"#;
        for response in [told(401, "Tasmota/14.4.1 (ESP8266EX)", ""), told(200, "", warning)] {
            let found = tasmota(url, &response).unwrap();
            assert_eq!((found.password_needed, found.relays), (true, None), "{response:?}");
        }
        for stranger in [told(401, "nginx", ""), told(200, "nginx", "{}"), told(404, "", open)] {
            assert_eq!(tasmota(url, &stranger), None, "{stranger:?}");
        }
    }
}
