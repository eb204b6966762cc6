//! `docs/protocol`, held to what really travels: every message that a story sees is checked
//! against both documents, and the documents against the types.

mod asyncapi;
mod cddl;
mod fields;

use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use edge_protocol::codec::decode;
use edge_protocol::topic::Topics;
use edgectl::control::Message;
use serde_json::Value;

pub use self::asyncapi::AsyncApi;
pub use self::cddl::Cddl;
pub use self::fields::{fields, variants};

/// The documents, read once.
pub static DOCUMENTS: LazyLock<Documents> = LazyLock::new(Documents::read);

/// Both documents of the protocol.
#[derive(Debug)]
pub struct Documents {
    /// `messages.cddl`.
    pub cddl: Cddl,
    /// `asyncapi.yaml`.
    pub asyncapi: AsyncApi,
}

impl Documents {
    fn read() -> Self {
        Self {
            cddl: Cddl::read(include_str!("../../docs/protocol/messages.cddl")),
            asyncapi: AsyncApi::read(include_str!("../../docs/protocol/asyncapi.yaml")),
        }
    }

    /// Holds the bytes of the message `name`, such as `event.session.ended` or `status`, to both.
    ///
    /// # Errors
    /// It has a field, a value or a type that one of them does not know.
    pub fn check(&self, name: &str, payload: &[u8]) -> Result<()> {
        let message: Value = decode(payload)?;
        let in_context = |document: &str| format!("{document}: {name}: {message}");
        self.cddl.check(name, payload).with_context(|| in_context("messages.cddl"))?;
        self.asyncapi.check(name, &message).with_context(|| in_context("asyncapi.yaml"))
    }
}

/// Holds what a node said to both documents.
///
/// # Errors
/// It is not as they say.
pub fn said(topics: &Topics, message: &Message) -> Result<()> {
    let leaves =
        [(topics.status(), "status"), (topics.state(), "state"), (topics.telemetry(), "telemetry")];
    if let Some((_, name)) = leaves.iter().find(|(topic, _)| *topic == message.topic) {
        return DOCUMENTS.check(name, &message.payload);
    }
    let read: Value = decode(&message.payload)?;
    let kind = read["type"].as_str().context("an event has a type")?;
    DOCUMENTS.check(&format!("event.{kind}"), &message.payload)
}
