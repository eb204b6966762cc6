//! An order's way to its plug and the answer's way back, as the drivers go it: one at a time, a
//! newer one drops the one before, and nothing waits for longer than its patience.

use edge_agent::node::time::BootMs;
use edge_agent::node::{Failure, Input, Order, Reading};
use edge_protocol::event::Fault;
use edge_protocol::id::OutletId;

use super::Sabotage;
use super::plug::Manner;
use super::queue::Happening;
use super::world::{Sent, World};

/// As the drivers': no order takes longer.
const PATIENCE_MS: u64 = 10_000;

impl World {
    /// Hands an order to its driver, which drops what it was at.
    pub(super) fn order(&mut self, outlet: OutletId, number: u64, order: Order) {
        let now = self.clocks.now();
        let real = self.clocks.real;
        self.serial += 1;
        let serial = self.serial;
        let Some(process) = self.process.as_mut() else { return };
        if let Some((_, old)) = process.orders.insert(outlet.clone(), (number, serial))
            && self.rng.bool()
        {
            self.sent.remove(&old);
        }
        let lease = match order {
            Order::On { off_by } => off_by.map(|at| at - now.boot),
            Order::Off | Order::ClearLease | Order::Read => None,
        };
        let Some(plug) = self.plugs.get(&outlet) else { return };
        let way_ms = match plug.manner {
            Manner::Slow(ms) => ms,
            _ if !plug.leases => 1,
            _ => self.rng.u64(3..60),
        };
        self.sent.insert(serial, Sent { order, lease, run: self.run, issued: real });
        let reached = self.reached.entry(outlet.clone()).or_default();
        *reached = (*reached).max(real + way_ms);
        self.queue.at(*reached, Happening::Reached { outlet, serial });
    }

    /// An order reaches its plug.
    pub(super) fn reached(&mut self, outlet: OutletId, serial: u64) {
        let real = self.clocks.real;
        let Some(sent) = self.sent.remove(&serial) else { return };
        let Some(plug) = self.plugs.get_mut(&outlet) else { return };
        let swallowed = self.plan.sabotage == Some(Sabotage::OffsSwallowed)
            && sent.order == Order::Off
            && plug.on
            && self.rng.u8(0..4) == 0;
        let (was, lease) = (plug.on, plug.lease);
        let result = plug.obey(sent.order, sent.lease, real).map(|result| {
            result.map(|mut reading| {
                if swallowed {
                    plug.on = was;
                }
                plug.found_on = if plug.on { serial } else { 0 };
                reading.lease_off_at =
                    plug.told_lease.filter(|_| plug.lease.is_some()).map(BootMs::from);
                reading
            })
        });
        if self.plan.sabotage == Some(Sabotage::LeasesIgnored) {
            // Armed and told, never kept.
        } else if let Some(at) = plug.lease.filter(|at| Some(*at) != lease) {
            let early_ms =
                if self.plan.sabotage == Some(Sabotage::LeasesCutEarly) { 60_000 } else { 0 };
            self.queue.at(
                at.saturating_sub(early_ms).max(real),
                Happening::LeaseOver { outlet: outlet.clone() },
            );
        }
        let way_ms = match plug.manner {
            Manner::Slow(ms) => ms,
            _ if !plug.leases => 1,
            _ => self.rng.u64(3..60),
        };
        let late =
            || Failure { fault: Fault::Unreachable, message: "no answer in time".to_owned() };
        let (at, result) = match result {
            Some(result) if real + way_ms < sent.issued + PATIENCE_MS => (real + way_ms, result),
            _ => ((sent.issued + PATIENCE_MS).max(real), Err(late())),
        };
        let booted = self.clocks.real - self.clocks.now().boot.uptime_ms();
        let result = result.map(|mut reading| {
            // The rest as it was read, from when its answer came.
            reading.lease_off_at = reading.lease_off_at.map(|told| {
                BootMs::from(told.uptime_ms() + (at - real) - booted.min(told.uptime_ms()))
            });
            reading
        });
        self.queue.at(at, Happening::Answered { run: sent.run, outlet, serial, result });
    }

    /// A driver's answer; one to an order that was overtaken is dropped.
    pub(super) fn answered(
        &mut self,
        outlet: OutletId,
        serial: u64,
        result: Result<Reading, Failure>,
    ) -> bool {
        let Some(process) = self.process.as_mut() else { return false };
        let Some((number, _)) =
            process.orders.get(&outlet).copied().filter(|(_, current)| *current == serial)
        else {
            return false;
        };
        process.orders.remove(&outlet);
        if let Some(plug) = self.plugs.get_mut(&outlet).filter(|plug| plug.found_on == serial) {
            plug.thumbed &= result.is_err();
        }
        self.step(Input::Outlet { outlet, number, result });
        true
    }
}
