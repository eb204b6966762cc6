//! What trouble does to the world, what the world does by itself, and how it is put in order.

use edge_agent::store::{Completion, SpaceLevel};

use super::chance::For;
use super::chaos::Trouble;
use super::plug::{Manner, Plug};
use super::process::Doom;
use super::queue::Happening;
use super::sabotage::Sabotage;
use super::world::World;

impl World {
    pub(super) fn lease_over(&mut self, at: usize) {
        let real = self.clocks.real;
        if self.sabotage == Some(Sabotage::LeasesIgnored) {
            return;
        }
        let early_ms = if self.sabotage == Some(Sabotage::LeasesCutEarly) { 60_000 } else { 0 };
        let plug = &mut self.plugs[at];
        if plug.lease.is_none_or(|ends_at| ends_at > real + early_ms) {
            return;
        }
        plug.lease = None;
        plug.told_lease = None;
        if !plug.manner.moves() {
            plug.meddled_at = real;
        } else if plug.on {
            plug.switch(false, real);
            let outlet = plug.outlet.clone();
            self.done.tally.count("total", "leases that cut");
            self.note(|| format!("{outlet}'s own timer cuts the power"));
            if let Err(broken) = self.checker.lease_cuts(at, &outlet, real) {
                self.broke(broken);
            }
        }
    }

    /// A plug with too much on it notices that a moment after it went on.
    pub(super) fn may_trip(&mut self, at: usize) {
        let real = self.clocks.real;
        let plug = &self.plugs[at];
        if plug.on && plug.overloaded_until > real {
            let takes_ms = self.chance.at(real, For::Load).u64(100..3_000);
            self.queue.at(real + takes_ms, Happening::Overloaded { plug: at });
        }
    }

    pub(super) fn overloaded(&mut self, at: usize) {
        let real = self.clocks.real;
        let plug = &mut self.plugs[at];
        if plug.on && plug.overloaded_until > real && plug.manner.moves() {
            plug.trip(real);
            let outlet = plug.outlet.clone();
            self.done.tally.count("total", "trips");
            self.note(|| format!("{outlet} switches itself off: too much hangs on it"));
        }
    }

    /// A plug that is a device of its own: a relay of the board's has no network, no button and no
    /// power of its own.
    fn device(&mut self, at: usize) -> Option<&mut Plug> {
        self.plugs.get_mut(at).filter(|plug| plug.leases)
    }

    pub(super) fn strike(&mut self, trouble: Trouble) {
        let real = self.clocks.real;
        self.done.tally.count("fault", trouble.kind());
        self.note(|| format!("trouble: {trouble:?}"));
        match trouble {
            Trouble::Killed { down_ms } => self.die("is killed", down_ms),
            Trouble::DiesBetweenSteps { steps, power_cut, down_ms } => {
                self.doom(Doom { steps, at_flush: false, power_cut, down_ms });
            }
            Trouble::DiesAtFlush { flushes, power_cut, down_ms } => {
                self.doom(Doom { steps: flushes, at_flush: true, power_cut, down_ms });
            }
            Trouble::StoppedInOrder { down_ms } => self.stop(down_ms),
            Trouble::NodePowerCut { down_ms, behind_ms, synced_after_ms } => {
                self.cut_power(false, behind_ms, synced_after_ms);
                self.die("loses power", down_ms);
            }
            Trouble::SitePowerCut { down_ms, behind_ms, synced_after_ms } => {
                self.cut_power(true, behind_ms, synced_after_ms);
                self.die("loses power", down_ms);
            }
            Trouble::Suspended { for_ms } => {
                if let Some(process) = self.process.as_mut().filter(|process| !process.stopping) {
                    // Who sleeps already sleeps on.
                    let until = process.frozen_until.max(real + for_ms);
                    process.frozen_until = until;
                    self.alive_since = Some(until);
                    self.queue.at(until, Happening::Look);
                }
            }
            Trouble::PlugMisbehaves { plug: at, manner, for_ms } => {
                if let Some(plug) = self.device(at) {
                    plug.manner = manner;
                    plug.manner_since = real;
                    self.queue.at(real + for_ms, Happening::Behaves { plug: at, since: real });
                }
            }
            Trouble::PlugRestarts { plug, warm } => {
                if let Some(plug) = self.device(plug) {
                    plug.restart(warm, real);
                }
            }
            Trouble::PlugWelds { plug, for_ms } => {
                if let Some(plug) = self.device(plug) {
                    plug.meter.count(plug.on, real);
                    plug.meter.welded = (real, real + for_ms);
                }
            }
            Trouble::Button { plug } => {
                if let Some(pressed) = self.device(plug) {
                    pressed.press(real);
                    self.may_trip(plug);
                }
            }
            Trouble::PlugOverloaded { plug: at, for_ms } => {
                if let Some(plug) = self.device(at) {
                    plug.overloaded_until = real + for_ms;
                    self.may_trip(at);
                }
            }
            Trouble::LinkLost { noticed_ms } => self.lose_link(noticed_ms),
            Trouble::SessionForgotten => self.forgotten(),
            Trouble::BrokerAway { for_ms } => {
                self.broker.away_until = real + for_ms;
                self.lose_link(1_000);
            }
            Trouble::WallClockStep { by_ms, for_ms } => {
                // A node takes less than a second for drift: the names of its deadlines stay.
                let is_step = by_ms.abs_diff(self.clocks.wall_error) >= 1_000;
                if self.clocks.synced && is_step {
                    self.clocks.wall_error = by_ms;
                    self.stepped = true;
                    self.queue.at(real + for_ms, Happening::Synced { boot: self.clocks.boot });
                }
            }
            Trouble::DiskFull { for_ms } => {
                self.disk.failing = true;
                self.queue.at(real + for_ms, Happening::DiskHeals);
            }
            Trouble::SpaceLow { for_ms } => {
                self.complete(Completion::Space(SpaceLevel::Low));
                self.queue.at(real + for_ms, Happening::DiskHeals);
            }
            Trouble::SlowFlush { takes_ms } => self.disk.stall_ms = Some(takes_ms),
            Trouble::EventRefused { code } => {
                self.refuse_next = Some(code);
                self.lose_link(30_000);
            }
        }
    }

