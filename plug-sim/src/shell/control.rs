//! The control interface: what a test does with a [`FakePlug`](super::FakePlug), over HTTP with
//! JSON, for people and for programs in other languages. The plug itself knows nothing of it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::http::{read, send};
use super::{Pace, Shared};
use crate::reply::{Manner, Response};
use crate::{Device, Fault, PlugClock, Request, Restart};

/// What is told of the latest of each; the counts are told in full.
const LATEST: usize = 100;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::spawn(serve_one(stream, Arc::clone(&shared)));
    }
}

async fn serve_one(mut stream: TcpStream, shared: Arc<Shared>) {
    let Some(request) = read(&mut stream).await else { return };
    let pace = shared.pace;
    let outcome = shared.change(|device| answer(device, &request, pace));
    if request.path() == "/restart" && outcome.is_ok() {
        shared.hang_up.notify_waiters();
    }
    let response = match outcome {
        Ok(body) => Response::json(200, &body),
        Err(refusal) => Response::json(400, &json!({ "error": refusal })),
    };
    // Who has hung up gets no answer.
    let _ = send(&mut stream, &response, Manner::Whole, false, "plug-sim").await;
}

/// What is done, and told: always the state afterwards.
fn answer(device: &mut Device, request: &Request, pace: Pace) -> Result<Value, String> {
    let path = request.path();
    let body: Value = match request.body.trim() {
        "" => json!({}),
        body => {
            serde_json::from_str(body).map_err(|error| format!("the body is no JSON: {error}"))?
        }
    };
    if request.method != "POST" {
        return match path {
            "/" | "/state" => Ok(state(device)),
            _ => Err(format!("GET /state is all there is to read, not {path}")),
        };
    }
    let relay = body.get("relay").map_or(Ok(1), |relay| number(relay, "relay"))?;
    match path {
        "/button" => device.press_button(known(device, relay)?),
        "/load" => {
            let watts = body["watts"].as_f64().ok_or("load needs watts, a number")?;
            device.set_power_w(known(device, relay)?, watts);
        }
        "/welded" => {
            let welded = body["welded"].as_bool().ok_or("welded needs welded, true or false")?;
            device.set_welded(known(device, relay)?, welded);
        }
        "/error" => {
            let error = body["error"].as_str();
            device.set_error(known(device, relay)?, error);
        }
        "/restart" => device.restart(match body["kind"].as_str() {
            Some("warm") => Restart::Warm,
            Some("cold") => Restart::Cold,
            Some(_) | None => return Err("restart needs a kind, warm or cold".to_owned()),
        }),
        "/fault" => set_fault(device, &body)?,
        "/clock" => device.set_clock(match (&body["unset"], &body["off_s"]) {
            (Value::Bool(true), _) => PlugClock::Unset,
            (_, off) => {
                PlugClock::Off(off.as_i64().ok_or("clock needs off_s, seconds, or unset, true")?)
            }
        }),
        "/logins" => device.forget_logins(),
        "/rules" => {
            let busy = body["busy"].as_bool().ok_or("rules needs busy, true or false")?;
            device.set_rules_busy(busy);
        }
        "/console" => {
            let command = body["command"].as_str().ok_or("console needs a command, text")?;
            let answer = device.console(command);
            let answer = serde_json::from_str(&answer).unwrap_or(Value::String(answer));
            return Ok(json!({ "answer": answer, "state": state(device) }));
        }
        "/settings" => return settings(device, &body),
        "/advance" if pace == Pace::Held => {
            device.advance(Duration::from_millis(number(&body["ms"], "ms")?));
        }
        "/advance" => return Err("time passes by itself here; start it with --held".to_owned()),
        _ => return Err(format!("there is no {path}; there are {}", PATHS.join(", "))),
    }
    Ok(state(device))
}

/// Everything that can be posted to.
const PATHS: [&str; 12] = [
    "/advance",
    "/button",
    "/clock",
    "/console",
    "/error",
    "/fault",
    "/load",
    "/logins",
    "/restart",
    "/rules",
    "/settings",
    "/welded",
];

/// `{"fault":"stall","argument":4000,"requests":1}`, or `{"fault":null}`.
fn set_fault(device: &mut Device, body: &Value) -> Result<(), String> {
    let Some(name) = body["fault"].as_str() else {
        if body.get("fault") == Some(&Value::Null) {
            device.clear_fault();
            return Ok(());
        }
        return Err(format!("fault needs a fault, null or one of {}", Fault::NAMES.join(", ")));
    };
    let argument = body.get("argument");
    let argument = argument.map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned));
    let fault = Fault::from_name(name, argument.as_deref())?;
    match body.get("requests") {
        None => device.set_fault(fault),
        Some(requests) => device.set_fault_for(fault, number(requests, "requests")?),
    }
    Ok(())
}

