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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_where_the_contract_says() {
        let topics = Topics::new(DEFAULT_ROOT, "pi-0042".parse().unwrap());
        let group = "cafe-berlin".parse().unwrap();
        assert_eq!(topics.commands(), "edge/v1/nodes/pi-0042/commands");
        assert_eq!(topics.group_commands(&group), "edge/v1/groups/cafe-berlin/commands");
        assert_eq!(topics.events(), "edge/v1/nodes/pi-0042/events");
        assert_eq!(topics.status(), "edge/v1/nodes/pi-0042/status");
        assert_eq!(topics.state(), "edge/v1/nodes/pi-0042/state");
        assert_eq!(topics.telemetry(), "edge/v1/nodes/pi-0042/telemetry");
    }
}
