//! What a plug's settings must be so that it keeps what is promised of it, whoever is away.
//!
//! A setting that the firmware does not have is no finding. Only [`mend`] writes, and only what
//! differs: each change is a write to the plug's flash.

use super::lease;
use super::plug::{LeaseTimer, Plug};
use super::reply::Reply;
use super::rule::{self, Part, Place, Stored};
use crate::error::Fault;
use crate::{Finding, FindingState, LONGEST_LEASE, Rest};

/// The rule that is wanted of every plug that has rules.
const BOOT_RULE: &str = "Rule";
const PULSE_TIME: &str = "PulseTime";
const PASSWORD: &str = "WebPassword";
const RULES_OF_OTHERS: &str = "Rules of others";
const TIMERS: &str = "Timers";
/// How many timers of its own clock a plug has.
const LAST_TIMER: u8 = 16;

/// A setting with one value, by the command of its name.
#[derive(Clone, Copy)]
struct Setting {
    name: &'static str,
    /// Whether the command takes the number of our relay.
    of_relay: bool,
    wanted: Wanted,
    why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// A switch: off or on, sent as 0 or 1.
    Switch(bool),
    /// A number.
    Number(u64),
    /// A word.
    Word(&'static str),
    /// Good as it is, and worth knowing: it switches, or changes other settings.
    Known,
}

impl Setting {
    const fn new(name: &'static str, wanted: Wanted, why: &'static str) -> Self {
        Self { name, of_relay: false, wanted, why }
    }

    const fn of_relay(name: &'static str, wanted: Wanted, why: &'static str) -> Self {
        Self { name, of_relay: true, wanted, why }
    }

