//! The control socket: what `edge-agent status` asks the running agent (contract, section 9).
//!
//! One request a connection: a line with a word; the answer is one JSON object. Nothing here
//! switches anything.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use edge_protocol::event::Clock;
use edge_protocol::presence::State;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// A request is one short word.
const MAX_REQUEST_BYTES: u64 = 64;
/// A client that stays silent for longer is hung up on.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a running agent says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The agent's version.
    pub version: String,
    /// The store's id.
    pub store: String,
    /// Whether the wall clock can be trusted.
    pub clock: Clock,
    /// Whether the broker is reached.
    pub online: bool,
    /// Why it is not, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offline_because: Option<String>,
    /// When the client certificate expires: UTC, milliseconds since the Unix epoch.
    pub certificate_expires_at_ms: u64,
    /// Sessions, outlets, stations and queues.
    pub state: State,
}

/// Somebody asks for a [`Report`].
pub(crate) type Question = oneshot::Sender<Report>;

/// Why a running agent could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens.
    #[error("no agent answers at {}: is edge-agent running, and may you open its socket?", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It hung up or was too slow.
    #[error("the agent at {} did not answer", socket.display())]
    Answer {
        /// The socket.
        socket: PathBuf,
    },
}

/// Opens the socket, for its owner and group only. A dead agent's socket is replaced.
///
/// # Errors
/// The folder can't be made or written.
pub(crate) fn listen(socket: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = socket.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Answers everybody who comes, each by asking the loop.
pub(crate) async fn serve(listener: UnixListener, questions: mpsc::Sender<Question>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let questions = questions.clone();
                tokio::spawn(async move {
                    if let Ok(Err(error)) = timeout(PATIENCE, answer(stream, questions)).await {
                        tracing::debug!(%error, "a local client went away");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket can't be read");
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, questions: mpsc::Sender<Question>) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut request = String::new();
    BufReader::new(reader.take(MAX_REQUEST_BYTES)).read_line(&mut request).await?;
    let reply = if request.trim() == "status" {
        let (question, report) = oneshot::channel();
        let asked = questions.send(question).await.is_ok();
        match report.await {
            Ok(report) if asked => serde_json::to_vec(&report)?,
            Ok(_) | Err(_) => return Ok(()),
        }
    } else {
        br#"{"error":"unknown request: this agent answers `status`"}"#.to_vec()
    };
    writer.write_all(&reply).await
}

/// Asks the agent that listens on `socket`.
///
/// # Errors
/// [`AskError`], where nobody answers.
pub async fn ask(socket: &Path) -> Result<Report, AskError> {
    let connect = |source| AskError::Connect { socket: socket.to_owned(), source };
    let mut stream = UnixStream::connect(socket).await.map_err(connect)?;
    let exchange = async {
        stream.write_all(b"status\n").await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        Ok::<_, io::Error>(reply)
    };
    let answer = || AskError::Answer { socket: socket.to_owned() };
    let reply = timeout(PATIENCE, exchange).await.map_err(|_| answer())?.map_err(|_| answer())?;
    serde_json::from_slice(&reply).map_err(|_| answer())
}
