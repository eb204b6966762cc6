//! An order's way to its plug and the answer's way back, as the drivers go it: one at a time, a
//! newer one drops the one before, but that an off joins the off under way; and nothing waits for
//! longer than its patience.

use edge_agent::node::time::BootMs;
use edge_agent::node::{Failure, Input, Order, Reading};
use edge_protocol::event::Fault;
use edge_protocol::id::OutletId;

use super::chance::For;
use super::plug::Manner;
use super::process::AtDriver;
use super::queue::Happening;
use super::sabotage::Sabotage;
use super::world::{Sent, World};

/// As the drivers': no order takes longer.
const PATIENCE_MS: u64 = 10_000;

impl World {
    /// Hands an order to its driver, which drops what it was at.
    pub(super) fn order(&mut self, outlet: &OutletId, number: u64, order: Order) {
        let real = self.clocks.real;
        let Some(at) = self.plugs.iter().position(|plug| plug.outlet == *outlet) else { return };
        let Some(process) = self.process.as_mut() else { return };
        let old = process.drivers[at];
        if let Some(old) = old.filter(|old| old.order == Order::Off && order == Order::Off) {
            process.drivers[at] = Some(AtDriver { number, ..old });
            return;
        }
        self.serial += 1;
        let serial = self.serial;
        process.drivers[at] = Some(AtDriver { number, serial, order });
        if let Some(old) = old {
            self.done.tally.count("fault", "order overtaken");
            if self.chance.at(real, For::Overtaken(at)).bool() {
                self.sent.remove(&old.serial);
            }
        }
        let lease = match order {
            Order::On { off_by } => off_by.map(|off| off - self.clocks.now().boot),
            Order::Off | Order::ClearLease | Order::Read => None,
        };
        self.sent.insert(serial, Sent { order, lease, run: self.run, issued: real });
        let way_ms = self.way_ms(at, For::To(at));
        let reached = &mut self.reached[at];
        *reached = (*reached).max(real + way_ms);
        self.queue.at(*reached, Happening::Reached { plug: at, serial });
    }

    /// How long a message to or from a plug takes now.
    fn way_ms(&self, at: usize, what: For) -> u64 {
        let plug = &self.plugs[at];
        match plug.manner {
            Manner::Slow { way_ms } => way_ms,
            _ if !plug.leases => 1,
            _ => self.chance.at(self.clocks.real, what).u64(3..60),
        }
    }

    /// An order reaches its plug.
    pub(super) fn reached(&mut self, at: usize, serial: u64) {
        let real = self.clocks.real;
        let Some(sent) = self.sent.remove(&serial) else { return };
        let way_ms = self.way_ms(at, For::From(at));
        let sabotage = self.sabotage;
        let swallowed = sabotage == Some(Sabotage::OffsForgotten)
            && sent.order == Order::Off
            && self.chance.at(real, For::Sabotage).bool();
        let plug = &mut self.plugs[at];
        let (was, lease) = (plug.on, plug.lease);
        let mut result = plug.obey(sent.order, sent.lease, real);
        if let Some(Ok(reading)) = &mut result {
            if swallowed {
                plug.on = was;
            }
            plug.found_on = if plug.on { serial } else { 0 };
            if sabotage == Some(Sabotage::TripsUntold) {
                reading.tripped = None;
            }
            reading.lease_off_at =
                plug.told_lease.filter(|_| plug.lease.is_some()).map(BootMs::from);
        }
        if let Some(Ok(reading)) = &mut result {
            let plug = &self.plugs[at];
            let was_welded = plug.meter.welded.0 > 0 && !reading.on;
            match sabotage {
                Some(Sabotage::WattsOfNothing) => reading.power_mw = reading.power_mw.or(Some(0)),
                Some(Sabotage::StuckForEver) if was_welded && reading.power_mw.is_some() => {
                    reading.power_mw = plug.meter.load_mw;
                }
                _ => {}
            }
        }
        let plug = &mut self.plugs[at];
        match sabotage {
            Some(Sabotage::LeasesKept) if sent.order == Order::ClearLease => plug.lease = lease,
            Some(Sabotage::LeasesNotRenewed) if lease.is_some() && plug.lease.is_some() => {
                plug.lease = lease;
            }
            _ => {}
        }
        if let Some(ends_at) = plug.lease.filter(|ends_at| Some(*ends_at) != lease) {
            let early_ms = if sabotage == Some(Sabotage::LeasesCutEarly) { 60_000 } else { 0 };
            let at_ms = ends_at.saturating_sub(early_ms).max(real);
            self.queue.at(at_ms, Happening::LeaseOver { plug: at });
        }
        self.may_trip(at);
        let late =
            || Failure { fault: Fault::Unreachable, message: "no answer in time".to_owned() };
        let (when, mut result) = match result {
            Some(result) if real + way_ms < sent.issued + PATIENCE_MS => (real + way_ms, result),
            _ => ((sent.issued + PATIENCE_MS).max(real), Err(late())),
        };
        if let Ok(reading) = &mut result {
            // The rest as it was read, from when its answer came.
            let booted = real.saturating_sub(self.clocks.now().boot.uptime_ms());
            reading.lease_off_at = reading.lease_off_at.map(|told| {
                BootMs::from((told.uptime_ms() + (when - real)).saturating_sub(booted))
            });
        }
        self.queue.at(when, Happening::Answered { run: sent.run, plug: at, serial, result });
    }

    /// A driver's answer; one to an order that was overtaken is dropped. Returns whether the
    /// process heard it.
    pub(super) fn answered(
        &mut self,
        at: usize,
        serial: u64,
        result: Result<Reading, Failure>,
    ) -> bool {
        let Some(process) = self.process.as_mut() else { return false };
        let Some(AtDriver { number, .. }) =
            process.drivers[at].take_if(|driver| driver.serial == serial)
        else {
            return false;
        };
        let plug = &mut self.plugs[at];
        if plug.found_on == serial {
            plug.thumbed &= result.is_err();
            plug.tripped &= result.is_err();
        }
        let outlet = plug.outlet.clone();
        self.step(Input::Outlet { outlet, number, result });
        true
    }
}