    fn command(&self, relay: u8) -> String {
        if self.of_relay { format!("{}{relay}", self.name) } else { self.name.to_owned() }
    }
}

impl Wanted {
    /// As it is shown, and sent.
    fn text(self) -> String {
        match self {
            Self::Switch(on) => u8::from(on).to_string(),
            Self::Number(number) => number.to_string(),
            Self::Word(word) => word.to_owned(),
            Self::Known => "any".to_owned(),
        }
    }
}

/// What becomes of the relay after a power failure. It goes for all relays of a plug, so where there are
/// several only those that rest off have a say.
fn after_mains(plug: &Plug) -> Setting {
    let alone = plug.relays() < 2;
    let (wanted, why) = match plug.rest() {
        Rest::Off => (Wanted::Number(0), "after a power failure the relay comes back on"),
        Rest::On if alone => {
            (Wanted::Number(1), "after a power failure the relay is off until an agent is there")
        }
        Rest::Keep if alone => {
            (Wanted::Number(3), "after a power failure the relay is not what it was before")
        }
        Rest::On | Rest::Keep => (Wanted::Known, "it goes for all relays of the plug"),
    };
    Setting::new("PowerOnState", wanted, why)
}

/// Every setting with one value.
fn settings(plug: &Plug) -> impl Iterator<Item = Setting> + use<> {
    std::iter::once(after_mains(plug)).chain(SETTINGS)
}

const SETTINGS: [Setting; 17] = [
    Setting::of_relay(
        "PowerLock",
        Wanted::Switch(false),
        "a locked relay takes no off, that of its own timers neither",
    ),
    Setting::new("Interlock", Wanted::Switch(false), "the on of one relay switches another off"),
    Setting::new("StateText1", Wanted::Word("OFF"), "other programs cannot read the relay"),
    Setting::new("StateText2", Wanted::Word("ON"), "other programs cannot read the relay"),
    Setting::new("StateText3", Wanted::Word("TOGGLE"), "other programs cannot read the relay"),
    Setting::new(
        "SetOption0",
        Wanted::Switch(true),
        "after a restart it may tell a state that it is not in",
    ),
    Setting::new("SetOption1", Wanted::Switch(true), "a long press on the button resets the plug"),
    Setting::new(
        "SetOption21",
        Wanted::Switch(true),
        "the meter shows 0 W of an open relay, so welded contacts are not seen",
    ),
    Setting::new(
        "SetOption63",
        Wanted::Switch(false),
        "after a restart the relay is not compared with what was stored",
    ),
    Setting::new(
        "SetOption65",
        Wanted::Switch(true),
        "a plug pulled out several times quickly resets itself, Wi-Fi included",
    ),
    Setting::new(
        "SetOption73",
        Wanted::Switch(true),
        "the button switches: power without a session",
    ),
    Setting::new(
        "PowerRetain",
        Wanted::Switch(false),
        "the broker's retained command switches at each reconnect",
    ),
    Setting::new("SetOption26", Wanted::Known, "it names the only relay POWER1 instead of POWER"),
    Setting::new("SetOption36", Wanted::Known, "after so many crashes at start it resets settings"),
    Setting::new("SetOption42", Wanted::Known, "above so many degrees it switches off by itself"),
    Setting::new(
        "SetOption47",
        Wanted::Known,
        "so many seconds after a power failure its relays wait",
    ),
    Setting::new("MaxPower", Wanted::Known, "above so many watts it switches off by itself"),
];

/// Every finding of `plug`.
pub(super) async fn findings(plug: &mut Plug) -> Result<Vec<Finding>, Fault> {
    plug.forget();
    plug.whole().await?;
    plug.learn_words().await?;
    let mut findings = Vec::new();
    for setting in &settings(plug).collect::<Vec<_>>() {
        if setting.name == "Interlock" && plug.relays() < 2 {
            continue;
        }
        if setting.name == "SetOption21" && !plug.capabilities().meters {
            continue;
        }
        if let Some(actual) = value(plug, setting).await? {
            findings.push(judged(setting, plug.relay(), actual));
        }
    }
    findings.extend(backstop(plug).await?);
    findings.extend(rules(plug).await?);
    findings.extend(clock_timers(plug).await?);
    findings.extend(password(plug).await?);
    Ok(findings)
}

/// Sets what the finding of `setting` wants, unless it is so by now, and reads it back.
pub(super) async fn mend(plug: &mut Plug, setting: &str) -> Result<(), Fault> {
    plug.forget();
    plug.whole().await?;
    plug.learn_words().await?;
    if setting == BOOT_RULE {
        let Some(parts) = wanted_rule(plug).await? else { return plug.drop_boot_rule().await };
        return if plug.hold_rule(parts).await? { Ok(()) } else { Err(Fault::ByHand) };
    }
    if setting == format!("{PULSE_TIME}{}", plug.relay()) {
        return match backstop(plug).await? {
            Some(finding) if finding.state == FindingState::Mendable => {
                plug.set_pulse_time(backstop_code(plug)).await
            }
            Some(_) | None => Ok(()),
        };
    }
    let relay = plug.relay();
    let mut rows = settings(plug);
    let row = &rows.find(|row| row.command(relay) == setting).ok_or(Fault::ByHand)?;
    let wanted = row.wanted.text();
    match value(plug, row).await? {
        Some(actual) if judged(row, relay, actual.clone()).state == FindingState::Good => {
            return Ok(());
        }
        Some(_) => {}
        None => return Err(Fault::ByHand),
    }
    plug.ask(&format!("{setting} {wanted}")).await?;
    if row.name.starts_with("StateText") {
        // From now on it uses other words.
        plug.forget();
        plug.learn_words().await?;
    }
    match value(plug, row).await? {
        Some(actual) if actual == wanted => Ok(()),
        actual => Err(Fault::Contradicted {
            expected: format!("{setting} {wanted}"),
            found: actual.unwrap_or_else(|| "nothing".to_owned()),
        }),
    }
}

fn judged(setting: &Setting, relay: u8, actual: String) -> Finding {
    let wanted = setting.wanted.text();
    let good = setting.wanted == Wanted::Known || actual == wanted;
    let state = if good { FindingState::Good } else { FindingState::Mendable };
    Finding { setting: setting.command(relay), wanted, actual, why: setting.why, state }
}

/// What the plug has, in the words of [`Wanted::text`]; `None`: it knows no such setting.
async fn value(plug: &mut Plug, setting: &Setting) -> Result<Option<String>, Fault> {
    let command = setting.command(plug.relay());
    let reply = plug.ask(&command).await?;
    if reply.is_unknown_command() || reply.is_command_error() {
        return Ok(None);
    }
    let value = reply.value(&command)?;
    let told = match setting.wanted {
        Wanted::Switch(_) => plug.words().read(value).map(|on| u8::from(on).to_string()),
        Wanted::Number(_) => value.as_u64().map(|number| number.to_string()),
        Wanted::Word(_) => value.as_str().map(str::to_owned),
        Wanted::Known => Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
    };
    told.map(Some).ok_or_else(|| reply.unexpected())
}

/// What `PulseTime` arms with each on: longer than 18 h it cannot be, and a shorter one would cut a
/// longer session. What rests on is cut by nothing.
fn backstop_code(plug: &Plug) -> u16 {
    match plug.rest() {
        Rest::Off => lease::pulse_time(LONGEST_LEASE),
        Rest::On | Rest::Keep => 0,
    }
}

/// The static `PulseTime`, where it is not the lease itself.
async fn backstop(plug: &mut Plug) -> Result<Option<Finding>, Fault> {
    match plug.timer().await? {
        LeaseTimer::TimedPower | LeaseTimer::RuleTimer => {}
        LeaseTimer::PulseTime | LeaseTimer::Absent => return Ok(None),
    }
    let code = plug.standing_pulse_time().await?;
    let wanted = backstop_code(plug);
    let state = if code == wanted { FindingState::Good } else { FindingState::Mendable };
    let why = match plug.rest() {
        Rest::Off => {
            "without it a relay switched on by its button stays on, and a shorter one cuts sessions"
        }
        Rest::On | Rest::Keep => "it cuts what should stay on, so long after each on",
    };
    Ok(Some(Finding {
        setting: format!("{PULSE_TIME}{}", plug.relay()),
        wanted: wanted.to_string(),
        actual: code.to_string(),
        why,
        state,
    }))
}

/// The off after a restart, and the end of a lease where that needs a rule; `None`: the relay is not to
/// be off after a restart.
async fn wanted_rule(plug: &mut Plug) -> Result<Option<&'static [Part]>, Fault> {
    match plug.rest() {
        Rest::Off => {}
        Rest::On | Rest::Keep => return Ok(None),
    }
    Ok(Some(match plug.timer().await? {
        LeaseTimer::RuleTimer => plug.lease_rule(),
        LeaseTimer::TimedPower | LeaseTimer::PulseTime | LeaseTimer::Absent => &[Part::Boot],
    }))
}

