//! What the plug says and hears over MQTT; the connection itself is `shell::mqtt`.
//!
//! Source: arendst/Tasmota `xdrv_02_9_mqtt` (`MqttConnected`, `MqttPublishPowerState`) and the
//! documentation's MQTT page. What the firmware says 10 s after it connected (discovery, first
//! `STATE`) is said at once.

use std::time::Duration;

use serde_json::{Value, json};

use super::command::Line;
use super::{Tasmota, status};
use crate::By;
use crate::time::iso8601;

/// An MQTT message, at quality of service 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its payload: JSON or a bare word.
    pub payload: String,
    /// Whether the broker keeps it.
    pub retain: bool,
}

/// The plug's side of the connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Link {
    connected: bool,
    /// How often it has connected since it started.
    pub(super) count: u32,
    /// When `STATE` and `SENSOR` are due.
    pub(super) tele_at: Option<Duration>,
    out: Vec<Message>,
}

impl Tasmota {
    /// `Offline`, retained.
    pub(crate) fn will(&self) -> Message {
        Message { topic: self.topic_of("tele", "LWT"), payload: "Offline".to_owned(), retain: true }
    }

    /// Its own topic, the group's, and the fallback that no setting changes.
    pub(crate) fn subscriptions(&self) -> Vec<String> {
        self.prefixes().map(|prefix| format!("{prefix}#")).to_vec()
    }

    pub(crate) fn linked(&mut self, connected: bool) {
        self.link.connected = connected;
        self.link.tele_at = None;
        self.link.out.clear();
        if !connected {
            return;
        }
        self.link.count += 1;
        self.say("tele", "LWT", "Online".to_owned(), true);
        if self.option(90) == 0 {
            // It asks itself for its power (arendst/Tasmota#2785, log), which cancels a pulse
            // time before 9.4.0.1.
            self.say("cmnd", "POWER", String::new(), false);
        }
        if self.link.count == 1 {
            let version = format!("{}(tasmota)", self.profile.version.text());
            let info = json!({ "Info1": {
                "Module": "Generic",
                "Version": version,
                "FallbackTopic": format!("cmnd/DVES_{}_fb/", self.profile.mac_tail()),
                "GroupTopic": "cmnd/tasmotas/",
            } });
            self.say("tele", "INFO1", info.to_string(), false);
            let info = json!({ "Info3": {
                "RestartReason": self.restart_reason, "BootCount": self.board.boot_count,
            } });
            self.say("tele", "INFO3", info.to_string(), false);
        }
        if self.profile.version.has_discovery() {
            let announcement = self.discovery();
            self.link.out.extend(announcement);
        }
        for relay in 0..self.board.relays.len() {
            self.publish_power(relay);
        }
        self.publish_tele();
    }

    /// The command that this message is.
    pub(crate) fn command_of(&self, topic: &str, payload: &str) -> Option<String> {
        let name = self.prefixes().iter().find_map(|prefix| topic.strip_prefix(prefix.as_str()))?;
        Some(format!("{name} {payload}").trim().to_owned())
    }

