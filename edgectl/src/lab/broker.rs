//! A real mosquitto on a loopback port of its own, with mutual TLS and a node's rights as
//! section 2 of the contract states them.
//!
//! - Every client shows a certificate of the site's authority; its common name is its user
//!   name (`use_identity_as_username`) and, whatever it asked for, its client id
//!   (`use_username_as_clientid`). So a node can't take another's session over: mosquitto
//!   2.0.11 has no refusal for a foreign client id, it puts the common name in its place.
//! - A node reads its own and its groups' commands and writes its own events, status, state
//!   and telemetry. mosquitto grants a subscription to anything and checks each delivery.
//! - The control plane may do everything under the root.
//! - Operators, where there are some, have a port and an authority of their own: each of their
//!   programs needs a client id of its own, and no node may choose one. They read everything
//!   and write commands.
//!
//! Persistence is on: [`Broker::stop`] and [`Broker::start_again`] keep every session and
//! queue. mosquitto writes them when it stops, so after [`Broker::kill`] the broker has
//! forgotten what came since its start: the way a broker forgets a node.

mod files;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use edge_protocol::id::{GroupId, NodeId};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::mosquitto::find_mosquitto;
use crate::ca::{self, Authority};

/// A loaded machine needs seconds to start a process; more means that it never will.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Between two looks whether it listens.
const LOOK: Duration = Duration::from_millis(5);
/// What it logs once its port is open and its sessions are read.
const RUNNING: &str = " running\n";
/// mosquitto ends at once when asked; past this it hangs.
const STOP_LIMIT: Duration = Duration::from_secs(10);
/// Ports below the ones that the kernel gives to outgoing connections (32768 and up), so that
/// nobody sits on ours while the broker is down.
const PORTS: std::ops::Range<u16> = 15_000..32_000;
/// Somebody else may take a port between our look and mosquitto's bind.
const PORT_TRIES: usize = 20;

/// What may differ between brokers.
#[derive(Debug, Clone)]
pub struct BrokerOptions {
    /// The host names and addresses in the broker's certificate.
    pub hosts: Vec<String>,
    /// Which nodes may read a group's commands.
    pub groups: BTreeMap<GroupId, Vec<NodeId>>,
    /// The root of every topic.
    pub root: String,
    /// How many messages wait for one client that is away.
    pub max_queued: u32,
    /// The certificate of the authority whose clients are operators, where there is one.
    pub operators_pem: Option<String>,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            hosts: vec!["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string()],
            groups: BTreeMap::new(),
            root: edge_protocol::topic::DEFAULT_ROOT.to_owned(),
            max_queued: 100_000,
            operators_pem: None,
        }
    }
}

/// A running mosquitto. Dropped, it is killed and its folder removed.
#[derive(Debug)]
pub struct Broker {
    program: PathBuf,
    // Before the folder, so that the process is gone when its files go.
    process: Process,
    folder: TempDir,
    port: u16,
    operator_port: u16,
}

