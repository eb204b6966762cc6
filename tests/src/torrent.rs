//! A publisher that pours: MQTT 5 by hand over TLS, many packets a write, so that the broker and
//! the node are what is measured, and not the client.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tokio::time::Instant;

/// Publishes that wait for their acknowledgement: what the lab's broker allows a client.
const WINDOW: usize = 100;
/// How long a read waits for acknowledgements before the next publishes are due.
const LOOK: Duration = Duration::from_millis(1);
/// A broker that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);

/// What to pour, where and how fast.
#[derive(Debug)]
pub struct Torrent {
    /// The broker's port on loopback.
    pub port: u16,
    /// The identity to show and the authority to trust.
    pub tls: Arc<ClientConfig>,
    /// The MQTT client id.
    pub client_id: String,
    /// Where to.
    pub topic: String,
    /// Messages a second, at most.
    pub rate: u64,
    /// How many in all.
    pub count: u64,
}

/// What became of it.
#[derive(Debug, Clone, Copy)]
pub struct Poured {
    /// From the first message to the broker's acknowledgement of the last.
    pub took: Duration,
    /// Messages that the broker acknowledged.
    pub count: u64,
}

impl Torrent {
    /// Pours from a thread of its own; `message` gives each payload by its number, from 0.
    pub fn pour(
        self,
        message: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> JoinHandle<Result<Poured>> {
        std::thread::spawn(move || self.run(message))
    }

    fn run(self, message: impl Fn(u64) -> Vec<u8>) -> Result<Poured> {
        let mut line = Line::connect(&self)?;
        let begun = Instant::now();
        let (mut sent, mut acknowledged) = (0, 0);
        while acknowledged < self.count {
            let due = u64::try_from(begun.elapsed().as_millis())? * self.rate / 1_000;
            let window = acknowledged + WINDOW as u64;
            let until = due.min(window).min(self.count);
            let mut packets = vec![];
            for number in sent..until {
                publish(&mut packets, &self.topic, packet_id(number)?, &message(number));
            }
            sent = until.max(sent);
            line.write(&packets)?;
            acknowledged += line.acknowledgements()?;
        }
        Ok(Poured { took: begun.elapsed(), count: acknowledged })
    }
}

/// Packet ids go round, and 0 is none.
fn packet_id(number: u64) -> Result<u16> {
    Ok(u16::try_from(number % 50_000)? + 1)
}

struct Line {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// What came and is no whole packet yet.
    rest: Vec<u8>,
    heard: Instant,
}

impl Line {
    fn connect(torrent: &Torrent) -> Result<Self> {
        let socket = TcpStream::connect(("127.0.0.1", torrent.port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(LOOK))?;
        let name = "localhost".try_into()?;
        let connection = ClientConnection::new(Arc::clone(&torrent.tls), name)?;
        let stream = StreamOwned::new(connection, socket);
        let mut line = Self { stream, rest: vec![], heard: Instant::now() };
        // MQTT 5, clean start, keep-alive off, no properties.
        let mut body = b"\x00\x04MQTT\x05\x02\x00\x00\x00".to_vec();
        text(&mut body, &torrent.client_id);
        line.write(&packet(0x10, &body))?;
        loop {
            line.read()?;
            if let Some((kind, body)) = line.next() {
                ensure!(kind == 0x20 && body.get(1) == Some(&0), "refused: {body:?}");
                return Ok(line);
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let mut bytes = bytes;
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if is_slow(&error) => {}
                Err(error) => bail!(error),
            }
        }
        loop {
            match self.stream.flush() {
                Ok(()) => return Ok(()),
                Err(error) if is_slow(&error) => {}
                Err(error) => bail!(error),
            }
        }
    }

    /// How many publishes were acknowledged since the last look.
    fn acknowledgements(&mut self) -> Result<u64> {
        self.read()?;
        let mut count = 0;
        while let Some((kind, body)) = self.next() {
            ensure!(kind == 0x40, "the broker sends {kind:#x}: {body:?}");
            // Nobody reads them there, says the broker where the node has not subscribed yet.
            ensure!(body.get(2).is_none_or(|code| matches!(code, 0 | 0x10)), "refused: {body:?}");
            count += 1;
        }
        Ok(count)
    }

    fn read(&mut self) -> Result<()> {
        let mut piece = [0; 16_384];
        match self.stream.read(&mut piece) {
            Ok(0) => bail!("the broker hung up"),
            Ok(length) => {
                self.rest.extend_from_slice(&piece[..length]);
                self.heard = Instant::now();
            }
            Err(error) if is_slow(&error) => {
                ensure!(self.heard.elapsed() < SILENCE, "the broker says nothing");
            }
            Err(error) => bail!(error),
        }
        Ok(())
    }

    /// The first whole packet that came. What a broker sends to such a client is short.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let length = usize::from(*self.rest.get(1)?);
        let whole = 2 + length;
        (self.rest.len() >= whole).then(|| {
            let packet: Vec<u8> = self.rest.drain(..whole).collect();
            (packet[0], packet[2..].to_vec())
        })
    }
}

fn is_slow(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn publish(packets: &mut Vec<u8>, topic: &str, packet_id: u16, payload: &[u8]) {
    let mut body = vec![];
    text(&mut body, topic);
    body.extend_from_slice(&packet_id.to_be_bytes());
    body.push(0);
    body.extend_from_slice(payload);
    // QoS 1.
    packets.extend(packet(0x32, &body));
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length % 128).expect("it is below 128");
        length /= 128;
        packet.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("a topic is short");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publish_is_written_as_the_standard_says() {
        let mut packets = vec![];
        publish(&mut packets, "a/b", 7, b"{}");
        assert_eq!(packets, b"\x32\x0a\x00\x03a/b\x00\x07\x00{}");
        assert_eq!(packet(0x32, &[0; 200])[..3], [0x32, 0xc8, 0x01]);
    }
}
