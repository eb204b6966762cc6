//! What the process does once its writes are on disk: it acknowledges, publishes, reads, and runs scripts.

use edge_agent::agent::sequence::Stamped;
use edge_agent::node::{Act, ScriptOutcome};
use edge_protocol::id::TaskId;

use super::chance::For;
use super::queue::Happening;
use super::sabotage::Sabotage;
use super::world::World;

/// Events that may be out at once: 16, and 8 that were asked for again.
const MAX_OUT: usize = 24;

impl World {
    pub(super) fn act_all(&mut self, acts: Vec<Stamped>) {
        for (connection, act) in acts {
            if !self.survives() {
                return;
            }
            self.act(connection, act);
        }
    }

    fn act(&mut self, stamp: u64, act: Act) {
        let real = self.clocks.real;
        match act {
            Act::Acknowledge(token) => self.acknowledge(token),
            Act::Publish { seq, payload } => self.publish(stamp, seq, payload),
            Act::Load { seqs, max_bytes } => {
                self.disk.load(seqs, max_bytes);
                self.flush();
            }
            Act::Answer { asker, answer } => self.answer(asker, &answer),
            Act::Status(_) | Act::State(_) | Act::Telemetry => {}
            Act::Begin { task, attempt } => {
                self.queue.at(real, Happening::Begun { run: self.run, task, attempt });
            }
            Act::Run { task, attempt, timeout_ms, .. } => {
                self.run_script(task, attempt, timeout_ms)
            }
            Act::Kill { task } => self.kill_script(task),
        }
    }

    pub(super) fn acknowledge(&mut self, token: u64) {
        let Some(process) = self.process.as_mut() else { return };
        let Some((delivery, name)) = process.tokens.remove(&token) else { return };
        let connection = process.connection;
        if let Some(name) = name
            && let Err(broken) = self.checker.ledger.acknowledged(&name)
        {
            return self.broke(broken);
        }
        let at = self.broker.inward(self.clocks.real);
        self.queue.at(at, Happening::Acknowledged { connection, delivery });
    }

    fn publish(&mut self, stamp: u64, seq: u64, mut payload: Vec<u8>) {
        if self.sabotage == Some(Sabotage::EventsChanged) && seq.is_multiple_of(50) {
            payload.extend_from_slice(b" ");
        }
        if let Err(broken) = self.checker.ledger.published(seq, &payload) {
            return self.broke(broken);
        }
        let Some(process) = self.process.as_mut() else { return };
        if stamp != process.connection || !process.online {
            return;
        }
        process.out.insert(seq);
        if process.out.len() > MAX_OUT {
            let out = process.out.len();
            return self.broke(format!("limits: {out} events are out at a time"));
        }
        let at = self.broker.inward(self.clocks.real);
        self.queue.at(at, Happening::Published { connection: stamp, seq, payload });
    }

    fn run_script(&mut self, task: TaskId, attempt: u32, timeout_ms: u64) {
        if let Err(broken) = self.checker.ledger.run(&task, attempt, self.ever_stopped) {
            return self.broke(broken);
        }
        let mut rng = self.chance.at(self.clocks.real, For::Script);
        let takes_ms = rng.u64(10..90_000);
        let failed =
            |error: &str, for_good| ScriptOutcome::Failed { error: error.to_owned(), for_good };
        let (how, outcome) = match rng.u8(0..10) {
            _ if takes_ms > timeout_ms => ("times out", failed("timed out", false)),
            0..3 => ("fails", failed("exit 1", false)),
            3 => ("fails for good", failed("exit 64", true)),
            _ => ("succeeds", ScriptOutcome::Succeeded(None)),
        };
        self.done.tally.count("script", how);
        let Some(process) = self.process.as_mut() else { return };
        process.scripts.insert(task.clone(), attempt);
        let (running, most) = (process.scripts.len(), self.settings.tasks.concurrency);
        if running > most {
            return self.broke(format!("limits: at most {most} tasks run at once, not {running}"));
        }
        let at = self.clocks.real + takes_ms.min(timeout_ms);
        self.queue.at(at, Happening::ScriptEnds { run: self.run, task, attempt, outcome });
    }

    fn kill_script(&mut self, task: TaskId) {
        let Some(process) = self.process.as_ref() else { return };
        let Some(&attempt) = process.scripts.get(&task) else { return };
        let run = process.run;
        self.done.tally.count("script", "is killed");
        let at = self.clocks.real + self.chance.at(self.clocks.real, For::Script).u64(0..4_000);
        let outcome = ScriptOutcome::Stopped;
        self.queue.at(at, Happening::ScriptEnds { run, task, attempt, outcome });
    }
}
