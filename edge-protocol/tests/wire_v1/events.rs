//! Every event, both ways, in both encodings.

mod node;
mod outlets;
mod sessions;
mod tasks;

use std::collections::BTreeSet;

use edge_protocol::codec::{Encoding, decode, decode_event, encode};
use edge_protocol::event::{Clock, Code, Event, NodeLink, What};

use super::{bytes, id, json};

/// `json` and `cbor` are the type and the body, which follow the envelope.
#[derive(Clone)]
struct Frozen {
    what: What,
    json: &'static str,
    cbor: &'static str,
}

const JSON_ENVELOPE: &str = r#"{"store":"9f3ac01b","seq":4711,"at_ms":1763693600004,"clock":"synced","uptime_ms":86400123,"boot_id":"5d1f8a52""#;

/// The same, in a map whose end is a break.
const CBOR_ENVELOPE: &str = "bf6573746f7265683966336163303162637365711912676561745f6d731b0000019aa4549d0465636c6f636b6673\
    796e63656469757074696d655f6d731a05265c7b67626f6f745f6964683564316638613532";

fn event(what: What) -> Event {
    Event {
        store: "9f3ac01b".to_owned(),
        seq: 4_711,
        at_ms: 1_763_693_600_004,
        clock: Clock::Synced,
        uptime_ms: 86_400_123,
        boot_id: "5d1f8a52".to_owned(),
        cause: None,
        what,
    }
}

fn frozen() -> Vec<Frozen> {
    [sessions::frozen(), outlets::frozen(), tasks::frozen(), node::frozen()].concat()
}

#[test]
fn every_event_is_written_as_these_bytes() {
    for Frozen { what, json: text, cbor } in frozen() {
        let event = event(what);
        assert_eq!(json(encode(Encoding::Json, &event)), format!("{JSON_ENVELOPE},{text}}}"));
        let expected = bytes(&format!("{CBOR_ENVELOPE}{cbor}ff"));
        assert_eq!(encode(Encoding::Cbor, &event), expected, "{text}");
    }
}

#[test]
fn both_encodings_of_every_event_read_as_the_same() {
    for Frozen { what, json, cbor } in frozen() {
        let event = Ok(event(what));
        let text = format!("{JSON_ENVELOPE},{json}}}");
        assert_eq!(decode_event(text.as_bytes()), event, "{text}");
        assert_eq!(decode_event(&bytes(&format!("{CBOR_ENVELOPE}{cbor}ff"))), event, "{text}");
    }
}

#[test]
fn every_type_of_event_is_frozen() {
    let frozen = frozen();
    for Frozen { what, json, .. } in &frozen {
        assert!(json.starts_with(&format!(r#""type":"{}","#, what.kind())), "{json}");
    }
    let seen: BTreeSet<_> = frozen.iter().map(|frozen| frozen.what.kind()).collect();
    assert_eq!(seen, BTreeSet::from(What::KINDS));
}

#[test]
fn an_event_names_the_command_that_led_to_it() {
    let link = What::NodeLink(NodeLink { session_present: true });
    let event = Event { cause: Some(id("01JD3")), ..event(link) };
    let text = format!(
        "{JSON_ENVELOPE}{}",
        r#","cause":"01JD3","type":"node.link","body":{"session_present":true}}"#
    );
    assert_eq!(json(encode(Encoding::Json, &event)), text);
    assert_eq!(decode_event(text.as_bytes()), Ok(event.clone()));
    assert_eq!(decode_event(&encode(Encoding::Cbor, &event)), Ok(event));
}

#[test]
fn a_consumer_ignores_the_fields_it_does_not_know_and_their_order() {
    let text = r#"{"body":{"session_present":true,"later":[1,{"a":null}]},"type":"node.link","later":{"x":1.5},
        "boot_id":"5d1f8a52","uptime_ms":86400123,"clock":"synced","at_ms":1763693600004,"seq":4711,"store":"9f3ac01b"}"#;
    let link = What::NodeLink(NodeLink { session_present: true });
    assert_eq!(decode_event(text.as_bytes()), Ok(event(link)));
}

#[test]
fn an_event_of_a_later_version_is_told_apart_and_can_still_be_shown() {
    let text = format!(r#"{JSON_ENVELOPE},"type":"node.sang","body":{{}}}}"#);
    let unknown = decode_event(text.as_bytes()).unwrap_err();
    assert_eq!(unknown.code, Code::Unsupported);
    assert_eq!(unknown.message, r#"event type "node.sang" is not known to this version"#);
    let shown: serde_json::Value = decode(text.as_bytes()).unwrap();
    assert_eq!(shown["type"], "node.sang");
}

#[test]
fn every_code_has_the_contracts_name() {
    let names = [
        (Code::Malformed, "malformed"),
        (Code::TooLarge, "too_large"),
        (Code::Unsupported, "unsupported"),
        (Code::Invalid, "invalid"),
        (Code::Expired, "expired"),
        (Code::Unauthorized, "unauthorized"),
        (Code::Busy, "busy"),
        (Code::UnknownStation, "unknown_station"),
        (Code::UnknownOutlet, "unknown_outlet"),
        (Code::UnknownSession, "unknown_session"),
        (Code::UnknownTask, "unknown_task"),
        (Code::UnknownSchedule, "unknown_schedule"),
        (Code::Conflict, "conflict"),
        (Code::Unpowered, "unpowered"),
    ];
    for (code, name) in names {
        assert_eq!(json(encode(Encoding::Json, &code)), format!("{name:?}"));
    }
}
