//! A relay behind a keeper, the process that switches it off at its time whatever becomes of us.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::keeper::{Answer, MAX_BYTES, Op, Request, VERSION};
use super::line::LineSettings;
use super::relay::Relay;
use crate::error::{Error, Fault};
use crate::{LONGEST_LEASE, LeaseReading};

/// A keeper answers within milliseconds. One that has not by then hangs, and an off still has time
/// to be tried without it before it must have been tried again.
const PATIENCE: Duration = Duration::from_secs(1);
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// Where the keeper is, and the clock that its leases count on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeeperSettings {
    /// Its socket.
    pub socket: PathBuf,
    /// The kernel's id of this boot.
    pub boot_id: String,
    /// Reads CLOCK_BOOTTIME, in milliseconds.
    pub boot_ms: BootMs,
}

/// Reads CLOCK_BOOTTIME, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct BootMs(pub fn() -> u64);

impl PartialEq for BootMs {
    /// There is one such clock.
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for BootMs {}

/// A relay behind a keeper.
#[derive(Debug)]
pub(super) struct Kept {
    line: LineSettings,
    keeper: KeeperSettings,
    /// Our own way to the line, for an off that no keeper takes.
    own: Relay,
}

impl Kept {
    pub(super) fn new(line: LineSettings, keeper: KeeperSettings) -> Result<Self, Error> {
        Ok(Self { own: Relay::new(line.clone())?, line, keeper })
    }

    pub(super) async fn on(&self, lease: Option<Duration>) -> Result<(bool, LeaseReading), Fault> {
        let off_at_ms = lease.map(|lease| {
            let lease = lease.clamp(SHORTEST_LEASE, LONGEST_LEASE).as_millis();
            (self.keeper.boot_ms.0)().saturating_add(u64::try_from(lease).unwrap_or(u64::MAX))
        });
        self.ask(Op::On, off_at_ms).await
    }

    /// Off through the keeper; where none answers, by our own hand. A keeper that is started after
    /// that finds the line off and leaves it so, or finds a lease that has run out.
    pub(super) async fn off(&mut self) -> Result<(bool, LeaseReading), Fault> {
        match self.ask(Op::Off, None).await {
            Err(unanswered @ Fault::Keeper { .. }) => {
                let switched = self.own.switch(false).await;
                // The keeper must find the line free when it comes back.
                self.own.let_go();
                match switched {
                    Ok(()) => {
                        tracing::warn!(
                            line = self.line.name(),
                            error = %unanswered,
                            "switched off without the keeper"
                        );
                        Ok((false, LeaseReading::None))
                    }
                    Err(error) => {
                        tracing::warn!(line = self.line.name(), %error, "nor off without the keeper");
                        Err(unanswered)
                    }
                }
            }
            answered => answered,
        }
    }

    pub(super) async fn clear(&self) -> Result<(bool, LeaseReading), Fault> {
        self.ask(Op::Clear, None).await
    }

    pub(super) async fn read(&self) -> Result<(bool, LeaseReading), Fault> {
        self.ask(Op::Read, None).await
    }

    async fn ask(&self, op: Op, off_at_ms: Option<u64>) -> Result<(bool, LeaseReading), Fault> {
        let boot_id = off_at_ms.map(|_| self.keeper.boot_id.clone());
        let request = Request { v: VERSION, op, line: self.line.clone(), off_at_ms, boot_id };
        let unanswered = |source| Fault::Keeper { socket: self.keeper.socket.clone(), source };
        let reply = match timeout(PATIENCE, self.exchange(&request)).await {
            Ok(reply) => reply.map_err(unanswered)?,
            Err(_) => return Err(unanswered(io::ErrorKind::TimedOut.into())),
        };
        match serde_json::from_slice(&reply) {
            Ok(Answer::Found { v: VERSION, on, off_at_ms }) => Ok((on, self.remaining(off_at_ms))),
            Ok(Answer::Failed { v: VERSION, error, message }) => {
                Err(Fault::Kept { kind: error, message })
            }
            Ok(Answer::Found { .. } | Answer::Failed { .. }) | Err(_) => {
                let reply = String::from_utf8_lossy(&reply).chars().take(80).collect();
                Err(Fault::Answer { command: format!("{op:?}").to_lowercase(), reply })
            }
        }
    }

    async fn exchange(&self, request: &Request) -> io::Result<Vec<u8>> {
        let mut stream = UnixStream::connect(&self.keeper.socket).await?;
        let mut line = serde_json::to_vec(request).map_err(io::Error::other)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        let mut reply = Vec::new();
        let most = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
        stream.take(most).read_to_end(&mut reply).await?;
        if reply.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(reply)
    }

    fn remaining(&self, off_at_ms: Option<u64>) -> LeaseReading {
        off_at_ms.map_or(LeaseReading::None, |at_ms| {
            let rest_ms = at_ms.saturating_sub((self.keeper.boot_ms.0)());
            LeaseReading::Remaining(Duration::from_millis(rest_ms))
        })
    }
}
