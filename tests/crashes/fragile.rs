//! The agent as a process that dies at a named point.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};
use edgectl::lab::site::Site;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::within;
use tokio::net::UnixDatagram;
use tokio::process::{Child, Command};

/// A point on the agent's way, and which passing of it by one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) passing: u64,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.name, self.passing)
    }
}

/// A running agent. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Fragile {
    child: Child,
    notices: UnixDatagram,
}

impl Fragile {
    /// Starts the site's agent. It dies at `point`, and notes in the file `passes` what it passed.
    pub(crate) fn start(site: &Site, point: Option<&Point>, passes: Option<&Path>) -> Result<Self> {
        let socket = site.folder().join("notify");
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let notices = UnixDatagram::bind(&socket).context("systemd's end of the line")?;
        let log = site.folder().join("agent.log");
        let log = File::options().create(true).append(true).open(log).context("its log")?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_fragile-agent"));
        command
            .args(["run", "--config"])
            .arg(site.folder().join("agent.toml"))
            .env("NOTIFY_SOCKET", &socket)
            // So that the watchdog is fed, too; nobody here minds if it is not.
            .env("WATCHDOG_USEC", "2000000")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        if let Some(point) = point {
            command.env("FRAGILE_AGENT_DIES_AT", point.to_string());
        }
        if let Some(passes) = passes {
            command.env("FRAGILE_AGENT_PASSES", passes);
        }
        Ok(Self { child: command.spawn().context("fragile-agent")?, notices })
    }

    /// Waits until it is ready; false if it died before.
    pub(crate) async fn ready(&mut self) -> Result<bool> {
        let ready = async {
            let mut notice = [0; 256];
            loop {
                tokio::select! {
                    biased;
                    length = self.notices.recv(&mut notice) => {
                        if notice[..length?].starts_with(b"READY=1") {
                            return Ok(true);
                        }
                    }
                    status = self.child.wait() => {
                        ensure!(was_killed(status?), "the agent can't start: see its log");
                        return Ok(false);
                    }
                }
            }
        };
        within("the agent is ready, or dead", ready).await
    }

    /// Resolves when it was killed.
    pub(crate) async fn death(&mut self) -> Result<()> {
        let status = self.child.wait().await?;
        ensure!(was_killed(status), "the agent ended by itself: {status}");
        Ok(())
    }

    /// Stops it in order; false if it died on the way.
    pub(crate) async fn stop(mut self) -> Result<bool> {
        if let Some(pid) = self.child.id() {
            kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        }
        let ended = async { Ok(self.child.wait().await?) };
        let status = within("the agent stops", ended).await?;
        ensure!(status.success() || was_killed(status), "the agent stopped with {status}");
        Ok(status.success())
    }
}

fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::SIGKILL as i32)
}