/// The rule that switches off after a restart, and the rules of others.
async fn rules(plug: &mut Plug) -> Result<Vec<Finding>, Fault> {
    let Some(stored) = plug.stored_rules().await? else { return Ok(Vec::new()) };
    let mut findings = vec![match wanted_rule(plug).await? {
        Some(parts) => boot_rule(&stored, parts, plug.relay()),
        None => no_boot_rule(&stored, plug.relay()),
    }];
    let slots = (1..).zip(&stored).filter(|(_, rule)| rule::may_switch(rule));
    let theirs: Vec<String> = slots.map(|(slot, _): (u8, _)| format!("Rule{slot}")).collect();
    findings.push(Finding {
        setting: RULES_OF_OTHERS.to_owned(),
        wanted: "none that switch".to_owned(),
        state: if theirs.is_empty() { FindingState::Good } else { FindingState::ByHand },
        actual: if theirs.is_empty() { "none".to_owned() } else { theirs.join(", ") },
        why: "a rule of somebody else may switch the relay or its timers",
    });
    Ok(findings)
}

fn boot_rule(stored: &[Stored], parts: &[Part], relay: u8) -> Finding {
    let (actual, state) = match rule::place(stored, parts, relay) {
        Place::Held(slot) => (format!("in Rule{slot}"), FindingState::Good),
        Place::Asleep(slot) => {
            (format!("in Rule{slot}, disabled or in once mode"), FindingState::Mendable)
        }
        Place::Empty(_) | Place::Behind(_) => ("none".to_owned(), FindingState::Mendable),
        Place::Nowhere => ("none, and no slot is free".to_owned(), FindingState::ByHand),
    };
    Finding {
        setting: BOOT_RULE.to_owned(),
        wanted: rule::text(parts, relay),
        actual,
        why: "after a crash or an update the relay comes back on and its timers are gone",
        state,
    }
}

