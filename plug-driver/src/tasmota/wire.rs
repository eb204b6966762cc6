//! How a plug is asked: over HTTP, or over a broker of the venue's network. What is asked, and what an
//! answer must say, is the same.

use super::http::{Endpoint, Login};
use super::mqtt::{MqttPlug, Trips};
use crate::error::Fault;
use crate::http::Hurry;
use crate::turn::Turns;

/// The way to a plug.
#[derive(Debug)]
pub(super) enum Wire {
    Http(Endpoint),
    Mqtt(MqttPlug),
}

impl Wire {
    /// The turns at this plug.
    pub(super) fn turns(&self) -> &Turns {
        match self {
            Self::Http(endpoint) => endpoint.turns(),
            Self::Mqtt(plug) => plug.turns(),
        }
    }

    /// Whether there is a password to send with each command. A broker asks for its own, once.
    pub(super) fn has_password(&self) -> bool {
        match self {
            Self::Http(endpoint) => endpoint.has_password(),
            Self::Mqtt(_) => false,
        }
    }

    /// Whether a command that is answered by several messages is answered whole.
    pub(super) fn answers_whole(&self) -> bool {
        match self {
            Self::Http(_) => true,
            Self::Mqtt(_) => false,
        }
    }

    /// The trips that the plug has told of. It does so at a broker only.
    pub(super) fn trips(&self) -> Trips {
        match self {
            Self::Http(_) => Trips::default(),
            Self::Mqtt(plug) => plug.trips(),
        }
    }

    /// Sends `command` when it is its turn and gives its answer. Where others may be talking, one that
    /// `agrees` is preferred to one that does not.
    pub(super) async fn send(
        &self,
        command: &str,
        login: Login,
        hurry: Hurry,
        agrees: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<Vec<u8>, Fault> {
        match self {
            Self::Http(endpoint) => endpoint.send(command, login, hurry).await,
            Self::Mqtt(plug) => plug.ask(command, hurry, agrees).await,
        }
    }
}
