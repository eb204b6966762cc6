//! The checker: a picture of what was promised, and the account of what was told, both taken back
//! as far as a crash takes the disk back.

use std::collections::VecDeque;

use edge_agent::node::record::Write;
use edge_agent::node::time::BootMs;
use edge_protocol::codec::decode_event;
use edge_protocol::event::What;
use edge_protocol::id::OutletId;
use edge_protocol::presence::State;

use edge_agent::node::{Effects, Order};

use super::clocks::Clocks;
use super::control::Control;
use super::ledger::Ledger;
use super::model::{Context, Model};
use super::power::{Power, Span};
use edge_agent::node::settings::Settings;

type Held = Result<(), String>;

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
    model: Model,
}

#[derive(Debug, Default)]
pub(super) struct Checker {
    pub(super) model: Model,
    pub(super) ledger: Ledger,
    power: Power,
    checkpoint: Checkpoint,
    durable: Option<Stored>,
    pending: VecDeque<Stored>,
    /// The process started and its first decision is to come.
    recovering: bool,
    /// Something was decided that is no batch yet.
    unsubmitted: bool,
}

impl Checker {
    /// Time passes in which nothing happens.
    pub(super) fn pass(&mut self, span: &Span<'_>) -> Held {
        self.power.pass(span)
    }

    /// Time is about to pass: its span is looked at with the present picture.
    pub(super) fn pass_with(
        &mut self,
        from: u64,
        to: u64,
        settings: &Settings,
        plugs: &std::collections::BTreeMap<OutletId, super::plug::Plug>,
        alive_since: Option<u64>,
    ) -> Held {
        let model = std::mem::take(&mut self.model);
        let held = self.pass(&Span { from, to, model: &model, settings, plugs, alive_since });
        self.model = model;
        held
    }

    /// The node decided: what it tells is taken in before what it orders. Returns what it told, in short.
    pub(super) fn decided(
        &mut self,
        effects: &Effects,
        clocks: &Clocks,
        settings: &Settings,
        control: &Control,
        state: impl FnOnce() -> State,
    ) -> Result<Vec<String>, (String, Vec<String>)> {
        let mut told = Vec::new();
        self.unsubmitted |= !effects.writes.is_empty();
        self.take(effects, clocks, settings, control, state, &mut told)
            .map_err(|broken| (broken, std::mem::take(&mut told)))?;
        Ok(told)
    }

    fn take(
        &mut self,
        effects: &Effects,
        clocks: &Clocks,
        settings: &Settings,
        control: &Control,
        state: impl FnOnce() -> State,
        told: &mut Vec<String>,
    ) -> Held {
        let before = self.checkpoint;
        let recovering = std::mem::take(&mut self.recovering);
        let alike = before.synced && clocks.synced && before.wall_error == clocks.wall_error;
        let exact = before.boot == clocks.boot || alike;
        if recovering && before.boot != clocks.boot {
            self.model.rebooted();
        }
        if recovering && !exact {
            let honest = before.wall_error == 0 || !before.synced;
            let honest = honest && (clocks.wall_error == 0 || !clocks.synced);
            self.model.unsure(clocks.real.saturating_sub(before.real), honest);
        }
        for write in &effects.writes {
            let Write::Put { key, value } = write else { continue };
            if key == b"node/checkpoint" {
                // A node that once was synced in this boot stays so.
                let synced = clocks.synced;
                self.checkpoint = Checkpoint {
                    real: clocks.real,
                    boot: clocks.boot,
                    synced,
                    wall_error: clocks.wall_error,
                };
            }
            if !key.starts_with(b"event/") {
                continue;
            }
            let event =
                decode_event(value).map_err(|error| format!("an event can't be read: {error}"))?;
            told.push(brief(&event.what, event.seq));
            self.ledger.told(&event, value)?;
            let command = if let What::CommandAccepted(accepted) = &event.what {
                Some(&accepted.command)
            } else {
                None
            };
            let request = command.and_then(|command| control.request(command));
            let at = clocks.real_at(BootMs::from(event.uptime_ms));
            self.model.told(
                &event,
                &Context {
                    real: at,
                    settings,
                    honest: clocks.wall_error == 0,
                    held_back: at < clocks.real,
                    request,
                },
            )?;
        }
        if recovering {
            self.model.recovered(&state(), clocks.real, exact)?;
        }
        for (outlet, _, order) in &effects.orders {
            let off_by = match order {
                Order::On { off_by } => off_by.map(|at| clocks.real_at(at)),
                Order::Off | Order::Read | Order::ClearLease => None,
            };
            Power::ordered(outlet, *order, off_by, clocks.real, &self.model, settings)?;
        }
        Ok(())
    }

    /// What was decided last became this batch.
    pub(super) fn submitted(&mut self, batch: u64, last_seq: u64) {
        self.unsubmitted = false;
        let (checkpoint, model) = (self.checkpoint, self.model.clone());
        self.pending.push_back(Stored { batch, last_seq, checkpoint, model });
    }

    /// Batches are on disk.
    pub(super) fn stored(&mut self, through: u64) {
        while self.pending.front().is_some_and(|stored| stored.batch <= through) {
            self.durable = self.pending.pop_front();
        }
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
        self.ledger.crashed();
        let durable = self.durable.as_mut();
        let (model, checkpoint) = durable.map_or_else(Default::default, |stored| {
            stored.batch = 0;
            (stored.model.clone(), stored.checkpoint)
        });
        self.model = model;
        self.checkpoint = checkpoint;
        self.recovering = true;
        lost
    }

    pub(super) fn lease_cuts(&self, outlet: &OutletId, real: u64) -> Held {
        self.power.lease_cuts(outlet, real, &self.model)
    }
}

fn brief(what: &What, seq: u64) -> String {
    let text = format!("{what:?}");
    let mut end = text.len().min(190);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{seq} {}", &text[..end])
}
