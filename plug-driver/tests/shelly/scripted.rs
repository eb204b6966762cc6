//! A plug for tests: it answers like one generation, keeps what it was told, and can be told to
//! answer certain requests badly. Its timers run on tokio's clock, so that a test can advance it.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use plug_driver::{AnyOutlet, Secret, ShellySettings};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::wire::{Answer, Digest, Wire, decoded, serve};

pub(crate) const REALM: &str = "shellyplus1pm-a8032abe54dc";
/// `admin:joker`, as HTTP Basic has it.
const BASIC: &str = "Basic YWRtaW46am9rZXI=";
/// What a plug's clock shows when it starts.
const EPOCH: f64 = 1_700_000_000.0;

#[derive(Debug, Clone)]
pub(crate) struct Relay {
    pub(crate) on: bool,
    /// When it flips, and how long the timer is.
    pub(crate) flips: Option<(Instant, f64)>,
    pub(crate) auto_off: f64,
    pub(crate) settings: Value,
    pub(crate) errors: Vec<&'static str>,
    /// It does not move, whatever it is told, and says that it did.
    pub(crate) stuck: bool,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct Device {
    pub(crate) generation: u8,
    pub(crate) password: Option<&'static str>,
    pub(crate) relays: Vec<Relay>,
    pub(crate) started: Instant,
    /// Seconds by which its clock is wrong; `None`: it tells no time.
    pub(crate) skew: Option<f64>,
    pub(crate) metered: bool,
    /// Answers `null` to what has no result.
    pub(crate) null_results: bool,
    /// A bare on, and an off, leave a timer alone.
    pub(crate) keeps_timers: bool,
    /// A timer that goes with an on is not armed.
    pub(crate) deaf_to_timers: bool,
    /// How often each nonce was used, newest last; of so many.
    pub(crate) nonces: Vec<(String, u32)>,
    /// Answers 429 to a nonce that it does not know, as under a throttle, and never 401.
    pub(crate) throttles_dead_nonces: bool,
    /// Takes each nonce once, as firmware before 2.0.0.
    pub(crate) single_use: bool,
    pub(crate) issued: u32,
    pub(crate) jobs: Option<Value>,
    pub(crate) button: Option<&'static str>,
    /// How replies to targets that begin so travel; the first that fits counts.
    pub(crate) wire: Vec<(&'static str, Wire)>,
    targets: Vec<String>,
    logins: Vec<String>,
}

#[derive(Clone)]
pub(crate) struct ScriptedPlug {
    device: Arc<Mutex<Device>>,
    port: u16,
}

impl ScriptedPlug {
    pub(crate) async fn start(generation: u8, relays: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let settings = if generation == 1 {
            json!({"default_state": "off", "btn_type": "detached", "auto_on": 0, "schedule": false})
        } else {
            json!({"initial_state": "off", "in_mode": "detached", "auto_on": false})
        };
        let relay = Relay {
            on: false,
            flips: None,
            auto_off: 0.0,
            settings,
            errors: Vec::new(),
            stuck: false,
        };
        let device = Arc::new(Mutex::new(Device {
            generation,
            password: None,
            relays: vec![relay; relays],
            started: Instant::now() - Duration::from_secs(1_000),
            skew: Some(0.0),
            metered: true,
            null_results: false,
            keeps_timers: false,
            deaf_to_timers: false,
            nonces: Vec::new(),
            throttles_dead_nonces: false,
            single_use: false,
            issued: 0,
            jobs: None,
            button: None,
            wire: Vec::new(),
            targets: Vec::new(),
            logins: Vec::new(),
        }));
        tokio::spawn(serve(listener, Arc::clone(&device)));
        Self { device, port }
    }

    pub(crate) fn outlet(&self, relay: u8) -> AnyOutlet {
        self.outlet_with(relay, Some("admin"), None)
    }

    pub(crate) fn outlet_with(
        &self,
        relay: u8,
        username: Option<&str>,
        password: Option<&str>,
    ) -> AnyOutlet {
        AnyOutlet::shelly(ShellySettings {
            url: format!("http://127.0.0.1:{}", self.port),
            relay,
            username: username.map(str::to_owned),
            password: password.map(|password| Secret::new(password.to_owned())),
        })
        .unwrap()
    }

    pub(crate) fn device(&self) -> MutexGuard<'_, Device> {
        let mut device = self.device.lock().unwrap();
        device.tick();
        device
    }

    /// Makes replies to targets that begin with `prefix` travel so.
    pub(crate) fn wire(&self, prefix: &'static str, wire: Wire) {
        self.device().wire.push((prefix, wire));
    }

    /// What was asked for since the last call.
    pub(crate) fn targets(&self) -> Vec<String> {
        std::mem::take(&mut self.device().targets)
    }

    /// The `Authorization`s since the last call; empty where there was none.
    pub(crate) fn logins(&self) -> Vec<String> {
        std::mem::take(&mut self.device().logins)
    }
}

impl Device {
    pub(crate) fn wire_of(&self, target: &str) -> Wire {
        let wire = self.wire.iter().find(|(prefix, _)| target.starts_with(prefix));
        wire.map_or(Wire::Chunks(usize::MAX), |(_, wire)| wire.clone())
    }

