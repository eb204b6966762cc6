//! What a broker's welcome allows, and whether a node can live with it. Pure.

use std::time::Duration;

use edge_protocol::limits::MAX_PACKET_BYTES;
use rumqttc::v5::mqttbytes::v5::{ConnAck, ConnectReturnCode};

/// Unacknowledged publishes: the loop's 32 events, the retained topics, and room.
const WINDOW: u16 = 64;
/// What a broker must take at least. An event too large for the broker is given up for good, so
/// one that takes next to nothing would empty the outbox: it is none.
const LEAST_PACKET_BYTES: u32 = 4 * 1024;
/// What an MQTT 5 PUBLISH adds to its topic and payload, at most: type, remaining length, topic
/// length, packet id, and the length of no properties.
const PUBLISH_OVERHEAD_BYTES: usize = 1 + 4 + 2 + 2 + 1;

/// What a broker takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Publishes that may wait for their acknowledgement at once; at least 1.
    pub(super) window: u16,
    /// The largest packet.
    pub(super) packet_bytes: u32,
    /// The silence after which it is asked whether it lives: never longer than ours, for a line
    /// that dies without a word is to be noticed, and whoever wants fewer pings can stand more.
    pub(super) keep_alive: Duration,
}

impl Limits {
    /// Before the broker has named any.
    pub(super) fn ours(keep_alive: Duration) -> Self {
        Self { window: WINDOW, packet_bytes: MAX_PACKET_BYTES, keep_alive }
    }

    /// As the broker's welcome says, within ours.
    ///
    /// # Errors
    /// Why this is no broker for a node, for a person: it refuses the node, or it does not offer
    /// what the contract needs of a broker (section 2).
    pub(super) fn of(welcome: &ConnAck, keep_alive: Duration) -> Result<Self, String> {
        if welcome.code != ConnectReturnCode::Success {
            return Err(format!("the broker refuses this node: {:?}", welcome.code));
        }
        let ours = Self::ours(keep_alive);
        let Some(theirs) = &welcome.properties else { return Ok(ours) };
        if theirs.max_qos == Some(0) {
            return Err("the broker offers no QoS 1".to_owned());
        }
        if theirs.retain_available == Some(0) {
            return Err("the broker keeps no retained messages".to_owned());
        }
        let window = theirs.receive_max.unwrap_or(u16::MAX).min(ours.window);
        if window == 0 {
            return Err("the broker takes no publish (its Receive Maximum is 0)".to_owned());
        }
        let packet_bytes = theirs.max_packet_size.unwrap_or(u32::MAX).min(ours.packet_bytes);
        if packet_bytes < LEAST_PACKET_BYTES {
            return Err(format!(
                "the broker takes {packet_bytes} bytes a packet: raise its limit to {LEAST_PACKET_BYTES} at least"
            ));
        }
        // 0 is "no keep-alive".
        let theirs = theirs.server_keep_alive.filter(|seconds| *seconds > 0);
        let theirs = theirs.map_or(keep_alive, |seconds| Duration::from_secs(seconds.into()));
        Ok(Self { window, packet_bytes, keep_alive: theirs.min(keep_alive) })
    }

    /// Whether a publish may be sent: one too large would end the connection, and sent again after
    /// each reconnect, it would keep the link down for ever.
    pub(super) fn admit(self, topic: &str, payload: &[u8]) -> bool {
        let bytes = PUBLISH_OVERHEAD_BYTES + topic.len() + payload.len();
        u32::try_from(bytes).is_ok_and(|bytes| bytes <= self.packet_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::wire::{Said, take};

    const OURS: Duration = Duration::from_secs(30);

    #[test]
    fn a_publish_fits_exactly_up_to_the_brokers_limit() {
        let limits = Limits { packet_bytes: 1_000, ..Limits::ours(OURS) };
        let topic = "edge/v1/nodes/pi-0042/events";
        let room = 1_000 - PUBLISH_OVERHEAD_BYTES - topic.len();
        assert!(limits.admit(topic, &vec![0; room]));
        assert!(!limits.admit(topic, &vec![0; room + 1]));
    }

    #[test]
    fn a_broker_that_names_no_limit_gets_ours() {
        let ours = Limits { window: 64, packet_bytes: 256 * 1024, keep_alive: OURS };
        assert_eq!(of(&[]), Ok(ours));
        let generous = [0x21, 0xff, 0xff, 0x27, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(of(&generous), Ok(ours));
    }

    #[test]
    fn a_shorter_keep_alive_is_kept_and_a_longer_one_or_none_changes_nothing() {
        let keep_alive = |seconds: u16| {
            let [high, low] = seconds.to_be_bytes();
            of(&[0x13, high, low]).unwrap().keep_alive.as_secs()
        };
        assert_eq!([1, 29, 30, 31, 65_535, 0].map(keep_alive), [1, 29, 30, 30, 30, 30]);
    }

    #[test]
    fn a_broker_that_lacks_what_a_node_needs_is_none() {
        let why = |properties: &[u8]| of(properties).unwrap_err();
        assert!(why(&[0x21, 0, 0]).contains("Receive Maximum"));
        assert!(why(&[0x24, 0]).contains("QoS 1"));
        assert!(why(&[0x25, 0]).contains("retained"));
        assert!(why(&[0x27, 0, 0, 0x0f, 0xff]).contains("4095 bytes"));
        assert!(of(&[0x27, 0, 0, 0x10, 0]).is_ok());
        // What a node has no use for may be lacking: wildcards, shared subscriptions and identifiers.
        assert!(of(&[0x28, 0, 0x29, 0, 0x2a, 0]).is_ok());
    }

    fn of(properties: &[u8]) -> Result<Limits, String> {
        let length = u8::try_from(properties.len()).unwrap();
        let packet = [&[0x20, 3 + length, 0, 0, length], properties].concat();
        let Ok(Some(Said::Welcome(welcome))) = take(&mut packet.as_slice().into()) else {
            panic!("a CONNACK")
        };
        Limits::of(&welcome, OURS)
    }
}
