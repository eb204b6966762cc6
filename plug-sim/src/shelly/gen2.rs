//! The second generation and later: methods over `GET /rpc/Method`, `POST /rpc` and frames.
//!
//! Source: the vendor's Gen2+ API documentation and aioshelly. `/shelly` and
//! `Shelly.GetDeviceInfo` ask for no credentials.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::logins::{Claim, Verdict};
use super::{Initial, Shelly};
use crate::reply::{Answer, Response};
use crate::{By, Request};

/// Before `Shelly.Reboot` is carried out, where it does not say.
const REBOOT_MS: u64 = 1_000;

/// Why a method was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: i32,
    pub(super) message: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&json!({ "code": self.code, "message": self.message }).to_string())
    }
}

impl Refusal {
    fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn no_handler(method: &str) -> Self {
        Self::new(404, format!("No handler for {method}"))
    }

    fn missing(argument: &str) -> Self {
        Self::new(-103, format!("Missing required argument '{argument}'!"))
    }

    fn invalid(argument: &str) -> Self {
        Self::new(-103, format!("Invalid argument '{argument}'!"))
    }

    fn body(&self) -> Value {
        json!({ "code": self.code, "message": self.message })
    }
}

impl Shelly {
    pub(super) fn obey_gen2(&mut self, request: &Request) -> Answer {
        let path = request.path().to_owned();
        if path == "/shelly" {
            return Response::json(200, &self.identity_gen2()).into();
        }
        let Some(method) = path.strip_prefix("/rpc") else {
            return Response::text(404, "text/plain", "Not Found").into();
        };
        let method = method.trim_start_matches('/').to_owned();
        let frame: Value = serde_json::from_str(&request.body).unwrap_or(Value::Null);
        let asked =
            if method.is_empty() { frame["method"].as_str().unwrap_or("") } else { &method };
        if asked != "Shelly.GetDeviceInfo" {
            match self.judge(request, &frame) {
                Verdict::Right => {}
                Verdict::Dead if self.logins.reuses => {
                    return Response::json(429, &too_many().body()).into();
                }
                Verdict::Wrong | Verdict::Dead => return self.challenge(),
            }
        }
        if method.is_empty() {
            if frame["method"].as_str().is_none() {
                let refusal = Refusal::new(-103, "Missing or bad argument 'method'!");
                return Response::json(500, &refusal.body()).into();
            }
            return Response::json(200, &self.answer_frame(&frame, By::Http)).into();
        }
        let params = if request.body.is_empty() { arguments(request) } else { frame };
        match self.call(&method, &params) {
            Ok(result) => Response::json(200, &result).into(),
            Err(refusal) => {
                let status = if refusal.code == 404 { 404 } else { 500 };
                Response::json(status, &refusal.body()).into()
            }
        }
    }

    /// A frame over the WebSocket.
    pub(crate) fn frame(&mut self, text: &str) -> String {
        let frame: Value = serde_json::from_str(text).unwrap_or(Value::Null);
        let free = frame["method"] == "Shelly.GetDeviceInfo";
        let verdict = if free { Verdict::Right } else { self.judge(&Request::default(), &frame) };
        let refusal = match verdict {
            Verdict::Right => return self.answer_frame(&frame, By::WebSocket).to_string(),
            Verdict::Dead if self.logins.reuses => too_many(),
            Verdict::Wrong | Verdict::Dead => {
                let nonce = self.logins.challenge(self.board.now);
                // A number where it is one.
                let nonce = serde_json::from_str(&nonce).unwrap_or(Value::String(nonce));
                let told = json!({
                    "auth_type": "digest",
                    "nonce": nonce,
                    "nc": 1,
                    "realm": self.id_gen2(),
                    "algorithm": "SHA-256",
                });
                Refusal::new(401, told.to_string())
            }
        };
        self.reply_frame(&frame, "error", &refusal.body()).to_string()
    }

    /// What it tells over its WebSockets when a relay changed.
    pub(crate) fn notice(&self, relay: usize) -> String {
        let changed = json!({
            "id": relay,
            "output": self.board.relays[relay].on,
            "source": self.outputs[relay].source,
        });
        let mut params = json!({ "ts": self.clock_at(self.board.now) });
        params[format!("switch:{relay}")] = changed;
        json!({ "src": self.id_gen2(), "dst": "*", "method": "NotifyStatus", "params": params })
            .to_string()
    }

