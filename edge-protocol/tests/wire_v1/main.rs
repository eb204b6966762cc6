//! The bytes of version 1, frozen (contract, sections 2 to 5).
//!
//! What is red here breaks nodes and control planes that are out there already: never change the
//! bytes, add a version. Another tool than this crate wrote the CBOR from the JSON.

mod commands;
mod events;
mod presence;

/// The bytes that `text` spells in hexadecimal.
fn bytes(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2) && !text.is_empty(), "{text:?}");
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal digits")).collect()
}

/// JSON as text, so that a difference can be read.
fn json(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Reads an id.
fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("an id")
}
