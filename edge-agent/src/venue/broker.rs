//! One broker: a connection, from its making to its loss, and the next.
//!
//! MQTT 3.1.1, since many a broker in a venue speaks nothing newer. Each connection is a client of its own
//! with a clean session, so that nothing of an earlier one can come out of the client's own queues.

use std::time::Duration;

use plug_driver::{Line, Message, MqttPlug};
use rumqttc::{
    AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet, QoS,
    SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::Place;
use crate::config::password;
use crate::link::{Backoff, Reconnect, generator};

/// The broker is in the same building, and no plug is switched without it.
const RECONNECT: Reconnect =
    Reconnect { min: Duration::from_millis(200), max: Duration::from_secs(3) };
/// A broker that hangs is given up after this and half as much again.
const KEEP_ALIVE: Duration = Duration::from_secs(5);
/// rumqttc's poll returns at each ping at the latest, unless it is stuck.
const POLL_LIMIT: Duration = Duration::from_millis(7_500);
/// In seconds: rumqttc's own unit.
const CONNECT_LIMIT_S: u64 = 3;
/// Commands on their way into a connection. Each plug has one at a time, so this is never full for long.
const QUEUE: usize = 64;
/// Far above what a plug says; a larger packet ends the connection.
const MAX_PACKET_BYTES: usize = 1024 * 1024;
/// Nothing of ours waits for an acknowledgement but the subscription.
const INFLIGHT: u16 = 8;
/// How many topics are subscribed to in one packet.
const FILTERS_AT_ONCE: usize = 64;

/// Connects, again and again, for as long as it is polled.
pub(super) async fn run(place: Place, line: watch::Sender<Line>, plugs: Vec<MqttPlug>) {
    let mut generator = generator();
    // Short enough for any broker, and another than any other agent's.
    let client_id = format!("edge-agent-{:08x}", generator.u32(..));
    let mut backoff = Backoff::new(RECONNECT, generator);
    loop {
        let (client, events) = open(&place, &client_id);
        let mut connection =
            Connection { client, line: &line, plugs: &plugs, subscribing: 0, up_since: None };
        let reason = connection.serve(events).await;
        let worked = connection.up_since.map_or(Duration::ZERO, |since| since.elapsed());
        line.send_replace(Line::Down(reason.clone()));
        plugs.iter().for_each(MqttPlug::lose);
        let pause = backoff.after(worked, false);
        let pause_ms = pause.as_millis();
        tracing::warn!(broker = %place, reason, pause_ms, "the plugs' broker is out of reach");
        sleep(pause).await;
    }
}

pub(super) fn open(place: &Place, client_id: &str) -> (AsyncClient, EventLoop) {
    // rumqttc joins host and port by a colon.
    let host =
        if place.host.contains(':') { format!("[{}]", place.host) } else { place.host.clone() };
    let mut options = MqttOptions::new(client_id, host, place.port);
    options.set_keep_alive(KEEP_ALIVE);
    options.set_clean_session(true);
    options.set_inflight(INFLIGHT);
    options.set_max_packet_size(MAX_PACKET_BYTES, MAX_PACKET_BYTES);
    if let (Some(username), Some(file)) = (&place.username, &place.password_file) {
        // Read with each connection, so that a changed one counts.
        match password(file) {
            Ok(password) => {
                options.set_credentials(username, password);
            }
            Err(error) => tracing::error!(file = %file.display(), error, "no password"),
        }
    }
    let (client, mut events) = AsyncClient::new(options, QUEUE);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(CONNECT_LIMIT_S);
    events.set_network_options(network);
    (client, events)
}

/// Why there is no connection, and what to look at.
pub(super) fn refused(error: &ConnectionError) -> String {
    if let ConnectionError::ConnectionRefused(code) = error {
        return format!("it refuses us ({code:?}): check username and password_file in [plugs]");
    }
    crate::chain(error)
}

struct Connection<'a> {
    client: AsyncClient,
    line: &'a watch::Sender<Line>,
    plugs: &'a [MqttPlug],
    /// How many answers to subscriptions are still to come.
    subscribing: usize,
    up_since: Option<Instant>,
}

impl Connection<'_> {
    /// Serves it until it ends, and tells why it did.
    async fn serve(&mut self, events: EventLoop) -> String {
        let (put, commands) = mpsc::channel(QUEUE);
        let client = self.client.clone();
        // Side by side, since a poll of the connection must not be given up half way.
        tokio::select! {
            reason = self.hear(events, &put) => reason,
            reason = speak(commands, &client) => reason,
        }
    }

    async fn hear(&mut self, mut events: EventLoop, put: &mpsc::Sender<Message>) -> String {
        loop {
            let event = match timeout(POLL_LIMIT, events.poll()).await {
                Ok(Ok(event)) => event,
                Ok(Err(error)) => return refused(&error),
                Err(_) => return "it does not answer".to_owned(),
            };
            match event {
                Event::Incoming(Packet::ConnAck(_)) => {
                    if let Err(reason) = self.subscribe() {
                        return reason;
                    }
                }
                Event::Incoming(Packet::SubAck(answer)) => {
                    if answer.return_codes.contains(&SubscribeReasonCode::Failure) {
                        return "it does not let us subscribe to a plug's topics".to_owned();
                    }
                    self.subscribing = self.subscribing.saturating_sub(1);
                    if self.subscribing == 0 && self.up_since.is_none() {
                        self.up_since = Some(Instant::now());
                        self.line.send_replace(Line::Up(put.clone()));
                        tracing::info!(plugs = self.plugs.len(), "connected to the plugs' broker");
                    }
                }
                Event::Incoming(Packet::Publish(message)) => {
                    for plug in self.plugs {
                        plug.hear(&message.topic, &message.payload, message.retain);
                    }
                }
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
    }

    fn subscribe(&mut self) -> Result<(), String> {
        // Answers are asked for again if one is lost, so at most once is enough.
        let filter = |path| SubscribeFilter { path, qos: QoS::AtMostOnce };
        let filters: Vec<SubscribeFilter> =
            self.plugs.iter().flat_map(MqttPlug::filters).map(filter).collect();
        for some in filters.chunks(FILTERS_AT_ONCE) {
            let subscribed = self.client.try_subscribe_many(some.iter().cloned());
            subscribed.map_err(|error| crate::chain(&error))?;
            self.subscribing += 1;
        }
        Ok(())
    }
}

/// Hands commands to the connection. At most once: a broker keeps such a message for nobody, so that
/// a plug that comes back does not find an old *on* waiting.
async fn speak(mut commands: mpsc::Receiver<Message>, client: &AsyncClient) -> String {
    while let Some(Message { topic, payload }) = commands.recv().await {
        if let Err(error) = client.try_publish(topic, QoS::AtMostOnce, false, payload) {
            return crate::chain(&error);
        }
    }
    "nobody has a command any more".to_owned()
}
