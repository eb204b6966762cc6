//! One outlet: what it should be, what it was found to be, and the next order that brings the
//! two together (contract, sections 6.3, 6.7, 6.8). Orders go one at a time, but for an off,
//! which overtakes whatever is under way.

mod answer;
mod lease;
mod life;
mod meter;
mod next;
mod pace;
mod trip;
mod want;

use std::collections::BTreeMap;

use edge_protocol::event::{By, Fault, Lease, Proof};
use edge_protocol::id::OutletId;

pub(super) use self::answer::{News, Trouble};
pub(super) use self::life::{Life, Lives, Switched};
use self::meter::Meter;
pub(super) use self::meter::Register;
use self::pace::Pace;
pub use self::pace::Wait;
pub(super) use self::want::Want;
use super::clock::Testimony;
use super::settings::{OutletSettings, Rest};
use super::time::BootMs;

/// How often an outlet is read that needs nothing: a restarted plug, or a thumb on its button, is
/// found within it. Outside sessions too: a button must not buy a minute.
const POLL_MS: u64 = 2_000;
/// How long after a failed order the next one goes: a plug serves one client at a time.
const RETRY_MS: u64 = 1_000;
/// An off that has not been answered by then is sent again.
const OFF_PATIENCE_MS: u64 = 2_000;
/// A driver answers any other order sooner, whatever its device does: one that has not is lost.
const PATIENCE_MS: u64 = 20_000;

/// The outlets of a node.
pub(super) type Outlets = BTreeMap<OutletId, Outlet>;

/// What a driver is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// On; with `off_by` the device cuts the power by itself at that time.
    On {
        /// When the lease runs out.
        off_by: Option<BootMs>,
    },
    /// Off, read back. Overtakes what is under way.
    Off,
    /// Clears the lease, without switching.
    ClearLease,
    /// Reads, without switching.
    Read,
}

/// What a driver found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Whether power flows.
    pub on: bool,
    /// When the device will cut the power by itself.
    pub lease_off_at: Option<BootMs>,
    /// How long the device has been up, where it tells.
    pub uptime_ms: Option<u64>,
    /// How often the device has started, where it tells.
    pub boot_count: Option<u64>,
    /// What the load draws, in milliwatts, where the device measures it. A figure that is 0 whatever
    /// the load does, as of a meter behind an open relay, is none.
    pub power_mw: Option<u64>,
    /// What the device's register of energy shows, in milliwatt-hours, where it has one.
    pub energy_mwh: Option<u64>,
    /// Why the device, which is off, switched itself off, in one word, where it tells.
    pub tripped: Option<&'static str>,
}

/// What a driver could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which fault of an outlet it amounts to; [`Fault::StuckOn`] where it said yes and read back otherwise.
    pub fault: Fault,
    /// What the driver said.
    pub message: String,
}

#[derive(Debug, Clone, Copy)]
struct UnderWay {
    number: u64,
    order: Order,
    since: BootMs,
    /// What was wanted then.
    want: Want,
}

