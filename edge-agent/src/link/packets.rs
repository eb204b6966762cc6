//! What a node says to a broker, but for its publishes. Pure.

use std::time::Duration;

use edge_protocol::limits::MAX_PACKET_BYTES;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Connect, ConnectProperties, Disconnect, DisconnectProperties, DisconnectReasonCode, Filter,
    LastWill, Packet, PingReq, PubAck, RetainForwardRule, Subscribe,
};

use super::Settings;
use super::arrivals::RECEIVE_MAXIMUM;

/// How long the broker keeps the session, and with it the commands, of a node that is away.
const SESSION_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Below 5 s a slow line would be taken for a dead one, and MQTT counts seconds in 16 bits.
const KEEP_ALIVE_RANGE: (Duration, Duration) =
    (Duration::from_secs(5), Duration::from_secs(u16::MAX as u64));

/// A guest is gone before the broker could miss it.
const GUEST_KEEP_ALIVE_S: u16 = 60;

/// The configured keep-alive, within bounds.
pub(super) fn keep_alive(settings: &Settings) -> Duration {
    settings.keep_alive.clamp(KEEP_ALIVE_RANGE.0, KEEP_ALIVE_RANGE.1)
}

/// The topics on which commands come for this node.
pub(super) fn command_topics(settings: &Settings) -> Vec<String> {
    let groups = settings.groups.iter().map(|group| settings.topics.group_commands(group));
    std::iter::once(settings.topics.commands()).chain(groups).collect()
}

/// Asks for the session that the broker keeps for this node, and announces limits and last will.
pub(super) fn connect(settings: &Settings) -> Packet {
    let properties = ConnectProperties {
        session_expiry_interval: u32::try_from(SESSION_EXPIRY.as_secs()).ok(),
        receive_maximum: Some(RECEIVE_MAXIMUM),
        max_packet_size: Some(MAX_PACKET_BYTES),
        ..ConnectProperties::new()
    };
    let connect = Connect {
        keep_alive: u16::try_from(keep_alive(settings).as_secs()).unwrap_or(u16::MAX),
        client_id: settings.client_id.clone(),
        clean_start: false,
        properties: Some(properties),
    };
    let topic = settings.topics.status();
    let will = LastWill::new(topic, settings.will.clone(), QoS::AtLeastOnce, true, None);
    Packet::Connect(connect, Some(will), None)
}

/// Asks for the session that the broker keeps for `client_id`, to leave it as it is: no last will, and
/// one command at a time, none of which is acknowledged.
pub(super) fn guest(client_id: &str) -> Packet {
    let properties = ConnectProperties {
        session_expiry_interval: u32::try_from(SESSION_EXPIRY.as_secs()).ok(),
        receive_maximum: Some(1),
        max_packet_size: Some(MAX_PACKET_BYTES),
        ..ConnectProperties::new()
    };
    let connect = Connect {
        keep_alive: GUEST_KEEP_ALIVE_S,
        client_id: client_id.to_owned(),
        clean_start: false,
        properties: Some(properties),
    };
    Packet::Connect(connect, None, None)
}

/// What becomes of a session when its guest leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// The broker keeps it, as before.
    Kept,
    /// The broker forgets it: it was made by the guest.
    Over,
}

/// Ends a guest's connection in order.
pub(super) fn leave(stay: Stay) -> Packet {
    let mut disconnect = Disconnect::new(DisconnectReasonCode::NormalDisconnection);
    if stay == Stay::Over {
        disconnect.properties = Some(DisconnectProperties {
            session_expiry_interval: Some(0),
            reason_string: None,
            user_properties: Vec::new(),
            server_reference: None,
        });
    }
    Packet::Disconnect(disconnect)
}

/// Subscribes to every command topic.
pub(super) fn subscribe(command_topics: &[String], packet_id: u16) -> Packet {
    let filter = |topic: &String| Filter {
        path: topic.clone(),
        qos: QoS::AtLeastOnce,
        nolocal: false,
        // Retain As Published: a command sent with the retain flag is known as such, and refused.
        preserve_retain: true,
        // Subscribing anew to heal must not bring a retained command each time.
        retain_forward_rule: RetainForwardRule::OnNewSubscribe,
    };
    let filters = command_topics.iter().map(filter).collect();
    Packet::Subscribe(Subscribe { pkid: packet_id, filters, properties: None })
}

/// Acknowledges a command.
pub(super) fn acknowledgement(packet_id: u16) -> Packet {
    Packet::PubAck(PubAck::new(packet_id, None))
}

/// Asks whether the broker lives.
pub(super) fn ping() -> Packet {
    Packet::PingReq(PingReq)
}

/// Ends the connection in order, without the last will.
pub(super) fn disconnect() -> Packet {
    Packet::Disconnect(Disconnect::new(DisconnectReasonCode::NormalDisconnection))
}
