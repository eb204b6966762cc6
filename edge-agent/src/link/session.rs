//! One connection's life: connecting, subscribing, up, perhaps leaving, and its end.

mod incoming;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::arrivals::{Arrivals, Token};
use super::end::{End, Lost};
use super::inflight::{Inflight, Sent};
use super::packets;
use super::patience::{Due, Patience};
use super::pipe::{Broken, Pipe};
use super::waiting::Waiting;
use super::welcome::Limits;
use super::{Ask, News, Order, Retained, Settings, stop_ordered};
use crate::endpoint::Endpoint;
use crate::step::step;

/// From the first packet to the broker's welcome: name, TCP, TLS, CONNACK. A peer that stalls in
/// the middle of the handshake costs no more.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// The link's own reason code for an event that is larger than the broker takes: packet too large.
const PACKET_TOO_LARGE: u8 = 0x95;
/// The reason code of a DISCONNECT after another client has connected under this client id.
const SESSION_TAKEN_OVER: u8 = 0x8e;

/// connecting ─▶ subscribing ─▶ up ─▶ leaving | renewing
#[derive(Debug)]
enum Phase {
    /// Waiting for the CONNACK.
    Connecting,
    /// Waiting for the SUBACK. The broker sends waiting commands before it: they are held until
    /// [`News::Up`] was told, so that no command precedes its connection.
    Subscribing { session_present: bool, held: Vec<News> },
    /// Orders are taken. With a `farewell` it is the last one: the offline status.
    Up { since: Instant, farewell: Option<Vec<u8>> },
    /// The offline status is on its way, or the DISCONNECT after it. No more orders.
    Leaving,
    /// All that was taken is acknowledged, and the DISCONNECT is on its way, after which the
    /// broker brings what was left with it. Nothing more is taken.
    Renewing,
}

/// What is under way on one connection.
pub(super) struct Session<'a> {
    connection: u64,
    settings: &'a Settings,
    command_topics: Vec<String>,
    asks: &'a mut UnboundedReceiver<Ask>,
    news: &'a UnboundedSender<News>,
    pipe: Pipe,
    phase: Phase,
    limits: Limits,
    patience: Patience,
    inflight: Inflight,
    arrivals: Arrivals,
    waiting: Waiting,
    /// What the broker refuses to keep, and its reason code.
    refusals: BTreeMap<Retained, u8>,
    /// One line of the log is enough for what is not this node's.
    warned: bool,
}

impl<'a> Session<'a> {
    /// Connects to `endpoint` and serves the connection until it ends.
    pub(super) async fn run(
        connection: u64,
        endpoint: &Endpoint,
        settings: &'a Settings,
        asks: &'a mut UnboundedReceiver<Ask>,
        news: &'a UnboundedSender<News>,
    ) -> End {
        let welcome_by = Instant::now() + CONNECT_DEADLINE;
        // Before the connection is up, orders are of an earlier one and are dropped as they come.
        let opened = tokio::select! {
            opened = timeout_at(welcome_by, Pipe::open(settings, endpoint)) => opened,
            () = stop_ordered(asks) => return End::Stopped,
        };
        let pipe = match opened {
            Ok(Ok(pipe)) => pipe,
            Ok(Err(broken)) => return never_up(broken.reason()),
            Err(_) => return never_up(too_late()),
        };
        let limits = Limits::ours(packets::keep_alive(settings));
        let mut session = Self {
            connection,
            settings,
            command_topics: packets::command_topics(settings),
            asks,
            news,
            pipe,
            phase: Phase::Connecting,
            limits,
            patience: Patience::new(welcome_by, limits.keep_alive, settings.ack_deadline),
            inflight: Inflight::new(usize::from(limits.window)),
            arrivals: Arrivals::new(connection),
            waiting: Waiting::default(),
            refusals: BTreeMap::new(),
            warned: false,
        };
        let Err(end) = session.serve().await;
        match session.phase {
            // Broken off or in order, it was to end.
            Phase::Leaving => End::Stopped,
            Phase::Renewing => End::Renewed,
            Phase::Connecting | Phase::Subscribing { .. } | Phase::Up { .. } => end,
        }
    }

    async fn serve(&mut self) -> Result<Infallible, End> {
        self.send(&packets::connect(self.settings))?;
        loop {
            while let Some(said) = self.pipe.said().map_err(|broken| self.broke(&broken))? {
                self.receive(said)?;
            }
            self.publish_waiting()?;
            self.renew()?;
            let (at, due) =
                self.patience.next(self.inflight.oldest_since(), self.pipe.stuck_since());
            tokio::select! {
                moved = self.pipe.moves() => moved.map_err(|broken| self.broke(&broken))?,
                ask = self.asks.recv(), if self.takes_orders() => self.obey(ask)?,
                () = sleep_until(at) => self.overdue(due)?,
            }
        }
    }

    /// With the farewell nothing more is taken.
    fn takes_orders(&self) -> bool {
        match &self.phase {
            Phase::Connecting | Phase::Subscribing { .. } => true,
            Phase::Up { farewell, .. } => farewell.is_none(),
            Phase::Leaving | Phase::Renewing => false,
        }
    }

    /// Takes leave once all that came was taken, if something was left with the broker. It is the
    /// broker that hangs up: if we did, with unread bytes, TCP would take back acknowledgements.
    fn renew(&mut self) -> Result<(), End> {
        match self.phase {
            Phase::Up { farewell: None, .. } if self.arrivals.are_over() => {
                self.phase = Phase::Renewing;
                self.send(&packets::disconnect())
            }
            Phase::Connecting
            | Phase::Subscribing { .. }
            | Phase::Up { .. }
            | Phase::Leaving
            | Phase::Renewing => Ok(()),
        }
    }

