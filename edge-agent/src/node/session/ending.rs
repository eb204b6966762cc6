//! How a session comes to its end: the off time, the offs, their read-back (contract, 6.3).

use edge_protocol::event::{Code, Proof, Reason, SessionEnded, SessionEnding, What};
use edge_protocol::id::OutletId;

use super::energy;
use super::running::Running;
use super::sequence::{self, Fall};
use super::{Ending, Phase, Progress, Session};
use crate::node::outlet::{Outlet, Outlets};
use crate::node::time::Now;

impl Session {
    /// It could not be powered: off as at an end, and nothing more is told.
    pub(in crate::node) fn fail(
        &mut self,
        code: Code,
        message: String,
        now: Now,
        progress: &mut Progress,
    ) {
        let problem = self.problem(code, message);
        progress.told.push((self.cause.clone(), What::SessionFailed(problem)));
        if self.live() {
            progress.let_go.push(Fall::new(&self.outlets, now.boot));
        }
        progress.over = true;
    }

    /// The deadline has come.
    pub(super) fn expire(&mut self, run: Running, now: Now, progress: &mut Progress) {
        self.leave_active("the session ended first", now, progress);
        let ending = Ending {
            reason: Reason::Expired,
            cause: self.cause.clone(),
            off: run.deadline + self.grace_ms,
            run,
            begun: None,
            abandon: false,
        };
        self.begin_ending(ending, now, progress);
    }

    pub(super) fn begin_ending(&mut self, ending: Ending, now: Now, progress: &mut Progress) {
        let told = SessionEnding {
            session: self.id.clone(),
            station: self.station.clone(),
            reason: ending.reason,
            off_at_ms: now.wall_at(ending.off),
        };
        progress.told.push((ending.cause.clone(), What::SessionEnding(told)));
        self.phase = Phase::Ending(ending);
    }

    pub(super) fn turn_ending(
        &mut self,
        outlets: &Outlets,
        now: Now,
        progress: &mut Progress,
    ) -> bool {
        let Phase::Ending(ending) = &mut self.phase else { return false };
        if now.boot < ending.off {
            let since = ending.run.deadline;
            let asks = |outlet: &&Outlet| outlet.settings.cut_below_mw.is_some();
            let mut asking = self.outlets.iter().filter_map(|id| outlets.get(id)).filter(asks);
            let spent = asking.next().is_some_and(|outlet| outlet.spent(since))
                && asking.all(|outlet| outlet.spent(since));
            if !spent {
                return false;
            }
            // Nobody needs the rest of the grace: the off time is now.
            ending.off = now.boot;
        }
        if ending.begun.is_none() {
            ending.begun = Some(now.boot);
            progress.read_back = true;
            return true;
        }
        // `read_back` has not been carried out yet: what is known of the outlets is of before.
        if progress.read_back {
            return false;
        }
        let all_off = sequence::dark(&self.outlets, outlets);
        let given_up = |id: &OutletId| {
            outlets.get(id).is_none_or(|outlet| outlet.confirmed_off() || Outlet::failing(outlet))
        };
        let abandoned = ending.abandon && self.outlets.iter().all(given_up);
        if !(all_off || abandoned) {
            return false;
        }
        let ended = SessionEnded {
            session: self.id.clone(),
            station: self.station.clone(),
            reason: if all_off { ending.reason } else { Reason::Abandoned },
            powered_ms: ending.run.powered(now.boot),
            ended_at_ms: now.wall_ms,
            late_ms: now.boot - ending.off,
            proof: all_off.then(|| weakest_proof(&self.outlets, outlets, now)),
            energy_wh: energy::in_wh(&self.energy),
        };
        progress.told.push((ending.cause.clone(), What::SessionEnded(ended)));
        progress.over = true;
        true
    }
}

/// How sure it is that the least sure of some outlets is off.
fn weakest_proof(ids: &[OutletId], outlets: &Outlets, now: Now) -> Proof {
    let known = ids.iter().filter_map(|id| outlets.get(id));
    known.map(|outlet| outlet.proof(now.boot)).min().unwrap_or(Proof::ReadBack)
}
