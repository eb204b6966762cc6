//! The one door to the broker: MQTT 5 over mutual TLS (contract, section 2).
//!
//! The link connects, backs off, subscribes, publishes and acknowledges, and tells the loop what
//! became of it. It is a pipe: it decides nothing, keeps nothing on disk, and forgets all that was
//! under way when a connection ends. What must not be lost is the loop's to order again after
//! [`News::Up`]. It never acknowledges a command that the loop didn't ask it to acknowledge (but
//! for what is no command: an empty payload, or a topic that is not this node's), and it never
//! connects more often than its backoff allows, whatever the broker does.

mod arrivals;
mod backoff;
mod end;
mod inflight;
mod packets;
mod patience;
mod pipe;
pub mod probe;
mod session;
mod tls;
mod waiting;
mod welcome;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::endpoint::Endpoint;
use crate::step::step;
use edge_protocol::id::GroupId;
use edge_protocol::topic::Topics;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{interval, timeout};

pub use arrivals::Token;
pub use backoff::Reconnect;
pub use packets::Stay;
pub use tls::{TlsError, tls};

pub(crate) use backoff::Backoff;
use end::{End, Lost};
use session::Session;

/// How long an orderly stop may take; past it the broker publishes the last will instead.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(2);
/// How often the progress counter rises when nothing else happens: below half of any watchdog's time.
const PULSE: Duration = Duration::from_secs(5);

/// Where to connect, as whom, and how patiently.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The MQTT client id: the node's id, which is its certificate's common name.
    pub client_id: String,
    /// Tried in order, from the first again after a link that worked.
    pub endpoints: Vec<Endpoint>,
    /// The node's identity and whom it trusts; see [`tls()`].
    pub tls: Arc<rustls::ClientConfig>,
    /// The node's topics.
    pub topics: Topics,
    /// The groups whose commands are for this node too.
    pub groups: Vec<GroupId>,
    /// The silence after which the broker is asked whether it lives: 5 s to 18 h, else the nearest
    /// of these. The broker may ask for another.
    pub keep_alive: Duration,
    /// The time between attempts to connect.
    pub reconnect: Reconnect,
    /// The last will: what the broker publishes as the retained status when it loses this node.
    pub will: Vec<u8>,
    /// How long the oldest publish may wait for its acknowledgement before the link connects anew.
    pub ack_deadline: Duration,
}

/// What the loop asks of the link. While the link is down, orders are dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Publish an event. Answered by [`News::Delivered`], [`News::Refused`] or [`News::Down`].
    Publish {
        /// The connection that the loop believes in. An order that was overtaken by a reconnect is
        /// dropped: published late, it would arrive before the older events sent again.
        connection: u64,
        /// The event's number, given back in the answer.
        seq: u64,
        /// The event, encoded.
        payload: Vec<u8>,
    },
    /// Publish the retained status.
    Status(Vec<u8>),
    /// Publish the retained state.
    State(Vec<u8>),
    /// Publish host figures, at most once (QoS 0).
    Telemetry(Vec<u8>),
    /// Acknowledge a command to the broker: it is on disk.
    Acknowledge(Token),
}

/// What a node keeps at the broker for whoever looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retained {
    /// Whether it is there.
    Status,
    /// What it has.
    State,
}

/// What the link tells the loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Connected, and every subscription confirmed. Commands come after this, never before.
    Up {
        /// Rises with each attempt to connect, from 1; goes into [`Order::Publish`].
        connection: u64,
        /// Whether the broker remembered this node; `false`: commands that waited there may be lost.
        session_present: bool,
    },
    /// A connection ended, or an attempt to make one failed. What was not [`News::Delivered`]
    /// must be ordered again after the next [`News::Up`].
    Down {
        /// What happened, for a person.
        reason: String,
        /// Another client took over the session: a second agent has this node's identity.
        session_taken_over: bool,
    },
    /// A command arrived. It is the broker's until it is acknowledged.
    Command {
        /// Goes into [`Order::Acknowledge`].
        token: Token,
        /// The command, encoded; never empty.
        payload: Vec<u8>,
        /// Sent with the retain flag: it would come again with each new subscription.
        retained: bool,
    },
    /// The broker has the event.
    Delivered {
        /// The event's number.
        seq: u64,
    },
    /// The broker will not take the event.
    Refused {
        /// The event's number.
        seq: u64,
        /// The reason code, 0x80 or above, named by MQTT 5 or not; 0x95 (packet too large) is also
        /// the link's own.
        code: u8,
    },
    /// The broker will not take the retained status or state, or takes it again. Told where that
    /// changes; each connection begins with the hope that it does.
    Retained {
        /// Which.
        what: Retained,
        /// The reason code, 0x80 or above; none: it takes it.
        refusal: Option<u8>,
    },
}

