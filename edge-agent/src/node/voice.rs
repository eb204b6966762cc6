//! What a node says: events get their number here and nowhere else, and the retained status and
//! state follow what changed (contract, sections 2, 3 and 5).

use std::collections::{BTreeMap, BTreeSet};

use edge_protocol::codec::encode;
use edge_protocol::event::{
    Clock, ClockedSession, Event, Lease, NodeClock, NodeDropped, NodeReport, OutletReport, What,
};
use edge_protocol::id::{CommandId, SessionId};
use edge_protocol::presence::{
    HoldState, Online, OutletState, Queues, State, StationState, Status,
};

use super::outbox::Wish;
use super::record::{self, Kind};
use super::time::{BootMs, Now};
use super::{Act, Node};

/// State goes out at most so often.
const STATE_MS: u64 = 1_000;
/// The broker will never take these: malformed, or too large.
const HOPELESS: [u8; 2] = [0x95, 0x99];

#[derive(Debug, Default)]
pub(super) struct Voice {
    drafts: Vec<(Option<CommandId>, What)>,
    /// The latest of each kind that repeats, while the outbox is rather full.
    collapsed: BTreeMap<String, (Option<CommandId>, What)>,
    changed_sessions: BTreeSet<SessionId>,
    state_changed: bool,
    state_told_at: Option<BootMs>,
    status_changed: bool,
    told_accepting: bool,
    online_since_ms: u64,
    /// When the broker took us in with a session of ours: commands may have waited in it.
    resumed_at: Option<BootMs>,
}

impl Voice {
    pub(super) fn state_changed(&mut self) {
        self.state_changed = true;
    }

    pub(super) fn status_changed(&mut self) {
        self.status_changed = true;
    }

    pub(super) fn write_session(&mut self, id: SessionId) {
        self.changed_sessions.insert(id);
        self.state_changed = true;
    }

    pub(super) fn connected(&mut self, now: Now, session_present: bool) {
        self.resumed_at = session_present.then_some(now.boot);
        self.online_since_ms = now.wall_ms;
        self.status_changed = true;
        self.state_changed = true;
        self.state_told_at = None;
    }

    /// Whether a command that comes now may have waited at the broker.
    pub(super) fn may_have_queued(&self, now: BootMs, within_ms: u64) -> bool {
        self.resumed_at.is_some_and(|at| now - at <= within_ms)
    }

    pub(super) fn wake_at(&self, connected: bool) -> Option<BootMs> {
        let due = self.state_told_at.map_or(BootMs(0), |at| at + STATE_MS);
        (connected && self.state_changed).then_some(due)
    }

    /// Where a command's answer goes: before everything that it led to.
    pub(super) fn mark(&self) -> usize {
        self.drafts.len()
    }

    pub(super) fn insert(&mut self, mark: usize, cause: Option<CommandId>, what: What) {
        self.drafts.insert(mark, (cause, what));
    }
}

impl Node {
    /// Tells the control plane; the event gets its number when the batch is settled.
    pub(super) fn tell(&mut self, cause: Option<CommandId>, what: What) {
        self.voice.drafts.push((cause, what));
    }

    /// Tells of a correction of the wall clock, and the new name of each live session's deadline.
    pub(super) fn tell_clock(&mut self, step_ms: i64) {
        let now = self.now;
        let mut sessions = Vec::new();
        for (id, session) in &mut self.sessions {
            if let Some(ends_at_ms) = session.rename_deadline(now) {
                sessions.push(ClockedSession { session: id.clone(), ends_at_ms });
                self.voice.changed_sessions.insert(id.clone());
            }
        }
        self.tell(None, What::NodeClock(NodeClock { step_ms, sessions }));
    }

