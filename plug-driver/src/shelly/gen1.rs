//! The first generation: `/relay/N`, `/status` and `/settings/relay/N`, with HTTP Basic.
//!
//! - `turn=on&timer=S` is on now and off after S seconds; the same again starts the time anew. With
//!   `turn=off` it would switch *on* later, so it never goes with one; `turn=toggle` is never sent.
//! - `meters[].total` counts watt-minutes, `emeters[].total` watt-hours.
//! - A Shelly 1 shows as power what its owner typed in; it has no `total`, and so no meter.

use std::time::Duration;

use serde_json::{Map, Value};

use super::Turn;
use super::audit::{self, Check, Wanted};
use super::door::Door;
use super::lease::Timer;
use super::reply::{Reply, Status, energy, number, seconds, text, truth};
use crate::error::Fault;
use crate::http::Hurry;
use crate::{Finding, Rest};

const MINUTES_PER_HOUR: f64 = 60.0;

pub(super) async fn switch(door: &Door, relay: u8, turn: Turn) -> Result<(), Fault> {
    let (target, on) = match turn {
        Turn::Off => (format!("/relay/{relay}?turn=off"), false),
        Turn::On { seconds: None } => (format!("/relay/{relay}?turn=on"), true),
        Turn::On { seconds: Some(seconds) } => {
            (format!("/relay/{relay}?turn=on&timer={seconds}"), true)
        }
    };
    obeyed(&door.ask_by_basic(&target, turn.hurry()).await?, on)
}

/// Whether `reply` says that the relay is as wanted.
pub(super) fn obeyed(reply: &Reply, on: bool) -> Result<(), Fault> {
    let relay = reply.object().ok_or_else(|| reply.unexpected())?;
    match truth(relay, "ison") {
        Some(ison) if ison == on => Ok(()),
        Some(false) if truth(relay, "overpower") == Some(true) => {
            Err(Fault::Tripped { word: "overpower".to_owned() })
        }
        Some(_) | None => Err(reply.unexpected()),
    }
}

pub(super) async fn status(door: &Door, relay: u8) -> Result<Status, Fault> {
    let reply = door.ask_by_basic("/status", Hurry::No).await?;
    status_of(&reply, relay).ok_or_else(|| reply.unexpected())
}

/// What `/status` tells of one relay.
pub(super) fn status_of(reply: &Reply, relay: u8) -> Option<Status> {
    let whole = reply.object()?;
    let relays = whole.get("relays")?.as_array()?;
    let index = usize::from(relay);
    let own = relays.get(index)?.as_object()?;
    let timer = match truth(own, "has_timer") {
        Some(true) => Some(Timer::CountsDown(seconds(own, "timer_remaining")?)),
        Some(false) | None => None,
    };
    let (power_w, energy_wh) = metered(whole, index, relays.len());
    let trouble = [(own, "overpower"), (own, "overtemperature"), (whole, "overtemperature")]
        .into_iter()
        .find(|(object, word)| truth(object, word) == Some(true))
        .map(|(_, word)| word.to_owned());
    Some(Status {
        on: truth(own, "ison")?,
        timer,
        uptime: seconds(whole, "uptime"),
        power_w,
        energy_wh,
        trouble,
    })
}

/// Watts and watt-hours of one of `relays` relays. One meter for two relays is neither's.
fn metered(whole: &Map<String, Value>, index: usize, relays: usize) -> (Option<f64>, Option<f64>) {
    for (key, per_hour) in [("meters", MINUTES_PER_HOUR), ("emeters", 1.0)] {
        let Some(meters) = whole.get(key).and_then(Value::as_array) else { continue };
        let Some(meter) = meters.get(index).and_then(Value::as_object) else { continue };
        let valid = truth(meter, "is_valid") != Some(false) && meters.len() >= relays;
        if let Some(total) = energy(meter, "total").filter(|_| valid) {
            return (number(meter, "power"), Some(total / per_hour));
        }
    }
    (None, None)
}

/// The time after which each on is followed by an off.
pub(super) async fn auto_off(door: &Door, relay: u8) -> Result<Option<Duration>, Fault> {
    let reply = door.ask_by_basic(&format!("/settings/relay/{relay}"), Hurry::No).await?;
    let told = reply.object().and_then(|settings| seconds(settings, "auto_off"));
    let told = told.ok_or_else(|| reply.unexpected())?;
    Ok((!told.is_zero()).then_some(told))
}

pub(super) async fn set_auto_off(
    door: &Door,
    relay: u8,
    length: Option<Duration>,
) -> Result<(), Fault> {
    set(door, relay, "auto_off", &length.map_or(0, |length| length.as_secs()).to_string()).await
}

async fn set(door: &Door, relay: u8, key: &str, value: &str) -> Result<(), Fault> {
    let target = format!("/settings/relay/{relay}?{key}={value}");
    let reply = door.ask_by_basic(&target, Hurry::No).await?;
    // The reply holds all settings as they now are; they are read back besides.
    if reply.object().is_some() { Ok(()) } else { Err(reply.unexpected()) }
}

/// The `default_state` of what comes to `rest`.
fn after_mains(rest: Rest) -> &'static str {
    match rest {
        Rest::Off => "off",
        Rest::On => "on",
        Rest::Keep => "last",
    }
}

pub(super) async fn audit(door: &Door, relay: u8, rest: Rest) -> Result<Vec<Finding>, Fault> {
    let reply = door.ask_by_basic(&format!("/settings/relay/{relay}"), Hurry::No).await?;
    let settings = reply.object().ok_or_else(|| reply.unexpected())?;
    let length = |key| seconds(settings, key).map(audit::told_length);
    let word = |key| text(settings, key).map(str::to_owned);
    let mut checks = vec![
        Check {
            setting: "default_state",
            actual: word("default_state"),
            wanted: Wanted::AfterMains(after_mains(rest)),
        },
        Check { setting: "auto_off", actual: length("auto_off"), wanted: Wanted::auto_off(rest) },
        Check { setting: "auto_on", actual: length("auto_on"), wanted: Wanted::NeverOn },
    ];
    // A plug without a terminal for a switch has no such key, and a button that can't be detached.
    if settings.contains_key("btn_type") {
        checks.push(Check {
            setting: "btn_type",
            actual: word("btn_type"),
            wanted: Wanted::Detached,
        });
    }
    if let Some(schedule) = truth(settings, "schedule") {
        let actual = Some(if schedule { "on" } else { "off" }.to_owned());
        checks.push(Check { setting: "schedule", actual, wanted: Wanted::NoSchedule });
    }
    Ok(checks.into_iter().map(Check::finding).collect())
}

pub(super) async fn mend(door: &Door, relay: u8, rest: Rest, setting: &str) -> Result<(), Fault> {
    let value = match setting {
        "default_state" => after_mains(rest).to_owned(),
        "auto_off" => {
            return set_auto_off(door, relay, audit::backstop(rest)).await;
        }
        "auto_on" => "0".to_owned(),
        "btn_type" => "detached".to_owned(),
        "schedule" => "false".to_owned(),
        _ => return Err(Fault::ByHand),
    };
    set(door, relay, setting, &value).await
}
