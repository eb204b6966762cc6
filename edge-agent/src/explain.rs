//! What `edge-agent explain` says: why an outlet is on or off, in a few lines for a person.

use std::fmt::Write as _;

use edge_protocol::event::{By, Fault, Lease, Proof};

use crate::node::Wait;
use crate::node::explain::{Because, CutsItself, Explanation, LastSwitch, Trouble};
use crate::node::settings::Rest;
use crate::span::said;

/// One JSON object.
#[must_use]
pub fn json(explanation: &Explanation) -> String {
    serde_json::to_string(explanation).expect("an explanation has string keys only")
}

/// A few lines for a terminal: what it is, what decided that, who switched it, what comes next.
#[must_use]
pub fn text(explanation: &Explanation) -> String {
    let at_ms = explanation.at_ms;
    let mut text = format!("{} is {}", explanation.outlet, state(explanation));
    let mut line = |name: &str, words: String| {
        // Writing to a string can't fail.
        let _ = write!(text, "\n{name:<9} {words}");
    };
    line("because", because(&explanation.because, at_ms));
    if explanation.button {
        line("button", "somebody switched it off at the device, and may: it stays off".to_owned());
    }
    for overruled in &explanation.overruled {
        line("overruled", because(overruled, at_ms));
    }
    if let Some(switched) = &explanation.switched {
        line("switched", last_switch(switched, at_ms));
    }
    if let Some(waits) = explanation.waits {
        let what = match waits.for_what {
            Wait::MinOff => "it has not been off for as long as min_off_ms says",
            Wait::Stagger => "others of its circuit go on first",
        };
        line("waits", format!("{what}; looked at again {}", in_time(waits.until_ms, at_ms)));
    }
    match explanation.cuts_itself {
        Some(cuts) => line("lease", cuts_itself(cuts, at_ms)),
        None if explanation.on == Some(true) => {
            line("lease", "none: the device will not cut the power by itself".to_owned());
        }
        None => {}
    }
    if let Some(Trouble { fault, message, since_ms }) = &explanation.fault {
        let since = ago(*since_ms, at_ms);
        line("FAULT", format!("{} since {since}: {message}", of_fault(*fault)));
    }
    text
}

fn state(explanation: &Explanation) -> String {
    let mut state = match explanation.on {
        Some(true) => "on".to_owned(),
        Some(false) => "off".to_owned(),
        None => "not reached yet".to_owned(),
    };
    if let Some(proof) = explanation.proof {
        state += match proof {
            Proof::Accepted => ", it says",
            Proof::ReadBack => ", read back",
            Proof::LeaseConfirmed => ", read back with its lease",
            Proof::WattsConfirmed => ", read back, and its meter agrees",
        };
    }
    if let Some(power_mw) = explanation.power_mw {
        let _ = write!(state, ", {}.{} W", power_mw / 1_000, power_mw % 1_000 / 100);
    }
    match explanation.wanted {
        Some(wanted) if explanation.on != Some(wanted) => {
            state += if wanted { ", and should be on" } else { ", and should be off" };
        }
        Some(_) | None => {}
    }
    state
}

fn because(because: &Because, at_ms: u64) -> String {
    match because {
        Because::Session { session, station, phase, command, off_at_ms } => {
            let end = off_at_ms.map_or_else(String::new, |off_at_ms| {
                format!(", off {}", in_time(off_at_ms, at_ms))
            });
            format!("session {session} on {station} is {phase}{end} (command {command})")
        }
        Because::SessionsEnd { session, command } => {
            format!("the off time of session {session} has come (command {command})")
        }
        Because::LetGo { since_ms } => {
            format!(
                "a session let it go {}, and it is not confirmed off yet",
                ago(*since_ms, at_ms)
            )
        }
        Because::Hold { on, by, command, until_ms, forced } => {
            let held = if *on { "held on" } else { "held off" };
            let who = if *by == By::Local { " by a field tech, here" } else { "" };
            let over = if *forced { ", over its session" } else { "" };
            let until = match until_ms {
                Some(until_ms) => format!(", for {} more", said(until_ms.saturating_sub(at_ms))),
                None => ", until it is released".to_owned(),
            };
            let command =
                command.as_ref().map_or_else(String::new, |id| format!(" (command {id})"));
            format!("{held}{who}{over}{until}{command}")
        }
        Because::Cycle { task } => format!("task {task} cycles its power"),
        Because::Rest { rest } => match rest {
            Rest::Off => "nothing covers it, and it rests off".to_owned(),
            Rest::On => "nothing covers it, and it rests on".to_owned(),
            Rest::Keep => "nothing covers it, and it is left as it is".to_owned(),
        },
    }
}

