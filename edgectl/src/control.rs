//! The control plane's end of MQTT: commands out, everything that nodes say in.
//!
//! One task owns the connection, as section 2 of the contract asks: MQTT 5 over mutual TLS, a
//! persistent session, QoS 1. rumqttc is used as a pipe and trusted with nothing across a
//! reconnect, since it may lose what it holds then: each command stays here until the broker
//! acknowledged it, and a message that arrived is acknowledged only when
//! [`ControlPlane::next`] has handed it out. So a command may be sent twice and a message may
//! arrive twice; both are numbered for that.

mod pipe;

use std::sync::Arc;
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::PubAckReason;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::ca::{CONTROL_PLANE, Issued};
use pipe::{Arrived, Order, Pipe};

/// How many messages the broker hands out before the first of them is taken: bounds memory and
/// what arrives twice after a reconnect.
const INBOX: u16 = 256;

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
        let (orders, taken) = mpsc::channel(usize::from(INBOX));
        let (arrived, inbox) = mpsc::channel(ROOM);
        let mut pipe = Pipe::new(client_id, endpoint, INBOX, arrived)?;
        // Boxed: rumqttc's poll is some 10 KiB that every caller would carry.
        Box::pin(pipe.first_connection()).await.map_err(|reason| ConnectError::Refused {
            host: endpoint.host.clone(),
            port: endpoint.port,
            reason,
        })?;
        let task = tokio::spawn(pipe.run(taken));
        Ok(Self { orders, inbox, task })
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
        self.publish(Publication { topic, payload, retain, expires: None }).await
    }

    /// As [`Self::publish_command`], with all that can be said of a message.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, publication: Publication) -> Result<(), PublishError> {
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
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.task.abort();
    }
}
