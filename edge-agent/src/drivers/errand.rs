//! What somebody on the machine itself wants of a device beside the node's orders: to read it, to
//! look at its settings, to mend one (`edge-agent outlet ID read`, `edge-agent doctor`).
//!
//! A plug serves one client at a time, so the outlet's own task runs an errand, while it has no
//! order. An order that switches takes its place at once: whoever asked is told nothing, and asks
//! again. A read waits for its end.

use std::time::Duration;

use plug_driver::{AnyOutlet, Capabilities, Error, Finding, Outlet, Reading};
use tokio::sync::mpsc::Receiver;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A read that waits for an errand's end is still answered in time: the node gives it up after 20 s,
/// of which its own answer may take ten.
const PATIENCE: Duration = Duration::from_secs(9);
/// Errands that wait for one outlet; whoever comes then is told to come later.
pub(crate) const MAX_WAITING: usize = 4;

/// Where an errand's outcome goes. Dropped unanswered where an order took its place.
pub(crate) type Told<T> = oneshot::Sender<Result<T, ErrandError>>;

/// What is wanted of a device.
#[derive(Debug)]
pub(crate) enum Errand {
    /// Read it now.
    Read(Told<Reading>),
    /// Compare its settings with those that make it safe. Writes nothing.
    Audit(Told<Audit>),
    /// Set what a finding wants. Never while a session owns the outlet: the loop sees to that.
    Mend(Finding, Told<()>),
}

/// What a device can do, and how it is set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Audit {
    /// What it can do, as far as it is known by now.
    pub(crate) capabilities: Capabilities,
    /// Each setting that matters.
    pub(crate) findings: Vec<Finding>,
}

/// Why an errand failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ErrandError {
    /// The device.
    #[error(transparent)]
    Device(#[from] Error),
    /// It took too long.
    #[error("the device did not answer within {} s", PATIENCE.as_secs())]
    Slow,
}

impl Errand {
    /// Does it, and tells whoever asked.
    pub(crate) async fn run(self, outlet: &mut AnyOutlet) {
        // Whoever asked may have gone.
        match self {
            Self::Read(told) => {
                let _ = told.send(in_time(outlet.read()).await);
            }
            Self::Audit(told) => {
                let findings = in_time(outlet.audit()).await;
                let capabilities = outlet.capabilities();
                let _ = told.send(findings.map(|findings| Audit { capabilities, findings }));
            }
            Self::Mend(finding, told) => {
                let _ = told.send(in_time(outlet.mend(&finding)).await);
            }
        }
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T, Error>>) -> Result<T, ErrandError> {
    match timeout(PATIENCE, asked).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(ErrandError::Slow),
    }
}

/// Drops what waits: what was asked for before an order that switches may not fit what comes after it.
pub(crate) fn forget(errands: &mut Receiver<Errand>) {
    while errands.try_recv().is_ok() {}
}
