//! Commands that a fuzzer chooses, mostly near the limits of what is allowed.

use serde_json::{Value, json};

use super::{Deeds, OUTLETS};
use crate::node::trial::Trial;

pub(super) const SESSIONS: [&str; 3] = ["s-0", "s-1", "s-2"];
pub(super) const TASKS: [&str; 3] = ["t-0", "t-1", "t-2"];
const STATIONS: [&str; 3] = ["pc-1", "pc-2", "none"];
const SPANS: [u64; 8] = [1, 200, 1_000, 30_000, 60_000, 600_000, 3_600_000, 366 * 86_400_000];

/// The bytes of a command; its id may have been used before.
pub(super) fn any(deeds: &mut Deeds<'_>, trial: &Trial) -> Vec<u8> {
    let (kind, mut body) = request(deeds, trial.now.wall_ms);
    let id = format!("c-{}", deeds.byte());
    let seasoning = deeds.byte();
    if seasoning & 1 != 0 {
        season(&mut body, deeds);
    }
    let issued_at_ms = match seasoning >> 6 {
        0 | 1 => trial.now.wall_ms,
        2 => trial.now.wall_ms.saturating_sub(deeds.one_of(&SPANS)),
        _ => trial.now.wall_ms + deeds.one_of(&SPANS),
    };
    let mut command = json!({"id": id, "type": kind, "issued_at_ms": issued_at_ms, "body": body});
    if seasoning & 2 != 0 {
        command["expires_at_ms"] = json!(issued_at_ms + deeds.one_of(&SPANS));
    }
    if seasoning & 4 != 0 {
        command.as_object_mut().expect("it is a map").remove("issued_at_ms");
    }
    command.to_string().into_bytes()
}

fn request(deeds: &mut Deeds<'_>, now_ms: u64) -> (&'static str, Value) {
    let session = deeds.one_of(&SESSIONS);
    let (station, outlet) = (deeds.one_of(&STATIONS), deeds.one_of(&OUTLETS));
    let (task, span) = (deeds.one_of(&TASKS), deeds.one_of(&SPANS));
    match deeds.byte() % 16 {
        0 | 1 => {
            let mut body = json!({"session": session, "station": station, "duration_ms": span});
            if deeds.flag() {
                body["grace_ms"] = json!(deeds.one_of(&[0, 1, 5_000, 600_000]));
            }
            if deeds.flag() {
                body["starts_at_ms"] = json!(now_ms + deeds.one_of(&SPANS[..6]));
            }
            if deeds.flag() {
                body["warn_before_ms"] = json!([deeds.one_of(&SPANS), 1]);
            }
            ("session.start", body)
        }
        2 => {
            let ends_at_ms = now_ms.saturating_add(span);
            (
                "session.start",
                json!({"session": session, "station": station, "ends_at_ms": ends_at_ms}),
            )
        }
        3 => {
            let by_ms = i64::try_from(span).expect("it is a year at most");
            let by_ms = if deeds.flag() { by_ms } else { -by_ms };
            ("session.extend", json!({"session": session, "by_ms": by_ms}))
        }
        4 => ("session.extend", json!({"session": session, "ends_at_ms": now_ms + span})),
        5 => ("session.pause", json!({"session": session})),
        6 => ("session.resume", json!({"session": session})),
        7 => ("session.transfer", json!({"session": session, "station": station})),
        8 => {
            let (immediate, abandon) = (deeds.flag(), deeds.flag());
            ("session.end", json!({"session": session, "immediate": immediate, "abandon": abandon}))
        }
        9 => {
            let (on, force) = (deeds.flag(), deeds.flag());
            ("outlet.set", json!({"outlet": outlet, "on": on, "for_ms": span, "force": force}))
        }
        10 => ("outlet.release", json!({"outlet": outlet})),
        11 => {
            let (kind, payload) = match deeds.byte() % 3 {
                0 => ("script", json!({"name": "reboot.sh", "args": {"why": [1, null]}})),
                1 => ("outlet.cycle", json!({"outlet": outlet, "off_ms": span})),
                _ => ("wait", json!({"wait_ms": span})),
            };
            let retries = deeds.one_of(&[0, 1, 1_000]);
            let body =
                json!({"task": task, "kind": kind, "payload": payload, "max_retries": retries});
            ("task.submit", body)
        }
        12 => ("task.cancel", json!({"task": task})),
        13 => ("task.retry", json!({"task": task})),
        14 => {
            let from = u64::from(deeds.byte());
            ("event.resend", json!({"from_seq": from, "to_seq": from + u64::from(deeds.byte())}))
        }
        _ => ("node.report", json!({})),
    }
}

/// One field more, less, or of another type.
fn season(body: &mut Value, deeds: &mut Deeds<'_>) {
    let Value::Object(body) = body else { return };
    let names: Vec<String> = body.keys().cloned().collect();
    let value =
        deeds.one_of(&[json!(null), json!(-1), json!(u64::MAX), json!("x"), json!({}), json!(1.5)]);
    if names.is_empty() || deeds.flag() {
        body.insert("colour".to_owned(), value);
    } else if deeds.flag() {
        body.remove(&deeds.one_of(&names));
    } else {
        body.insert(deeds.one_of(&names), value);
    }
}
