//! A plug: a relay, its own timer, and the manners of a cheap device on a bad network.

use edge_agent::node::settings::OutletSettings;
use edge_agent::node::{Failure, Order, Reading};
use edge_protocol::event::Fault;
use edge_protocol::id::OutletId;

use super::meter::Meter;

/// How a plug treats what is asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    Well,
    /// Each way takes so long.
    Slow {
        way_ms: u64,
    },
    /// Nothing gets through; `known`: and that is seen at once.
    Deaf {
        known: bool,
    },
    /// It obeys and doesn't answer.
    Mute,
    Refusing,
    /// The relay doesn't move, and it says so.
    Stuck,
    /// The relay doesn't move, and it says it did.
    Lying,
}

impl Manner {
    /// The trouble that it is.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Well => "plug behaves",
            Self::Slow { .. } => "plug slow",
            Self::Deaf { known: true } => "plug deaf, known at once",
            Self::Deaf { known: false } => "plug deaf, silent",
            Self::Mute => "plug obeys and does not answer",
            Self::Refusing => "plug refuses",
            Self::Stuck => "plug stuck",
            Self::Lying => "plug lies",
        }
    }

    /// Whether its relay moves when it is told to.
    pub(super) fn moves(self) -> bool {
        !matches!(self, Self::Stuck | Self::Lying)
    }
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing of its own that may be so")]
pub(super) struct Plug {
    pub(super) outlet: OutletId,
    pub(super) settings: OutletSettings,
    /// Whether it is a device of its own, which can cut the power by itself; else a relay of the board's.
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
    /// Until when it switches itself off a moment after each on: too much hangs on it.
    pub(super) overloaded_until: u64,
    /// It has switched itself off, and nobody who asked found it on since.
    pub(super) tripped: bool,
    /// The last order that found it on, since it was pressed.
    pub(super) found_on: u64,
    pub(super) meter: Meter,
}

impl Plug {
    pub(super) fn new(outlet: OutletId, settings: OutletSettings, now: u64) -> Self {
        // A relay of the board's has no meter; the plugs of this site do, but for one.
        let meters = settings.leases && outlet.as_str() != "plug-3";
        Self {
            meter: Meter::new(meters.then_some(60_000), now),
            outlet,
            leases: settings.leases,
            settings,
            on: false,
            moved_at: now,
            lease: None,
            told_lease: None,
            up_since: now,
            manner: Manner::Well,
            manner_since: now,
            meddled_at: now,
            thumbed: false,
            overloaded_until: 0,
            tripped: false,
            found_on: 0,
        }
    }

    pub(super) fn switch(&mut self, on: bool, now: u64) {
        if self.on != on {
            self.meter.count(self.on, now);
            if !on {
                self.meter.opens(now);
            }
            self.on = on;
            self.moved_at = now;
        }
    }

    /// The plug is without power for a moment; warm, its relay keeps what it was. No timer survives.
    pub(super) fn restart(&mut self, warm: bool, now: u64) {
        self.lease = None;
        self.told_lease = None;
        self.tripped = false;
        self.up_since = now;
        self.meddled_at = now;
        if !warm {
            self.switch(false, now);
            self.meter.forget();
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

    /// It finds that too much hangs on it. Its timer goes with its relay.
    pub(super) fn trip(&mut self, now: u64) {
        self.switch(false, now);
        self.lease = None;
        self.told_lease = None;
        self.tripped = true;
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
            Manner::Deaf { known: true } => {
                return failure(Fault::Unreachable, "connection refused");
            }
            Manner::Deaf { known: false } => return None,
            Manner::Refusing => return failure(Fault::Refused, "unauthorized"),
            Manner::Well | Manner::Slow { .. } | Manner::Mute | Manner::Stuck | Manner::Lying => {}
        }
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
        if let Some(on) = wanted.filter(|_| self.manner.moves()) {
            self.switch(on, now);
        }
        // Whoever says on and is off can't be told from one that a thumb switched off.
        self.thumbed |= self.manner == Manner::Lying && wanted == Some(true) && !self.on;
        self.meter.count(self.on, now);
        let reads = order == Order::Read;
        let on = match self.manner {
            Manner::Lying => wanted.unwrap_or(self.on),
            Manner::Well
            | Manner::Slow { .. }
            | Manner::Mute
            | Manner::Stuck
            | Manner::Deaf { .. }
            | Manner::Refusing => self.on,
        };
        match (self.manner, wanted) {
            (Manner::Mute, _) => None,
            (_, Some(wanted)) if wanted != on => failure(Fault::StuckOn, "it reads back otherwise"),
            _ => Some(Ok(Reading {
                on,
                lease_off_at: None,
                uptime_ms: self.leases.then(|| now - self.up_since),
                boot_count: None,
                power_mw: self.meter.power_mw(self.on, self.moved_at, now).filter(|_| reads),
                energy_mwh: self.meter.register_mwh().filter(|_| reads),
                tripped: (self.tripped && !on).then_some("overpower"),
            })),
        }
    }
}
