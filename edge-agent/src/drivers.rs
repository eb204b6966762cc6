//! One task an outlet, between the node's orders and the device.
//!
//! Orders come one at a time, but for an off: it overtakes whatever is under way, so a newer order
//! always drops the one before. Nothing is decided here and nothing is tried twice.

use std::sync::Arc;
use std::time::Duration;

use edge_protocol::event::Fault;
use edge_protocol::id::OutletId;
use plug_driver::{AnyOutlet, Error, Kind, LeaseReading, Outlet};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::host::clock::Clock;
use crate::host::systemd::Progress;
use crate::node::{Failure, Input, Order, Reading};

/// No order takes longer, whatever the device does: a slow plug is an unreachable one.
const PATIENCE: Duration = Duration::from_secs(10);

/// An order and its number.
pub(crate) type Numbered = (u64, Order);

/// Starts the task of `outlet`. It ends when its orders do.
pub(crate) fn spawn(
    id: OutletId,
    outlet: AnyOutlet,
    clock: Arc<Clock>,
    inbox: UnboundedSender<Input>,
    progress: Progress,
) -> UnboundedSender<Numbered> {
    let (orders, received) = unbounded_channel();
    tokio::spawn(drive(id, outlet, clock, inbox, progress, received));
    orders
}

async fn drive(
    id: OutletId,
    mut outlet: AnyOutlet,
    clock: Arc<Clock>,
    inbox: UnboundedSender<Input>,
    progress: Progress,
    mut orders: UnboundedReceiver<Numbered>,
) {
    let mut next = orders.recv().await;
    while let Some((number, order)) = next {
        progress.beat();
        next = tokio::select! {
            biased;
            newer = orders.recv() => newer,
            result = perform(&mut outlet, order, &clock) => {
                if let Err(failure) = &result {
                    tracing::debug!(outlet = %id, ?order, message = failure.message, "an order failed");
                }
                // The loop has ended if nobody listens, and so does the process.
                let _ = inbox.send(Input::Outlet { outlet: id.clone(), number, result });
                orders.recv().await
            }
        };
    }
}

async fn perform(outlet: &mut AnyOutlet, order: Order, clock: &Clock) -> Result<Reading, Failure> {
    let answer = async {
        match order {
            Order::On { off_by } => {
                let lease = off_by.map(|at| Duration::from_millis(at - clock.now().boot));
                outlet.on(lease).await
            }
            Order::Off => outlet.off().await,
            Order::ClearLease => outlet.clear_lease().await,
            Order::Read => outlet.read().await,
        }
    };
    match timeout(PATIENCE, answer).await {
        Ok(Ok(reading)) => Ok(translated(&reading, clock)),
        Ok(Err(error)) => Err(failure(&error)),
        Err(_) => Err(Failure {
            fault: Fault::Unreachable,
            message: format!("no answer within {} s", PATIENCE.as_secs()),
        }),
    }
}

fn translated(reading: &plug_driver::Reading, clock: &Clock) -> Reading {
    let lease_off_at = match reading.lease {
        LeaseReading::Unsupported | LeaseReading::None => None,
        LeaseReading::Remaining(rest) => Some(clock.now().boot + millis(rest)),
    };
    Reading { on: reading.on, lease_off_at, uptime_ms: reading.uptime.map(millis) }
}

fn failure(error: &Error) -> Failure {
    let fault = match error.kind() {
        Kind::Transient => Fault::Unreachable,
        Kind::Refused | Kind::Broken => Fault::Refused,
        Kind::Contradicted => Fault::StuckOn,
    };
    Failure { fault, message: crate::chain(error) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
