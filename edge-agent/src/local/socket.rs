//! The control socket: what `edge-agent status` asks the running agent (contract, section 9).
//!
//! One request a connection: a line with a word; the answer is one JSON object. Nothing here
//! switches anything.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::Report;
use super::source::Source;

/// A request is one short word.
const MAX_REQUEST_BYTES: u64 = 64;
/// A client that stays silent for longer is hung up on.
const PATIENCE: Duration = Duration::from_secs(5);

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
pub(crate) async fn serve(listener: UnixListener, source: Arc<Source>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let source = Arc::clone(&source);
                tokio::spawn(async move {
                    if let Ok(Err(error)) = timeout(PATIENCE, answer(stream, &source)).await {
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

async fn answer(stream: UnixStream, source: &Source) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut request = String::new();
    BufReader::new(reader.take(MAX_REQUEST_BYTES)).read_line(&mut request).await?;
    if request.trim() != "status" {
        let reply = br#"{"error":"unknown request: this agent answers `status`"}"#;
        return writer.write_all(reply).await;
    }
    match source.report().await {
        Some(report) => writer.write_all(&report).await,
        None => Ok(()),
    }
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