    pub(crate) fn receive(&mut self, topic: &str, payload: &str) {
        let Some(command) = self.command_of(topic, payload) else { return };
        let line = Line::parse(&command);
        if line.name == "status" {
            return self.say_status(&line);
        }
        let answer = self.execute(&command, By::Mqtt);
        // Switching has said so itself, and a backlog answers nothing.
        let said = answer.starts_with(r#"{"POWER"#) || answer == "{}";
        if !said {
            let name = command.split_whitespace().next().unwrap_or_default();
            let topic = if self.option(4) == 1 { name.to_uppercase() } else { "RESULT".to_owned() };
            self.say("stat", &topic, answer, false);
        }
    }

    /// `Status 0` is several messages, `STATUS` and `STATUS1` and on, `Status0` a single one.
    fn say_status(&mut self, line: &Line<'_>) {
        let whole = line.index == Some(0) && self.profile.version.has_status0();
        let parts: Vec<Option<i64>> = match line.number() {
            Some(0) if !whole => std::iter::once(None).chain(status::PARTS.map(Some)).collect(),
            number => vec![number],
        };
        let parts = if whole { vec![Some(0)] } else { parts };
        for part in parts {
            let topic = part.map_or_else(|| "STATUS".to_owned(), |part| format!("STATUS{part}"));
            let answer = self.status(part).unwrap_or_else(|| json!({ "Command": "Error" }));
            let answer = self.render(&answer);
            self.say("stat", &topic, answer, false);
        }
    }

    /// `RESULT` and the bare word, after every command that names a relay, a query too; with
    /// `SetOption4` the first under the relay's name, with `SetOption90` without the second.
    pub(super) fn publish_power(&mut self, relay: usize) {
        let key = self.power_key(relay);
        let word = self.text(self.board.relays[relay].on).to_owned();
        let topic = if self.option(4) == 1 { key.as_str() } else { "RESULT" };
        self.say("stat", topic, json!({ key.as_str(): word }).to_string(), false);
        if self.option(90) == 0 {
            self.say("stat", &key, word, self.power_retain);
        }
        if self.option(59) == 1 {
            let state = self.state();
            self.say_json("tele", "STATE", &state);
        }
    }

    /// `STATE` and `SENSOR`, and again after `TelePeriod`.
    pub(super) fn publish_tele(&mut self) {
        let state = self.state();
        self.say_json("tele", "STATE", &state);
        if self.profile.meter {
            let sensors = self.sensors();
            self.say_json("tele", "SENSOR", &sensors);
        }
        let period = self.numbers.get("TelePeriod").copied().unwrap_or(300);
        let next = self.board.now + Duration::from_secs(u64::from(period));
        self.link.tele_at = (self.link.connected && period > 0).then_some(next);
    }

    /// What it says before it switches off by itself.
    pub(super) fn warn(&mut self, what: &str, value: Value) {
        let now = self.board.wall_ms(self.board.now);
        let mut warning = json!({ "Time": iso8601(now) });
        warning[what] = value;
        let warning = self.render(&warning);
        self.say("stat", "WARNING", warning, false);
    }

    pub(crate) fn take_messages(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.link.out)
    }

    fn say_json(&mut self, prefix: &str, name: &str, payload: &Value) {
        let payload = self.render(payload);
        self.say(prefix, name, payload, false);
    }

    /// Lost while there is no connection, as with the firmware.
    fn say(&mut self, prefix: &str, name: &str, payload: String, retain: bool) {
        if self.link.connected {
            let topic = self.topic_of(prefix, name);
            self.link.out.push(Message { topic, payload, retain });
        }
    }

    fn topic_of(&self, prefix: &str, name: &str) -> String {
        format!("{prefix}/{}/{name}", self.topic)
    }

