//! A plug as a driver finds it, with a lease timer and an uptime of its own, which no restart of
//! the node resets. Times are the world's.

use crate::node::outlet::{Failure, Order, Reading};
use crate::node::time::BootMs;
use edge_protocol::event::Fault;

/// How long a driver waits for an answer.
const PATIENCE_MS: u64 = 2_000;

/// How a plug behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::node) enum Conduct {
    Obeys,
    /// It does not answer; its driver gives up after 2 s.
    Deaf,
    /// Not even its driver comes back.
    Mute,
    /// It answers, but not yes.
    Refuses,
    /// Its relay does not move, and the driver reads that back.
    Stuck,
    /// Its relay does not move, and what the driver reads back says so without an error.
    Shrugs,
    /// It takes no timer.
    Forgets,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(in crate::node) struct Plug {
    pub(super) on: bool,
    /// When it cuts the power by itself.
    pub(super) lease: Option<u64>,
    pub(super) started: u64,
    pub(super) leases: bool,
    pub(super) conduct: Conduct,
    pub(super) latency_ms: u64,
    /// Every order that reached the driver, and when.
    pub(super) orders: Vec<(u64, Order)>,
    /// Every move of the relay, and when.
    pub(super) moves: Vec<(u64, bool)>,
    /// A test did something to it that excuses that its session's power was away.
    pub(in crate::node) disturbed: bool,
    /// A test did something to it that excuses a lease that is late.
    pub(super) lease_excused: bool,
    /// Since when it obeys, and nobody touched it.
    pub(super) well_since: u64,
    /// What hangs on it.
    pub(super) meter: Meter,
    /// How often it has started, where it tells.
    pub(super) starts: Option<u64>,
    /// What hangs on it is too much: it switches itself off after each on.
    pub(super) overloaded: bool,
    /// It switched itself off, and says why until it is on again.
    tripped: bool,
    pub(super) under_way: Option<Job>,
}

/// A plug's meter, and what it measures.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// What the load draws while the contacts are closed; without one there is no meter.
    pub(super) load_mw: Option<u64>,
    /// The contacts stay closed, whatever the relay says.
    pub(super) welded: bool,
    /// For so long after an off it shows nothing.
    pub(super) blind_ms: u64,
    /// Milliwatts times milliseconds since the register was made.
    used: u64,
    counted_to: u64,
    off_at: u64,
}

impl Meter {
    /// Counts up to now.
    fn count(&mut self, on: bool, now: u64) {
        let flows = if on || self.welded { self.load_mw.unwrap_or(0) } else { 0 };
        self.used += flows * now.saturating_sub(self.counted_to);
        self.counted_to = now;
    }

    fn power_mw(&self, on: bool, now: u64) -> Option<u64> {
        let blind = !on && now - self.off_at < self.blind_ms;
        self.load_mw.map(|load_mw| if (on || self.welded) && !blind { load_mw } else { 0 })
    }

    /// Another plug takes its place, or its register is reset.
    pub(super) fn set_register(&mut self, mwh: u64) {
        self.used = mwh * 3_600_000;
    }
}

/// An order that a driver carries out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job {
    number: u64,
    order: Order,
    pub(super) done_at: u64,
    mute: bool,
}

impl Plug {
    pub(super) fn new(leases: bool, now: u64) -> Self {
        Self {
            on: false,
            lease: None,
            started: now - 3_600_000,
            leases,
            conduct: Conduct::Obeys,
            latency_ms: 20,
            orders: Vec::new(),
            moves: Vec::new(),
            disturbed: false,
            lease_excused: false,
            well_since: now,
            starts: None,
            overloaded: false,
            tripped: false,
            meter: Meter { counted_to: now, ..Meter::default() },
            under_way: None,
        }
    }

    /// Gives an order to its driver: an off overtakes what is under way.
    pub(super) fn order(&mut self, number: u64, order: Order, now: u64) {
        let idle = self.under_way.is_none_or(|job| job.mute);
        assert!(idle || order == Order::Off, "only an off overtakes: {order:?}");
        self.orders.push((now, order));
        let done_at = match self.conduct {
            Conduct::Deaf => now + PATIENCE_MS,
            Conduct::Mute => u64::MAX,
            Conduct::Obeys
            | Conduct::Refuses
            | Conduct::Stuck
            | Conduct::Shrugs
            | Conduct::Forgets => now + self.latency_ms,
        };
        self.under_way = Some(Job { number, order, done_at, mute: self.conduct == Conduct::Mute });
    }

