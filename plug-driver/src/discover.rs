//! Finds plugs on the local network, for a person who sets a site up.
//!
//! Shelly plugs announce themselves ([`announced()`]); Tasmota plugs mostly do not, so a network that
//! the person names is looked through ([`scan`]), which finds both; and a broker that Tasmota plugs hang
//! on keeps what they announce there ([`retained()`]). [`outlets()`] writes what was found as
//! configuration. Nothing is switched, no timer is touched, no password is sent.

mod announced;
mod identify;
mod network;
mod outlets;
mod retained;

pub use announced::announced;
pub use network::{Network, scan};
pub use outlets::outlets;
pub use retained::{RETAINED, retained};

/// A plug that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What speaks to it.
    pub family: Family,
    /// The generation of a Shelly, from 1.
    pub generation: Option<u8>,
    /// The firmware as the plug calls it; empty where it tells only with its password.
    pub firmware: String,
    /// The name that its owner gave it, else the one that it was made with. Any text, from a
    /// stranger.
    pub name: String,
    /// `http://address` or `http://address:port`; empty where only a broker knows of it.
    pub url: String,
    /// Where it is at a broker, for one that was found there.
    pub at_broker: Option<AtBroker>,
    /// How many relays it has; `None`: it tells only with its password.
    pub relays: Option<u8>,
    /// Whether it measures the power of its load; `None`: it tells only with its password.
    pub metered: Option<bool>,
    /// Whether it asks for a password.
    pub password_needed: bool,
}

/// Where a plug is at its broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtBroker {
    /// Its `Topic`.
    pub topic: String,
    /// Its `FullTopic`.
    pub full_topic: String,
}

/// A family of plugs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Tasmota's firmware, on whatever hardware.
    Tasmota,
    /// Shelly's own firmware.
    Shelly,
}

impl Family {
    /// The driver's name as the configuration spells it.
    #[must_use]
    pub fn driver_name(self) -> &'static str {
        match self {
            Self::Tasmota => "tasmota",
            Self::Shelly => "shelly",
        }
    }
}

/// Why nothing could be looked for.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing that can be listened to for announcements.
    #[error("announcements (multicast DNS, UDP port 5353) can't be listened to")]
    Announcements(#[source] mdns_sd::Error),
    /// Text that names no network.
    #[error("{text:?} is no network: write it like 192.168.1.0/24")]
    NotANetwork {
        /// What was written.
        text: String,
    },
    /// A network with too many addresses.
    #[error("{text} is too large: a /22 (1,022 addresses) is the most that is looked through")]
    TooLarge {
        /// What was written.
        text: String,
    },
}

/// Puts what several ways have found into one list: each plug once, by family and address. One that
/// hangs on a broker is listed as there.
#[must_use]
pub fn together(found: impl IntoIterator<Item = Found>) -> Vec<Found> {
    let mut found: Vec<_> = found.into_iter().collect();
    let topic = |it: &Found| it.at_broker.as_ref().map(|it| it.topic.clone());
    found.sort_by_key(|it| (it.family, it.url.clone(), it.at_broker.is_none(), topic(it)));
    // What is at a broker has a topic of its own there, whatever address it tells.
    found.dedup_by(|a, b| a.url == b.url && (a.at_broker.is_none() || topic(a) == topic(b)));
    found
}

#[cfg(test)]
mod tests;
