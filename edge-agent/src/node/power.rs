//! What each outlet should be, out of the sessions, holds and cycles that cover it, and the
//! orders that follow (contract, sections 6.3, 6.7, 6.8 and 6.10).

use std::collections::BTreeMap;

use edge_protocol::event::{By, Code, OutletChanged, OutletFault, OutletLease, What};
use edge_protocol::id::{OutletId, SessionId, StationId};
use serde::{Deserialize, Serialize};

use super::Node;
use super::outlet::{self, Failure, Outlet, Reading, Want};
use super::record::{self, Kind};
use super::session::{Claim, Progress};
use super::time::BootMs;

/// A manual "keep this outlet on / off".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hold {
    pub(super) on: bool,
    pub(super) until: Option<BootMs>,
    /// It was set although a session owned the outlet, and lasts to that session's end at most.
    pub(super) forced: bool,
}

impl Node {
    /// The live session that owns an outlet.
    pub(super) fn owner(&self, outlet: &OutletId) -> Option<&SessionId> {
        let owns = |session: &&super::session::Session| {
            session.live()
                && (session.outlets.contains(outlet)
                    || session.stations().any(|station| self.station_has(station, outlet)))
        };
        self.sessions.values().find(owns).map(|session| &session.id)
    }

    fn station_has(&self, station: &StationId, outlet: &OutletId) -> bool {
        self.settings.stations.get(station).is_some_and(|outlets| outlets.contains(outlet))
    }

    /// Lets time and outlets act on every session.
    pub(super) fn advance_sessions(&mut self) {
        self.begin_booked();
        let ids: Vec<SessionId> = self.sessions.keys().cloned().collect();
        for id in ids {
            let Some(mut session) = self.sessions.remove(&id) else { continue };
            let mut progress = session.advance(&self.outlets, self.now);
            let read_back = progress.read_back;
            if read_back {
                for outlet in &session.outlets {
                    if let Some(outlet) = self.outlets.get_mut(outlet) {
                        outlet.ask_again(self.now.boot);
                    }
                }
            }
            progress.changed |= read_back;
            self.sessions.insert(id.clone(), session);
            self.progressed(&id, progress);
        }
    }

    fn begin_booked(&mut self) {
        let due = |session: &&super::session::Session| session.due(self.now.boot);
        let due: Vec<SessionId> =
            self.sessions.values().filter(due).map(|session| session.id.clone()).collect();
        for id in due {
            let session = &self.sessions[&id];
            let blocked = if session.missed(self.now.boot) {
                Some((
                    Code::Expired,
                    "its time had passed before the node could start it".to_owned(),
                ))
            } else {
                self.obstacle(&session.station, &session.outlets)
                    .map(|message| (Code::Conflict, message))
            };
            let mut progress = Progress { changed: true, ..Progress::default() };
            let session = self.sessions.get_mut(&id).expect("it was just looked up");
            match blocked {
                Some((code, message)) => {
                    session.fail(code, message, &mut progress);
                }
                None => {
                    session.begin(self.now.boot);
                    self.take_over(&id);
                }
            }
            self.progressed(&id, progress);
        }
    }

    /// Why a station can't be powered now, where it can't.
    pub(super) fn obstacle(&self, station: &StationId, outlets: &[OutletId]) -> Option<String> {
        let busy =
            self.sessions.values().find(|session| session.stations().any(|taken| taken == station));
        if let Some(session) = busy {
            return Some(format!("{station} has the live session {}", session.id));
        }
        let held_off = |id: &&OutletId| self.holds.get(*id).is_some_and(|hold| !hold.on);
        outlets.iter().find(held_off).map(|id| format!("{id} is held off"))
    }

    /// A session takes its outlets over from their holds, and keeps their settings for its end.
    pub(super) fn take_over(&mut self, session: &SessionId) {
        let Some(session) = self.sessions.get(session) else { return };
        for id in session.outlets.clone() {
            self.drop_hold(&id);
            self.keep_settings(&id);
        }
    }

    /// Keeps an outlet's settings on disk until it is confirmed off.
    pub(super) fn keep_settings(&mut self, id: &OutletId) {
        if let Some(outlet) = self.outlets.get(id) {
            self.effects.writes.push(record::put(Kind::Outlet, id.as_str(), &outlet.settings));
            self.kept.insert(id.clone());
        }
    }

    pub(super) fn drop_hold(&mut self, outlet: &OutletId) {
        if self.holds.remove(outlet).is_some() {
            self.effects.writes.push(record::delete(Kind::Hold, outlet.as_str()));
        }
    }

    /// Tells and writes what became of a session.
    pub(super) fn progressed(&mut self, id: &SessionId, progress: Progress) {
        for (cause, what) in progress.told {
            self.tell(Some(cause), what);
        }
        if progress.over {
            self.forget_session(id);
        } else if progress.changed {
            self.voice.write_session(id.clone());
        }
    }

