//! What each outlet should be, out of the sessions, holds and cycles that cover it, and the
//! orders that follow (contract, sections 6.3, 6.7, 6.8 and 6.10).

mod hold;
mod live;
mod pace;

use edge_protocol::event::{By, Fault, OutletChanged, OutletFault, OutletLease, What};
use edge_protocol::id::OutletId;

pub(super) use self::hold::{Asked, Hold, Kept};
use super::Node;
use super::outlet::{Failure, News, Outlet, Reading, Register, Switched, Trouble, Want};
use super::record::{self, Kind};
use super::session::Claim;

impl Node {
    /// Gives up orders whose drivers have not answered in time.
    pub(super) fn give_up_orders(&mut self) {
        let now = self.now.boot;
        let mut news: Vec<(OutletId, Vec<News>)> = Vec::new();
        for (id, outlet) in &mut self.outlets {
            let lost = outlet.overdue(now);
            if !lost.is_empty() {
                news.push((id.clone(), lost));
            }
        }
        for (id, news) in news {
            self.tell_news(&id, news);
        }
    }

    /// Brings every outlet towards what it should be.
    pub(super) fn advance_power(&mut self) {
        let now = self.now.boot;
        self.end_holds();
        self.falls.retain(|fall| !fall.over(&self.outlets));
        // About one for each outlet at most.
        let mut owned: Vec<(&OutletId, Claim)> = Vec::with_capacity(self.outlets.len());
        for session in self.sessions.values() {
            session.claim(&self.outlets, now, &mut owned);
        }
        let mut let_go: Vec<(&OutletId, Claim)> = Vec::new();
        for fall in &self.falls {
            let_go.extend(fall.falling().claims(Claim::Off, &self.outlets, now));
        }
        let want = |(id, outlet): (&OutletId, &Outlet)| {
            self.want(id, outlet, last(&owned, id), last(&let_go, id))
        };
        let wants: Vec<Want> = self.outlets.iter().map(want).collect();
        // Few change in one decision: only those are named.
        let (mut overruled, mut left) = (Vec::new(), Vec::new());
        // Beside the configuration's there are only those that a stored session still owns.
        let strangers = self.outlets.len() > self.settings.outlets.len();
        for ((id, outlet), want) in self.outlets.iter_mut().zip(wants) {
            let obeyed = outlet.obeyed();
            outlet.set(want, now);
            let overrules = outlet.obeyed() != obeyed;
            if overrules {
                overruled.push(id.clone());
            }
            let covered = || last(&owned, id).is_some() || self.holds.contains_key(id);
            let stranger = || strangers && !self.settings.outlets.contains_key(id);
            let kept = || overrules || self.kept.contains(id) || stranger();
            if outlet.at_rest(now) && kept() && !covered() {
                left.push(id.clone());
            }
        }
        // The next start must not obey a thumb that another wish has overruled.
        overruled.iter().for_each(|id| self.keep_settings(id));
        left.iter().for_each(|id| self.forget_kept(id));
        self.pace_ons();
        for (id, outlet) in &mut self.outlets {
            if let Some((number, order)) = outlet.drive(now) {
                self.effects.orders.push((id.clone(), number, order));
            }
        }
    }

    /// What an outlet should be. The first that speaks decides: a session's end, a forced hold, a
    /// cycle, the session, a hold, a session that let it go, the rest.
    fn want(
        &self,
        id: &OutletId,
        outlet: &Outlet,
        owned: Option<Claim>,
        let_go: Option<Claim>,
    ) -> Want {
        if owned == Some(Claim::End) {
            return Want::Off(By::Session);
        }
        let hold = self.holds.get(id);
        let held = hold.map(|hold| held(hold, outlet, owned));
        let covered =
            owned.map(claimed).or(held).or(let_go.map(claimed)).unwrap_or_else(|| outlet.rest());
        let forced = held.filter(|_| hold.is_some_and(|hold| hold.forced));
        forced.or_else(|| self.cycle_wants(id, covered)).unwrap_or(covered)
    }

    /// Takes a driver's answer in.
    pub(super) fn answered(
        &mut self,
        id: &OutletId,
        number: u64,
        result: Result<Reading, Failure>,
    ) {
        let now = self.now.boot;
        let Some(outlet) = self.outlets.get_mut(id) else { return };
        let metered = matches!(&result, Ok(Reading { energy_mwh: Some(_), .. }));
        let (was, obeyed) = (outlet.on(), outlet.obeyed());
        let news = outlet.answered(number, result, now);
        let (changed, pressed) = (outlet.on() != was, outlet.obeyed() != obeyed);
        let testimony = outlet.testimony();
        let register = outlet.register().filter(|_| metered);
        if changed {
            self.voice.state_changed();
        }
        if pressed {
            self.keep_settings(id);
        }
        if let Some(testimony) = testimony {
            self.clock.hear(id, &testimony, now);
        }
        if let Some(register) = register {
            self.metered(id, register);
        }
        self.tell_news(id, news);
    }

