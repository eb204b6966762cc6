//! A power cycle: off, a pause, and back to whatever the outlet should be (contract, section 7.6).

use std::collections::BTreeSet;

use edge_protocol::command::OutletCycle;
use edge_protocol::event::By;
use edge_protocol::id::OutletId;

use crate::node::outlet::{Outlet, Want};
use crate::node::time::BootMs;

/// How long a cycle that is given up tries to leave its outlet as it was.
const RESTORE_MS: u64 = 30_000;

/// A power cycle on its way.
#[derive(Debug)]
pub(super) struct Cycle {
    outlet: OutletId,
    off_ms: u64,
    /// An earlier attempt left the outlet off.
    dark: bool,
    stage: Stage,
    /// It is to fail for this once the outlet is as it was.
    given_up: Option<&'static str>,
}

/// ```text
/// counting ─▶ looking ─▶ going off ─▶ off ─▶ going on
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Until the attempt is counted on disk.
    Counting,
    /// Until it is known whether there is anything to power-cycle.
    Looking,
    /// Until the outlet is confirmed off.
    GoingOff,
    /// Until its time off is over.
    Off { until: BootMs },
    /// Until the outlet is confirmed to be what it should be.
    GoingOn,
}

/// What became of a cycle.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It goes on.
    Nothing,
    /// It is about to switch its outlet off.
    GoesOff,
    /// The outlet is what it should be again.
    Done,
    /// The same, but the cycle was given up before.
    GivenUp(&'static str),
    /// There is nothing to power-cycle.
    Pointless(&'static str),
}

impl Cycle {
    pub(super) fn new(cycle: OutletCycle, dark: bool) -> Self {
        let OutletCycle { outlet, off_ms } = cycle;
        Self { outlet, off_ms, dark, stage: Stage::Counting, given_up: None }
    }

    pub(super) fn outlet(&self) -> &OutletId {
        &self.outlet
    }

    /// The attempt is counted on disk.
    pub(super) fn begin(&mut self) {
        if self.stage == Stage::Counting {
            self.stage = Stage::Looking;
        }
    }

    /// Whether it switches its outlet: one cycle at a time does.
    pub(super) fn switches(&self) -> bool {
        !matches!(self.stage, Stage::Counting | Stage::Looking)
    }

    pub(super) fn wake_at(&self) -> Option<BootMs> {
        match self.stage {
            Stage::Off { until } => Some(until),
            Stage::Counting | Stage::Looking | Stage::GoingOff | Stage::GoingOn => None,
        }
    }

    /// What it wants of its outlet that `covered` would be without it.
    pub(super) fn wants(&self, covered: Want) -> Option<Want> {
        match (self.stage, covered) {
            (Stage::Counting | Stage::Looking, _) => None,
            (Stage::GoingOff | Stage::Off { .. }, _) => Some(Want::Off(By::Unknown)),
            // An outlet that nobody wants either way goes back on, since it was.
            (Stage::GoingOn, Want::Nothing) => Some(Want::On(By::Unknown, None)),
            (Stage::GoingOn, Want::On(..) | Want::Off(_)) => None,
        }
    }

    /// Lets time and the outlet act on it; `taken` are the outlets that a cycle switches already.
    pub(super) fn turn(
        &mut self,
        outlet: Option<&Outlet>,
        taken: &mut BTreeSet<OutletId>,
        now: BootMs,
    ) -> Turn {
        let Some(outlet) = outlet else { return Turn::Pointless("the outlet is gone") };
        match self.stage {
            Stage::Counting => Turn::Nothing,
            Stage::Looking if taken.contains(&self.outlet) => Turn::Nothing,
            Stage::Looking => match powered(outlet) {
                None => Turn::Nothing,
                Some(false) if !self.dark => {
                    Turn::Pointless("the outlet is not on: there is nothing to power-cycle")
                }
                Some(_) => {
                    taken.insert(self.outlet.clone());
                    self.stage = Stage::GoingOff;
                    Turn::GoesOff
                }
            },
            Stage::GoingOff if outlet.confirmed_off() => {
                self.stage = Stage::Off { until: now + self.off_ms };
                Turn::Nothing
            }
            Stage::Off { until } if now >= until => {
                self.stage = Stage::GoingOn;
                Turn::Nothing
            }
            Stage::GoingOn if outlet.confirmed_on() || wanted_off(outlet) => match self.given_up {
                Some(why) => Turn::GivenUp(why),
                None => Turn::Done,
            },
            Stage::GoingOff | Stage::Off { .. } | Stage::GoingOn => Turn::Nothing,
        }
    }

    /// Gives up. Returns until when it may still try to leave its outlet as it was; `None` where it
    /// is over at once.
    pub(super) fn give_up(&mut self, why: &'static str, now: BootMs) -> Option<BootMs> {
        match self.stage {
            Stage::Counting | Stage::Looking => return None,
            Stage::GoingOn if self.given_up.is_some() => return None,
            Stage::GoingOff | Stage::Off { .. } | Stage::GoingOn => {}
        }
        self.stage = Stage::GoingOn;
        self.given_up = Some(why);
        Some(now + RESTORE_MS)
    }
}

/// Whether an outlet is on and confirmed to be, or on though nobody asked for it; `None` while that
/// is not known yet.
fn powered(outlet: &Outlet) -> Option<bool> {
    match outlet.want() {
        Want::On(..) => outlet.confirmed_on().then_some(true),
        Want::Off(_) => Some(false),
        Want::Nothing => outlet.on(),
    }
}

/// Off, because whoever covers it wants it off by now: a cycle's own off does not count.
fn wanted_off(outlet: &Outlet) -> bool {
    outlet.confirmed_off() && outlet.want() != Want::Off(By::Unknown)
}
