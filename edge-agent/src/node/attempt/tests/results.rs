//! What a script says becomes part of an event, or fails its attempt.

use edge_protocol::codec::{self, Encoding};
use edge_protocol::limits::{MAX_MESSAGE_BYTES, MAX_RESULT_BYTES, MAX_RESULT_DEPTH};
use serde_json::{Map, Value, json};

use crate::node::ScriptOutcome;
use crate::node::trial::{Batch, Trial, failed};

fn ends(encoding: Encoding, outcome: ScriptOutcome) -> Batch {
    let mut trial = Trial::with(|settings| settings.encoding = encoding);
    trial.scripts(&["there.sh"]);
    trial.submit("t", "script", json!({"name": "there.sh"}), json!({}));
    trial.script("t", 1, outcome)
}

fn returns(encoding: Encoding, result: Value) -> Batch {
    let Value::Object(result) = result else { panic!("not a map") };
    ends(encoding, ScriptOutcome::Succeeded(Some(result)))
}

/// A map of `bytes` bytes of JSON.
fn long(bytes: usize) -> Value {
    json!({"a": "x".repeat(bytes - 8)})
}

fn deep(depth: usize) -> Value {
    (1..depth).fold(json!({}), |inner, _| json!({"a": inner}))
}

#[test]
fn a_result_is_told_as_it_is() {
    let batch = returns(Encoding::Json, json!({"found": [1, 2.5, null]}));
    assert_eq!(batch.body("task.succeeded")["result"], json!({"found": [1, 2.5, null]}));
    let nothing = ends(Encoding::Cbor, ScriptOutcome::Succeeded(None));
    assert_eq!(nothing.body("task.succeeded").get("result"), None);
    let empty = ends(Encoding::Cbor, ScriptOutcome::Succeeded(Some(Map::new())));
    assert_eq!(empty.body("task.succeeded")["result"], json!({}));
}

#[test]
fn the_largest_and_the_deepest_result_fit_an_event() {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        for result in [long(MAX_RESULT_BYTES), deep(MAX_RESULT_DEPTH)] {
            let batch = returns(encoding, result.clone());
            assert_eq!(batch.body("task.succeeded")["result"], result);
        }
    }
}

#[test]
fn a_larger_or_deeper_one_fails_for_good_and_says_why() {
    for (result, why) in [
        (long(MAX_RESULT_BYTES + 1), "32769 bytes of JSON, at most 32768"),
        (deep(MAX_RESULT_DEPTH + 1), "nests 15 deep, at most 14"),
    ] {
        let batch = returns(Encoding::Cbor, result);
        let error = batch.body("task.failed")["error"].as_str().unwrap().to_owned();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn numbers_that_outgrow_an_event_in_cbor_fail_for_good_and_fit_in_json() {
    let numbers = json!({"a": vec![0.1; 8_000]});
    assert!(numbers.to_string().len() < MAX_RESULT_BYTES + 10);
    assert!(codec::encode(Encoding::Cbor, &numbers).len() > MAX_MESSAGE_BYTES);
    assert_eq!(returns(Encoding::Cbor, numbers.clone()).kinds(), ["task.failed"]);
    assert_eq!(returns(Encoding::Json, numbers).kinds(), ["task.succeeded"]);
}

#[test]
fn a_long_error_is_cut_where_a_character_ends() {
    let batch = ends(Encoding::Json, failed(&"ä".repeat(100_000)));
    let error = batch.body("task.retrying")["error"].as_str().unwrap().to_owned();
    assert!(error.len() <= 4_100 && error.ends_with("ä…"));
}
