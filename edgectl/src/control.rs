//! The control plane's end of MQTT: commands out, everything that nodes say in.
//!
//! One task owns the connection, as section 2 of the contract asks: MQTT 5 over mutual TLS, a
//! persistent session, QoS 1. rumqttc is used as a pipe and trusted with nothing across a
//! reconnect, since it may lose what it holds then: each command stays here until the broker
//! acknowledged it, and a message that arrived is acknowledged only when
//! [`ControlPlane::next`] has handed it out. So a command may be sent twice and a message may
//! arrive twice; both are numbered for that.
//!
//! An operator's tool is a guest there ([`ControlPlane::visit`]): its client id is its own, so that
//! it takes nobody's session over, and the broker forgets it soon after it has gone.

mod broken;
mod pipe;
mod role;

use std::sync::Arc;
use std::time::Duration;

use edge_protocol::id::NodeId;
use rumqttc::v5::mqttbytes::v5::PubAckReason;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::ca::{CONTROL_PLANE, Issued};
use pipe::{Arrived, Order, Pipe};
use role::Role;

/// How many messages the broker hands out before the first of them is taken: bounds memory and
/// what arrives twice after a reconnect.
const INBOX: u16 = 256;
/// For how long the broker keeps what a guest did not take: longer than a reconnect takes.
const GUEST_EXPIRY_S: u32 = 60;
/// A broker that is there takes milliseconds.
const GOOD_BYE: Duration = Duration::from_secs(1);
/// Seven days, as a node's.
const SESSION_EXPIRY_S: u32 = 7 * 24 * 3_600;

/// What fits the inbox all the same: QoS 0 telemetry is outside the broker's limit, and mosquitto
/// up to 2.0.11 answers each acknowledgement with as many messages again
/// (eclipse-mosquitto/mosquitto#2301).
const ROOM: usize = 16_384;

/// Where the broker is and what to show and verify there.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The broker's host, as in its certificate.
    pub host: String,
    /// The broker's port.
    pub port: u16,
    /// The authority's certificate.
    pub ca_pem: String,
    /// The client certificate and key: the common name `control-plane` in production.
    pub identity: Issued,
    /// The root of every topic.
    pub root: String,
}

impl Endpoint {
    /// What TLS shows and verifies there.
    ///
    /// # Errors
    /// [`ConnectError::Certificates`].
    pub fn tls(&self) -> Result<Arc<ClientConfig>, ConnectError> {
        let bad = |reason: String| ConnectError::Certificates { reason };
        let certs = |pem: &str| -> Result<Vec<CertificateDer<'static>>, ConnectError> {
            CertificateDer::pem_slice_iter(pem.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(|error| bad(format!("a certificate is no PEM: {error}")))
        };
        let mut roots = RootCertStore::empty();
        for cert in certs(&self.ca_pem)? {
            roots.add(cert).map_err(|error| bad(format!("the authority is unusable: {error}")))?;
        }
        let key = PrivateKeyDer::from_pem_slice(self.identity.key_pem.as_bytes())
            .map_err(|error| bad(format!("the key is no PEM: {error}")))?;
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(|error| bad(error.to_string()))?
                .with_root_certificates(roots)
                .with_client_auth_cert(certs(&self.identity.cert_pem)?, key)
                .map_err(|error| bad(error.to_string()))?;
        Ok(Arc::new(config))
    }
}

/// A message from a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The whole topic.
    pub topic: String,
    /// The payload, as it came.
    pub payload: Vec<u8>,
    /// The retain flag as the node set it, on stored and on fresh messages alike.
    pub retain: bool,
}

/// A command on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The whole topic.
    pub topic: String,
    /// The payload.
    pub payload: Vec<u8>,
    /// Whether the broker keeps it; nodes refuse retained commands.
    pub retain: bool,
    /// For how long the broker may keep it for a node that is away; `None` for ever.
    pub expires: Option<Duration>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The certificates can't be used.
    #[error("can't use the certificates: {reason}")]
    Certificates {
        /// Why.
        reason: String,
    },
    /// The broker can't be reached or refuses.
    #[error("can't connect to {host}:{port}: {reason}")]
    Refused {
        /// The broker's host.
        host: String,
        /// The broker's port.
        port: u16,
        /// The whole chain of causes.
        reason: String,
    },
    /// Another client has the client id that the broker gave this one.
    #[error("{host}:{port} gives each certificate one client id, and another client has it")]
    TakenOver {
        /// The broker's host.
        host: String,
        /// The broker's port.
        port: u16,
    },
    /// One side does not take the other for who it says it is, or the broker grants no right.
    #[error("{host}:{port} is reached, but {reason}")]
    Distrusted {
        /// The broker's host.
        host: String,
        /// The broker's port.
        port: u16,
        /// Who distrusts whom, and why.
        reason: String,
    },
}

/// What the broker made of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is on its way to whoever subscribed, or waits for them.
    ForSomebody,
    /// Nobody has ever subscribed there: nobody will get it.
    ForNobody,
}

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Connected. Where the broker had `forgotten` us meanwhile, what came in between is lost.
    Up {
        /// There was no session of ours left.
        forgotten: bool,
    },
    /// Not connected, for this reason; it is tried again without end.
    Lost(String),
    /// Another client took this guest's client id, and with it the connection: the broker said so,
    /// or had given this guest a client id that another has. It is not tried again: two would take
    /// it from each other for ever.
    TakenOver,
}