    pub(crate) fn log(&mut self, target: &str, authorization: Option<&str>) {
        self.targets.push(target.to_owned());
        self.logins.push(authorization.unwrap_or_default().to_owned());
    }

    /// The mains come back: timers are lost, and it counts from zero.
    pub(crate) fn restart(&mut self) {
        self.started = Instant::now();
        for relay in &mut self.relays {
            (relay.on, relay.flips) = (false, None);
        }
        self.nonces.clear();
    }

    /// Lets what is due happen.
    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        for relay in &mut self.relays {
            if relay.flips.take_if(|(at, _)| now >= *at).is_some() {
                relay.on = !relay.on;
            }
        }
    }

    pub(crate) fn answer(&mut self, target: &str, authorization: Option<&str>) -> Answer {
        self.log(target, authorization);
        self.tick();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        if path == "/shelly" {
            return Answer::new(200, self.identity().to_string());
        }
        if let Some(refusal) = self.refusal(target, authorization) {
            return refusal;
        }
        let query: Vec<(&str, String)> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key, decoded(value)))
            .collect();
        let value = |key: &str| query.iter().find(|(name, _)| *name == key).map(|(_, it)| &**it);
        if self.generation == 1 { self.first(path, &value) } else { self.later(path, &value) }
    }

    fn identity(&self) -> Value {
        let login = self.password.is_some();
        if self.generation == 1 {
            json!({"type": "SHSW-PM", "mac": "A8032ABE54DC", "auth": login, "fw": "x/v1.14.0"})
        } else {
            json!({"id": REALM, "gen": self.generation, "ver": "2.0.0", "auth_en": login})
        }
    }

    fn refusal(&mut self, target: &str, authorization: Option<&str>) -> Option<Answer> {
        let password = self.password?;
        if self.generation == 1 {
            let right = authorization == Some(BASIC) && password == "joker";
            let mut refusal = Answer::new(401, "401 Unauthorized");
            refusal.challenge = Some("Basic realm=\"shelly1pm\"".to_owned());
            return (!right).then_some(refusal);
        }
        let mut stale = "";
        if let Some(authorization) = authorization {
            let sent = Digest::of(authorization, target, REALM, password);
            let known = self.nonces.iter_mut().find(|(nonce, _)| *nonce == sent.nonce);
            match known {
                Some((_, used)) if sent.right && sent.count == *used + 1 => {
                    *used += 1;
                    if self.single_use {
                        self.nonces.retain(|(nonce, _)| *nonce != sent.nonce);
                    }
                    return None;
                }
                None if self.throttles_dead_nonces => return Some(Answer::new(429, "")),
                None if sent.right => stale = ", stale=true",
                Some(_) | None => {}
            }
        }
        self.issued += 1;
        let nonce = format!("bm9uY2U{}=", self.issued);
        self.nonces.push((nonce.clone(), 0));
        let mut refusal = Answer::new(401, "");
        refusal.challenge = Some(format!(
            "Digest qop=\"auth\", realm=\"{REALM}\", nonce=\"{nonce}\", algorithm=SHA-256{stale}"
        ));
        Some(refusal)
    }

    fn switch(&mut self, index: usize, on: bool, timer: Option<f64>) {
        let (keeps, deaf) = (self.keeps_timers, self.deaf_to_timers);
        let relay = &mut self.relays[index];
        assert!(timer.is_none() || on, "a timer with an off would switch on later");
        if relay.stuck {
            return;
        }
        relay.on = on && relay.errors.is_empty();
        let standing = (on && relay.auto_off > 0.0).then_some(relay.auto_off);
        match timer.filter(|_| !deaf).or(standing) {
            Some(seconds) if relay.on => {
                let at = Instant::now() + Duration::from_secs_f64(seconds);
                relay.flips = Some((at, seconds));
            }
            Some(_) | None if keeps => {}
            Some(_) | None => relay.flips = None,
        }
    }

    fn first<'a>(&mut self, path: &str, value: &impl Fn(&str) -> Option<&'a str>) -> Answer {
        let index = |prefix: &str| path.strip_prefix(prefix)?.parse::<usize>().ok();
        if path == "/status" {
            return Answer::new(200, self.first_status().to_string());
        }
        if let Some(index) = index("/relay/").filter(|index| *index < self.relays.len()) {
            match value("turn") {
                Some("on") => {
                    self.switch(index, true, value("timer").map(|it| it.parse().unwrap()));
                }
                Some("off") => self.switch(index, false, value("timer").map(|_| 0.0)),
                other => panic!("{other:?} must never be sent"),
            }
            let relay = &self.first_status()["relays"][index];
            return Answer::new(200, relay.to_string());
        }
        if let Some(index) = index("/settings/relay/").filter(|index| *index < self.relays.len()) {
            let relay = &mut self.relays[index];
            if let Some(seconds) = value("auto_off") {
                relay.auto_off = seconds.parse().unwrap();
            }
            for key in ["default_state", "btn_type"] {
                if let Some(text) = value(key) {
                    relay.settings[key] = text.into();
                }
            }
            if let Some(seconds) = value("auto_on") {
                relay.settings["auto_on"] = seconds.parse::<f64>().unwrap().into();
            }
            if let Some(schedule) = value("schedule") {
                relay.settings["schedule"] = (schedule == "true").into();
            }
            let mut settings = relay.settings.clone();
            settings["auto_off"] = relay.auto_off.into();
            return Answer::new(200, settings.to_string());
        }
        Answer::new(404, "Not Found")
    }

    fn first_status(&self) -> Value {
        let now = Instant::now();
        let relays: Vec<_> = self
            .relays
            .iter()
            .map(|relay| {
                let left = relay.flips.map_or(0, |(at, _)| (at - now).as_secs());
                json!({
                    "ison": relay.on, "has_timer": relay.flips.is_some(), "timer_started": 0,
                    "timer_duration": relay.flips.map_or(0.0, |(_, seconds)| seconds),
                    "timer_remaining": left, "overpower": relay.errors.contains(&"overpower"),
                    "source": "http",
                })
            })
            .collect();
        let meter = if self.metered {
            json!({"power": 61.5, "is_valid": true, "total": 90.0})
        } else {
            json!({"power": 100.0, "is_valid": true})
        };
        json!({"relays": relays, "meters": vec![meter; self.relays.len()],
            "uptime": (now - self.started).as_secs(), "unixtime": 0, "wifi_sta": {"ssid": "x"}})
    }

    fn later<'a>(&mut self, path: &str, value: &impl Fn(&str) -> Option<&'a str>) -> Answer {
        let Some(method) = path.strip_prefix("/rpc/") else { return Answer::new(404, "Not Found") };
        let index = value("id").and_then(|id| id.parse::<usize>().ok());
        if index.is_some_and(|index| index >= self.relays.len()) {
            let error = r#"{"code":-105,"message":"Argument 'id', value 9 not found!"}"#;
            return Answer::new(500, error);
        }
        let body = match (method, index) {
            ("Shelly.GetStatus", None) => self.later_status(),
            ("Switch.Set", Some(index)) => {
                let was_on = self.relays[index].on;
                let timer = value("toggle_after").map(|seconds| seconds.parse().unwrap());
                self.switch(index, value("on") == Some("true"), timer);
                if self.null_results { Value::Null } else { json!({"was_on": was_on}) }
            }
            ("Switch.GetConfig", Some(index)) => {
                let relay = &self.relays[index];
                let mut settings = relay.settings.clone();
                settings["auto_off"] = (relay.auto_off > 0.0).into();
                settings["auto_off_delay"] = relay.auto_off.into();
                settings
            }
            ("Switch.SetConfig", Some(index)) => {
                let config: Value = serde_json::from_str(value("config").unwrap()).unwrap();
                let relay = &mut self.relays[index];
                for (key, value) in config.as_object().unwrap() {
                    match key.as_str() {
                        "auto_off" if value == false => relay.auto_off = 0.0,
                        "auto_off" => relay.auto_off = config["auto_off_delay"].as_f64().unwrap(),
                        "auto_off_delay" => {}
                        key => relay.settings[key] = value.clone(),
                    }
                }
                if self.null_results { Value::Null } else { json!({"restart_required": false}) }
            }
            ("PLUGS_UI.GetConfig", None) if self.button.is_some() => {
                json!({"controls": {"switch:0": {"in_mode": self.button}}})
            }
            ("PLUGS_UI.SetConfig", None) if self.button.is_some() => {
                let config: Value = serde_json::from_str(value("config").unwrap()).unwrap();
                assert_eq!(config["controls"]["switch:0"]["in_mode"], "detached");
                self.button = Some("detached");
                json!({"restart_required": false})
            }
            ("Schedule.List", None) if self.jobs.is_some() => json!({"jobs": self.jobs, "rev": 1}),
            _ => {
                let error = json!({"code": 404, "message": format!("No handler for {method}")});
                return Answer::new(404, error.to_string());
            }
        };
        Answer::new(200, body.to_string())
    }

    fn later_status(&self) -> Value {
        let now = Instant::now();
        let uptime = (now - self.started).as_secs();
        let shown = |at: Instant| EPOCH + (at - self.started).as_secs_f64();
        let unixtime = self.skew.map(|skew| (shown(now) + skew).floor());
        let mut status = json!({"ble": {}, "sys": {"uptime": uptime, "unixtime": unixtime}});
        for (index, relay) in self.relays.iter().enumerate() {
            let mut own = json!({"id": index, "source": "HTTP_in", "output": relay.on});
            if let Some((at, seconds)) = relay.flips {
                own["timer_started_at"] = (shown(at) - seconds).into();
                own["timer_duration"] = seconds.into();
            }
            if self.metered {
                own["apower"] = 61.5.into();
                own["aenergy"] = json!({"total": 1.5, "by_minute": [0, 0, 0]});
            }
            if !relay.errors.is_empty() {
                own["errors"] = json!(relay.errors);
            }
            status[format!("switch:{index}")] = own;
        }
        status
    }
}
