//! The checker: a picture of what was promised, and the account of what was told, both taken back
//! as far as a crash takes the disk back.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use edge_agent::node::record::Write;
use edge_agent::node::settings::Settings;
use edge_agent::node::time::BootMs;
use edge_agent::node::{Act, Asker, Effects, LocalOrder, Node};
use edge_protocol::codec::decode_event;
use edge_protocol::command::{OutletRef, Request};
use edge_protocol::event::{Event, Proof, Reason, What};
use edge_protocol::id::{OutletId, SessionId, TaskId};

use super::clocks::Clocks;
use super::ledger::Ledger;
use super::life::Requests;
use super::model::{Context, Model};
use super::plug::Plug;
use super::power::{Power, Span};
use super::technician;

type Held = Result<(), String>;

/// What flows no more for so long can't be shown any more: a node that slept hears late, too.
const CALM_MS: u64 = 130_000;

/// Whoever was read back off that long ago and is on has not been read back.
const READ_BACK_MS: u64 = 12_000;

/// One in so many events is read again from what is written of it: to read each took 8 % of a run.
const READ_EVERY: u64 = 8;

/// The clocks as the node last wrote them down.
#[derive(Debug, Clone, Copy, Default)]
struct Checkpoint {
    real: u64,
    boot: u32,
    synced: bool,
    wall_error: i64,
}

#[derive(Debug, Clone)]
struct Stored {
    batch: u64,
    last_seq: u64,
    checkpoint: Checkpoint,
    model: Rc<Model>,
}

/// What the checker sees of the world beside what the node decided.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) clocks: &'a Clocks,
    pub(super) settings: &'a Settings,
    pub(super) requests: &'a Requests,
    pub(super) plugs: &'a [Plug],
    pub(super) node: &'a Node,
}

#[derive(Debug)]
pub(super) struct Checker {
    model: Rc<Model>,
    pub(super) ledger: Ledger,
    power: Power,
    checkpoint: Checkpoint,
    durable: Option<Stored>,
    pending: VecDeque<Stored>,
    /// The process started and its first decision is to come.
    recovering: bool,
    /// Something was decided that is no batch yet.
    unsubmitted: bool,
    /// What was asked at the machine itself and not decided yet.
    asked: BTreeMap<Asker, LocalOrder>,
    /// Who is to be told that it is done, once this batch is on disk; `u64::MAX`: it is no batch yet.
    obeyed: BTreeMap<Asker, u64>,
    /// What had flowed at the site when a session was first accepted: energy flows whatever a disk forgets.
    energy: BTreeMap<SessionId, u64>,
}

impl Checker {
    pub(super) fn new(plugs: &[Plug]) -> Self {
        Self {
            model: Rc::default(),
            ledger: Ledger::default(),
            power: Power::new(plugs.len()),
            checkpoint: Checkpoint::default(),
            durable: None,
            pending: VecDeque::new(),
            recovering: false,
            unsubmitted: false,
            asked: BTreeMap::new(),
            obeyed: BTreeMap::new(),
            energy: BTreeMap::new(),
        }
    }

    /// A span of time passes in which nothing happens.
    pub(super) fn pass(&mut self, span: &Span<'_>) -> Held {
        self.power.pass(span, &self.model)
    }

    /// The node decided: what it tells is taken in before what it orders.
    pub(super) fn decided(&mut self, effects: &Effects, seen: &Seen<'_>) -> Held {
        self.unsubmitted |= !effects.writes.is_empty();
        let recovering = std::mem::take(&mut self.recovering);
        let exact = !recovering || self.start(seen.clocks);
        self.take_local(effects, seen)?;
        let mut events = effects.told.iter();
        for write in &effects.writes {
            let Write::Put { key, value } = write else { continue };
            if key == b"node/checkpoint" {
                let Clocks { real, boot, synced, wall_error, .. } = *seen.clocks;
                self.checkpoint = Checkpoint { real, boot, synced, wall_error };
            }
            if key.starts_with(b"event/") {
                let event = events.next().ok_or("an event is written that is not told")?;
                if event.seq.is_multiple_of(READ_EVERY) && decode_event(value).as_ref() != Ok(event)
                {
                    return Err(format!(
                        "an event can be read as it was told: {} can't",
                        event.seq
                    ));
                }
                self.told(event, value, seen)?;
            }
        }
        if recovering {
            for outlet in seen.node.outlet_details() {
                self.model.lived(&outlet.outlet, outlet.cycles)?;
            }
            let (state, real) = (seen.node.state(), seen.clocks.real);
            Rc::make_mut(&mut self.model).recovered(&state, real, exact)?;
            self.power.look_again();
        }
        for (outlet, _, order) in &effects.orders {
            Power::ordered(outlet, *order, seen.clocks, seen.plugs, &self.model)?;
        }
        Ok(())
    }

