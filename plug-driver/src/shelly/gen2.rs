//! The second generation and those after it: RPC over HTTP, with HTTP Digest.
//!
//! - `Switch.Set` with `toggle_after` is on now and off after it; the same again starts the time
//!   anew. With `on=false` it would switch *on* later, so it never goes with one.
//! - `Shelly.GetStatus` tells relay, timer, meter, uptime and clock at one moment, so that the
//!   clock is the one that the timer is told by.
//! - Without a meter there is no `apower`. `aenergy.total` counts watt-hours.
//! - A method may answer `null`, which is neither yes nor no: the read-back decides.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Turn;
use super::audit::{self, Check, Wanted};
use super::door::Door;
use super::lease::Timer;
use super::reply::{Reply, Status, energy, excerpt, number, seconds, text, truth};
use crate::error::Fault;
use crate::http::{Hurry, percent_encoded};
use crate::{Finding, Rest};

pub(super) async fn switch(door: &mut Door, relay: u8, turn: Turn) -> Result<(), Fault> {
    let target = match turn {
        Turn::Off => format!("/rpc/Switch.Set?id={relay}&on=false"),
        Turn::On { seconds: None } => format!("/rpc/Switch.Set?id={relay}&on=true"),
        Turn::On { seconds: Some(seconds) } => {
            format!("/rpc/Switch.Set?id={relay}&on=true&toggle_after={seconds}")
        }
    };
    accepted(&door.ask_by_digest(&target, turn.hurry()).await?)
}

/// Whether `Switch.Set` was not refused.
pub(super) fn accepted(reply: &Reply) -> Result<(), Fault> {
    match reply.object() {
        Some(result) if truth(result, "was_on").is_none() => Err(reply.unexpected()),
        Some(_) | None => Ok(()),
    }
}

pub(super) async fn status(door: &mut Door, relay: u8) -> Result<Status, Fault> {
    let reply = door.ask_by_digest("/rpc/Shelly.GetStatus", Hurry::No).await?;
    status_of(&reply, relay).ok_or_else(|| reply.unexpected())
}

/// What `Shelly.GetStatus` tells of one relay.
pub(super) fn status_of(reply: &Reply, relay: u8) -> Option<Status> {
    let own = reply.part(&format!("switch:{relay}"))?;
    let system = reply.part("sys");
    let uptime = system.and_then(|system| seconds(system, "uptime"));
    let now = system.and_then(|system| number(system, "unixtime"));
    let timer = seconds(own, "timer_duration")
        .map(|length| Timer::started(length, number(own, "timer_started_at"), now, uptime));
    let energy_wh = own.get("aenergy").and_then(Value::as_object);
    Some(Status {
        on: truth(own, "output")?,
        timer,
        uptime,
        power_w: number(own, "apower"),
        energy_wh: energy_wh.and_then(|register| energy(register, "total")),
        trouble: trouble(own),
    })
}

fn trouble(own: &Map<String, Value>) -> Option<String> {
    let words = own.get("errors")?.as_array()?.iter().filter_map(Value::as_str);
    let words = words.collect::<Vec<_>>().join(", ");
    (!words.is_empty()).then(|| excerpt(&words))
}

async fn settings(door: &mut Door, relay: u8) -> Result<Reply, Fault> {
    let reply = door.ask_by_digest(&format!("/rpc/Switch.GetConfig?id={relay}"), Hurry::No).await?;
    if reply.object().is_some() { Ok(reply) } else { Err(reply.unexpected()) }
}

/// The time after which each on is followed by an off.
pub(super) async fn auto_off(door: &mut Door, relay: u8) -> Result<Option<Duration>, Fault> {
    let reply = settings(door, relay).await?;
    let told = reply.object().and_then(|settings| switched_length(settings, "auto_off"));
    let told = told.ok_or_else(|| reply.unexpected())?;
    Ok((!told.is_zero()).then_some(told))
}

/// `auto_off` or `auto_on`, a truth beside its `…_delay`; zero: it is not in force.
fn switched_length(settings: &Map<String, Value>, key: &str) -> Option<Duration> {
    if truth(settings, key)? {
        seconds(settings, &format!("{key}_delay"))
    } else {
        Some(Duration::ZERO)
    }
}

pub(super) async fn set_auto_off(
    door: &mut Door,
    relay: u8,
    length: Option<Duration>,
) -> Result<(), Fault> {
    let config = match length {
        Some(length) => json!({"auto_off": true, "auto_off_delay": length.as_secs()}),
        None => json!({"auto_off": false}),
    };
    set(door, relay, &config).await
}

