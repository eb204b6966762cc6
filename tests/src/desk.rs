//! An operator's desk: commands and events as they stand on the wire, and the whole of what a
//! node says, checked as it arrives.
//!
//! Nothing here builds a command out of the protocol's types: a story writes down what the
//! contract says, so that it holds whatever the types make of it.

use anyhow::{Context as _, Result, ensure};
use edge_protocol::codec::{Encoding, decode, decode_event, encode};
use edgectl::lab::agent::Agent;
use edgectl::lab::site::Site;
pub use edgectl::lab::wall::now_ms;
use plug_sim::{FakePlug, Profile};
use serde_json::{Value, json};

use crate::protocol::{self, DOCUMENTS};
use crate::transcript::{ANY, Transcript, is_about, seq, text};
use crate::{outlet, station, within};

/// What a site is made of.
#[derive(Debug, Clone)]
pub struct Layout {
    /// One plug each: `plug-1`, `plug-2` and so on.
    pub plugs: Vec<Profile>,
    /// Stations and their outlets. Where there are none, `pc-1` is on `plug-1` and so on.
    pub stations: Vec<(&'static str, Vec<&'static str>)>,
    /// More keys for `[tasks]`.
    pub tasks: &'static str,
    /// Whether the node's clock counts as synced.
    pub synced: bool,
}

impl Layout {
    /// So many plugs of today's firmware, each a station of its own.
    #[must_use]
    pub fn plugs(count: usize) -> Self {
        let plugs = vec![Profile::tasmota_14_4(); count];
        Self { plugs, stations: Vec::new(), tasks: "", synced: true }
    }
}

/// A site with a running node, and somebody who asks and listens.
#[derive(Debug)]
pub struct Desk {
    /// Broker, control plane, folder.
    pub site: Site,
    /// The plugs, `plug-1` first.
    pub plugs: Vec<FakePlug>,
    /// The node, while it runs.
    pub agent: Option<Agent>,
    transcript: Transcript,
    /// What came on the retained topics and on telemetry, oldest first.
    said: Vec<(Leaf, Value)>,
    sent: Vec<String>,
}

/// A topic of a node that is not events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// Who is there.
    Status,
    /// The whole present state.
    State,
    /// Host figures.
    Telemetry,
}

impl Desk {
    /// A running, connected node with so many plugs.
    ///
    /// # Errors
    /// It does not get that far.
    pub async fn open(encoding: Encoding, plugs: usize) -> Result<Self> {
        Self::with(encoding, Layout::plugs(plugs)).await
    }

    /// A running, connected node.
    ///
    /// # Errors
    /// It does not get that far.
    pub async fn with(encoding: Encoding, layout: Layout) -> Result<Self> {
        let mut desk = Self::set_up(encoding, layout).await?;
        desk.start().await?;
        Ok(desk)
    }

    /// A node that is not running yet.
    ///
    /// # Errors
    /// The lab can't be set up.
    pub async fn set_up(encoding: Encoding, layout: Layout) -> Result<Self> {
        let site = Site::start(&"pi-0042".parse()?, encoding).await?;
        let mut plugs = Vec::new();
        let mut rest = String::new();
        for (position, profile) in layout.plugs.into_iter().enumerate() {
            let plug = FakePlug::start(profile).await?;
            let (name, number) = (format!("plug-{}", position + 1), position + 1);
            rest += &outlet(&name, &plug);
            if layout.stations.is_empty() {
                rest += &station(&format!("pc-{number}"), &[&name]);
            }
            plugs.push(plug);
        }
        for (name, outlets) in &layout.stations {
            rest += &station(name, outlets);
        }
        let config = site.configure_with(layout.tasks, &rest)?;
        if !layout.synced {
            let text = std::fs::read_to_string(&config)?;
            std::fs::write(&config, text.replace("\"trusted\"", "\"untrusted\""))?;
        }
        Ok(Self {
            site,
            plugs,
            agent: None,
            transcript: Transcript::default(),
            said: Vec::new(),
            sent: Vec::new(),
        })
    }

    /// Starts the agent, again perhaps, ready and connected.
    ///
    /// # Errors
    /// It does not get that far.
    pub async fn start(&mut self) -> Result<()> {
        self.agent = Some(self.site.agent().await?);
        self.told("node.link").await?;
        Ok(())
    }

