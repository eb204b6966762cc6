//! A whole site on this machine: a throwaway authority, a broker, a control plane, a node's
//! identity and configuration, in a folder that goes with it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use edge_protocol::codec::{Encoding, decode, decode_event, encode};
use edge_protocol::command::{Command, Request};
use edge_protocol::event::Event;
use edge_protocol::id::{CommandId, GroupId, NodeId};
use edge_protocol::presence::{State, Status};
use edge_protocol::topic::Topics;
use tempfile::TempDir;

use super::agent::{Agent, AgentError};
use super::broker::{Broker, BrokerError, BrokerOptions};
use crate::ca::{self, Authority, ISSUED_DAYS, Issued, Validity, write_issued};
use crate::control::{ConnectError, ControlPlane, Endpoint, Message, PublishError};
use crate::wall;

/// A site with one node. Dropped, its broker is ended and its folder removed.
#[derive(Debug)]
pub struct Site {
    /// Signs every certificate of the site, but the operators'.
    pub authority: Authority,
    /// Signs the operators' certificates.
    pub operators: Authority,
    /// The broker.
    pub broker: Broker,
    /// The control plane.
    pub control: ControlPlane,
    /// The node.
    pub node: NodeId,
    /// How the node writes, and how commands to it are written.
    pub encoding: Encoding,
    topics: Topics,
    folder: TempDir,
    next_command: u64,
    /// Events that came, in their order, and were not asked for yet.
    events: VecDeque<Event>,
    /// The last status and state that came.
    status: Option<Status>,
    state: Option<State>,
    inspect: Option<Inspect>,
}

/// Looks at a message of a node before anything else does; the error says what is wrong with it.
pub type Inspect = fn(&Topics, &Message) -> Result<(), String>;

