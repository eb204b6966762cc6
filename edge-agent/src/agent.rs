//! The loop: takes what happened to the node, and does what the node decided.
//!
//! The order never changes: orders to outlets at once, the writes to the store, and everything
//! else once those are on disk. The loop never waits for the disk, nor for anything but news.

mod figures;
mod linked;
mod local;
pub mod sequence;
mod snapshot;
mod start;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use edge_protocol::id::{OutletId, TaskId};
use edge_protocol::presence::OfflineReason;
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::sequence::Sequence;
pub(crate) use self::start::MIN_FREE_BYTES;
pub use self::start::{StartError, run};
use crate::config::Config;
use crate::drivers::Driving;
use crate::host::alarm::Alarm;
use crate::host::clock::Clock;
use crate::host::systemd::Progress;
use crate::host::ticker::Ticker;
use crate::link::{self, Link, Retained};
use crate::local::{Question, recent::Recent};
use crate::metrics::Meter;
use crate::node::settings::Settings;
use crate::node::time::{BootMs, Now};
use crate::node::{Act, Asker, Disk, Effects, Input, Node, Rejection, ScriptOutcome};
use crate::runners::script::{self, Outcome, ScriptRun};
use crate::step::step;
use crate::store::{Completion, Journal, SpaceLevel};

/// Batches that wait for the disk, before the loop lets commands wait at the broker.
const MAX_UNSTORED: usize = 64;
/// Inputs that one batch takes in: enough for group commit, few enough for a timer to be on time.
const MAX_INPUTS: usize = 256;
/// How often host figures are published.
const TELEMETRY_MS: u64 = 60_000;
/// An orderly stop leaves what is not on disk by then to recovery.
const STOP_PATIENCE: Duration = Duration::from_secs(8);

/// Where news comes from.
struct Doors {
    link: UnboundedReceiver<link::News>,
    completions: UnboundedReceiver<Completion>,
    /// Drivers and scripts.
    inbox: UnboundedReceiver<Input>,
    questions: Receiver<Question>,
    /// The machine's figures, encoded.
    telemetry: Receiver<Vec<u8>>,
}

/// Why the loop ended.
#[derive(Debug)]
enum Ended {
    /// It was asked to.
    Stopped,
    /// This part is gone, and only a new process can help.
    Lost(&'static str),
}

/// The loop's own state: everything that is not a decision.
struct Agent {
    config: Config,
    settings: Settings,
    clock: Arc<Clock>,
    alarm: Alarm,
    ticker: Ticker,
    node: Node,
    journal: Journal,
    link: Link,
    drivers: BTreeMap<OutletId, Driving>,
    scripts: JoinSet<()>,
    stops: BTreeMap<TaskId, oneshot::Sender<()>>,
    inbox: UnboundedSender<Input>,
    sequence: Sequence,
    connection: u64,
    offline_because: Option<String>,
    /// What the broker refuses to keep for this node, and its reason code.
    not_kept: BTreeMap<Retained, u8>,
    link_since: BootMs,
    started_at_ms: u64,
    /// Whether the node knows the scripts that are there, as far as this batch is concerned.
    scripts_known: bool,
    tokens: BTreeMap<u64, link::Token>,
    /// People on the machine itself who wait for the answer to an order.
    askers: BTreeMap<Asker, oneshot::Sender<Result<(), Rejection>>>,
    next_asker: Asker,
    next_token: u64,
    disk: DiskHealth,
    telemetry_at: BootMs,
    /// Asks for the machine's figures.
    figures: Sender<Now>,
    meter: Meter,
    recent: Recent,
    progress: Progress,
    link_progress: (Progress, u64),
    /// How often the loop must show that it lives, where somebody watches.
    pulse: Option<Duration>,
}

#[derive(Default)]
struct DiskHealth {
    low: bool,
    failing: bool,
}

impl DiskHealth {
    fn input(&self) -> Input {
        Input::Disk(match (self.failing, self.low) {
            (true, _) => Disk::Failing,
            (false, true) => Disk::Low,
            (false, false) => Disk::Ok,
        })
    }
}

impl Agent {
    /// Takes in and acts until `stop` resolves or a part is lost.
    async fn turn(&mut self, doors: &mut Doors, stop: impl Future<Output = ()>) -> Ended {
        tokio::pin!(stop);
        loop {
            self.settle();
            let roomy = self.sequence.unstored() < MAX_UNSTORED;
            let ended = tokio::select! {
                biased;
                () = self.alarm.rings() => None,
                () = self.ticker.ticks() => self.ticked(),
                input = doors.inbox.recv() => self.heard(input),
                completion = doors.completions.recv() => self.completed(completion),
                news = doors.link.recv(), if roomy => self.linked(news),
                figures = doors.telemetry.recv() => self.measured(figures),
                question = doors.questions.recv() => self.asked(question),
                () = &mut stop => Some(Ended::Stopped),
            };
            if let Some(ended) = ended {
                return ended;
            }
            self.drain(doors);
        }
    }

