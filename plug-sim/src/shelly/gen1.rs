//! The first generation: `/relay/0?turn=on&timer=…`, answers flat and energy in watt-minutes.
//!
//! Source: the vendor's Gen1 API documentation. Credentials go by HTTP Basic, and `/shelly`
//! asks for none. Refusals are plain text.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Initial, Shelly};
use crate::reply::{Answer, Response};
use crate::time::iso8601;
use crate::{By, Request};

/// A release of 2023, as `fw` tells it.
const FIRMWARE: &str = "20230913-113421/v1.14.0-gcb84623";
/// Between the answer to `/reboot` and the restart.
const REBOOT: Duration = Duration::from_millis(500);

impl Shelly {
    pub(super) fn obey_gen1(&mut self, request: &Request) -> Answer {
        if request.path() != "/shelly" && !self.knows_basic(request) {
            return self.unauthorized();
        }
        self.serve_gen1(request)
    }

    pub(super) fn serve_gen1(&mut self, request: &Request) -> Answer {
        let path = request.path().trim_matches('/').to_owned();
        let words: Vec<&str> = path.split('/').collect();
        let answer = match words[..] {
            ["shelly"] => Ok(self.identity_gen1()),
            ["status"] => Ok(self.status_gen1()),
            ["settings"] => self.settings_gen1(request),
            ["relay", relay] => self.relay_gen1(relay, request),
            ["settings", "relay", relay] => self.set_relay_gen1(relay, request),
            ["meter", relay] => self.relay_of(relay).map(|relay| self.meter_gen1(relay)),
            ["cit", "d"] => Ok(self.coiot_description()),
            ["cit", "s"] => Ok(self.coiot_status()),
            ["reboot"] => {
                self.restart_at = Some(self.board.now + REBOOT);
                Ok(json!({ "ok": true }))
            }
            [..] => Err((404, "Not Found".to_owned())),
        };
        match answer {
            Ok(body) => Response::json(200, &body).into(),
            Err((status, text)) => Response::text(status, "text/plain", &text).into(),
        }
    }

    pub(super) fn unauthorized(&self) -> Answer {
        let realm = format!("Basic realm=\"{}\"", self.host_name_gen1());
        let mut response = Response::text(401, "text/plain", "401 Unauthorized");
        response.headers.push(("WWW-Authenticate", realm));
        response.into()
    }

    fn knows_basic(&self, request: &Request) -> bool {
        let Some(password) = &self.profile.password else { return true };
        request.basic().is_some_and(|(user, word)| user == "admin" && word == *password)
    }

    fn identity_gen1(&self) -> Value {
        let meters = if self.profile.meter { self.outputs.len() } else { 0 };
        json!({
            "type": self.model_gen1(),
            "mac": self.profile.mac,
            "auth": self.profile.password.is_some(),
            "fw": FIRMWARE,
            "discoverable": true,
            "num_outputs": self.outputs.len(),
            "num_meters": meters,
        })
    }

    fn status_gen1(&self) -> Value {
        let relays = (0..self.outputs.len()).map(|relay| self.shown_gen1(relay));
        let relays = relays.collect::<Vec<Value>>();
        let meters: Vec<Value> = if self.profile.meter {
            (0..self.outputs.len()).map(|relay| self.meter_gen1(relay)).collect()
        } else {
            vec![]
        };
        // HH:MM
        let time =
            self.unix_s().map_or_else(String::new, |unix| iso8601(unix * 1_000)[11..16].to_owned());
        json!({
            "wifi_sta": { "connected": true, "ssid": "site", "ip": "127.0.0.1", "rssi": -61 },
            "cloud": { "enabled": false, "connected": false },
            "mqtt": { "connected": false },
            "time": time,
            "unixtime": self.unix_s().unwrap_or(0),
            "serial": self.revision,
            "has_update": false,
            "mac": self.profile.mac,
            "cfg_changed_cnt": self.revision - 1,
            "relays": relays,
            "meters": meters,
            "temperature": 28.5,
            "overtemperature": false,
            "tmp": { "tC": 28.5, "tF": 83.3, "is_valid": true },
            "update": { "status": "idle", "has_update": false, "new_version": "", "old_version": FIRMWARE },
            "ram_total": 51_672,
            "ram_free": 39_400,
            "fs_size": 233_681,
            "fs_free": 166_664,
            "uptime": self.board.uptime().as_secs(),
        })
    }

    fn settings_gen1(&mut self, request: &Request) -> Result<Value, (u16, String)> {
        if let Some(name) = request.argument("name") {
            self.name = (!name.is_empty()).then_some(name);
            self.saved();
        }
        let relays = (0..self.outputs.len()).map(|relay| self.relay_settings_gen1(relay));
        Ok(json!({
            "device": {
                "type": self.model_gen1(),
                "mac": self.profile.mac,
                "hostname": self.host_name_gen1(),
                "num_outputs": self.outputs.len(),
                "num_meters": if self.profile.meter { self.outputs.len() } else { 0 },
            },
            "login": {
                "enabled": self.profile.password.is_some(),
                "unprotected": false,
                "username": "admin",
            },
            "name": self.name,
            "fw": FIRMWARE,
            "discoverable": true,
            "mqtt": { "enable": false, "server": "", "user": "" },
            "coiot": { "enabled": true, "update_period": 15, "peer": "" },
            "sntp": { "server": "time.google.com", "enabled": true },
            "cloud": { "enabled": false, "connected": false },
            "unixtime": self.unix_s().unwrap_or(0),
            "max_power": self.outputs[0].power_limit_w,
            "relays": relays.collect::<Vec<Value>>(),
        }))
    }

