//! What a Shelly of the second generation tells of itself.

use serde_json::{Value, json};

use super::{Initial, Shelly};
use crate::time::iso8601;

impl Shelly {
    pub(super) fn identity_gen2(&self) -> Value {
        let (model, app) = self.model_gen2();
        let protected = self.profile.password.is_some();
        json!({
            "name": self.name,
            "id": self.id_gen2(),
            "mac": self.profile.mac,
            "slot": 1,
            "model": model,
            "gen": 2,
            "fw_id": self.firmware_gen2(),
            "ver": self.profile.version.text(),
            "app": app,
            "auth_en": protected,
            "auth_domain": protected.then(|| self.id_gen2()),
        })
    }

    pub(super) fn status_gen2(&self) -> Value {
        let mut status = json!({
            "ble": {},
            "cloud": { "connected": false },
            "mqtt": { "connected": false },
            "sys": self.sys_status(),
            "wifi": { "sta_ip": "127.0.0.1", "status": "got ip", "ssid": "site", "rssi": -61 },
            "ws": { "connected": false },
        });
        for relay in 0..self.outputs.len() {
            status[format!("switch:{relay}")] = self.switch_status(relay);
        }
        status
    }

    pub(super) fn config_gen2(&self) -> Value {
        let mut config = json!({
            "ble": { "enable": false, "rpc": { "enable": false } },
            "cloud": { "enable": false, "server": "iot.example:6012/jrpc" },
            "mqtt": { "enable": false, "server": null, "client_id": self.id_gen2(), "user": null,
                "topic_prefix": self.id_gen2(), "rpc_ntf": true, "status_ntf": false },
            "sys": self.sys_config(),
            "wifi": { "ap": { "enable": false }, "sta": { "ssid": "site", "enable": true } },
            "ws": { "enable": false, "server": null, "ssl_ca": "ca.pem" },
        });
        for relay in 0..self.outputs.len() {
            config[format!("switch:{relay}")] = self.switch_config(relay);
        }
        config
    }

    /// `unixtime` is null until the clock was set.
    pub(super) fn sys_status(&self) -> Value {
        let time = self.unix_s().map(|unix| iso8601(unix * 1_000)[11..16].to_owned());
        json!({
            "mac": self.profile.mac,
            "restart_required": false,
            "time": time,
            "unixtime": self.unix_s(),
            "uptime": self.board.uptime().as_secs(),
            "ram_size": 246_000,
            "ram_free": 135_000,
            "fs_size": 458_752,
            "fs_free": 143_360,
            "cfg_rev": self.revision,
            "kvs_rev": 0,
            "schedule_rev": 0,
            "webhook_rev": 0,
            "available_updates": {},
            "reset_reason": 3,
        })
    }

    pub(super) fn sys_config(&self) -> Value {
        json!({
            "device": {
                "name": self.name,
                "mac": self.profile.mac,
                "fw_id": self.firmware_gen2(),
                "discoverable": true,
                "eco_mode": false,
            },
            "location": { "tz": "UTC", "lat": null, "lon": null },
            "debug": { "mqtt": { "enable": false }, "websocket": { "enable": false }, "udp": { "addr": null } },
            "ui_data": {},
            "rpc_udp": { "dst_addr": null, "listen_port": null },
            "sntp": { "server": "time.google.com" },
            "cfg_rev": self.revision,
        })
    }

    /// Without a meter there is no `apower` and none of its kin; the timer's fields are there
    /// only while it runs, its start by the plug's own clock.
    pub(super) fn switch_status(&self, relay: usize) -> Value {
        let (output, watts) = (&self.outputs[relay], self.board.shown_w(relay));
        let mut status = json!({
            "id": relay,
            "source": output.source,
            "output": self.board.relays[relay].on,
            "temperature": { "tC": 38.5, "tF": 101.3 },
        });
        if self.profile.meter {
            let watt_hours = self.board.relays[relay].energy_wh;
            status["apower"] = json!(watts);
            status["voltage"] = json!(230.1);
            status["current"] = json!((watts / 0.2301).round() / 1_000.0);
            status["freq"] = json!(50.0);
            status["pf"] = json!(if watts > 0.0 { 1.0 } else { 0.0 });
            status["aenergy"] = json!({
                "total": (watt_hours * 1_000.0).round() / 1_000.0,
                "by_minute": [0.0, 0.0, 0.0],
                "minute_ts": self.unix_s().map_or(0, |unix| unix / 60 * 60),
            });
        }
        if let Some(flip) = output.flip {
            let started = (self.clock_at(flip.started) * 100.0).round() / 100.0;
            status["timer_started_at"] = json!(started);
            status["timer_duration"] = json!(flip.length.as_secs_f64());
        }
        if !output.errors.is_empty() {
            status["errors"] = json!(output.errors);
        }
        status
    }

    pub(super) fn switch_config(&self, relay: usize) -> Value {
        let output = &self.outputs[relay];
        json!({
            "id": relay,
            "name": output.name,
            "initial_state": match output.initial {
                Initial::Off => "off",
                Initial::On => "on",
                Initial::Last => "restore_last",
                Initial::Input => "match_input",
            },
            "auto_on": output.auto_on,
            "auto_on_delay": output.auto_on_delay_s,
            "auto_off": output.auto_off,
            "auto_off_delay": output.auto_off_delay_s,
            "power_limit": output.power_limit_w,
            "voltage_limit": 280,
            "autorecover_voltage_errors": false,
            "current_limit": 12.0,
        })
    }

    /// `shellyplusplugs-` and the MAC address in small letters.
    pub(super) fn id_gen2(&self) -> String {
        let (_, app) = self.model_gen2();
        format!("shelly{}-{}", app.to_lowercase(), self.profile.mac.to_lowercase())
    }

    fn model_gen2(&self) -> (&'static str, &'static str) {
        match self.outputs.len() {
            1 => ("SNPL-00112EU", "PlusPlugS"),
            2 => ("SNSW-102P16EU", "Plus2PM"),
            _ => ("SPSW-104PE16EU", "Pro4PM"),
        }
    }

    fn firmware_gen2(&self) -> &'static str {
        if self.logins.reuses {
            "20260710-101146/2.0.0-g87fbfa4"
        } else {
            "20250924-062729/1.7.5-gd0f1d8d"
        }
    }
}
