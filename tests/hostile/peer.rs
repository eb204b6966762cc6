//! The hostile broker's end of one connection: TLS, and packets by hand.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A node that says nothing for so long is left.
const SILENCE: Duration = Duration::from_millis(500);

/// A node, believing that this is its broker.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: StreamOwned<ServerConnection, TcpStream>,
}

/// What a node sends: the first byte, and what follows the length.
pub(crate) type Packet = (u8, Vec<u8>);

impl Peer {
    /// Speaks TLS, as a broker that the node trusts.
    pub(crate) fn new(stream: TcpStream, tls: Arc<ServerConfig>) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        stream.set_write_timeout(Some(2 * SILENCE))?;
        let tls = ServerConnection::new(tls).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Self { stream })
    }

    /// The next packet.
    pub(crate) fn next(&mut self) -> io::Result<Packet> {
        let mut first = [0];
        self.stream.read_exact(&mut first)?;
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let mut byte = [0];
            self.stream.read_exact(&mut byte)?;
            length |= usize::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((first[0], body))
    }

    /// The next packet of this type, others passed over.
    pub(crate) fn next_of(&mut self, kind: u8) -> io::Result<Packet> {
        loop {
            let packet = self.next()?;
            if packet.0 >> 4 == kind {
                return Ok(packet);
            }
        }
    }

    /// The packet id of the next event, status or state.
    pub(crate) fn next_publish(&mut self) -> io::Result<u16> {
        loop {
            let (first, body) = self.next_of(3)?;
            let [high, low] = body[..2].try_into().unwrap_or_default();
            let behind = 2 + usize::from(u16::from_be_bytes([high, low]));
            if first & 6 != 0
                && let Some(&[high, low]) = body.get(behind..behind + 2)
            {
                return Ok(u16::from_be_bytes([high, low]));
            }
        }
    }

    /// Takes the CONNECT and answers it.
    pub(crate) fn welcome(&mut self, session_present: bool) -> io::Result<()> {
        self.next_of(1)?;
        self.send(0x20, &[&[u8::from(session_present), 0, 0]])
    }

    /// Grants the subscriptions too.
    pub(crate) fn bring_up(&mut self, session_present: bool) -> io::Result<()> {
        self.welcome(session_present)?;
        let (_, subscribe) = self.next_of(8)?;
        // As many filters as there are option bytes behind them.
        let mut filters = vec![];
        let mut rest = &subscribe[3..];
        while let Some((&[high, low], behind)) = rest.split_first_chunk() {
            filters.push(1);
            rest = &behind[usize::from(u16::from_be_bytes([high, low])) + 1..];
        }
        self.send(0x90, &[&subscribe[..2], &[0], &filters])
    }

    /// Answers a publish.
    pub(crate) fn answer(&mut self, packet_id: u16, code: u8) -> io::Result<()> {
        self.send(0x40, &[&packet_id.to_be_bytes(), &[code]])
    }

    /// Publishes to the node.
    pub(crate) fn publish(
        &mut self,
        topic: &str,
        packet_id: u16,
        properties: &[u8],
        payload: &[u8],
    ) -> io::Result<()> {
        let id = packet_id.to_be_bytes();
        // At QoS 0 where there is no packet id.
        let (first, id) = if packet_id == 0 { (0x30, &id[..0]) } else { (0x32, &id[..]) };
        let topic_size = u16::try_from(topic.len()).map_err(io::Error::other)?.to_be_bytes();
        let size = u8::try_from(properties.len()).map_err(io::Error::other)?;
        self.send(first, &[&topic_size, topic.as_bytes(), id, &[size], properties, payload])
    }

    /// Sends a packet, its length as it is.
    pub(crate) fn send(&mut self, first: u8, parts: &[&[u8]]) -> io::Result<()> {
        let body = parts.concat();
        let mut packet = vec![first];
        let mut length = body.len();
        loop {
            let more = if length > 0x7f { 0x80 } else { 0 };
            packet.push(u8::try_from(length & 0x7f).map_err(io::Error::other)? | more);
            length >>= 7;
            if more == 0 {
                break;
            }
        }
        packet.extend_from_slice(&body);
        self.raw(&packet)
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        self.stream.flush()
    }

    /// Listens until the node hangs up or falls silent.
    pub(crate) fn drain(&mut self) -> io::Result<()> {
        let mut heard = [0; 4096];
        while self.stream.read(&mut heard)? > 0 {}
        Ok(())
    }
}