    fn prefixes(&self) -> [String; 3] {
        [
            self.topic_of("cmnd", ""),
            "cmnd/tasmotas/".to_owned(),
            format!("cmnd/DVES_{}_fb/", self.profile.mac_tail()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use crate::{Device, Profile};

    fn linked(profile: Profile) -> Device {
        let mut plug = Device::new(profile);
        plug.mqtt_connected(true);
        plug.mqtt_take();
        plug
    }

    fn said(plug: &mut Device) -> Vec<(String, String)> {
        plug.mqtt_take().into_iter().map(|message| (message.topic, message.payload)).collect()
    }

    fn pair(topic: &str, payload: &str) -> (String, String) {
        (topic.to_owned(), payload.to_owned())
    }

    #[test]
    fn a_switch_is_told_as_json_and_as_a_bare_word() {
        let mut plug = linked(Profile { relays: 2, ..Profile::tasmota_13_4() });
        plug.mqtt_receive("cmnd/tasmota_C2D3E4/POWER2", "ON");
        assert!(plug.is_on(2));
        let json = pair("stat/tasmota_C2D3E4/RESULT", r#"{"POWER2":"ON"}"#);
        assert_eq!(said(&mut plug), [json, pair("stat/tasmota_C2D3E4/POWER2", "ON")]);
        plug.press_button(2);
        assert_eq!(said(&mut plug)[1], pair("stat/tasmota_C2D3E4/POWER2", "OFF"));
        plug.console("SetOption4 1");
        plug.console("SetOption90 1");
        plug.mqtt_receive("cmnd/DVES_C2D3E4_fb/POWER1", "");
        let named = pair("stat/tasmota_C2D3E4/POWER1", r#"{"POWER1":"OFF"}"#);
        assert_eq!(said(&mut plug), [named]);
    }

    #[test]
    fn a_connection_is_announced_and_its_loss_left_to_the_broker() {
        let mut plug = Device::new(Profile::tasmota_14_4());
        let will = plug.mqtt_will().unwrap();
        let lwt = "tele/tasmota_C2D3E4/LWT";
        assert_eq!(
            (will.topic.as_str(), will.payload.as_str(), will.retain),
            (lwt, "Offline", true)
        );
        plug.mqtt_connected(true);
        let messages = plug.mqtt_take();
        assert_eq!((messages[0].topic.as_str(), messages[0].payload.as_str()), (lwt, "Online"));
        let retained: Vec<&str> = messages
            .iter()
            .filter_map(|message| message.retain.then_some(message.topic.as_str()))
            .collect();
        let config = "tasmota/discovery/02A0B1C2D3E4/config";
        assert_eq!(retained, [lwt, config, "tasmota/discovery/02A0B1C2D3E4/sensors"]);
        plug.mqtt_connected(false);
        plug.console("Power ON");
        assert!(plug.mqtt_take().is_empty());
    }

    #[test]
    fn status_0_is_many_messages_and_status0_a_single_one() {
        let mut plug = linked(Profile::tasmota_9_5());
        plug.mqtt_receive("cmnd/tasmotas/STATUS", "0");
        let topics: Vec<String> = said(&mut plug).into_iter().map(|(topic, _)| topic).collect();
        let status = ["", "1", "2", "5", "6", "7", "10", "11"];
        assert_eq!(topics, status.map(|part| format!("stat/tasmota_C2D3E4/STATUS{part}")));
        plug.mqtt_receive("cmnd/tasmota_C2D3E4/STATUS0", "");
        let all = said(&mut plug);
        assert!(all.len() == 1 && all[0].1.contains("StatusSTS"), "{all:?}");
    }

    #[test]
    fn answers_go_to_result_and_state_and_sensor_come_each_teleperiod() {
        let mut plug = linked(Profile::tasmota_12_4());
        plug.mqtt_receive("cmnd/tasmota_C2D3E4/PowerOnState", "0");
        assert_eq!(said(&mut plug), [pair("stat/tasmota_C2D3E4/RESULT", r#"{"PowerOnState":0}"#)]);
        plug.mqtt_receive("cmnd/tasmota_C2D3E4/Backlog", "Power1 ON");
        assert!(said(&mut plug).is_empty());
        plug.advance(std::time::Duration::from_secs(301));
        let topics: Vec<String> = said(&mut plug).into_iter().map(|(topic, _)| topic).collect();
        let names = ["stat/{}/RESULT", "stat/{}/POWER", "tele/{}/STATE", "tele/{}/SENSOR"];
        assert_eq!(topics, names.map(|name| name.replace("{}", "tasmota_C2D3E4")));
    }

    #[test]
    fn what_max_power_switches_off_is_warned_of_first() {
        let mut plug = linked(Profile { relays: 2, ..Profile::tasmota_14_4() });
        for command in ["MaxPower 100", "MaxPowerHold 3", "Power1 ON", "Power2 ON"] {
            plug.console(command);
        }
        plug.mqtt_take();
        plug.advance(std::time::Duration::from_secs(3));
        assert!(plug.is_on(1) && plug.is_on(2), "it has some patience");
        plug.advance(std::time::Duration::from_secs(1));
        assert!(!plug.is_on(1) && !plug.is_on(2));
        assert!(plug.history().iter().rev().take(2).all(|off| off.by == crate::By::Protection));
        let said = said(&mut plug);
        assert_eq!(said[0].0, "stat/tasmota_C2D3E4/WARNING");
        assert!(said[0].1.contains(r#""MaxPowerReached":120"#), "{said:?}");
        assert_eq!(said[1], pair("stat/tasmota_C2D3E4/RESULT", r#"{"POWER1":"OFF"}"#));
    }

    #[test]
    fn what_is_too_much_for_a_moment_only_passes() {
        let mut plug = linked(Profile::tasmota_14_4());
        for command in ["MaxPower 50", "MaxPowerHold 3", "Power1 ON"] {
            plug.console(command);
        }
        for _ in 0..5 {
            plug.set_power_w(1, 60.0);
            plug.advance(std::time::Duration::from_millis(2_600));
            plug.set_power_w(1, 40.0);
            plug.advance(std::time::Duration::from_millis(1_400));
        }
        assert!(plug.is_on(1));
    }

    #[test]
    fn before_9_4_0_1_to_connect_cancels_the_pulse() {
        for (profile, cancels) in [(Profile::tasmota_9_3(), true), (Profile::tasmota_9_5(), false)]
        {
            let mut plug = Device::new(profile);
            plug.console("PulseTime1 400");
            plug.console("Power1 ON");
            plug.mqtt_connected(true);
            let own =
                plug.mqtt_take().into_iter().find(|message| message.topic.starts_with("cmnd"));
            let own = own.expect("it asks itself");
            plug.mqtt_receive(&own.topic, &own.payload);
            assert_eq!(plug.lease_remaining(1).is_none(), cancels);
        }
    }
}