    /// Plug number `number`, from 1.
    #[must_use]
    pub fn plug(&self, number: usize) -> &FakePlug {
        &self.plugs[number - 1]
    }

    /// Waits until plug number `number` is on, or off.
    ///
    /// # Errors
    /// It stays as it is.
    pub async fn goes(&self, number: usize, on: bool) -> Result<()> {
        let changed = async {
            self.plug(number).until(|plug| plug.is_on(1) == on).await;
            Ok(())
        };
        within(&format!("plug-{number} goes {}", if on { "on" } else { "off" }), changed).await
    }

    /// The command that asks for `kind`, issued now, under a new id; nothing is sent.
    pub fn command(&mut self, kind: &str, body: Value) -> Value {
        let id = format!("c-{}", self.sent.len() + 1);
        self.sent.push(id.clone());
        if let Some(schedule) = body["schedule"].as_str() {
            self.sent.push(format!("{schedule}."));
        }
        json!({ "id": id, "type": kind, "issued_at_ms": now_ms(), "body": body })
    }

    /// Publishes `command` in the site's encoding.
    ///
    /// # Errors
    /// The broker does not take it.
    pub async fn publish(&self, command: &Value) -> Result<()> {
        self.publish_bytes(encode(self.site.encoding, command), false).await
    }

    /// Publishes what may be no command at all.
    ///
    /// # Errors
    /// The broker does not take it.
    pub async fn publish_bytes(&self, payload: Vec<u8>, retain: bool) -> Result<()> {
        let topic = self.site.topics().commands();
        let published = self.site.control.publish_command(&topic, payload, retain);
        within("a message is published", async { Ok(published.await?) }).await
    }

    /// Publishes `command` to every node of the site's group.
    ///
    /// # Errors
    /// The broker does not take it.
    pub async fn publish_to_group(&self, command: &Value) -> Result<()> {
        let topic = self.site.topics().group_commands(&Site::GROUP.parse()?);
        let payload = encode(self.site.encoding, command);
        let published = self.site.control.publish_command(&topic, payload, false);
        within("a message is published", async { Ok(published.await?) }).await
    }

    /// Sends a command and returns its id.
    ///
    /// # Errors
    /// The broker does not take it.
    pub async fn send(&mut self, kind: &str, body: Value) -> Result<String> {
        let command = self.command(kind, body);
        self.publish(&command).await?;
        Ok(id(&command))
    }

    /// Sends a command that is accepted, and returns its id.
    ///
    /// # Errors
    /// It is not.
    pub async fn ask(&mut self, kind: &str, body: Value) -> Result<String> {
        let command = self.command(kind, body);
        self.publish(&command).await?;
        let answer = self.answer(&id(&command)).await?;
        ensure!(answer["type"] == "command.accepted", "{kind} was not accepted: {answer}");
        // What a node takes is what the documents say.
        DOCUMENTS.check(&format!("command.{kind}"), &encode(self.site.encoding, &command))?;
        Ok(id(&command))
    }

    /// Sends a command that is rejected, and returns the code and the message.
    ///
    /// # Errors
    /// It is not.
    pub async fn refused(&mut self, kind: &str, body: Value) -> Result<(String, String)> {
        let command = self.command(kind, body);
        self.refused_command(&command).await
    }

    /// Publishes a command that is rejected, and returns the code and the message.
    ///
    /// # Errors
    /// It is not.
    pub async fn refused_command(&mut self, command: &Value) -> Result<(String, String)> {
        self.publish(command).await?;
        let answer = self.answer(&id(command)).await?;
        ensure!(answer["type"] == "command.rejected", "{command} was not rejected: {answer}");
        Ok((text(&answer, "code"), text(&answer, "message")))
    }

    /// The next answer to the command `id`.
    ///
    /// # Errors
    /// It does not come.
    pub async fn answer(&mut self, id: &str) -> Result<Value> {
        let answers = |event: &Value| {
            event["type"].as_str().is_some_and(|kind| kind.starts_with("command."))
                && event["body"]["command"] == id
        };
        self.next(&format!("the answer to {id}"), answers).await
    }

    /// The first event of type `kind` that no story has taken yet.
    ///
    /// # Errors
    /// It does not come.
    pub async fn told(&mut self, kind: &str) -> Result<Value> {
        self.told_of(kind, ANY).await
    }

