//! What a node says: events get their number here and nowhere else, and the retained status and
//! state follow what changed (contract, sections 2, 3 and 5).

mod presence;

use std::collections::BTreeSet;

use edge_protocol::codec::encode;
use edge_protocol::event::{
    Clock, ClockedSession, Event, NodeClock, NodeDropped, NodeReport, NodeStore, OutletReport, What,
};
use edge_protocol::id::{CommandId, OutletId, SessionId};
use edge_protocol::limits::MAX_MESSAGE_BYTES;

pub use self::presence::OutletDetail;
use super::outbox::{Gone, Refusal, Wish};
use super::record::{self, Kind};
use super::time::{BootMs, Now};
use super::{Act, Node};

/// State goes out at most so often.
const STATE_MS: u64 = 1_000;

#[derive(Debug, Default)]
pub(super) struct Voice {
    drafts: Vec<Draft>,
    /// The latest of each kind that repeats, while the outbox is rather full; in order.
    collapsed: Vec<Draft>,
    changed_sessions: BTreeSet<SessionId>,
    state_changed: bool,
    state_told_at: Option<BootMs>,
    status_changed: bool,
    told_accepting: bool,
    online_since_ms: u64,
    /// When the broker took us in with a session of ours: commands may have waited in it.
    resumed_at: Option<BootMs>,
}

/// What is to be told and has no number yet.
#[derive(Debug)]
struct Draft {
    at: Now,
    cause: Option<CommandId>,
    what: What,
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

    /// Whether a command that came then may have waited at the broker.
    pub(super) fn may_have_queued(&self, arrived: BootMs, within_ms: u64) -> bool {
        self.resumed_at.is_some_and(|at| arrived - at <= within_ms)
    }

    pub(super) fn wake_at(&self, connected: bool) -> Option<BootMs> {
        let due = self.state_told_at.map_or(BootMs(0), |at| at + STATE_MS);
        (connected && self.state_changed).then_some(due)
    }

    /// Where a command's answer goes: before everything that it led to.
    pub(super) fn mark(&self) -> usize {
        self.drafts.len()
    }

    /// Keeps only the latest of what repeats.
    fn collapse(&mut self) {
        for draft in std::mem::take(&mut self.drafts) {
            match repeats(&draft.what) {
                None => self.drafts.push(draft),
                Some(key) => {
                    self.collapsed.retain(|earlier| repeats(&earlier.what) != Some(key));
                    self.collapsed.push(draft);
                }
            }
        }
    }
}

impl Node {
    /// Tells the control plane; the event gets its number when the batch is settled.
    pub(super) fn tell(&mut self, cause: Option<CommandId>, what: What) {
        self.tell_at(self.voice.mark(), cause, what);
    }

    /// The same, before what was told since the `mark`.
    pub(super) fn tell_at(&mut self, mark: usize, cause: Option<CommandId>, what: What) {
        self.voice.drafts.insert(mark, Draft { at: self.now, cause, what });
    }

    /// Tells of a correction of the wall clock, and the new name of each live session's deadline.
    pub(super) fn tell_clock(&mut self, step_ms: i64) {
        let now = self.now;
        let off_for_ms = self.clock.take_off_for_ms();
        let mut sessions = Vec::new();
        for (id, session) in &mut self.sessions {
            if let Some(ends_at_ms) = session.rename_deadline(now) {
                sessions.push(ClockedSession { session: id.clone(), ends_at_ms });
                self.voice.changed_sessions.insert(id.clone());
            }
        }
        self.tell(None, What::NodeClock(NodeClock { step_ms, sessions, off_for_ms }));
    }

