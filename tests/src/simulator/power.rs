//! What the plugs do against what was promised: P1, power is cut on time; P2, nobody is cut early;
//! and the leases that keep P1 without a node (contract, 6.3, 6.8, 6.9).

use edge_agent::node::Order;
use edge_agent::node::settings::Button;
use edge_protocol::id::OutletId;

use super::clocks::Clocks;
use super::model::{FOR_EVER, Model};
use super::plug::{Manner, Plug};

type Held = Result<(), String>;

/// P1: at most this much after the off time while the node lives and reaches the outlet,
const LATE_MS: u64 = 1_000;
/// and at most this much where only the lease can cut it.
const LEASE_LATE_MS: u64 = 15_000;
/// A lease is cleared within this much of the end.
const CLEARED_MS: u64 = 2_000;
/// What changed by itself is found and set right within this, of answering.
const SET_RIGHT_MS: u64 = 5_000;
/// An order that a plug never answered keeps its driver for so long.
const PATIENCE_MS: u64 = 10_000;
/// What switched itself off is not switched on again within this, unless somebody asks anew.
const TRIP_PAUSE_MS: u64 = 300_000;
/// A plug's whole time: leases are capped at 18 h.
const MAX_LEASE_MS: u64 = 18 * 3_600_000;

#[derive(Debug, Default)]
struct Watch {
    /// Until when it is covered, and must be on, by the model's last word.
    covered: u64,
    owed: Option<u64>,
    /// When it was last covered.
    covered_at: u64,
    /// The end of its cover, and since when that is so.
    cover: (u64, u64),
    /// The end of cover that its lease must know by now.
    leased: Option<u64>,
    /// Since when it must be on.
    owed_since: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Power {
    watches: Vec<Watch>,
    /// The model's word holds until then, if nothing is told meanwhile.
    asked_until: u64,
}

/// A time span in which nothing happened, and what was so in it.
#[derive(Debug)]
pub(super) struct Span<'a> {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) plugs: &'a [Plug],
    /// Since when the node runs without a pause.
    pub(super) alive_since: Option<u64>,
}

impl Power {
    pub(super) fn new(plugs: usize) -> Self {
        let watches = std::iter::repeat_with(Watch::default).take(plugs).collect();
        Self { watches, asked_until: 0 }
    }

    /// The model has changed.
    pub(super) fn look_again(&mut self) {
        self.asked_until = 0;
    }

    /// Looks at every plug over a span.
    pub(super) fn pass(&mut self, span: &Span<'_>, model: &Model) -> Held {
        if span.from >= self.asked_until {
            for (watch, plug) in self.watches.iter_mut().zip(span.plugs) {
                let (outlet, rest) = (&plug.outlet, plug.settings.rest);
                watch.covered = model.covered_until(outlet, span.from, rest);
                watch.owed = model.owed_until(outlet, span.from);
            }
            self.asked_until = model.next_change(span.from);
        }
        for (watch, plug) in self.watches.iter_mut().zip(span.plugs) {
            if watch.rests(plug, span.from) {
                continue;
            }
            let good_since = span
                .alive_since
                .filter(|_| plug.manner == Manner::Well)
                .map(|alive| alive.max(plug.manner_since));
            watch.on_time(plug, good_since, span)?;
            watch.not_early(plug, good_since, span)?;
        }
        Ok(())
    }

