//! What a node says under load, counted as it comes: a transcript of it all would be what grows.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use edge_protocol::codec::decode;
use edgectl::lab::site::Site;
use edgectl::lab::wall::now_ms;
use serde_json::{Value, json};
use tests::transcript::{number, seq, text};
use tests::vitals::Vitals;
use tokio::time::{Instant, timeout};

/// Nothing at all is heard for so long only if something hangs.
const SILENCE: Duration = Duration::from_secs(60);
/// How often the node's memory is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// What a node has said, counted.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) last_seq: u64,
    /// First answers, by command.
    pub(crate) first: BTreeMap<String, u64>,
    pub(crate) repeats: u64,
    /// Answers to what has no id.
    pub(crate) malformed: u64,
    pub(crate) too_large: u64,
    pub(crate) links: u64,
    pub(crate) submitted: u64,
    pub(crate) succeeded: u64,
    pub(crate) started: u64,
    /// The off time that each session was told to have.
    pub(crate) off_at: BTreeMap<String, u64>,
    pub(crate) told_late_ms: Vec<u64>,
    pub(crate) reports: u64,
    pub(crate) faults: u64,
}

impl Tally {
    fn take(&mut self, event: &Value) -> Result<()> {
        let number_of = seq(event)?;
        if number_of <= self.last_seq {
            return Ok(());
        }
        ensure!(number_of == self.last_seq + 1, "{event} after {}", self.last_seq);
        self.last_seq = number_of;
        let kind = event["type"].as_str().context("its type")?;
        match kind {
            "command.accepted" | "command.rejected" => self.answer(event),
            "node.link" => self.links += 1,
            "node.report" => self.reports += 1,
            "task.queued" => self.submitted += 1,
            "task.succeeded" => self.succeeded += 1,
            "session.started" => self.started += 1,
            "session.ending" => {
                self.off_at.insert(text(event, "session"), number(event, "off_at_ms")?);
            }
            "session.ended" => self.told_late_ms.push(number(event, "late_ms")?),
            // With a cause it answers an `event.resend` of what is not kept.
            "node.dropped" if event["cause"].is_string() => {}
            "session.failed" | "session.refused" | "task.failed" | "node.dropped" => {
                anyhow::bail!("{event}")
            }
            "outlet.fault" => self.faults += 1,
            _ => {}
        }
        Ok(())
    }

    fn answer(&mut self, event: &Value) {
        let body = &event["body"];
        match body["command"].as_str() {
            Some(_) if body["repeat"] == true => self.repeats += 1,
            Some(command) => *self.first.entry(command.to_owned()).or_default() += 1,
            None if body["code"] == "too_large" => self.too_large += 1,
            None => self.malformed += 1,
        }
    }
}

/// A node of a site, and an ear for it.
pub(crate) struct Watched {
    pub(crate) site: Site,
    pub(crate) tally: Tally,
    pub(crate) pid: u32,
    /// The most memory it was seen to have.
    pub(crate) peak_bytes: u64,
    looked: Instant,
}

impl Watched {
    pub(crate) fn new(site: Site, pid: u32) -> Self {
        Self { site, tally: Tally::default(), pid, peak_bytes: 0, looked: Instant::now() }
    }

    /// Listens until `done`.
    pub(crate) async fn until(&mut self, what: &str, done: impl Fn(&Tally) -> bool) -> Result<()> {
        while !done(&self.tally) {
            self.listen().await.with_context(|| what.to_owned())?;
        }
        Ok(())
    }

    pub(crate) async fn listen(&mut self) -> Result<()> {
        let heard = timeout(SILENCE, self.site.control.next()).await;
        let heard = heard.context("the node has fallen silent")??;
        if heard.topic == self.site.topics().events() {
            self.tally.take(&decode(&heard.payload)?)?;
        }
        if self.looked.elapsed() > LOOK {
            self.looked = Instant::now();
            self.peak_bytes = self.peak_bytes.max(Vitals::of(self.pid)?.own_bytes);
        }
        Ok(())
    }

    /// Sends the command `id`, again perhaps.
    pub(crate) async fn send(&self, id: &str, kind: &str, body: Value) -> Result<()> {
        let command = json!({ "id": id, "type": kind, "issued_at_ms": now_ms(), "body": body });
        self.publish(command.to_string().into_bytes()).await
    }

    /// Sends what may be no command.
    pub(crate) async fn publish(&self, payload: Vec<u8>) -> Result<()> {
        let topic = self.site.topics().commands();
        Ok(self.site.control.publish_command(&topic, payload, false).await?)
    }
}
