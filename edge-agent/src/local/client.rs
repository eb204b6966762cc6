//! Asks the running agent: the other end of the control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::request::{Ask, Refused, answered};

/// An agent that lives answers sooner, whatever its disk does.
const PATIENCE: Duration = Duration::from_secs(15);
/// A device whose settings are mended is asked a dozen questions, one at a time.
const DEVICE_PATIENCE: Duration = Duration::from_secs(75);

/// Why a running agent could not be asked, or would not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error(
        "no agent answers at {}: is edge-agent running? `systemctl start edge-agent` starts it",
        socket.display()
    )]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The socket's mode says who may.
    #[error(
        "the socket {} is not yours to open: use sudo, or have yourself added to the group edge-agent",
        socket.display()
    )]
    NotAllowed {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It hung up or was too slow.
    #[error("the agent at {} did not answer: `journalctl -u edge-agent` may say why", socket.display())]
    Silent {
        /// The socket.
        socket: PathBuf,
    },
    /// Its answer is none that this program knows.
    #[error(
        "the agent at {} is of another version than this program: `systemctl restart edge-agent`",
        socket.display()
    )]
    Strange {
        /// The socket.
        socket: PathBuf,
    },
    /// It would not.
    #[error("{}", .0.message)]
    Refused(Refused),
}

/// Asks the agent that listens on `socket`, and reads its answer as what `ask` is answered with.
///
/// # Errors
/// [`AskError`].
pub async fn ask<T: DeserializeOwned>(socket: &Path, ask: &Ask) -> Result<T, AskError> {
    let connect = |source: io::Error| {
        let socket = socket.to_owned();
        if source.kind() == io::ErrorKind::PermissionDenied {
            AskError::NotAllowed { socket, source }
        } else {
            AskError::NotRunning { socket, source }
        }
    };
    let patience = match ask {
        Ask::Status {} | Ask::Set { .. } | Ask::Release { .. } | Ask::Explain { .. } => PATIENCE,
        Ask::Read { .. } | Ask::Audit { .. } | Ask::Mend { .. } => DEVICE_PATIENCE,
    };
    let mut stream = UnixStream::connect(socket).await.map_err(connect)?;
    let exchange = async {
        stream.write_all(ask.line().as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    let silent = || AskError::Silent { socket: socket.to_owned() };
    let answer = timeout(patience, exchange).await.map_err(|_| silent())?;
    let answer = answer.ok().filter(|answer| !answer.is_empty()).ok_or_else(silent)?;
    match answered(&answer) {
        Some(Ok(answer)) => Ok(answer),
        Some(Err(refused)) => Err(AskError::Refused(refused)),
        None => Err(AskError::Strange { socket: socket.to_owned() }),
    }
}
