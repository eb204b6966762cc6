//! What commands about outlets are sent for: holds.

use std::time::Duration;

use edge_protocol::event::{Event, What};
use edge_protocol::id::OutletId;
use edge_protocol::presence::OutletState;

use super::power::{facts, if_the_node_dies, trouble, troubles};
use super::{Goal, Scene, Step};
use crate::instant;
use crate::picture::leased;
use crate::span::about;

/// How long an outlet may take to go back to what its session or rest wants, or to renew a lease,
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
        let done = Step::Done { text, facts: facts(&[outlet]) };
        // It was on before, and its plug still has the lease from then; or its hold is longer than
        // any lease.
        let early = hold.until_ms.zip(leased(outlet)).is_some_and(|(until, off)| off < until);
        if early { Step::Unless { within: SETTLES, done: Box::new(done) } } else { done }
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
            // One that is as it was is only surer now.
            (What::OutletChanged(changed), Some(outlet))
                if changed.outlet == self.outlet && self.held != Some(changed.on) =>
            {
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

#[cfg(test)]
mod tests {
    use edge_protocol::id::NodeId;
    use serde_json::{Value, json};

    use super::*;
    use crate::picture::Picture;

    const NOW_MS: u64 = 1_763_730_000_000;
    const UNTIL_MS: u64 = NOW_MS + 1_800_000;

    fn sees(goal: &mut dyn Goal, outlet: &Value) -> Step {
        let state = json!({
            "node": "pi-1", "at_ms": NOW_MS, "stations": [], "sessions": [], "outlets": [outlet],
            "queues": { "tasks_queued": 0, "tasks_running": 0, "outbox_events": 0,
                "outbox_bytes": 0, "last_seq": 1 },
        });
        let picture =
            Picture { state: serde_json::from_value(state).unwrap(), ..Picture::default() };
        let node: NodeId = "pi-1".parse().unwrap();
        goal.state(&Scene { node: &node, picture: &picture, now_ms: NOW_MS })
    }

    fn held_on(on: bool, off_at_ms: u64) -> Value {
        json!({ "outlet": "plug-1", "on": on, "lease": "armed", "off_at_ms": off_at_ms,
            "hold": { "on": true, "until_ms": UNTIL_MS } })
    }

    #[test]
    fn a_hold_is_done_when_it_is_read_back_and_its_lease_is_renewed() {
        let mut goal = HoldGoal { outlet: "plug-1".parse().unwrap(), on: true };
        assert_eq!(sees(&mut goal, &json!({ "outlet": "plug-1", "lease": "none" })), Step::Wait);
        assert_eq!(sees(&mut goal, &held_on(false, UNTIL_MS)), Step::Wait);
        let mut faulty = held_on(true, UNTIL_MS);
        faulty["fault"] = json!("refused");
        assert_eq!(sees(&mut goal, &faulty), Step::Wait);
        let early = sees(&mut goal, &held_on(true, NOW_MS + 60_000));
        assert!(matches!(early, Step::Unless { .. }), "the lease of an earlier hold: {early:?}");
        let Step::Done { text, .. } = sees(&mut goal, &held_on(true, UNTIL_MS + 5_000)) else {
            panic!("it is held on")
        };
        assert!(text.contains(&instant::said(UNTIL_MS + 5_000, NOW_MS)), "{text}");
    }

    #[test]
    fn a_release_waits_a_moment_for_what_it_changes() {
        let mut goal = ReleaseGoal { outlet: "plug-1".parse().unwrap(), held: Some(true) };
        assert_eq!(sees(&mut goal, &held_on(true, UNTIL_MS)), Step::Wait);
        let outlet = |on: bool| json!({ "outlet": "plug-1", "on": on, "lease": "none" });
        assert!(matches!(sees(&mut goal, &outlet(true)), Step::Unless { .. }));
        let Step::Done { text, .. } = sees(&mut goal, &outlet(false)) else { panic!("it is off") };
        assert_eq!(text, "plug-1 is released; it is off");
    }
}
