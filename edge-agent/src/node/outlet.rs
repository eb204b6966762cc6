//! One outlet: what it should be, what it was found to be, and the next order that brings the
//! two together (contract, sections 6.3, 6.7, 6.8). Orders go one at a time, but for an off,
//! which overtakes whatever is under way.

use edge_protocol::event::{By, Fault, Lease, Proof};

use super::settings::{Button, OutletSettings, Rest};
use super::time::BootMs;

/// The longest that a plug keeps a timer; beyond it the lease is renewed at half.
pub(super) const MAX_LEASE_MS: u64 = 18 * 3_600_000;
/// A plug cuts the power by itself at most this long after the off time.
const MAX_LEASE_LATE_MS: u64 = 15_000;
/// What a lease adds to the off time: a request's way to the plug, and its clock's grain.
const LEASE_GUARD_MS: u64 = 5_000;
/// What a plug's oscillator may drift, as one part in so many: 100 ppm.
const LEASE_DRIFT: u64 = 10_000;
/// How often an outlet is read that needs nothing: a restarted plug is found within it.
const POLL_MS: u64 = 2_000;
/// How long after a failed order the next one goes: a plug serves one client at a time.
const RETRY_MS: u64 = 1_000;
/// An off that has not been answered by then is sent again.
const OFF_PATIENCE_MS: u64 = 2_000;
/// So many reads in a row must fail before an outlet that needs nothing counts as unreachable.
const READS_BEFORE_FAULT: u32 = 2;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Whether power flows.
    pub on: bool,
    /// When the device will cut the power by itself.
    pub lease_off_at: Option<BootMs>,
    /// How long the device has been up, where it tells.
    pub uptime_ms: Option<u64>,
}

/// What a driver could not do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which fault of an outlet it amounts to; [`Fault::StuckOn`] where it said yes and read back otherwise.
    pub fault: Fault,
    /// What the driver said.
    pub message: String,
}

/// What an outlet should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// As it is.
    Nothing,
    /// Off.
    Off(By),
    /// On; where it has an off time, leased to it.
    On(By, Option<BootMs>),
}

impl Want {
    fn off_at(self) -> Option<BootMs> {
        match self {
            Self::On(_, off) => off,
            Self::Off(_) | Self::Nothing => None,
        }
    }

    fn by(self) -> Option<By> {
        match self {
            Self::Nothing => None,
            Self::Off(by) | Self::On(by, _) => Some(by),
        }
    }
}

/// What an outlet has to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    Changed { on: bool, by: By, proof: Proof },
    Lease { lease: Lease, off_at: Option<BootMs> },
    Fault { fault: Fault, message: String, since: BootMs },
    Recovered { fault: Fault, message: String, since: BootMs },
}

#[derive(Debug, Clone, Copy)]
struct UnderWay {
    number: u64,
    order: Order,
    since: BootMs,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    reading: Reading,
    /// When the order was given that this answers: it is no younger than that.
    asked_at: BootMs,
}

#[derive(Debug)]
pub(super) struct Outlet {
    pub(super) settings: OutletSettings,
    /// What it was before this agent's first reading.
    before: Option<bool>,
    want: Want,
    wanted_since: BootMs,
    known: Option<Known>,
    under_way: Option<UnderWay>,
    next_number: u64,
    not_before: BootMs,
    failed_reads: u32,
    fault: Option<(Fault, String, BootMs)>,
    told_lease: (Lease, Option<BootMs>),
    /// Somebody switched it off by hand within its session, and may.
    obeyed: bool,
    /// The last attempt to bring it where it should be failed.
    failing: bool,
}