    /// Answers `node.report`.
    pub(super) fn report(&mut self, cause: CommandId) {
        let outlets = self.outlets.iter().map(|(id, outlet)| OutletReport {
            outlet: id.clone(),
            driver: outlet.settings.driver.clone(),
            reachable: outlet.reachable(),
        });
        let report = NodeReport {
            version: self.settings.version.clone(),
            hardware: self.settings.hardware.clone(),
            outlets: outlets.collect(),
            configuration: self.settings.configuration.clone(),
            expires_at_ms: self.settings.certificate_expires_at_ms,
        };
        self.tell(Some(cause), What::NodeReport(report));
        self.voice.state_changed = true;
        self.voice.state_told_at = None;
        self.effects.acts.push(Act::Telemetry);
    }

    /// The broker would not take an event.
    pub(super) fn refused(&mut self, seq: u64, code: u8) {
        if !HOPELESS.contains(&code) {
            self.outbox.hold(code);
            self.voice.status_changed = true;
            return;
        }
        self.drop_event(seq, format!("the broker refused it with 0x{code:02x}"));
    }

    /// Replaces an event that can't be delivered under its number.
    fn drop_event(&mut self, seq: u64, reason: String) {
        let dropped = What::NodeDropped(NodeDropped { from_seq: seq, to_seq: seq, reason });
        let payload = self.event(seq, None, dropped);
        let replaced = self.outbox.replace(seq, payload);
        self.effects.writes.extend(replaced);
    }

    /// Events came from disk.
    pub(super) fn loaded(&mut self, from: u64, through: u64, rows: Vec<(u64, Vec<u8>)>) {
        let mut wishes = Vec::new();
        let gone = self.outbox.loaded(from, through, rows, &mut wishes);
        self.grant(wishes);
        for (from_seq, to_seq) in gone {
            if from_seq > self.outbox.acked() {
                self.drop_event(from_seq, "it could not be read from disk".to_owned());
            } else {
                let reason = "no longer kept".to_owned();
                self.tell(None, What::NodeDropped(NodeDropped { from_seq, to_seq, reason }));
            }
        }
    }

    /// Numbers what was told, writes what changed, and says what is due.
    pub(super) fn speak(&mut self) {
        self.number_drafts();
        self.write_sessions();
        let mut wishes = Vec::new();
        self.outbox.advance(&mut wishes);
        self.grant(wishes);
        if self.voice.told_accepting != self.accepting() {
            self.voice.status_changed = true;
        }
        if !self.outbox.connected() || self.stopping {
            return;
        }
        if std::mem::take(&mut self.voice.status_changed) {
            self.voice.told_accepting = self.accepting();
            let status = encode(self.settings.encoding, &self.status());
            self.effects.acts.push(Act::Status(status));
        }
        let due = self.voice.state_told_at.is_none_or(|at| self.now.boot >= at + STATE_MS);
        if self.voice.state_changed && due {
            self.voice.state_changed = false;
            self.voice.state_told_at = Some(self.now.boot);
            let state = encode(self.settings.encoding, &self.state());
            self.effects.acts.push(Act::State(state));
        }
    }

    fn number_drafts(&mut self) {
        let mut drafts = std::mem::take(&mut self.voice.drafts);
        let (_, bytes) = self.outbox.waiting();
        let rather_full = bytes >= self.settings.outbox_max_bytes / 4 * 3;
        if rather_full {
            drafts.retain(|(cause, what)| match collapse_key(what) {
                Some(key) => {
                    self.voice.collapsed.insert(key, (cause.clone(), what.clone()));
                    false
                }
                None => true,
            });
        } else {
            drafts.extend(std::mem::take(&mut self.voice.collapsed).into_values());
        }
        for (cause, what) in drafts {
            let seq = self.outbox.next_seq();
            if let Some(session) = what.session()
                && let Some(session) = self.sessions.get_mut(session)
            {
                session.last_seq = seq;
                self.voice.changed_sessions.insert(session.id.clone());
            }
            let kept = !what.kind().starts_with("node.");
            let payload = self.event(seq, cause, what);
            let write = self.outbox.push(seq, payload, kept);
            self.effects.writes.push(write);
            self.voice.state_changed = true;
        }
    }

