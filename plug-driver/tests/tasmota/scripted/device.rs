//! What the firmware makes of a command.

use super::*;

impl Device {
    /// The refusal, if the password is not as this firmware wants it.
    pub(super) fn authorized(&self, request: &str, target: &str) -> Option<(u16, String)> {
        let password = self.password?;
        let form = format!("\r\n\r\nuser=admin&password={password}");
        let basic = request.contains(BASIC) && password == "joker";
        assert!(!target.contains("password"), "{target}");
        match self.firmware {
            Firmware::Old if !request.ends_with(&form) => Some((200, PASSWORD_WARNING.to_owned())),
            Firmware::Lite | Firmware::V12_4 | Firmware::V13_4 if !basic => {
                Some((401, PASSWORD_WARNING.to_owned()))
            }
            Firmware::Minimal
            | Firmware::Old
            | Firmware::Lite
            | Firmware::V12_4
            | Firmware::V13_4 => None,
        }
    }

    pub(super) fn obey(&mut self, command: &str) -> String {
        let (name, argument) = command.split_once(' ').unwrap_or((command, ""));
        let word = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let index: usize = name[word.len()..].parse().unwrap_or(0);
        let known = match word {
            "Status" | "Power" | "StateText" => true,
            "PulseTime" => self.firmware != Firmware::Minimal,
            "TimedPower" => self.firmware == Firmware::V13_4,
            "RuleTimer" | "Rule" => self.firmware.has_rules(),
            "PowerLock" => self.power_lock.is_some(),
            "SetOption" | "Interlock" => true,
            _ => false,
        };
        match (word, argument) {
            _ if !known => r#"{"Command":"Unknown"}"#.to_owned(),
            ("StateText", "") => {
                let text = self.words.get(index - 1).unwrap_or(&"TOGGLE");
                format!("{{\"StateText{index}\":\"{text}\"}}")
            }
            ("SetOption", "") => {
                let on = index == 21 && self.meters_open;
                format!("{{\"SetOption{index}\":\"{}\"}}", self.words[usize::from(on)])
            }
            ("Rule", argument) => self.rule(index, argument),
            _ if index > self.on.len() => r#"{"Command":"Error"}"#.to_owned(),
            ("Status", number) => self.status(number),
            ("Power", "ON") => self.switch(index, true),
            ("Power", "OFF") => self.switch(index, false),
            ("PulseTime", code) => self.pulse_time(index, code),
            ("RuleTimer", seconds) => self.rule_timer(index, seconds),
            ("Interlock", "") => {
                let groups = self.interlock.map(|groups| format!(",\"Groups\":\"{groups}\""));
                let word = self.words[usize::from(self.interlock.is_some())];
                format!("{{\"Interlock\":\"{word}\"{}}}", groups.unwrap_or_default())
            }
            ("PowerLock", "") => {
                let word = self.words[usize::from(self.power_lock == Some(true))];
                format!("{{\"PowerLock{index}\":\"{word}\"}}")
            }
            ("TimedPower", "") => self.timed_power(name),
            ("TimedPower", ms) => {
                let entry = format!("Power{index} 0");
                self.timed.retain(|(_, command)| *command != entry);
                self.timed.push((ms.parse().unwrap(), entry));
                self.switch(index, true)
            }
            (_, _) => panic!("{command} must never be sent: it is a bare query, or no command"),
        }
    }

    fn key(&self, index: usize) -> String {
        if self.on.len() == 1 { "POWER".to_owned() } else { format!("POWER{index}") }
    }

    fn switch(&mut self, index: usize, on: bool) -> String {
        if !self.locked {
            self.on[index - 1] = on;
            let (set, remaining) = &mut self.pulse[index - 1];
            *remaining = if on { *set } else { 0 };
        }
        let text = self.words[usize::from(self.on[index - 1])];
        format!("{{\"{}\":\"{text}\"}}", self.key(index))
    }

