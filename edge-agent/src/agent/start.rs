//! From a configuration to a running loop, in the order that matters: clock, store, recovery,
//! outlets safe, link, supervision, ready.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use edge_protocol::id::OutletId;
use edge_protocol::presence::OfflineReason;
use edge_protocol::topic::Topics;
use plug_driver::AnyOutlet;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel, unbounded_channel};
use tokio::task::JoinSet;

use super::sequence::Sequence;
use super::{Agent, DiskHealth, Doors, Ended, figures};
use crate::config::{Config, Driver, OutletConfig};
use crate::drivers;
use crate::host::alarm::Alarm;
use crate::host::clock::{Clock, boot_id};
use crate::host::figures::Machine;
use crate::host::systemd::{Supervisor, Systemd};
use crate::host::ticker::Ticker;
use crate::link::{self, Link, Reconnect, TlsError};
use crate::local::recent::Recent;
use crate::local::source::Source;
use crate::local::{Question, page, socket};
use crate::metrics::Meter;
use crate::node::settings::{OutletSettings, Settings, TaskLimits};
use crate::node::time::BootMs;
use crate::node::{Found, Node};
use crate::step::step;
use crate::store::{self, OpenError, Opened, Options};
use crate::venue::{Connections, Venue};

/// How long the oldest publish may wait for its acknowledgement.
const ACK_DEADLINE: std::time::Duration = std::time::Duration::from_secs(30);
/// Below this much free space the node takes no more commands.
pub(crate) const MIN_FREE_BYTES: u64 = 32 * 1024 * 1024;

/// Why the agent could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store can't be worked with.
    #[error("the store can't be opened")]
    Store(#[from] OpenError),
    /// A file of the identity can't be read.
    #[error("{} can't be read", .path.display())]
    Identity {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The identity's files don't belong together.
    #[error("the node's identity can't be used")]
    Tls(#[from] TlsError),
    /// The driver of an outlet can't be made.
    #[error("outlet {outlet} can't be driven")]
    Outlet {
        /// Which outlet.
        outlet: OutletId,
        /// What the driver said.
        source: Box<plug_driver::Error>,
    },
    /// The control socket can't be opened.
    #[error("the control socket {} can't be opened", .path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no boot id, timer, signal or randomness.
    #[error("the system refuses {what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// A part that must live as long as the process has ended.
    #[error("the {0} has ended; a new start is needed")]
    Lost(&'static str),
}

/// Runs the agent until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// [`StartError`]: it can't start, or a part of it was lost.
pub async fn run(config: Config) -> Result<(), StartError> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let system = |what| move |source| StartError::System { what, source };
    let clock = Arc::new(Clock::new(config.clock));
    let stop = Stop::new().map_err(system("signals"))?;
    let alarm = Alarm::new().map_err(system("a timer"))?;
    let tls = tls(&config)?;
    step!("start.identified");

    let boot_id = boot_id().map_err(system("its boot id"))?;
    let paced_by = Arc::clone(&clock);
    let options = Options {
        reserve_bytes: config.outbox_max_bytes / 10,
        min_free_bytes: MIN_FREE_BYTES,
        boot_id: boot_id.clone(),
        boot_ms: Arc::new(move || paced_by.now().boot.uptime_ms()),
    };
    let opened = store::open(&config.data_dir, options)?;
    step!("start.store_opened");
    let settings = settings(&config, &opened, boot_id).map_err(system("randomness"))?;
    let Opened { journal, completions, rows, events, last_seq, lost, id: _ } = opened;
    let rows = rows.into_iter().map(|row| (row.key, row.value)).collect();
    // What was lost is lost from the history before: a new one has begun.
    let new_store = lost.is_some();
    let found = Found { rows, events, last_seq, lost, new_store };
    let mut node = Node::recover(settings.clone(), found, clock.now());
    step!("start.recovered");

    let systemd = Arc::new(Systemd::from_environment());
    let mut supervisor = Supervisor::new(Arc::clone(&systemd));
    let progress = supervisor.register("loop");
    let link_progress = supervisor.register("link");
    let (inbox, heard) = unbounded_channel();
    let mut driving = BTreeMap::new();
    let (devices, _connections) = devices(&node)?;
    for (id, device) in devices {
        let progress = supervisor.register(format!("outlet {id}"));
        let task = drivers::spawn(id.clone(), device, Arc::clone(&clock), inbox.clone(), progress);
        driving.insert(id, task);
    }
    step!("start.outlets_driven");
    // What nothing covers goes off before anything else is done.
    let first = node.settle(clock.now());

    let (link, news) = Link::spawn(link_settings(&config, tls, &settings));
    step!("start.linked");
    let machine = Machine::of(&config.data_dir);
    let (figures, telemetry) = figures::spawn(machine.clone(), settings.encoding);
    let questions = let_in(&config, machine).await?;
    step!("start.socket_opened");
    let pulse = supervisor.period().map(|period| period / 2);
    tokio::spawn(supervisor.run());

    let mut doors = Doors { link: news, completions, inbox: heard, questions, telemetry };
    let started = clock.now();
    let mut agent = Agent {
        settings,
        clock,
        alarm,
        ticker: Ticker::new(),
        node,
        journal,
        link,
        drivers: driving,
        scripts: JoinSet::new(),
        stops: BTreeMap::new(),
        inbox,
        sequence: Sequence::default(),
        connection: 0,
        offline_because: Some("not connected yet".to_owned()),
        not_kept: BTreeMap::new(),
        link_since: started.boot,
        started_at_ms: started.wall_ms,
        scripts_known: false,
        tokens: BTreeMap::new(),
        next_token: 1,
        askers: BTreeMap::new(),
        next_asker: 1,
        disk: DiskHealth::default(),
        telemetry_at: BootMs(0),
        figures,
        meter: Meter::default(),
        recent: Recent::default(),
        progress,
        link_progress: (link_progress, 0),
        pulse,
        config,
    };
    agent.perform(first);
    step!("start.performed");
    systemd.ready();
    step!("start.ready");
    tracing::info!(node = %agent.settings.node, version = agent.settings.version, "running");
    let ended = agent.turn(&mut doors, stop.asked()).await;
    systemd.stopping();
    step!("stop.begun");
    match ended {
        Ended::Stopped => {
            agent.stop(doors).await;
            Ok(())
        }
        Ended::Lost(part) => Err(StartError::Lost(part)),
    }
}

/// Opens the control socket and, where it is wanted, the page; gives what they ask.
async fn let_in(config: &Config, machine: Machine) -> Result<Receiver<Question>, StartError> {
    let no_socket = |source| StartError::Socket { path: config.socket.clone(), source };
    let listener = socket::listen(&config.socket).map_err(no_socket)?;
    let (ask, questions) = channel(8);
    let source = Arc::new(Source::new(ask, machine));
    tokio::spawn(socket::serve(listener, Arc::clone(&source)));
    if let Some(address) = config.listen {
        page::open(address, source).await;
    }
    Ok(questions)
}

/// The signals that end the agent in order.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn asked(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn tls(config: &Config) -> Result<Arc<rustls::ClientConfig>, StartError> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| StartError::Identity { path: path.clone(), source })
    };
    let broker = &config.broker;
    let tls =
        link::tls(&read(&broker.ca_file)?, &read(&broker.cert_file)?, &read(&broker.key_file)?)?;
    Ok(Arc::new(tls))
}

