//! What must be so while the world goes on, and once it has come to rest: the stated bounds,
//! nothing forgotten, nothing left behind.

use edge_protocol::event::Fault;
use edge_protocol::presence::State;

use super::plug::Manner;
use super::world::World;

/// Power that flows after an off is told at most so long after it: 150 s, and an order's patience.
const STUCK_MS: u64 = 165_000;
/// That it does not any more, after 300 s, a poll and an order's patience.
const FREE_MS: u64 = 320_000;

/// What one record or event may need beyond what the outbox's budget counts.
const SLACK_BYTES: u64 = 16 * 1024;

/// Commands wait at the broker from 64 on; what outlets and clocks lead to goes on.
const MAX_UNSTORED: usize = 64 + 64;

impl World {
    /// ARCHITECTURE.md, limits.
    pub(super) fn check_bounds(&mut self) {
        let Some(process) = self.process.as_ref() else { return };
        let state = process.node.state();
        let (queues, tasks) = (state.queues, &self.settings.tasks);
        let most = u64::try_from(tasks.max_queued).expect("a count of tasks");
        let unstored = process.sequence.unstored();
        let broken = if unstored > MAX_UNSTORED {
            format!("{unstored} batches wait for the disk, of about 64")
        } else if queues.tasks_queued > most {
            format!("{} tasks wait, of at most {most}", queues.tasks_queued)
        } else if queues.outbox_bytes > self.settings.outbox_max_bytes + SLACK_BYTES {
            let max_bytes = self.settings.outbox_max_bytes;
            format!("the outbox holds {} bytes, of at most {max_bytes}", queues.outbox_bytes)
        } else {
            return self.check_stuck(&state);
        };
        self.broke(format!("limits: {broken}"));
    }

    /// What is said of relays that are stuck on, against what flows (contract, 6.11).
    fn check_stuck(&mut self, state: &State) {
        let real = self.clocks.real;
        let Some(alive) = self.alive_since.filter(|alive| *alive <= real) else { return };
        let broken = self.plugs.iter().find_map(|plug| {
            let told = state.outlets.iter().find(|outlet| outlet.outlet == plug.outlet)?;
            let meter = &plug.meter;
            if meter.load_mw.is_none() || plug.on || plug.tripped || plug.manner != Manner::Well {
                return None;
            }
            let calm = alive.max(plug.manner_since).max(plug.moved_at).max(plug.meddled_at);
            let (from, until) = meter.welded;
            if meter.is_welded(real) {
                let since = calm.max(from) + STUCK_MS;
                let missed = told.fault != Some(Fault::StuckOn) && real > since;
                let after_ms = real - calm.max(from).min(real);
                return missed.then(|| format!(
                    "power that flows after an off is `stuck_on`: {} has had it for {after_ms} ms",
                    plug.outlet
                ));
            }
            let since = calm.max(until.min(real));
            let kept = told.fault == Some(Fault::StuckOn) && real > since + FREE_MS;
            kept.then(|| {
                format!(
                    "300 s without power clear `stuck_on`: {} has had none for {} ms",
                    plug.outlet,
                    real - since
                )
            })
        });
        if let Some(broken) = broken {
            self.broke(broken);
        }
    }

    pub(super) fn at_rest(&self) -> bool {
        let quiet = self.broker.idle() && self.process.is_some() && self.all_stored();
        quiet && self.unrest().is_empty()
    }

    /// What has not come to rest.
    pub(super) fn unrest(&self) -> String {
        let mut open = self.checker.open(self.stepped);
        if !self.broker.idle() {
            open.push("commands wait at the broker".to_owned());
        }
        let last = self.checker.ledger.last();
        let taken = self.broker.taken.last_key_value().map_or(0, |(seq, _)| *seq);
        if taken < last && !self.checker.ledger.was_refused(last) {
            open.push(format!("{} events wait", last - taken));
        }
        if let Some(process) = self.process.as_ref().filter(|process| !process.asked.is_empty()) {
            open.push(format!("{:?} has no answer", process.asked));
        }
        if self.process.is_none() || !self.all_stored() {
            open.push("the process is at work".to_owned());
        }
        if let Some(process) = self.process.as_ref().filter(|_| !open.is_empty()) {
            open.push(process.at_work());
        }
        open.join(", ")
    }

    /// Every command that the broker kept was answered, once; and nothing is left on disk of what is over.
    pub(super) fn check_rest(&mut self) {
        if let Some(name) = self.unanswered() {
            let sentence = format!("each command gets one answer: {name} got none");
            self.broke(sentence);
        }
        let left = self.disk.sessions();
        if !left.is_empty() {
            self.broke(format!("what is over leaves the disk: there is still {}", left.join(", ")));
        }
    }
}
