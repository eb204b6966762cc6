//! What no command can come of: it is refused as a whole, cheaply, and nothing panics
//! (contract, section 3).

use edge_protocol::codec::{Encoding, decode, decode_command, decode_event, depth, encode};
use edge_protocol::command::{Command, Request, Script, TaskSubmit, Work};
use edge_protocol::event::{Clock, Code, Event, NodeLink, What};
use edge_protocol::limits::{MAX_DEPTH, MAX_MESSAGE_BYTES};
use proptest::prelude::*;
use serde_json::{Value, json};

fn code(bytes: &[u8]) -> Option<Code> {
    decode_command(bytes).err().map(|unreadable| unreadable.code)
}

fn is_malformed(bytes: &[u8]) {
    assert_eq!(code(bytes), Some(Code::Malformed), "{:?}", String::from_utf8_lossy(bytes));
}

/// `{"id":"c","type":"x","body":…}` in CBOR, which is then `unsupported` and so well formed.
fn cbor_with_body(body: &[u8]) -> Vec<u8> {
    [b"\xa3\x62id\x61c\x64type\x61x\x64body".as_slice(), body].concat()
}

fn is_well_formed(bytes: &[u8]) {
    let refusal = decode_command(bytes).expect("it names a command").command;
    assert_eq!(refusal.map_err(|refusal| refusal.code), Err(Code::Unsupported));
}

fn script(args: Value) -> Command {
    let Value::Object(args) = args else { panic!("args are a map") };
    Command {
        id: "c".parse().expect("an id"),
        issued_at_ms: None,
        expires_at_ms: None,
        request: Request::TaskSubmit(TaskSubmit {
            task: "t".parse().expect("an id"),
            work: Work::Script(Script { name: "a".to_owned(), args }),
            not_before_ms: None,
            max_retries: 3,
            timeout_ms: 60_000,
            backoff_ms: 1_000,
            backoff_max_ms: 300_000,
            priority: 5,
        }),
    }
}

fn link() -> Event {
    Event {
        store: "9f3ac01b".to_owned(),
        seq: 1,
        at_ms: 2,
        clock: Clock::Synced,
        uptime_ms: 3,
        boot_id: "b".to_owned(),
        cause: None,
        what: What::NodeLink(NodeLink { session_present: true }),
    }
}

#[test]
fn a_message_has_at_most_64_kib() {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let padded = |padding: usize| encode(encoding, &script(json!({"a": "x".repeat(padding)})));
        // Long enough that the padding's own length takes as many bytes as at the limit.
        let around = padded(65_000).len() - 65_000;
        let full = padded(MAX_MESSAGE_BYTES - around);
        assert_eq!(full.len(), 65_536);
        assert!(decode_command(&full).unwrap().command.is_ok());
        let over = padded(MAX_MESSAGE_BYTES - around + 1);
        assert_eq!(over.len(), 65_537);
        assert_eq!(code(&over), Some(Code::TooLarge));
    }
    assert_eq!(code(&vec![0; MAX_MESSAGE_BYTES + 1]), Some(Code::TooLarge));
    let over = decode_event(&vec![b'{'; MAX_MESSAGE_BYTES + 1]).unwrap_err();
    assert_eq!(over.code, Code::TooLarge);
}