fn link_settings(
    config: &Config,
    tls: Arc<rustls::ClientConfig>,
    settings: &Settings,
) -> link::Settings {
    let broker = &config.broker;
    link::Settings {
        client_id: config.node.to_string(),
        endpoints: broker.endpoints.clone(),
        tls,
        topics: Topics::new(&broker.topic_root, config.node.clone()),
        groups: config.groups.clone(),
        keep_alive: broker.keep_alive,
        reconnect: Reconnect { min: broker.reconnect_min, max: broker.reconnect_max },
        will: Node::offline(settings, OfflineReason::Lost),
        ack_deadline: ACK_DEADLINE,
    }
}

fn settings(config: &Config, opened: &Opened, boot_id: String) -> io::Result<Settings> {
    let mut seed = [0; 8];
    SystemRandom::new().fill(&mut seed).map_err(|_| io::Error::other("no random bytes"))?;
    let stations =
        config.stations.iter().map(|station| (station.id.clone(), station.outlets.clone()));
    let outlets = config.outlets.iter().map(|outlet| (outlet.id.clone(), outlet_settings(outlet)));
    Ok(Settings {
        node: config.node.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id,
        store: opened.id.clone(),
        encoding: config.broker.encoding,
        stations: stations.collect(),
        outlets: outlets.collect(),
        warn_before_ms: config.sessions.warn_before_ms.clone(),
        grace_ms: config.sessions.grace_ms,
        stagger_ms: config.sessions.stagger_ms,
        outbox_max_bytes: config.outbox_max_bytes,
        tasks: TaskLimits {
            concurrency: config.tasks.concurrency,
            max_queued: config.tasks.max_queued,
            max_bytes: config.tasks.max_bytes,
        },
        hardware: Machine::of(&config.data_dir).hardware(),
        configuration: config.hash.clone(),
        certificate_expires_at_ms: config.certificate_expires_at_ms,
        seed: u64::from_le_bytes(seed),
    })
}

fn outlet_settings(outlet: &OutletConfig) -> OutletSettings {
    OutletSettings {
        driver: outlet.driver.name().to_owned(),
        rest: outlet.rest,
        button: outlet.button,
        leases: outlet.driver.leases(),
        definition: outlet.driver.definition(),
        cut_below_mw: outlet.cut_below_mw,
        min_off_ms: outlet.min_off_ms,
        circuit: outlet.circuit.clone(),
        rated_cycles: outlet.rated_cycles,
    }
}

/// The driver of each outlet, and the connections to the brokers that some of them hang on.
fn devices(node: &Node) -> Result<(Vec<(OutletId, AnyOutlet)>, Connections), StartError> {
    let mut venue = Venue::default();
    let mut devices = Vec::new();
    for (id, outlet) in node.outlets() {
        if let Some(device) = device(id, outlet, &mut venue)? {
            devices.push((id.clone(), device));
        }
    }
    Ok((devices, venue.connect()))
}

/// The driver of an outlet, out of the configuration or out of the store.
fn device(
    id: &OutletId,
    outlet: &OutletSettings,
    venue: &mut Venue,
) -> Result<Option<AnyOutlet>, StartError> {
    let Some(driver) = Driver::defined(&outlet.definition) else {
        tracing::error!(outlet = %id, "another version's definition of an outlet can't be read");
        return Ok(None);
    };
    let failed = |error| StartError::Outlet { outlet: id.clone(), source: Box::new(error) };
    driver.device(outlet.rest, venue).map(Some).map_err(failed)
}
