//! The keeper: a second, small process that holds the leases of GPIO lines, and switches a line
//! off at its time whatever has become of the agent (contract, section 6.8; `docs/keeper.md`).
//!
//! `guard` decides; this is the shell around it. It knows no broker, no store and no session, and
//! reads of the configuration only which lines there are.

mod clients;
mod guard;
mod hands;
mod record;
#[cfg(test)]
mod tests;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use plug_driver::keeper::{Answer, Op, VERSION};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until};

use self::clients::{Asked, Clients};
use self::guard::Keeper;
use self::hands::Hands;
use self::record::Records;
use crate::config::guarded::{self, Guarded};
use crate::host::alarm::Alarm;
use crate::host::clock::{self, boot_id};
use crate::host::systemd::{Progress, Supervisor, Systemd};
use crate::local::socket;
use crate::node::time::BootMs;

/// Where the keeper's files are if neither the configuration nor systemd says so.
const FOLDER: &str = "/run/edge-agent-keeper";
/// The socket's name where the configuration can't be read.
const SOCKET: &str = "keeper.sock";
/// Held by the keeper of this folder.
const LOCK: &str = "keeper.lock";
/// How often a keeper without a watchdog looks around.
const IDLE: Duration = Duration::from_secs(60);

/// Why a keeper can't start.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// Its socket can't be opened.
    #[error("the keeper's socket {} can't be opened", .path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another keeper has the same lines.
    #[error("another keeper runs already, with its leases in {}", .folder.display())]
    Taken {
        /// Where its leases are.
        folder: PathBuf,
    },
    /// The system gives no boot id, timer or signal.
    #[error("the system refuses {what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

/// Whether a keeper has anything to do with the configuration at `config`: it has GPIO lines, or
/// another keeper left a lease. One that can't be read may have lines.
#[must_use]
pub fn is_needed(config: &Path) -> bool {
    match guarded::load(config) {
        Ok(Guarded { socket: None, .. }) => false,
        Ok(Guarded { socket: Some(socket), lines, flaws }) => {
            let left = Records::new(&folder(Some(&socket))).read();
            !(lines.is_empty() && flaws.is_empty() && left.0.is_empty())
        }
        Err(_) => true,
    }
}

/// Keeps the lines of the configuration at `config` until it is told to stop by SIGTERM or SIGINT.
/// Lines whose lease still runs stay on then: the next keeper takes them over.
///
/// # Errors
/// [`KeeperError`].
pub async fn run(config: PathBuf) -> Result<(), KeeperError> {
    let system = |what| move |source| KeeperError::System { what, source };
    let boot_id = boot_id().map_err(system("its boot id"))?;
    let alarm = Alarm::new().map_err(system("a timer"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system("signals"))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("signals"))?;
    let systemd = Arc::new(Systemd::from_environment());
    let mut supervisor = Supervisor::new(Arc::clone(&systemd));
    let progress = supervisor.register("keeper");

    let mut source = Configuration { path: config, seen: None };
    let configured = source.read();
    let socket = match &configured {
        Some(Guarded { socket: None, .. }) => {
            tracing::info!("[keeper] socket is empty: no keeper is wanted");
            systemd.ready();
            return Ok(());
        }
        Some(Guarded { socket: Some(socket), .. }) => socket.clone(),
        None => folder(None).join(SOCKET),
    };
    let folder = folder(Some(&socket));
    let _alone = alone(&folder)?;
    let records = Records::new(&folder);
    let (left, flaws) = records.read();
    for flaw in flaws {
        tracing::error!("a lease can't be read, so its line has none: {flaw}");
    }
    let lines = configured.map(|configured| configured.lines);
    let (keeper, resumed) = Keeper::start(boot_id.clone(), lines, left, now());
    let mut shell =
        Shell { keeper, hands: Hands::new(records, boot_id), source, systemd, told: None };
    for job in resumed {
        // A line that can't be had yet is off at its time all the same.
        let _logged = shell.perform(job).await;
    }
    // What nobody has a right to goes off before anything else is done.
    shell.settle().await;

    let opened = socket::listen(&socket);
    let listener = opened.map_err(|source| KeeperError::Socket { path: socket.clone(), source })?;
    let pulse = supervisor.period().map_or(IDLE, |period| period / 2);
    tokio::spawn(supervisor.run());
    shell.systemd.ready();
    tracing::info!(socket = %socket.display(), "keeping");
    let stopped = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let clients = Clients::new(listener);
    shell.turn(clients, alarm, &progress, pulse, stopped).await;
    shell.systemd.stopping();
    Ok(())
}

/// What no two keepers of one folder have at a time; the kernel takes it back from a dead one.
/// Where it can't be had for another reason, lines are guarded all the same.
fn alone(folder: &Path) -> Result<Option<File>, KeeperError> {
    let lock = fs::create_dir_all(folder).and_then(|()| File::create(folder.join(LOCK)));
    let lock = match lock {
        Ok(lock) => lock,
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "the keeper's lock can't be made");
            return Ok(None);
        }
    };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(KeeperError::Taken { folder: folder.to_owned() }),
        Err(TryLockError::Error(error)) => {
            tracing::warn!(folder = %folder.display(), %error, "the keeper's lock can't be taken");
            Ok(None)
        }
    }
}

