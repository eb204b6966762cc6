//! The agent as systemd runs it: with a watchdog, and an ear for what it says of itself.

use std::fs::File;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use edgectl::lab::agent::find_agent;
use edgectl::lab::site::Site;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixDatagram;
use tokio::process;

use crate::within;

/// A running service. Dropped, it is killed.
#[derive(Debug)]
pub struct Service {
    child: process::Child,
    notices: UnixDatagram,
}

impl Service {
    /// Starts the site's agent with systemd's patience `watchdog`.
    ///
    /// # Errors
    /// It can't be run.
    pub fn start(site: &Site, watchdog: Duration) -> Result<Self> {
        let socket = site.folder().join("systemd");
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let notices = UnixDatagram::bind(&socket).context("systemd's end of the line")?;
        let log = site.folder().join("agent.log");
        let log = File::options().create(true).append(true).open(log).context("its log")?;
        let child = process::Command::new(find_agent()?)
            .args(["run", "--config"])
            .arg(site.folder().join("agent.toml"))
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", watchdog.as_micros().to_string())
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .context("edge-agent")?;
        Ok(Self { child, notices })
    }

    /// The next thing that it says.
    ///
    /// # Errors
    /// It stays silent.
    pub async fn says(&self) -> Result<String> {
        within("the agent speaks to systemd", async { Ok(self.receive().await?) }).await
    }

    /// Waits until it says `word`, and returns what it said before.
    ///
    /// # Errors
    /// It never does.
    pub async fn says_at_last(&self, word: &str) -> Result<Vec<String>> {
        let mut before = vec![];
        loop {
            let said = self.says().await.with_context(|| word.to_owned())?;
            if said == word {
                return Ok(before);
            }
            before.push(said);
        }
    }

    /// Whether it stays silent for so long.
    ///
    /// # Errors
    /// The line is broken.
    pub async fn is_silent_for(&self, time: Duration) -> Result<bool> {
        match tokio::time::timeout(time, self.receive()).await {
            Ok(said) => said.map(|_| false).context("systemd's end of the line"),
            Err(_) => Ok(true),
        }
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.child.id().context("it has ended")?;
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), signal)?)
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It does not.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        within("the agent ends", async { Ok(self.child.wait().await?) }).await
    }

    async fn receive(&self) -> io::Result<String> {
        let mut notice = [0; 256];
        let length = self.notices.recv(&mut notice).await?;
        Ok(String::from_utf8_lossy(&notice[..length]).trim_end().to_owned())
    }
}
