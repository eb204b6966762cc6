//! The control socket: what people on the machine itself ask of the running agent (contract, section
//! 9). Its mode is what says who may: the agent's user and group.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use edge_protocol::command::OutletSet;
use edge_protocol::id::OutletId;
use plug_driver::{Capabilities, Finding};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::request::{Ask, Done, MAX_REQUEST_BYTES, ReadBack, Refused, RefusedCode};
use super::source::Source;
use crate::audit::{self, Examined};
use crate::drivers::{Audit, Errand};
use crate::node::LocalOrder;

/// A client that stays silent for longer, or does not read, is hung up on.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer takes longer: that of a device whose settings are mended, one after the other.
const ANSWER_PATIENCE: Duration = Duration::from_secs(70);
/// People and scripts of one machine are fewer.
const MAX_CLIENTS: usize = 16;

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
    let seats = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else {
                    let full = format!("{MAX_CLIENTS} others ask already: try again");
                    // A few bytes always fit an empty socket.
                    let _ = stream.try_write(&Refused::new(RefusedCode::Busy, full).answer());
                    continue;
                };
                let source = Arc::clone(&source);
                tokio::spawn(async move {
                    if let Err(error) = attend(stream, &source).await {
                        tracing::debug!(%error, "a local client went away");
                    }
                    drop(seat);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket can't be read");
                tokio::time::sleep(PATIENCE).await;
            }
        }
    }
}

async fn attend(stream: UnixStream, source: &Source) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = Vec::new();
    let mut reader = BufReader::new(reader.take(MAX_REQUEST_BYTES));
    timeout(PATIENCE, reader.read_until(b'\n', &mut line)).await??;
    let answer = async {
        match Ask::read(&line) {
            Ok(ask) => answer(ask, source).await,
            Err(refused) => Err(refused),
        }
    };
    let late = || Refused::new(RefusedCode::Device, "it takes too long: ask for the state now");
    let answer = timeout(ANSWER_PATIENCE, answer).await.unwrap_or_else(|_| Err(late()));
    let answer = answer.unwrap_or_else(|refused| refused.answer());
    timeout(PATIENCE, writer.write_all(&answer)).await?
}

async fn answer(ask: Ask, source: &Source) -> Result<Vec<u8>, Refused> {
    match ask {
        Ask::Status {} => match source.report().await {
            Some(report) => Ok(report.to_vec()),
            None => Err(Refused::new(RefusedCode::Busy, "the agent's loop does not answer")),
        },
        Ask::Set { outlet, on, for_ms, force } => {
            source.order(LocalOrder::Set(OutletSet { outlet, on, for_ms, force })).await?;
            Ok(written(&Done { done: true }))
        }
        Ask::Release { outlet } => {
            source.order(LocalOrder::Release(outlet)).await?;
            Ok(written(&Done { done: true }))
        }
        Ask::Read { outlet } => {
            let reading = source.errand(&outlet, Errand::Read).await?;
            Ok(written(&ReadBack::from(&reading)))
        }
        Ask::Explain { outlet } => Ok(written(&source.explain(outlet).await?)),
        Ask::Audit { outlet } => Ok(written(&audit::audit(&mut Device { source, outlet }).await?)),
        Ask::Mend { outlet } => Ok(written(&audit::mend(&mut Device { source, outlet }).await?)),
    }
}

fn written(answer: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(answer).expect("an answer has string keys only")
}

/// A device, by way of its outlet's own task.
struct Device<'a> {
    source: &'a Source,
    outlet: OutletId,
}

impl Examined for Device<'_> {
    type Error = Refused;

    async fn audit(&mut self) -> Result<(Capabilities, Vec<Finding>), Refused> {
        let audit = self.source.errand(&self.outlet, Errand::Audit).await?;
        let Audit { capabilities, findings } = audit;
        Ok((capabilities, findings))
    }

    async fn mend(&mut self, finding: &Finding) -> Result<(), Refused> {
        let errand = |told| Errand::Mend(finding.clone(), told);
        self.source.errand(&self.outlet, errand).await
    }

    /// A session owns the outlet.
    fn forbids_all(error: &Refused) -> bool {
        error.code == RefusedCode::Conflict
    }
}

#[cfg(test)]
mod tests;
