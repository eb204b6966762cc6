//! Whether an agent runs: the one question on which all else depends.

use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::{Flock, FlockArg};

use super::diagnosis::Lines;
use crate::config::{Config, Sketch};
use crate::local::{self, Ask, AskError, Report};

/// Whether an agent runs.
#[derive(Debug)]
pub(super) enum Presence {
    /// It answers.
    Runs(Box<Report>),
    /// Somebody works with its store, or listens at its socket, and can't be asked.
    Silent(AskError),
    /// This user may not know.
    Hidden,
    /// Nobody does.
    Absent,
}

impl Presence {
    /// Asks the socket, and looks whether somebody holds the store.
    pub(super) async fn of(sketch: &Sketch) -> Self {
        match local::ask::<Report>(&sketch.socket, &Ask::Status {}).await {
            Ok(report) => Self::Runs(Box::new(report)),
            Err(silent @ AskError::NotRunning { .. }) => match is_held(&sketch.data_dir) {
                Some(false) => Self::Absent,
                Some(true) => Self::Silent(silent),
                None => Self::Hidden,
            },
            Err(AskError::NotAllowed { .. }) => Self::Hidden,
            Err(silent) => Self::Silent(silent),
        }
    }

    /// What the agent says of itself, where it runs.
    pub(super) fn report(&self) -> Option<&Report> {
        match self {
            Self::Runs(report) => Some(report),
            Self::Silent(_) | Self::Hidden | Self::Absent => None,
        }
    }

    pub(super) fn into_report(self) -> Option<Report> {
        match self {
            Self::Runs(report) => Some(*report),
            Self::Silent(_) | Self::Hidden | Self::Absent => None,
        }
    }
}

/// Whether a process holds the store in `data_dir`; none where this user may not look.
fn is_held(data_dir: &Path) -> Option<bool> {
    match File::options().read(true).open(data_dir.join("lock")) {
        Ok(lock) => Some(Flock::lock(lock, FlockArg::LockSharedNonblock).is_err()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

pub(super) fn check(presence: &Presence, config: Option<&Config>, lines: &mut Lines) {
    match presence {
        Presence::Runs(report) => {
            let since = super::clock::instant(report.started_at_ms);
            let found = format!("{} runs since {since}", report.version);
            let written = config.map(|config| config.hash.as_str());
            if report.version != env!("CARGO_PKG_VERSION") {
                let ours = env!("CARGO_PKG_VERSION");
                let found = format!("{found}; this program is {ours}");
                lines.warning("agent", found, "systemctl restart edge-agent");
            } else if written.is_some()
                && report.configuration.is_some()
                && written != report.configuration.as_deref()
            {
                let found = format!("{found}, with the configuration as it was before");
                lines.warning("agent", found, "systemctl restart edge-agent");
            } else if config.is_some_and(|config| {
                config.certificate_expires_at_ms != report.certificate_expires_at_ms
            }) {
                let found = format!("{found}, with another certificate than cert_file has now");
                lines.warning("agent", found, "systemctl restart edge-agent");
            } else {
                lines.ok("agent", found);
            }
        }
        Presence::Hidden => {
            let found = "whether one runs is not for this user to know";
            lines.wrong("agent", found, "run this with sudo");
        }
        Presence::Silent(AskError::NotRunning { socket, .. }) => {
            let found =
                format!("somebody holds its store, and nobody answers at {}", socket.display());
            lines.wrong("agent", found, "systemctl restart edge-agent");
        }
        Presence::Silent(error) => {
            let found = format!("it does not answer: {}", crate::chain(error));
            lines.wrong("agent", found, "systemctl restart edge-agent");
        }
        Presence::Absent => {
            lines.warning("agent", "none runs", "systemctl start edge-agent, once the rest passes");
        }
    }
}