    fn obey(&mut self, ask: Option<Ask>) -> Result<(), End> {
        let Phase::Up { farewell, .. } = &mut self.phase else {
            return match ask {
                Some(Ask::Order(_)) => Ok(()),
                Some(Ask::Stop(_)) | None => Err(End::Stopped),
            };
        };
        match ask {
            None => return Err(End::Stopped),
            Some(Ask::Stop(status)) => *farewell = Some(status),
            Some(Ask::Order(Order::Acknowledge(token))) => return self.acknowledge(token),
            Some(Ask::Order(Order::Publish { connection, .. }))
                if connection != self.connection => {}
            Some(Ask::Order(order)) => self.waiting.push(order),
        }
        Ok(())
    }

    /// Sends what waits, as far as the broker's window and the backlog have room.
    fn publish_waiting(&mut self) -> Result<(), End> {
        while let Phase::Up { farewell, .. } = &mut self.phase
            && self.inflight.has_room()
            && self.pipe.has_room()
        {
            let topics = &self.settings.topics;
            if let Some(order) = self.waiting.pop() {
                match order {
                    Order::Publish { seq, payload, .. } => {
                        self.publish(topics.events(), payload, Some(Sent::Event(seq)))?;
                    }
                    Order::Status(payload) => {
                        let what = Sent::Retained(Retained::Status);
                        self.publish(topics.status(), payload, Some(what))?;
                    }
                    Order::State(payload) => {
                        let what = Sent::Retained(Retained::State);
                        self.publish(topics.state(), payload, Some(what))?;
                    }
                    Order::Telemetry(payload) => self.publish(topics.telemetry(), payload, None)?,
                    Order::Acknowledge(token) => self.acknowledge(token)?,
                }
            } else if let Some(status) = farewell.take() {
                self.phase = Phase::Leaving;
                step!("link.leaving");
                self.publish(topics.status(), status, Some(Sent::Farewell))?;
            } else {
                break;
            }
        }
        Ok(())
    }

    /// Sends a publish: at QoS 0 where nothing is remembered of it.
    fn publish(&mut self, topic: String, payload: Vec<u8>, what: Option<Sent>) -> Result<(), End> {
        if !self.limits.admit(&topic, &payload) {
            tracing::error!(topic, bytes = payload.len(), "larger than the broker takes, not sent");
            return match what {
                Some(Sent::Event(seq)) => self.tell(News::Refused { seq, code: PACKET_TOO_LARGE }),
                Some(Sent::Retained(what)) => self.kept(what, Some(PACKET_TOO_LARGE)),
                Some(Sent::Subscription | Sent::Farewell) | None => Ok(()),
            };
        }
        let retain = matches!(what, Some(Sent::Retained(_) | Sent::Farewell));
        let qos = if what.is_some() { QoS::AtLeastOnce } else { QoS::AtMostOnce };
        let mut publish = Publish { retain, ..Publish::new(topic, qos, payload, None) };
        if let Some(what) = what {
            publish.pkid = self.inflight.submit(what, Instant::now());
        }
        self.send(&Packet::Publish(publish))
    }

    fn acknowledge(&mut self, token: Token) -> Result<(), End> {
        match self.arrivals.acknowledge(token) {
            Some(packet_id) => self.send(&packets::acknowledgement(packet_id)),
            None => Ok(()),
        }
    }

    fn send(&mut self, packet: &Packet) -> Result<(), End> {
        self.pipe.send(packet, self.limits.packet_bytes).map_err(|broken| self.broke(&broken))
    }

    fn overdue(&mut self, due: Due) -> Result<(), End> {
        match due {
            Due::Welcome => Err(self.lost(too_late())),
            Due::Ping => {
                self.patience.pinged(Instant::now());
                self.send(&packets::ping())
            }
            Due::Pong => Err(self.lost("the broker does not answer pings".to_owned())),
            Due::Acknowledgement(waited) => {
                Err(self.lost(format!("an acknowledgement is {waited:?} late")))
            }
            Due::Movement(waited) => {
                Err(self.lost(format!("nothing could be sent for {waited:?}")))
            }
        }
    }

    /// The broker keeps the retained status or state, or will not.
    fn kept(&mut self, what: Retained, refusal: Option<u8>) -> Result<(), End> {
        let before = match refusal {
            Some(code) => self.refusals.insert(what, code),
            None => self.refusals.remove(&what),
        };
        if before == refusal {
            return Ok(());
        }
        self.tell(News::Retained { what, refusal })
    }

    /// Tells the loop, or holds it until the connection is up.
    fn tell(&mut self, news: News) -> Result<(), End> {
        if let Phase::Subscribing { held, .. } = &mut self.phase {
            held.push(news);
            return Ok(());
        }
        self.news.send(news).map_err(|_| End::Stopped)
    }

    fn broke(&self, broken: &Broken) -> End {
        self.lost(broken.reason())
    }

    fn lost(&self, reason: String) -> End {
        End::Lost(Lost { reason, session_taken_over: false, worked: self.worked() })
    }

    fn worked(&self) -> Duration {
        match self.phase {
            Phase::Up { since, .. } => since.elapsed(),
            Phase::Connecting | Phase::Subscribing { .. } | Phase::Leaving | Phase::Renewing => {
                Duration::ZERO
            }
        }
    }
}

fn never_up(reason: String) -> End {
    End::Lost(Lost { reason, session_taken_over: false, worked: Duration::ZERO })
}

fn too_late() -> String {
    format!("no connection within {CONNECT_DEADLINE:?}")
}
