//! Each outlet: whether it is reached, what it is, what it can hold, and how it is set.
//!
//! A plug serves one client at a time: while an agent runs, it is the agent's own task that reads and
//! mends, and never within a session. Without one the doctor talks to the device itself.

use std::time::Duration;

use edge_protocol::event::Fault;
use plug_driver::{AnyOutlet, Kind, OnDeath, Outlet as _};
use tokio::time::timeout;

use super::agent::Presence;
use super::diagnosis::Lines;
use crate::audit::{self, Audited, Mended, Setting, SettingState};
use crate::config::{Config, Driver, OutletConfig};
use crate::local::{Ask, AskError, ReadBack, RefusedCode, ask};
use crate::span::said;
use crate::venue::Venue;

/// A slow plug takes seconds; one that takes longer is not reached.
const READ_PATIENCE: Duration = Duration::from_secs(8);
/// What to do about a setting that only a person can set.
const BY_HAND: &str = "set it on the plug's own page";

pub(super) async fn check(
    config: &Config,
    presence: &Presence,
    fix: bool,
    lines: &mut Lines,
    changed: &mut Vec<String>,
) {
    for outlet in &config.outlets {
        let mut found = match presence {
            Presence::Runs(_) => by_agent(config, outlet, fix).await,
            Presence::Absent => by_oneself(outlet, fix).await,
            // It may well work with the plug, and can't be asked.
            Presence::Silent(_) | Presence::Hidden => continue,
        };
        if let (Presence::Runs(report), Ok(reading)) = (presence, &mut found.reading) {
            let detail = report.outlets.iter().find(|detail| detail.outlet == outlet.id);
            let state = report.state.outlets.iter().find(|state| state.outlet == outlet.id);
            if let Some(fault) = state.and_then(|state| state.fault) {
                let message = detail.and_then(|detail| detail.fault_message.clone());
                reading.fault = Some((fault, message.unwrap_or_default()));
            }
        }
        told(outlet, found, lines, changed);
    }
}

/// What was found of an outlet.
struct Found {
    reading: Result<Reading, Unreached>,
    /// None where there was nothing to look at, or the outlet was not reached.
    audited: Option<Result<Audited, String>>,
    mended: Option<Result<Mended, String>>,
}

/// An outlet that answers.
struct Reading {
    back: ReadBack,
    /// What the agent holds against it all the same.
    fault: Option<(Fault, String)>,
}

/// An outlet that does not answer, or not as it should.
struct Unreached {
    reason: String,
    remedy: &'static str,
}

/// What to do about an outlet that is not reached.
fn look_for_it(driver: &Driver) -> &'static str {
    match driver {
        Driver::Tasmota { .. } | Driver::Shelly { .. } => {
            "give it power and a network, and check its url (`edge-agent discover` finds plugs)"
        }
        Driver::TasmotaMqtt { .. } => {
            "give it power and a network, and check its mqtt_topic and [plugs] mqtt"
        }
        Driver::Gpio { keeper: Some(_), .. } => {
            "systemctl restart edge-agent-keeper, and check [keeper] socket"
        }
        Driver::Gpio { keeper: None, .. } => "check its pin, backend and chip",
        Driver::Simulated { .. } => "edge-agent doctor, again",
    }
}

/// What to do about an outlet that answers with a refusal.
fn correct_it(driver: &Driver) -> &'static str {
    match driver {
        Driver::Tasmota { .. } | Driver::Shelly { .. } => {
            "correct its url, username or password_file"
        }
        Driver::TasmotaMqtt { .. } => "correct its mqtt_topic, or look at the plug's own page",
        Driver::Gpio { .. } => "correct its pin, backend or chip",
        Driver::Simulated { .. } => "correct its [[outlet]] in the configuration",
    }
}

async fn by_agent(config: &Config, outlet: &OutletConfig, fix: bool) -> Found {
    let (socket, id) = (&config.socket, outlet.id.clone());
    let reading = match ask::<ReadBack>(socket, &Ask::Read { outlet: id.clone() }).await {
        Ok(back) => Ok(Reading { back, fault: None }),
        Err(AskError::Refused(refused)) if refused.code == RefusedCode::UnknownOutlet => {
            let reason = "the running agent has no such outlet".to_owned();
            Err(Unreached { reason, remedy: "systemctl restart edge-agent" })
        }
        Err(error) => {
            let remedy = look_for_it(&outlet.driver);
            Err(Unreached { reason: crate::chain(&error), remedy })
        }
    };
    if reading.is_err() {
        return Found { reading, audited: None, mended: None };
    }
    let mended = if fix {
        let mended = ask::<Mended>(socket, &Ask::Mend { outlet: id.clone() }).await;
        Some(mended.map_err(|error| crate::chain(&error)))
    } else {
        None
    };
    let audited = match &mended {
        Some(Ok(mended)) => Ok(mended.after.clone()),
        Some(Err(_)) | None => {
            let audited = ask::<Audited>(socket, &Ask::Audit { outlet: id }).await;
            audited.map_err(|error| crate::chain(&error))
        }
    };
    Found { reading, audited: Some(audited), mended }
}

