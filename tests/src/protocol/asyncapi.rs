//! `asyncapi.yaml`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, anyhow};
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};
use yaml_rust2::{Yaml, YamlLoader};

/// The document, and what it takes for each message.
#[derive(Debug)]
pub struct AsyncApi {
    /// The whole document, as it stands.
    pub document: Value,
    payloads: BTreeMap<String, Validator>,
}

impl AsyncApi {
    /// Reads the document.
    ///
    /// # Panics
    /// It is no YAML, or one of its messages has no schema.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let documents = YamlLoader::load_from_str(text).expect("asyncapi.yaml is YAML");
        let document = value(&documents[0]);
        let mut closed = document["components"].clone();
        close(&mut closed);
        let messages = document["components"]["messages"].as_object().expect("it has messages");
        let payload = |name: &String| {
            let schema = json!({
                "$ref": format!("#/components/messages/{name}/payload"),
                "components": closed,
            });
            let options = jsonschema::options().with_draft(Draft::Draft7);
            (name.clone(), options.build(&schema).expect("a payload has a schema"))
        };
        let payloads = messages.keys().map(payload).collect();
        Self { document, payloads }
    }

    /// The names of its messages that begin with `prefix`.
    #[must_use]
    pub fn messages(&self, prefix: &str) -> BTreeSet<&str> {
        let names = self.payloads.keys().map(String::as_str);
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// Holds a message to the payload of `name`.
    ///
    /// # Errors
    /// There is no such message, or its schema says otherwise.
    pub fn check(&self, name: &str, message: &Value) -> Result<()> {
        let payload =
            self.payloads.get(name).with_context(|| format!("there is no message {name}"))?;
        let told: Vec<String> = payload
            .iter_errors(message)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        if told.is_empty() { Ok(()) } else { Err(anyhow!(told.join("; "))) }
    }

    /// The names of all fields that the schema `name` of an object has.
    ///
    /// # Panics
    /// There is no such schema.
    #[must_use]
    pub fn fields(&self, name: &str) -> BTreeSet<&str> {
        let schema = &self.document["components"]["schemas"][name];
        let properties = schema["properties"].as_object().unwrap_or_else(|| panic!("no {name}"));
        properties.keys().map(String::as_str).collect()
    }

    /// Every `$ref` of the document.
    #[must_use]
    pub fn references(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        references(&self.document, &mut found);
        found
    }
}

/// The document leaves what comes from a node open, for later versions; here nothing is.
fn close(schema: &mut Value) {
    let inside: Vec<&mut Value> = match schema {
        Value::Object(map) => {
            if map.get("type") == Some(&json!("object")) && map.contains_key("properties") {
                map.entry("additionalProperties").or_insert(json!(false));
            }
            map.values_mut().collect()
        }
        Value::Array(items) => items.iter_mut().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return,
    };
    inside.into_iter().for_each(close);
}

fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn value(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) => json!(text),
        Yaml::Integer(number) => json!(number),
        Yaml::Real(_) => json!(yaml.as_f64()),
        Yaml::Boolean(flag) => json!(flag),
        Yaml::Array(items) => items.iter().map(value).collect(),
        Yaml::Hash(map) => {
            let entry = |(key, inside): (&Yaml, &Yaml)| {
                (key.as_str().expect("a key is a text").to_owned(), value(inside))
            };
            Value::Object(map.iter().map(entry).collect::<Map<_, _>>())
        }
        Yaml::Null => Value::Null,
        Yaml::Alias(_) | Yaml::BadValue => panic!("asyncapi.yaml has neither aliases nor {yaml:?}"),
    }
}
