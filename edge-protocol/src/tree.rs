//! Bytes to a bounded tree, before any type looks at them.
//!
//! What a stranger sent must stay cheap: the size is checked first, the depth while reading, and
//! nothing is allocated ahead of the bytes that fill it. JSON and CBOR lead to the same tree, so
//! every rule after this module is written once.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::event::Code;
use crate::limits::{MAX_DEPTH, MAX_MESSAGE_BYTES};
use crate::refusal::Unreadable;

/// Reads exactly one JSON object or CBOR map, told apart by the first byte.
///
/// # Errors
/// `too_large` past [`MAX_MESSAGE_BYTES`]; `malformed` for anything else that is not one such
/// message: bytes after it, deeper than [`MAX_DEPTH`], a key twice, and in CBOR a key that is no
/// text, a byte string, a number that JSON does not have.
pub(crate) fn read(bytes: &[u8]) -> Result<Map<String, Value>, Unreadable> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        let size = bytes.len();
        let message = format!("{size} bytes: a message has at most {MAX_MESSAGE_BYTES}");
        return Err(Unreadable::new(Code::TooLarge, &message));
    }
    let json_space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    let message = match (bytes.iter().find(|byte| !json_space(byte)), bytes.first()) {
        (Some(b'{'), _) => {
            serde_json::from_slice::<Message>(bytes).map_err(|error| error.to_string())
        }
        (_, Some(0xa0..=0xbf)) => {
            serde_cbor::from_slice::<Message>(bytes).map_err(|error| error.to_string())
        }
        _ => Err("neither a JSON object nor a CBOR map".to_owned()),
    };
    message
        .map(|Message(map)| map)
        .map_err(|problem| Unreadable::new(Code::Malformed, &format!("malformed: {problem}")))
}

/// How deep arrays and maps nest in `value`, itself being 1 if it is one and 0 if it is neither.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The map that a message is.
struct Message(Map<String, Value>);

impl<'de> serde::Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match (Level { left: MAX_DEPTH }).deserialize(deserializer)? {
            Value::Object(map) => Ok(Self(map)),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Err(D::Error::custom("not a map")),
        }
    }
}

/// Reads one value in which at most `left` more levels of arrays and maps may open.
#[derive(Clone, Copy)]
struct Level {
    left: usize,
}

impl Level {
    fn open<E: Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1);
        let too_deep = || E::custom(format_args!("nests deeper than {MAX_DEPTH}"));
        left.map(|left| Self { left }).ok_or_else(too_deep)
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a boolean, a number from -2^63 to 2^64-1, a text, an array or a map")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inside = self.open()?;
        // The length that CBOR announces is a claim: the array grows with what is really there.
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inside)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inside = self.open()?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key_seed(Key)? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("the key {key:?} comes twice")));
            }
            map.insert(key, entries.next_value_seed(inside)?);
        }
        Ok(Value::Object(map))
    }
}

/// A key: text and nothing else. `String` would take a CBOR byte string too.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text as key")
    }

    fn visit_str<E>(self, key: &str) -> Result<String, E> {
        Ok(key.to_owned())
    }

    fn visit_string<E>(self, key: String) -> Result<String, E> {
        Ok(key)
    }
}