fn last_switch(switched: &LastSwitch, at_ms: u64) -> String {
    let on = if switched.on { "on" } else { "off" };
    let by = match switched.by {
        By::Session => "for a session",
        By::Hold => "for a hold of the control plane's",
        By::Rest => "to its rest",
        By::Button => "at the device, by its button",
        By::Lease => "by the device itself, at the end of its lease",
        By::Local => "for a field tech, here",
        By::Unknown => "by nobody knows whom",
    };
    let of = |name: &str, id: &dyn std::fmt::Display| format!(", {name} {id}");
    let session = switched.session.as_ref().map_or_else(String::new, |id| of("session", id));
    let command = switched.command.as_ref().map_or_else(String::new, |id| of("command", id));
    format!("{on} {by} {}{session}{command}", ago(switched.at_ms, at_ms))
}

fn cuts_itself(cuts: CutsItself, at_ms: u64) -> String {
    let time = in_time(cuts.at_ms, at_ms);
    match cuts.lease {
        Lease::Armed => format!("the device cuts the power by itself {time}"),
        Lease::Stale => {
            format!("the device cuts the power by itself {time}, which is not when it should")
        }
        Lease::None => "the device will not cut the power by itself".to_owned(),
    }
}

fn of_fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Unreachable => "not reached",
        Fault::Refused => "it refuses",
        Fault::StuckOn => "it should be off and is not",
        Fault::StuckOff => "it should be on and is not",
    }
}

fn in_time(then_ms: u64, at_ms: u64) -> String {
    match then_ms.checked_sub(at_ms) {
        None | Some(0) => "now".to_owned(),
        Some(rest_ms) => format!("in {}", said(rest_ms)),
    }
}

fn ago(then_ms: u64, at_ms: u64) -> String {
    match at_ms.checked_sub(then_ms) {
        None | Some(0) => "just now".to_owned(),
        Some(past_ms) => format!("{} ago", said(past_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_MS: u64 = 1_763_690_000_000;

    fn rests() -> Explanation {
        Explanation {
            outlet: "plug-1".parse().unwrap(),
            at_ms: AT_MS,
            on: Some(false),
            wanted: Some(false),
            because: Because::Rest { rest: Rest::Off },
            overruled: Vec::new(),
            button: false,
            proof: Some(Proof::ReadBack),
            switched: None,
            cuts_itself: None,
            waits: None,
            fault: None,
            power_mw: None,
        }
    }

    #[test]
    fn an_outlet_in_a_session_is_explained_by_it_and_by_what_the_plug_will_do() {
        let session = "s-1".parse().unwrap();
        let explanation = Explanation {
            on: Some(true),
            wanted: Some(true),
            because: Because::Session {
                session,
                station: "pc-1".parse().unwrap(),
                phase: "active".to_owned(),
                command: "c-1".parse().unwrap(),
                off_at_ms: Some(AT_MS + 3_600_000),
            },
            proof: Some(Proof::LeaseConfirmed),
            switched: Some(LastSwitch {
                on: true,
                by: By::Session,
                at_ms: AT_MS - 60_000,
                session: Some("s-1".parse().unwrap()),
                command: Some("c-1".parse().unwrap()),
            }),
            cuts_itself: Some(CutsItself { at_ms: AT_MS + 3_605_000, lease: Lease::Armed }),
            power_mw: Some(57_250),
            ..rests()
        };
        let expected = "plug-1 is on, read back with its lease, 57.2 W
because   session s-1 on pc-1 is active, off in 1 h 0 min (command c-1)
switched  on for a session 1 min 0 s ago, session s-1, command c-1
lease     the device cuts the power by itself in 1 h 0 min";
        assert_eq!(text(&explanation), expected);
    }

    #[test]
    fn a_hold_and_what_it_overrules_are_told_with_who_set_them() {
        let hold = |by, on, command: Option<&str>, until_ms, forced| Because::Hold {
            on,
            by,
            command: command.map(|id| id.parse().unwrap()),
            until_ms,
            forced,
        };
        let explanation = Explanation {
            because: hold(By::Local, false, None, None, true),
            overruled: vec![
                hold(By::Hold, true, Some("c-9"), Some(AT_MS + 90_000), false),
                Because::Rest { rest: Rest::On },
            ],
            on: Some(true),
            ..rests()
        };
        let expected = "plug-1 is on, read back, and should be off
because   held off by a field tech, here, over its session, until it is released
overruled held on, for 1 min 30 s more (command c-9)
overruled nothing covers it, and it rests on
lease     none: the device will not cut the power by itself";
        assert_eq!(text(&explanation), expected);
    }

    #[test]
    fn what_is_wrong_what_waits_and_a_thumb_are_told() {
        let explanation = Explanation {
            button: true,
            waits: Some(crate::node::explain::Waits {
                for_what: Wait::MinOff,
                until_ms: AT_MS + 5_000,
            }),
            fault: Some(Trouble {
                fault: Fault::StuckOff,
                message: "it said yes".to_owned(),
                since_ms: AT_MS - 2_000,
            }),
            ..rests()
        };
        let text = text(&explanation);
        for words in [
            "because   nothing covers it, and it rests off",
            "button    somebody switched it off at the device",
            "waits     it has not been off for as long as min_off_ms says; looked at again in 5 s",
            "FAULT     it should be on and is not since 2 s ago: it said yes",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
    }
}
