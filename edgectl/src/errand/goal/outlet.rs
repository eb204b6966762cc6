//! What commands about outlets are sent for: holds.

use std::time::Duration;

use edge_protocol::event::{Event, What};
use edge_protocol::id::OutletId;
use edge_protocol::presence::OutletState;

use super::power::{facts, if_the_node_dies, trouble, troubles};
use super::{Goal, Scene, Step};
use crate::instant;
use crate::span::about;

/// After a release, how long an outlet may take to go back to what its session or rest wants
/// before it is told as it is: a plug on the local network takes a fraction.
const SETTLES: Duration = Duration::from_secs(2);

/// An outlet that is to be held on or off.
#[derive(Debug)]
pub(crate) struct HoldGoal {
    pub(crate) outlet: OutletId,
    pub(crate) on: bool,
}

/// An outlet that nobody is to hold any more.
#[derive(Debug)]
pub(crate) struct ReleaseGoal {
    pub(crate) outlet: OutletId,
    /// What it was held as before.
    pub(crate) held: Option<bool>,
}

fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

impl Goal for HoldGoal {
    fn awaited(&self) -> String {
        format!("{} to be read back {}", self.outlet, word(self.on))
    }

    fn accepted(&mut self, scene: &Scene<'_>) -> Step {
        let outlet = scene.picture.outlet(&self.outlet);
        outlet.and_then(|outlet| troubles(&[outlet])).map_or(Step::Wait, Step::Note)
    }

    fn event(&mut self, event: &Event, _ours: bool, _scene: &Scene<'_>) -> Step {
        let What::OutletFault(fault) = &event.what else { return Step::Wait };
        if fault.outlet == self.outlet { Step::Note(trouble(fault)) } else { Step::Wait }
    }

    fn state(&mut self, scene: &Scene<'_>) -> Step {
        let Some(outlet) = scene.picture.outlet(&self.outlet) else { return Step::Wait };
        let Some(hold) = outlet.hold.as_ref().filter(|hold| hold.on == self.on) else {
            return Step::Wait;
        };
        if outlet.on != Some(self.on) || outlet.fault.is_some() {
            return Step::Wait;
        }
        let until = hold.until_ms.map_or_else(
            || "until it is released".to_owned(),
            |until| {
                let length = about(until.saturating_sub(scene.now_ms));
                format!("until {} ({length})", instant::said(until, scene.now_ms))
            },
        );
        let mut text = format!("{} is held {} {until}", self.outlet, word(self.on));
        if self.on {
            text = format!("{text}; {}", if_the_node_dies(&[outlet], scene.now_ms));
        }
        Step::Done { text, facts: facts(&[outlet]) }
    }
}

impl ReleaseGoal {
    fn told(&self, outlet: &OutletState) -> Step {
        let is = outlet.on.map_or("not reached yet", word);
        let was = if self.held.is_some() { "is released" } else { "was not held" };
        let fault =
            if outlet.fault.is_some() { ", with a fault: the node goes on trying" } else { "" };
        let text = format!("{} {was}; it is {is}{fault}", self.outlet);
        Step::Done { text, facts: facts(&[outlet]) }
    }
}

impl Goal for ReleaseGoal {
    fn awaited(&self) -> String {
        format!("{} to be released", self.outlet)
    }

    fn event(&mut self, event: &Event, _ours: bool, scene: &Scene<'_>) -> Step {
        match (&event.what, scene.picture.outlet(&self.outlet)) {
            (What::OutletFault(fault), _) if fault.outlet == self.outlet => {
                Step::Note(trouble(fault))
            }
            (What::OutletChanged(changed), Some(outlet)) if changed.outlet == self.outlet => {
                self.told(outlet)
            }
            _ => Step::Wait,
        }
    }

    fn state(&mut self, scene: &Scene<'_>) -> Step {
        let Some(outlet) = scene.picture.outlet(&self.outlet) else { return Step::Wait };
        if outlet.hold.is_some() {
            return Step::Wait;
        }
        let told = self.told(outlet);
        // What the release changes may still follow.
        let waits = self.held.is_some() && self.held == outlet.on;
        if waits { Step::Unless { within: SETTLES, done: Box::new(told) } } else { told }
    }
}
