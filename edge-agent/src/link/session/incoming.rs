//! What the broker says on a connection, and what follows from it.

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Publish, SubAck, SubscribeReasonCode};
use tokio::time::Instant;

use super::{Phase, SESSION_TAKEN_OVER, Session};
use crate::link::News;
use crate::link::arrivals::Admission;
use crate::link::end::{End, Lost};
use crate::link::inflight::{Inflight, Sent};
use crate::link::packets;
use crate::link::pipe::{goodbye, quoted};
use crate::link::welcome::Limits;
use crate::link::wire::Said;
use crate::step::step;

impl Session<'_> {
    pub(super) fn receive(&mut self, said: Said) -> Result<(), End> {
        match said {
            Said::Welcome(welcome) => self.welcomed(&welcome),
            Said::Goodbye { code, words } => Err(End::Lost(Lost {
                reason: goodbye(code, words.as_deref()),
                session_taken_over: code == SESSION_TAKEN_OVER,
                worked: self.worked(),
            })),
            Said::Subscribed(_) | Said::Message(_) | Said::Answer { .. } | Said::Pulse
                if matches!(self.phase, Phase::Connecting) =>
            {
                Err(self.lost("the broker sends something before its welcome".to_owned()))
            }
            Said::Subscribed(answer) => self.subscribed(&answer),
            Said::Message(publish) => self.arrived(publish),
            Said::Answer { packet_id, refusal } => self.answered(packet_id, refusal),
            Said::Pulse => {
                self.patience.answered();
                Ok(())
            }
        }
    }

    /// Subscribes, also where the broker remembers this node: it costs one packet, and heals a
    /// change of groups and a broker that remembers wrongly.
    fn welcomed(&mut self, welcome: &ConnAck) -> Result<(), End> {
        let Phase::Connecting = self.phase else {
            // Taken for a new start, it would forget what is under way.
            return Err(self.lost("the broker welcomes this node twice".to_owned()));
        };
        let limits = Limits::of(welcome, self.limits.keep_alive);
        self.limits = limits.map_err(|reason| self.lost(reason))?;
        self.patience.welcomed(self.limits.keep_alive, Instant::now());
        self.inflight = Inflight::new(usize::from(self.limits.window));
        step!("link.welcomed");
        self.phase = Phase::Subscribing { session_present: welcome.session_present, held: vec![] };
        let packet_id = self.inflight.submit(Sent::Subscription, Instant::now());
        self.send(&packets::subscribe(&self.command_topics, packet_id))
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
        let up = Phase::Up { since: Instant::now(), farewell: None };
        if let Phase::Subscribing { session_present, held } = std::mem::replace(&mut self.phase, up)
        {
            tracing::info!(session_present, "connected to the broker");
            self.tell(News::Up { connection: self.connection, session_present })?;
            step!("link.up");
            for news in held {
                self.tell(news)?;
            }
        }
        Ok(())
    }

    fn arrived(&mut self, publish: Publish) -> Result<(), End> {
        // None was allowed (Topic Alias Maximum 0): a message whose topic is only a number could
        // be a command, so it must not be acknowledged unread.
        if publish.topic.is_empty() || publish.properties.is_some_and(|it| it.topic_alias.is_some())
        {
            return Err(self.lost("the broker uses a topic alias, which it may not".to_owned()));
        }
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
            if !ours && !std::mem::replace(&mut self.warned, true) {
                let topic = quoted(&String::from_utf8_lossy(&publish.topic));
                tracing::warn!(topic, "ignoring messages on topics that are not this node's");
            }
            let answer = packet_id.map(packets::acknowledgement);
            return answer.map_or(Ok(()), |answer| self.send(&answer));
        }
        match self.arrivals.admit(packet_id, publish.payload.len()) {
            Admission::Admitted(token) => self.tell(News::Command {
                token,
                payload: publish.payload.to_vec(),
                retained: publish.retain,
            }),
            Admission::Dropped | Admission::LeftOut => Ok(()),
        }
    }

    fn answered(&mut self, packet_id: u16, refusal: Option<u8>) -> Result<(), End> {
        match (self.inflight.acknowledge(packet_id, Instant::now()), refusal) {
            (Some(Sent::Event(seq)), None) => self.tell(News::Delivered { seq }),
            (Some(Sent::Event(seq)), Some(code)) => self.tell(News::Refused { seq, code }),
            (Some(Sent::Farewell), None) => self.send(&packets::disconnect()),
            // Hanging up without a DISCONNECT lets the last will say it.
            (Some(Sent::Farewell), Some(_)) => Err(End::Stopped),
            (Some(Sent::Retained(what)), refusal) => self.kept(what, refusal),
            // Who acknowledges what was not sent can't be believed about what was.
            (Some(Sent::Subscription) | None, _) => {
                Err(self.lost("the broker acknowledges what it was not sent".to_owned()))
            }
        }
    }
}
