//! As whom a client connects, and whom it hears.

use edge_protocol::id::NodeId;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Filter;

/// As whom to connect, and whom to hear.
#[derive(Debug)]
pub(super) struct Role<'a> {
    pub(super) client_id: String,
    /// For how long the broker keeps the session of one who is away.
    pub(super) expiry_s: u32,
    /// Whether it gives way to another client that takes its id.
    pub(super) yields: bool,
    /// Every node where none is named.
    pub(super) nodes: &'a [NodeId],
}

impl Role<'_> {
    pub(super) fn filters(&self, root: &str) -> Vec<Filter> {
        let leaves = [
            ("events", QoS::AtLeastOnce),
            ("status", QoS::AtLeastOnce),
            ("state", QoS::AtLeastOnce),
            ("telemetry", QoS::AtMostOnce),
        ];
        let every = ["+"];
        let named = self.nodes.iter().map(NodeId::as_str);
        let nodes = every.into_iter().take(usize::from(self.nodes.is_empty())).chain(named);
        nodes
            .flat_map(|node| {
                leaves.map(|(leaf, qos)| Filter {
                    path: format!("{root}/nodes/{node}/{leaf}"),
                    qos,
                    // A node's status must be retained; told apart only if the flag survives.
                    preserve_retain: true,
                    ..Filter::default()
                })
            })
            .collect()
    }
}
