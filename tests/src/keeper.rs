//! The keeper as systemd runs it, and relays whose lines are files: the same real processes as on
//! a Raspberry Pi, with everything but the pin.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use edgectl::lab::agent::find_agent;
use edgectl::lab::site::Site;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::net::UnixDatagram;

use crate::time::now_ms;
use crate::within;

/// How often a line is looked at: what is shorter than that is no glitch for a relay.
const LOOK: Duration = Duration::from_millis(1);

/// A running keeper. Dropped, it is killed.
#[derive(Debug)]
pub struct Keeper {
    child: Child,
    notices: UnixDatagram,
}

/// Where the keeper of a site has its socket and its leases.
#[must_use]
pub fn folder(site: &Site) -> PathBuf {
    site.folder().join("keeper")
}

/// The keeper and so many relays, each a station of its own, as configured.
///
/// # Errors
/// Their folders can't be made.
pub fn relays(site: &Site, count: usize) -> Result<String> {
    let lines = site.folder().join("lines");
    fs::create_dir_all(&lines)?;
    fs::create_dir_all(folder(site))?;
    let socket = folder(site).join("keeper.sock");
    let mut rest = format!("[keeper]\nsocket = \"{}\"\n", socket.display());
    for pin in 1..=count {
        rest += &format!(
            "[[outlet]]\nid = \"relay-{pin}\"\ndriver = \"gpio\"\npin = {pin}\nbackend = \"files\"\n\
             folder = \"{}\"\n[[station]]\nid = \"pc-{pin}\"\noutlets = [\"relay-{pin}\"]\n",
            lines.display()
        );
    }
    Ok(rest)
}

/// The file that is the line of relay number `pin`.
#[must_use]
pub fn line(site: &Site, pin: usize) -> PathBuf {
    site.folder().join(format!("lines/gpio{pin}"))
}

/// Whether relay number `pin` is on.
#[must_use]
pub fn is_on(site: &Site, pin: usize) -> bool {
    level(&line(site, pin))
}

fn level(line: &Path) -> bool {
    fs::read(line).is_ok_and(|level| level.first() == Some(&b'1'))
}

/// Waits until relay number `pin` is on, or off.
///
/// # Errors
/// It stays as it is.
pub async fn goes(site: &Site, pin: usize, on: bool) -> Result<()> {
    within(&format!("relay-{pin} goes {}", if on { "on" } else { "off" }), async {
        while is_on(site, pin) != on {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    })
    .await
}

impl Keeper {
    /// Starts the site's keeper, and returns once it is ready.
    ///
    /// # Errors
    /// It does not get that far.
    pub async fn start(site: &Site) -> Result<Self> {
        let keeper = Self::launch(site)?;
        keeper.says("READY=1").await?;
        Ok(keeper)
    }

    /// Starts the site's keeper and does not wait for it.
    ///
    /// # Errors
    /// It can't be run.
    pub fn launch(site: &Site) -> Result<Self> {
        let socket = site.folder().join("keeper-notices");
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let notices = UnixDatagram::bind(&socket).context("systemd's end of the line")?;
        let log = site.folder().join("keeper.log");
        let log = File::options().create(true).append(true).open(log).context("its log")?;
        let child = Command::new(find_agent()?)
            .args(["keeper", "--config"])
            .arg(site.folder().join("agent.toml"))
            .env("NOTIFY_SOCKET", &socket)
            .env("RUNTIME_DIRECTORY", folder(site))
            .env("WATCHDOG_USEC", "2000000")
            .env_remove("WATCHDOG_PID")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("edge-agent keeper")?;
        Ok(Self { child, notices })
    }

    /// Waits until it tells systemd `word`.
    ///
    /// # Errors
    /// It does not.
    pub async fn says(&self, word: &str) -> Result<()> {
        within(&format!("the keeper says {word}"), async {
            let mut notice = [0; 256];
            loop {
                let length = self.notices.recv(&mut notice).await?;
                if notice[..length].starts_with(word.as_bytes()) {
                    return Ok(());
                }
            }
        })
        .await
    }

    /// Ends it without a chance to do anything: SIGKILL.
    ///
    /// # Errors
    /// It is gone already.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// It is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(self.child.id())?), signal)?)
    }

    /// Stops it in order: SIGTERM.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        within("the keeper ends", async {
            loop {
                if let Some(status) = self.child.try_wait()? {
                    return Ok(status);
                }
                tokio::time::sleep(LOOK).await;
            }
        })
        .await
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Nothing can be done about a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Somebody who never takes an eye off a relay's line.
#[derive(Debug)]
pub struct Watch {
    over: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<(u64, bool)>>>,
    watching: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches relay number `pin` from now on.
    #[must_use]
    pub fn on(site: &Site, pin: usize) -> Self {
        let (over, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(vec![])));
        let (line, ended, notes) = (line(site, pin), Arc::clone(&over), Arc::clone(&seen));
        // Before anything can be switched, however late the thread comes to run.
        let mut last = level(&line);
        let watching = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let now = level(&line);
                if now != last {
                    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
                    notes.push((now_ms(), now));
                    last = now;
                }
                std::thread::sleep(LOOK);
            }
        });
        Self { over, seen, watching: Some(watching) }
    }

    /// Every change so far: when, in milliseconds since the Unix epoch, and to what.
    #[must_use]
    pub fn changes(&self) -> Vec<(u64, bool)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it was switched to so far.
    #[must_use]
    pub fn switched(&self) -> Vec<bool> {
        self.changes().into_iter().map(|(_, on)| on).collect()
    }

    /// Waits until it has gone off `times` times, and says when it last did.
    ///
    /// # Errors
    /// It has not.
    pub async fn off_at_ms(&self, times: usize) -> Result<u64> {
        within("the relay goes off", async {
            loop {
                let off = self.changes().into_iter().filter(|(_, on)| !on).nth(times - 1);
                if let Some((at_ms, _)) = off {
                    return Ok(at_ms);
                }
                tokio::time::sleep(LOOK).await;
            }
        })
        .await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(watching) = self.watching.take() {
            let _ = watching.join();
        }
    }
}