async fn set(door: &mut Door, relay: u8, config: &Value) -> Result<(), Fault> {
    let config = percent_encoded(&config.to_string());
    door.ask_by_digest(&format!("/rpc/Switch.SetConfig?id={relay}&config={config}"), Hurry::No)
        .await?;
    Ok(())
}

/// The `initial_state` of what comes to `rest`.
fn after_mains(rest: Rest) -> &'static str {
    match rest {
        Rest::Off => "off",
        Rest::On => "on",
        Rest::Keep => "restore_last",
    }
}

pub(super) async fn audit(door: &mut Door, relay: u8, rest: Rest) -> Result<Vec<Finding>, Fault> {
    let reply = settings(door, relay).await?;
    let settings = reply.object().ok_or_else(|| reply.unexpected())?;
    let length = |key| switched_length(settings, key).map(audit::told_length);
    let word = |key| text(settings, key).map(str::to_owned);
    let mut checks = vec![
        Check {
            setting: "initial_state",
            actual: word("initial_state"),
            wanted: Wanted::AfterMains(after_mains(rest)),
        },
        Check { setting: "auto_off", actual: length("auto_off"), wanted: Wanted::auto_off(rest) },
        Check { setting: "auto_on", actual: length("auto_on"), wanted: Wanted::NeverOn },
    ];
    if settings.contains_key("in_mode") {
        checks.push(Check {
            setting: "in_mode",
            actual: word("in_mode"),
            wanted: Wanted::Detached,
        });
    }
    if let Some(button) = button(door, relay).await? {
        checks.push(Check { setting: BUTTON, actual: Some(button), wanted: Wanted::Detached });
    }
    if let Some(scheduled) = scheduled(door).await? {
        let actual = Some(if scheduled { "on" } else { "off" }.to_owned());
        checks.push(Check { setting: "Schedule", actual, wanted: Wanted::NoJobs });
    }
    Ok(checks.into_iter().map(Check::finding).collect())
}

/// A plug's own button, where its firmware can detach it.
const BUTTON: &str = "PLUGS_UI in_mode";

async fn button(door: &mut Door, relay: u8) -> Result<Option<String>, Fault> {
    let Some(reply) = known(door.ask_by_digest("/rpc/PLUGS_UI.GetConfig", Hurry::No).await)? else {
        return Ok(None);
    };
    let controls = reply.part("controls");
    let own = controls.and_then(|controls| controls.get(&format!("switch:{relay}")));
    let own = own.and_then(Value::as_object).and_then(|own| text(own, "in_mode"));
    Ok(own.map(str::to_owned))
}

/// Whether the plug has a schedule of its own in force, whatever it does.
async fn scheduled(door: &mut Door) -> Result<Option<bool>, Fault> {
    let Some(reply) = known(door.ask_by_digest("/rpc/Schedule.List", Hurry::No).await)? else {
        return Ok(None);
    };
    let jobs = reply.object().and_then(|list| list.get("jobs")?.as_array());
    let in_force = |job: &Value| job.get("enable").and_then(Value::as_bool) != Some(false);
    Ok(jobs.map(|jobs| jobs.iter().any(in_force)))
}

/// The reply of a method that not every plug has.
fn known(reply: Result<Reply, Fault>) -> Result<Option<Reply>, Fault> {
    match reply {
        Ok(reply) => Ok(Some(reply)),
        Err(Fault::Answer { .. } | Fault::Status { status: 404 }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

pub(super) async fn mend(
    door: &mut Door,
    relay: u8,
    rest: Rest,
    setting: &str,
) -> Result<(), Fault> {
    let config = match setting {
        "initial_state" => json!({"initial_state": after_mains(rest)}),
        "auto_off" => return set_auto_off(door, relay, audit::backstop(rest)).await,
        "auto_on" => json!({"auto_on": false}),
        "in_mode" => json!({"in_mode": "detached"}),
        BUTTON => {
            let config = json!({"controls": {format!("switch:{relay}"): {"in_mode": "detached"}}});
            let config = percent_encoded(&config.to_string());
            door.ask_by_digest(&format!("/rpc/PLUGS_UI.SetConfig?config={config}"), Hurry::No)
                .await?;
            return Ok(());
        }
        _ => return Err(Fault::ByHand),
    };
    set(door, relay, &config).await
}