    /// Looks at an order as the node gives it.
    pub(super) fn ordered(
        outlet: &OutletId,
        order: Order,
        clocks: &Clocks,
        plugs: &[Plug],
        model: &Model,
    ) -> Held {
        let off_by = match order {
            Order::Read | Order::ClearLease => return Ok(()),
            Order::Off => None,
            Order::On { off_by } => off_by.map(|at| clocks.real_at(at)),
        };
        let real = clocks.real;
        let Some(plug) = plugs.iter().find(|plug| plug.outlet == *outlet) else { return Ok(()) };
        match (order, model.owed_until(outlet, real)) {
            (Order::Off, Some(off)) => Err(format!(
                "P2, nobody is cut early: {outlet} is ordered off {} ms before its off time",
                off - real
            )),
            (Order::On { .. }, owed) if plug.leases => {
                let cover = model.covered_until(outlet, real, plug.settings.rest);
                match (off_by, owed) {
                    (None, Some(_)) => {
                        Err(format!("a lease is armed with each on: {outlet} has none"))
                    }
                    (Some(at), Some(off)) if at < off && off < real + MAX_LEASE_MS => Err(format!(
                        "a lease never cuts before the off time: {outlet} {} ms early",
                        off - at
                    )),
                    (Some(at), _) if cover < FOR_EVER && at > cover.max(real) + LEASE_LATE_MS => {
                        Err(format!(
                            "a lease cuts at most 15 s after the off time: {outlet} {} ms",
                            at - cover
                        ))
                    }
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    /// What was decided last is lost: leases may be those of a lost decision.
    pub(super) fn forget_leases(&mut self) {
        self.watches.iter_mut().for_each(|watch| watch.leased = None);
    }

    /// A plug's own timer is about to cut the power.
    pub(super) fn lease_cuts(
        &self,
        at: usize,
        outlet: &OutletId,
        real: u64,
        model: &Model,
    ) -> Held {
        match model.owed_until(outlet, real) {
            Some(off) if self.watches[at].leased == Some(off) => Err(format!(
                "a lease never cuts before the off time: {outlet} went dark {} ms early",
                off - real
            )),
            _ => Ok(()),
        }
    }
}

impl Watch {
    /// Nothing covers it, it is off, no timer runs in it, and that was all so before: as most of the time.
    fn rests(&self, plug: &Plug, from: u64) -> bool {
        let quiet = !plug.on && plug.lease.is_none() && plug.meddled_at < from;
        let uncovered = self.cover.0 == self.covered && self.covered <= self.covered_at;
        quiet && uncovered && self.owed.is_none() && self.owed_since.is_none()
    }

    fn on_time(&mut self, plug: &Plug, good_since: Option<u64>, span: &Span<'_>) -> Held {
        let (from, to) = (span.from, span.to);
        let (id, cover) = (&plug.outlet, self.covered);
        if self.cover.0 != cover {
            self.cover = (cover, from);
        }
        self.covered_at = self.covered_at.max(cover.min(to));
        let meddled = plug.meddled_at >= plug.moved_at;
        // What lies about its relay loses its lease by the node's own hand.
        if plug.meddled_at >= from || !plug.manner.moves() {
            self.leased = None;
        }
        // An order that a deaf plug never got is waited for.
        let good = good_since.map_or(to, |good| good + PATIENCE_MS);
        let settled_since = [self.cover.1, plug.moved_at, plug.meddled_at, good].into_iter().max();
        let finite = cover > to && cover < from + MAX_LEASE_MS;
        if plug.leases
            && plug.on
            && finite
            && settled_since.is_some_and(|since| since + SET_RIGHT_MS < to)
        {
            self.leased = Some(cover);
        }
        if self.covered_at >= to {
            return Ok(());
        }
        if !plug.on {
            return self.cleared(plug, good_since, span);
        }
        let late_ms = to - self.covered_at;
        let leased = self.leased == Some(self.covered_at) && plug.moved_at < self.covered_at;
        if leased && late_ms > LEASE_LATE_MS {
            return Err(format!(
                "P1, power is cut at most 15 s after the off time by the lease: {id} is {late_ms} ms late"
            ));
        }
        // An on that was on its way when its cover ended counts from when it arrived.
        let dark_from = plug.moved_at.max(self.covered_at);
        let Some(good) = good_since else { return Ok(()) };
        let due = if good + PATIENCE_MS + 2_000 > dark_from {
            dark_from.max(good + PATIENCE_MS) + SET_RIGHT_MS
        } else if meddled && plug.meddled_at + PATIENCE_MS > dark_from {
            dark_from + SET_RIGHT_MS
        } else {
            dark_from + LATE_MS
        };
        if to > due {
            return Err(format!(
                "P1, power is cut on time: {id} is on {} ms after its off time, the node alive and the plug well since {} ms",
                to - dark_from,
                to - good
            ));
        }
        Ok(())
    }

    /// A lease does not outlive the end: a later on would begin with it.
    fn cleared(&self, plug: &Plug, good_since: Option<u64>, span: &Span<'_>) -> Held {
        let Some(good) = good_since.filter(|_| plug.lease.is_some()) else { return Ok(()) };
        let quiet_since = self.covered_at.max(plug.moved_at).max(plug.meddled_at);
        let due = quiet_since.max(good + PATIENCE_MS + SET_RIGHT_MS) + CLEARED_MS;
        if span.to <= due {
            return Ok(());
        }
        let after_ms = span.to - self.covered_at;
        Err(format!(
            "a lease is cleared within 2 s of the end: {} has one {after_ms} ms after it",
            plug.outlet
        ))
    }

    fn not_early(&mut self, plug: &Plug, good_since: Option<u64>, span: &Span<'_>) -> Held {
        let (id, from, to) = (&plug.outlet, span.from, span.to);
        let thumbed = plug.thumbed && plug.settings.button == Button::Obey;
        if self.owed.is_none_or(|off| off < to) || thumbed {
            self.owed_since = None;
            return Ok(());
        }
        let owed = *self.owed_since.get_or_insert(from);
        let Some(good) = good_since.filter(|_| !plug.on) else { return Ok(()) };
        // What has to stay off for a while is on later; its session's time begins with that.
        let min_off_ms = plug.settings.min_off_ms.unwrap_or(0);
        let dark_from = owed.max(plug.moved_at).max(plug.meddled_at).max(good + PATIENCE_MS);
        // What switched itself off is tried again now and then.
        let pause_ms = if plug.tripped { TRIP_PAUSE_MS } else { 0 };
        if to > dark_from + SET_RIGHT_MS + min_off_ms + pause_ms {
            return Err(format!(
                "P2, nobody is cut early: {id} is dark since {} ms within its session",
                to - plug.moved_at.max(owed)
            ));
        }
        Ok(())
    }
}
