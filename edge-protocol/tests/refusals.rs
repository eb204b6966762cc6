//! A command that could be named and is refused: with which code, and naming which field
//! (contract, section 4). Each case is tried in both encodings.

use edge_protocol::codec::{Encoding, Refusal, decode_command, encode};
use edge_protocol::event::Code;
use edge_protocol::limits::{MAX_REASON_BYTES, MAX_SESSION_MS};
use serde_json::{Value, json};

/// Why `message` is refused, or nothing if it is not.
fn refusal(message: &Value) -> Option<Refusal> {
    let from_json = decode_command(&encode(Encoding::Json, message)).expect("it names a command");
    let from_cbor = decode_command(&encode(Encoding::Cbor, message)).expect("it names a command");
    assert_eq!(from_json, from_cbor);
    assert_eq!(from_json.id.as_str(), "c-1");
    from_json.command.err()
}

/// A command whose envelope is right.
fn command(kind: &str, body: Value) -> Value {
    json!({"id": "c-1", "type": kind, "issued_at_ms": 1_000, "body": body})
}

/// `defaults` with the fields of `changes` put over it.
fn with(mut defaults: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("changes are a map") };
    defaults.as_object_mut().expect("defaults are a map").extend(changes);
    defaults
}

fn is_taken(message: &Value) {
    assert_eq!(refusal(message), None, "{message}");
}

/// Refused as `invalid`, with a message that begins with `start`.
fn is_invalid(message: &Value, start: &str) {
    let Some(Refusal { code, message: reason }) = refusal(message) else {
        panic!("taken: {message}")
    };
    assert_eq!(code, Code::Invalid, "{reason}");
    assert!(reason.starts_with(start), "{reason:?} does not begin with {start:?}");
}

fn is_unsupported(message: &Value, start: &str) {
    let Some(Refusal { code, message: reason }) = refusal(message) else {
        panic!("taken: {message}")
    };
    assert_eq!(code, Code::Unsupported, "{reason}");
    assert!(reason.starts_with(start), "{reason:?} does not begin with {start:?}");
}

fn start(changes: Value) -> Value {
    let body = json!({"session": "s", "station": "p", "duration_ms": 1});
    command("session.start", with(body, changes))
}

fn start_at(changes: Value) -> Value {
    command("session.start", with(json!({"session": "s", "station": "p"}), changes))
}

fn submit(changes: Value) -> Value {
    let body = json!({"task": "t", "kind": "wait", "payload": {"wait_ms": 1}});
    command("task.submit", with(body, changes))
}

fn script(name: &str) -> Value {
    submit(json!({"kind": "script", "payload": {"name": name}}))
}

fn put(changes: Value) -> Value {
    let command_to_run = json!({"type": "session.end", "body": {"session": "s"}});
    let body = json!({"schedule": "n", "cron": "0 4 * * *", "command": command_to_run});
    command("schedule.put", with(body, changes))
}