    fn event(&self, seq: u64, cause: Option<CommandId>, what: What) -> Vec<u8> {
        let event = Event {
            store: self.settings.store.clone(),
            seq,
            at_ms: self.now.wall_ms,
            clock: self.told_clock(),
            uptime_ms: self.now.boot.uptime_ms(),
            boot_id: self.settings.boot_id.clone(),
            cause,
            what,
        };
        encode(self.settings.encoding, &event)
    }

    /// Writes the sessions that changed, and the clocks with them: their instants mean nothing without.
    fn write_sessions(&mut self) {
        let mut written = false;
        for id in std::mem::take(&mut self.voice.changed_sessions) {
            if let Some(session) = self.sessions.get(&id) {
                self.effects.writes.push(record::put(Kind::Session, id.as_str(), session));
                written = true;
            }
        }
        if written && !self.stopping {
            let checkpoint = self.clock.checkpoint(false);
            self.effects.writes.push(checkpoint);
        }
    }

    fn grant(&mut self, wishes: Vec<Wish>) {
        self.effects.acts.extend(wishes.into_iter().map(|wish| match wish {
            Wish::Publish { seq, payload } => Act::Publish { seq, payload },
            Wish::Load { seqs, max_bytes } => Act::Load { seqs, max_bytes },
        }));
    }

    fn told_clock(&self) -> Clock {
        if self.now.synced { Clock::Synced } else { Clock::Unsynced }
    }

    fn status(&self) -> Status {
        Status::Online(Online {
            online: true,
            accepting: self.accepting(),
            version: self.settings.version.clone(),
            boot_id: self.settings.boot_id.clone(),
            since_ms: self.voice.online_since_ms,
            clock: self.told_clock(),
            refused: self
                .outbox
                .held()
                .map(|code| format!("the broker refuses events with 0x{code:02x}")),
        })
    }

    /// The whole present state.
    #[must_use]
    pub fn state(&self) -> State {
        let (outbox_events, outbox_bytes) = self.outbox.waiting();
        State {
            node: self.settings.node.clone(),
            at_ms: self.now.wall_ms,
            stations: self
                .settings
                .stations
                .iter()
                .map(|(id, outlets)| StationState {
                    station: id.clone(),
                    outlets: outlets.clone(),
                    session: self
                        .sessions
                        .values()
                        .find(|session| session.live() && session.station == *id)
                        .map(|session| session.id.clone()),
                })
                .collect(),
            outlets: self
                .outlets
                .iter()
                .map(|(id, outlet)| self.outlet_state(id, outlet))
                .collect(),
            sessions: self.sessions.values().map(|session| session.state(self.now)).collect(),
            queues: Queues {
                tasks_queued: self.tasks.queued() as u64,
                tasks_running: self.tasks.running_count() as u64,
                outbox_events,
                outbox_bytes,
                last_seq: self.outbox.last_seq(),
            },
        }
    }

    fn outlet_state(
        &self,
        id: &edge_protocol::id::OutletId,
        outlet: &super::outlet::Outlet,
    ) -> OutletState {
        let (lease, off_at) = outlet.told_lease();
        OutletState {
            outlet: id.clone(),
            on: outlet.on(),
            lease,
            off_at_ms: off_at.filter(|_| lease != Lease::None).map(|at| self.now.wall_at(at)),
            hold: self.holds.get(id).map(|hold| HoldState {
                on: hold.on,
                until_ms: hold.until.map(|until| self.now.wall_at(until)),
            }),
            fault: outlet.fault(),
        }
    }
}

/// Which earlier event a later one of the same kind makes superfluous.
fn collapse_key(what: &What) -> Option<String> {
    let name = what.kind();
    match what.outlet() {
        Some(outlet) => Some(format!("{name} {outlet}")),
        None => name.starts_with("node.").then(|| name.to_owned()),
    }
}