/// For a relay that is to stay on: one that was to be off before may have left the rule behind.
fn no_boot_rule(stored: &[Stored], relay: u8) -> Finding {
    let holding = (1_u8..).zip(stored).find(|(_, rule)| rule::boots_off(rule, relay));
    let (actual, state) = match holding {
        None => ("none".to_owned(), FindingState::Good),
        Some((slot, rule)) if rule::without_boot(rule, relay).is_some() => {
            (format!("in Rule{slot}"), FindingState::Mendable)
        }
        Some((slot, _)) => (format!("in Rule{slot}, with others"), FindingState::ByHand),
    };
    Finding {
        setting: BOOT_RULE.to_owned(),
        wanted: format!("none with Power{relay}#Boot"),
        actual,
        why: "after each start of the plug the relay is off until an agent is there",
        state,
    }
}

/// `Timer1` to `Timer16`, which switch by the plug's own clock.
async fn clock_timers(plug: &mut Plug) -> Result<Option<Finding>, Fault> {
    let mut reply = plug.ask(TIMERS).await?;
    if reply.is_unknown_command() || reply.is_command_error() {
        return Ok(None);
    }
    let enabled = reply.value(TIMERS).is_ok_and(|value| plug.words().read(value) == Some(true));
    if enabled && !plug.answers_whole() {
        for number in 1..=LAST_TIMER {
            reply.merge(plug.ask(&format!("Timer{number}")).await?);
        }
    }
    let armed = armed_timers(&reply);
    let good = !enabled || armed.is_empty();
    Ok(Some(Finding {
        setting: TIMERS.to_owned(),
        wanted: "none that switch".to_owned(),
        actual: if good { "none".to_owned() } else { armed.join(", ") },
        why: "a timer of the plug's own clock switches the relay",
        state: if good { FindingState::Good } else { FindingState::ByHand },
    }))
}

/// `"Timer1":{"Enable":1,…}`, in firmware before 9 `"Arm":1`; grouped as `"Timers1":{"Timer1":…}`.
fn armed_timers(reply: &Reply) -> Vec<String> {
    let grouped = reply.entries().filter(|(key, _)| key.starts_with(TIMERS));
    let grouped = grouped.filter_map(|(_, group)| group.as_object()).flatten();
    let flat = reply.entries().filter(|(key, _)| !key.starts_with(TIMERS));
    let armed = |timer: &serde_json::Value| {
        ["Enable", "Arm"].iter().any(|key| timer.get(key).is_some_and(|value| value == 1))
    };
    grouped.chain(flat).filter(|(_, timer)| armed(timer)).map(|(key, _)| key.clone()).collect()
}

/// Whether anybody on the network can switch. At a broker that is the broker's to say.
async fn password(plug: &mut Plug) -> Result<Option<Finding>, Fault> {
    let Some(open) = plug.answers_anybody().await? else { return Ok(None) };
    Ok(Some(Finding {
        setting: PASSWORD.to_owned(),
        wanted: "set".to_owned(),
        actual: if open { "none asked for" } else { "set" }.to_owned(),
        why: "anybody on the plug's network can switch it",
        state: if open { FindingState::ByHand } else { FindingState::Good },
    }))
}
