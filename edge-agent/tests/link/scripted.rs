//! A broker whose every move is written down, on a thread of its own, byte by byte.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio::time::timeout;

use crate::authority::Authority;
use crate::node::PATIENCE;

pub(crate) struct Scripted {
    pub(crate) port: u16,
    /// Every event that was acknowledged.
    pub(crate) acknowledged: Acknowledged,
    script: JoinHandle<()>,
}

type Acknowledged = Arc<Mutex<BTreeSet<Vec<u8>>>>;

impl Scripted {
    pub(crate) fn start(
        authority: &Authority,
        script: impl FnOnce(&mut Stage) + Send + 'static,
    ) -> Self {
        Self::start_with(authority.server(), script)
    }

    /// As [`Self::start`], listening with `tls`.
    pub(crate) fn start_with(
        tls: Arc<ServerConfig>,
        script: impl FnOnce(&mut Stage) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let acknowledged = Acknowledged::default();
        let mut stage = Stage { listener, tls, acknowledged: Arc::clone(&acknowledged) };
        Self { port, acknowledged, script: thread::spawn(move || script(&mut stage)) }
    }

    /// Whether the last line of the script was reached, or it failed.
    pub(crate) fn is_over(&self) -> bool {
        self.script.is_finished()
    }

    /// Waits for the last line of the script; a failed expectation of it fails the test.
    pub(crate) async fn finish(self) {
        let ended = tokio::task::spawn_blocking(|| self.script.join());
        timeout(PATIENCE, ended).await.expect("the script ends").unwrap().expect("as scripted");
    }
}

pub(crate) struct Stage {
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    acknowledged: Acknowledged,
}

