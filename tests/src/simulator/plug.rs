//! A plug: a relay, its own timer, and the manners of a cheap device on a bad network.

use edge_agent::node::{Failure, Order, Reading};
use edge_protocol::event::Fault;

/// How a plug treats what is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Well,
    /// Each way takes so long.
    Slow(u64),
    /// Nothing gets through; `true`: and that is known at once.
    Deaf(bool),
    /// It obeys and doesn't answer.
    Mute,
    Refusing,
    /// The relay doesn't move, and it says so.
    Stuck,
    /// The relay doesn't move, and it says it did.
    Lying,
}

#[derive(Debug)]
pub(super) struct Plug {
    pub(super) leases: bool,
    pub(super) on: bool,
    /// When the relay last moved.
    pub(super) moved_at: u64,
    /// When its own timer cuts the power.
    pub(super) lease: Option<u64>,
    /// What it says of that, where it lies.
    pub(super) told_lease: Option<u64>,
    pub(super) up_since: u64,
    pub(super) manner: Manner,
    pub(super) manner_since: u64,
    /// When anything but an order last changed it.
    pub(super) meddled_at: u64,
    /// A thumb switched it off, and nobody who asked found it on since.
    pub(super) thumbed: bool,
    /// The last order that found it on, since it was pressed.
    pub(super) found_on: u64,
}

impl Plug {
    pub(super) fn new(leases: bool, now: u64) -> Self {
        Self {
            leases,
            on: false,
            moved_at: now,
            lease: None,
            told_lease: None,
            up_since: now,
            manner: Manner::Well,
            manner_since: now,
            meddled_at: now,
            thumbed: false,
            found_on: 0,
        }
    }

    pub(super) fn switch(&mut self, on: bool, now: u64) {
        if self.on != on {
            self.on = on;
            self.moved_at = now;
        }
    }

    /// The plug is without power for a moment; warm, its relay keeps what it was. No timer survives.
    pub(super) fn restart(&mut self, warm: bool, now: u64) {
        self.lease = None;
        self.told_lease = None;
        self.up_since = now;
        self.meddled_at = now;
        if !warm {
            self.switch(false, now);
        }
    }

    /// A thumb.
    pub(super) fn press(&mut self, now: u64) {
        let on = !self.on;
        self.switch(on, now);
        self.thumbed |= !on;
        self.found_on = 0;
        self.meddled_at = now;
    }

    /// Carries an order out. `None`: it says nothing.
    pub(super) fn obey(
        &mut self,
        order: Order,
        lease: Option<u64>,
        now: u64,
    ) -> Option<Result<Reading, Failure>> {
        let failure =
            |fault, message: &str| Some(Err(Failure { fault, message: message.to_owned() }));
        match self.manner {
            Manner::Deaf(true) => return failure(Fault::Unreachable, "connection refused"),
            Manner::Deaf(false) => return None,
            Manner::Refusing => return failure(Fault::Refused, "unauthorized"),
            Manner::Well | Manner::Slow(_) | Manner::Mute | Manner::Stuck | Manner::Lying => {}
        }
        let moves = !matches!(self.manner, Manner::Stuck | Manner::Lying);
        let wanted = match order {
            Order::On { .. } => {
                let cut = lease
                    .filter(|_| self.leases)
                    .map(|ms| now + ms.max(1_000).div_ceil(1_000) * 1_000);
                self.lease = cut;
                self.told_lease = cut;
                Some(true)
            }
            Order::Off => Some(false),
            Order::ClearLease => {
                self.lease = None;
                self.told_lease = None;
                None
            }
            Order::Read => None,
        };
        if let Some(on) = wanted.filter(|_| moves) {
            self.switch(on, now);
        }
        // Whoever says on and is off can't be told from one that a thumb switched off.
        self.thumbed |= self.manner == Manner::Lying && wanted == Some(true) && !self.on;
        let on = match self.manner {
            Manner::Lying => wanted.unwrap_or(self.on),
            Manner::Well
            | Manner::Slow(_)
            | Manner::Mute
            | Manner::Stuck
            | Manner::Deaf(_)
            | Manner::Refusing => self.on,
        };
        match (self.manner, wanted) {
            (Manner::Mute, _) => None,
            (_, Some(wanted)) if wanted != on => failure(Fault::StuckOn, "it reads back otherwise"),
            _ => Some(Ok(Reading {
                on,
                lease_off_at: None,
                uptime_ms: self.leases.then(|| now - self.up_since),
            })),
        }
    }
}
