//! The task that owns the connection.
//!
//! What rumqttc 0.25 does to a reconnect, and what is done about it here: it drops or
//! overwrites publishes, so unacknowledged ones are kept here and sent again in order; it keeps
//! a collided packet for ever, so that is cleared; it has no backoff; and its poll may hang on
//! a silent link, so each poll has a limit. Packet ids are given in the order of submission.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    Filter, Packet, PubAck, PubAckReason, Publish, PublishProperties, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, Event, EventLoop, MqttOptions};
use rumqttc::{NetworkOptions, Outgoing, TlsConfiguration, Transport};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::broken::{chain, distrust, taken_over};
use super::role::Role;
use super::{ConnectError, Endpoint, Link, Message, Publication, PublishError, Taken};

/// Unacknowledged commands at one time.
const WINDOW: usize = 8;
/// Twice the window, so that a packet id is free again before it is used again.
const PACKET_IDS: u16 = 16;
/// Room for the window, acknowledgements and a subscription.
const CHANNEL: usize = 2_048;
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// One and a half keep-alives: a link that was silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(15);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// More than any message of the contract.
const MAX_PACKET: u32 = 256 * 1_024;

/// What the owner of the connection asks of it.
#[derive(Debug)]
pub(super) enum Order {
    /// Send this and tell what became of it.
    Publish { publication: Publication, done: Done },
    /// This was taken.
    Acknowledge(Arrived),
    /// Nobody wants anything any more.
    Close,
}

type Done = oneshot::Sender<Result<Taken, PublishError>>;

/// A message and the connection it came by: an acknowledgement on another connection could
/// hit another message.
#[derive(Debug)]
pub(super) struct Arrived {
    publish: Publish,
    connection: u64,
}

impl Arrived {
    pub(super) fn message(&self) -> Message {
        Message {
            topic: String::from_utf8_lossy(&self.publish.topic).into_owned(),
            payload: self.publish.payload.to_vec(),
            retain: self.publish.retain,
        }
    }
}

struct Waiting {
    publication: Publication,
    done: Done,
}

pub(super) struct Pipe {
    client: AsyncClient,
    events: EventLoop,
    filters: Vec<Filter>,
    desk: Desk,
    arrived: mpsc::Sender<Arrived>,
    link: watch::Sender<Link>,
    yields: bool,
    /// The broker knew this guest before it came: it gave it a client id that another has.
    shared: bool,
    /// Counts connections.
    connection: u64,
    /// The inbox had no room for a message. The broker holds it, and brings it again after a
    /// reconnect.
    starved: bool,
}

/// Every command that the broker has not acknowledged, in order.
#[derive(Default)]
struct Desk {
    /// Not yet given to rumqttc on this connection.
    queued: VecDeque<Waiting>,
    /// Given to it; it has not told their packet ids yet.
    submitted: VecDeque<Waiting>,
    /// On the wire, by packet id, with their place in the order.
    sent: BTreeMap<u16, (u64, Waiting)>,
    /// The next place in the order.
    place: u64,
    connected: bool,
}

impl Desk {
    /// Hands rumqttc as much as the window takes.
    fn submit(&mut self, client: &AsyncClient) {
        while self.connected && self.submitted.len() + self.sent.len() < WINDOW {
            let Some(waiting) = self.queued.pop_front() else { return };
            let Publication { topic, payload, retain, expires } = waiting.publication.clone();
            let seconds = expires.map(|life| u32::try_from(life.as_secs()).unwrap_or(u32::MAX));
            let properties =
                PublishProperties { message_expiry_interval: seconds, ..Default::default() };
            let given = client.try_publish_with_properties(
                topic,
                QoS::AtLeastOnce,
                retain,
                payload,
                properties,
            );
            match given {
                Ok(()) => self.submitted.push_back(waiting),
                Err(_) => return self.queued.push_front(waiting),
            }
        }
    }

    fn sent(&mut self, packet: u16) {
        if let Some(waiting) = self.submitted.pop_front() {
            self.sent.insert(packet, (self.place, waiting));
            self.place += 1;
        }
    }