    /// When it next does something by itself.
    pub(super) fn wake_at(&self) -> Option<u64> {
        let job = self.under_way.map(|job| job.done_at).filter(|at| *at < u64::MAX);
        self.lease.into_iter().chain(job).min()
    }

    /// Lets its timer run out.
    pub(super) fn tick(&mut self, now: u64) {
        if self.lease.is_some_and(|at| now >= at) {
            self.lease = None;
            self.turn(false, now);
        }
    }

    /// The answer of its driver, where one is due. `boot_at` is when the node's boot began.
    pub(super) fn answer(
        &mut self,
        now: u64,
        boot_at: u64,
    ) -> Option<(u64, Result<Reading, Failure>)> {
        let job = self.under_way.take_if(|job| now >= job.done_at)?;
        Some((job.number, self.carry_out(job.order, now, boot_at)))
    }

    fn carry_out(&mut self, order: Order, now: u64, boot_at: u64) -> Result<Reading, Failure> {
        let failure = |fault, message: &str| Err(Failure { fault, message: message.to_owned() });
        match (self.conduct, order) {
            (Conduct::Deaf | Conduct::Mute, _) => {
                return failure(Fault::Unreachable, "no answer");
            }
            (Conduct::Refuses, _) => return failure(Fault::Refused, "not now"),
            (Conduct::Stuck, Order::On { .. }) if !self.on => {
                return failure(Fault::StuckOff, "it stays off");
            }
            (Conduct::Stuck, Order::Off) if self.on => {
                return failure(Fault::StuckOn, "it stays on");
            }
            (Conduct::Shrugs, _) | (_, Order::Read) => {}
            (_, Order::On { off_by }) => {
                let armed = self.leases && self.conduct != Conduct::Forgets;
                self.lease = off_by.filter(|_| armed).map(|off_by| boot_at + off_by.uptime_ms());
                self.turn(true, now);
            }
            (_, Order::Off) => self.turn(false, now),
            (_, Order::ClearLease) => self.lease = None,
        }
        let measures = matches!(order, Order::Read);
        self.meter.count(self.on, now);
        Ok(Reading {
            on: self.on,
            lease_off_at: self.lease.map(|at| BootMs::from(at - boot_at)),
            uptime_ms: self.leases.then(|| (now - self.started) / 1_000 * 1_000),
            boot_count: self.starts,
            power_mw: self.meter.power_mw(self.on, now).filter(|_| measures),
            energy_mwh: self
                .meter
                .load_mw
                .filter(|_| measures)
                .map(|_| self.meter.used / 3_600_000),
            tripped: self.tripped.then_some("overpower"),
        })
    }

    fn turn(&mut self, on: bool, now: u64) {
        if self.on != on {
            self.meter.count(self.on, now);
            if !on {
                self.meter.off_at = now;
            }
            self.on = on;
            self.moves.push((now, on));
        }
        self.tripped &= !on;
        if on && self.overloaded {
            self.overload(now);
        }
    }

    /// Too much hangs on it from now on: it switches itself off.
    pub(super) fn overload(&mut self, now: u64) {
        self.disturbed = true;
        self.overloaded = true;
        if self.on {
            self.turn(false, now);
            self.tripped = true;
        }
    }

    /// Somebody presses its button.
    pub(super) fn press(&mut self, now: u64) {
        self.disturbed = true;
        self.well_since = now;
        self.turn(!self.on, now);
    }

    /// Its mains comes and goes: relay off, timer lost.
    pub(super) fn restart(&mut self, now: u64) {
        self.disturbed = true;
        self.well_since = now;
        self.lease = None;
        self.started = now;
        self.tripped = false;
        self.turn(false, now);
    }

    /// Its firmware starts anew: the relay keeps what it was, its timer is lost.
    pub(super) fn restart_warm(&mut self, now: u64) {
        self.disturbed = true;
        self.well_since = now;
        self.lease = None;
        self.started = now;
    }

    /// When orders of a kind came.
    pub(super) fn ordered(&self, kind: fn(&Order) -> bool) -> Vec<u64> {
        self.orders.iter().filter(|(_, order)| kind(order)).map(|(at, _)| *at).collect()
    }
}

pub(super) fn is_on(order: &Order) -> bool {
    matches!(order, Order::On { .. })
}

pub(super) fn is_off(order: &Order) -> bool {
    matches!(order, Order::Off)
}
