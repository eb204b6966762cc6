//! Where messages travel (contract, section 2).

use crate::id::{GroupId, NodeId};

/// The root of every topic unless the configuration names another.
pub const DEFAULT_ROOT: &str = "edge/v1";

/// The topics of one node under one root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topics {
    root: String,
    node: NodeId,
}

impl Topics {
    /// The topics of `node` under `root`.
    #[must_use]
    pub fn new(root: &str, node: NodeId) -> Self {
        Self { root: root.to_owned(), node }
    }

    /// Control plane → node.
    #[must_use]
    pub fn commands(&self) -> String {
        self.of_node("commands")
    }

    /// Control plane → every node of `group`.
    #[must_use]
    pub fn group_commands(&self, group: &GroupId) -> String {
        format!("{}/groups/{group}/commands", self.root)
    }

    /// Node → control plane, in `seq` order.
    #[must_use]
    pub fn events(&self) -> String {
        self.of_node("events")
    }

    /// Node → anyone, retained; also the last will.
    #[must_use]
    pub fn status(&self) -> String {
        self.of_node("status")
    }

    /// Node → anyone, retained.
    #[must_use]
    pub fn state(&self) -> String {
        self.of_node("state")
    }

    /// Node → anyone, QoS 0.
    #[must_use]
    pub fn telemetry(&self) -> String {
        self.of_node("telemetry")
    }

    fn of_node(&self, leaf: &str) -> String {
        format!("{}/nodes/{}/{leaf}", self.root, self.node)
    }
}