    /// Takes in whatever else is waiting, so that one flush serves it all.
    fn drain(&mut self, doors: &mut Doors) {
        // Whoever looks comes last above, and in a flood would never have a turn.
        if let Ok(question) = doors.questions.try_recv() {
            self.asked(Some(question));
        }
        for _ in 0..MAX_INPUTS {
            if let Ok(input) = doors.inbox.try_recv() {
                self.heard(Some(input));
            } else if let Ok(completion) = doors.completions.try_recv() {
                self.completed(Some(completion));
            } else if self.sequence.unstored() < MAX_UNSTORED
                && let Ok(news) = doors.link.try_recv()
            {
                self.linked(Some(news));
            } else {
                return;
            }
        }
    }

    fn step(&mut self, input: Input) {
        self.node.step(self.clock.now(), input);
    }

    /// Lets the node decide, acts, and sets the alarm.
    fn settle(&mut self) {
        let now = self.clock.now();
        self.scripts_known = false;
        let effects = self.node.settle(now);
        step!("loop.settled");
        self.perform(effects);
        step!("loop.performed");
        if self.offline_because.is_none() && now.boot >= self.telemetry_at {
            self.telemetry_at = now.boot + TELEMETRY_MS;
            self.telemetry();
        }
        self.progress.beat();
        let beats = self.link.progress();
        if beats != std::mem::replace(&mut self.link_progress.1, beats) {
            self.link_progress.0.beat();
        }
        self.ticker.set(self.node.wants_ticks(), now.boot);
        let overdue = self.ticker.overdue_at();
        let pulse = self.pulse.map(|pulse| now.boot + millis(pulse));
        // While the ticker ticks, that carries it.
        let carried = self.offline_because.is_some() || overdue.is_some();
        let telemetry = Some(self.telemetry_at).filter(|_| !carried);
        // What was due has just been decided: whoever names the past again waits for the next tick.
        let next = [self.node.wake_at(), overdue, pulse, telemetry].into_iter().flatten().min();
        self.alarm.set(next.map(|at| at.max(now.boot + 1)));
    }

    fn perform(&mut self, mut effects: Effects) {
        for (outlet, number, order) in std::mem::take(&mut effects.orders) {
            if let Some(driver) = self.drivers.get(&outlet) {
                self.meter.ordered(&outlet, number, self.clock.boot_us());
                driver.order((number, order));
                step!("order.handed", %outlet, number);
            }
        }
        for event in std::mem::take(&mut effects.told) {
            self.meter.told(&event);
            self.recent.told(event);
        }
        let (batch, ready) = self.sequence.admit(effects, self.connection);
        if let Some(batch) = batch {
            let number = batch.number;
            self.meter.submitted(number, batch.bytes(), self.clock.boot_us());
            self.journal.submit(batch);
            step!("batch.submitted", number);
        }
        ready.into_iter().for_each(|(connection, act)| self.act(act, connection));
    }

    fn act(&mut self, act: Act, connection: u64) {
        match act {
            Act::Acknowledge(token) => {
                if let Some(token) = self.tokens.remove(&token) {
                    self.link.order(link::Order::Acknowledge(token));
                    step!("command.acknowledged");
                }
            }
            Act::Answer { asker, answer } => self.answer(asker, answer),
            Act::Publish { seq, payload } => {
                self.link.order(link::Order::Publish { connection, seq, payload });
                step!("event.handed", seq);
            }
            Act::Load { seqs, max_bytes } => {
                self.journal.load(seqs, max_bytes);
                step!("events.asked_for");
            }
            Act::Status(payload) => self.link.order(link::Order::Status(payload)),
            Act::State(payload) => self.link.order(link::Order::State(payload)),
            Act::Telemetry => self.telemetry(),
            Act::Begin { task, attempt } => {
                step!("attempt.begun", %task, attempt);
                self.step(Input::Begun { task, attempt });
            }
            Act::Run { task, attempt, script, timeout_ms } => {
                step!("script.ordered", %task, attempt);
                let run = ScriptRun {
                    task: task.to_string(),
                    attempt,
                    name: script.name,
                    args: script.args,
                    timeout: Duration::from_millis(timeout_ms),
                };
                self.run_script(task, run);
            }
            Act::Kill { task } => {
                if let Some(stop) = self.stops.remove(&task) {
                    let _ = stop.send(());
                    step!("script.recalled", %task);
                }
            }
        }
    }

