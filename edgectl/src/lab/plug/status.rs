//! `Status` and `State`: what the plug tells of itself.
//!
//! Source: arendst/Tasmota `support_command.ino` (`CmndStatus`). The parts that a driver may
//! lean on are here: 0, 1, 2, 5, 8, 10 and 11; the others answer `Error`.

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::device::Device;

impl Device {
    /// `Status n`; `None` is the bare `Status`. Over HTTP `Status 0` is one merged object.
    pub(super) fn status(&self, number: Option<i64>, now: Instant) -> Option<Value> {
        match number {
            None => Some(json!({ "Status": self.status_parameters() })),
            Some(0) => {
                let parts = [1, 2, 5, 10, 11].into_iter();
                let mut all = Map::new();
                all.insert("Status".to_owned(), self.status_parameters());
                for part in parts.filter_map(|part| self.status(Some(part), now)) {
                    if let Value::Object(part) = part {
                        all.extend(part);
                    }
                }
                Some(Value::Object(all))
            }
            Some(1) => Some(json!({ "StatusPRM": {
                "Baudrate": 115_200,
                "GroupTopic": "tasmotas",
                "RestartReason": self.restart_reason,
                "Uptime": self.uptime(now),
                "StartupUTC": "1970-01-01T00:00:00",
                "Sleep": 50,
                "BootCount": self.boot_count,
                "SaveCount": self.flash_writes,
            } })),
            Some(2) => Some(json!({ "StatusFWR": {
                "Version": format!("{}(tasmota)", self.profile.version.text()),
                "Hardware": "ESP8285N08",
            } })),
            Some(5) => Some(json!({ "StatusNET": {
                "Hostname": "tasmota-0000-0000",
                "IPAddress": "127.0.0.1",
                "Mac": "02:00:00:00:00:01",
                "Webserver": 2,
            } })),
            Some(8 | 10) => Some(json!({ "StatusSNS": self.sensors() })),
            Some(11) => Some(json!({ "StatusSTS": self.state(now) })),
            Some(_) => None,
        }
    }

    /// `State`, and the inside of `Status 11`.
    pub(super) fn state(&self, now: Instant) -> Value {
        let mut state = json!({
            "Time": "1970-01-01T00:00:00",
            "Uptime": self.uptime(now),
            "UptimeSec": now.saturating_duration_since(self.booted).as_secs(),
            "Heap": 25,
            "SleepMode": "Dynamic",
            "LoadAvg": 19,
            "MqttCount": 0,
        });
        for relay in 0..self.relays.len() {
            state[self.power_key(relay)] = json!(self.text(self.relays[relay].on));
        }
        state
    }

    /// `Power` is a number of bits, and from 13.4.1.2 text of them with `PowerLock` beside.
    fn status_parameters(&self) -> Value {
        let bits = |mask: u32| -> String {
            let bit = |relay: usize| if mask >> relay & 1 == 1 { '1' } else { '0' };
            (0..self.relays.len()).rev().map(bit).collect()
        };
        let on = self.relays.iter().rev().fold(0, |mask, relay| mask << 1 | u32::from(relay.on));
        let mut status = json!({
            "Module": 0,
            "DeviceName": "Plug",
            "FriendlyName": vec!["Plug"; self.relays.len()],
            "Topic": "plug",
            "Power": on,
            "PowerOnState": self.power_on_state,
            "SaveData": self.numbers.get("SaveData").copied().unwrap_or(1),
            "SaveState": self.option(0),
            "PowerRetain": 0,
        });
        if self.profile.version.has_power_lock() {
            status["Power"] = json!(bits(on));
            status["PowerLock"] = json!(bits(self.power_lock));
        }
        status
    }

    /// The meter shows nothing of an open relay unless `SetOption21` is on, so a welded one
    /// hides behind it (arendst/Tasmota#5944, #19262).
    fn sensors(&self) -> Value {
        let mut sensors = json!({ "Time": "1970-01-01T00:00:00" });
        if !self.profile.meter {
            return sensors;
        }
        let shown = |relay: usize| {
            let seen = self.relays[relay].on || self.option(21) == 1;
            if seen { self.drawn_w(relay) } else { 0.0 }
        };
        let watts: Vec<f64> = (0..self.relays.len()).map(shown).collect();
        let power = if let [watts] = watts[..] { json!(watts) } else { json!(watts) };
        let kilowatt_hours = (self.energy_wh).round() / 1_000.0;
        sensors["ENERGY"] = json!({
            "TotalStartTime": "1970-01-01T00:00:00",
            "Total": kilowatt_hours,
            "Yesterday": 0.0,
            "Today": kilowatt_hours,
            "Power": power,
            "Voltage": 230,
        });
        sensors
    }

    fn uptime(&self, now: Instant) -> String {
        let seconds = now.saturating_duration_since(self.booted).as_secs();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        format!("{days}T{:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
    }
}
