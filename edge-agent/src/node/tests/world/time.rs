//! How time passes, and what is done with what the node wants done.

use edge_protocol::codec;
use serde_json::Value;

use super::World;
use crate::node::record::{Kind, Write};
use crate::node::tests::plug::Plug;
use crate::node::{Act, Effects, Input, Node};

/// More settles at one instant than this are a node that spins.
const MAX_SETTLES: u32 = 40;

impl World {
    /// Lets time pass.
    pub(in crate::node) fn run_for(&mut self, ms: u64) {
        self.run_to(self.time + ms);
    }

    /// Lets time pass until an event of `kind` comes, 10 minutes at most.
    pub(in crate::node) fn run_until(&mut self, kind: &str) -> Value {
        self.run_for_kind(600_000, kind)
    }

    /// Lets time pass until an event of `kind` comes, so long at most.
    pub(in crate::node) fn run_for_kind(&mut self, ms: u64, kind: &str) -> Value {
        let end = self.time + ms;
        let count = |world: &Self| world.events.iter().filter(|it| it["type"] == kind).count();
        let before = count(self);
        while count(self) == before {
            assert!(self.time < end, "no {kind} came: {:#?}", self.events[self.taken..].to_vec());
            self.run_to(self.next().unwrap_or(end).clamp(self.time, end));
        }
        self.last(kind)
    }

    /// The machine sleeps: time passes, and nobody looks.
    pub(in crate::node) fn sleep(&mut self, ms: u64) {
        let node = self.node.take();
        self.run_for(ms);
        self.node = node;
        self.woken = self.time;
        self.turn();
    }

    /// Lets time pass up to an instant.
    pub(in crate::node) fn run_to(&mut self, end: u64) {
        loop {
            let next = self.next().filter(|next| *next <= end);
            self.time = next.unwrap_or(end).max(self.time);
            self.turn();
            if next.is_none() {
                return;
            }
        }
    }

    /// When something next happens.
    fn next(&self) -> Option<u64> {
        let wake =
            self.node.as_ref().and_then(Node::wake_at).map(|at| self.boot_at + at.uptime_ms());
        self.plugs.values().filter_map(Plug::wake_at).chain(wake).min()
    }

    /// What happens at this instant.
    pub(super) fn turn(&mut self) {
        let (time, boot_at) = (self.time, self.boot_at);
        let mut answers = Vec::new();
        for (id, plug) in &mut self.plugs {
            plug.tick(time);
            answers.extend(plug.answer(time, boot_at).map(|answer| (id.clone(), answer)));
        }
        let now = self.now();
        if let Some(node) = &mut self.node {
            for (id, (number, result)) in answers {
                node.step(now, Input::Outlet { outlet: id.parse().unwrap(), number, result });
            }
        }
        self.settle();
    }

    /// Puts something in.
    pub(in crate::node) fn step(&mut self, input: Input) {
        self.settles = (self.time, 0);
        let now = self.now();
        self.node.as_mut().expect("the agent runs").step(now, input);
        self.settle();
    }

    pub(super) fn settle(&mut self) {
        loop {
            let now = self.now();
            let Some(node) = &mut self.node else { break };
            self.settles = if self.settles.0 == self.time {
                (self.time, self.settles.1 + 1)
            } else {
                (self.time, 1)
            };
            assert!(
                self.settles.1 < MAX_SETTLES,
                "the node spins at {}: it wants to wake at {:?}",
                now.boot.0,
                node.wake_at()
            );
            let effects = node.settle(now);
            let inputs = self.perform(effects);
            if inputs.is_empty() {
                break;
            }
            let node = self.node.as_mut().expect("it was just there");
            for input in inputs {
                node.step(now, input);
            }
        }
        self.check();
    }

    /// Carries effects out; returns what comes back at once.
    fn perform(&mut self, effects: Effects) -> Vec<Input> {
        for (id, number, order) in effects.orders {
            let time = self.time;
            self.plug(id.as_str()).order(number, order, time);
        }
        let wrote = |prefix: &[u8]| {
            let put = |write: &Write| match write {
                Write::Put { key, .. } => key.starts_with(prefix),
                Write::Delete { .. } => false,
            };
            usize::from(effects.writes.iter().any(put))
        };
        self.session_writes += wrote(b"session/");
        self.checkpoints += wrote(b"node/checkpoint");
        for write in effects.writes {
            match write {
                Write::Put { key, value } => {
                    if let Some((Kind::Event, _)) = Kind::of(&key)
                        && !self.disk.contains_key(&key)
                    {
                        let event = codec::decode_event(&value).expect("events are readable");
                        self.events.push(serde_json::to_value(event).unwrap());
                    }
                    self.disk.insert(key, value);
                }
                Write::Delete { key } => {
                    self.disk.remove(&key);
                }
            }
        }
        let mut inputs = Vec::new();
        for act in effects.acts {
            match act {
                Act::Acknowledge(token) => self.acknowledged.push(token),
                Act::Answer { asker, answer } => self.local_answers.push((asker, answer)),
                Act::Publish { seq, .. } => inputs.push(Input::Delivered { seq }),
                Act::Load { seqs, .. } => {
                    let row = |seq: u64| {
                        let value = self.disk.get(&Kind::Event.key(seq.to_be_bytes()))?;
                        Some((seq, value.clone()))
                    };
                    let (from, through) = (*seqs.start(), *seqs.end());
                    let rows = seqs.filter_map(row).collect();
                    inputs.push(Input::Loaded { from, through, rows });
                }
                Act::Begin { task, attempt } => inputs.push(Input::Begun { task, attempt }),
                Act::State(state) => self.states.push(serde_json::from_slice(&state).unwrap()),
                Act::Status(_) | Act::Telemetry | Act::Run { .. } | Act::Kill { .. } => {}
            }
        }
        inputs
    }
}