/// Why a command was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The broker says no.
    #[error("the broker refused the message: {0:?}")]
    Refused(PubAckReason),
    /// No topic to publish to.
    #[error("{topic:?} is no topic to publish to")]
    BadTopic {
        /// What was given.
        topic: String,
    },
    /// The connection's task has ended.
    #[error("the connection is closed")]
    Closed,
}

/// The control plane's connection. Dropped, it ends; its session stays at the broker.
#[derive(Debug)]
pub struct ControlPlane {
    orders: mpsc::Sender<Order>,
    inbox: mpsc::Receiver<Arrived>,
    link: watch::Receiver<Link>,
    task: JoinHandle<()>,
}

impl ControlPlane {
    /// Connects, subscribes to what every node says, and returns once both are confirmed.
    /// From then on the connection is made again without end.
    ///
    /// # Errors
    /// [`ConnectError`]: the first connection is not tried again.
    pub async fn connect(endpoint: &Endpoint) -> Result<Self, ConnectError> {
        Self::connect_as(CONTROL_PLANE, endpoint).await
    }

    /// As [`Self::connect`], with another client id: to test what a broker makes of it.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_as(client_id: &str, endpoint: &Endpoint) -> Result<Self, ConnectError> {
        let role = Role {
            client_id: client_id.to_owned(),
            expiry_s: SESSION_EXPIRY_S,
            yields: false,
            nodes: &[],
        };
        Self::connect_in(&role, endpoint).await
    }

    /// Connects as a guest, under a client id that is its own, who hears what these nodes say, or
    /// all where none is named, from now on. The broker forgets it soon after it has gone.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn visit(endpoint: &Endpoint, nodes: &[NodeId]) -> Result<Self, ConnectError> {
        let client_id = format!("edgectl-{:016x}", fastrand::u64(..));
        let role = Role { client_id, expiry_s: GUEST_EXPIRY_S, yields: true, nodes };
        Self::connect_in(&role, endpoint).await
    }

    async fn connect_in(role: &Role<'_>, endpoint: &Endpoint) -> Result<Self, ConnectError> {
        let (orders, taken) = mpsc::channel(usize::from(INBOX));
        let (arrived, inbox) = mpsc::channel(ROOM);
        let (told, mut link) = watch::channel(Link::Up { forgotten: false });
        let mut pipe = Pipe::new(role, endpoint, INBOX, arrived, told)?;
        // Boxed: rumqttc's poll is some 10 KiB that every caller would carry.
        Box::pin(pipe.first_connection(endpoint)).await?;
        // What comes from now on is news.
        link.mark_unchanged();
        let task = tokio::spawn(pipe.run(taken));
        Ok(Self { orders, inbox, link, task })
    }

    /// How the connection is, now and from now on. Just connected, a guest is known to nobody:
    /// one who is not `forgotten` then was given a client id that another has.
    #[must_use]
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Publishes a command and returns once the broker has acknowledged it, however long it
    /// takes to reach the broker.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish_command(
        &self,
        topic: &str,
        payload: impl Into<Vec<u8>>,
        retain: bool,
    ) -> Result<(), PublishError> {
        let (topic, payload) = (topic.to_owned(), payload.into());
        self.publish(Publication { topic, payload, retain, expires: None }).await.map(|_| ())
    }

    /// As [`Self::publish_command`], with all that can be said of a message and of what the broker
    /// made of it.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, publication: Publication) -> Result<Taken, PublishError> {
        let (done, outcome) = oneshot::channel();
        let order = Order::Publish { publication, done };
        self.orders.send(order).await.map_err(|_| PublishError::Closed)?;
        outcome.await.unwrap_or(Err(PublishError::Closed))
    }

    /// As [`Self::publish`], for many: they go out in their order, without waiting for the broker
    /// between them.
    ///
    /// # Errors
    /// [`PublishError`] of the first that is not taken.
    pub async fn publish_all(&self, publications: Vec<Publication>) -> Result<(), PublishError> {
        let mut outcomes = Vec::with_capacity(publications.len());
        for publication in publications {
            let (done, outcome) = oneshot::channel();
            let order = Order::Publish { publication, done };
            self.orders.send(order).await.map_err(|_| PublishError::Closed)?;
            outcomes.push(outcome);
        }
        for outcome in outcomes {
            outcome.await.unwrap_or(Err(PublishError::Closed))?;
        }
        Ok(())
    }

    /// The next message, acknowledged to the broker by being taken. Waits without end; safe to
    /// drop half way.
    ///
    /// # Errors
    /// [`PublishError::Closed`] when the connection's task has ended.
    pub async fn next(&mut self) -> Result<Message, PublishError> {
        let room = self.orders.reserve().await.map_err(|_| PublishError::Closed)?;
        let arrived = self.inbox.recv().await.ok_or(PublishError::Closed)?;
        let message = arrived.message();
        room.send(Order::Acknowledge(arrived));
        Ok(message)
    }

    /// Says good-bye to the broker, which otherwise finds out for itself.
    pub async fn close(mut self) {
        // Where the task has ended there is nobody to say good-bye to.
        if self.orders.send(Order::Close).await.is_ok() {
            let _ = timeout(GOOD_BYE, &mut self.task).await;
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.task.abort();
    }
}
