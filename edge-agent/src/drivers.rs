//! One task an outlet, between the node's orders and the device.
//!
//! Orders come one at a time, but for an off: it overtakes whatever is under way, so a newer order
//! drops the one before. Only an off that is asked for again while one is under way joins it: a
//! slow plug would otherwise never get as far as being read back. Nothing is decided here and
//! nothing is tried twice.

use std::pin::pin;
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
use crate::step::step;

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
    while let Some((mut number, order)) = next {
        progress.beat();
        let mut performing = pin!(perform(&mut outlet, order, &clock));
        next = loop {
            tokio::select! {
                biased;
                newer = orders.recv() => match newer {
                    Some((newest, Order::Off)) if order == Order::Off => {
                        progress.beat();
                        number = newest;
                        step!("order.joined", outlet = %id, number);
                    }
                    newer => {
                        step!("order.overtaken", outlet = %id, number);
                        break newer;
                    }
                },
                result = &mut performing => {
                    if let Err(failure) = &result {
                        tracing::debug!(outlet = %id, ?order, message = failure.message, "an order failed");
                    }
                    // The loop has ended if nobody listens, and so does the process.
                    let _ = inbox.send(Input::Outlet { outlet: id.clone(), number, result });
                    step!("order.told", outlet = %id, number);
                    break orders.recv().await;
                }
            }
        };
    }
}

async fn perform(outlet: &mut AnyOutlet, order: Order, clock: &Clock) -> Result<Reading, Failure> {
    let answer = async {
        match order {
            Order::On { off_by } => {
                let lease = off_by.map(|at| Duration::from_millis(at - clock.now().boot));
                step!("on.begun", leased = lease.is_some());
                let reading = outlet.on(lease).await;
                step!("on.over");
                reading
            }
            Order::Off => {
                step!("off.begun");
                let reading = outlet.off().await;
                step!("off.over");
                reading
            }
            Order::ClearLease => {
                step!("lease.clearing");
                let reading = outlet.clear_lease().await;
                step!("lease.cleared");
                reading
            }
            Order::Read => {
                step!("read.begun");
                let reading = outlet.read().await;
                step!("read.over");
                reading
            }
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
    Reading {
        on: reading.on,
        lease_off_at,
        uptime_ms: reading.uptime.map(millis),
        boot_count: reading.boot_count,
        power_mw: reading.power_w.and_then(thousandths),
        energy_mwh: None,
    }
}

/// A figure of a meter in thousandths of its unit; none where no meter can mean it. What little a
/// meter reads below zero is its noise.
fn thousandths(figure: f64) -> Option<u64> {
    /// A gigawatt, or as many hours of one watt: no plug counts that far.
    const MOST: f64 = 1e9;
    if !(-10.0..=MOST).contains(&figure) {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is in a range that a u64 holds"
    )]
    Some((figure.max(0.0) * 1_000.0).round() as u64)
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

#[cfg(test)]
mod tests {
    use plug_driver::{Behaviour, Conduct, Simulated};

    use super::*;
    use crate::host::clock::ClockSource;

    struct Bench {
        orders: UnboundedSender<Numbered>,
        inbox: UnboundedReceiver<Input>,
        control: plug_driver::SimulatedControl,
    }

    fn bench(conduct: Conduct) -> Bench {
        let simulated = Simulated::new(Behaviour { conduct, ..Behaviour::default() });
        let control = simulated.control();
        let (inbox, heard) = unbounded_channel();
        let clock = Arc::new(Clock::new(ClockSource::Trusted));
        let id = "outlet".parse().unwrap();
        let outlet = AnyOutlet::Simulated(simulated);
        let orders = spawn(id, outlet, clock, inbox, Progress::default());
        Bench { orders, inbox: heard, control }
    }

    async fn answer(bench: &mut Bench) -> (u64, Result<Reading, Failure>) {
        let Input::Outlet { number, result, .. } = bench.inbox.recv().await.unwrap() else {
            panic!("a driver only answers orders");
        };
        (number, result)
    }

    #[tokio::test(start_paused = true)]
    async fn an_off_overtakes_an_order_that_is_under_way() {
        let mut bench = bench(Conduct::Stall);
        bench.orders.send((1, Order::On { off_by: None })).unwrap();
        tokio::task::yield_now().await;
        bench.control.behave(Behaviour::default());
        bench.orders.send((2, Order::Off)).unwrap();
        let (number, result) = answer(&mut bench).await;
        assert_eq!((number, result.unwrap().on), (2, false), "order 1 is never answered");
    }

    #[tokio::test(start_paused = true)]
    async fn an_off_asked_for_again_joins_the_one_under_way() {
        let mut bench = bench(Conduct::Stall);
        let asked = tokio::time::Instant::now();
        for number in 1..=3 {
            bench.orders.send((number, Order::Off)).unwrap();
            tokio::task::yield_now().await;
        }
        let (number, result) = answer(&mut bench).await;
        assert_eq!((number, result.unwrap_err().fault), (3, Fault::Unreachable));
        let first = asked.elapsed();
        bench.orders.send((4, Order::Off)).unwrap();
        assert_eq!(answer(&mut bench).await.0, 4, "an answered one is not joined");
        assert_eq!(asked.elapsed(), first * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_reckoned_when_the_order_goes_out_and_told_as_an_instant() {
        let mut bench = bench(Conduct::Obey);
        let off_by = Clock::new(ClockSource::Trusted).now().boot + 60_000;
        bench.orders.send((1, Order::On { off_by: Some(off_by) })).unwrap();
        let (_, result) = answer(&mut bench).await;
        let told = result.unwrap().lease_off_at.unwrap();
        assert!(told - off_by < 1_000 && off_by - told < 1_000, "{told:?} for {off_by:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_device_could_not_do_is_told_as_a_fault_with_its_reason() {
        for (conduct, fault) in [
            (Conduct::Stall, Fault::Unreachable),
            (Conduct::Refuse, Fault::Refused),
            (Conduct::Stick, Fault::StuckOn),
        ] {
            let mut bench = bench(conduct);
            bench.orders.send((1, Order::On { off_by: None })).unwrap();
            let failure = answer(&mut bench).await.1.unwrap_err();
            assert_eq!(failure.fault, fault, "{}", failure.message);
            assert!(failure.message.contains(": "), "the whole chain: {}", failure.message);
        }
    }
}
