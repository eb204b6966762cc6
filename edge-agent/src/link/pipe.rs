//! rumqttc, set up for one connection and thrown away with it.
//!
//! A new event loop for each connection, because the old one can't be trusted after an error: it
//! keeps unread events, topic aliases, packet ids, a colliding publish that blocks it for ever
//! (bytebeamio/rumqtt#1056), and a list of publishes of which it loses some and sends the rest
//! without being asked. All of that is dropped here, and the loop orders again what matters.

use std::time::Duration;

use edge_protocol::limits::MAX_PACKET_BYTES;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnAck, DisconnectReasonCode, Filter, LastWill, PubAckReason, RetainForwardRule,
};
use rumqttc::v5::{AsyncClient, ConnectionError, EventLoop, MqttOptions, StateError};
use rumqttc::{NetworkOptions, TlsConfiguration, Transport};

use super::Settings;
use super::arrivals::RECEIVE_MAXIMUM;
use super::tls;
use crate::endpoint::Endpoint;

/// From the first packet to the broker's welcome: name, TCP, TLS, CONNACK. A peer that stalls in
/// the middle of the handshake costs no more.
pub(super) const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long the broker keeps the session, and with it the commands, of a node that is away.
const SESSION_EXPIRY: Duration = Duration::from_secs(7 * 24 * 3_600);
/// Unacknowledged publishes: the loop's 32 events, the retained topics, and room. Unless limited,
/// rumqttc makes its table for 65,535 and costs 14 MB.
const WINDOW: u16 = 64;
/// Requests that rumqttc holds unsent: a full window and as many acknowledgements, twice.
pub(super) const CAPACITY: usize = 4 * WINDOW as usize;
/// rumqttc panics below 5 s, and MQTT counts seconds in 16 bits.
const KEEP_ALIVE_RANGE: (Duration, Duration) =
    (Duration::from_secs(5), Duration::from_secs(u16::MAX as u64));
/// What an MQTT 5 PUBLISH adds to its topic and payload, at most: type, remaining length, topic
/// length, packet id, and the length of no properties.
const PUBLISH_OVERHEAD_BYTES: usize = 1 + 4 + 2 + 2 + 1;

/// One connection to `endpoint`, not made before it is polled.
pub(super) fn open(settings: &Settings, endpoint: &Endpoint) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(&settings.client_id, &endpoint.host, endpoint.port);
    let rustls = TlsConfiguration::Rustls(settings.tls.clone());
    options.set_transport(Transport::tls_with_config(rustls));
    let mut network = NetworkOptions::new();
    // An acknowledgement must not wait for the packet before it to be confirmed by TCP.
    network.set_tcp_nodelay(true);
    options.set_network_options(network);
    options.set_connection_timeout(CONNECT_DEADLINE.as_secs());
    options.set_keep_alive(keep_alive(settings));
    options.set_clean_start(false);
    options.set_session_expiry_interval(u32::try_from(SESSION_EXPIRY.as_secs()).ok());
    options.set_max_packet_size(Some(MAX_PACKET_BYTES));
    options.set_receive_maximum(Some(RECEIVE_MAXIMUM));
    options.set_outgoing_inflight_upper_limit(WINDOW);
    options.set_manual_acks(true);
    options.set_last_will(LastWill::new(
        settings.topics.status(),
        settings.will.clone(),
        QoS::AtLeastOnce,
        true,
        None,
    ));
    AsyncClient::new(options, CAPACITY)
}

/// The configured keep-alive, within what MQTT and rumqttc take.
pub(super) fn keep_alive(settings: &Settings) -> Duration {
    settings.keep_alive.clamp(KEEP_ALIVE_RANGE.0, KEEP_ALIVE_RANGE.1)
}

/// The topics on which commands come for this node.
pub(super) fn command_topics(settings: &Settings) -> Vec<String> {
    let groups = settings.groups.iter().map(|group| settings.topics.group_commands(group));
    std::iter::once(settings.topics.commands()).chain(groups).collect()
}

/// The subscription to a command topic.
pub(super) fn filter(topic: &str) -> Filter {
    Filter {
        path: topic.to_owned(),
        qos: QoS::AtLeastOnce,
        nolocal: false,
        // Retain As Published: a command sent with the retain flag is known as such, and refused.
        preserve_retain: true,
        // Subscribing anew to heal must not bring a retained command each time.
        retain_forward_rule: RetainForwardRule::OnNewSubscribe,
    }
}

/// What a broker takes, as its welcome says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Publishes that may wait for their acknowledgement at once.
    pub(super) window: u16,
    packet_bytes: u32,
}

impl Default for Limits {
    /// Before the broker has named any.
    fn default() -> Self {
        Self { window: WINDOW, packet_bytes: MAX_PACKET_BYTES }
    }
}