    fn run_script(&mut self, task: TaskId, run: ScriptRun) {
        let (stop, stopped) = oneshot::channel();
        self.stops.insert(task.clone(), stop);
        let inbox = self.inbox.clone();
        let scripts_dir = self.config.tasks.scripts_dir.clone();
        let attempt = run.attempt;
        while self.scripts.try_join_next().is_some() {}
        self.scripts.spawn(async move {
            let outcome = match script::run(&scripts_dir, run, stopped).await {
                Outcome::Succeeded { result } => ScriptOutcome::Succeeded(result),
                Outcome::Failed { error, for_good } => ScriptOutcome::Failed { error, for_good },
                Outcome::Stopped => ScriptOutcome::Stopped,
            };
            step!("script.told", %task, attempt);
            let _ = inbox.send(Input::Script { task, attempt, outcome });
        });
    }

    /// Asks for the machine's figures. Where a reading is under way and one waits, that one serves.
    fn telemetry(&self) {
        let _ = self.figures.try_send(self.clock.now());
    }

    /// The wall clock went on: the node looks what that means.
    fn ticked(&mut self) -> Option<Ended> {
        self.ticker.heard(self.clock.now().boot);
        None
    }

    fn measured(&mut self, figures: Option<Vec<u8>>) -> Option<Ended> {
        let Some(figures) = figures else { return Some(Ended::Lost("figures")) };
        self.link.order(link::Order::Telemetry(figures));
        step!("telemetry.handed");
        None
    }

    /// A driver or a script has something to say.
    fn heard(&mut self, input: Option<Input>) -> Option<Ended> {
        let input = input.expect("the loop holds a sender of its own");
        if let Input::Script { task, .. } = &input {
            self.stops.remove(task);
        } else if let Input::Outlet { outlet, number, result } = &input {
            self.meter.answered(outlet, *number, result.is_ok(), self.clock.boot_us());
        }
        self.step(input);
        step!("loop.heard");
        None
    }

    fn completed(&mut self, completion: Option<Completion>) -> Option<Ended> {
        match completion {
            Some(Completion::Stored { through }) => {
                step!("batch.confirmed", through);
                self.meter.stored(through, self.clock.boot_us());
                for (connection, act) in self.sequence.stored(through) {
                    self.act(act, connection);
                }
                if std::mem::take(&mut self.disk.failing) {
                    self.step(self.disk.input());
                }
            }
            Some(Completion::Loaded { from, through, rows }) => {
                self.step(Input::Loaded { from, through, rows });
                step!("events.loaded");
            }
            Some(Completion::Trouble { error, full }) => {
                tracing::error!(error, full, "the store can't write; it goes on trying");
                self.disk.failing = true;
                self.step(self.disk.input());
            }
            Some(Completion::Space(level)) => {
                self.disk.low = level == SpaceLevel::Low;
                self.step(self.disk.input());
            }
            None => return Some(Ended::Lost("store")),
        }
        None
    }

    /// Stops in order: attempts are ended and don't count, everything is on disk, the broker knows.
    async fn stop(mut self, mut doors: Doors) {
        self.step(Input::Stop);
        self.settle();
        step!("stop.decided");
        let stored = async {
            while self.sequence.unstored() > 0 {
                let completion = doors.completions.recv().await;
                if self.completed(completion).is_some() {
                    break;
                }
            }
        };
        let all_stored = timeout(STOP_PATIENCE, stored).await.is_ok();
        if !all_stored {
            tracing::error!(
                "the disk takes too long; what is not stored is left to the next start"
            );
        }
        step!("stop.stored");
        self.stops.clear();
        let scripts = async { while self.scripts.join_next().await.is_some() {} };
        if timeout(STOP_PATIENCE, scripts).await.is_err() {
            tracing::warn!("a script did not end in time");
        }
        step!("stop.scripts_ended");
        let status = Node::offline(&self.settings, OfflineReason::Shutdown);
        self.link.shutdown(status).await;
        step!("stop.offline");
        let journal = self.journal;
        let closed = tokio::task::spawn_blocking(move || journal.close());
        // A disk that did not answer so far gets no second chance: systemd's patience has an end.
        if all_stored && timeout(STOP_PATIENCE, closed).await.is_err() {
            tracing::error!("the store could not be closed in time");
        }
        step!("stop.closed");
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