    fn status(&self, number: &str) -> String {
        match number {
            "" => {
                let lock = self.power_lock.map(|lock| u8::from(lock).to_string());
                let lock = lock.map(|bits| format!(",\"PowerLock\":\"{bits}\""));
                let state = self.power_on_state;
                let lock = lock.unwrap_or_default();
                format!("{{\"Status\":{{\"Module\":1,\"PowerOnState\":{state}{lock}}}}}")
            }
            "0" => {
                let parts = ["", "1", "2", "10", "11"].map(|part| self.status(part));
                let inner: Vec<_> = parts.iter().map(|part| &part[1..part.len() - 1]).collect();
                format!("{{{}}}", inner.join(","))
            }
            "1" => format!("{{\"StatusPRM\":{{\"BootCount\":{}}}}}", self.boot_count),
            "2" => format!("{{\"StatusFWR\":{{\"Version\":\"{}\"}}}}", self.firmware.version()),
            "10" => {
                let energy = self.energy.map(|energy| format!(",\"ENERGY\":{energy}"));
                format!("{{\"StatusSNS\":{{\"Time\":\"x\"{}}}}}", energy.unwrap_or_default())
            }
            "11" => {
                let mut relays = String::new();
                for (index, on) in self.on.iter().enumerate() {
                    let text = self.words[usize::from(*on)];
                    relays.push_str(&format!(",\"{}\":\"{text}\"", self.key(index + 1)));
                }
                let uptime = self.uptime_s;
                format!(
                    "{{\"StatusSTS\":{{\"Uptime\":\"0T00:00:00\",\"UptimeSec\":{uptime}{relays},\
                     \"Wifi\":{{\"SSId\":\"x\"}}}}}}"
                )
            }
            _ => r#"{"Command":"Error"}"#.to_owned(),
        }
    }

    fn rule_timer(&mut self, index: usize, seconds: &str) -> String {
        if !seconds.is_empty() {
            self.rule_timers[index - 1] = seconds.parse().unwrap();
        }
        let timers =
            (1..).zip(self.rule_timers).map(|(timer, left)| format!("\"T{timer}\":{left}"));
        format!("{{{}}}", timers.collect::<Vec<_>>().join(","))
    }

    fn rule(&mut self, slot: usize, argument: &str) -> String {
        let words = self.words;
        let rule = &mut self.rules[slot - 1];
        match argument {
            "" => {}
            "1" => rule.enabled = true,
            "4" => rule.once = false,
            text => match text.strip_prefix("+ ") {
                Some(more) => rule.text = format!("{} {more}", rule.text),
                None => text.clone_into(&mut rule.text),
            },
        }
        let [state, once] = [rule.enabled, rule.once].map(|on| words[usize::from(on)]);
        let free = 511 - rule.text.len();
        format!(
            "{{\"Rule{slot}\":{{\"State\":\"{state}\",\"Once\":\"{once}\",\"Free\":{free},\
             \"Rules\":\"{}\"}}}}",
            rule.text
        )
    }

    fn pulse_time(&mut self, index: usize, code: &str) -> String {
        let timer = &mut self.pulse[index - 1];
        if !code.is_empty() {
            assert!(code == "0" || !code.starts_with('0'), "{code} is octal");
            let code = code.parse().unwrap();
            *timer = (code, code);
        }
        let (set, remaining) = *timer;
        if self.firmware == Firmware::Old {
            format!("{{\"PulseTime{index}\":\"{set} (Active {remaining})\"}}")
        } else {
            format!("{{\"PulseTime{index}\":{{\"Set\":{set},\"Remaining\":{remaining}}}}}")
        }
    }

    fn timed_power(&mut self, name: &str) -> String {
        if let Some(index) = name.strip_prefix("TimedPower").filter(|index| !index.is_empty()) {
            let prefix = format!("Power{index}");
            self.timed.retain(|(_, command)| !command.starts_with(&prefix));
            return r#"{"TimedPower":"Done"}"#.to_owned();
        }
        if self.timed.is_empty() {
            return r#"{"TimedPower":"Empty"}"#.to_owned();
        }
        let entries: Vec<_> = self
            .timed
            .iter()
            .map(|(ms, command)| format!("{{\"Remaining\":{ms},\"Command\":\"{command}\"}}"))
            .collect();
        format!("{{\"TimedPower\":[{}]}}", entries.join(","))
    }
}
