//! What a type reads, by asking it: the names of a struct's fields, of an enum's variants.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

/// The names of the fields that a struct reads.
///
/// # Panics
/// It is no struct that knows its fields.
#[must_use]
pub fn fields<T: for<'de> Deserialize<'de>>() -> BTreeSet<&'static str> {
    asked::<T>()
}

/// The names of an enum's variants.
///
/// # Panics
/// It is no enum of names.
#[must_use]
pub fn variants<T: for<'de> Deserialize<'de>>() -> BTreeSet<&'static str> {
    asked::<T>()
}

fn asked<T: for<'de> Deserialize<'de>>() -> BTreeSet<&'static str> {
    match T::deserialize(Curious) {
        Err(Names(names)) if !names.is_empty() => names.iter().copied().collect(),
        Err(Names(_)) | Ok(_) => panic!("{} names nothing", std::any::type_name::<T>()),
    }
}

/// Hears for what names it is asked, and gives nothing.
struct Curious;

/// What it was asked for.
#[derive(Debug)]
struct Names(&'static [&'static str]);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Names {}

impl Error for Names {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self(&[])
    }
}

impl<'de> Deserializer<'de> for Curious {
    type Error = Names;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Names> {
        Err(Names(&[]))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Names> {
        Err(Names(fields))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Names> {
        Err(Names(variants))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}
