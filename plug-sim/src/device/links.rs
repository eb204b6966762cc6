//! What goes other ways than HTTP: MQTT, WebSocket, `CoIoT`.

use super::{Asked, Device, Kind};
use crate::Message;

impl Device {
    /// Tasmota: what the broker shall publish when the plug is gone without a word.
    #[must_use]
    pub fn mqtt_will(&self) -> Option<Message> {
        match &self.kind {
            Kind::Tasmota(plug) => Some(plug.will()),
            Kind::Shelly(_) => None,
        }
    }

    /// Tasmota: the topics that it subscribes to.
    #[must_use]
    pub fn mqtt_subscriptions(&self) -> Vec<String> {
        match &self.kind {
            Kind::Tasmota(plug) => plug.subscriptions(),
            Kind::Shelly(_) => vec![],
        }
    }

    /// Tasmota: the broker took the connection (or it is lost).
    pub fn mqtt_connected(&mut self, connected: bool) {
        match &mut self.kind {
            Kind::Tasmota(plug) => plug.linked(connected),
            Kind::Shelly(_) => {}
        }
    }

    /// Tasmota: a message arrived.
    pub fn mqtt_receive(&mut self, topic: &str, payload: &str) {
        match &mut self.kind {
            Kind::Tasmota(plug) => {
                self.asked.push(Asked {
                    at_ms: plug.board.wall_ms(plug.board.now),
                    command: plug.command_of(topic, payload).unwrap_or_default(),
                });
                plug.receive(topic, payload);
            }
            Kind::Shelly(_) => {}
        }
    }

    /// Tasmota: what it wants published, oldest first; each is given once.
    pub fn mqtt_take(&mut self) -> Vec<Message> {
        match &mut self.kind {
            Kind::Tasmota(plug) => plug.take_messages(),
            Kind::Shelly(_) => vec![],
        }
    }

    /// Shelly's second generation: the answer to a frame over its WebSocket.
    pub(crate) fn frame(&mut self, text: &str) -> Option<String> {
        let Kind::Shelly(plug) = &mut self.kind else { return None };
        let at_ms = plug.board.wall_ms(plug.board.now);
        self.asked.push(Asked { at_ms, command: text.to_owned() });
        Some(plug.frame(text))
    }

    /// Shelly's second generation: what it tells over its WebSockets when a relay changed.
    pub(crate) fn notice(&self, relay: usize) -> Option<String> {
        match &self.kind {
            Kind::Shelly(plug) => self.index(relay).map(|relay| plug.notice(relay)),
            Kind::Tasmota(_) => None,
        }
    }

    /// Shelly's first generation: the answer to a `CoIoT` packet.
    pub(crate) fn coiot(&self, packet: &[u8]) -> Option<Vec<u8>> {
        match &self.kind {
            Kind::Shelly(plug) => plug.coiot(packet),
            Kind::Tasmota(_) => None,
        }
    }
}
