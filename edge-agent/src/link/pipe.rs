//! One connection to a broker: TCP and TLS, and the bytes that wait on this side of it.
//!
//! It never waits for a write before it reads, keeps no more than one packet that came and a
//! bounded backlog of what is to go, and each of its waits can be broken off without losing a byte.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use rumqttc::tokio_rustls::TlsConnector;
use rumqttc::tokio_rustls::client::TlsStream;
use rumqttc::v5::mqttbytes;
use rumqttc::v5::mqttbytes::v5::{DisconnectReasonCode, Packet};
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::wire::{self, Malformed, Said};
use super::{Settings, tls};
use crate::chain;
use crate::endpoint::Endpoint;

/// No publish joins a backlog larger than this, and above it nothing more is read: what is read
/// asks for acknowledgements.
const BACKLOG_BYTES: usize = 64 * 1024;
/// How much is read at once, at least.
const READ_BYTES: usize = 4 * 1024;
/// How much of what a broker says of itself reaches a log or a terminal, in characters.
const QUOTED: usize = 200;

/// A connection to a broker.
#[derive(Debug)]
pub(super) struct Pipe {
    reader: ReadHalf<TlsStream<TcpStream>>,
    writer: WriteHalf<TlsStream<TcpStream>>,
    incoming: BytesMut,
    outgoing: BytesMut,
    /// Whether TLS has passed on everything that it was given.
    flushed: bool,
    /// Nothing can be written any more. What the broker said before it hung up is still read.
    deaf: bool,
    /// Since when what is to go has not moved; none where nothing is.
    stuck_since: Option<Instant>,
}

/// Why a connection could not be made, or ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    /// The name does not resolve, or nobody listens there.
    #[error("no connection")]
    Connect(#[source] io::Error),
    /// The endpoint is no name that a certificate could prove.
    #[error("the endpoint is neither a DNS name nor an address")]
    Name,
    /// TLS: wrong certificate, wrong version, no TLS at all.
    #[error("no TLS with the broker")]
    Handshake(#[source] io::Error),
    /// It ended without a DISCONNECT.
    // Mosquitto 2.0.11 hangs up on a takeover without the DISCONNECT that would say so.
    #[error(
        "the connection was closed without a word (if that happens again and again, another \
         agent may be using this node's identity)"
    )]
    Closed,
    /// It broke.
    #[error("the connection broke")]
    Line(#[source] io::Error),
    /// The broker does not keep to the protocol.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A packet of ours can't be sent.
    #[error("a packet can't be sent to this broker")]
    Unsendable(#[source] mqttbytes::Error),
}

impl Broken {
    /// What happened, for a person: short, whatever the broker said.
    pub(super) fn reason(&self) -> String {
        tls::mistrust(self).unwrap_or_else(|| quoted(&chain(self)))
    }

    fn of(error: io::Error) -> Self {
        let silent = matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
        );
        if silent { Self::Closed } else { Self::Line(error) }
    }
}

/// Words of somebody who may mean ill, fit for a log and a terminal.
pub(super) fn quoted(words: &str) -> String {
    words.chars().filter(|char| !char.is_control()).take(QUOTED).collect()
}

/// What a DISCONNECT says, for a person.
pub(super) fn goodbye(code: u8, words: Option<&str>) -> String {
    let name = DisconnectReasonCode::try_from(code)
        .map_or_else(|_| format!("{code:#04x}"), |name| format!("{name:?}"));
    format!("the broker hung up: {name} ({})", words.map_or("no reason given".to_owned(), quoted))
}

/// The name that the broker's certificate must have.
fn server_name(endpoint: &Endpoint) -> Result<ServerName<'static>, Broken> {
    ServerName::try_from(endpoint.host.clone()).map_err(|_| Broken::Name)
}

impl Pipe {
    /// Connects to `endpoint`, as whoever `settings` says.
    ///
    /// # Errors
    /// [`Broken::Connect`], [`Broken::Name`], [`Broken::Handshake`].
    pub(super) async fn open(settings: &Settings, endpoint: &Endpoint) -> Result<Self, Broken> {
        // Nobody is asked for a name that no certificate could prove.
        server_name(endpoint)?;
        let address = (endpoint.host.as_str(), endpoint.port);
        let stream = TcpStream::connect(address).await.map_err(Broken::Connect)?;
        Self::over(stream, endpoint, Arc::clone(&settings.tls)).await
    }

    /// Speaks TLS with `endpoint` over a connection.
    ///
    /// # Errors
    /// [`Broken::Connect`], [`Broken::Name`], [`Broken::Handshake`].
    pub(super) async fn over(
        stream: TcpStream,
        endpoint: &Endpoint,
        tls: Arc<rustls::ClientConfig>,
    ) -> Result<Self, Broken> {
        let name = server_name(endpoint)?;
        // An acknowledgement must not wait for the packet before it to be confirmed by TCP.
        stream.set_nodelay(true).map_err(Broken::Connect)?;
        let connector = TlsConnector::from(tls);
        let stream = connector.connect(name, stream).await.map_err(Broken::Handshake)?;
        let (reader, writer) = split(stream);
        Ok(Self {
            reader,
            writer,
            incoming: BytesMut::new(),
            outgoing: BytesMut::new(),
            flushed: true,
            deaf: false,
            stuck_since: None,
        })
    }

    /// Takes a packet of at most `max_bytes` for the broker.
    ///
    /// # Errors
    /// [`Broken::Unsendable`].
    pub(super) fn send(&mut self, packet: &Packet, max_bytes: u32) -> Result<(), Broken> {
        packet.write(&mut self.outgoing, Some(max_bytes)).map_err(Broken::Unsendable)?;
        self.stuck_since.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Whether a publish may join what is to go.
    pub(super) fn has_room(&self) -> bool {
        self.outgoing.len() < BACKLOG_BYTES
    }

    /// Since when what is to go has not moved; none where nothing is.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        self.stuck_since
    }

    /// The next packet that has come whole.
    ///
    /// # Errors
    /// [`Broken::Malformed`].
    pub(super) fn said(&mut self) -> Result<Option<Said>, Broken> {
        Ok(wire::take(&mut self.incoming)?)
    }

    /// Reads or writes some bytes. Broken off, it has lost none.
    ///
    /// # Errors
    /// [`Broken::Closed`], [`Broken::Line`].
    pub(super) async fn moves(&mut self) -> Result<(), Broken> {
        let reads = self.deaf || self.has_room();
        let writes = !(self.deaf || self.outgoing.is_empty() && self.flushed);
        if reads {
            self.incoming.reserve(wire::missing(&self.incoming).max(READ_BYTES));
        }
        tokio::select! {
            read = self.reader.read_buf(&mut self.incoming), if reads => match read {
                Ok(0) => return Err(Broken::Closed),
                Ok(_) => {}
                Err(error) => return Err(Broken::of(error)),
            },
            flushed = push(&mut self.writer, &mut self.outgoing), if writes => {
                self.flushed = matches!(flushed, Ok(true));
                self.deaf = flushed.is_err();
                self.stuck_since = (!self.flushed).then(Instant::now);
            }
        }
        Ok(())
    }
}

/// Writes some bytes of `outgoing`, or passes on all that were written; tells whether it did that.
async fn push(
    writer: &mut WriteHalf<TlsStream<TcpStream>>,
    outgoing: &mut BytesMut,
) -> io::Result<bool> {
    if outgoing.is_empty() {
        writer.flush().await.map(|()| true)
    } else {
        writer.write_buf(outgoing).await.map(|_| false)
    }
}
