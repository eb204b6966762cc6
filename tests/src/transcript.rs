//! Every event that a node has told, held to what the contract says of them all: `seq` rises by
//! one, an event that comes twice is the same, the store keeps its name, a cause is a command
//! that was sent, or one of a schedule's.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The subject of every event.
pub const ANY: &str = "";

/// What a node has told.
#[derive(Debug, Default)]
pub struct Transcript {
    /// Each event once, in the order of `seq`.
    events: Vec<Value>,
    /// The places of those that a story has taken.
    taken: BTreeSet<usize>,
    /// The `seq` of those that came again, in the order of their coming.
    again: Vec<u64>,
}

impl Transcript {
    /// Takes an event in; `sent` are the ids of all commands. One that ends with a dot is how those
    /// of a schedule begin.
    ///
    /// # Errors
    /// It can't be, after those before it.
    pub fn take(&mut self, event: Value, sent: &[String]) -> Result<()> {
        let last = self.events.len();
        let number = seq(&event)?;
        let place = usize::try_from(number)?.checked_sub(1).context("seq starts at 1")?;
        if let Some(known) = self.events.get(place) {
            ensure!(*known == event, "event {number} came again as another: {event}, was {known}");
            self.again.push(number);
            return Ok(());
        }
        ensure!(place == last, "event {number} came after event {last}");
        if let Some(first) = self.events.first() {
            ensure!(first["store"] == event["store"], "another store: {event}");
        }
        if let Some(cause) = event.get("cause") {
            let is = |id: &String, cause: &str| {
                id == cause || id.ends_with('.') && cause.starts_with(id.as_str())
            };
            let known = cause.as_str().is_some_and(|cause| sent.iter().any(|id| is(id, cause)));
            ensure!(known, "a cause that nobody sent: {event}");
        }
        self.events.push(event);
        Ok(())
    }

    /// The first event that `wanted` says yes to and that was not picked before.
    pub fn pick(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let mut open = self.events.iter().enumerate();
        let (place, event) =
            open.find(|(place, event)| !self.taken.contains(place) && wanted(event))?;
        self.taken.insert(place);
        Some(event.clone())
    }

    /// Every event, each once, in the order of `seq`.
    #[must_use]
    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// Every event of type `kind` about `subject`, picked or not.
    #[must_use]
    pub fn all(&self, kind: &str, subject: &str) -> Vec<&Value> {
        let wanted = |event: &&Value| event["type"] == kind && is_about(event, subject);
        self.events.iter().filter(wanted).collect()
    }

    /// The `seq` of each event that came again, in the order of their coming.
    #[must_use]
    pub fn again(&self) -> &[u64] {
        &self.again
    }
}

/// Whether an event is about the session, outlet or task `subject`; every one is about [`ANY`].
#[must_use]
pub fn is_about(event: &Value, subject: &str) -> bool {
    let body = &event["body"];
    subject == ANY || ["session", "outlet", "task"].iter().any(|field| body[*field] == subject)
}

/// The text `field` of an event's body; empty where there is none.
#[must_use]
pub fn text(event: &Value, field: &str) -> String {
    event["body"][field].as_str().unwrap_or_default().to_owned()
}

/// The number `field` of an event's body.
///
/// # Errors
/// There is none.
pub fn number(event: &Value, field: &str) -> Result<u64> {
    event["body"][field].as_u64().with_context(|| format!("no {field} in {event}"))
}

/// The names of an event's body's fields, in alphabetical order.
#[must_use]
pub fn fields(event: &Value) -> Vec<&str> {
    let body = event["body"].as_object();
    let mut names: Vec<&str> = body.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names
}

/// The `seq` of an event.
///
/// # Errors
/// It has none.
pub fn seq(event: &Value) -> Result<u64> {
    event["seq"].as_u64().with_context(|| format!("no seq in {event}"))
}
