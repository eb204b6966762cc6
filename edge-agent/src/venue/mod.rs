//! The brokers in the venue's own network that plugs hang on: one plain connection each, for all the plugs
//! there. The control plane's link is another matter ([`crate::link`]).
//!
//! Here is only what carries messages. What is asked of a plug, how an answer is told, and that no
//! command acts late is `plug_driver`'s; it relies on this: what is handed to a connection goes out over that
//! connection or not at all, once, and not retained.

mod broker;
mod lookout;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use plug_driver::{Line, MqttPlug, PlugTopics};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use self::lookout::lookout;
use crate::endpoint::Endpoint;

/// Where brokers listen without TLS.
pub(crate) const MQTT_PORT: u16 = 1883;

/// A broker, and the login there. Plain MQTT: plugs on this firmware have no TLS.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// A DNS name or an address.
    pub host: String,
    /// Never 0.
    pub port: u16,
    /// The user, where it asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Where the user's password is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

impl Place {
    /// `mqtt://HOST[:PORT]`, or without the scheme; no login.
    ///
    /// # Errors
    /// What is wrong with `text`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = if text.contains("://") { text.to_owned() } else { format!("mqtt://{text}") };
        let Endpoint { host, port } = Endpoint::parse(&url, "mqtt", MQTT_PORT)?;
        Ok(Self { host, port, username: None, password_file: None })
    }
}

/// `host:port`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Endpoint { host: self.host.clone(), port: self.port }.fmt(f)
    }
}

/// The plugs that hang on brokers, before anything is connected.
#[derive(Debug, Default)]
pub struct Venue {
    brokers: BTreeMap<Place, Plugs>,
}

/// The plugs of one broker, and the connection as they see it.
#[derive(Debug)]
struct Plugs {
    line: watch::Sender<Line>,
    plugs: BTreeMap<PlugTopics, MqttPlug>,
}

/// The connections to the brokers, which end when this is dropped.
#[derive(Debug)]
pub struct Connections {
    _tasks: JoinSet<()>,
}

impl Venue {
    /// The plug of these `topics` at the broker `place`; the same one for each of its relays.
    pub fn plug(&mut self, place: &Place, topics: PlugTopics) -> MqttPlug {
        let plugs = self.brokers.entry(place.clone()).or_insert_with(|| {
            let (line, _) = watch::channel(Line::Down("not connected yet".to_owned()));
            Plugs { line, plugs: BTreeMap::new() }
        });
        let new = || MqttPlug::new(&place.to_string(), topics.clone(), plugs.line.subscribe());
        plugs.plugs.entry(topics.clone()).or_insert_with(new).clone()
    }

    /// Connects to each broker that a plug hangs on, and again whenever a connection is lost. Without
    /// such a plug nothing is started.
    #[must_use]
    pub fn connect(self) -> Connections {
        let mut tasks = JoinSet::new();
        for (place, Plugs { line, plugs }) in self.brokers {
            tasks.spawn(broker::run(place, line, plugs.into_values().collect()));
        }
        Connections { _tasks: tasks }
    }
}