/// The keeper and what it acts with.
struct Shell {
    keeper: Keeper,
    hands: Hands,
    source: Configuration,
    systemd: Arc<Systemd>,
    /// The last word to systemd.
    told: Option<String>,
}

impl Shell {
    async fn turn(
        &mut self,
        mut clients: Clients,
        alarm: Alarm,
        progress: &Progress,
        pulse: Duration,
        stopped: impl Future<Output = ()>,
    ) {
        let mut stopped = std::pin::pin!(stopped);
        let mut next_pulse = Instant::now() + pulse;
        loop {
            progress.beat();
            alarm.set(self.keeper.wake_at());
            tokio::select! {
                biased;
                () = alarm.rings() => self.settle().await,
                () = &mut stopped => return,
                asked = clients.asks() => self.answer(asked).await,
                () = sleep_until(next_pulse) => next_pulse = Instant::now() + pulse,
            }
        }
    }

    /// Switches off whatever has no right to be on, and tells systemd how things are.
    async fn settle(&mut self) {
        for job in self.keeper.due(now()) {
            tracing::info!(line = job.line.name(), "its lease is over: off");
            // What fails is tried again when it is next due.
            let _logged = self.perform(job).await;
        }
        let (lines, on) = self.keeper.count();
        let status = format!("{lines} lines, {on} may be on");
        if self.told.as_ref() != Some(&status) {
            self.systemd.status(&status);
            self.told = Some(status);
        }
    }

    async fn answer(&mut self, asked: Asked) {
        if let Some(changed) = self.source.read_if_changed() {
            self.keeper.configure(changed.lines, now());
        }
        self.settle().await;
        let answer = self.do_as_asked(&asked).await;
        self.hands.keep_only(|place| self.keeper.knows(place));
        self.settle().await;
        asked.answer(answer);
    }

    async fn do_as_asked(&mut self, asked: &Asked) -> Answer {
        let request = &asked.request;
        let found = self.hands.read(&request.line);
        let job = match self.keeper.step(request, found.as_ref().ok().copied(), now()) {
            Ok(job) => job,
            Err(refusal) => {
                tracing::warn!(line = request.line.name(), op = ?request.op, "{}", refusal.message);
                return Answer::Failed {
                    v: VERSION,
                    error: refusal.kind,
                    message: refusal.message,
                };
            }
        };
        let switches = matches!(request.op, Op::On | Op::Off);
        let line = job.line.clone();
        let done = match (found, switches) {
            (Err(fault), false) => Err(fault),
            (found, _) => self.perform(job).await.map(|on| on.or(found.ok())),
        };
        match done {
            Ok(on) => Answer::Found {
                v: VERSION,
                on: on.unwrap_or_default(),
                off_at_ms: self.keeper.off_at(&line).map(BootMs::uptime_ms),
            },
            Err(failure) => {
                Answer::Failed { v: VERSION, error: failure.kind, message: failure.message }
            }
        }
    }

    /// Does a job and what follows from it; gives what the line was last read to be, where it was.
    async fn perform(&mut self, job: guard::Job) -> Result<Option<bool>, hands::Failure> {
        let mut next = Some(job);
        let mut last = Ok(None);
        while let Some(job) = next.take() {
            let (outcome, result) = self.hands.perform(&job).await;
            if let Err(failure) = &result {
                tracing::error!(line = job.line.name(), "{}", failure.message);
            }
            last = result;
            next = self.keeper.done(&job, outcome, now());
        }
        last
    }
}

/// The configuration's file, read again when it has changed: the agent's restart is enough.
struct Configuration {
    path: PathBuf,
    /// What tells one state of the file from another.
    seen: Option<(u64, i64, i64, u64)>,
}

impl Configuration {
    /// What it says now; `None` where it can't be read.
    fn read(&mut self) -> Option<Guarded> {
        self.seen = self.state();
        match guarded::load(&self.path) {
            Ok(guarded) => {
                for flaw in &guarded.flaws {
                    tracing::error!("{}: {flaw}", self.path.display());
                }
                Some(guarded)
            }
            Err(reason) => {
                tracing::error!("only lines with a lease are guarded: {reason}");
                None
            }
        }
    }

    /// What it says, where that may have changed.
    fn read_if_changed(&mut self) -> Option<Guarded> {
        if self.state() == self.seen { None } else { self.read() }
    }

    fn state(&self) -> Option<(u64, i64, i64, u64)> {
        use std::os::unix::fs::MetadataExt as _;
        let state = fs::metadata(&self.path).ok()?;
        Some((state.ino(), state.mtime(), state.mtime_nsec(), state.size()))
    }
}

/// Where the leases are: beside the socket; without one, where systemd says.
fn folder(socket: Option<&Path>) -> PathBuf {
    if let Some(folder) = socket.and_then(Path::parent) {
        return folder.to_owned();
    }
    std::env::var_os("RUNTIME_DIRECTORY").map_or_else(|| FOLDER.into(), PathBuf::from)
}

fn now() -> BootMs {
    BootMs::from(clock::boot_ms())
}
