//! One connection's life: connecting, subscribing, up, perhaps leaving, and its end.
//!
//! Only this task hands anything to rumqttc, so rumqttc's `Outgoing` events come in the order of
//! submission. `poll` is never cancelled for an order: rumqttc would lose a packet that it was
//! about to write.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet, PubAck, Publish, SubAck, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ClientError, Event, EventLoop};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::{Instant, sleep_until, timeout};

use super::arrivals::{Admission, Arrivals, Token};
use super::inflight::{Inflight, Sent};
use super::pipe::{self, CAPACITY, CONNECT_DEADLINE, Limits};
use super::{Ask, News, Order, Settings};
use crate::endpoint::Endpoint;

/// Orders wait in the loop's queue while rumqttc holds this many unsent requests; the rest of its
/// queue is for the acknowledgement of what needs no order.
const MAX_UNSENT: usize = CAPACITY / 2;

/// How a connection ended.
#[derive(Debug)]
pub(super) enum End {
    /// By an order, or because nobody is left to tell.
    Stopped,
    /// Otherwise.
    Lost(Lost),
}

/// A connection that was lost, or never made.
#[derive(Debug)]
pub(super) struct Lost {
    /// What happened, for a person.
    pub(super) reason: String,
    /// Another client took over the session.
    pub(super) session_taken_over: bool,
    /// How long it was up; zero where it never was.
    pub(super) worked: Duration,
}

/// connecting ─▶ subscribing ─▶ up ─▶ leaving
#[derive(Debug)]
enum Phase {
    /// TCP, TLS, and the broker's CONNACK.
    Connecting,
    /// Waiting for the SUBACK. The broker sends waiting commands before it: they are held until
    /// [`News::Up`] was told, so that no command precedes its connection.
    Subscribing { session_present: bool, held: Vec<News> },
    /// Orders are taken.
    Up { since: Instant },
    /// The offline status is on its way, or the DISCONNECT after it. No more orders.
    Leaving,
}

