//! Finds plugs on the local network, for a person who sets a site up.
//!
//! Shelly plugs announce themselves ([`announced()`]); Tasmota plugs mostly do not, so a network that
//! the person names is looked through ([`scan`]), which finds both. [`outlets()`] writes what was
//! found as configuration. Nothing is switched, no timer is touched, no password is sent.

mod announced;
mod identify;
mod network;
mod outlets;

pub use announced::announced;
pub use network::{Network, scan};
pub use outlets::outlets;

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
    /// `http://address` or `http://address:port`.
    pub url: String,
    /// How many relays it has; `None`: it tells only with its password.
    pub relays: Option<u8>,
    /// Whether it measures the power of its load; `None`: it tells only with its password.
    pub metered: Option<bool>,
    /// Whether it asks for a password.
    pub password_needed: bool,
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

/// Puts what several ways have found into one list: each plug once, by family and address.
#[must_use]
pub fn together(found: impl IntoIterator<Item = Found>) -> Vec<Found> {
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_by(|a, b| (a.family, &a.url).cmp(&(b.family, &b.url)));
    found.dedup_by(|a, b| a.url == b.url);
    found
}

#[cfg(test)]
mod tests;