    /// As while it starts, or with firmware that never heard of it.
    pub(crate) fn no_handler(&mut self, request: &Request) -> Answer {
        let frame: Value = serde_json::from_str(&request.body).unwrap_or(Value::Null);
        let method = request.path().trim_start_matches("/rpc").trim_start_matches('/');
        if method.is_empty() {
            let refusal = Refusal::no_handler(frame["method"].as_str().unwrap_or(""));
            return Response::json(200, &self.reply_frame(&frame, "error", &refusal.body())).into();
        }
        Response::json(404, &Refusal::no_handler(method).body()).into()
    }

    pub(super) fn challenge(&mut self) -> Answer {
        let nonce = self.logins.challenge(self.board.now);
        let realm = self.id_gen2();
        let challenge =
            format!("Digest qop=\"auth\", realm=\"{realm}\", nonce=\"{nonce}\", algorithm=SHA-256");
        let mut response = Response::text(401, "text/plain", "");
        response.headers.push(("WWW-Authenticate", challenge));
        response.into()
    }

    fn judge(&mut self, request: &Request, frame: &Value) -> Verdict {
        let Some(password) = self.profile.password.clone() else { return Verdict::Right };
        let header = request.authorization.as_deref();
        let claim = header.and_then(|it| Claim::of_header(it, &request.method, &request.target));
        let in_frame = || frame.get("auth").map(Claim::of_frame);
        let Some(claim) = claim.or_else(in_frame) else { return Verdict::Wrong };
        let realm = self.id_gen2();
        self.logins.judge(&claim, &realm, &password, self.board.now)
    }

    fn answer_frame(&mut self, frame: &Value, by: By) -> Value {
        let method = frame["method"].as_str().unwrap_or("").to_owned();
        match self.call_by(&method, &frame["params"], by) {
            Ok(result) => self.reply_frame(frame, "result", &result),
            Err(refusal) => self.reply_frame(frame, "error", &refusal.body()),
        }
    }

    fn reply_frame(&self, frame: &Value, kind: &str, body: &Value) -> Value {
        let mut reply = json!({ "id": frame["id"], "src": self.id_gen2() });
        if !frame["src"].is_null() {
            reply["dst"] = frame["src"].clone();
        }
        reply[kind] = body.clone();
        reply
    }

    pub(super) fn call(&mut self, method: &str, params: &Value) -> Result<Value, Refusal> {
        self.call_by(method, params, By::Http)
    }

    fn call_by(&mut self, method: &str, params: &Value, by: By) -> Result<Value, Refusal> {
        Ok(match method {
            "Shelly.GetDeviceInfo" => self.identity_gen2(),
            "Shelly.GetStatus" => self.status_gen2(),
            "Shelly.GetConfig" => self.config_gen2(),
            "Shelly.ListMethods" => json!({ "methods": METHODS }),
            "Shelly.GetComponents" => {
                json!({ "components": [], "cfg_rev": self.revision, "offset": 0, "total": 0 })
            }
            "Shelly.Reboot" => {
                let delay_ms = params["delay_ms"].as_u64().unwrap_or(REBOOT_MS);
                self.restart_at = Some(self.board.now + Duration::from_millis(delay_ms));
                Value::Null
            }
            "Sys.GetStatus" => self.sys_status(),
            "Sys.GetConfig" => self.sys_config(),
            "Sys.SetConfig" => self.set_sys_config(params)?,
            "Switch.GetStatus" => self.switch_status(self.switch_id(params)?),
            "Switch.GetConfig" => self.switch_config(self.switch_id(params)?),
            "Switch.SetConfig" => self.set_switch_config(params)?,
            "Switch.Set" => {
                let relay = self.switch_id(params)?;
                let on = given(params, "on").ok_or_else(|| Refusal::missing("on"))?;
                let on = on.as_bool().ok_or_else(|| Refusal::invalid("on"))?;
                self.switch_to(relay, on, params, by)?
            }
            "Switch.Toggle" => {
                let relay = self.switch_id(params)?;
                let on = !self.board.relays[relay].on;
                self.switch_to(relay, on, &Value::Null, by)?
            }
            "Schedule.List" => json!({ "jobs": [], "rev": 0 }),
            "Script.List" => json!({ "scripts": [] }),
            "Webhook.List" => json!({ "hooks": [], "rev": 0 }),
            "Wifi.GetStatus" => self.status_gen2()["wifi"].clone(),
            "MQTT.GetConfig" => self.config_gen2()["mqtt"].clone(),
            "Cloud.GetConfig" => self.config_gen2()["cloud"].clone(),
            "BLE.GetConfig" => self.config_gen2()["ble"].clone(),
            "Ws.GetConfig" => self.config_gen2()["ws"].clone(),
            _ => return Err(Refusal::no_handler(method)),
        })
    }