    /// The first event of type `kind` about the session, outlet or task `subject` that no story
    /// has taken yet.
    ///
    /// # Errors
    /// It does not come.
    pub async fn told_of(&mut self, kind: &str, subject: &str) -> Result<Value> {
        let wanted = |event: &Value| event["type"] == kind && is_about(event, subject);
        self.next(&format!("{kind} {subject}"), wanted).await
    }

    async fn next(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = async {
            loop {
                if let Some(event) = self.transcript.pick(&wanted) {
                    return Ok(event);
                }
                self.listen().await?;
            }
        };
        within(what, found).await
    }

    /// Waits until the node has told everything that came before now, and returns the `seq` of
    /// its report.
    ///
    /// # Errors
    /// It does not.
    pub async fn caught_up(&mut self) -> Result<u64> {
        let id = self.ask("node.report", json!({})).await?;
        let wanted = |event: &Value| event["type"] == "node.report" && event["cause"] == *id;
        let report = self.next("the node's report", wanted).await?;
        seq(&report)
    }

    /// Waits until the broker has brought the event `seq` again.
    ///
    /// # Errors
    /// It does not.
    pub async fn comes_again(&mut self, seq: u64) -> Result<()> {
        let came = async {
            while !self.transcript.again().contains(&seq) {
                self.listen().await?;
            }
            Ok(())
        };
        within(&format!("event {seq} again"), came).await
    }

    /// The first message on `leaf`, of all that came and will come, for which `wanted` says yes.
    ///
    /// # Errors
    /// It does not come.
    pub async fn says(&mut self, leaf: Leaf, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let said = async {
            let mut heard = 0;
            loop {
                if let Some((_, found)) =
                    self.said[heard..].iter().find(|(on, said)| *on == leaf && wanted(said))
                {
                    return Ok(found.clone());
                }
                heard = self.said.len();
                self.listen().await?;
            }
        };
        within(&format!("a message on {leaf:?}"), said).await
    }

    /// Forgets what was said on `leaf` so far, so that [`Self::says`] means something newer.
    pub fn forget(&mut self, leaf: Leaf) {
        self.said.retain(|(on, _)| *on != leaf);
    }

    /// All that was said on `leaf` and not forgotten.
    #[must_use]
    pub fn heard(&self, leaf: Leaf) -> Vec<&Value> {
        self.said.iter().filter(|(on, _)| *on == leaf).map(|(_, said)| said).collect()
    }

    /// Every event so far, each once, in the order of `seq`.
    #[must_use]
    pub fn events(&self) -> &[Value] {
        self.transcript.events()
    }

    /// Every event so far of type `kind` about `subject`, taken or not; an empty one is any.
    #[must_use]
    pub fn all(&self, kind: &str, subject: &str) -> Vec<&Value> {
        self.transcript.all(kind, subject)
    }

    /// Takes in one message, and checks that nothing is missing, changed or out of place.
    async fn listen(&mut self) -> Result<()> {
        let message = self.site.control.next().await?;
        let topics = self.site.topics();
        let first = message.payload.first().copied().unwrap_or_default();
        let json = first == b'{';
        ensure!(json == (self.site.encoding == Encoding::Json), "in the other encoding: {first:x}");
        let read: Value = decode(&message.payload)?;
        protocol::said(topics, &message)?;
        if message.topic == topics.events() {
            ensure!(!message.retain, "an event is retained: {read}");
            let typed = serde_json::to_value(decode_event(&message.payload)?)?;
            ensure!(typed == read, "the types lose something: {read}");
            return self.transcript.take(read, &self.sent);
        }
        let leaf = [
            (topics.status(), Leaf::Status, true),
            (topics.state(), Leaf::State, true),
            (topics.telemetry(), Leaf::Telemetry, false),
        ];
        let known = leaf.into_iter().find(|(topic, ..)| *topic == message.topic);
        let (topic, leaf, retained) = known.context(message.topic)?;
        ensure!(message.retain == retained, "retained: {}, on {topic}", message.retain);
        self.said.push((leaf, read));
        Ok(())
    }
}

/// The id of a command.
///
/// # Panics
/// It has none.
#[must_use]
pub fn id(command: &Value) -> String {
    command["id"].as_str().expect("a command of a story has an id").to_owned()
}