    /// Answers `node.report`.
    pub(super) fn report(&mut self, cause: CommandId) {
        let outlets = self.outlets.iter().map(|(id, outlet)| OutletReport {
            outlet: id.clone(),
            driver: outlet.settings.driver.clone(),
            reachable: outlet.reachable(),
            cycles: Some(outlet.life.cycles).filter(|cycles| *cycles > 0),
            worn_percent: outlet.life.worn_percent(&outlet.settings),
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

    /// The broker has an event.
    pub(super) fn delivered(&mut self, seq: u64) {
        let held = self.outbox.held();
        self.outbox.delivered(seq, self.clock.running_ms());
        self.voice.status_changed |= held != self.outbox.held();
    }

    /// The broker would not take an event.
    pub(super) fn refused(&mut self, seq: u64, code: u8) {
        let reason = format!("the broker refused it with 0x{code:02x}");
        match self.outbox.refused(seq, code, self.now.boot) {
            Refusal::Replace => self.drop_events(seq, seq, reason),
            Refusal::Again(cause) => {
                let dropped = NodeDropped { from_seq: seq, to_seq: seq, reason };
                self.tell(Some(cause), What::NodeDropped(dropped));
            }
            Refusal::Held => self.voice.status_changed = true,
            Refusal::Nothing => {}
        }
    }

    /// Replaces events that can't be delivered, under the first one's number.
    fn drop_events(&mut self, from_seq: u64, to_seq: u64, reason: String) {
        let what = What::NodeDropped(NodeDropped { from_seq, to_seq, reason });
        let event = self.event(from_seq, Draft { at: self.now, cause: None, what });
        let payload = encode(self.settings.encoding, &event);
        let write = self.outbox.replace(from_seq, to_seq, payload);
        self.effects.writes.push(write);
        self.effects.told.push(event);
    }

    /// Events came from disk.
    pub(super) fn loaded(&mut self, from: u64, through: u64, rows: Vec<(u64, Vec<u8>)>) {
        let (lost, gone) = self.outbox.loaded(from, through, rows);
        for (from_seq, to_seq) in lost {
            self.drop_events(from_seq, to_seq, "not found on disk".to_owned());
        }
        for Gone { from: from_seq, to: to_seq, cause } in gone {
            let reason = "no longer kept".to_owned();
            let dropped = NodeDropped { from_seq, to_seq, reason };
            self.tell(Some(cause), What::NodeDropped(dropped));
        }
    }

    /// Numbers what was told, writes what changed, and says what is due.
    pub(super) fn speak(&mut self) {
        for (from, to) in self.outbox.take_missing() {
            self.drop_events(from, to, "not found on disk".to_owned());
        }
        self.number_drafts();
        self.write_sessions();
        let wishes = self.outbox.advance(self.now.boot);
        self.effects.acts.extend(wishes.into_iter().map(|wish| match wish {
            Wish::Publish { seq, payload } => Act::Publish { seq, payload },
            Wish::Load { seqs, max_bytes } => Act::Load { seqs, max_bytes },
        }));
        if self.voice.told_accepting != self.accepting() {
            self.voice.status_changed = true;
        }
        if !self.outbox.connected() {
            return;
        }
        // The link says goodbye by itself, with a status of its own.
        if !self.stopping && std::mem::take(&mut self.voice.status_changed) {
            self.voice.told_accepting = self.accepting();
            let status = encode(self.settings.encoding, &self.status());
            self.effects.acts.push(Act::Status(status));
        }
        let due = self.voice.state_told_at.is_none_or(|at| self.now.boot >= at + STATE_MS);
        // What waited for its turn would not survive the end.
        if self.voice.state_changed && (due || self.stopping) {
            self.voice.state_changed = false;
            self.voice.state_told_at = Some(self.now.boot);
            let state = encode(self.settings.encoding, &self.state());
            self.effects.acts.push(Act::State(state));
        }
    }

    fn number_drafts(&mut self) {
        let (_, bytes) = self.outbox.waiting();
        let rather_full = bytes > self.settings.outbox_max_bytes / 4 * 3;
        // What was held back so far would not survive the end.
        let drafts = if rather_full && !self.stopping {
            self.voice.collapse();
            std::mem::take(&mut self.voice.drafts)
        } else {
            let mut drafts = std::mem::take(&mut self.voice.collapsed);
            drafts.append(&mut self.voice.drafts);
            drafts
        };
        for draft in drafts {
            self.number(draft);
        }
    }

    fn number(&mut self, draft: Draft) {
        let seq = self.outbox.next_seq();
        if let Some(session) = draft.what.session()
            && let Some(session) = self.sessions.get_mut(session)
        {
            session.last_seq = seq;
            self.voice.changed_sessions.insert(session.id.clone());
        }
        let (at, kind) = (draft.at, draft.what.kind());
        let mut event = self.event(seq, draft);
        let mut payload = encode(self.settings.encoding, &event);
        let fits = payload.len() <= MAX_MESSAGE_BYTES;
        if !fits {
            let reason = format!("a {kind} of {} bytes is too large to send", payload.len());
            let what = What::NodeDropped(NodeDropped { from_seq: seq, to_seq: seq, reason });
            event = self.event(seq, Draft { at, cause: None, what });
            payload = encode(self.settings.encoding, &event);
        }
        let kept = fits && !kind.starts_with("node.");
        let write = self.outbox.push(seq, payload, kept);
        self.effects.writes.push(write);
        self.effects.told.push(event);
        self.voice.state_changed = true;
    }

    fn event(&self, seq: u64, draft: Draft) -> Event {
        let Draft { at, cause, what } = draft;
        Event {
            store: self.settings.store.clone(),
            seq,
            at_ms: at.wall_ms,
            clock: clock(at),
            uptime_ms: at.boot.uptime_ms(),
            boot_id: self.settings.boot_id.clone(),
            cause,
            what,
        }
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
}

fn clock(at: Now) -> Clock {
    if at.synced { Clock::Synced } else { Clock::Unsynced }
}

/// Which later event makes this one superfluous: one of the same kind, of the same outlet where
/// it is of one. What is lost or gone is told each time.
fn repeats(what: &What) -> Option<(&'static str, Option<&OutletId>)> {
    if let What::NodeDropped(_) | What::NodeStore(NodeStore { lost: Some(_), .. }) = what {
        return None;
    }
    let (kind, outlet) = (what.kind(), what.outlet());
    (outlet.is_some() || kind.starts_with("node.")).then_some((kind, outlet))
}

#[cfg(test)]
mod tests;