    fn acknowledged(&mut self, ack: &PubAck) {
        if let Some((_, waiting)) = self.sent.remove(&ack.pkid) {
            let outcome = match ack.reason {
                PubAckReason::Success => Ok(Taken::ForSomebody),
                PubAckReason::NoMatchingSubscribers => Ok(Taken::ForNobody),
                PubAckReason::UnspecifiedError
                | PubAckReason::ImplementationSpecificError
                | PubAckReason::NotAuthorized
                | PubAckReason::TopicNameInvalid
                | PubAckReason::PacketIdentifierInUse
                | PubAckReason::QuotaExceeded
                | PubAckReason::PayloadFormatInvalid => Err(PublishError::Refused(ack.reason)),
            };
            // Who no longer waits for it needs no answer.
            let _ = waiting.done.send(outcome);
        }
    }

    /// The connection is gone: all that is not acknowledged is queued again, in order.
    fn disconnected(&mut self) {
        self.connected = false;
        let mut sent: Vec<_> = std::mem::take(&mut self.sent).into_values().collect();
        sent.sort_by_key(|(place, _)| *place);
        let again = sent.into_iter().map(|(_, waiting)| waiting);
        let mut queue: VecDeque<Waiting> = again.chain(self.submitted.drain(..)).collect();
        queue.append(&mut self.queued);
        self.queued = queue;
    }
}