    /// Somebody asks for something at the machine itself.
    pub(super) fn asked(&mut self, asker: Asker, order: LocalOrder) {
        self.asked.insert(asker, order);
    }

    /// What was asked there and is done is a hold, or the end of one, as a command makes it.
    fn take_local(&mut self, effects: &Effects, seen: &Seen<'_>) -> Held {
        for act in &effects.acts {
            let Act::Answer { asker, answer } = act else { continue };
            let order = self.asked.remove(asker).ok_or("nobody asked what is answered")?;
            if answer.is_err() {
                continue;
            }
            if !technician::is_in_range(&order) {
                return Err(format!("what is held on has an end, within a day: {order:?}"));
            }
            if !effects.writes.is_empty() {
                self.obeyed.insert(*asker, u64::MAX);
            }
            let request = match order {
                LocalOrder::Set(set) => Request::OutletSet(set),
                LocalOrder::Release(outlet) => Request::OutletRelease(OutletRef { outlet }),
            };
            let real = seen.clocks.real;
            let context = Context {
                real,
                settings: seen.settings,
                honest: true,
                held_back: false,
                request: None,
            };
            Rc::make_mut(&mut self.model).accepted(&request, &context, &|at| at)?;
            self.power.look_again();
        }
        Ok(())
    }

    /// Who asked at the machine itself is told that it is done.
    pub(super) fn answered(&self, asker: Asker) -> Held {
        if self.obeyed.contains_key(&asker) {
            return Err(format!(
                "who asks at the machine is answered once it is on disk: {asker} before"
            ));
        }
        Ok(())
    }

    /// The node starts again. Returns whether it can know how long it was away.
    fn start(&mut self, clocks: &Clocks) -> bool {
        let before = self.checkpoint;
        let same_boot = before.boot == clocks.boot;
        let alike = before.synced && clocks.synced && before.wall_error == clocks.wall_error;
        let model = Rc::make_mut(&mut self.model);
        if !same_boot {
            model.rebooted();
        }
        if !same_boot && !alike {
            let honest = before.wall_error == 0 || !before.synced;
            let honest = honest && (clocks.wall_error == 0 || !clocks.synced);
            model.unsure(clocks.real.saturating_sub(before.real), honest);
        }
        self.power.look_again();
        same_boot || alike
    }

    fn told(&mut self, event: &Event, payload: &[u8], seen: &Seen<'_>) -> Held {
        let clocks = seen.clocks;
        self.ledger.told(event, payload, clocks.real)?;
        let request = if let What::CommandAccepted(accepted) = &event.what {
            seen.requests.of(&accepted.command)
        } else {
            None
        };
        // What waited was collapsed with others of its kind, while the outbox was rather full.
        let at = clocks.real_at(BootMs::from(event.uptime_ms));
        let context = Context {
            real: at,
            settings: seen.settings,
            honest: clocks.wall_error == 0,
            held_back: at < clocks.real,
            request,
        };
        let ended = match &event.what {
            What::SessionEnded(ended) if ended.reason != Reason::Abandoned => {
                self.model.ending(&ended.session).to_vec()
            }
            _ => Vec::new(),
        };
        if Model::hears(&event.what) {
            Rc::make_mut(&mut self.model).told(event, &context)?;
            self.power.look_again();
        }
        self.measured(event, seen)?;
        self.read_back(&ended, seen)
    }

