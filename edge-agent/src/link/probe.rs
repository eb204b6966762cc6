//! A look at one broker, step by step: its name, its port, TLS, the login, and what the node may do
//! there. For `edge-agent doctor`; the agent itself connects with all of it at once.
//!
//! A guest logs in under the node's own client id, so it must never do so while the agent runs: each
//! would throw the other out. It resumes the session that the broker keeps for the node and leaves it
//! as it was: it acknowledges no command, so that the broker brings each again to the agent, and it has
//! no last will. A session that there was not before is forgotten again ([`Guest::leave`]).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish, SubscribeReasonCode};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::packets::{self, Stay};
use super::pipe::{Broken, Pipe, goodbye};
use super::welcome::Limits;
use super::wire::Said;
use crate::endpoint::Endpoint;

/// Each step takes no longer.
const PATIENCE: Duration = Duration::from_secs(5);
/// A broker that does not accept our certificate says so about now: in TLS 1.3 that comes after the
/// handshake has ended for us.
const ALERT_WAIT: Duration = Duration::from_millis(500);
const SUBSCRIPTION_ID: u16 = 1;
const PUBLISH_ID: u16 = 2;

/// The addresses of a broker's name.
///
/// # Errors
/// Why it has none, for a person.
pub async fn resolve(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, String> {
    let found = lookup_host((endpoint.host.as_str(), endpoint.port));
    match timeout(PATIENCE, found).await {
        Ok(Ok(addresses)) => {
            let addresses: Vec<_> = addresses.collect();
            if addresses.is_empty() { Err("it has no address".to_owned()) } else { Ok(addresses) }
        }
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(late()),
    }
}

/// A connection to the first of these addresses that takes one.
///
/// # Errors
/// Why the last did not, for a person.
pub async fn reach(addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), String> {
    let mut reason = "it has no address".to_owned();
    for address in addresses {
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok((stream, *address)),
            Ok(Err(error)) => reason = error.to_string(),
            Err(_) => reason = late(),
        }
    }
    Err(reason)
}

/// Whether broker and node trust each other's certificates, as far as the broker says so by now.
///
/// # Errors
/// Who does not trust whom, and why, for a person.
pub async fn shake_hands(
    stream: TcpStream,
    endpoint: &Endpoint,
    tls: Arc<rustls::ClientConfig>,
) -> Result<Guest, String> {
    let pipe = match timeout(PATIENCE, Pipe::over(stream, endpoint, tls)).await {
        Ok(pipe) => pipe.map_err(|broken| broken.reason())?,
        Err(_) => return Err(late()),
    };
    let limits = Limits::ours(PATIENCE);
    let mut guest = Guest { pipe, limits };
    match timeout(ALERT_WAIT, guest.pipe.moves()).await {
        Ok(Err(broken)) => Err(broken.reason()),
        // A broker waits for the client to speak first.
        Ok(Ok(())) | Err(_) => Ok(guest),
    }
}

/// Somebody who shook hands with a broker.
#[derive(Debug)]
pub struct Guest {
    pipe: Pipe,
    limits: Limits,
}

impl Guest {
    /// Logs in as `client_id`. Tells whether the broker had a session for it.
    ///
    /// # Errors
    /// Why it is not let in, for a person.
    pub async fn log_in(&mut self, client_id: &str) -> Result<bool, String> {
        self.send(&packets::guest(client_id))?;
        let welcome = self.hear(|said| match said {
            Said::Welcome(welcome) => Some(welcome),
            Said::Subscribed(_)
            | Said::Message(_)
            | Said::Answer { .. }
            | Said::Pulse
            | Said::Goodbye { .. } => None,
        });
        let welcome = welcome.await?;
        self.limits = Limits::of(&welcome, PATIENCE)?;
        Ok(welcome.session_present)
    }

    /// Subscribes to `topics` as the agent does. Tells of each why it is not granted, if it is not.
    ///
    /// # Errors
    /// The connection ended, or nothing came.
    pub async fn subscribe(&mut self, topics: &[String]) -> Result<Vec<Option<String>>, String> {
        self.send(&packets::subscribe(topics, SUBSCRIPTION_ID))?;
        let answer = self.hear(|said| match said {
            Said::Subscribed(answer) => Some(answer),
            Said::Welcome(_)
            | Said::Message(_)
            | Said::Answer { .. }
            | Said::Pulse
            | Said::Goodbye { .. } => None,
        });
        let refusal = |code: &SubscribeReasonCode| {
            let granted =
                matches!(code, SubscribeReasonCode::Success(QoS::AtLeastOnce | QoS::ExactlyOnce));
            (!granted).then(|| format!("{code:?}"))
        };
        Ok(answer.await?.return_codes.iter().map(refusal).collect())
    }

    /// Publishes `payload`, not retained. Tells the reason code of a refusal, if it is refused.
    ///
    /// # Errors
    /// The connection ended, or nothing came.
    pub async fn publish(&mut self, topic: String, payload: Vec<u8>) -> Result<Option<u8>, String> {
        let publish = Publish::new(topic, QoS::AtLeastOnce, payload, None);
        self.send(&Packet::Publish(Publish { pkid: PUBLISH_ID, ..publish }))?;
        self.hear(|said| match said {
            Said::Answer { packet_id: PUBLISH_ID, refusal } => Some(refusal),
            Said::Answer { .. }
            | Said::Welcome(_)
            | Said::Subscribed(_)
            | Said::Message(_)
            | Said::Pulse
            | Said::Goodbye { .. } => None,
        })
        .await
    }

    /// Logs out. With [`Stay::Over`] the broker forgets the session and what waits in it.
    pub async fn leave(mut self, stay: Stay) {
        if self.send(&packets::leave(stay)).is_ok() {
            // It hangs up once it has read that. Until then it may go on sending.
            let _ = timeout(PATIENCE, async {
                while self.pipe.moves().await.is_ok() {
                    while matches!(self.pipe.said(), Ok(Some(_))) {}
                }
            })
            .await;
        }
    }

    fn send(&mut self, packet: &Packet) -> Result<(), String> {
        self.pipe.send(packet, self.limits.packet_bytes).map_err(|broken| broken.reason())
    }

    /// The first that the broker says of which `wanted` makes something. Commands that waited for the
    /// node come in between, and stay the broker's.
    async fn hear<T>(&mut self, wanted: impl Fn(Said) -> Option<T>) -> Result<T, String> {
        let heard = async {
            loop {
                while let Some(said) = self.pipe.said().map_err(|broken| broken.reason())? {
                    if let Said::Goodbye { code, words } = &said {
                        return Err(goodbye(*code, words.as_deref()));
                    }
                    if let Some(found) = wanted(said) {
                        return Ok(found);
                    }
                }
                self.pipe.moves().await.map_err(|broken: Broken| broken.reason())?;
            }
        };
        timeout(PATIENCE, heard).await.unwrap_or_else(|_| Err(late()))
    }
}

fn late() -> String {
    format!("no answer within {} s", PATIENCE.as_secs())
}
