//! `messages.cddl`.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, Result, anyhow};
use cddl_cat::cbor::validate_cbor;
use cddl_cat::context::BasicContext;
use cddl_cat::flatten::flatten_from_str;
use cddl_cat::json::validate_json;

/// The document, with a rule `command.TYPE` or `event.TYPE` for each type of message.
pub struct Cddl(BasicContext);

impl Cddl {
    /// Reads the document.
    ///
    /// # Panics
    /// It is no CDDL.
    #[must_use]
    pub fn read(text: &str) -> Self {
        // By RFC 8610 a pattern is for the whole of a text; cddl-cat finds it anywhere inside.
        let mut whole = String::new();
        let mut parts = text.split(".regexp \"");
        whole.extend(parts.next());
        for part in parts {
            let (pattern, rest) = part.split_once('"').expect("a pattern ends");
            whole += &format!(".regexp \"^({pattern})$\"{rest}");
        }
        Self(BasicContext::new(flatten_from_str(&whole).expect("messages.cddl is CDDL")))
    }

    /// The names of all rules that begin with `prefix`.
    #[must_use]
    pub fn rules(&self, prefix: &str) -> BTreeSet<&str> {
        let names = self.0.rules.keys().map(String::as_str);
        names.filter(|name| name.starts_with(prefix)).collect()
    }

    /// Holds the bytes of a message, in either encoding, to the rule `name`.
    ///
    /// # Errors
    /// There is no such rule, or it says otherwise.
    pub fn check(&self, name: &str, payload: &[u8]) -> Result<()> {
        let rule = self.0.rules.get(name).with_context(|| format!("there is no rule {name}"))?;
        // Read by other crates than the agent's.
        let valid = if payload.first() == Some(&b'{') {
            validate_json(rule, &serde_json::from_slice(payload)?, &self.0)
        } else {
            validate_cbor(rule, &ciborium::from_reader(payload)?, &self.0)
        };
        valid.map_err(|error| anyhow!("{error}"))
    }
}

impl fmt::Debug for Cddl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cddl").field(&self.0.rules.len()).finish()
    }
}
