//! What trouble does to the world, what the world does by itself, and how it is put in order.

use std::collections::BTreeMap;

use edge_agent::store::{Completion, SpaceLevel};
use edge_protocol::id::OutletId;

use super::Sabotage;
use super::chaos::Trouble;
use super::plug::{Manner, Plug};
use super::process::Doom;
use super::queue::Happening;
use super::world::World;

impl World {
    pub(super) fn lease_over(&mut self, outlet: &OutletId) {
        let real = self.clocks.real;
        let early_ms =
            if self.plan.sabotage == Some(Sabotage::LeasesCutEarly) { 60_000 } else { 0 };
        let Some(plug) = self.plugs.get_mut(outlet) else { return };
        if plug.lease.is_none_or(|at| at > real + early_ms) {
            return;
        }
        plug.lease = None;
        plug.told_lease = None;
        if matches!(plug.manner, Manner::Stuck | Manner::Lying) {
            plug.meddled_at = real;
        } else if plug.on {
            plug.switch(false, real);
            self.note(|| format!("{outlet}'s own timer cuts the power"));
            if let Err(broken) = self.checker.lease_cuts(outlet, real) {
                self.broke(broken);
            }
        }
    }

    pub(super) fn strike(&mut self, trouble: Trouble) {
        let real = self.clocks.real;
        if !matches!(trouble, Trouble::Nothing) {
            self.note(|| format!("trouble: {trouble:?}"));
        }
        let chosen =
            |plug: usize, plugs: &BTreeMap<OutletId, Plug>| plugs.keys().nth(plug).cloned();
        match trouble {
            Trouble::Killed { down_ms } => self.die("is killed", down_ms),
            Trouble::Doomed { steps, reboot, down_ms } => {
                if let Some(process) = self.process.as_mut() {
                    process.doom = Some(Doom { steps, reboot, down_ms });
                }
            }
            Trouble::Stopped { down_ms } => self.stop(down_ms),
            Trouble::Rebooted { down_ms, behind_ms, synced_after_ms, plugs_too } => {
                self.lose_power(plugs_too);
                self.die("loses power", down_ms);
                self.reboot_at_start(down_ms, behind_ms, synced_after_ms);
            }
            Trouble::Suspended { for_ms } => {
                if let Some(process) = self.process.as_mut().filter(|process| !process.stopping) {
                    process.frozen_until = real + for_ms;
                    self.alive_since = Some(real + for_ms);
                    self.queue.at(real + for_ms, Happening::Look);
                }
            }
            Trouble::Manner { plug, manner, for_ms } => {
                let Some(outlet) = chosen(plug, &self.plugs) else { return };
                if let Some(plug) = self.plugs.get_mut(&outlet).filter(|plug| plug.leases) {
                    plug.manner = manner;
                    plug.manner_since = real;
                    self.queue.at(real + for_ms, Happening::Behaves { outlet, since: real });
                }
            }
            Trouble::Restarts { plug, warm } => {
                let Some(outlet) = chosen(plug, &self.plugs) else { return };
                if let Some(plug) = self.plugs.get_mut(&outlet).filter(|plug| plug.leases) {
                    plug.restart(warm, real);
                }
            }
            Trouble::Button { plug } => {
                let Some(outlet) = chosen(plug, &self.plugs) else { return };
                if let Some(plug) = self.plugs.get_mut(&outlet).filter(|plug| plug.leases) {
                    plug.press(real);
                }
            }
            Trouble::LinkLost { noticed_ms } => self.lose_link(noticed_ms),
            Trouble::Forgotten => {
                self.broker.forget();
                self.control.issued.values_mut().for_each(|issued| issued.kept = false);
                self.lose_link(100);
            }
            Trouble::Away { for_ms } => {
                self.broker.away_until = real + for_ms;
                self.lose_link(1_000);
            }
            Trouble::Stepped { by_ms, for_ms } => {
                if self.clocks.synced {
                    self.clocks.wall_error = by_ms;
                    self.stepped = true;
                    self.queue.at(real + for_ms, Happening::Synced { boot: self.clocks.boot });
                }
            }
            Trouble::DiskFailing { for_ms } => {
                self.disk.failing = true;
                self.queue.at(real + for_ms, Happening::DiskHeals);
            }
            Trouble::SpaceLow => {
                self.complete(Completion::Space(SpaceLevel::Low));
                self.queue.at(real + 60_000, Happening::DiskHeals);
            }
            Trouble::Refused { code } => {
                self.refuse_next = Some(code);
                self.lose_link(30_000);
            }
            Trouble::Nothing => {}
        }
    }

    /// What the broker makes of an event.
    pub(super) fn published(&mut self, connection: u64, seq: u64, payload: Vec<u8>) {
        if !self.broker.carries(connection) {
            return;
        }
        let at = self.broker.outward(self.clocks.real);
        // What is malformed is refused once; whoever refuses for another reason refuses what follows.
        let refused = self.refuse_next;
        if refused.is_some_and(|code| code == 0x95 || code == 0x99) {
            self.refuse_next = None;
        }
        self.queue.at(at, Happening::Delivered { connection, seq, refused });
        if let Some(code) = refused {
            if code == 0x95 || code == 0x99 {
                self.checker.ledger.refuse(seq);
            }
            return;
        }
        let last = self.broker.taken.last_key_value().map_or(0, |(seq, _)| *seq);
        let known = self.broker.taken.get(&seq);
        let refused_before = self.checker.ledger.was_refused(seq);
        if known.is_some_and(|known| *known != payload && !refused_before) {
            return self.broke(format!(
                "`event.resend` publishes events unchanged: {seq} came with other bytes"
            ));
        }
        let gap = ((last + 1)..seq).any(|missing| !self.checker.ledger.was_refused(missing));
        if known.is_none() && seq > last && gap {
            return self.broke(format!("every event arrives, in order: {seq} came after {last}"));
        }
        self.broker.taken.insert(seq, payload);
    }

    /// Nothing goes wrong any more, and what runs comes to its end.
    pub(super) fn put_in_order(&mut self) {
        self.in_order = true;
        self.control.closing = Some(Vec::new());
        self.queue.at(self.clocks.real + 5_000, Happening::Send);
        self.lose_link(0);
        self.refuse_next = None;
        self.disk.failing = false;
        self.disk.stalls = false;
        self.broker.away_until = 0;
        self.note(|| "from here on nothing goes wrong".to_owned());
        for plug in self.plugs.values_mut() {
            plug.manner = Manner::Well;
            plug.manner_since = self.clocks.real;
        }
        self.queue.at(self.clocks.real + 1_000, Happening::DiskHeals);
        self.queue.at(self.clocks.real + 2_000, Happening::Synced { boot: self.clocks.boot });
    }
}
