//! The settings that an audit reads and mends: each as the firmware answers it, each change a
//! write to flash.
//!
//! Source: arendst/Tasmota `support_command.ino` (`CmndSetoption`, `CmndStateText`),
//! `xdrv_10_rules` (`CmndRule`), `xdrv_01_webserver` (`CmndWebServer`, `CmndWebPassword`).

use serde_json::{Value, json};

use super::command::Line;
use super::{Action, Tasmota};

/// Settings that are plain numbers: their name, and the highest.
const NUMBERS: [(&str, u32); 7] = [
    ("SaveData", 3_600),
    ("MaxPower", 3_600),
    ("MaxPowerHold", 250),
    ("TelePeriod", 3_600),
    ("WebLog", 4),
    ("SensorRetain", 1),
    ("Sleep", 250),
];

impl Tasmota {
    /// `None` for what is no setting, `Some(None)` for an error.
    pub(super) fn setting(&mut self, line: &Line<'_>) -> Option<Option<Value>> {
        Some(match line.name.as_str() {
            "rule" if self.profile.rules => self.rule(line),
            "setoption" => self.set_option(line),
            "poweronstate" => {
                if let Some(state @ 0..=5) = line.number() {
                    self.power_on_state = u32::try_from(state).unwrap_or(0);
                    self.board.flash_writes += 1;
                }
                Some(json!({ "PowerOnState": self.power_on_state }))
            }
            "powerlock" if self.profile.version.has_power_lock() => self.power_lock(line),
            "interlock" => {
                if let Some(on) = line.switch(self) {
                    self.interlock = on;
                    self.board.flash_writes += 1;
                }
                let groups: Vec<String> =
                    (1..=self.board.relays.len()).map(|relay| relay.to_string()).collect();
                let groups = groups.join(",");
                Some(json!({ "Interlock": self.text(self.interlock), "Groups": groups }))
            }
            "powerretain" => {
                if let Some(on) = line.switch(self) {
                    self.power_retain = on;
                    self.board.flash_writes += 1;
                }
                Some(json!({ "PowerRetain": self.text(self.power_retain) }))
            }
            "statetext" => self.state_text(line),
            "webserver" => Some(self.web_server(line)),
            "webpassword" => Some(self.web_password(line)),
            "topic" => Some(json!({ "Topic": self.topic })),
            "fulltopic" => Some(json!({ "FullTopic": "%prefix%/%topic%/" })),
            "timers" => Some(json!({ "Timers": self.text(false) })),
            name => {
                let mut known = NUMBERS.into_iter();
                let (known, highest) = known.find(|(known, _)| known.eq_ignore_ascii_case(name))?;
                let number = line.number().and_then(|number| u32::try_from(number).ok());
                if let Some(number) = number.filter(|number| *number <= highest) {
                    self.numbers.insert(known, number);
                    self.board.flash_writes += 1;
                }
                Some(json!({ known: self.numbers.get(known).copied().unwrap_or(0) }))
            }
        })
    }

    fn rule(&mut self, line: &Line<'_>) -> Option<Value> {
        let number = line.index.unwrap_or(1);
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        let rule = self.rules.get_mut(index)?;
        match (line.data, line.number()) {
            ("", _) => {}
            (_, Some(0)) => rule.enabled = false,
            (_, Some(1)) => rule.enabled = true,
            (_, Some(2)) => rule.enabled = !rule.enabled,
            (_, Some(4)) => rule.once = false,
            (_, Some(5)) => rule.once = true,
            (text, _) => rule.set(text),
        }
        if !line.data.is_empty() {
            self.board.flash_writes += 1;
        }
        let rule = self.rules.get(index)?;
        let (enabled, once) = (self.text(rule.enabled), self.text(rule.once));
        let length = rule.text.len();
        let free = 511_usize.saturating_sub(length);
        let key = format!("Rule{number}");
        let mut answer = json!({ "Once": once, "StopOnError": self.text(false), "Length": length, "Free": free, "Rules": rule.text });
        if self.profile.version.rule_is_nested() {
            answer["State"] = json!(enabled);
            return Some(json!({ key: answer }));
        }
        answer[key] = json!(enabled);
        Some(answer)
    }

    fn set_option(&mut self, line: &Line<'_>) -> Option<Value> {
        let number = line.index.filter(|number| *number < 160)?;
        let is_number = (32..50).contains(&number);
        let value = if is_number {
            line.number().and_then(|value| u32::try_from(value).ok())
        } else {
            line.switch(self).map(u32::from)
        };
        if let Some(value) = value {
            self.options.insert(number, value);
            self.board.count();
            self.board.open_meter.looks = self.option(21) == 1;
            self.board.flash_writes += 1;
        }
        let value = self.option(number);
        let shown = if is_number { json!(value) } else { json!(self.text(value == 1)) };
        Some(json!({ format!("SetOption{number}"): shown }))
    }

    /// Locked, a relay stays as it is whoever asks: its own timers too (changelog, 13.4.1.2).
    fn power_lock(&mut self, line: &Line<'_>) -> Option<Value> {
        let relays = match line.relay_or_all(self)? {
            Some(relay) => relay..relay + 1,
            None => 0..self.board.relays.len(),
        };
        for relay in relays.clone() {
            match line.switch(self) {
                Some(false) => self.power_lock &= !(1 << relay),
                Some(true) => self.power_lock |= 1 << relay,
                None => {}
            }
        }
        let locked = |relay| self.text(self.power_lock >> relay & 1 == 1);
        let shown = relays.map(|relay| (format!("PowerLock{}", relay + 1), json!(locked(relay))));
        Some(Value::Object(shown.collect()))
    }

    fn state_text(&mut self, line: &Line<'_>) -> Option<Value> {
        let number = line.index.unwrap_or(1);
        let text = self.state_texts.get_mut(usize::try_from(number).ok()?.checked_sub(1)?)?;
        if !line.data.is_empty() {
            line.data.clone_into(text);
            self.board.flash_writes += 1;
        }
        Some(json!({ format!("StateText{number}"): text }))
    }
    /// 0 off, 1 for users, 2 for administrators; in user mode commands get a page (`Webserver 1`).
    fn web_server(&mut self, line: &Line<'_>) -> Value {
        if let Some(mode @ 0..=2) = line.number() {
            self.numbers.insert("Webserver", u32::try_from(mode).unwrap_or(0));
            self.board.flash_writes += 1;
        }
        let whom = match self.web_mode() {
            0 => return json!({ "Webserver": self.text(false) }),
            1 => "User",
            _ => "Admin",
        };
        let active = format!("Active for {whom} on {} with IP address 127.0.0.1", self.host_name());
        json!({ "Webserver": active })
    }

    pub(super) fn web_mode(&self) -> u32 {
        self.numbers.get("Webserver").copied().unwrap_or(2)
    }

    /// `0` takes the password away; what is set is told as stars, none as nothing.
    fn web_password(&mut self, line: &Line<'_>) -> Value {
        match line.data {
            "" => {}
            "0" => self.profile.password = None,
            password => self.profile.password = Some(password.to_owned()),
        }
        if !line.data.is_empty() {
            self.board.flash_writes += 1;
        }
        json!({ "WebPassword": if self.profile.password.is_some() { "****" } else { "" } })
    }
}

impl Line<'_> {
    /// On or off, if it says either.
    fn switch(&self, device: &Tasmota) -> Option<bool> {
        match self.state(device)? {
            Action::Off => Some(false),
            Action::On => Some(true),
            Action::Toggle | Action::Query => None,
        }
    }
}