impl Pipe {
    pub(super) fn new(
        role: &Role<'_>,
        endpoint: &Endpoint,
        inbox: u16,
        arrived: mpsc::Sender<Arrived>,
        link: watch::Sender<Link>,
    ) -> Result<Self, ConnectError> {
        let mut options = MqttOptions::new(&role.client_id, &endpoint.host, endpoint.port);
        options
            .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(endpoint.tls()?)))
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_start(false)
            .set_session_expiry_interval(Some(role.expiry_s))
            .set_max_packet_size(Some(MAX_PACKET))
            .set_receive_maximum(Some(inbox))
            .set_outgoing_inflight_upper_limit(PACKET_IDS)
            .set_manual_acks(true);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        options.set_network_options(network);
        let (client, events) = AsyncClient::new(options, CHANNEL);
        let filters = role.filters(&endpoint.root);
        Ok(Self {
            client,
            events,
            filters,
            desk: Desk::default(),
            arrived,
            link,
            yields: role.yields,
            shared: false,
            connection: 0,
            starved: false,
        })
    }

    /// Connects once and waits until the subscription is confirmed.
    pub(super) async fn first_connection(
        &mut self,
        endpoint: &Endpoint,
    ) -> Result<(), ConnectError> {
        let Endpoint { host, port, .. } = endpoint;
        let refused = |reason| ConnectError::Refused { host: host.clone(), port: *port, reason };
        loop {
            let event = timeout(SILENCE, self.events.poll()).await;
            let event = event.map_err(|_| refused("the broker does not answer".to_owned()))?;
            let event = event.map_err(|error| match distrust(&error) {
                Some(reason) => {
                    ConnectError::Distrusted { host: host.clone(), port: *port, reason }
                }
                None if self.shared => ConnectError::TakenOver { host: host.clone(), port: *port },
                None => refused(chain(&error)),
            })?;
            if let Event::Incoming(Packet::SubAck(ack)) = &event {
                let granted =
                    |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                if ack.return_codes.iter().all(granted) {
                    return Ok(());
                }
                let reason = format!("refuses the subscription: {:?}", ack.return_codes);
                return Err(ConnectError::Distrusted { host: host.clone(), port: *port, reason });
            }
            // Subscribed to even if the session is there: only so is there an answer to await.
            if let Event::Incoming(Packet::ConnAck(ack)) = &event {
                self.shared = self.yields && ack.session_present;
                self.link.send_replace(Link::Up { forgotten: !ack.session_present });
                self.subscribe();
            }
            self.handle(event);
        }
    }

    /// Serves until nobody is left to give an order.
    pub(super) async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let mut backoff = BACKOFF_MIN;
        let mut closing = false;
        loop {
            self.desk.submit(&self.client);
            let polled = {
                // Never cancelled for an order: a poll may be half way through a connect.
                let mut poll = pin!(timeout(SILENCE, self.events.poll()));
                loop {
                    tokio::select! {
                        polled = &mut poll => break Some(polled),
                        order = orders.recv() => match order {
                            Some(Order::Close) => {
                                // Full only if the broker is away, and then it needs no good-bye.
                                let _ = self.client.try_disconnect();
                                closing = true;
                            }
                            Some(order) => take(order, &mut self.desk, &self.client, self.connection),
                            None => return,
                        },
                    }
                    if self.starved && self.arrived.capacity() > self.arrived.max_capacity() / 2 {
                        break None;
                    }
                }
            };
            match polled {
                Some(Ok(Ok(event))) => {
                    if self.desk.connected {
                        backoff = BACKOFF_MIN;
                    }
                    if closing && matches!(event, Event::Outgoing(Outgoing::Disconnect)) {
                        return;
                    }
                    let connected = match &event {
                        Event::Incoming(Packet::ConnAck(ack)) => Some(!ack.session_present),
                        Event::Incoming(_) | Event::Outgoing(_) => None,
                    };
                    self.handle(event);
                    if let Some(forgotten) = connected {
                        if forgotten {
                            self.subscribe();
                        }
                        self.link.send_replace(Link::Up { forgotten });
                    }
                }
                Some(Ok(Err(_))) if closing => return,
                Some(Ok(Err(error))) if self.shared || self.yields && taken_over(&error) => {
                    self.link.send_replace(Link::TakenOver);
                    return;
                }
                Some(Ok(Err(error))) => {
                    self.link.send_replace(Link::Lost(chain(&error)));
                    tracing::debug!(error = chain(&error), "the broker is away");
                    self.disconnected();
                    sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                // Silent for too long, or starved and with room again.
                Some(Err(_)) | None => {
                    self.link.send_replace(Link::Lost("the broker is silent".to_owned()));
                    self.disconnected();
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Incoming(Packet::ConnAck(_)) => {
                self.connection += 1;
                self.desk.connected = true;
            }
            Event::Incoming(Packet::PubAck(ack)) => self.desk.acknowledged(&ack),
            Event::Incoming(Packet::Publish(publish)) => {
                let wanted = publish.qos == QoS::AtLeastOnce;
                let arrived = Arrived { publish, connection: self.connection };
                // None overtakes one that was left out: events come in order.
                if wanted && self.starved {
                    return;
                }
                if self.arrived.try_send(arrived).is_err() {
                    tracing::debug!("the inbox is full: a message is left out");
                    self.starved |= wanted;
                }
            }
            Event::Outgoing(Outgoing::Publish(packet)) => self.desk.sent(packet),
            // The rest keeps the connection going and concerns nobody here.
            Event::Incoming(_) | Event::Outgoing(_) => {}
        }
    }

    fn subscribe(&self) {
        // Full only if the task is stuck, and then the next connect subscribes.
        let _ = self.client.try_subscribe_many(self.filters.clone());
    }

    fn disconnected(&mut self) {
        self.starved = false;
        self.events.clean();
        self.events.pending.clear();
        self.events.state.collision = None;
        self.desk.disconnected();
    }
}

fn take(order: Order, desk: &mut Desk, client: &AsyncClient, connection: u64) {
    match order {
        Order::Publish { publication, done } => {
            if publication.topic.is_empty() || publication.topic.contains(['+', '#', '\0']) {
                let _ = done.send(Err(PublishError::BadTopic { topic: publication.topic }));
                return;
            }
            desk.queued.push_back(Waiting { publication, done });
            desk.submit(client);
        }
        // The loop's own.
        Order::Close => {}
        Order::Acknowledge(arrived) => {
            if arrived.connection == connection && arrived.publish.qos == QoS::AtLeastOnce {
                // Lost only with the connection, and then the message comes again.
                let _ = client.try_ack(&arrived.publish);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_queues_everything_unacknowledged_again_in_order() {
        let waiting = |topic: &str| {
            let (topic, payload) = (topic.to_owned(), vec![]);
            let publication = Publication { topic, payload, retain: false, expires: None };
            Waiting { publication, done: oneshot::channel().0 }
        };
        let mut desk = Desk { submitted: ["1", "2", "3"].map(waiting).into(), ..Desk::default() };
        desk.queued.push_back(waiting("4"));
        // Packet ids wrap around: the order is not theirs.
        desk.sent(16);
        desk.sent(1);
        desk.disconnected();
        let order = desk.queued.iter().map(|waiting| waiting.publication.topic.as_str());
        assert_eq!(order.collect::<Vec<_>>(), ["1", "2", "3", "4"]);
        assert!(desk.sent.is_empty() && desk.submitted.is_empty() && !desk.connected);
    }
}