    /// A session's outlet was metered.
    fn metered(&mut self, id: &OutletId, register: Register) {
        let Some(session) = self.owner(id).cloned() else { return };
        let known = self.sessions.get_mut(&session);
        if known.is_some_and(|known| known.metered(id, register)) {
            self.voice.write_session(session);
        }
    }

    fn tell_news(&mut self, id: &OutletId, news: Vec<News>) {
        if news.is_empty() {
            return;
        }
        self.live_on(id, &news);
        let now = self.now;
        let session = self.owner(id).cloned();
        let owner = session.as_ref().and_then(|id| self.sessions.get(id));
        let cause = owner.map(|session| session.cause.clone());
        for piece in news {
            let (outlet, session) = (id.clone(), session.clone());
            let fault = |Trouble { fault, message, since }| OutletFault {
                outlet: id.clone(),
                session: session.clone(),
                fault,
                message,
                since_ms: now.wall_at(since),
            };
            // What a field tech did follows from no command.
            let local = matches!(piece, News::Changed { by: By::Local, .. });
            let cause = cause.clone().filter(|_| !local);
            let what = match piece {
                News::Changed { on, by, proof } | News::Proven { on, by, proof } => {
                    What::OutletChanged(OutletChanged { outlet, session, on, by, proof })
                }
                News::Lease { lease, off_at } => {
                    let off_at_ms = off_at.map(|at| now.wall_at(at));
                    What::OutletLease(OutletLease { outlet, session, lease, off_at_ms })
                }
                News::Fault(trouble) => What::OutletFault(fault(trouble)),
                News::Recovered(trouble) => What::OutletRecovered(fault(trouble)),
            };
            self.tell(cause, what);
        }
    }
}

impl Node {
    /// Keeps what news mean for an outlet's life, in the batch that tells them.
    fn live_on(&mut self, id: &OutletId, news: &[News]) {
        let mut changed = false;
        for piece in news {
            match piece {
                News::Changed { on, by, .. } => {
                    changed = true;
                    let last = self.switched(id, *on, *by);
                    if let Some(outlet) = self.outlets.get_mut(id) {
                        outlet.life.last = Some(last);
                    }
                }
                News::Fault(trouble) | News::Recovered(trouble) => {
                    changed |= trouble.fault == Fault::StuckOn;
                }
                News::Proven { .. } | News::Lease { .. } => {}
            }
        }
        if let Some(outlet) = self.outlets.get(id).filter(|_| changed) {
            self.effects.writes.push(record::put(Kind::Life, id.as_str(), &outlet.life));
        }
    }

    /// A switch, and the command that it goes back to.
    fn switched(&self, id: &OutletId, on: bool, by: By) -> Switched {
        let session = self.owner(id).cloned();
        let owner = session.as_ref().and_then(|session| self.sessions.get(session));
        let command = match by {
            By::Session => owner.map(|owner| owner.cause.clone()),
            By::Hold | By::Local => self.holds.get(id).and_then(|hold| hold.command.clone()),
            By::Rest | By::Button | By::Lease | By::Unknown => None,
        };
        Switched { on, by, at_ms: self.now.wall_ms, session, command }
    }
}

/// The claim that counts of those on an outlet: the last. There are few.
pub(super) fn last(claims: &[(&OutletId, Claim)], id: &OutletId) -> Option<Claim> {
    claims.iter().rev().find(|(claimed, _)| *claimed == id).map(|(_, claim)| *claim)
}

/// What a session's claim makes of an outlet.
fn claimed(claim: Claim) -> Want {
    match claim {
        Claim::On(off) => Want::On(By::Session, Some(off)),
        Claim::Off | Claim::End => Want::Off(By::Session),
    }
}

/// What a hold makes of an outlet.
fn held(hold: &Hold, outlet: &Outlet, owned: Option<Claim>) -> Want {
    if !hold.on {
        return Want::Off(hold.by());
    }
    let until = match owned {
        // It lasts to the session's end at most, and the session goes on after it.
        Some(Claim::On(off)) => Some(off),
        Some(Claim::Off | Claim::End) | None => hold.until,
    };
    // What rests on goes on after the hold: no plug should cut it.
    let rests_on = matches!(outlet.rest(), Want::On(..));
    Want::On(hold.by(), until.filter(|_| !rests_on))
}
