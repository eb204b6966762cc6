//! A command on its way: as it goes to the broker, and as it is told of.

use std::time::Duration;

use edge_protocol::codec::{Encoding, encode};
use edge_protocol::command::{Command, Request};
use edge_protocol::event::Event;
use edge_protocol::id::{CommandId, NodeId};
use edge_protocol::limits::MAX_COMMAND_LIFE_MS;
use edge_protocol::topic::Topics;
use edgectl::control::Publication;
use edgectl::wall;
use serde_json::{Value, json};

use super::goal::Scene;
use super::{ulid, words};
use crate::command::{Failure, Report, USAGE};
use crate::instant;
use crate::span::{Span, said};

/// A command on its way.
pub(super) struct Sent {
    /// What the broker gets.
    pub(super) publication: Publication,
    /// Its id, which no other command has.
    pub(super) id: CommandId,
    /// When it stops to act, UTC.
    pub(super) expires_at_ms: u64,
    /// The `seq` of its acceptance, once it came.
    pub(super) accepted: Option<u64>,
    node: NodeId,
    kind: &'static str,
}

impl Sent {
    /// A new command, which expires after `expires`, else when nobody waits for it any more.
    ///
    /// # Errors
    /// [`USAGE`]: it would expire later than a command may.
    pub(super) fn new(
        root: &str,
        node: &NodeId,
        request: Request,
        limit: Duration,
        expires: Option<Span>,
    ) -> Result<Self, Failure> {
        let now_ms = wall::now_ms();
        let waited_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let life_ms = expires.map_or(waited_ms.min(MAX_COMMAND_LIFE_MS), Span::ms);
        if life_ms > MAX_COMMAND_LIFE_MS {
            let most = said(MAX_COMMAND_LIFE_MS);
            let text = format!("a command expires after {most} at the latest");
            return Err(Failure::new(USAGE, text));
        }
        let kind = request.kind();
        let id: CommandId = format!("ctl-{}", ulid(now_ms)).parse().expect("it is a legal id");
        let expires_at_ms = now_ms + life_ms;
        let command = Command {
            id: id.clone(),
            issued_at_ms: Some(now_ms),
            expires_at_ms: Some(expires_at_ms),
            request,
        };
        let publication = Publication {
            topic: Topics::new(root, node.clone()).commands(),
            payload: encode(Encoding::Json, &command),
            retain: false,
            // Rounded up: the node judges to the millisecond.
            expires: Some(Duration::from_secs(life_ms.div_ceil(1_000))),
        };
        Ok(Self { publication, id, expires_at_ms, accepted: None, node: node.clone(), kind })
    }

    /// What a machine is told in any case.
    pub(super) fn facts(&self, event: Option<Event>) -> Value {
        let mut facts = json!({ "node": self.node, "command": self.id, "type": self.kind });
        if let Some(event) = event {
            facts["event"] = serde_json::to_value(event).unwrap_or_default();
        }
        facts
    }

    /// Its goal is reached.
    pub(super) fn done(&self, text: &str, facts: &Value, event: Option<Event>) -> Report {
        let mut json = self.facts(event);
        json["outcome"] = json!("done");
        json["text"] = json!(text);
        for (name, fact) in facts.as_object().into_iter().flatten() {
            json[name.as_str()] = fact.clone();
        }
        Report { text: text.to_owned(), json }
    }

    /// The broker has it, and nobody waits for more.
    pub(super) fn on_its_way(&self, scene: &Scene<'_>) -> Report {
        let until = instant::said(self.expires_at_ms, scene.now_ms);
        let text = match words::why_it_waits(scene) {
            Some(why) => format!("{why}; the command waits at the broker until {until}"),
            None => format!("the broker has the command for {}", self.node),
        };
        let mut json = self.facts(None);
        json["outcome"] = json!("sent");
        json["expires_at_ms"] = json!(self.expires_at_ms);
        json["text"] = json!(text);
        Report { text, json }
    }
}