/// The loop's end of the link.
#[derive(Debug)]
pub struct Link {
    asks: mpsc::UnboundedSender<Ask>,
    progress: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

/// What travels from [`Link`] to its task.
enum Ask {
    Order(Order),
    /// Publish this as the retained status, then disconnect.
    Stop(Vec<u8>),
}

impl Link {
    /// Starts the link on the current tokio runtime, and gives the news it will tell.
    ///
    /// Neither queue has a limit of its own. Orders: the loop keeps at most 32 events
    /// unacknowledged, and of status, state and telemetry only the newest waits. News: at most
    /// 8,192 commands of 8 MiB are unacknowledged (32, if the broker keeps to what it was told),
    /// and the rest is answers.
    #[must_use]
    pub fn spawn(settings: Settings) -> (Self, mpsc::UnboundedReceiver<News>) {
        let (asks, asked) = mpsc::unbounded_channel();
        let (news, told) = mpsc::unbounded_channel();
        let progress = Arc::new(AtomicU64::new(0));
        let pulse = Arc::clone(&progress);
        let task = tokio::spawn(async move {
            // In one task, so that a link that blocks its thread stops the pulse.
            tokio::select! {
                () = run(settings, asked, news) => {}
                () = beat(&pulse) => {}
            }
        });
        (Self { asks, progress, task }, told)
    }

    /// Gives an order. Once the link has ended it is dropped: the news end then too.
    pub fn order(&self, order: Order) {
        let _ = self.asks.send(Ask::Order(order));
    }

    /// Rises at least every 5 s while the link's task runs. For the watchdog.
    #[must_use]
    pub fn progress(&self) -> u64 {
        self.progress.load(Ordering::Relaxed)
    }

    /// Ends the link in order, within 2 s: publishes what was ordered, then `offline_status` as the
    /// retained status, and disconnects once the broker has it.
    ///
    /// Without the broker's acknowledgement in that time it hangs up instead, so that the last will
    /// is published: the retained status must not go on saying that the node is online.
    pub async fn shutdown(mut self, offline_status: Vec<u8>) {
        let _ = self.asks.send(Ask::Stop(offline_status));
        if timeout(SHUTDOWN_DEADLINE, &mut self.task).await.is_err() {
            tracing::warn!(
                "the broker did not confirm the offline status, leaving it to the last will"
            );
            self.task.abort();
        }
    }
}

/// Connects, again and again, until it is told to stop or nobody listens any more.
async fn run(
    settings: Settings,
    mut asks: mpsc::UnboundedReceiver<Ask>,
    news: mpsc::UnboundedSender<News>,
) {
    let mut backoff = Backoff::new(settings.reconnect, generator());
    for connection in 1.. {
        let Some(endpoint) = settings.endpoints.get(backoff.turn(settings.endpoints.len())) else {
            tracing::error!("no broker is configured: name one in [broker] endpoints");
            return;
        };
        tracing::debug!(%endpoint, connection, "connecting");
        step!("link.connecting");
        let session = Session::run(connection, endpoint, &settings, &mut asks, &news);
        let (lost, pause) = match session.await {
            End::Stopped => return,
            End::Lost(lost) => {
                let pause = backoff.after(lost.worked, lost.session_taken_over);
                (lost, pause)
            }
            // It came after thousands of commands that were taken: nothing to back off from.
            End::Renewed => (Lost::renewed(), settings.reconnect.min),
        };
        step!("link.lost");
        let Lost { reason, session_taken_over, worked: _ } = lost;
        let pause_ms = pause.as_millis();
        tracing::warn!(%endpoint, reason, session_taken_over, pause_ms, "the broker is out of reach");
        if news.send(News::Down { reason, session_taken_over }).is_err() {
            return;
        }
        if timeout(pause, stop_ordered(&mut asks)).await.is_ok() {
            return;
        }
    }
}

/// Drops orders, which the loop gives again after the next [`News::Up`], until one is to stop.
async fn stop_ordered(asks: &mut mpsc::UnboundedReceiver<Ask>) {
    while let Some(Ask::Order(_)) = asks.recv().await {}
}

/// Raises the counter for as long as the task is polled.
async fn beat(progress: &AtomicU64) {
    let mut pulse = interval(PULSE);
    loop {
        pulse.tick().await;
        progress.fetch_add(1, Ordering::Relaxed);
    }
}

/// Jitter differs between nodes that a power cut started together without a clock, so its seed
/// comes from the kernel; time and thread would be the same on all.
pub(crate) fn generator() -> fastrand::Rng {
    let mut seed = [0; 8];
    match SystemRandom::new().fill(&mut seed) {
        Ok(()) => fastrand::Rng::with_seed(u64::from_ne_bytes(seed)),
        Err(_) => fastrand::Rng::new(),
    }
}
