//! Commands about sessions and outlets (contract, section 6).

use edge_protocol::command::{OutletSet, SessionEnd, SessionExtend, SessionStart, SessionTransfer};
use edge_protocol::event::{Code, What};
use edge_protocol::id::{CommandId, OutletId, SessionId, StationId};

use super::{Done, reject};
use crate::node::Node;
use crate::node::answer::Rejection;
use crate::node::power::{Asked, Hold};
use crate::node::record::{self, Kind};
use crate::node::session::{Defaults, Instants, Progress, Session};

/// Booked and live sessions of a node: far beyond its outlets, and little memory.
const MAX_SESSIONS: usize = 1_000;

impl Node {
    pub(super) fn start(
        &mut self,
        start: SessionStart,
        cause: CommandId,
        instants: Instants,
    ) -> Done {
        let outlets = self.station(&start.station)?;
        let id = start.session.clone();
        if self.sessions.contains_key(&id) || self.ended.contains(&id) {
            return reject(Code::Conflict, format!("the session id {id} was used before"));
        }
        if self.sessions.len() >= MAX_SESSIONS {
            let message = format!("this node has {MAX_SESSIONS} sessions already");
            return reject(Code::Conflict, message);
        }
        let defaults = Defaults {
            warn_before_ms: &self.settings.warn_before_ms,
            grace_ms: self.settings.grace_ms,
        };
        let mut session = Session::new(start, outlets, cause.clone(), &defaults, instants)?;
        if session.due(self.now.boot) {
            if let Some(obstacle) = self.obstacle(&session.station, &session.outlets) {
                return reject(Code::Conflict, obstacle);
            }
            session.begin(self.now.boot);
        } else {
            let booked = session.booked(self.now);
            self.tell(Some(cause), booked);
        }
        let live = session.live();
        self.sessions.insert(id.clone(), session);
        if live {
            self.take_over(&id);
        }
        self.voice.write_session(id);
        Ok(())
    }

    pub(super) fn extend(
        &mut self,
        extend: &SessionExtend,
        cause: CommandId,
        instants: Instants,
    ) -> Done {
        let told = self.session(&extend.session)?.extend(extend, cause.clone(), instants)?;
        self.moved(&extend.session, &cause, told);
        Ok(())
    }

    pub(super) fn pause(&mut self, id: &SessionId, cause: CommandId) -> Done {
        let now = self.now;
        let progress = self.session(id)?.pause(cause, now)?;
        self.progressed_by_command(id, progress);
        Ok(())
    }

    pub(super) fn resume(&mut self, id: SessionId, cause: CommandId) -> Done {
        let now = self.now.boot;
        let session = self.session(&id)?;
        let outlets = if session.paused() { session.outlets.clone() } else { Vec::new() };
        if let Some(held_off) = self.held_off(&outlets) {
            return reject(Code::Conflict, held_off);
        }
        if self.session(&id)?.resume(cause, now)? {
            self.take_over(&id);
            self.voice.write_session(id);
        }
        Ok(())
    }

    pub(super) fn end(&mut self, end: &SessionEnd, cause: CommandId) -> Done {
        let now = self.now;
        let progress = self.session(&end.session)?.end(end, cause, now);
        self.progressed_by_command(&end.session, progress);
        Ok(())
    }

    pub(super) fn transfer(&mut self, transfer: SessionTransfer, cause: CommandId) -> Done {
        let outlets = self.station(&transfer.station)?;
        let now = self.now;
        let session = self.session(&transfer.session)?;
        let (live, here) = (session.live(), session.station == transfer.station);
        if live
            && !here
            && let Some(obstacle) = self.obstacle(&transfer.station, &outlets)
        {
            return reject(Code::Conflict, obstacle);
        }
        let new = outlets.clone();
        let session = self.session(&transfer.session)?;
        let told = session.transfer(transfer.station, outlets, cause.clone(), now)?;
        if live {
            for outlet in new {
                self.take_outlet(&outlet);
            }
        }
        self.moved(&transfer.session, &cause, told);
        Ok(())
    }

    pub(super) fn hold(&mut self, set: &OutletSet, asked: Asked) -> Done {
        self.known_outlet(&set.outlet)?;
        let owner = self.owner(&set.outlet);
        if let Some(session) = owner.filter(|_| !set.force) {
            let message = format!("session {session} owns {}; `force` overrides it", set.outlet);
            return reject(Code::Conflict, message);
        }
        let hold = Hold {
            on: set.on,
            until: set.for_ms.map(|ms| self.now.boot + ms),
            forced: owner.is_some(),
            local: asked == Asked::Locally,
            command: asked.command(),
        };
        self.effects.writes.push(record::put(Kind::Hold, set.outlet.as_str(), &hold));
        // A hold's end is an instant of this boot: the next one needs a checkpoint to read it.
        let checkpoint = self.clock.checkpoint(false);
        self.effects.writes.push(checkpoint);
        self.keep_settings(&set.outlet);
        self.holds.insert(set.outlet.clone(), hold);
        Ok(())
    }

    pub(super) fn release(&mut self, outlet: &OutletId) -> Done {
        self.known_outlet(outlet)?;
        self.drop_hold(outlet);
        Ok(())
    }

    pub(super) fn known_outlet(&self, id: &OutletId) -> Done {
        if self.settings.outlets.contains_key(id) {
            return Ok(());
        }
        reject(Code::UnknownOutlet, format!("this node has no outlet {id}"))
    }

    fn progressed_by_command(&mut self, id: &SessionId, mut progress: Progress) {
        progress.changed = true;
        self.progressed(id, progress);
    }

    fn moved(&mut self, id: &SessionId, cause: &CommandId, told: Vec<What>) {
        for what in told {
            self.tell(Some(cause.clone()), what);
        }
        self.voice.write_session(id.clone());
    }

    /// A booked or live session; an ended one allows nothing any more.
    fn session(&mut self, id: &SessionId) -> Result<&mut Session, Rejection> {
        if self.ended.contains(id) {
            return Err(Rejection::new(Code::Conflict, format!("session {id} is over")));
        }
        let unknown = || Rejection::new(Code::UnknownSession, format!("there is no session {id}"));
        self.sessions.get_mut(id).ok_or_else(unknown)
    }

    fn station(&self, id: &StationId) -> Result<Vec<OutletId>, Rejection> {
        let unknown =
            || Rejection::new(Code::UnknownStation, format!("this node has no station {id}"));
        self.settings.stations.get(id).cloned().ok_or_else(unknown)
    }
}