/// Why a site can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The authority or a certificate.
    #[error(transparent)]
    Certificate(#[from] ca::Error),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The control plane's connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A command could not be published.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// A file of the site.
    #[error("can't write the site's files: {0}")]
    Files(#[from] io::Error),
    /// The node sent what is no event, status or state.
    #[error("a message on {topic} can't be read: {reason}")]
    Unreadable {
        /// Where it came.
        topic: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Site {
    /// The group that the site's node is in.
    pub const GROUP: &'static str = "lab";

    /// A site whose node `node` writes in `encoding`. No agent runs yet.
    ///
    /// # Errors
    /// [`SiteError`].
    pub async fn start(node: &NodeId, encoding: Encoding) -> Result<Self, SiteError> {
        let authority = Authority::in_memory()?;
        let group: GroupId = Self::GROUP.parse().expect("it is a legal id");
        let groups = BTreeMap::from([(group, vec![node.clone()])]);
        let operators = Authority::in_memory()?;
        let operators_pem = Some(operators.cert_pem().to_owned());
        let options = BrokerOptions { groups, operators_pem, ..BrokerOptions::default() };
        let topics = Topics::new(&options.root, node.clone());
        let broker = Broker::start(&authority, options).await?;
        let identity = authority.issue_control_plane(Validity::days(ISSUED_DAYS)?)?;
        let control = ControlPlane::connect(&endpoint(&authority, &broker, identity)).await?;
        let folder = tempfile::Builder::new().prefix("edge-site-").tempdir()?;
        let issued = authority.issue_node(node)?;
        write_issued(folder.path(), "node", &issued)?;
        fs::write(folder.path().join("ca.pem"), authority.cert_pem())?;
        fs::create_dir(folder.path().join("scripts"))?;
        Ok(Self {
            authority,
            operators,
            broker,
            control,
            node: node.clone(),
            encoding,
            topics,
            folder,
            next_command: 1,
            events: VecDeque::new(),
            status: None,
            state: None,
            inspect: None,
        })
    }

    /// Has every message of the node looked at by `inspect`, from now on.
    pub fn inspect(&mut self, inspect: Inspect) {
        self.inspect = Some(inspect);
    }

    /// The site's files: `ca.pem`, `node.pem`, `node.key`, `scripts/`, `data/`, `agent.toml`, `agent.log`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Writes what the operator `lab` needs into the site's folder, and returns the path of the
    /// profile for `edgectl`. `issued` is shown to the broker, or a certificate made for it.
    ///
    /// # Errors
    /// [`SiteError`].
    pub fn profile(&self, issued: Option<Issued>) -> Result<PathBuf, SiteError> {
        let issued = match issued {
            Some(issued) => issued,
            None => self.operators.issue_operator("lab", Validity::days(ISSUED_DAYS)?)?,
        };
        let folder = tempfile::Builder::new().prefix("operator-").tempdir_in(self.folder())?.keep();
        write_issued(&folder, "operator", &issued)?;
        let profile = format!(
            "broker = \"mqtts://localhost:{}\"\nca = \"../ca.pem\"\ncert = \"operator.pem\"\n\
             key = \"operator.key\"\nnode = \"{}\"\n",
            self.broker.operator_port(),
            self.node
        );
        let path = folder.join("profile.toml");
        fs::write(&path, profile)?;
        Ok(path)
    }

    /// The control socket of the site's agent.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder().join("control.sock")
    }

    /// The node's topics.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// Writes the node's configuration, `rest` being its outlets, stations and whatever tables
    /// `[node]`, `[broker]`, `[clock]`, `[local]` and `[tasks]` are not; returns its path.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn configure(&self, rest: &str) -> io::Result<PathBuf> {
        self.configure_with("", rest)
    }

    /// As [`Self::configure`], with more keys for `[tasks]`.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn configure_with(&self, tasks: &str, rest: &str) -> io::Result<PathBuf> {
        let folder = self.folder().display();
        let (broker, group) = (self.broker.endpoint(), Self::GROUP);
        let encoding = match self.encoding {
            Encoding::Json => "json",
            Encoding::Cbor => "cbor",
        };
        let mut config =
            format!("[node]\ngroups = [\"{group}\"]\ndata_dir = \"{folder}/data\"\n\n");
        // Writing to a string can't fail.
        let _ = write!(
            config,
            "[broker]\nendpoints = [\"{broker}\"]\nca_file = \"{folder}/ca.pem\"\n\
             cert_file = \"{folder}/node.pem\"\nkey_file = \"{folder}/node.key\"\n\
             encoding = \"{encoding}\"\nreconnect_min_ms = 50\nreconnect_max_ms = 1000\n\
             keep_alive_ms = 5000\n\n\
             [clock]\nsource = \"trusted\"\n\n\
             [local]\nlisten = \"127.0.0.1:0\"\nsocket = \"{folder}/control.sock\"\n\n\
             [tasks]\nscripts_dir = \"{folder}/scripts\"\n{tasks}\n{rest}\n"
        );
        let path = self.folder().join("agent.toml");
        fs::write(&path, config)?;
        Ok(path)
    }

    /// Starts the agent and returns once it is ready.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn agent(&self) -> Result<Agent, AgentError> {
        Agent::start(&self.folder().join("agent.toml"), self.folder()).await
    }

    /// A command that asks for `request`, issued now, under a new id.
    pub fn command(&mut self, request: Request) -> Command {
        let number = self.next_command;
        self.next_command += 1;
        let id = format!("command-{number}").parse().expect("it is a legal id");
        Command { id, issued_at_ms: Some(wall::now_ms()), expires_at_ms: None, request }
    }

    /// Sends `request` as a command of its own.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn send(&mut self, request: Request) -> Result<CommandId, PublishError> {
        let command = self.command(request);
        self.publish(&command).await?;
        Ok(command.id)
    }

    /// Publishes `command` to the node; the same one may be published again.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(&self, command: &Command) -> Result<(), PublishError> {
        let payload = encode(self.encoding, command);
        self.control.publish_command(&self.topics.commands(), payload, false).await
    }

    /// The next event of which `wanted` makes something. Events that came before it are passed
    /// over and gone; one that came twice is seen twice.
    ///
    /// # Errors
    /// [`SiteError::Publish`] when the connection has ended, [`SiteError::Unreadable`].
    pub async fn event<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> Result<T, SiteError> {
        loop {
            while let Some(event) = self.events.pop_front() {
                if let Some(found) = wanted(&event) {
                    return Ok(found);
                }
            }
            let message = self.control.next().await?;
            self.take(&message)?;
        }
    }

    /// The first state for which `wanted` says yes, the last one that came included.
    ///
    /// # Errors
    /// As [`Self::event`].
    pub async fn state(&mut self, wanted: impl Fn(&State) -> bool) -> Result<State, SiteError> {
        loop {
            if let Some(state) = self.state.as_ref().filter(|state| wanted(state)) {
                return Ok(state.clone());
            }
            let message = self.control.next().await?;
            self.take(&message)?;
        }
    }

    /// The first status for which `wanted` says yes, the last one that came included.
    ///
    /// # Errors
    /// As [`Self::event`].
    pub async fn status(&mut self, wanted: impl Fn(&Status) -> bool) -> Result<Status, SiteError> {
        loop {
            if let Some(status) = self.status.as_ref().filter(|status| wanted(status)) {
                return Ok(status.clone());
            }
            let message = self.control.next().await?;
            self.take(&message)?;
        }
    }

    fn take(&mut self, message: &Message) -> Result<(), SiteError> {
        let unreadable =
            |reason: String| SiteError::Unreadable { topic: message.topic.clone(), reason };
        let payload = &message.payload;
        if let Some(inspect) = self.inspect {
            inspect(&self.topics, message).map_err(unreadable)?;
        }
        if message.topic == self.topics.events() {
            let event = decode_event(payload).map_err(|error| unreadable(error.to_string()))?;
            self.events.push_back(event);
        } else if message.topic == self.topics.status() {
            self.status = Some(decode(payload).map_err(|error| unreadable(error.to_string()))?);
        } else if message.topic == self.topics.state() {
            self.state = Some(decode(payload).map_err(|error| unreadable(error.to_string()))?);
        }
        Ok(())
    }
}

fn endpoint(authority: &Authority, broker: &Broker, identity: Issued) -> Endpoint {
    Endpoint {
        host: "localhost".to_owned(),
        port: broker.port(),
        ca_pem: authority.cert_pem().to_owned(),
        identity,
        root: edge_protocol::topic::DEFAULT_ROOT.to_owned(),
    }
}