impl Stage {
    /// The next connection, TLS not yet spoken.
    pub(crate) fn accept_tcp(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The next connection, up to and with its CONNECT, which is given raw.
    pub(crate) fn accept(&self) -> (Peer, Vec<u8>) {
        let tls = ServerConnection::new(Arc::clone(&self.tls)).unwrap();
        let stream = StreamOwned::new(tls, self.accept_tcp());
        let acknowledged = Arc::clone(&self.acknowledged);
        let mut peer = Peer { stream, pace: None, published: BTreeMap::new(), acknowledged };
        match peer.next() {
            Some(Packet::Connect(body)) => (peer, body),
            other => panic!("expected CONNECT, not {other:?}"),
        }
    }

    /// The next connection, welcomed and its subscription granted.
    pub(crate) fn accept_up(&self, session_present: bool) -> Peer {
        let (mut peer, _) = self.accept();
        peer.welcome(session_present, &[]);
        peer.grant_subscription();
        peer
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet {
    Connect(Vec<u8>),
    /// Packet id, and each filter with its options.
    Subscribe(u16, Vec<(String, u8)>),
    Publish {
        id: u16,
        payload: Vec<u8>,
    },
    PubAck(u16),
    Ping,
    Disconnect,
}

/// A node that is connected.
pub(crate) struct Peer {
    stream: StreamOwned<ServerConnection, TcpStream>,
    /// The pause before each byte, where bytes go one by one.
    pace: Option<Duration>,
    published: BTreeMap<u16, Vec<u8>>,
    acknowledged: Acknowledged,
}

impl Peer {
    /// The next packet; none at the end of the connection.
    pub(crate) fn next(&mut self) -> Option<Packet> {
        let kind = self.byte()?;
        let mut length = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).ok()?;
        let number = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
        Some(match kind >> 4 {
            1 => Packet::Connect(body),
            3 => {
                let topic_end = 2 + usize::from(number(0));
                let (id, properties) =
                    if kind & 6 == 0 { (0, topic_end) } else { (number(topic_end), topic_end + 2) };
                assert_eq!(body[properties], 0, "no properties");
                let payload = body[properties + 1..].to_vec();
                self.published.insert(id, payload.clone());
                Packet::Publish { id, payload }
            }
            4 => Packet::PubAck(number(0)),
            8 => {
                let mut filters = vec![];
                let mut at = 3;
                while at < body.len() {
                    let end = at + 2 + usize::from(number(at));
                    let filter = String::from_utf8(body[at + 2..end].to_vec()).unwrap();
                    filters.push((filter, body[end]));
                    at = end + 1;
                }
                Packet::Subscribe(number(0), filters)
            }
            12 => Packet::Ping,
            14 => Packet::Disconnect,
            other => panic!("a client sends no packet of type {other}"),
        })
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).ok()?;
        Some(byte[0])
    }

    /// The next event's packet id and text.
    pub(crate) fn event(&mut self) -> (u16, String) {
        match self.next() {
            Some(Packet::Publish { id, payload }) => (id, String::from_utf8(payload).unwrap()),
            other => panic!("expected PUBLISH, not {other:?}"),
        }
    }

    pub(crate) fn welcome(&mut self, session_present: bool, properties: &[u8]) {
        let length = u8::try_from(properties.len()).unwrap();
        self.send(0x20, &[&[u8::from(session_present), 0, length], properties].concat());
    }

    /// Reads the SUBSCRIBE and answers each filter with `code`; gives the filters.
    pub(crate) fn answer_subscription(&mut self, code: u8) -> Vec<(String, u8)> {
        match self.next() {
            Some(Packet::Subscribe(id, filters)) => {
                let codes = vec![code; filters.len()];
                self.send(0x90, &[&id.to_be_bytes(), &[0][..], &codes].concat());
                filters
            }
            other => panic!("expected SUBSCRIBE, not {other:?}"),
        }
    }

    pub(crate) fn grant_subscription(&mut self) {
        self.answer_subscription(1);
    }

    pub(crate) fn acknowledge(&mut self, id: u16) {
        self.record(id);
        self.send(0x40, &id.to_be_bytes());
    }

    fn record(&mut self, id: u16) {
        self.acknowledged.lock().unwrap().extend(self.published.get(&id).cloned());
    }

    /// Answers with a reason code, which may be one of success.
    pub(crate) fn refuse(&mut self, id: u16, reason: u8) {
        if [0, 0x10].contains(&reason) {
            self.record(id);
        }
        self.send(0x40, &[&id.to_be_bytes()[..], &[reason]].concat());
    }

    /// A command at QoS 1.
    pub(crate) fn command(&mut self, id: u16, payload: &str) {
        let topic = b"edge/v1/nodes/pi-0042/commands";
        let length = u16::try_from(topic.len()).unwrap().to_be_bytes();
        self.send(
            0x32,
            &[&length, &topic[..], &id.to_be_bytes(), &[0], payload.as_bytes()].concat(),
        );
    }

    pub(crate) fn disconnect(&mut self, reason: u8) {
        self.send(0xe0, &[reason, 0]);
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        let length = u8::try_from(body.len()).ok().filter(|length| *length < 0x80).unwrap();
        self.raw(&[&[kind, length], body].concat()).unwrap();
    }

    /// Sends `bytes` as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.pace {
            None => self.stream.write_all(bytes)?,
            Some(pace) => {
                for byte in bytes {
                    thread::sleep(pace);
                    self.stream.write_all(&[*byte])?;
                    self.stream.flush()?;
                }
            }
        }
        self.stream.flush()
    }

    /// Sends every byte from now on by itself, so long after the one before.
    pub(crate) fn one_byte_each(&mut self, pace: Duration) {
        self.pace = Some(pace);
    }

    /// Whether the node hangs up, whatever it says before. It is given [`PROMPT`] of silence.
    pub(crate) fn is_hung_up_on(&mut self) -> bool {
        self.stream.sock.set_read_timeout(Some(PROMPT)).unwrap();
        let mut heard = [0; 4096];
        loop {
            match self.stream.read(&mut heard) {
                Ok(1..) => {}
                Err(error) if is_silence(&error) => return false,
                Ok(0) | Err(_) => return true,
            }
        }
    }
}

/// A node that has not hung up by then is not going to: far more than it needs, on a busy machine too.
const PROMPT: Duration = Duration::from_secs(8);

fn is_silence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
