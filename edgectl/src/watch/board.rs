//! What is known of all the nodes that are watched.

use std::collections::BTreeMap;

use edge_protocol::id::NodeId;
use edge_protocol::presence::Status;
use edgectl::control::{Endpoint, Link, Message};
use serde_json::{Value, json};

use crate::instant;
use crate::picture::{News, Picture};
use crate::plain::plain;

/// What is known of all the nodes that are watched.
#[derive(Debug)]
pub(super) struct Board {
    /// The broker, and the topics' root there.
    pub(super) place: String,
    /// How the connection to it is.
    pub(super) link: Link,
    /// The nodes, by their id.
    pub(super) nodes: BTreeMap<NodeId, Picture>,
}

impl Board {
    /// Nothing is known yet; of `nodes` not even whether they exist.
    pub(super) fn new(endpoint: &Endpoint, nodes: &[NodeId]) -> Self {
        Self {
            place: format!("{} at {}:{}", endpoint.root, endpoint.host, endpoint.port),
            link: Link::Up { forgotten: false },
            nodes: nodes.iter().map(|node| (node.clone(), Picture::default())).collect(),
        }
    }

    /// Takes in what a node said.
    pub(super) fn take(&mut self, node: &NodeId, leaf: &str, message: &Message) -> News {
        self.nodes.entry(node.clone()).or_default().take(leaf, message)
    }

    /// Whether a node is there, in words.
    pub(super) fn presence(&self, node: &NodeId, now_ms: u64) -> String {
        let Some(picture) = self.nodes.get(node) else { return "never seen".to_owned() };
        match &picture.status {
            None => "never seen".to_owned(),
            Some(Status::Online(online)) => {
                let since = instant::said(online.since_ms, now_ms);
                let taking = if online.accepting { "" } else { ", takes no commands" };
                let refused = online.refused.as_deref().map_or_else(String::new, |reason| {
                    format!(", its events are refused: {}", plain(reason))
                });
                format!("online since {since}{taking}{refused}")
            }
            Some(Status::Offline(_)) => {
                picture.absence(now_ms).unwrap_or_else(|| "offline".to_owned())
            }
        }
    }

    /// All of it, for a machine.
    pub(super) fn json(&self) -> Value {
        let node = |(id, picture): (&NodeId, &Picture)| json!({ "node": id, "status": picture.status, "state": picture.state });
        json!({ "nodes": self.nodes.iter().map(node).collect::<Vec<_>>() })
    }
}
