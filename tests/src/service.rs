//! The agent as systemd runs it: with a watchdog, and an ear for what it says of itself.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use edgectl::lab::agent::find_agent;
use edgectl::lab::site::Site;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixDatagram;
use tokio::process;
use tokio::time::timeout;

use crate::within;

/// A running service. Dropped, it is killed.
#[derive(Debug)]
pub struct Service {
    child: process::Child,
    notices: UnixDatagram,
    watchdog: Duration,
}

/// How systemd is to start an agent.
#[derive(Debug)]
pub struct Launch {
    /// Its patience.
    pub watchdog: Duration,
    /// A program that becomes the agent, and its arguments: `nsenter`, `prlimit`. Empty: none.
    pub before: Vec<OsString>,
    /// Where its log goes; `agent.log` in the site's folder where nothing is said.
    pub log: Option<Stdio>,
}

impl Launch {
    /// Plainly, with the patience `watchdog`.
    #[must_use]
    pub fn watched(watchdog: Duration) -> Self {
        Self { watchdog, before: vec![], log: None }
    }
}

impl Service {
    /// Starts the site's agent with systemd's patience `watchdog`.
    ///
    /// # Errors
    /// It can't be run.
    pub fn start(site: &Site, watchdog: Duration) -> Result<Self> {
        Self::launch(site, Launch::watched(watchdog))
    }

    /// Starts the site's agent.
    ///
    /// # Errors
    /// It can't be run.
    pub fn launch(site: &Site, launch: Launch) -> Result<Self> {
        let Launch { watchdog, before, log } = launch;
        let socket = site.folder().join("systemd");
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let notices = UnixDatagram::bind(&socket).context("systemd's end of the line")?;
        let log = match log {
            Some(log) => log,
            None => {
                let path = site.folder().join("agent.log");
                File::options().create(true).append(true).open(path).context("its log")?.into()
            }
        };
        let mut words = before;
        words.push(find_agent()?.into());
        let child = process::Command::new(&words[0])
            .args(&words[1..])
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
        Ok(Self { child, notices, watchdog })
    }

    /// Its process id.
    ///
    /// # Errors
    /// It has ended.
    pub fn pid(&self) -> Result<u32> {
        self.child.id().context("it has ended")
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
        match timeout(time, self.receive()).await {
            Ok(said) => said.map(|_| false).context("systemd's end of the line"),
            Err(_) => Ok(true),
        }
    }

    /// Waits until systemd's patience is at its end: no sign of life for that long.
    ///
    /// # Errors
    /// It goes on giving signs of life.
    pub async fn is_hung(&self) -> Result<()> {
        within("the agent gives no sign of life", async {
            loop {
                match timeout(self.watchdog, self.receive()).await {
                    Ok(said) => drop(said?),
                    Err(_) => return Ok(()),
                }
            }
        })
        .await
    }

    /// Listens for so long to its signs of life.
    ///
    /// # Errors
    /// systemd would have lost its patience meanwhile.
    pub async fn stays_alive_for(&self, time: Duration) -> Result<()> {
        let heard = async {
            loop {
                match timeout(self.watchdog, self.receive()).await {
                    Ok(said) => drop(said?),
                    Err(_) => bail!("no sign of life for {:?}: systemd kills it", self.watchdog),
                }
            }
        };
        timeout(time, heard).await.unwrap_or(Ok(()))
    }

    /// Ends it as systemd ends a service whose watchdog ran out: SIGABRT, with a SIGCONT so that
    /// a stopped process takes it, and SIGKILL if that does not help within `patience`.
    ///
    /// # Errors
    /// It outlives SIGKILL.
    pub async fn put_down(mut self, patience: Duration) -> Result<ExitStatus> {
        self.signal(Signal::SIGABRT)?;
        self.signal(Signal::SIGCONT)?;
        if let Ok(ended) = timeout(patience, self.child.wait()).await {
            return Ok(ended?);
        }
        self.signal(Signal::SIGKILL)?;
        self.ended().await
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid()?;
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