impl Outlet {
    /// An outlet that was `before` when the last agent saw it, where that is known.
    pub(super) fn new(settings: OutletSettings, before: Option<bool>, now: BootMs) -> Self {
        Self {
            settings,
            before,
            want: Want::Nothing,
            wanted_since: now,
            known: None,
            under_way: None,
            next_number: 1,
            not_before: now,
            failed_reads: 0,
            fault: None,
            told_lease: (Lease::None, None),
            obeyed: false,
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
        let same = match (self.want, want) {
            (Want::On(old_by, _), Want::On(by, _)) | (Want::Off(old_by), Want::Off(by)) => {
                old_by == by
            }
            (Want::Nothing, Want::Nothing) => true,
            (Want::Nothing | Want::Off(_) | Want::On(..), _) => false,
        };
        let moved = self.want != want;
        self.want = want;
        if !same {
            self.wanted_since = now;
            self.obeyed = false;
            self.failing = false;
        }
        // A new wish doesn't wait out the pause of an old failure or of a poll.
        if moved {
            self.not_before = now;
        }
    }

    /// Asks for a fresh confirmation of what it already should be: a session's end is read back.
    pub(super) fn ask_again(&mut self, now: BootMs) {
        self.wanted_since = now;
        self.failing = false;
        self.not_before = now;
    }

    pub(super) fn wanted_since(&self) -> BootMs {
        self.wanted_since
    }

    pub(super) fn want(&self) -> Want {
        self.want
    }

    /// What it was last found to be.
    pub(super) fn on(&self) -> Option<bool> {
        self.known.map(|known| known.reading.on)
    }

    /// Whether it answered last.
    pub(super) fn reachable(&self) -> bool {
        self.known.is_some() && self.fault.is_none()
    }

    pub(super) fn fault(&self) -> Option<Fault> {
        self.fault.as_ref().map(|(fault, _, _)| *fault)
    }

    pub(super) fn fault_message(&self) -> Option<&str> {
        self.fault.as_ref().map(|(_, message, _)| message.as_str())
    }

    pub(super) fn told_lease(&self) -> (Lease, Option<BootMs>) {
        self.told_lease
    }

    /// Whether the last attempt to bring it where it should be failed.
    pub(super) fn failing(&self) -> bool {
        self.failing
    }

    /// Off, read back since that was wanted.
    pub(super) fn confirmed_off(&self) -> bool {
        matches!(self.want, Want::Off(_)) && self.fresh().is_some_and(|reading| !reading.on)
    }

    /// On, read back since that was wanted, whatever its lease.
    pub(super) fn confirmed_on(&self) -> bool {
        matches!(self.want, Want::On(..)) && self.fresh().is_some_and(|reading| reading.on)
    }

    /// On and, where it can be, leased to the off time `off`; without one, not leased.
    pub(super) fn confirmed_leased(&self, off: Option<BootMs>, now: BootMs) -> bool {
        self.confirmed_on() && self.lease_fits(off, now)
    }

    fn fresh(&self) -> Option<Reading> {
        self.known.filter(|known| known.asked_at >= self.wanted_since).map(|known| known.reading)
    }

    /// Whether the device's lease suits the off time `off`: never before it, at most 15 s after it.
    fn lease_fits(&self, off: Option<BootMs>, now: BootMs) -> bool {
        let Some(known) = self.known else { return false };
        match (off, known.reading.lease_off_at) {
            _ if !self.settings.leases => true,
            (Some(off), Some(lease)) => {
                let held_back = off > now + MAX_LEASE_MS / 2 && lease - now >= MAX_LEASE_MS / 2;
                (lease >= off || held_back) && lease <= off + MAX_LEASE_LATE_MS
            }
            (Some(_), None) => false,
            (None, lease) => lease.is_none(),
        }
    }

    /// Whether the device's lease is what is wanted now.
    fn lease_is_wanted(&self, now: BootMs) -> bool {
        self.lease_fits(self.want.off_at(), now)
    }

    /// When the lease of an off time should run out.
    fn lease_for(&self, off: Option<BootMs>, now: BootMs) -> Option<BootMs> {
        let off = off.filter(|_| self.settings.leases)?;
        let guarded = off + LEASE_GUARD_MS + (off - now) / LEASE_DRIFT;
        Some(guarded.min(now + MAX_LEASE_MS))
    }

    /// The next order, where one is due.
    pub(super) fn drive(&mut self, now: BootMs) -> Option<(u64, Order)> {
        let order = self.next_order(now)?;
        let number = self.next_number;
        self.next_number += 1;
        self.under_way = Some(UnderWay { number, order, since: now });
        Some((number, order))
    }

    fn next_order(&self, now: BootMs) -> Option<Order> {
        let off = matches!(self.want, Want::Off(_)) && !self.confirmed_off();
        if let Some(under_way) = self.under_way {
            let overtakes = match under_way.order {
                Order::Off => now - under_way.since >= OFF_PATIENCE_MS,
                Order::On { .. } | Order::Read | Order::ClearLease => true,
            };
            return (off && overtakes).then_some(Order::Off);
        }
        if now < self.not_before {
            return None;
        }
        let reading = self.known.map(|known| known.reading);
        Some(match self.want {
            Want::Off(_) if off => Order::Off,
            // Past its off time nothing goes on any more.
            Want::On(_, Some(off)) if off <= now => Order::Read,
            Want::On(_, off) if !self.obeyed && !self.confirmed_leased(self.want.off_at(), now) => {
                Order::On { off_by: self.lease_for(off, now) }
            }
            Want::Off(_) | Want::Nothing if reading.is_some() && !self.lease_is_wanted(now) => {
                Order::ClearLease
            }
            Want::Off(_) | Want::On(..) | Want::Nothing => Order::Read,
        })
    }

    /// When [`Self::drive`] will next have an order, at the latest.
    pub(super) fn wake_at(&self) -> Option<BootMs> {
        match self.under_way {
            Some(UnderWay { order: Order::Off, since, .. }) => Some(since + OFF_PATIENCE_MS),
            Some(_) => None,
            None => Some(self.not_before),
        }
    }

    /// Takes a driver's answer to order `number`; an answer to an overtaken order says nothing.
    pub(super) fn answered(
        &mut self,
        number: u64,
        result: Result<Reading, Failure>,
        now: BootMs,
    ) -> Vec<News> {
        let Some(answered) = self.under_way.take_if(|under_way| under_way.number == number) else {
            return Vec::new();
        };
        let mut news = Vec::new();
        match result {
            Ok(reading) => self.found(answered, reading, now, &mut news),
            Err(failure) => self.failed(answered, failure, now, &mut news),
        }
        news
    }

    fn found(&mut self, answered: UnderWay, reading: Reading, now: BootMs, news: &mut Vec<News>) {
        let previous = self.known.map(|known| known.reading);
        self.known = Some(Known { reading, asked_at: answered.since });
        self.failed_reads = 0;
        let before = previous.map(|reading| reading.on).or(self.before);
        if before.is_some_and(|before| before != reading.on) {
            let by = self.switched_by(answered.order, previous, reading, now);
            let thumb = by == By::Button && !reading.on;
            self.obeyed =
                thumb && self.settings.button == Button::Obey && matches!(self.want, Want::On(..));
            news.push(News::Changed { on: reading.on, by, proof: self.proof(now) });
        }
        self.before = Some(reading.on);
        if reading.on {
            self.obeyed = false;
        }
        self.failing = false;
        if let Some((fault, message, since)) = self.fault.take_if(|_| match self.want {
            Want::Off(_) => !reading.on,
            Want::On(..) => reading.on,
            Want::Nothing => true,
        }) {
            news.push(News::Recovered { fault, message, since });
        }
        self.tell_lease(now, false, news);
        let due = self.want != Want::Nothing && self.next_wish_open(now);
        self.not_before = if due { now } else { now + POLL_MS };
    }

    /// Whether the outlet is not yet where it should be, so that the next order need not wait for a poll.
    fn next_wish_open(&self, now: BootMs) -> bool {
        match self.want {
            Want::Off(_) => !self.confirmed_off() || !self.lease_is_wanted(now),
            Want::On(_, Some(off)) if off <= now => false,
            Want::On(..) => !self.obeyed && !self.confirmed_leased(self.want.off_at(), now),
            Want::Nothing => !self.lease_is_wanted(now),
        }
    }

    fn switched_by(
        &self,
        order: Order,
        previous: Option<Reading>,
        reading: Reading,
        now: BootMs,
    ) -> By {
        let ours = match order {
            Order::On { .. } => reading.on,
            Order::Off => !reading.on,
            Order::Read | Order::ClearLease => false,
        };
        let restarted = previous
            .and_then(|previous| Some(previous.uptime_ms? > reading.uptime_ms?))
            .unwrap_or(false);
        let (_, lease_off_at) = self.told_lease;
        match self.want.by() {
            Some(by) if ours => by,
            _ if !reading.on && lease_off_at.is_some_and(|off| now + RETRY_MS >= off) => By::Lease,
            _ if restarted || previous.is_none() => By::Unknown,
            _ => By::Button,
        }
    }

    fn proof(&self, now: BootMs) -> Proof {
        let leased = matches!(self.want, Want::On(_, Some(_))) && self.settings.leases;
        if leased && self.confirmed_leased(self.want.off_at(), now) {
            Proof::LeaseConfirmed
        } else {
            Proof::ReadBack
        }
    }

    fn failed(&mut self, answered: UnderWay, failure: Failure, now: BootMs, news: &mut Vec<News>) {
        let switching = match answered.order {
            Order::On { .. } | Order::Off => true,
            Order::Read | Order::ClearLease => false,
        };
        let fault = match failure.fault {
            Fault::StuckOn | Fault::StuckOff if matches!(self.want, Want::On(..)) => {
                Fault::StuckOff
            }
            Fault::StuckOn | Fault::StuckOff => Fault::StuckOn,
            fault @ (Fault::Unreachable | Fault::Refused) => fault,
        };
        self.failing |= switching;
        if !switching {
            self.failed_reads += 1;
        }
        let counts = switching || self.failed_reads >= READS_BEFORE_FAULT;
        let known = self.fault.as_ref().is_some_and(|(old, _, _)| *old == fault);
        if counts && !known {
            self.fault = Some((fault, failure.message.clone(), now));
            news.push(News::Fault { fault, message: failure.message, since: now });
        }
        self.tell_lease(now, matches!(answered.order, Order::On { .. }), news);
        self.not_before = now.max(answered.since + RETRY_MS);
    }

    /// Tells what the device would do by itself, when that has changed. A lease on its way to be
    /// moved is no news until the move failed.
    fn tell_lease(&mut self, now: BootMs, move_failed: bool, news: &mut Vec<News>) {
        let off_at = self
            .known
            .filter(|known| known.reading.on)
            .and_then(|known| known.reading.lease_off_at)
            .filter(|off_at| *off_at > now);
        let lease = match off_at {
            None => Lease::None,
            Some(_) if self.lease_is_wanted(now) => Lease::Armed,
            Some(_) if move_failed || !matches!(self.want, Want::On(..)) => Lease::Stale,
            Some(_) => return,
        };
        let (told, told_off_at) = self.told_lease;
        let moved = match (told_off_at, off_at) {
            (Some(a), Some(b)) => (a - b).max(b - a) > 2_000,
            (a, b) => a.is_some() != b.is_some(),
        };
        if told != lease || moved {
            self.told_lease = (lease, off_at);
            news.push(News::Lease { lease, off_at });
        }
    }
}
