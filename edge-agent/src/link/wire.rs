//! What a broker may say to a node, read out of the bytes that came. Pure.
//!
//! rumqttc reads the packets, but none that was not framed and checked here first. Left alone it
//! drops a packet that ends too early and waits for another, a DISCONNECT in its short form among
//! them; it reads a property beyond the end that its list names; and it gives up the connection
//! over a refusal that the standard doesn't name, which mosquitto sends for an event that is too
//! large: sent again after each reconnect, that would hold up everything behind it for ever.
//!
//! Nothing here keeps more than one packet, and none is larger than the node announced.

use bytes::BytesMut;
use edge_protocol::limits::MAX_PACKET_BYTES;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet, Publish, SubAck};

use Layout::{Acknowledgement, Connection, Departure, Message, Pulse, Subscription};

/// A packet that a broker may send to a node that publishes and subscribes at QoS 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// CONNACK.
    Welcome(ConnAck),
    /// SUBACK.
    Subscribed(SubAck),
    /// PUBLISH, at any QoS.
    Message(Publish),
    /// PUBACK.
    Answer {
        /// Never 0.
        packet_id: u16,
        /// The reason code of a refusal, 0x80 or above; none where the broker took the publish,
        /// with or without anybody to give it to (0x10).
        refusal: Option<u8>,
    },
    /// PINGRESP.
    Pulse,
    /// DISCONNECT.
    Goodbye {
        /// The reason code; not necessarily one that the standard names.
        code: u8,
        /// The broker's own words, of any length.
        words: Option<String>,
    },
}

/// Bytes that are no packet that a broker may send to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// It says that it is larger than the node takes.
    #[error("the broker sends a packet of {bytes} bytes, more than the {MAX_PACKET_BYTES} allowed")]
    TooLarge {
        /// With its header.
        bytes: usize,
    },
    /// Its length takes more than four bytes.
    #[error("the broker sends a packet whose length can't be read")]
    Length,
    /// It is one that only clients send, that belongs to QoS 2, or none at all.
    #[error("the broker sends what no broker may send to a node (first byte {first:#04x})")]
    Kind {
        /// Its first byte.
        first: u8,
    },
    /// What is in it can't be read, or breaks a rule.
    #[error("the broker sends a {name} that can't be read")]
    Body {
        /// Which packet.
        name: &'static str,
    },
}

/// The next packet of `incoming`, taken out of it; none while it has not come whole.
///
/// # Errors
/// What came is no packet. What follows it can't be read either.
pub(super) fn take(incoming: &mut BytesMut) -> Result<Option<Said>, Malformed> {
    let Some(&first) = incoming.first() else { return Ok(None) };
    let layout = Layout::of(first)?;
    let Some((length, digits)) = length(&incoming[1..]).map_err(|Endless| Malformed::Length)?
    else {
        return Ok(None);
    };
    let header = 1 + digits;
    let bytes = header + length;
    if u32::try_from(bytes).map_or(true, |bytes| bytes > MAX_PACKET_BYTES) {
        return Err(Malformed::TooLarge { bytes });
    }
    if incoming.len() < bytes {
        return Ok(None);
    }
    let packet = incoming.split_to(bytes);
    let said = layout.read(packet, header).ok_or(Malformed::Body { name: layout.name() })?;
    Ok(Some(said))
}

/// How many more bytes the packet at the start of `incoming` needs, as far as is known: at least 1,
/// and never more than the largest packet.
pub(super) fn missing(incoming: &[u8]) -> usize {
    let Some((length, digits)) = incoming.get(1..).and_then(|rest| length(rest).ok().flatten())
    else {
        return 1;
    };
    let limit = usize::try_from(MAX_PACKET_BYTES).unwrap_or(usize::MAX);
    (1 + digits + length).min(limit).saturating_sub(incoming.len()).max(1)
}

/// What is in which order in a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Flags, reason code, properties.
    Connection,
    /// Topic, packet id above QoS 0, properties, payload.
    Message { identified: bool },
    /// Packet id; perhaps a reason code; perhaps properties.
    Acknowledgement,
    /// Packet id, properties, reason codes.
    Subscription,
    /// Nothing.
    Pulse,
    /// Perhaps a reason code; perhaps properties.
    Departure,
}

impl Layout {
    /// Told by the first byte, its flags included.
    fn of(first: u8) -> Result<Self, Malformed> {
        Ok(match first {
            0x20 => Connection,
            // At most once there is nothing to repeat, so the DUP flag is not set.
            0x30 | 0x31 => Message { identified: false },
            0x32..=0x35 | 0x3a..=0x3d => Message { identified: true },
            0x40 => Acknowledgement,
            0x90 => Subscription,
            0xd0 => Pulse,
            0xe0 => Departure,
            first => return Err(Malformed::Kind { first }),
        })
    }