    fn doom(&mut self, doom: Doom) {
        if let Some(process) = self.process.as_mut() {
            process.doom = Some(doom);
        }
    }

    /// What the broker makes of an event.
    pub(super) fn published(&mut self, connection: u64, seq: u64, payload: Vec<u8>) {
        if !self.broker.carries(connection) {
            self.done.tally.count("fault", "event lost on its way");
            return;
        }
        let at = self.broker.outward(self.clocks.real);
        // What is malformed is refused once; whoever refuses for another reason refuses what follows.
        let refused = self.refuse_next;
        let hopeless = refused.is_some_and(|code| code == 0x95 || code == 0x99);
        if hopeless {
            self.refuse_next = None;
            self.checker.ledger.refuse(seq);
        }
        self.queue.at(at, Happening::Delivered { connection, seq, refused });
        if refused.is_some() {
            return;
        }
        let ledger = &self.checker.ledger;
        let last = self.broker.taken.last_key_value().map_or(0, |(seq, _)| *seq);
        let known = self.broker.taken.get(&seq);
        if known.is_some_and(|known| *known != payload && !ledger.was_refused(seq)) {
            return self.broke(format!(
                "`event.resend` publishes events unchanged: {seq} came with other bytes"
            ));
        }
        let gap = ((last + 1)..seq).any(|missing| !ledger.was_refused(missing));
        if known.is_none() && seq > last && gap {
            return self.broke(format!("every event arrives, in order: {seq} came after {last}"));
        }
        self.broker.taken.insert(seq, payload);
    }

    /// Nothing goes wrong any more, and what runs comes to its end.
    pub(super) fn put_in_order(&mut self) {
        self.in_order = true;
        let real = self.clocks.real;
        self.queue.at(real + 5_000, Happening::Tidy { again: false });
        self.lose_link(0);
        self.refuse_next = None;
        self.disk.failing = false;
        self.disk.stall_ms = None;
        self.broker.away_until = 0;
        self.note(|| "from here on nothing goes wrong".to_owned());
        for plug in &mut self.plugs {
            plug.manner = Manner::Well;
            plug.manner_since = real;
            plug.meter.count(plug.on, real);
            plug.meter.welded = (0, 0);
            plug.overloaded_until = 0;
        }
        if let Some(process) = self.process.as_mut() {
            process.doom = None;
        }
        self.queue.at(real + 1_000, Happening::DiskHeals);
        self.queue.at(real + 2_000, Happening::Synced { boot: self.clocks.boot });
    }
}
