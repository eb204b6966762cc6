//! What is on disk stays readable: version 1, byte by byte.

mod v1;

use serde_json::json;

use super::*;
use crate::node::trial::{Trial, failed};

/// A node with a row of every kind.
fn trial() -> Trial {
    let mut trial = Trial::new();
    trial.scripts(&["there.sh"]);
    for seq in trial.up().published() {
        trial.step(crate::node::Input::Delivered { seq });
    }
    let over = json!({"session": "over", "station": "pc-2", "duration_ms": 60_000});
    trial.accept("session.start", over);
    trial.accept("session.end", json!({"session": "over"}));
    let live = json!({
        "session": "live", "station": "pc-1", "duration_ms": 3_600_000,
        "warn_before_ms": [60_000], "grace_ms": 5_000, "label": "seat 7",
    });
    trial.accept("session.start", live);
    let start = trial.now.wall_ms + 60_000;
    let booked = json!({
        "session": "booked", "station": "pc-2", "starts_at_ms": start, "ends_at_ms": start + 60_000,
    });
    trial.accept("session.start", booked);
    trial.accept("outlet.set", json!({"outlet": "plug-2", "on": true, "for_ms": 60_000}));
    let script = json!({"name": "there.sh", "args": {"n": [1, "two", null]}});
    trial.submit("failed", "script", script.clone(), json!({"max_retries": 0}));
    trial.script("failed", 1, failed("exit 1"));
    trial.submit("runs", "script", script.clone(), json!({}));
    trial.submit("cancelled", "script", script.clone(), json!({}));
    trial.accept("task.cancel", json!({"task": "cancelled"}));
    trial.submit("waits", "script", script, json!({"not_before_ms": start}));
    trial.step(crate::node::Input::Down);
    trial.accept("event.resend", json!({"from_seq": 1, "to_seq": 2}));
    trial.send_as("no", "task.cancel", json!({"task": "none"}));
    trial
}

/// A node with a schedule that ran three times, the clock having jumped before the last.
fn scheduled() -> Trial {
    let mut trial = Trial::new();
    let hold = json!({"outlet": "plug-1", "on": false});
    let nightly = json!({
        "schedule": "nightly", "cron": "*/5 * * * *", "timezone": "Europe/Berlin",
        "command": {"type": "outlet.set", "body": hold}, "missed": "once", "max_late_ms": 600_000,
    });
    trial.accept("schedule.put", nightly);
    trial.pass(600_000);
    trial.now.wall_ms += 3_600_000;
    trial.pass(1);
    trial
}

/// Every row of version 1.
fn rows() -> impl Iterator<Item = &'static (&'static [u8], &'static [u8])> {
    v1::ROWS.iter().chain(v1::SCHEDULED)
}

#[test]
fn every_kind_is_written_as_version_1_was() {
    let (trial, scheduled) = (trial(), scheduled());
    let mut changed = Vec::new();
    for (key, value) in rows() {
        let of_schedule = matches!(Kind::of(key), Some((Kind::Schedule | Kind::Course, _)));
        let trial = if of_schedule { &scheduled } else { &trial };
        let written = trial.disk.get(*key).map_or(&b"nothing"[..], Vec::as_slice);
        if written != *value {
            changed.push(format!(
                "(b\"{}\", b\"{}\"),",
                key.escape_ascii(),
                written.escape_ascii()
            ));
        }
    }
    assert!(changed.is_empty(), "version 1 had other bytes:\n{}", changed.join("\n"));
}

#[test]
fn version_1_is_read_and_nothing_of_it_put_aside() {
    let mut trial = trial();
    trial.disk = rows().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    let batch = trial.restart();
    assert!(!batch.kinds().contains(&"node.store"), "{:?}", batch.kinds());
    assert_eq!(trial.rows(Kind::Damaged), [""; 0]);
    let state = trial.node.state();
    let sessions: Vec<_> = state.sessions.iter().map(|session| session.phase.as_str()).collect();
    assert_eq!(sessions, ["booked", "active"]);
    assert_eq!(state.schedules.len(), 1);
    let started = batch.body("node.started");
    assert_eq!(
        (&started["sessions_recovered"], &started["tasks_recovered"]),
        (&json!(1), &json!(3))
    );
}

#[test]
fn a_row_without_what_was_added_since_is_read() {
    for (key, value) in v1::EARLIER {
        let mut trial = trial();
        trial.disk = rows().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        trial.disk.insert(key.to_vec(), value.to_vec());
        trial.restart();
        assert_eq!(trial.rows(Kind::Damaged), [""; 0], "{}", key.escape_ascii());
    }
}

#[test]
fn every_kind_is_among_them() {
    let frozen = |kind: &Kind| rows().any(|(key, _)| key.starts_with(kind.prefix()));
    let missing: Vec<_> = Kind::ALL.into_iter().filter(|kind| !frozen(kind)).collect();
    assert_eq!(missing, [Kind::Damaged], "which is a row of any other kind");
}

#[test]
fn a_row_of_another_version_or_of_none_is_unreadable() {
    assert!(matches!(read::<u64>(b""), Err(Unreadable::Version(None))));
    assert!(matches!(read::<u64>(b"\x02\x07"), Err(Unreadable::Version(Some(2)))));
    assert!(matches!(read::<u64>(b"\x01"), Err(Unreadable::Value(_))));
    assert!(matches!(read::<u64>(b"\x01\x07\x07"), Err(Unreadable::Value(_))), "bytes after it");
    assert_eq!(read::<u64>(b"\x01\x07").unwrap(), 7);
}

#[test]
fn an_unreadable_row_of_any_kind_is_put_aside_and_told_and_nothing_else_is_lost() {
    for (key, value) in rows().filter(|(key, _)| !key.starts_with(b"event/")) {
        for damage in [&b""[..], b"\x07", b"\x01\xff", &value[..value.len() - 1]] {
            let mut trial = trial();
            trial.disk = rows().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
            trial.disk.insert(key.to_vec(), damage.to_vec());
            let batch = trial.restart();
            let lost = batch.body("node.store")["lost"].to_string();
            assert!(lost.contains("1 record"), "{}: {lost}", key.escape_ascii());
            assert_eq!(trial.disk[&Kind::Damaged.key(key)], damage);
        }
    }
}

#[test]
fn keys_sort_by_kind_and_events_by_number() {
    assert_eq!(Kind::of(b"task/a"), Some((Kind::Task, &b"a"[..])));
    assert_eq!(Kind::of(b"damaged/task/a"), Some((Kind::Damaged, &b"task/a"[..])));
    assert_eq!(Kind::of(b"tasks"), None);
    let event = |seq: u64| Kind::Event.key(seq.to_be_bytes());
    assert!(event(255) < event(256) && event(256) < event(70_000));
}

#[test]
fn bytes_are_bytes_and_nothing_else_is() {
    let bytes = Bytes((*b"\x00\xff").into());
    let encoded = serde_cbor::to_vec(&bytes).unwrap();
    assert_eq!(encoded, b"\x42\x00\xff");
    assert_eq!(serde_cbor::from_slice::<Bytes>(&encoded).unwrap(), bytes);
    assert!(serde_cbor::from_slice::<Bytes>(b"\x62ab").is_err());
}