/// Why a broker does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// There is no mosquitto on this machine.
    #[error("mosquitto is not installed: `apt-get install --no-install-recommends mosquitto`")]
    NoMosquitto,
    /// Its certificate could not be made.
    #[error("can't make the broker's certificate: {0}")]
    Certificate(#[from] ca::Error),
    /// Its files could not be written.
    #[error("can't write the broker's files: {0}")]
    Files(#[source] io::Error),
    /// The process could not be started.
    #[error("can't run mosquitto: {0}")]
    Run(#[source] io::Error),
    /// It ended instead of listening.
    #[error("mosquitto ended at its start, saying: {log}")]
    Ended {
        /// The end of its log.
        log: String,
    },
    /// It neither listens nor ends.
    #[error("mosquitto does not listen on port {port} after {START_LIMIT:?}, saying: {log}")]
    NotListening {
        /// Its port.
        port: u16,
        /// The end of its log.
        log: String,
    },
    /// It got a signal to stop and went on.
    #[error("mosquitto still runs {STOP_LIMIT:?} after it was asked to stop")]
    NotStopping,
    /// It is not running.
    #[error("mosquitto is not running")]
    NotRunning,
    /// It could not be signalled.
    #[error("can't signal mosquitto: {0}")]
    Signal(#[source] nix::Error),
}

impl Broker {
    /// Starts a broker for the clients of `authority` and returns once it listens.
    ///
    /// # Errors
    /// [`BrokerError::NoMosquitto`] and whatever else keeps it from listening.
    pub async fn start(authority: &Authority, options: BrokerOptions) -> Result<Self, BrokerError> {
        let folder = folder()?;
        files::write(folder.path(), authority, &options)?;
        Self::listening(folder, |folder, port, operators| {
            files::config(folder, port, operators, &options)
        })
        .await
    }

    /// Starts a broker that lets in everybody and has no TLS, as a venue has one for its plugs.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_plain() -> Result<Self, BrokerError> {
        Self::listening(folder()?, |folder, port, _| files::plain_config(folder, port)).await
    }

    async fn listening(
        folder: TempDir,
        config: impl Fn(&Path, u16, u16) -> String,
    ) -> Result<Self, BrokerError> {
        let program = find_mosquitto().ok_or(BrokerError::NoMosquitto)?;
        let mut tries = 0;
        loop {
            let port = free_port().map_err(BrokerError::Files)?;
            let operator_port = free_port().map_err(BrokerError::Files)?;
            let config = config(folder.path(), port, operator_port);
            fs::write(folder.path().join("mosquitto.conf"), config).map_err(BrokerError::Files)?;
            match run(&program, folder.path(), port).await {
                Ok(process) => return Ok(Self { program, process, folder, port, operator_port }),
                Err(BrokerError::Ended { log }) if log.contains("in use") && tries < PORT_TRIES => {
                    tries += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Its port on 127.0.0.1; the same after [`Self::start_again`].
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port for operators; nobody listens there where it has none.
    #[must_use]
    pub fn operator_port(&self) -> u16 {
        self.operator_port
    }

    /// Its endpoint as an agent's configuration names it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("mqtts://localhost:{}", self.port)
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.child.as_ref().map(Child::id)
    }

    /// Where its configuration, certificates, log and stored sessions are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it logged since the folder was made.
    #[must_use]
    pub fn log(&self) -> String {
        log(self.folder.path())
    }

    /// Asks it to end (SIGTERM) and waits until it has; sessions and queues stay on disk.
    ///
    /// # Errors
    /// [`BrokerError::NotRunning`], [`BrokerError::NotStopping`].
    pub async fn stop(&mut self) -> Result<(), BrokerError> {
        self.process.signal(Signal::SIGTERM)?;
        // A frozen process takes the signal only once it goes on.
        self.process.signal(Signal::SIGCONT)?;
        self.process.wait().await
    }

    /// Kills it (SIGKILL) and waits until it is gone; what it had not written is lost.
    ///
    /// # Errors
    /// [`BrokerError::NotRunning`].
    pub async fn kill(&mut self) -> Result<(), BrokerError> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.wait().await
    }

    /// Starts it again, on the same port and files, and returns once it listens. Ends it
    /// first if it still runs.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_again(&mut self) -> Result<(), BrokerError> {
        if self.process.child.is_some() {
            self.stop().await?;
        }
        self.process = run(&self.program, self.folder.path(), self.port).await?;
        Ok(())
    }

    /// Stops it in its tracks (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// [`BrokerError::NotRunning`].
    pub fn freeze(&self) -> Result<(), BrokerError> {
        self.process.signal(Signal::SIGSTOP)
    }

    /// Lets it go on after [`Self::freeze`].
    ///
    /// # Errors
    /// [`BrokerError::NotRunning`].
    pub fn thaw(&self) -> Result<(), BrokerError> {
        self.process.signal(Signal::SIGCONT)
    }
}

/// Our own child and nobody else's process: its pid stays ours until it was waited for.
#[derive(Debug)]
struct Process {
    child: Option<Child>,
}

impl Process {
    fn signal(&self, signal: Signal) -> Result<(), BrokerError> {
        let child = self.child.as_ref().ok_or(BrokerError::NotRunning)?;
        let pid = i32::try_from(child.id()).expect("the kernel's pids fit pid_t");
        kill(Pid::from_raw(pid), signal).map_err(BrokerError::Signal)
    }

    async fn wait(&mut self) -> Result<(), BrokerError> {
        let gone = async {
            while let Some(child) = &mut self.child {
                if child.try_wait().map_err(BrokerError::Run)?.is_some() {
                    self.child = None;
                } else {
                    sleep(LOOK).await;
                }
            }
            Ok(())
        };
        timeout(STOP_LIMIT, gone).await.unwrap_or(Err(BrokerError::NotStopping))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Fails only for a process that is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs it until it says that it runs. Whether its port answers would not do: a broker that is
/// about to find the port taken would be told by whoever took it.
async fn run(program: &Path, folder: &Path, port: u16) -> Result<Process, BrokerError> {
    let said_before = log(folder).len();
    let log_file = File::options().create(true).append(true).open(folder.join("mosquitto.log"));
    let log_file = log_file.map_err(BrokerError::Files)?;
    let errors = log_file.try_clone().map_err(BrokerError::Files)?;
    let child = Command::new(program)
        .arg("-c")
        .arg(folder.join("mosquitto.conf"))
        .stdin(Stdio::null())
        .stdout(log_file)
        .stderr(errors)
        .spawn()
        .map_err(BrokerError::Run)?;
    let mut process = Process { child: Some(child) };
    let listening = async {
        loop {
            let child = process.child.as_mut().ok_or(BrokerError::NotRunning)?;
            if child.try_wait().map_err(BrokerError::Run)?.is_some() {
                process.child = None;
                return Err(BrokerError::Ended { log: tail(folder) });
            }
            if log(folder).get(said_before..).is_some_and(|said| said.contains(RUNNING)) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    };
    match timeout(START_LIMIT, listening).await {
        Ok(outcome) => outcome.map(|()| process),
        Err(_) => Err(BrokerError::NotListening { port, log: tail(folder) }),
    }
}

fn folder() -> Result<TempDir, BrokerError> {
    tempfile::Builder::new().prefix("edge-broker-").tempdir().map_err(BrokerError::Files)
}

fn free_port() -> io::Result<u16> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut candidates = (0..1_000).map(|_| fastrand::u16(PORTS));
    candidates.find(free).ok_or_else(|| io::Error::other("no free port on loopback"))
}

fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("mosquitto.log")).unwrap_or_default()
}

/// The last lines of the log: where the reason of an end stands.
fn tail(folder: &Path) -> String {
    let log = log(folder);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(4)..].join(" / ")
}