async fn by_oneself(outlet: &OutletConfig, fix: bool) -> Found {
    let mut venue = Venue::default();
    let made = outlet.driver.device(outlet.rest, &mut venue);
    let _connections = venue.connect();
    let mut device = match made {
        Ok(device) => device,
        Err(error) => {
            let reason = crate::chain(&error);
            let remedy = "correct its [[outlet]] in the configuration";
            return Found {
                reading: Err(Unreached { reason, remedy }),
                audited: None,
                mended: None,
            };
        }
    };
    let reading = read(&mut device, &outlet.driver).await;
    let Ok(Reading { back, .. }) = &reading else {
        return Found { reading, audited: None, mended: None };
    };
    if fix && back.on {
        let reason = "it is on, and without an agent nobody knows whether for a session".to_owned();
        let audited = Some(audit::audit(&mut device).await);
        return Found { reading, audited, mended: Some(Err(reason)) };
    }
    if fix {
        let mended = audit::mend(&mut device).await;
        let audited = match &mended {
            Ok(mended) => Ok(mended.after.clone()),
            Err(_) => audit::audit(&mut device).await,
        };
        return Found { reading, audited: Some(audited), mended: Some(mended) };
    }
    Found { reading, audited: Some(audit::audit(&mut device).await), mended: None }
}

async fn read(device: &mut AnyOutlet, driver: &Driver) -> Result<Reading, Unreached> {
    let late = || {
        let reason = format!("no answer within {} s", READ_PATIENCE.as_secs());
        Unreached { reason, remedy: look_for_it(driver) }
    };
    let reading = timeout(READ_PATIENCE, device.read()).await.map_err(|_| late())?;
    let reading = reading.map_err(|error| {
        let remedy = match error.kind() {
            Kind::Transient => look_for_it(driver),
            Kind::Refused => correct_it(driver),
            Kind::Contradicted => "replace it: it says one thing and does another",
            Kind::Broken => "correct its [[outlet]] in the configuration",
        };
        Unreached { reason: crate::chain(&error), remedy }
    })?;
    let back = ReadBack::from(&reading);
    Ok(Reading { back, fault: None })
}

fn told(outlet: &OutletConfig, found: Found, lines: &mut Lines, changed: &mut Vec<String>) {
    let id = &outlet.id;
    let check = format!("outlet {id}");
    match found.reading {
        Err(Unreached { reason, remedy }) => return lines.wrong(check, reason, remedy),
        Ok(Reading { fault: Some((fault, message)), .. }) => {
            let found = format!("{}: {message}", said_of(fault));
            lines.wrong(check, found, "look at the plug and at what hangs on it");
        }
        Ok(Reading { back, fault: None }) => {
            lines.ok(check, format!("{}, {}", outlet.driver.name(), back.said()));
        }
    }
    match found.mended {
        None => {}
        Some(Ok(mended)) => {
            for was in &mended.mended {
                let Setting { setting, actual, wanted, .. } = was;
                changed.push(format!("outlet {id}: {setting} was {actual} and is set to {wanted}"));
            }
            for failed in &mended.failed {
                let check = format!("outlet {id} {}", failed.setting);
                let found = format!("it could not be set: {}", failed.reason);
                lines.wrong(check, found, BY_HAND);
            }
        }
        Some(Err(reason)) => {
            let remedy = "edge-agent doctor --fix, once that is over";
            lines.warning(format!("outlet {id} settings"), format!("not mended: {reason}"), remedy);
        }
    }
    match found.audited {
        None => {}
        Some(Ok(audited)) => settings(outlet, &audited, lines),
        Some(Err(reason)) => {
            lines.wrong(format!("outlet {id} settings"), reason, "edge-agent doctor, again");
        }
    }
}

fn settings(outlet: &OutletConfig, audited: &Audited, lines: &mut Lines) {
    let id = &outlet.id;
    relay(outlet, lines);
    match audited.lease_max_ms {
        Some(max_ms) => {
            let who = if outlet.driver.name() == "gpio" { "its keeper" } else { "the device" };
            let found = format!("{who} cuts the power by itself, up to {} ahead", said(max_ms));
            lines.ok(format!("outlet {id} lease"), found);
        }
        None => {
            let found = "the device holds none: what it powers stays on if the node dies";
            lines.ok(format!("outlet {id} lease"), found);
        }
    }
    for Setting { setting, wanted, actual, why, state } in &audited.settings {
        let check = format!("outlet {id} {setting}");
        let differs = format!("is {actual} and should be {wanted}: {why}");
        match state {
            SettingState::Good => lines.ok(check, actual.clone()),
            SettingState::Mendable => lines.wrong(check, differs, "edge-agent doctor --fix"),
            SettingState::ByHand => lines.wrong(check, differs, BY_HAND),
        }
    }
}

/// What becomes of a relay on a pin when whoever drives it dies.
fn relay(outlet: &OutletConfig, lines: &mut Lines) {
    let Driver::Gpio { line, keeper } = &outlet.driver else { return };
    let check = format!("outlet {} after a crash", outlet.id);
    match line.on_death() {
        OnDeath::Keeps if keeper.is_some() => {
            lines.ok(check, "the relay stays as it is until the next keeper has it");
        }
        OnDeath::Keeps => {
            let found = "the relay stays as it is, and nothing cuts it if no agent comes back";
            lines.warning(check, found, "set [keeper] socket");
        }
        OnDeath::LetsGo => {
            let found =
                "the kernel lets go of the line: the relay falls to its pull, in a session, too";
            lines.warning(check, found, "remove dtparam=strict_gpiod from config.txt");
        }
        OnDeath::Unknown => {
            let found = "the kernel does not tell what becomes of the relay";
            lines.warning(check, found, "on a Raspberry Pi, set backend = \"rppal\"");
        }
    }
}

fn said_of(fault: Fault) -> &'static str {
    match fault {
        Fault::Unreachable => "it is not reached",
        Fault::Refused => "it refuses",
        Fault::StuckOn => "it should be off and is on",
        Fault::StuckOff => "it should be on and is off",
    }
}
