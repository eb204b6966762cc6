//! What the control plane says and hears.

use serde_json::{Value, json};

use super::World;
use crate::node::{Input, LocalOrder};

impl World {
    /// Sends a command: `{"type", "body"}`, the rest filled in. Returns its id.
    pub(in crate::node) fn command(&mut self, command: Value) -> String {
        let mut command = command;
        self.commands += 1;
        let envelope = command.as_object_mut().unwrap();
        let id = envelope.entry("id").or_insert(json!(format!("c{}", self.commands))).clone();
        envelope.entry("issued_at_ms").or_insert(json!(self.true_wall()));
        envelope.retain(|_, value| !value.is_null());
        let (token, payload) = (self.commands, command.to_string().into_bytes());
        self.step(Input::Command { token, payload, retained: false });
        id.as_str().unwrap().to_owned()
    }

    /// Sends a command; returns the code of its rejection, if it is rejected.
    pub(in crate::node) fn send(&mut self, kind: &str, body: Value) -> Result<String, String> {
        let id = self.command(json!({"type": kind, "body": body}));
        let answers = |event: &&Value| event["body"]["command"] == json!(id);
        let answer = self.events.iter().rev().find(answers).expect("each command is answered");
        match answer["body"]["code"].as_str() {
            None => Ok(id),
            Some(code) => Err(code.to_owned()),
        }
    }

    /// Sends a command that must be accepted.
    pub(in crate::node) fn accept(&mut self, kind: &str, body: Value) -> String {
        let told = body.to_string();
        self.send(kind, body).unwrap_or_else(|code| panic!("{kind} {told}: {code}"))
    }

    /// Orders something on the machine itself; returns the code of its rejection, if it is rejected.
    pub(in crate::node) fn locally(&mut self, order: LocalOrder) -> Result<(), String> {
        let asker = self.local_answers.len() as u64 + 1;
        self.step(Input::Local { asker, order });
        let (answered, answer) = self.local_answers.last().expect("each order is answered");
        assert_eq!((*answered, self.local_answers.len() as u64), (asker, asker));
        answer.clone().map_err(|rejection| {
            serde_json::to_value(rejection.code).unwrap().as_str().unwrap().to_owned()
        })
    }

    /// Starts a session and waits until it is `active`.
    pub(in crate::node) fn start(&mut self, session: &str, station: &str, duration_ms: u64) {
        self.start_with(
            json!({"session": session, "station": station, "duration_ms": duration_ms}),
        );
    }

    /// The same with any body.
    pub(in crate::node) fn start_with(&mut self, body: Value) {
        let session = body["session"].as_str().unwrap().to_owned();
        self.accept("session.start", body);
        self.run_until("session.started");
        assert_eq!(self.phase(&session), "active");
    }

    /// The phase of a session, `over` once it has none.
    pub(in crate::node) fn phase(&self, session: &str) -> String {
        let state = self.node().state();
        let found = state.sessions.iter().find(|found| found.session.as_str() == session);
        found.map_or_else(|| "over".to_owned(), |found| found.phase.clone())
    }

    /// The hold on an outlet: whether it is held on.
    pub(in crate::node) fn hold(&self, outlet: &str) -> Option<bool> {
        let state = self.node().state();
        let found = state.outlets.into_iter().find(|found| found.outlet.as_str() == outlet);
        found?.hold.map(|hold| hold.on)
    }

    /// Every event of the world.
    pub(in crate::node) fn events(&self) -> &[Value] {
        &self.events
    }

    /// The events since this was last called.
    pub(in crate::node) fn take(&mut self) -> Vec<Value> {
        let events = self.events[self.taken..].to_vec();
        self.taken = self.events.len();
        events
    }

    /// The bodies of events of one kind, each with its `at_ms` and `cause`.
    pub(in crate::node) fn told(&self, kind: &str) -> Vec<Value> {
        let bodies = self.events.iter().filter(|event| event["type"] == kind).map(|event| {
            let mut body = event["body"].clone();
            body["at_ms"] = event["at_ms"].clone();
            body["cause"] = event["cause"].clone();
            body
        });
        bodies.collect()
    }

    /// The last event of a kind.
    pub(in crate::node) fn last(&self, kind: &str) -> Value {
        self.told(kind).pop().unwrap_or_else(|| panic!("no {kind} was told"))
    }
}
