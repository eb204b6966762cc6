//! `Status` and `State`: what the plug tells of itself.
//!
//! Source: arendst/Tasmota `support_command.ino` (`CmndStatus`), `xdrv_03_energy`. The parts
//! that a driver may lean on are here: 0, 1, 2, 5, 6, 7, 8, 10 and 11; the others answer `Error`.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Tasmota;
use super::command::Line;
use crate::time::iso8601;

/// The parts of `Status 0`, in its order.
pub(super) const PARTS: [i64; 7] = [1, 2, 5, 6, 7, 10, 11];

impl Tasmota {
    pub(super) fn status_command(&self, line: &Line<'_>) -> Option<Value> {
        match line.index {
            Some(0) if line.data.is_empty() && self.profile.version.has_status0() => {
                self.status(Some(0))
            }
            Some(_) | None => self.status(line.number()),
        }
    }

    /// `Status n`; `None` is the bare `Status`. Over HTTP `Status 0` is one merged object.
    pub(super) fn status(&self, number: Option<i64>) -> Option<Value> {
        let board = &self.board;
        match number {
            None => Some(json!({ "Status": self.status_parameters() })),
            Some(0) => {
                let mut all = Map::new();
                all.insert("Status".to_owned(), self.status_parameters());
                for part in PARTS.into_iter().filter_map(|part| self.status(Some(part))) {
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
                "Uptime": self.uptime(),
                "StartupUTC": iso8601(board.wall_ms(board.booted)),
                "Sleep": 50,
                "BootCount": board.boot_count,
                "SaveCount": board.flash_writes,
            } })),
            Some(2) => Some(json!({ "StatusFWR": {
                "Version": format!("{}(tasmota)", self.profile.version.text()),
                "Hardware": "ESP8285N08",
            } })),
            Some(5) => Some(json!({ "StatusNET": {
                "Hostname": self.host_name(),
                "IPAddress": "127.0.0.1",
                "Mac": self.mac_with_colons(),
                "Webserver": self.web_mode(),
            } })),
            Some(6) => Some(json!({ "StatusMQT": {
                "MqttClientMask": "DVES_%06X",
                "MqttClient": format!("DVES_{}", self.profile.mac_tail()),
                "MqttCount": self.link.count,
                "MAX_PACKET_SIZE": 1_200,
                "KEEPALIVE": 30,
            } })),
            Some(7) => Some(json!({ "StatusTIM": {
                "UTC": iso8601(board.wall_ms(board.now)),
                "Local": iso8601(board.wall_ms(board.now)),
                "Timezone": "+00:00",
            } })),
            Some(8 | 10) => Some(json!({ "StatusSNS": self.sensors() })),
            Some(11) => Some(json!({ "StatusSTS": self.state() })),
            Some(_) => None,
        }
    }

    /// `State`, and the inside of `Status 11`.
    pub(super) fn state(&self) -> Value {
        let board = &self.board;
        let mut state = json!({
            "Time": iso8601(board.wall_ms(board.now)),
            "Uptime": self.uptime(),
            "UptimeSec": board.uptime().as_secs(),
            "Heap": 25,
            "SleepMode": "Dynamic",
            "LoadAvg": 19,
            "MqttCount": self.link.count,
        });
        for relay in 0..board.relays.len() {
            state[self.power_key(relay)] = json!(self.text(board.relays[relay].on));
        }
        state["Wifi"] = json!({
            "AP": 1, "SSId": "site", "BSSId": "02:00:00:00:00:FF", "Channel": 6,
            "Mode": "11n", "RSSI": 78, "Signal": -61, "LinkCount": 1, "Downtime": "0T00:00:03",
        });
        state
    }

    /// `Power` is a number of bits, and from 13.4.1.2 text of them with `PowerLock` beside.
    fn status_parameters(&self) -> Value {
        let relays = &self.board.relays;
        let bits = |mask: u32| -> String {
            let bit = |relay: usize| if mask >> relay & 1 == 1 { '1' } else { '0' };
            (0..relays.len()).rev().map(bit).collect()
        };
        let on = relays.iter().rev().fold(0, |mask, relay| mask << 1 | u32::from(relay.on));
        let names: Vec<String> = (0..relays.len()).map(|relay| self.friendly_name(relay)).collect();
        let mut status = json!({
            "Module": 0,
            "DeviceName": "Plug",
            "FriendlyName": names,
            "Topic": self.topic,
            "Power": on,
            "PowerOnState": self.power_on_state,
            "SaveData": self.numbers.get("SaveData").copied().unwrap_or(1),
            "SaveState": self.option(0),
            "PowerRetain": u32::from(self.power_retain),
        });
        if self.profile.version.has_power_lock() {
            status["Power"] = json!(bits(on));
            status["PowerLock"] = json!(bits(self.power_lock));
        }
        status
    }

    /// The meter shows nothing of an open relay unless `SetOption21` is on, so a welded one
    /// hides behind it (arendst/Tasmota#5944, #19262). Several channels are arrays, but for
    /// what they have in common; the totals are one sum unless `SetOption129` splits them.
    pub(super) fn sensors(&self) -> Value {
        let board = &self.board;
        let mut sensors = json!({ "Time": iso8601(board.wall_ms(board.now)) });
        if !self.profile.meter {
            return sensors;
        }
        let watts = (0..board.relays.len()).map(|relay| board.shown_w(relay));
        let watts: Vec<f64> = watts.collect();
        let each = |figure: &dyn Fn(f64) -> f64| match watts[..] {
            [watts] => json!(figure(watts)),
            _ => json!(watts.iter().map(|watts| figure(*watts)).collect::<Vec<f64>>()),
        };
        let kilowatt_hours = |watt_hours: f64| watt_hours.round() / 1_000.0;
        let registers = board.relays.iter().map(|relay| relay.energy_wh);
        let split = self.option(129) == 1 && self.profile.version.splits_energy();
        let total = if split && watts.len() > 1 {
            json!(registers.map(kilowatt_hours).collect::<Vec<f64>>())
        } else {
            json!(kilowatt_hours(registers.sum()))
        };
        let any = watts.iter().any(|watts| *watts > 0.0);
        sensors["ENERGY"] = json!({
            "TotalStartTime": iso8601(board.wall_ms(Duration::ZERO)),
            "Total": total,
            "Yesterday": 0.0,
            "Today": total,
            "Power": each(&|watts| watts),
            "ApparentPower": each(&|watts| watts),
            "ReactivePower": each(&|_| 0.0),
            "Factor": each(&|watts| if watts > 0.0 { 1.0 } else { 0.0 }),
            "Voltage": if any || board.open_meter.looks { 230 } else { 0 },
            "Current": each(&|watts| (watts / 0.230).round() / 1_000.0),
        });
        sensors
    }

    /// As text; some versions pad the meter's numbers with blanks.
    pub(super) fn render(&self, answer: &Value) -> String {
        let text = answer.to_string();
        if !self.profile.version.pads_numbers() {
            return text;
        }
        let mut padded = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once(r#""Power":"#) {
            let length = after.bytes().take_while(u8::is_ascii_digit).count();
            let blanks = if length == 0 { 0 } else { 3_usize.saturating_sub(length) };
            padded.push_str(before);
            padded.push_str(r#""Power":"#);
            padded.push_str(&" ".repeat(blanks));
            rest = after;
        }
        padded.push_str(rest);
        padded
    }

    pub(super) fn host_name(&self) -> String {
        let tail = u32::from_str_radix(self.profile.mac_tail(), 16).unwrap_or(0);
        format!("tasmota-{}-{:04}", self.profile.mac_tail(), tail & 0x1FFF)
    }

    fn mac_with_colons(&self) -> String {
        let mut mac = String::new();
        for (at, digit) in self.profile.mac.chars().enumerate() {
            if at > 0 && at % 2 == 0 {
                mac.push(':');
            }
            mac.push(digit);
        }
        mac
    }

    fn uptime(&self) -> String {
        let seconds = self.board.uptime().as_secs();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        format!("{days}T{:02}:{:02}:{:02}", rest / 3_600, rest / 60 % 60, rest % 60)
    }
}