impl UnderWay {
    /// When it counts as failed, though its driver has not answered.
    fn lost_at(&self) -> BootMs {
        match self.order {
            Order::Off => self.since + OFF_PATIENCE_MS,
            Order::On { .. } | Order::Read | Order::ClearLease => self.since + PATIENCE_MS,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Known {
    reading: Reading,
    /// When the order was given that this answers: it is no younger than that.
    asked_at: BootMs,
    /// When the answer came: it is no older than that.
    answered_at: BootMs,
}

/// What was known of an outlet before this agent's first reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) on: Option<bool>,
    /// Somebody had switched it off by hand within its session, and may.
    pub(super) obeyed: bool,
    /// That was in this boot.
    pub(super) same_boot: bool,
    /// How long the reboot since took is not known: its plug is asked before it is told anything.
    pub(super) ask_first: bool,
}

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Outlet {
    pub(super) settings: OutletSettings,
    /// What it has been through.
    pub(super) life: Life,
    meter: Meter,
    pace: Pace,
    /// Power flows although it reads off.
    stuck: Option<Trouble>,
    /// The last change that was told: what it became, by whom, and how sure that was.
    told_change: Option<(bool, By, Proof)>,
    /// `before` is of this boot.
    same_boot: bool,
    /// Its plug may know how long a reboot took, as long as nothing is armed anew.
    ask_first: bool,
    /// What it was before this agent's first reading.
    before: Option<bool>,
    want: Want,
    /// Only what was asked since then confirms the wish.
    wanted_since: BootMs,
    known: Option<Known>,
    under_way: Option<UnderWay>,
    next_number: u64,
    not_before: BootMs,
    failed_reads: u32,
    trouble: Option<Trouble>,
    told_lease: (Lease, Option<BootMs>),
    /// Somebody switched it off by hand within its session, and may.
    obeyed: bool,
    /// When it last switched itself off although it should have been on, under the present wish.
    tripped_at: Option<BootMs>,
    /// The last attempt to bring it where it should be failed.
    failing: bool,
}

impl Outlet {
    pub(super) fn new(settings: OutletSettings, before: Before, life: Life, now: BootMs) -> Self {
        Self {
            settings,
            stuck: life.stuck_since.map(Trouble::stuck_before),
            life,
            meter: Meter::default(),
            pace: Pace::default(),
            told_change: None,
            same_boot: before.same_boot,
            ask_first: before.ask_first,
            before: before.on,
            want: Want::Nothing,
            wanted_since: now,
            known: None,
            under_way: None,
            next_number: 1,
            not_before: now,
            failed_reads: 0,
            trouble: None,
            told_lease: (Lease::None, None),
            obeyed: before.obeyed,
            tripped_at: None,
            failing: false,
        }
    }

    /// What it is when nothing covers it.
    pub(super) fn rest(&self) -> Want {
        match self.settings.rest {
            Rest::Off => Want::Off(By::Rest),
            Rest::On => Want::On(By::Rest, None),
            Rest::Keep => Want::Nothing,
        }
    }

    /// Sets what it should be from now on. A mere move of the off time is no new wish.
    pub(super) fn set(&mut self, want: Want, now: BootMs) {
        let old = std::mem::replace(&mut self.want, want);
        let same = old.same_as(want);
        if !same {
            self.wanted_since = now;
            self.failing = false;
            self.tripped_at = None;
            self.wish_anew();
            // A thumb's off outlives the agent, but not the wish that it was against.
            self.obeyed &= old == Want::Nothing;
        }
        // A new wish doesn't wait out the pause of an old failure or of a poll.
        let moved = !same || old.off_at() != want.off_at();
        if moved && !want.is_past(now) {
            self.not_before = now;
        }
    }

    /// Asks for a fresh confirmation of what it already should be: a session's end is read back.
    pub(super) fn ask_again(&mut self, now: BootMs) {
        self.wanted_since = now;
        self.failing = false;
        self.not_before = now;
    }

    pub(super) fn want(&self) -> Want {
        self.want
    }

    /// Since when it should be off, where it should.
    pub(super) fn off_since(&self) -> Option<BootMs> {
        self.want.is_off().then_some(self.wanted_since)
    }

    /// What it was last found to be.
    pub(super) fn on(&self) -> Option<bool> {
        self.known.map(|known| known.reading.on)
    }

    /// What its plug tells of the time that has passed, where it tells of any.
    pub(super) fn testimony(&self) -> Option<Testimony> {
        let Known { reading: Reading { uptime_ms, boot_count, .. }, asked_at, .. } = self.known?;
        Some(Testimony { uptime_ms: uptime_ms?, boot_count, asked: asked_at })
    }

    /// Whether it answered last.
    pub(super) fn reachable(&self) -> bool {
        self.known.is_some() && self.trouble.is_none()
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.trouble().map(|trouble| trouble.fault)
    }

    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref().or(self.stuck.as_ref())
    }

    pub(super) fn fault_message(&self) -> Option<&str> {
        self.trouble().map(|trouble| trouble.message.as_str())
    }

    /// Why it can't be sold, where its meter says that its relay is stuck.
    pub(super) fn stuck(&self) -> Option<&Trouble> {
        self.stuck.as_ref()
    }

    /// What its load drew when that was measured last, in milliwatts.
    pub(super) fn power_mw(&self) -> Option<u64> {
        self.meter.power_mw()
    }

    /// What its register of energy showed last.
    pub(super) fn register(&self) -> Option<Register> {
        self.meter.registered()
    }

    /// Whether its load has drawn less than its cut asks for since then, or it is off anyhow; never
    /// where that can't be told.
    pub(super) fn spent(&self, since: BootMs) -> bool {
        let below = |limit_mw| self.on() == Some(false) || self.meter.below(limit_mw, since);
        self.settings.cut_below_mw.is_some_and(below)
    }

    pub(super) fn told_lease(&self) -> (Lease, Option<BootMs>) {
        self.told_lease
    }

    /// Whether the last attempt to bring it where it should be failed.
    pub(super) fn failing(&self) -> bool {
        self.failing
    }

    /// Whether somebody switched it off by hand within its session, and may.
    pub(super) fn obeyed(&self) -> bool {
        self.obeyed
    }

    /// Whether it is left off although it should be on: somebody switched it off by hand, or it
    /// switched itself off.
    fn stays_off(&self, now: BootMs) -> bool {
        self.obeyed || self.is_tripped(now)
    }

    /// Off, read back since that was wanted.
    pub(super) fn confirmed_off(&self) -> bool {
        self.want.is_off() && self.fresh().is_some_and(|reading| !reading.on)
    }

    /// On, read back since that was wanted, whatever its lease.
    pub(super) fn confirmed_on(&self) -> bool {
        self.want.is_on() && self.fresh().is_some_and(|reading| reading.on)
    }

    /// On as far as its session cares: a thumb may have switched it off again.
    pub(super) fn lit(&self) -> bool {
        self.confirmed_on() || self.obeyed
    }

    /// Off for good: read back, and no lease left in its plug.
    pub(super) fn at_rest(&self, now: BootMs) -> bool {
        self.confirmed_off() && self.lease_is_wanted(now)
    }

    fn fresh(&self) -> Option<Reading> {
        self.known.filter(|known| known.asked_at >= self.wanted_since).map(|known| known.reading)
    }
}