#[test]
fn an_unknown_type_or_task_kind_is_unsupported_whatever_else_is_wrong() {
    is_unsupported(&command("session.swap", json!({})), r#"command type "session.swap""#);
    is_unsupported(&json!({"id": "c-1", "type": "node.update", "later": 1}), "command type");
    is_unsupported(&command("session.start ", json!({})), "command type");
    let later = json!({"kind": "camera.snap", "payload": {}, "lens": 2});
    is_unsupported(&submit(later), r#"task kind "camera.snap""#);
    is_unsupported(&put(json!({"command": {"type": "later.thing"}})), "command type");
    let inner = json!({"type": "task.submit", "body": {"kind": "modem.reset"}});
    is_unsupported(&put(json!({"command": inner})), "task kind");
}

#[test]
fn an_envelope_holds_nothing_but_its_five_fields() {
    let report = |changes| with(json!({"id": "c-1", "type": "node.report"}), changes);
    is_taken(&report(json!({"body": {}})));
    is_invalid(&report(json!({"priority": 1})), "priority: unknown field");
    is_invalid(&report(json!({"signature": null})), "signature: unknown field");
    for name in ["issued_at_ms", "expires_at_ms"] {
        is_taken(&report(json!({ name: 0 })));
        is_taken(&report(json!({ name: 253_402_300_799_999_u64 })));
        let wrong = [
            json!(-1),
            json!(1.5),
            json!(1.0),
            json!("1"),
            json!(null),
            json!(253_402_300_800_000_u64),
            json!(u64::MAX),
        ];
        for value in wrong {
            is_invalid(&report(json!({ name: value })), &format!("{name}: not an integer"));
        }
    }
}

#[test]
fn a_command_expires_at_most_7_days_after_its_issue_and_not_before_it() {
    let lives = |issued: u64, expires: u64| json!({"id": "c-1", "type": "node.report", "issued_at_ms": issued, "expires_at_ms": expires});
    is_taken(&lives(5, 5));
    is_taken(&lives(5, 5 + 7 * 86_400_000));
    is_invalid(&lives(5, 6 + 7 * 86_400_000), "expires_at_ms: ");
    is_invalid(&lives(5, 4), "expires_at_ms: ");
    is_invalid(&lives(253_402_300_799_999, 0), "expires_at_ms: ");
}

#[test]
fn what_powers_something_says_when_it_was_issued_or_expires() {
    let powering = [
        start(json!({})),
        command("session.resume", json!({"session": "s"})),
        command("session.transfer", json!({"session": "s", "station": "p"})),
        command("outlet.set", json!({"outlet": "o", "on": true, "for_ms": 1})),
        submit(json!({"kind": "outlet.cycle", "payload": {"outlet": "o", "off_ms": 1}})),
    ];
    for mut message in powering {
        is_taken(&message);
        message.as_object_mut().unwrap().remove("issued_at_ms");
        is_invalid(&message, "issued_at_ms: missing");
        message["expires_at_ms"] = json!(2_000);
        is_taken(&message);
    }
    let harmless = [
        command("session.end", json!({"session": "s"})),
        command("outlet.set", json!({"outlet": "o", "on": false})),
        submit(json!({})),
    ];
    for mut message in harmless {
        message.as_object_mut().unwrap().remove("issued_at_ms");
        is_taken(&message);
    }
}

#[test]
fn only_a_report_needs_no_body() {
    for kind in edge_protocol::command::Request::KINDS {
        let bare = json!({"id": "c-1", "type": kind, "issued_at_ms": 1_000});
        if kind == "node.report" {
            is_taken(&bare);
        } else {
            is_invalid(&bare, "body: missing");
            is_invalid(&command(kind, json!({})), "body");
        }
        for body in [json!(null), json!([]), json!("s"), json!(1), json!(["s", "p"])] {
            is_invalid(&command(kind, body), "body: not a map");
        }
        is_invalid(&command(kind, json!({"zzz": 1})), "body");
    }
    is_invalid(&command("node.report", json!({"verbose": true})), "body.verbose: unknown field");
}

#[test]
fn a_field_that_is_unknown_missing_or_of_another_type_is_named() {
    is_invalid(&start(json!({"colour": "red"})), "body.colour: unknown field `colour`");
    is_invalid(&command("session.pause", json!({})), "body: missing field `session`");
    is_invalid(&start(json!({"session": 7})), "body.session: invalid type");
    is_invalid(&start(json!({"session": "a/b"})), r#"body.session: "a/b" is not an id"#);
    is_invalid(&start(json!({"station": ""})), "body.station: ");
    is_invalid(&start(json!({"warn_before_ms": [1, "2"]})), "body.warn_before_ms[1]: ");
    is_invalid(&start(json!({"label": null})), "body.label: null");
    is_invalid(&submit(json!({"payload": {"wait_ms": 1, "x": 2}})), "body.payload.x: unknown");
    is_invalid(&submit(json!({"payload": {}})), "body.payload: missing field `wait_ms`");
    is_invalid(&submit(json!({"payload": [1]})), "body.payload: ");
    is_invalid(&submit(json!({"kind": 1})), "body.kind: ");
    for missed in [json!("all"), json!(1), json!({"once": null}), json!(["once"])] {
        is_invalid(&put(json!({"missed": missed})), "body.missed: ");
    }
    let end = |changes| command("session.end", with(json!({"session": "s"}), changes));
    is_invalid(&end(json!({"immediate": 1})), "body.immediate: ");
}

#[test]
fn a_number_with_a_fraction_is_no_integer() {
    for number in [json!(1.0), json!(1.5), json!(1e20), json!(-1)] {
        is_invalid(&start(json!({"duration_ms": number})), "body.duration_ms: invalid");
        is_invalid(&submit(json!({"timeout_ms": number})), "body.timeout_ms: invalid");
        is_invalid(&submit(json!({"payload": {"wait_ms": number}})), "body.payload.wait_ms: ");
    }
    let by = command("session.extend", json!({"session": "s", "by_ms": 0.5}));
    is_invalid(&by, "body.by_ms: invalid type: floating point");
}

#[test]
fn a_session_starts_within_the_contracts_ranges() {
    is_taken(&start(json!({"duration_ms": MAX_SESSION_MS})));
    is_invalid(&start(json!({"duration_ms": 0})), "body.duration_ms: 0 is not from 1 to ");
    is_invalid(&start(json!({"duration_ms": MAX_SESSION_MS + 1})), "body.duration_ms: ");
    is_invalid(&start(json!({"ends_at_ms": 9})), "body: both duration_ms and ends_at_ms");
    is_invalid(&start_at(json!({})), "body: missing: one of duration_ms and ends_at_ms");
    is_taken(&start_at(json!({"ends_at_ms": 253_402_300_799_999_u64})));
    is_invalid(&start_at(json!({"ends_at_ms": 253_402_300_800_000_u64})), "body.ends_at_ms: ");
    is_taken(&start_at(json!({"starts_at_ms": 8, "ends_at_ms": 9})));
    let backwards = start_at(json!({"starts_at_ms": 9, "ends_at_ms": 9}));
    is_invalid(&backwards, "body.ends_at_ms: 9 is not after starts_at_ms, 9");
    is_invalid(&start(json!({"starts_at_ms": 253_402_300_800_000_u64})), "body.starts_at_ms: ");

    is_taken(&start(json!({"grace_ms": 600_000})));
    is_invalid(&start(json!({"grace_ms": 600_001})), "body.grace_ms: 600001 is not from 0 to 600");
    is_taken(&start(json!({"warn_before_ms": []})));
    is_taken(&start(json!({"warn_before_ms": vec![1; 16]})));
    is_invalid(&start(json!({"warn_before_ms": vec![1; 17]})), "body.warn_before_ms: 17 warn");
    is_invalid(&start(json!({"warn_before_ms": [1, 0]})), "body.warn_before_ms[1]: 0 is not");
    is_invalid(&start(json!({"warn_before_ms": [MAX_SESSION_MS + 1]})), "body.warn_before_ms[0]");
    is_taken(&start(json!({"label": "ü".repeat(128)})));
    is_invalid(&start(json!({"label": "ü".repeat(128) + "x"})), "body.label: 257 bytes");
}

#[test]
fn an_extension_moves_something_and_by_no_more_than_the_longest_session() {
    let extend = |changes| command("session.extend", with(json!({"session": "s"}), changes));
    let most = i64::try_from(MAX_SESSION_MS).unwrap();
    is_taken(&extend(json!({"by_ms": most})));
    is_taken(&extend(json!({"by_ms": -most})));
    is_invalid(&extend(json!({"by_ms": most + 1})), "body.by_ms: ");
    is_invalid(&extend(json!({"by_ms": -most - 1})), "body.by_ms: ");
    is_invalid(&extend(json!({"by_ms": i64::MIN})), "body.by_ms: ");
    is_invalid(&extend(json!({"by_ms": u64::MAX})), "body.by_ms: ");
    is_invalid(&extend(json!({"by_ms": 0})), "body.by_ms: 0 moves nothing");
    is_invalid(&extend(json!({"by_ms": 1, "ends_at_ms": 1})), "body: both by_ms and ends_at_ms");
    is_invalid(&extend(json!({})), "body: missing: one of by_ms and ends_at_ms");
    is_invalid(&extend(json!({"ends_at_ms": u64::MAX})), "body.ends_at_ms: ");
}

#[test]
fn what_is_held_on_has_an_end_within_a_day() {
    let set = |on, changes| command("outlet.set", with(json!({"outlet": "o", "on": on}), changes));
    is_taken(&set(true, json!({"for_ms": 86_400_000})));
    is_taken(&set(false, json!({})));
    is_invalid(&set(true, json!({})), "body.for_ms: missing");
    for on in [true, false] {
        is_invalid(&set(on, json!({"for_ms": 0})), "body.for_ms: 0 is not from 1 to 86400000");
        is_invalid(&set(on, json!({"for_ms": 86_400_001})), "body.for_ms: ");
    }
}

#[test]
fn a_task_keeps_its_ranges() {
    let day = 86_400_000;
    is_taken(&submit(json!({"max_retries": 1_000, "timeout_ms": day, "priority": 0})));
    is_taken(&submit(json!({"backoff_ms": day, "backoff_max_ms": day, "priority": 9})));
    is_taken(&submit(json!({"backoff_ms": 0, "backoff_max_ms": 0})));
    is_invalid(&submit(json!({"max_retries": 1_001})), "body.max_retries: 1001 is not from 0 to");
    is_invalid(&submit(json!({"timeout_ms": 0})), "body.timeout_ms: ");
    is_invalid(&submit(json!({"timeout_ms": day + 1})), "body.timeout_ms: ");
    is_invalid(&submit(json!({"backoff_max_ms": day + 1})), "body.backoff_max_ms: ");
    is_invalid(&submit(json!({"backoff_ms": 300_001})), "body.backoff_ms: 300001 is over");
    is_invalid(&submit(json!({"priority": 10})), "body.priority: 10 is not from 0 to 9");
    is_invalid(&submit(json!({"priority": 256})), "body.priority: invalid value");
    is_invalid(&submit(json!({"not_before_ms": u64::MAX})), "body.not_before_ms: ");

    is_taken(&submit(json!({"payload": {"wait_ms": 0}})));
    is_invalid(&submit(json!({"payload": {"wait_ms": day + 1}})), "body.payload.wait_ms: ");
    for off_ms in [0, day + 1] {
        let payload = json!({"outlet": "o", "off_ms": off_ms});
        let cycle = submit(json!({"kind": "outlet.cycle", "payload": payload}));
        is_invalid(&cycle, "body.payload.off_ms: ");
    }
}

#[test]
fn a_script_is_named_and_never_a_path() {
    for name in ["a", "wipe-profile.sh", "A_1..b", &"x".repeat(128)] {
        is_taken(&script(name));
    }
    let long = "x".repeat(129);
    let wrong = ["", ".", "..", ".a", "-rf", "a/b", "/a", "a\\b", "a b", "a\n", "a\0", "ä", &long];
    for name in wrong {
        is_invalid(&script(name), "body.payload.name: ");
    }
    let args = |args| submit(json!({"kind": "script", "payload": {"name": "a", "args": args}}));
    is_taken(&args(json!({"deep": [{"a": null}]})));
    is_invalid(&args(json!(["a"])), "body.payload.args: ");
    is_invalid(&args(json!(null)), "body.payload.args: null");
}

#[test]
fn a_schedule_runs_any_legal_command_but_those_of_schedules() {
    let running = |command| put(json!({ "command": command }));
    is_taken(&running(json!({"type": "node.report"})));
    is_taken(&running(json!({"type": "session.start",
        "body": {"session": "s", "station": "p", "duration_ms": 1}})));
    for kind in ["schedule.put", "schedule.remove", "schedule.later"] {
        is_invalid(&running(json!({"type": kind})), "body.command.type: a schedule runs any");
    }
    is_invalid(&running(json!({"type": "session.end"})), "body.command.body: missing");
    is_invalid(&running(json!({"body": {}})), "body.command.type: missing");
    is_invalid(&running(json!({"type": 1})), "body.command.type: not a text");
    is_invalid(&running(json!("node.report")), "body.command: not a map");
    is_invalid(&running(json!({"type": "node.report", "id": "x"})), "body.command.id: unknown");
    let unknown = json!({"type": "session.end", "body": {"session": "s", "x": 1}});
    is_invalid(&running(unknown), "body.command.body.x: unknown field");
    let long = json!({"type": "outlet.set", "body": {"outlet": "o", "on": true}});
    is_invalid(&running(long), "body.command.body.for_ms: missing");
    let task = json!({"task": "t", "kind": "wait", "payload": {"wait_ms": -1}});
    let task = json!({"type": "task.submit", "body": task});
    is_invalid(&running(task), "body.command.body.payload.wait_ms: ");
    let bare = command("schedule.put", json!({"schedule": "n", "cron": "* * * * *"}));
    is_invalid(&bare, "body.command: missing");
}

#[test]
fn a_schedules_own_fields_keep_their_ranges() {
    is_taken(&put(json!({"cron": "*/10 0 4 * * *", "max_late_ms": 604_800_000_u64})));
    is_invalid(&put(json!({"cron": "0 4 * *"})), "body.cron: 4 fields");
    is_invalid(&put(json!({"cron": "0 0 4 * * * 2026"})), "body.cron: 7 fields");
    is_invalid(&put(json!({"cron": ""})), "body.cron: 0 bytes");
    is_invalid(&put(json!({"cron": "* ".repeat(129)})), "body.cron: 258 bytes");
    is_invalid(&put(json!({"timezone": ""})), "body.timezone: 0 bytes");
    is_invalid(&put(json!({"timezone": "x".repeat(65)})), "body.timezone: 65 bytes");
    is_invalid(&put(json!({"max_late_ms": 604_800_001_u64})), "body.max_late_ms: ");
}

#[test]
fn a_resend_runs_from_1_and_forwards() {
    let resend = |from, to| command("event.resend", json!({"from_seq": from, "to_seq": to}));
    is_taken(&resend(1, 1));
    is_taken(&resend(1, u64::MAX));
    is_invalid(&resend(0, 5), "body.from_seq: 0 is no event");
    is_invalid(&resend(5, 4), "body.to_seq: 4 is below from_seq, 5");
}

#[test]
fn a_reason_stays_short_and_begins_with_the_field_however_long_it_is() {
    let long = "\u{1b}x".repeat(5_000);
    for message in [
        start(json!({ &long: 1 })),
        start(json!({"session": long})),
        put(json!({"missed": long})),
        with(start(json!({})), json!({ &long: 1 })),
    ] {
        let reason = refusal(&message).unwrap().message;
        assert!(reason.len() <= MAX_REASON_BYTES, "{reason}");
        assert!(!reason.contains('\u{1b}'), "{reason}");
    }
}
