//! Maps to typed bodies, so that what is wrong is named by its path.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// Reads the map that stands at `path` as a `T`.
///
/// # Errors
/// `invalid`, naming the field. A `null` is refused too: an optional field is left out instead,
/// so that there is one way to say nothing.
pub(crate) fn read<T: DeserializeOwned>(path: &str, map: Map<String, Value>) -> Result<T, Refusal> {
    if let Some((name, _)) = map.iter().find(|(_, value)| value.is_null()) {
        return Err(Refusal::invalid(&format!("{path}.{name}"), "null: leave the field out"));
    }
    serde_path_to_error::deserialize(Value::Object(map)).map_err(|error| {
        let inside = error.path().to_string();
        let path = if inside == "." { path.to_owned() } else { format!("{path}.{inside}") };
        Refusal::invalid(&path, &error.into_inner().to_string())
    })
}
