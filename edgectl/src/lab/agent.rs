//! The real `edge-agent`, as a process of ours: started, killed and stopped as systemd would.

use std::fs::File;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep_until, timeout_at};

/// An agent that is not ready by then will not be.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// An agent that has not stopped by then will not.
const STOP_LIMIT: Duration = Duration::from_secs(30);
/// How often an ending process is looked at: waiting for a child has no timeout of its own.
const LOOK: Duration = Duration::from_millis(10);

/// A running agent. Dropped, it is killed.
#[derive(Debug)]
pub struct Agent {
    child: Child,
    notices: tokio::net::UnixDatagram,
    log: PathBuf,
}

/// Why an agent does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The program is not where it should be.
    #[error("there is no program at {}: build it with `cargo build --package edge-agent --package edgectl`", .0.display())]
    NoProgram(PathBuf),
    /// Its files or the process could not be made.
    #[error("can't run edge-agent: {0}")]
    Run(#[source] io::Error),
    /// It ended, or said nothing, instead of being ready.
    #[error("edge-agent is not ready after {READY_LIMIT:?}; its log ends: {log}")]
    NotReady {
        /// The end of its log.
        log: String,
    },
    /// It goes on after it was asked to stop.
    #[error("edge-agent still runs {STOP_LIMIT:?} after SIGTERM; its log ends: {log}")]
    NotStopping {
        /// The end of its log.
        log: String,
    },
}

/// Names another agent to run than the one that cargo built beside this program: one for another
/// kind of machine, say, behind an emulator.
const PROGRAM: &str = "EDGE_AGENT_PROGRAM";

/// The agent to run: what `EDGE_AGENT_PROGRAM` names, else what cargo built.
///
/// # Errors
/// [`AgentError::NoProgram`].
pub fn find_agent() -> Result<PathBuf, AgentError> {
    match std::env::var_os(PROGRAM).map(PathBuf::from) {
        Some(named) if named.is_file() => Ok(named),
        Some(named) => Err(AgentError::NoProgram(named)),
        None => find_built("edge-agent"),
    }
}

/// Where cargo puts a program of this workspace: beside this program, or beside the folder of a test.
///
/// # Errors
/// [`AgentError::NoProgram`].
pub fn find_built(name: &str) -> Result<PathBuf, AgentError> {
    let here = std::env::current_exe().map_err(AgentError::Run)?;
    let folders = here.ancestors().skip(1).take(2);
    let mut candidates = folders.map(|folder| folder.join(name));
    let expected = here.with_file_name(name);
    candidates.find(|candidate| candidate.is_file()).ok_or(AgentError::NoProgram(expected))
}

impl Agent {
    /// Starts an agent with the configuration `config`, and returns once it says that it is ready.
    /// Its log is appended to `folder/agent.log`.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn start(config: &Path, folder: &Path) -> Result<Self, AgentError> {
        let mut agent = Self::launch(config, folder)?;
        agent.ready().await?;
        Ok(agent)
    }

    /// Starts an agent and does not wait for it.
    ///
    /// # Errors
    /// [`AgentError::NoProgram`], [`AgentError::Run`].
    pub fn launch(config: &Path, folder: &Path) -> Result<Self, AgentError> {
        let program = find_agent()?;
        let socket = folder.join("notify");
        let _ = std::fs::remove_file(&socket);
        let notices = UnixDatagram::bind(&socket).map_err(AgentError::Run)?;
        notices.set_nonblocking(true).map_err(AgentError::Run)?;
        let notices = tokio::net::UnixDatagram::from_std(notices).map_err(AgentError::Run)?;
        let log = folder.join("agent.log");
        let file = File::options().create(true).append(true).open(&log).map_err(AgentError::Run)?;
        let child = Command::new(program)
            .args(["run", "--config"])
            .arg(config)
            .env("NOTIFY_SOCKET", &socket)
            .env_remove("WATCHDOG_USEC")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .map_err(AgentError::Run)?;
        Ok(Self { child, notices, log })
    }

    /// Waits until it tells systemd that it is ready.
    ///
    /// # Errors
    /// [`AgentError::NotReady`].
    pub async fn ready(&mut self) -> Result<(), AgentError> {
        let limit = Instant::now() + READY_LIMIT;
        let mut notice = [0; 256];
        loop {
            let look =
                timeout_at((Instant::now() + LOOK).min(limit), self.notices.recv(&mut notice));
            if let Ok(Ok(length)) = look.await
                && notice[..length].starts_with(b"READY=1")
            {
                return Ok(());
            }
            let ended = self.child.try_wait().map_err(AgentError::Run)?.is_some();
            if ended || Instant::now() >= limit {
                return Err(AgentError::NotReady { log: self.log_end() });
            }
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it without a chance to do anything: SIGKILL.
    ///
    /// # Errors
    /// [`AgentError::Run`].
    pub fn kill(mut self) -> Result<(), AgentError> {
        self.child.kill().map_err(AgentError::Run)?;
        self.child.wait().map_err(AgentError::Run)?;
        Ok(())
    }

    /// Stops it in order: SIGTERM.
    ///
    /// # Errors
    /// [`AgentError::NotStopping`], [`AgentError::Run`].
    pub async fn stop(mut self) -> Result<ExitStatus, AgentError> {
        self.signal(Signal::SIGTERM)?;
        self.ended().await
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// [`AgentError::NotStopping`], [`AgentError::Run`].
    pub async fn ended(&mut self) -> Result<ExitStatus, AgentError> {
        let limit = Instant::now() + STOP_LIMIT;
        loop {
            if let Some(status) = self.child.try_wait().map_err(AgentError::Run)? {
                return Ok(status);
            }
            if Instant::now() >= limit {
                return Err(AgentError::NotStopping { log: self.log_end() });
            }
            sleep_until(Instant::now() + LOOK).await;
        }
    }

    /// Sends it a signal: SIGSTOP and SIGCONT freeze and thaw it.
    ///
    /// # Errors
    /// [`AgentError::Run`].
    pub fn signal(&self, signal: Signal) -> Result<(), AgentError> {
        let pid = i32::try_from(self.child.id()).expect("process ids are below 2^22");
        kill(Pid::from_raw(pid), signal).map_err(|errno| AgentError::Run(errno.into()))
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join(" / ")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Nothing can be done about a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
