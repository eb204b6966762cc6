//! One task an outlet, between the node's orders and the device.
//!
//! Orders come one at a time, but for an off: it overtakes whatever is under way, so a newer order
//! drops the one before. Only an off that is asked for again while one is under way joins it: a
//! slow plug would otherwise never get as far as being read back. Nothing is decided here and
//! nothing is tried twice. Between orders it runs errands: what people ask of a device.

mod errand;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use edge_protocol::event::Fault;
use edge_protocol::id::OutletId;
use plug_driver::{AnyOutlet, Error, Kind, LeaseReading, Outlet, Trip};
use tokio::sync::mpsc::{
    Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel,
};
use tokio::time::timeout;

pub(crate) use self::errand::{Audit, Errand, Told};
use crate::host::clock::Clock;
use crate::host::systemd::Progress;
use crate::node::{Failure, Input, Order, Reading};
use crate::step::step;

/// No order takes longer, whatever the device does: a slow plug is an unreachable one.
const PATIENCE: Duration = Duration::from_secs(10);

/// An order and its number.
pub(crate) type Numbered = (u64, Order);

/// The way to an outlet's task, which ends when all of them are gone.
#[derive(Debug)]
pub(crate) struct Driving {
    orders: UnboundedSender<Numbered>,
    errands: Sender<Errand>,
}

impl Driving {
    /// Gives an order of the node's.
    pub(crate) fn order(&self, order: Numbered) {
        let _ = self.orders.send(order);
    }

    /// Gives an errand, which runs while the task has no order.
    ///
    /// # Errors
    /// [`Busy`].
    pub(crate) fn run(&self, errand: Errand) -> Result<(), Busy> {
        self.errands.try_send(errand).map_err(|_| Busy)
    }
}

/// Too many errands wait for an outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

/// Starts the task of `outlet`.
pub(crate) fn spawn(
    id: OutletId,
    outlet: AnyOutlet,
    clock: Arc<Clock>,
    inbox: UnboundedSender<Input>,
    progress: Progress,
) -> Driving {
    let (orders, received) = unbounded_channel();
    let (errands, asked) = channel(errand::MAX_WAITING);
    tokio::spawn(drive(id, outlet, clock, inbox, progress, received, asked));
    Driving { orders, errands }
}

async fn drive(
    id: OutletId,
    mut outlet: AnyOutlet,
    clock: Arc<Clock>,
    inbox: UnboundedSender<Input>,
    progress: Progress,
    mut orders: UnboundedReceiver<Numbered>,
    mut errands: Receiver<Errand>,
) {
    let mut next = idle(&mut outlet, &mut orders, &mut errands, &progress).await;
    while let Some((mut number, order)) = next {
        progress.beat();
        if order != Order::Read {
            errand::forget(&mut errands);
        }
        let overtaking = {
            let mut performing = pin!(perform(&mut outlet, order, &clock));
            loop {
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
                            break Some(newer);
                        }
                    },
                    result = &mut performing => {
                        if let Err(failure) = &result {
                            tracing::debug!(outlet = %id, ?order, message = failure.message, "an order failed");
                        }
                        // The loop has ended if nobody listens, and so does the process.
                        let _ = inbox.send(Input::Outlet { outlet: id.clone(), number, result });
                        step!("order.told", outlet = %id, number);
                        break None;
                    }
                }
            }
        };
        next = match overtaking {
            Some(newer) => newer,
            None => idle(&mut outlet, &mut orders, &mut errands, &progress).await,
        };
    }
}

/// The next order. Runs errands until one comes; one under way gives way to an order that switches.
async fn idle(
    outlet: &mut AnyOutlet,
    orders: &mut UnboundedReceiver<Numbered>,
    errands: &mut Receiver<Errand>,
    progress: &Progress,
) -> Option<Numbered> {
    loop {
        let errand = tokio::select! {
            biased;
            order = orders.recv() => return order,
            Some(errand) = errands.recv() => errand,
        };
        progress.beat();
        let mut running = pin!(errand.run(outlet));
        let mut waiting = None;
        loop {
            tokio::select! {
                biased;
                order = orders.recv() => match order {
                    Some((_, Order::Read)) => waiting = order,
                    switching => return switching,
                },
                () = &mut running => break,
            }
        }
        progress.beat();
        if waiting.is_some() {
            return waiting;
        }
    }
}

