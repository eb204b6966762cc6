//! Orders from the machine itself: a field tech's, through the running agent (contract, section 9).
//!
//! They are as durable as commands and have no id, so nothing remembers that they were asked: who
//! asks waits for the answer, and each order is absolute.

use edge_protocol::command::OutletSet;
use edge_protocol::event::Code;
use edge_protocol::limits::MAX_HOLD_MS;

use super::{Done, reject};
use crate::node::power::Asked;
use crate::node::{Act, Asker, LocalOrder, Node};

impl Node {
    /// Takes an order from the machine itself, and answers it once it is on disk.
    pub(in crate::node) fn receive_local(&mut self, asker: Asker, order: LocalOrder) {
        let answer = self.obey_local(order);
        if answer.is_ok() {
            self.voice.state_changed();
        }
        self.effects.acts.push(Act::Answer { asker, answer });
    }

    /// A command would wait at the broker while this node takes none; a person is told so instead.
    /// Only what powers something is work: an off and a release are taken as long as the agent runs.
    fn obey_local(&mut self, order: LocalOrder) -> Done {
        let powers = matches!(&order, LocalOrder::Set(OutletSet { on: true, .. }));
        if self.stopping {
            return reject(Code::Busy, "the agent is stopping: ask again once it runs");
        }
        if powers && !self.accepting() {
            let reason = "the node takes no new work: its disk fails or is full, or its outbox is";
            return reject(Code::Busy, reason);
        }
        match order {
            LocalOrder::Set(set) => {
                in_range(&set)?;
                self.hold(&set, Asked::Locally)
            }
            LocalOrder::Release(outlet) => self.release(&outlet),
        }
    }
}

/// The range of a command's `for_ms` holds here, too.
fn in_range(set: &OutletSet) -> Done {
    match set.for_ms {
        None if set.on => reject(Code::Invalid, "for_ms is missing: what is held on has an end"),
        Some(ms) if !(1..=MAX_HOLD_MS).contains(&ms) => {
            reject(Code::Invalid, format!("for_ms: {ms} is not from 1 to {MAX_HOLD_MS}"))
        }
        None | Some(_) => Ok(()),
    }
}