    /// What was told of watts, against what flowed.
    fn measured(&mut self, event: &Event, seen: &Seen<'_>) -> Held {
        let real = seen.clocks.real;
        let plug = |outlet: &OutletId| seen.plugs.iter().find(|plug| plug.outlet == *outlet);
        let flowed = || seen.plugs.iter().map(|plug| plug.meter.flowed_mwh()).sum::<u64>();
        match &event.what {
            What::OutletChanged(changed) => {
                let unmetered = plug(&changed.outlet).is_some_and(|it| it.meter.load_mw.is_none());
                if changed.proof == Proof::WattsConfirmed && unmetered {
                    return Err(format!(
                        "a proof by watts needs watts: {} shows none",
                        changed.outlet
                    ));
                }
            }
            What::OutletFault(fault) if fault.message.contains("still flow") => {
                let dark = |plug: &Plug| {
                    !plug.on && plug.moved_at.max(plug.meter.welded.1) + CALM_MS < real
                };
                if plug(&fault.outlet).is_some_and(dark) {
                    return Err(format!(
                        "`stuck_on` is power that flows: {} has none",
                        fault.outlet
                    ));
                }
            }
            What::CommandAccepted(accepted) if !accepted.repeat => {
                if let Some((Request::SessionStart(start), _)) = seen.requests.of(&accepted.command)
                {
                    self.energy.entry(start.session.clone()).or_insert_with(flowed);
                }
            }
            What::SessionEnded(ended) => {
                let (Some(told), Some(from)) = (ended.energy_wh, self.energy.get(&ended.session))
                else {
                    return Ok(());
                };
                let most = (flowed() - from) / 1_000 + 1;
                if told > most {
                    return Err(format!(
                        "a session is told no more energy than flowed: {} told {told} Wh of {most}",
                        ended.session
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `session.ended` is sent when every outlet is confirmed off, not before.
    fn read_back(&self, outlets: &[OutletId], seen: &Seen<'_>) -> Held {
        let real = seen.clocks.real;
        let since = |plug: &Plug| plug.moved_at.max(plug.manner_since).max(plug.meddled_at);
        for plug in seen.plugs.iter().filter(|plug| outlets.contains(&plug.outlet)) {
            let covered = self.model.covered_until(&plug.outlet, real, plug.settings.rest) > real;
            let on = plug.on && plug.manner.moves() && since(plug) + READ_BACK_MS < real;
            if on && !covered {
                return Err(format!(
                    "`session.ended` waits until every outlet is confirmed off: {} is on",
                    plug.outlet
                ));
            }
        }
        Ok(())
    }

    /// A script said that no retry can help.
    pub(super) fn hopeless(&mut self, task: &TaskId, attempt: u32) {
        Rc::make_mut(&mut self.model).hopeless(task, attempt);
    }

    /// What was decided last became this batch.
    pub(super) fn submitted(&mut self, batch: u64, last_seq: u64) {
        self.unsubmitted = false;
        self.obeyed.values_mut().filter(|at| **at == u64::MAX).for_each(|at| *at = batch);
        let (checkpoint, model) = (self.checkpoint, Rc::clone(&self.model));
        self.pending.push_back(Stored { batch, last_seq, checkpoint, model });
    }

    /// Batches are on disk.
    pub(super) fn stored(&mut self, through: u64) {
        while self.pending.front().is_some_and(|stored| stored.batch <= through) {
            self.durable = self.pending.pop_front();
        }
        self.obeyed.retain(|_, batch| *batch > through);
        self.ledger.durable = self.durable.as_ref().map_or(0, |stored| stored.last_seq);
    }

    /// The process is gone, and these batches are on disk. Returns whether others are lost.
    pub(super) fn crashed(&mut self, through: u64) -> bool {
        self.stored(through);
        let lost = std::mem::take(&mut self.unsubmitted) || !self.pending.is_empty();
        if lost {
            self.power.forget_leases();
        }
        self.pending.clear();
        self.asked.clear();
        self.obeyed.clear();
        self.ledger.crashed();
        let durable = self.durable.as_mut();
        (self.model, self.checkpoint) = durable.map_or_else(Default::default, |stored| {
            // Batches are numbered anew by each process.
            stored.batch = 0;
            (Rc::clone(&stored.model), stored.checkpoint)
        });
        self.power.look_again();
        self.recovering = true;
        lost
    }

    pub(super) fn lease_cuts(&self, at: usize, outlet: &OutletId, real: u64) -> Held {
        self.power.lease_cuts(at, outlet, real, &self.model)
    }

    /// The sessions that are not over.
    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.model.sessions.keys().cloned()
    }

    /// What has not come to its end yet; `stepped`: the wall clock was wrong for a while.
    pub(super) fn open(&self, stepped: bool) -> Vec<String> {
        self.model.open(stepped)
    }
}