    fn forget_session(&mut self, id: &SessionId) {
        let Some(session) = self.sessions.remove(id) else { return };
        for outlet in &session.outlets {
            // A session's off beats every hold and ends it.
            self.drop_hold(outlet);
        }
        self.effects.writes.push(record::delete(Kind::Session, id.as_str()));
        let running_ms = self.clock.running_ms();
        self.effects.writes.push(record::put(Kind::Ended, id.as_str(), &running_ms));
        self.ended.insert(id.clone(), running_ms, ());
        for (id, ()) in self.ended.forget(running_ms) {
            self.effects.writes.push(record::delete(Kind::Ended, id.as_str()));
        }
    }

    /// Ends holds whose time has come, and brings every outlet towards what it should be.
    pub(super) fn advance_power(&mut self) {
        let now = self.now.boot;
        let over = |hold: &Hold| hold.until.is_some_and(|until| now >= until);
        let ended: Vec<OutletId> =
            self.holds.iter().filter(|(_, hold)| over(hold)).map(|(id, _)| id.clone()).collect();
        ended.iter().for_each(|id| self.drop_hold(id));
        let mut owned: BTreeMap<OutletId, Claim> = BTreeMap::new();
        for session in self.sessions.values() {
            owned.extend(session.claims(&self.outlets, now));
        }
        let wants: Vec<(OutletId, Want)> = self
            .outlets
            .iter()
            .map(|(id, outlet)| (id.clone(), self.want(id, outlet, owned.get(id).copied())))
            .collect();
        for (id, want) in wants {
            let Some(outlet) = self.outlets.get_mut(&id) else { continue };
            outlet.set(want, now);
            if outlet.confirmed_off()
                && !owned.contains_key(&id)
                && !self.holds.contains_key(&id)
                && self.kept.remove(&id)
            {
                self.effects.writes.push(record::delete(Kind::Outlet, id.as_str()));
            }
            if let Some((number, order)) = outlet.drive(now) {
                self.effects.orders.push((id, number, order));
            }
        }
    }

    /// What an outlet should be. The first that speaks decides: a session's end, a forced hold, a
    /// cycle, the session, a hold, the rest.
    fn want(&self, id: &OutletId, outlet: &Outlet, owned: Option<Claim>) -> Want {
        let hold = self.holds.get(id);
        let held = hold.map(|hold| {
            let session_off = owned.and_then(|owned| match owned {
                Claim::On(off) => Some(off),
                Claim::Off | Claim::End => None,
            });
            // Whoever wants it on for longer decides when the plug gives up.
            let until =
                hold.until.max(session_off).filter(|_| outlet.rest() != Want::On(By::Rest, None));
            if hold.on { Want::On(By::Hold, until) } else { Want::Off(By::Hold) }
        });
        let forced = held.filter(|_| hold.is_some_and(|hold| hold.forced));
        let session = owned.map(|owned| match owned {
            Claim::On(off) => Want::On(By::Session, Some(off)),
            Claim::Off | Claim::End => Want::Off(By::Session),
        });
        if owned == Some(Claim::End) {
            return Want::Off(By::Session);
        }
        let covered = session.or(held).unwrap_or_else(|| outlet.rest());
        let cycled = self.cycle_wants(id, covered);
        forced.or(cycled).unwrap_or(covered)
    }

    /// Takes a driver's answer in.
    pub(super) fn answered(
        &mut self,
        id: &OutletId,
        number: u64,
        result: Result<Reading, Failure>,
    ) {
        let now = self.now;
        let Some(outlet) = self.outlets.get_mut(id) else { return };
        let news = outlet.answered(number, result, now.boot);
        let session = self.owner(id).cloned();
        let cause = session
            .as_ref()
            .and_then(|id| self.sessions.get(id))
            .map(|session| session.cause.clone());
        for piece in news {
            let (outlet, session) = (id.clone(), session.clone());
            let what = match piece {
                outlet::News::Changed { on, by, proof } => {
                    What::OutletChanged(OutletChanged { outlet, session, on, by, proof })
                }
                outlet::News::Lease { lease, off_at } => What::OutletLease(OutletLease {
                    outlet,
                    session,
                    lease,
                    off_at_ms: off_at.map(|at| now.wall_at(at)),
                }),
                outlet::News::Fault { fault, message, since } => What::OutletFault(OutletFault {
                    outlet,
                    session,
                    fault,
                    message,
                    since_ms: now.wall_at(since),
                }),
                outlet::News::Recovered { fault, message, since } => {
                    What::OutletRecovered(OutletFault {
                        outlet,
                        session,
                        fault,
                        message,
                        since_ms: now.wall_at(since),
                    })
                }
            };
            self.tell(cause.clone(), what);
        }
        self.voice.state_changed();
    }
}
