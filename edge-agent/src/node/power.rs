//! What each outlet should be, out of the sessions, holds and cycles that cover it, and the
//! orders that follow (contract, sections 6.3, 6.7, 6.8 and 6.10).

mod hold;
mod live;

use std::collections::BTreeMap;

use edge_protocol::event::{By, OutletChanged, OutletFault, OutletLease, What};
use edge_protocol::id::OutletId;

pub(super) use self::hold::{Hold, Kept};
use super::Node;
use super::outlet::{Failure, News, Outlet, Reading, Trouble, Want};
use super::session::Claim;

impl Node {
    /// Gives up orders whose drivers have not answered in time.
    pub(super) fn give_up_orders(&mut self) {
        let now = self.now.boot;
        let news: Vec<(OutletId, Vec<News>)> = self
            .outlets
            .iter_mut()
            .map(|(id, outlet)| (id.clone(), outlet.overdue(now)))
            .filter(|(_, news)| !news.is_empty())
            .collect();
        for (id, news) in news {
            self.tell_news(&id, news);
        }
    }

    /// Brings every outlet towards what it should be.
    pub(super) fn advance_power(&mut self) {
        let now = self.now.boot;
        self.end_holds();
        self.falls.retain(|fall| !fall.over(&self.outlets));
        let mut owned: BTreeMap<OutletId, Claim> = BTreeMap::new();
        for session in self.sessions.values() {
            owned.extend(session.claims(&self.outlets, now));
        }
        let mut let_go: BTreeMap<OutletId, Claim> = BTreeMap::new();
        for fall in &self.falls {
            let_go.extend(fall.claims(Claim::Off, &self.outlets, now));
        }
        let want = |(id, outlet): (&OutletId, &Outlet)| {
            let want = self.want(id, outlet, owned.get(id).copied(), let_go.get(id).copied());
            (id.clone(), want)
        };
        let wants: Vec<(OutletId, Want)> = self.outlets.iter().map(want).collect();
        for (id, want) in wants {
            let Some(outlet) = self.outlets.get_mut(&id) else { continue };
            let obeyed = outlet.obeyed();
            outlet.set(want, now);
            if outlet.obeyed() != obeyed {
                // The next start must not obey a thumb that another wish has overruled.
                self.keep_settings(&id);
            }
            let covered = owned.contains_key(&id) || self.holds.contains_key(&id);
            let at_rest = self.outlets.get(&id).is_some_and(|outlet| outlet.at_rest(now));
            if !covered && at_rest {
                self.forget_kept(&id);
            }
            let Some(outlet) = self.outlets.get_mut(&id) else { continue };
            if let Some((number, order)) = outlet.drive(now) {
                self.effects.orders.push((id, number, order));
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
        let (was, obeyed) = (outlet.on(), outlet.obeyed());
        let news = outlet.answered(number, result, now);
        let (changed, pressed) = (outlet.on() != was, outlet.obeyed() != obeyed);
        let uptime = outlet.uptime();
        if changed {
            self.voice.state_changed();
        }
        if pressed {
            self.keep_settings(id);
        }
        if let Some((uptime_ms, asked)) = uptime
            && let Some(away_ms) = self.clock.witnessed(id, uptime_ms, asked, now)
        {
            self.correct_sessions(away_ms, false);
        }
        self.tell_news(id, news);
    }

    fn tell_news(&mut self, id: &OutletId, news: Vec<News>) {
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
            let what = match piece {
                News::Changed { on, by, proof } => {
                    What::OutletChanged(OutletChanged { outlet, session, on, by, proof })
                }
                News::Lease { lease, off_at } => {
                    let off_at_ms = off_at.map(|at| now.wall_at(at));
                    What::OutletLease(OutletLease { outlet, session, lease, off_at_ms })
                }
                News::Fault(trouble) => What::OutletFault(fault(trouble)),
                News::Recovered(trouble) => What::OutletRecovered(fault(trouble)),
            };
            self.tell(cause.clone(), what);
        }
    }
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
        return Want::Off(By::Hold);
    }
    let until = match owned {
        // It lasts to the session's end at most, and the session goes on after it.
        Some(Claim::On(off)) => Some(off),
        Some(Claim::Off | Claim::End) | None => hold.until,
    };
    // What rests on goes on after the hold: no plug should cut it.
    let rests_on = matches!(outlet.rest(), Want::On(..));
    Want::On(By::Hold, until.filter(|_| !rests_on))
}
