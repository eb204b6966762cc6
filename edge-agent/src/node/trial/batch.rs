//! What one call to a node led to.

use edge_protocol::event::{By, Code, Event, What};
use serde_json::Value;

use crate::node::Act;
use crate::node::record::Write;

#[derive(Debug, Default)]
pub(in crate::node) struct Batch {
    pub(in crate::node) writes: Vec<Write>,
    pub(in crate::node) acts: Vec<Act>,
    /// Those that it wrote.
    pub(in crate::node) events: Vec<Event>,
}

impl Batch {
    pub(super) fn append(&mut self, mut next: Self) {
        self.writes.append(&mut next.writes);
        self.acts.append(&mut next.acts);
        self.events.append(&mut next.events);
    }

    /// The kinds of its events, in order.
    pub(in crate::node) fn kinds(&self) -> Vec<&'static str> {
        self.events.iter().map(|event| event.what.kind()).collect()
    }

    /// The body of its one event of a kind.
    pub(in crate::node) fn body(&self, kind: &str) -> Value {
        let found: Vec<&Event> =
            self.events.iter().filter(|event| event.what.kind() == kind).collect();
        assert_eq!(found.len(), 1, "{kind} in {:?}", self.kinds());
        serde_json::to_value(&found[0].what).unwrap()["body"].clone()
    }

    /// The cause of its one event of a kind.
    pub(in crate::node) fn cause(&self, kind: &str) -> String {
        let event = self.events.iter().find(|event| event.what.kind() == kind).unwrap();
        event.cause.as_ref().unwrap().to_string()
    }

    /// How it found outlets switched, and by whom.
    pub(in crate::node) fn switched(&self) -> Vec<(bool, By)> {
        let changed = |event: &Event| {
            let What::OutletChanged(changed) = &event.what else { return None };
            Some((changed.on, changed.by))
        };
        self.events.iter().filter_map(changed).collect()
    }

    /// The code of its first rejection.
    pub(in crate::node) fn code(&self) -> Option<Code> {
        self.rejection().map(|(code, _)| code)
    }

    pub(in crate::node) fn rejection(&self) -> Option<(Code, String)> {
        self.events.iter().find_map(|event| {
            let What::CommandRejected(rejected) = &event.what else { return None };
            Some((rejected.code, rejected.message.clone()))
        })
    }

    pub(in crate::node) fn acknowledged(&self) -> Vec<u64> {
        let token = |act: &Act| {
            let Act::Acknowledge(token) = act else { return None };
            Some(*token)
        };
        self.acts.iter().filter_map(token).collect()
    }

    pub(in crate::node) fn published(&self) -> Vec<u64> {
        let seq = |act: &Act| {
            let Act::Publish { seq, .. } = act else { return None };
            Some(*seq)
        };
        self.acts.iter().filter_map(seq).collect()
    }

    /// The attempts of scripts that it starts.
    pub(in crate::node) fn runs(&self) -> Vec<(String, u32)> {
        let run = |act: &Act| {
            let Act::Run { task, attempt, .. } = act else { return None };
            Some((task.to_string(), *attempt))
        };
        self.acts.iter().filter_map(run).collect()
    }

    pub(in crate::node) fn kills(&self, task: &str) -> bool {
        self.acts.contains(&Act::Kill { task: task.parse().unwrap() })
    }

    pub(in crate::node) fn status(&self) -> Option<Value> {
        let status = |act: &Act| {
            let Act::Status(status) = act else { return None };
            Some(serde_cbor::from_slice(status).unwrap())
        };
        self.acts.iter().rev().find_map(status)
    }

    pub(in crate::node) fn state(&self) -> Option<Value> {
        let state = |act: &Act| {
            let Act::State(state) = act else { return None };
            Some(serde_cbor::from_slice(state).unwrap())
        };
        self.acts.iter().rev().find_map(state)
    }
}