/// What is under way on one connection.
pub(super) struct Session<'a> {
    connection: u64,
    settings: &'a Settings,
    command_topics: Vec<String>,
    asks: &'a mut UnboundedReceiver<Ask>,
    news: &'a UnboundedSender<News>,
    client: AsyncClient,
    phase: Phase,
    limits: Limits,
    inflight: Inflight,
    arrivals: Arrivals,
    /// Requests handed to rumqttc that it has not sent yet.
    unsent: usize,
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
        let (client, mut pipe) = pipe::open(settings, endpoint);
        let limits = Limits::default();
        let mut session = Self {
            connection,
            settings,
            command_topics: pipe::command_topics(settings),
            asks,
            news,
            client,
            phase: Phase::Connecting,
            limits,
            inflight: Inflight::new(usize::from(limits.window)),
            arrivals: Arrivals::new(connection),
            unsent: 0,
        };
        let Err(end) = session.serve(&mut pipe).await;
        match session.phase {
            // Broken off or in order, it was to end.
            Phase::Leaving => End::Stopped,
            Phase::Connecting | Phase::Subscribing { .. } | Phase::Up { .. } => end,
        }
    }

    async fn serve(&mut self, pipe: &mut EventLoop) -> Result<Infallible, End> {
        loop {
            // rumqttc never gives up on a write, so every poll has a deadline of ours. A ping ends
            // an idle poll after one keep-alive.
            let patience = match self.phase {
                Phase::Connecting => CONNECT_DEADLINE,
                Phase::Subscribing { .. } | Phase::Up { .. } | Phase::Leaving => {
                    pipe.options.keep_alive() * 3 / 2
                }
            };
            let event = {
                let mut poll = pin!(timeout(patience, pipe.poll()));
                loop {
                    let owed_since = self.inflight.oldest_since();
                    let overdue = owed_since.map(|since| since + self.settings.ack_deadline);
                    tokio::select! {
                        event = &mut poll => break event,
                        ask = self.asks.recv(), if self.takes_orders() => self.obey(ask)?,
                        () = sleep_until(overdue.unwrap_or_else(Instant::now)), if overdue.is_some() => {
                            let waited = self.settings.ack_deadline;
                            return Err(self.lost(format!("an acknowledgement is {waited:?} late")));
                        }
                    }
                }
            };
            match event {
                Ok(Ok(Event::Incoming(packet))) => self.receive(packet, pipe)?,
                Ok(Ok(Event::Outgoing(outgoing))) => self.went_out(&outgoing),
                Ok(Err(error)) => {
                    return Err(End::Lost(Lost {
                        reason: pipe::describe(&error),
                        session_taken_over: pipe::taken_over(&error),
                        worked: self.worked(),
                    }));
                }
                Err(_) => {
                    let reason = format!("nothing could be sent or received for {patience:?}");
                    return Err(self.lost(reason));
                }
            }
        }
    }

    /// Before the connection is up, orders are of an earlier one and are dropped as they come.
    fn takes_orders(&self) -> bool {
        match self.phase {
            Phase::Connecting | Phase::Subscribing { .. } => true,
            Phase::Up { .. } => self.inflight.has_room() && self.unsent < MAX_UNSENT,
            Phase::Leaving => false,
        }
    }

    fn obey(&mut self, ask: Option<Ask>) -> Result<(), End> {
        let Phase::Up { .. } = self.phase else {
            return match ask {
                Some(Ask::Order(_)) => Ok(()),
                Some(Ask::Stop(_)) | None => Err(End::Stopped),
            };
        };
        let topics = &self.settings.topics;
        match ask {
            None => Err(End::Stopped),
            Some(Ask::Stop(status)) => {
                self.publish(topics.status(), status, Some(Sent::Farewell))?;
                self.phase = Phase::Leaving;
                crate::step::step!("link.leaving");
                Ok(())
            }
            Some(Ask::Order(Order::Publish { connection, seq, payload })) => {
                if connection != self.connection {
                    return Ok(());
                }
                self.publish(topics.events(), payload, Some(Sent::Event(seq)))
            }
            Some(Ask::Order(Order::Status(payload))) => {
                self.publish(topics.status(), payload, Some(Sent::Retained))
            }
            Some(Ask::Order(Order::State(payload))) => {
                self.publish(topics.state(), payload, Some(Sent::Retained))
            }
            Some(Ask::Order(Order::Telemetry(payload))) => {
                self.publish(topics.telemetry(), payload, None)
            }
            Some(Ask::Order(Order::Acknowledge(token))) => self.acknowledge(token),
        }
    }

    /// Hands a publish to rumqttc: QoS 0 where nothing is remembered of it.
    fn publish(&mut self, topic: String, payload: Vec<u8>, what: Option<Sent>) -> Result<(), End> {
        if !self.limits.admit(&topic, &payload) {
            tracing::error!(topic, bytes = payload.len(), "larger than the broker takes, not sent");
            return match what {
                Some(Sent::Event(seq)) => {
                    self.tell(News::Refused { seq, code: pipe::PACKET_TOO_LARGE })
                }
                Some(Sent::Subscription | Sent::Retained | Sent::Farewell) | None => Ok(()),
            };
        }
        let (qos, retain) = match what {
            None => (QoS::AtMostOnce, false),
            Some(Sent::Subscription | Sent::Event(_)) => (QoS::AtLeastOnce, false),
            Some(Sent::Retained | Sent::Farewell) => (QoS::AtLeastOnce, true),
        };
        let handed = self.client.try_publish(topic, qos, retain, payload);
        if let Some(what) = what {
            self.inflight.submit(what, Instant::now());
        }
        self.handed(handed)
    }

    fn acknowledge(&mut self, token: Token) -> Result<(), End> {
        match self.arrivals.acknowledge(token) {
            Some(packet_id) => self.acknowledge_packet(packet_id),
            None => Ok(()),
        }
    }

    fn acknowledge_packet(&mut self, packet_id: u16) -> Result<(), End> {
        // rumqttc wants the publish back, of which it looks at nothing else.
        let publish = Publish { qos: QoS::AtLeastOnce, pkid: packet_id, ..Publish::default() };
        let handed = self.client.try_ack(&publish);
        self.handed(handed)
    }

    /// Counts a request that was handed to rumqttc. Its queue is full only if the broker sends more
    /// than it may, since orders stop at half of it.
    fn handed(&mut self, result: Result<(), ClientError>) -> Result<(), End> {
        self.unsent += 1;
        result.map_err(|_| self.lost("more is to be acknowledged than MQTT allows".to_owned()))
    }

    fn went_out(&mut self, outgoing: &Outgoing) {
        match outgoing {
            Outgoing::Publish(packet_id) | Outgoing::Subscribe(packet_id) => {
                self.unsent = self.unsent.saturating_sub(1);
                // 0 is a publish at QoS 0, which nobody waits for.
                if *packet_id != 0 {
                    self.inflight.went_out(*packet_id);
                }
            }
            Outgoing::PubAck(_) => self.unsent = self.unsent.saturating_sub(1),
            Outgoing::Unsubscribe(_)
            | Outgoing::PubRec(_)
            | Outgoing::PubRel(_)
            | Outgoing::PubComp(_)
            | Outgoing::PingReq
            | Outgoing::PingResp
            | Outgoing::Disconnect
            | Outgoing::AwaitAck(_) => {}
        }
    }

    fn receive(&mut self, packet: Packet, pipe: &mut EventLoop) -> Result<(), End> {
        match packet {
            Packet::ConnAck(welcome) => self.welcomed(&welcome, pipe),
            Packet::SubAck(answer) => self.subscribed(&answer),
            Packet::Publish(publish) => self.arrived(publish),
            Packet::PubAck(answer) => self.answered(&answer),
            // rumqttc keeps the pings, reports a DISCONNECT as an error, and refuses the rest or
            // has no cause to get it.
            Packet::PingReq(_)
            | Packet::PingResp(_)
            | Packet::Disconnect(_)
            | Packet::Auth(_)
            | Packet::Connect(..)
            | Packet::Subscribe(_)
            | Packet::PubRec(_)
            | Packet::PubRel(_)
            | Packet::PubComp(_)
            | Packet::Unsubscribe(_)
            | Packet::UnsubAck(_) => Ok(()),
        }
    }

    /// Subscribes, also where the broker remembers this node: it costs one packet, and heals a
    /// change of groups and a broker that remembers wrongly.
    fn welcomed(&mut self, welcome: &ConnAck, pipe: &mut EventLoop) -> Result<(), End> {
        self.limits = Limits::of(welcome);
        self.inflight = Inflight::new(usize::from(self.limits.window));
        // "No keep-alive" is the broker's to ask for, but rumqttc would ping without a pause.
        if pipe.options.keep_alive().is_zero() {
            pipe.options.set_keep_alive(pipe::keep_alive(self.settings));
        }
        crate::step::step!("link.welcomed");
        let session_present = welcome.session_present;
        self.phase = Phase::Subscribing { session_present, held: vec![] };
        let filters: Vec<_> = self.command_topics.iter().map(|topic| pipe::filter(topic)).collect();
        self.inflight.submit(Sent::Subscription, Instant::now());
        let handed = self.client.try_subscribe_many(filters);
        self.handed(handed)
    }

    fn subscribed(&mut self, answer: &SubAck) -> Result<(), End> {
        if self.inflight.acknowledge(answer.pkid, Instant::now()) != Some(Sent::Subscription)
            || answer.return_codes.len() != self.command_topics.len()
        {
            return Err(self.lost("the broker answers another subscription than ours".to_owned()));
        }
        for (code, topic) in answer.return_codes.iter().zip(&self.command_topics) {
            // At QoS 0 it would lose commands.
            if !matches!(code, SubscribeReasonCode::Success(QoS::AtLeastOnce | QoS::ExactlyOnce)) {
                let reason = format!("the broker does not grant QoS 1 on {topic}: {code:?}");
                return Err(self.lost(reason));
            }
        }
        let up = Phase::Up { since: Instant::now() };
        if let Phase::Subscribing { session_present, held } = std::mem::replace(&mut self.phase, up)
        {
            tracing::info!(session_present, "connected to the broker");
            self.tell(News::Up { connection: self.connection, session_present })?;
            crate::step::step!("link.up");
            for news in held {
                self.tell(news)?;
            }
        }
        Ok(())
    }

    fn arrived(&mut self, publish: Publish) -> Result<(), End> {
        let packet_id = match publish.qos {
            QoS::AtMostOnce => None,
            QoS::AtLeastOnce => Some(publish.pkid),
            QoS::ExactlyOnce => {
                return Err(
                    self.lost("the broker sent QoS 2 to a subscription of QoS 1".to_owned())
                );
            }
        };
        let ours = self.command_topics.iter().any(|topic| topic.as_bytes() == &publish.topic[..]);
        if !ours || publish.payload.is_empty() {
            if !ours {
                let topic = String::from_utf8_lossy(&publish.topic);
                tracing::warn!(%topic, "ignored a message on a topic that is not this node's");
            }
            return packet_id.map_or(Ok(()), |packet_id| self.acknowledge_packet(packet_id));
        }
        match self.arrivals.admit(packet_id) {
            Admission::Admitted(token) => self.tell(News::Command {
                token,
                payload: publish.payload.into(),
                retained: publish.retain,
            }),
            Admission::Dropped => {
                tracing::warn!("dropped a command sent at QoS 0: too many wait");
                Ok(())
            }
            Admission::Overrun => {
                Err(self.lost("the broker sends more commands than it was allowed to".to_owned()))
            }
        }
    }

    fn answered(&mut self, answer: &PubAck) -> Result<(), End> {
        let refusal = pipe::refusal(answer.reason);
        match (self.inflight.acknowledge(answer.pkid, Instant::now()), refusal) {
            (Some(Sent::Event(seq)), None) => self.tell(News::Delivered { seq }),
            (Some(Sent::Event(seq)), Some(code)) => self.tell(News::Refused { seq, code }),
            (Some(Sent::Farewell), None) => {
                let handed = self.client.try_disconnect();
                self.handed(handed)
            }
            // Hanging up without a DISCONNECT lets the last will say it.
            (Some(Sent::Farewell), Some(_)) => Err(End::Stopped),
            (Some(Sent::Retained), Some(code)) => {
                tracing::error!(code, "the broker refuses this node's status or state");
                Ok(())
            }
            (Some(Sent::Retained | Sent::Subscription) | None, _) => Ok(()),
        }
    }

    /// Tells the loop, or holds it until the connection is up.
    fn tell(&mut self, news: News) -> Result<(), End> {
        if let Phase::Subscribing { held, .. } = &mut self.phase {
            held.push(news);
            return Ok(());
        }
        self.news.send(news).map_err(|_| End::Stopped)
    }

    fn lost(&self, reason: String) -> End {
        End::Lost(Lost { reason, session_taken_over: false, worked: self.worked() })
    }

    fn worked(&self) -> Duration {
        match self.phase {
            Phase::Up { since } => since.elapsed(),
            Phase::Connecting | Phase::Subscribing { .. } | Phase::Leaving => Duration::ZERO,
        }
    }
}