    /// `toggle_after` flips it back, whichever way: with an off it is a timer that switches on.
    fn switch_to(
        &mut self,
        relay: usize,
        on: bool,
        params: &Value,
        by: By,
    ) -> Result<Value, Refusal> {
        let after = given(params, "toggle_after");
        let after = after.map(|it| it.as_f64().ok_or_else(|| Refusal::invalid("toggle_after")));
        let after =
            after.transpose()?.filter(|seconds| *seconds > 0.0).map(Duration::try_from_secs_f64);
        let after = after.transpose().map_err(|_| Refusal::invalid("toggle_after"))?;
        let was_on = self.board.relays[relay].on;
        self.set(relay, on, after, by);
        Ok(json!({ "was_on": was_on }))
    }

    fn switch_id(&self, params: &Value) -> Result<usize, Refusal> {
        let id = &params["id"];
        if id.is_null() {
            return Err(Refusal::missing("id"));
        }
        let relay = id.as_u64().and_then(|id| usize::try_from(id).ok());
        let relay = relay.filter(|relay| *relay < self.outputs.len());
        relay.ok_or_else(|| Refusal::new(-105, format!("Argument 'id', value {id} not found!")))
    }

    fn set_sys_config(&mut self, params: &Value) -> Result<Value, Refusal> {
        let config = params.get("config").ok_or_else(|| Refusal::missing("config"))?;
        if let Some(name) = given(&config["device"], "name") {
            let name = name.as_str().ok_or_else(|| Refusal::invalid("name"))?;
            self.name = (!name.is_empty()).then(|| name.to_owned());
        }
        self.saved();
        Ok(json!({ "restart_required": false }))
    }

    fn set_switch_config(&mut self, params: &Value) -> Result<Value, Refusal> {
        let relay = self.switch_id(params)?;
        let config = params["config"].as_object().ok_or_else(|| Refusal::missing("config"))?;
        let mut output = self.outputs[relay].clone();
        let seconds = |value: &Value, name: &str| {
            let seconds = value.as_f64().filter(|seconds| *seconds >= 0.0);
            seconds.ok_or_else(|| Refusal::invalid(name))
        };
        let flag =
            |value: &Value, name: &str| value.as_bool().ok_or_else(|| Refusal::invalid(name));
        for (name, value) in config {
            match (name.as_str(), value) {
                ("name", Value::Null) => output.name = None,
                ("name", Value::String(text)) => output.name = Some(text.clone()),
                ("initial_state", _) => {
                    output.initial = match value.as_str() {
                        Some("off") => Initial::Off,
                        Some("on") => Initial::On,
                        Some("restore_last") => Initial::Last,
                        Some("match_input") => Initial::Input,
                        _ => return Err(Refusal::invalid("initial_state")),
                    }
                }
                ("auto_on", _) => output.auto_on = flag(value, name)?,
                ("auto_off", _) => output.auto_off = flag(value, name)?,
                ("auto_on_delay", _) => output.auto_on_delay_s = seconds(value, name)?,
                ("auto_off_delay", _) => output.auto_off_delay_s = seconds(value, name)?,
                ("power_limit", _) => output.power_limit_w = seconds(value, name)?,
                // What we don't imitate is taken and forgotten.
                _ => {}
            }
        }
        self.outputs[relay] = output;
        self.saved();
        Ok(json!({ "restart_required": false }))
    }
}

/// An argument that is there and not null.
fn given<'a>(params: &'a Value, name: &str) -> Option<&'a Value> {
    params.get(name).filter(|value| !value.is_null())
}

fn too_many() -> Refusal {
    Refusal::new(429, "Too many failed authentication attempts")
}

/// The query's arguments: JSON where they are, text where not.
fn arguments(request: &Request) -> Value {
    let read = |text: String| serde_json::from_str(&text).unwrap_or(Value::String(text));
    let arguments = request.query().into_iter().map(|(name, value)| (name, read(value)));
    Value::Object(arguments.collect::<Map<String, Value>>())
}

/// What `Shelly.ListMethods` tells.
const METHODS: [&str; 21] = [
    "BLE.GetConfig",
    "Cloud.GetConfig",
    "MQTT.GetConfig",
    "Schedule.List",
    "Script.List",
    "Shelly.GetComponents",
    "Shelly.GetConfig",
    "Shelly.GetDeviceInfo",
    "Shelly.GetStatus",
    "Shelly.ListMethods",
    "Shelly.Reboot",
    "Switch.GetConfig",
    "Switch.GetStatus",
    "Switch.Set",
    "Switch.SetConfig",
    "Switch.Toggle",
    "Sys.GetConfig",
    "Sys.GetStatus",
    "Sys.SetConfig",
    "Webhook.List",
    "Wifi.GetStatus",
];
