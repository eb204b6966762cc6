//! Where a plug listens and speaks: its `Topic` in its `FullTopic`.

use crate::error::Fault;

/// The topics of one plug.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlugTopics {
    topic: String,
    /// With its slash at the end; `%topic%` is filled in.
    full: String,
}

/// Two levels and a name must fit in what MQTT allows; Tasmota's own topics have 32 letters at most.
const MAX_BYTES: usize = 256;

impl PlugTopics {
    /// The `FullTopic` that a plug has unless it was given another.
    pub const DEFAULT_FULL: &str = "%prefix%/%topic%/";

    /// Those of a plug whose `Topic` is `topic` and whose `FullTopic` is `full`.
    ///
    /// # Errors
    /// One of them, named `mqtt_topic` and `mqtt_full_topic`, cannot be a plug's.
    pub fn new(topic: &str, full: &str) -> Result<Self, Fault> {
        let plain = |text: &str| {
            (1..=MAX_BYTES).contains(&text.len())
                && !text.contains(|letter: char| matches!(letter, '+' | '#') || letter.is_control())
        };
        if !plain(topic)
            || topic.starts_with(['/', '$'])
            || topic.ends_with('/')
            || topic.contains('%')
        {
            let remedy = "must be the plug's Topic: 1 to 256 bytes without +, # and %, no slash at either end";
            return Err(Fault::Setting { setting: "mqtt_topic", value: topic.to_owned(), remedy });
        }
        let full = if full.ends_with('/') { full.to_owned() } else { format!("{full}/") };
        let rest = full.replacen("%prefix%", "", 1).replacen("%topic%", "", 1);
        let placed = full.contains("%prefix%") && full.contains("%topic%") && !rest.contains('%');
        if !plain(&full) || !placed || full.starts_with(['/', '$']) {
            let remedy = "must hold %prefix% and %topic% once each and no other %, such as \"%prefix%/%topic%/\"";
            return Err(Fault::Setting { setting: "mqtt_full_topic", value: full, remedy });
        }
        let full = full.replace("%topic%", topic);
        Ok(Self { topic: topic.to_owned(), full })
    }

    /// The plug's `Topic`.
    pub(super) fn name(&self) -> &str {
        &self.topic
    }

    /// Where the command `name` goes.
    pub(super) fn command(&self, name: &str) -> String {
        self.under("cmnd", name)
    }

    /// What to subscribe to for its answers.
    pub(super) fn answers(&self) -> String {
        self.under("stat", "+")
    }

    /// Whether it may be an answer that comes there.
    pub(super) fn is_answer(&self, topic: &str) -> bool {
        topic.strip_prefix(&self.under("stat", "")).is_some_and(|name| !name.contains('/'))
    }

    /// Where it says that it switches itself off.
    pub(super) fn warning(&self) -> String {
        self.under("stat", "WARNING")
    }

    /// Where the broker keeps whether the plug is there.
    pub(super) fn will(&self) -> String {
        self.under("tele", "LWT")
    }

    fn under(&self, prefix: &str, name: &str) -> String {
        format!("{}{name}", self.full.replace("%prefix%", prefix))
    }
}