impl Limits {
    pub(super) fn of(welcome: &ConnAck) -> Self {
        let ours = Self::default();
        let theirs = welcome.properties.as_ref();
        let window = theirs.and_then(|theirs| theirs.receive_max).unwrap_or(u16::MAX);
        let packet_bytes = theirs.and_then(|theirs| theirs.max_packet_size).unwrap_or(u32::MAX);
        Self { window: window.min(ours.window), packet_bytes: packet_bytes.min(ours.packet_bytes) }
    }

    /// Whether a publish may be handed to rumqttc, which drops the connection over one too large:
    /// sent again after each reconnect, it would keep the link down for ever.
    pub(super) fn admit(self, topic: &str, payload: &[u8]) -> bool {
        let bytes = PUBLISH_OVERHEAD_BYTES + topic.len() + payload.len();
        u32::try_from(bytes).is_ok_and(|bytes| bytes <= self.packet_bytes)
    }
}

/// The reason code of a refusal; none where the broker took the publish, with or without anybody
/// to give it to (0x10).
pub(super) fn refusal(reason: PubAckReason) -> Option<u8> {
    match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => None,
        PubAckReason::UnspecifiedError => Some(0x80),
        PubAckReason::ImplementationSpecificError => Some(0x83),
        PubAckReason::NotAuthorized => Some(0x87),
        PubAckReason::TopicNameInvalid => Some(0x90),
        PubAckReason::PacketIdentifierInUse => Some(0x91),
        PubAckReason::QuotaExceeded => Some(0x97),
        PubAckReason::PayloadFormatInvalid => Some(0x99),
    }
}

/// The reason code of a packet that is larger than the broker takes.
pub(super) const PACKET_TOO_LARGE: u8 = 0x95;

/// Why a connection ended or could not be made, for a person.
pub(super) fn describe(error: &ConnectionError) -> String {
    if let ConnectionError::Timeout(_) = error {
        return format!("no connection within {CONNECT_DEADLINE:?}");
    }
    // The broker's alert comes with the first packet that is read, as an error of reading it,
    // and that one hides what it wraps.
    let mistrust = if let ConnectionError::MqttState(StateError::Deserialization(error)) = error {
        tls::mistrust(error)
    } else {
        tls::mistrust(error)
    };
    if let Some(reason) = mistrust {
        return reason;
    }
    if let ConnectionError::ConnectionRefused(code) = error {
        return format!("the broker refuses this node: {code:?}");
    }
    let ConnectionError::MqttState(error) = error else {
        return error.to_string();
    };
    if let StateError::ServerDisconnect { reason_code, reason_string } = error {
        let said = reason_string.as_deref().unwrap_or("no reason given");
        return format!("the broker hung up: {reason_code:?} ({said})");
    }
    match error {
        StateError::AwaitPingResp => "the broker does not answer pings".to_owned(),
        // Mosquitto 2.0.11 hangs up on a takeover without the DISCONNECT that would say so.
        StateError::ConnectionAborted => "the connection was closed without a word (if that \
             happens again and again, another agent may be using this node's identity)"
            .to_owned(),
        StateError::Deserialization(error) => error.to_string(),
        StateError::Io(_)
        | StateError::Coversion(_)
        | StateError::InvalidState
        | StateError::Unsolicited(_)
        | StateError::WrongPacket
        | StateError::CollisionTimeout
        | StateError::EmptySubscription
        | StateError::InvalidAlias { .. }
        | StateError::OutgoingPacketTooLarge { .. }
        | StateError::IncomingPacketTooLarge { .. }
        | StateError::ServerDisconnect { .. }
        | StateError::ConnFail { .. } => error.to_string(),
    }
}

/// Whether the broker hung up because another client connected with this client id.
pub(super) fn taken_over(error: &ConnectionError) -> bool {
    matches!(
        error,
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_fits_exactly_up_to_the_brokers_limit() {
        let limits = Limits { window: 1, packet_bytes: 1_000 };
        let topic = "edge/v1/nodes/pi-0042/events";
        let room = 1_000 - PUBLISH_OVERHEAD_BYTES - topic.len();
        assert!(limits.admit(topic, &vec![0; room]));
        assert!(!limits.admit(topic, &vec![0; room + 1]));
    }

    #[test]
    fn a_broker_that_names_no_limit_gets_ours() {
        let welcome = ConnAck {
            session_present: false,
            code: rumqttc::v5::mqttbytes::v5::ConnectReturnCode::Success,
            properties: None,
        };
        let limits = Limits::of(&welcome);
        assert_eq!((limits.window, limits.packet_bytes), (64, 256 * 1024));
    }

    #[test]
    fn nobody_listening_is_no_refusal() {
        assert_eq!(refusal(PubAckReason::NoMatchingSubscribers), None);
        assert_eq!(refusal(PubAckReason::NotAuthorized), Some(0x87));
        assert_eq!(refusal(PubAckReason::PayloadFormatInvalid), Some(0x99));
    }
}