#[test]
fn a_message_nests_16_deep_and_itself_is_1() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let nested = |levels: usize| {
            let innermost = if open == "[" { "" } else { "1" };
            let body = open.repeat(levels) + innermost + &close.repeat(levels);
            format!(r#"{{"id":"c","type":"x","body":{body}}}"#)
        };
        let deepest = nested(15);
        let value: Value = serde_json::from_str(&deepest).unwrap();
        assert_eq!(depth(&value), MAX_DEPTH);
        is_well_formed(deepest.as_bytes());
        is_well_formed(&encode(Encoding::Cbor, &value));
        let value: Value = serde_json::from_str(&nested(16)).unwrap();
        assert_eq!(depth(&value), MAX_DEPTH + 1);
        is_malformed(nested(16).as_bytes());
        is_malformed(&encode(Encoding::Cbor, &value));
    }
    for unending in [[b'['; 1], [0x81], [0x9f], [0xc1]] {
        let array = unending.repeat(MAX_MESSAGE_BYTES - 64);
        is_malformed(&[br#"{"id":"c","type":"x","body":"#.as_slice(), &array].concat());
        is_malformed(&cbor_with_body(&array));
        is_malformed(&array);
    }
}

#[test]
fn the_first_byte_tells_the_encodings_apart() {
    is_well_formed(b" \t\r\n{\"id\":\"c\",\"type\":\"x\"} \n");
    is_well_formed(b"\xa2\x62id\x61c\x64type\x61x");
    is_well_formed(b"\xbf\x62id\x61c\x64type\x61x\xff");
    is_well_formed(b"\xb8\x02\x62id\x61c\x64type\x61x");
    is_malformed(b"");
    is_malformed(b" ");
    is_malformed(b"\x0b{\"id\":\"c\",\"type\":\"x\"}");
    is_malformed(b"\xef\xbb\xbf{\"id\":\"c\",\"type\":\"x\"}");
    is_malformed(b" \xa2\x62id\x61c\x64type\x61x");
    is_malformed(b"\xd9\xd9\xf7\xa2\x62id\x61c\x64type\x61x");
    for other in ["[]", "null", "1", "\"a\"", "x", "<a/>", "\u{7f}"] {
        is_malformed(other.as_bytes());
    }
}

#[test]
fn a_message_is_exactly_one() {
    is_malformed(br#"{"id":"c","type":"x"}{"id":"c","type":"x"}"#);
    is_malformed(br#"{"id":"c","type":"x"},"#);
    is_malformed(b"{\"id\":\"c\",\"type\":\"x\"}\0");
    is_malformed(b"\xa2\x62id\x61c\x64type\x61x\x00");
    is_malformed(b"\xa2\x62id\x61c\x64type\x61x\xa0");
    is_malformed(b"\xa2\x62id\x61c\x64type\x61x\xff");
}

#[test]
fn a_key_comes_once_at_every_level() {
    is_malformed(br#"{"id":"c","id":"c","type":"x"}"#);
    is_malformed(br#"{"id":"c","\u0069d":"d","type":"x"}"#);
    is_malformed(br#"{"id":"c","type":"x","body":{"a":[{"b":1,"b":1}]}}"#);
    is_malformed(b"\xa3\x62id\x61c\x64type\x61x\x62id\x61c");
    is_malformed(&cbor_with_body(b"\xa2\x61a\x01\x61a\x02"));
    is_malformed(&cbor_with_body(b"\xbf\x61a\x01\x61a\x02\xff"));
}

#[test]
fn cbor_holds_only_what_json_can_say() {
    is_well_formed(&cbor_with_body(b"\xa1\x61a\x1b\xff\xff\xff\xff\xff\xff\xff\xff"));
    is_well_formed(&cbor_with_body(b"\xa1\x61a\x3b\x7f\xff\xff\xff\xff\xff\xff\xff"));
    is_well_formed(&cbor_with_body(b"\xa1\x7f\x61a\x61b\xff\xf9\x3c\x00"));
    let foreign: [(&str, &[u8]); 11] = [
        ("an integer as key", b"\xa1\x01\x01"),
        ("a byte string as key", b"\xa1\x41a\x01"),
        ("null as key", b"\xa1\xf6\x01"),
        ("a byte string", b"\x41a"),
        ("a byte string in pieces", b"\x5f\x41a\xff"),
        ("a big number", b"\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00"),
        ("an integer below -2^63", b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("not a number", b"\xf9\x7e\x00"),
        ("infinity", b"\xfa\x7f\x80\x00\x00"),
        ("a simple value", b"\xf0"),
        ("a text that is no UTF-8", b"\x61\xff"),
    ];
    for (name, body) in foreign {
        assert_eq!(code(&cbor_with_body(body)), Some(Code::Malformed), "{name}");
    }
}

#[test]
fn json_is_strict() {
    let wrong = [
        r#"{"id":"c","type":"x",}"#,
        r#"{'id':'c','type':'x'}"#,
        r#"{"id":"c","type":"x","a":01}"#,
        r#"{"id":"c","type":"x","a":NaN}"#,
        r#"{"id":"c","type":"x","a":1e999}"#,
        r#"{"id":"c","type":"x","a":"\ud800"}"#,
        "{\"id\":\"c\",\"type\":\"x\",\"a\":\"\n\"}",
        r#"{"id":"c","type":"x" /* a */}"#,
    ];
    for text in wrong {
        is_malformed(text.as_bytes());
    }
    is_malformed(b"{\"id\":\"c\",\"type\":\"x\",\"a\":\"\xff\"}");
}

#[test]
fn without_a_legal_id_and_type_there_is_nobody_to_answer() {
    let long = "a".repeat(65);
    let illegal = [json!(1), json!(null), json!(""), json!("a/b"), json!(["c"]), json!(long)];
    for id in illegal {
        is_malformed(&encode(Encoding::Json, &json!({"id": id, "type": "node.report"})));
        is_malformed(&encode(Encoding::Cbor, &json!({"id": id, "type": "node.report"})));
    }
    for kind in [json!(1), json!(null), json!(""), json!({}), json!(long)] {
        is_malformed(&encode(Encoding::Json, &json!({"id": "c", "type": kind})));
        is_malformed(&encode(Encoding::Cbor, &json!({"id": "c", "type": kind})));
    }
    is_malformed(br#"{"type":"node.report"}"#);
    is_malformed(br#"{"id":"c"}"#);
    is_malformed(b"{}");
    is_malformed(b"\xa0");
}

#[test]
fn a_length_without_its_data_is_malformed_and_allocates_nothing() {
    let widths: [&[u8]; 4] =
        [b"\xff", b"\xff\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff\xff\xff\xff\xff"];
    for (width, length) in (0x18_u8..).zip(widths) {
        for major in [0x40, 0x60, 0x80, 0xa0] {
            let claim = [&[major + width], length].concat();
            is_malformed(&cbor_with_body(&claim));
            is_malformed(&claim);
        }
    }
    is_malformed(&cbor_with_body(b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff"));
}

#[test]
fn a_message_cut_anywhere_is_malformed() {
    let command = script(json!({"a": [1, -1, 1.5, true, null, {"b": "ü"}], "c": u64::MAX}));
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let whole = encode(encoding, &command);
        assert_eq!(decode_command(&whole).unwrap().command.as_ref(), Ok(&command));
        for end in 0..whole.len() {
            is_malformed(&whole[..end]);
        }
        let whole = encode(encoding, &link());
        assert_eq!(decode_event(&whole), Ok(link()));
        for end in 0..whole.len() {
            assert_eq!(decode_event(&whole[..end]).unwrap_err().code, Code::Malformed);
        }
    }
}

/// Anything that JSON can say, as deep as a script's arguments may be.
fn any_args() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no other", |f| f.is_finite()).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::btree_map(".{0,6}", tree, 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_encodings_carry_a_scripts_arguments_unchanged(args in any_args()) {
        let command = script(args);
        for encoding in [Encoding::Json, Encoding::Cbor] {
            let received = decode_command(&encode(encoding, &command)).unwrap();
            prop_assert_eq!(received.command.as_ref(), Ok(&command));
        }
    }

    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = decode_command(&bytes);
        for first in [b'{', 0xa1, 0xbf] {
            let bytes = [&[first], bytes.as_slice()].concat();
            let _ = decode_command(&bytes);
            let _ = decode_event(&bytes);
            let _ = decode::<Value>(&bytes);
        }
        let _ = decode_command(&cbor_with_body(&bytes));
    }

    #[test]
    fn no_change_of_a_byte_causes_a_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        for encoding in [Encoding::Json, Encoding::Cbor] {
            let mut bytes = encode(encoding, &script(json!({"a": [1, {"b": "ü"}]})));
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = decode_command(&bytes);
            let mut bytes = encode(encoding, &link());
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = decode_event(&bytes);
        }
    }
}
