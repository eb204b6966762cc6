//! Sessions at work: which own what, how they begin, advance and are forgotten (contract, 6.1, 6.5).

use edge_protocol::event::Code;
use edge_protocol::id::{OutletId, SessionId, StationId};

use crate::node::Node;
use crate::node::record::{self, Kind};
use crate::node::session::{Fall, Progress, Session};

impl Node {
    /// The live session that owns an outlet.
    #[must_use]
    pub fn owner(&self, outlet: &OutletId) -> Option<&SessionId> {
        let owns = |session: &&Session| {
            session.owns(outlet)
                || session.stations().any(|station| self.station_has(station, outlet))
        };
        self.sessions.values().find(owns).map(|session| &session.id)
    }

    fn station_has(&self, station: &StationId, outlet: &OutletId) -> bool {
        self.settings.stations.get(station).is_some_and(|outlets| outlets.contains(outlet))
    }

    /// Why a station can't be powered now, where it can't.
    pub(in crate::node) fn obstacle(
        &self,
        station: &StationId,
        outlets: &[OutletId],
    ) -> Option<String> {
        let taken = |session: &&Session| session.stations().any(|taken| taken == station);
        if let Some(session) = self.sessions.values().find(taken) {
            return Some(format!("{station} has the live session {}", session.id));
        }
        // A session of before may own an outlet that the configuration has moved since.
        let owned = |id: &OutletId| Some((id.clone(), self.owner(id)?));
        match outlets.iter().find_map(owned) {
            Some((id, session)) => Some(format!("{id} belongs to the live session {session}")),
            None => self.held_off(outlets).or_else(|| self.stuck_on(outlets)),
        }
    }

    /// Which of some outlets can't be sold, since its power could not be taken away again.
    fn stuck_on(&self, outlets: &[OutletId]) -> Option<String> {
        let stuck = |id: &OutletId| {
            let trouble = self.outlets.get(id)?.stuck()?;
            Some(format!("{id} is stuck on: {}", trouble.message))
        };
        outlets.iter().find_map(stuck)
    }

    /// A session takes its outlets over from their holds, and keeps their settings for its end.
    pub(in crate::node) fn take_over(&mut self, session: &SessionId) {
        let Some(session) = self.sessions.get_mut(session) else { return };
        session.begin_metering(&self.outlets, self.now.boot);
        for id in session.outlets.clone() {
            self.take_outlet(&id);
        }
    }

    /// An outlet becomes a session's.
    pub(in crate::node) fn take_outlet(&mut self, id: &OutletId) {
        for fall in &mut self.falls {
            fall.outlets.retain(|outlet| outlet != id);
        }
        self.drop_hold(id);
        self.keep_settings(id);
    }

    /// Lets time and outlets act on every session.
    pub(in crate::node) fn advance_sessions(&mut self) {
        self.forget_ended();
        self.begin_booked();
        let mut moved: Vec<(SessionId, Progress)> = Vec::new();
        for (id, session) in &mut self.sessions {
            let progress = session.advance(&self.outlets, self.now);
            if progress.read_back {
                for outlet in &session.outlets {
                    if let Some(outlet) = self.outlets.get_mut(outlet) {
                        outlet.ask_again(self.now.boot);
                    }
                }
            }
            if progress.changed {
                moved.push((id.clone(), progress));
            }
        }
        for (id, progress) in moved {
            self.progressed(&id, progress);
        }
    }

    fn begin_booked(&mut self) {
        let due = |session: &&Session| session.due(self.now.boot);
        let due: Vec<SessionId> =
            self.sessions.values().filter(due).map(|session| session.id.clone()).collect();
        for id in due {
            let blocked = self.why_not_begin(&self.sessions[&id]);
            let mut progress = Progress { changed: true, ..Progress::default() };
            let session = self.sessions.get_mut(&id).expect("it was just looked up");
            match blocked {
                Some((code, message)) => session.fail(code, message, self.now, &mut progress),
                None => {
                    session.begin(self.now.boot);
                    self.take_over(&id);
                }
            }
            self.progressed(&id, progress);
        }
    }

    fn why_not_begin(&self, session: &Session) -> Option<(Code, String)> {
        if session.missed(self.now.boot) {
            let message = "its time had passed before the node could start it".to_owned();
            return Some((Code::Expired, message));
        }
        let obstacle = self.obstacle(&session.station, &session.outlets);
        obstacle.map(|message| (Code::Conflict, message))
    }

    /// Tells and writes what became of a session.
    pub(in crate::node) fn progressed(&mut self, id: &SessionId, progress: Progress) {
        for (cause, what) in progress.told {
            self.tell(Some(cause), what);
        }
        for fall in progress.let_go {
            self.let_go(fall);
        }
        if progress.over {
            self.forget_session(id);
        } else if progress.changed {
            self.voice.write_session(id.clone());
        }
    }

    /// Outlets are a session's no more: they go off in order, and their holds with them.
    fn let_go(&mut self, fall: Fall) {
        fall.outlets.iter().for_each(|outlet| self.drop_hold(outlet));
        self.falls.push(fall);
    }

    fn forget_session(&mut self, id: &SessionId) {
        let Some(session) = self.sessions.remove(id) else { return };
        if session.live() {
            // A session's off beats every hold and ends it.
            session.outlets.iter().for_each(|outlet| self.drop_hold(outlet));
        }
        self.effects.writes.push(record::delete(Kind::Session, id.as_str()));
        let running_ms = self.clock.running_ms();
        self.effects.writes.push(record::put(Kind::Ended, id.as_str(), &running_ms));
        self.ended.insert(id.clone(), running_ms, ());
        self.forget_ended();
    }

    /// Forgets sessions that ended long ago.
    fn forget_ended(&mut self) {
        for (id, ()) in self.ended.forget(self.clock.running_ms()) {
            self.effects.writes.push(record::delete(Kind::Ended, id.as_str()));
        }
    }

    /// What reboots took from guessed deadlines is known better.
    pub(in crate::node) fn correct_sessions(&mut self, earlier_ms: i64, for_good: bool) {
        for session in self.sessions.values_mut() {
            if session.correct(earlier_ms, for_good) {
                self.voice.write_session(session.id.clone());
            }
        }
    }
}
