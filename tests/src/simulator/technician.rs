//! A field tech at the machine itself, who asks through the running agent's socket and waits for the answer
//! (contract, section 9).

use edge_agent::node::{Asker, Input, LocalOrder, Rejection};
use edge_protocol::command::OutletSet;
use edge_protocol::event::Code;
use edge_protocol::id::OutletId;
use edge_protocol::limits::MAX_HOLD_MS;
use fastrand::Rng;

use super::script::{Deed, Entry};
use super::world::World;

/// All that is asked within so much time.
pub(super) fn orders(
    rng: &mut Rng,
    outlets: &[OutletId],
    every_ms: u64,
    until_ms: u64,
) -> Vec<Entry> {
    let mut script = Vec::new();
    let mut at_ms = rng.u64(1..every_ms);
    while at_ms < until_ms {
        let outlet = rng.choice(outlets).expect("a site has outlets").clone();
        script.push(Entry { at_ms, deed: Deed::Local(order(rng, outlet)) });
        at_ms += rng.u64(1..every_ms * 2);
    }
    script
}

fn order(rng: &mut Rng, outlet: OutletId) -> LocalOrder {
    let for_ms = rng.u64(1_000..300_000);
    let (on, for_ms) = match rng.u8(0..20) {
        0..7 => return LocalOrder::Release(outlet),
        7..13 => (true, Some(for_ms)),
        13..17 => (false, Some(for_ms)),
        17 => (false, None),
        18 => (true, None),
        _ => (rng.bool(), Some(MAX_HOLD_MS + for_ms)),
    };
    LocalOrder::Set(OutletSet { outlet, on, for_ms, force: rng.u8(0..3) == 0 })
}

/// Whether it may be done at all: what is held on has an end, and not too late a one.
pub(super) fn is_in_range(order: &LocalOrder) -> bool {
    match order {
        LocalOrder::Set(set) => set.for_ms.map_or(!set.on, |ms| ms <= MAX_HOLD_MS),
        LocalOrder::Release(_) => true,
    }
}

fn powers(order: &LocalOrder) -> bool {
    matches!(order, LocalOrder::Set(OutletSet { on: true, .. }))
}

impl World {
    /// Somebody asks. Nobody does of an agent that is not there, or asleep.
    pub(super) fn ask(&mut self, order: LocalOrder) {
        let real = self.clocks.real;
        if self.process.as_ref().is_none_or(|process| process.frozen_until > real) {
            return;
        }
        self.settle();
        let Some(process) = self.process.as_mut() else { return };
        let asker = process.next_asker;
        process.next_asker += 1;
        process.asked.insert(asker, order.clone());
        self.note(|| format!("asked at the machine itself ({asker}): {order:?}"));
        self.done.tally.count("local", if powers(&order) { "on" } else { "off or release" });
        self.checker.asked(asker, order.clone());
        self.step(Input::Local { asker, order });
        self.settle();
    }

    /// Who asked has an answer.
    pub(super) fn answer(&mut self, asker: Asker, answer: &Result<(), Rejection>) {
        let Some(process) = self.process.as_mut() else { return };
        let stopping = process.stopping;
        let Some(order) = process.asked.remove(&asker) else {
            return self.broke(format!("who asks at the machine gets one answer: {asker} another"));
        };
        self.done.tally.count("local", if answer.is_ok() { "done" } else { "turned away" });
        let broken = match answer {
            Ok(()) => self.checker.answered(asker).err(),
            Err(rejection) if rejection.code == Code::Busy && !powers(&order) && !stopping => {
                Some(format!("an off and a release are taken while the agent runs: {order:?}"))
            }
            Err(_) => None,
        };
        if let Some(broken) = broken {
            self.broke(broken);
        }
    }
}
