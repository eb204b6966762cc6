//! A Tasmota's connection to a broker: plain TCP, MQTT 3.1.1, one quality of service: 0.
//!
//! The device decides what is said; the last will is the broker's. A restart of the plug breaks
//! the connection, so that the will is published, and a new one is made; so does [`Fault::Unreachable`],
//! for as long as it is set. Of other faults there are none over MQTT.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, LastWill, MqttOptions, Packet, QoS};
use tokio::time::sleep;

use super::Shared;
use crate::{Device, Fault, Message};

/// Before a connection is tried again (`MqttRetry`, 10 s in the firmware; here for people who wait).
const RETRY: Duration = Duration::from_secs(1);
/// Messages between the device and the connection.
const QUEUE: usize = 256;

/// Where the broker is, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// User name and password, if it asks for any.
    pub login: Option<(String, String)>,
}

pub(super) async fn run(broker: Broker, shared: Arc<Shared>) {
    loop {
        if !is_gone(&shared) {
            connect_once(&broker, &shared).await;
            shared.change(|device| device.mqtt_connected(false));
        }
        sleep(RETRY).await;
    }
}

/// Whether it has no network at present.
fn is_gone(shared: &Shared) -> bool {
    shared.look(|device| device.fault() == Some(&Fault::Unreachable))
}

/// One connection, from its making to its loss, or to the plug's restart.
async fn connect_once(broker: &Broker, shared: &Shared) {
    let Some((client, events)) = open(broker, shared) else { return };
    // Side by side, since a poll of the connection must not be given up half way.
    tokio::select! {
        () = hear(events, &client, shared) => {}
        () = speak(&client, shared) => {}
    }
}

async fn hear(mut events: EventLoop, client: &AsyncClient, shared: &Shared) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                for topic in shared.look(|device| device.mqtt_subscriptions()) {
                    if client.try_subscribe(topic, QoS::AtMostOnce).is_err() {
                        return;
                    }
                }
                shared.change(|device| device.mqtt_connected(true));
            }
            Ok(Event::Incoming(Packet::Publish(message))) => {
                let payload = String::from_utf8_lossy(&message.payload).into_owned();
                shared.change(|device| device.mqtt_receive(&message.topic, &payload));
            }
            Ok(Event::Incoming(_) | Event::Outgoing(_)) => {}
            Err(_) => return,
        }
    }
}

async fn speak(client: &AsyncClient, shared: &Shared) {
    let mut changes = shared.changes.subscribe();
    let boots = shared.look(|device| device.boot_count());
    loop {
        for Message { topic, payload, retain } in shared.look(Device::mqtt_take) {
            if client.publish(topic, QoS::AtMostOnce, retain, payload).await.is_err() {
                return;
            }
        }
        // A restart drops the connection without a farewell, and so does the loss of the network.
        let lost = changes.changed().await.is_err() || is_gone(shared);
        if lost || shared.look(|it| it.boot_count()) != boots {
            return;
        }
    }
}

fn open(broker: &Broker, shared: &Shared) -> Option<(AsyncClient, EventLoop)> {
    let (will, client_id) =
        shared.look(|device| (device.mqtt_will(), format!("DVES_{}", device.profile().mac_tail())));
    let will = will?;
    let mut options = MqttOptions::new(client_id, broker.host.as_str(), broker.port);
    options.set_keep_alive(Duration::from_secs(30));
    options.set_last_will(LastWill::new(will.topic, will.payload, QoS::AtLeastOnce, will.retain));
    if let Some((user, password)) = &broker.login {
        options.set_credentials(user.as_str(), password.as_str());
    }
    Some(AsyncClient::new(options, QUEUE))
}