    /// `turn` switches, and `timer` flips it back after so many seconds, whichever way: with an
    /// off it is a timer that switches on.
    fn relay_gen1(&mut self, relay: &str, request: &Request) -> Result<Value, (u16, String)> {
        let relay = self.relay_of(relay)?;
        let timer = number(request, "timer")?.filter(|seconds| *seconds > 0.0);
        let timer = timer.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let on = match request.argument("turn").as_deref() {
            None => None,
            Some("on") => Some(true),
            Some("off") => Some(false),
            Some("toggle") => Some(!self.board.relays[relay].on),
            Some(_) => return Err((400, "Bad turn!".to_owned())),
        };
        if let Some(on) = on {
            self.set(relay, on, timer, By::Http);
        }
        Ok(self.shown_gen1(relay))
    }

    fn shown_gen1(&self, relay: usize) -> Value {
        let output = &self.outputs[relay];
        let (started, duration, remaining) = output.flip.map_or((0, 0, 0), |flip| {
            let started = Duration::try_from_secs_f64(self.clock_at(flip.started));
            let left = flip.at().saturating_sub(self.board.now);
            (started.unwrap_or_default().as_secs(), flip.length.as_secs(), left.as_secs())
        });
        json!({
            "ison": self.board.relays[relay].on,
            "has_timer": output.flip.is_some(),
            "timer_started": started,
            "timer_duration": duration,
            "timer_remaining": remaining,
            "overpower": output.errors.iter().any(|error| error == "overpower"),
            "source": output.source,
        })
    }

    /// `total` in watt-minutes, without a fraction.
    fn meter_gen1(&self, relay: usize) -> Value {
        json!({
            "power": self.board.shown_w(relay),
            "overpower": 0.0,
            "is_valid": true,
            "timestamp": self.unix_s().unwrap_or(0),
            "counters": [0.0, 0.0, 0.0],
            "total": Duration::try_from_secs_f64(self.board.relays[relay].energy_wh * 60.0)
                .unwrap_or_default()
                .as_secs(),
        })
    }

    fn set_relay_gen1(&mut self, relay: &str, request: &Request) -> Result<Value, (u16, String)> {
        let relay = self.relay_of(relay)?;
        let initial = match request.argument("default_state").as_deref() {
            None => None,
            Some("off") => Some(Initial::Off),
            Some("on") => Some(Initial::On),
            Some("last") => Some(Initial::Last),
            Some("switch") => Some(Initial::Input),
            Some(_) => return Err((400, "Bad default_state!".to_owned())),
        };
        let (auto_on, auto_off) = (number(request, "auto_on")?, number(request, "auto_off")?);
        let limit = number(request, "max_power")?;
        let name = request.argument("name");
        if initial.is_some()
            || auto_on.is_some()
            || auto_off.is_some()
            || name.is_some()
            || limit.is_some()
        {
            self.saved();
        }
        let output = &mut self.outputs[relay];
        output.initial = initial.unwrap_or(output.initial);
        output.power_limit_w = limit.unwrap_or(output.power_limit_w);
        if let Some(name) = name {
            output.name = (!name.is_empty()).then_some(name);
        }
        if let Some(seconds) = auto_on {
            (output.auto_on, output.auto_on_delay_s) = (seconds > 0.0, seconds);
        }
        if let Some(seconds) = auto_off {
            (output.auto_off, output.auto_off_delay_s) = (seconds > 0.0, seconds);
        }
        Ok(self.relay_settings_gen1(relay))
    }

    /// A delay of 0.0 is none.
    fn relay_settings_gen1(&self, relay: usize) -> Value {
        let output = &self.outputs[relay];
        let delay = |enabled: bool, seconds: f64| if enabled { seconds } else { 0.0 };
        json!({
            "name": output.name,
            "appliance_type": "General",
            "ison": self.board.relays[relay].on,
            "has_timer": output.flip.is_some(),
            "overpower": output.errors.iter().any(|error| error == "overpower"),
            "default_state": match output.initial {
                Initial::Off => "off",
                Initial::On => "on",
                Initial::Last => "last",
                Initial::Input => "switch",
            },
            "auto_on": delay(output.auto_on, output.auto_on_delay_s),
            "auto_off": delay(output.auto_off, output.auto_off_delay_s),
            "max_power": output.power_limit_w,
            "schedule": false,
            "schedule_rules": [],
        })
    }

    fn relay_of(&self, relay: &str) -> Result<usize, (u16, String)> {
        let relay = relay.parse().ok().filter(|relay| *relay < self.outputs.len());
        relay.ok_or_else(|| (404, "Not Found".to_owned()))
    }

    pub(super) fn host_name_gen1(&self) -> String {
        format!("shellyplug-s-{}", self.profile.mac_tail())
    }

    pub(super) fn model_gen1(&self) -> &'static str {
        match self.outputs.len() {
            1 => "SHPLG-S",
            2 => "SHSW-25",
            _ => "SHSW-44",
        }
    }
}

/// An argument that is a number.
fn number(request: &Request, name: &str) -> Result<Option<f64>, (u16, String)> {
    let Some(text) = request.argument(name) else { return Ok(None) };
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.map(Some).ok_or_else(|| (400, format!("Bad {name}!")))
}