/// Each setting by the plug's own name for it: `{"PowerOnState":0}`; a Shelly's of the first
/// generation are those of relay 1, and of the second `Switch.SetConfig`'s.
fn settings(device: &mut Device, body: &Value) -> Result<Value, String> {
    let settings = body.as_object().ok_or("settings needs an object of names and values")?;
    let mut answers = json!({});
    for (name, value) in settings {
        let answer = device.set_setting(name, value);
        answers[name] = serde_json::from_str(&answer).unwrap_or(Value::String(answer));
    }
    Ok(json!({ "answers": answers, "state": state(device) }))
}

fn state(device: &Device) -> Value {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let relays = (1..=device.board().relays.len()).map(|relay| {
        let board = &device.board().relays[relay - 1];
        json!({
            "relay": relay,
            "on": device.is_on(relay),
            "lease_ms": device.lease_remaining(relay).map(ms),
            "load_w": board.load_w,
            "drawn_w": device.drawn_w(relay),
            "shown_w": device.board().shown_w(relay - 1),
            "energy_wh": device.energy_wh(relay),
            "welded": board.welded,
        })
    });
    let history = device.history().iter().rev().take(LATEST).map(|change| {
        json!({
            "at_ms": device.board().wall_ms(change.at),
            "relay": change.relay,
            "on": change.on,
            "by": format!("{:?}", change.by).to_lowercase(),
        })
    });
    let requests = device.requests().iter().rev().take(LATEST);
    let requests = requests.map(|asked| json!({ "at_ms": asked.at_ms, "command": asked.command }));
    json!({
        "profile": device.profile().name(),
        "now_ms": device.board().wall_ms(device.now()),
        "uptime_ms": ms(device.uptime()),
        "boot_count": device.boot_count(),
        "flash_writes": device.flash_writes(),
        "fault": device.fault().map(|fault| format!("{fault:?}")),
        "relays": relays.collect::<Vec<Value>>(),
        "changes_seen": device.history().len(),
        "changes": history.collect::<Vec<Value>>(),
        "requests_seen": device.requests().len(),
        "requests": requests.collect::<Vec<Value>>(),
    })
}

fn known(device: &Device, relay: usize) -> Result<usize, String> {
    let relays = device.board().relays.len();
    let known = (1..=relays).contains(&relay);
    known
        .then_some(relay)
        .ok_or_else(|| format!("there is no relay {relay}; there are 1 to {relays}"))
}

fn number<T: TryFrom<u64>>(value: &Value, name: &str) -> Result<T, String> {
    let number = value.as_u64().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| format!("{name} must be a whole number that is not negative"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Profile;

    fn post(device: &mut Device, path: &str, body: &Value) -> Result<Value, String> {
        answer(device, &Request::post(path, &body.to_string()), Pace::Held)
    }

    #[test]
    fn what_is_posted_is_done_and_the_state_told() {
        let mut plug = Device::new(Profile::tasmota_13_4());
        let told = post(&mut plug, "/settings", &json!({ "PowerOnState": 0 })).unwrap();
        assert_eq!(told["answers"]["PowerOnState"]["PowerOnState"], 0);
        let told = post(&mut plug, "/button", &json!({})).unwrap();
        assert_eq!(
            (&told["relays"][0]["on"], &told["changes"][0]["by"]),
            (&json!(true), &json!("button"))
        );
        post(&mut plug, "/load", &json!({ "watts": 100 })).unwrap();
        post(&mut plug, "/welded", &json!({ "welded": true })).unwrap();
        post(&mut plug, "/button", &json!({ "relay": 1 })).unwrap();
        let told = post(&mut plug, "/advance", &json!({ "ms": 60_000 })).unwrap();
        assert_eq!(
            (&told["uptime_ms"], &told["relays"][0]["drawn_w"]),
            (&json!(60_000), &json!(100.0))
        );
        let told = post(&mut plug, "/restart", &json!({ "kind": "cold" })).unwrap();
        assert_eq!((&told["boot_count"], &told["uptime_ms"]), (&json!(2), &json!(0)));
        let fault = json!({ "fault": "stall", "argument": 4000, "requests": 1 });
        assert_eq!(post(&mut plug, "/fault", &fault).unwrap()["fault"], "Stall(4s)");
        assert_eq!(
            post(&mut plug, "/fault", &json!({ "fault": null })).unwrap()["fault"],
            json!(null)
        );
    }

    #[test]
    fn a_refusal_says_what_there_is() {
        let mut plug = Device::new(Profile::shelly_gen1());
        for (path, body, hint) in [
            ("/joy", json!({}), "/button"),
            ("/button", json!({ "relay": 2 }), "1 to 1"),
            ("/restart", json!({ "kind": "hot" }), "warm or cold"),
            ("/fault", json!({ "fault": "joy" }), "stall"),
            ("/load", json!({}), "watts"),
        ] {
            let refusal = post(&mut plug, path, &body).unwrap_err();
            assert!(refusal.contains(hint), "{refusal}");
        }
    }
}