async fn perform(outlet: &mut AnyOutlet, order: Order, clock: &Clock) -> Result<Reading, Failure> {
    let answer = async {
        match order {
            Order::On { off_by } => {
                let lease = off_by.map(|at| Duration::from_millis(at - clock.now().boot));
                step!("on.begun", leased = lease.is_some());
                let reading = match outlet.on(lease).await {
                    // It obeyed, and was off again before it was read back: that is a finding.
                    Err(error) if matches!(error.fault(), plug_driver::Fault::Tripped { .. }) => {
                        outlet.read().await
                    }
                    reading => reading,
                };
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
        energy_mwh: reading.energy_wh.and_then(thousandths),
        tripped: reading.trip.map(Trip::word),
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
        driving: Driving,
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
        let driving = spawn(id, outlet, clock, inbox, Progress::default());
        Bench { driving, inbox: heard, control }
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
        bench.driving.order((1, Order::On { off_by: None }));
        tokio::task::yield_now().await;
        bench.control.behave(Behaviour::default());
        bench.driving.order((2, Order::Off));
        let (number, result) = answer(&mut bench).await;
        assert_eq!((number, result.unwrap().on), (2, false), "order 1 is never answered");
    }

    #[tokio::test(start_paused = true)]
    async fn an_off_asked_for_again_joins_the_one_under_way() {
        let mut bench = bench(Conduct::Stall);
        let asked = tokio::time::Instant::now();
        for number in 1..=3 {
            bench.driving.order((number, Order::Off));
            tokio::task::yield_now().await;
        }
        let (number, result) = answer(&mut bench).await;
        assert_eq!((number, result.unwrap_err().fault), (3, Fault::Unreachable));
        let first = asked.elapsed();
        bench.driving.order((4, Order::Off));
        assert_eq!(answer(&mut bench).await.0, 4, "an answered one is not joined");
        assert_eq!(asked.elapsed(), first * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_is_reckoned_when_the_order_goes_out_and_told_as_an_instant() {
        let mut bench = bench(Conduct::Obey);
        let off_by = Clock::new(ClockSource::Trusted).now().boot + 60_000;
        bench.driving.order((1, Order::On { off_by: Some(off_by) }));
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
            bench.driving.order((1, Order::On { off_by: None }));
            let failure = answer(&mut bench).await.1.unwrap_err();
            assert_eq!(failure.fault, fault, "{}", failure.message);
            assert!(failure.message.contains(": "), "the whole chain: {}", failure.message);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_errand_is_run_between_orders_and_gives_way_to_one_that_switches() {
        let mut bench = bench(Conduct::Obey);
        let (told, read) = tokio::sync::oneshot::channel();
        bench.driving.run(Errand::Read(told)).unwrap();
        assert!(!read.await.unwrap().unwrap().on);
        bench.control.behave(Behaviour { conduct: Conduct::Stall, ..Behaviour::default() });
        for order in [Order::Off, Order::On { off_by: None }, Order::ClearLease] {
            let (told, read) = tokio::sync::oneshot::channel();
            bench.driving.run(Errand::Read(told)).unwrap();
            tokio::task::yield_now().await;
            let asked = tokio::time::Instant::now();
            bench.driving.order((1, order));
            assert!(read.await.is_err(), "{order:?} takes its place");
            assert_eq!(asked.elapsed(), Duration::ZERO);
            assert_eq!(answer(&mut bench).await.0, 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_of_the_nodes_waits_for_an_errand_and_is_answered_before_it_is_given_up() {
        let mut bench = bench(Conduct::Stall);
        let (told, audited) = tokio::sync::oneshot::channel();
        let asked = tokio::time::Instant::now();
        bench.driving.run(Errand::Read(told)).unwrap();
        tokio::task::yield_now().await;
        bench.driving.order((1, Order::Read));
        assert!(audited.await.unwrap().is_err(), "the device stalls");
        let (number, result) = answer(&mut bench).await;
        assert_eq!((number, result.unwrap_err().fault), (1, Fault::Unreachable));
        assert!(asked.elapsed() < Duration::from_secs(20), "{:?}", asked.elapsed());
    }

    /// What was asked for while no session owned the outlet must not happen within one.
    #[tokio::test(start_paused = true)]
    async fn what_waits_when_an_order_switches_is_dropped_and_too_many_are_refused() {
        let mut bench = bench(Conduct::Stall);
        bench.driving.order((1, Order::On { off_by: None }));
        tokio::task::yield_now().await;
        let errands = std::iter::repeat_with(|| {
            let (told, answer) = tokio::sync::oneshot::channel();
            (bench.driving.run(Errand::Audit(told)), answer)
        });
        let mut errands: Vec<_> = errands.take(5).collect();
        assert_eq!(errands.pop().unwrap().0, Err(Busy));
        bench.driving.order((2, Order::Off));
        for (_, answer) in errands {
            assert!(answer.await.is_err());
        }
        assert_eq!(answer(&mut bench).await.0, 2);
    }
}