    fn name(self) -> &'static str {
        match self {
            Connection => "CONNACK",
            Message { .. } => "PUBLISH",
            Acknowledgement => "PUBACK",
            Subscription => "SUBACK",
            Pulse => "PINGRESP",
            Departure => "DISCONNECT",
        }
    }

    /// Reads a whole packet; none where it can't be.
    fn read(self, packet: BytesMut, header: usize) -> Option<Said> {
        let body = packet.get(header..)?;
        match self {
            Connection => {
                let (&[flags, _], rest) = body.split_first_chunk()?;
                if flags > 1 || !past_properties(rest, ANY)?.is_empty() {
                    return None;
                }
            }
            Message { identified } => {
                let (_, mut rest) = text(body)?;
                if identified {
                    let (packet_id, behind) = rest.split_first_chunk()?;
                    rest = Some(behind).filter(|_| *packet_id != [0, 0])?;
                }
                past_properties(rest, ANY)?;
            }
            Subscription => {
                let (_, rest) = body.split_first_chunk::<2>()?;
                past_properties(rest, ANY)?;
            }
            Acknowledgement => return answer(body),
            Pulse => return body.is_empty().then_some(Said::Pulse),
            Departure => return departure(body, &packet),
        }
        match by_rumqttc(&packet)? {
            Packet::ConnAck(welcome) => Some(Said::Welcome(welcome)),
            Packet::Publish(publish) => Some(Said::Message(publish)),
            Packet::SubAck(answer) => Some(Said::Subscribed(answer)),
            Packet::Auth(_)
            | Packet::Connect(..)
            | Packet::PubAck(_)
            | Packet::PingReq(_)
            | Packet::PingResp(_)
            | Packet::Subscribe(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::Unsubscribe(_)
            | Packet::UnsubAck(_)
            | Packet::Disconnect(_) => None,
        }
    }
}

/// A PUBACK. Any refusal counts, named by the standard or not.
fn answer(body: &[u8]) -> Option<Said> {
    let (id, rest) = body.split_first_chunk()?;
    let (code, rest) = rest.split_first().map_or((0, rest), |(code, rest)| (*code, rest));
    if !rest.is_empty() && !past_properties(rest, OF_ANSWERS)?.is_empty() {
        return None;
    }
    let refusal = match code {
        0x00 | 0x10 => None,
        0x80.. => Some(code),
        0x01..0x80 => return None,
    };
    let packet_id = u16::from_be_bytes(*id);
    (packet_id != 0).then_some(Said::Answer { packet_id, refusal })
}

/// A DISCONNECT, also in the short forms that rumqttc doesn't read.
fn departure(body: &[u8], packet: &BytesMut) -> Option<Said> {
    let (code, rest) = body.split_first().map_or((0, body), |(code, rest)| (*code, rest));
    if !rest.is_empty() && !past_properties(rest, ANY)?.is_empty() {
        return None;
    }
    let mut words = None;
    if !rest.is_empty()
        && let Some(Packet::Disconnect(disconnect)) = by_rumqttc(packet)
    {
        words = disconnect.properties.and_then(|properties| properties.reason_string);
    }
    Some(Said::Goodbye { code, words })
}

/// A copy, so that no part of it keeps alive the buffer that it came in.
fn by_rumqttc(packet: &[u8]) -> Option<Packet> {
    Packet::read(&mut BytesMut::from(packet), None).ok()
}

/// A variable byte integer that goes on after its fourth byte.
#[derive(Debug)]
struct Endless;

/// The variable byte integer at the start of `bytes` and how many bytes it takes; none while it
/// has not come whole.
fn length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Endless> {
    let mut value = 0;
    for (position, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Ok(Some((value, position + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Endless) }
}

/// A string or binary data with its length in front, and what follows it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))
}

/// Of a packet that rumqttc reads, which knows what may be in it.
const ANY: u64 = u64::MAX;
/// Of a PUBACK: a reason, and what the broker's owner likes.
const OF_ANSWERS: u64 = 1 << 31 | 1 << 38;

/// What follows the properties at the start of `bytes`; none unless they fill exactly the room
/// that they name, each `allowed` and at most once.
fn past_properties(bytes: &[u8], allowed: u64) -> Option<&[u8]> {
    let (size, digits) = length(bytes).ok()??;
    let (mut list, rest) = bytes[digits..].split_at_checked(size)?;
    let mut seen = 0_u64;
    while let Some((&kind, value)) = list.split_first() {
        let size = match kind {
            1 | 23 | 25 | 36 | 37 | 40 | 41 | 42 => 1,
            19 | 33 | 34 | 35 => 2,
            2 | 17 | 24 | 39 => 4,
            11 => length(value).ok()??.1,
            3 | 8 | 9 | 18 | 21 | 22 | 26 | 28 | 31 => value.len() - text(value)?.1.len(),
            38 => value.len() - text(text(value)?.1)?.1.len(),
            _ => return None,
        };
        let bit = 1 << kind;
        // User properties and subscription identifiers may come again.
        let again = seen & bit != 0 && !matches!(kind, 11 | 38);
        if again || allowed & bit == 0 {
            return None;
        }
        seen |= bit;
        list = value.get(size..)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests;
