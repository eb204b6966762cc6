//! The order within a station: on one by one, off in reverse (contract, section 4 and 6.3).

use edge_protocol::id::OutletId;

use super::START_PATIENCE_MS;
use super::claims::Claim;
use crate::node::outlet::{Outlet, Outlets};
use crate::node::time::BootMs;

/// The next outlet goes off this long after the one before, confirmed or not.
const OFF_STAGGER_MS: u64 = 200;

/// On in order: each once those before it are confirmed. What is on already is not switched off
/// only to wait for its turn.
pub(super) fn rise<'a>(
    ids: &'a [OutletId],
    off: BootMs,
    outlets: &Outlets,
) -> impl Iterator<Item = (&'a OutletId, Claim)> {
    ids.iter().scan(true, move |turn, id| {
        let outlet = outlets.get(id);
        let on = *turn || outlet.is_some_and(|outlet| outlet.on() == Some(true));
        *turn &= outlet.is_some_and(Outlet::lit);
        Some((id, if on { Claim::On(off) } else { Claim::Off }))
    })
}

/// Whether all are on.
pub(super) fn lit(ids: &[OutletId], outlets: &Outlets) -> bool {
    ids.iter().all(|id| outlets.get(id).is_some_and(Outlet::lit))
}

/// Whether all are on and, where they can be, leased to the off time.
pub(super) fn leased(ids: &[OutletId], off: BootMs, outlets: &Outlets, now: BootMs) -> bool {
    let leased = |outlet: &Outlet| outlet.obeyed() || outlet.confirmed_leased(Some(off), now);
    ids.iter().all(|id| outlets.get(id).is_some_and(leased))
}

/// Whether all were read back off.
pub(super) fn dark(ids: &[OutletId], outlets: &Outlets) -> bool {
    ids.iter().all(|id| outlets.get(id).is_none_or(Outlet::confirmed_off))
}

/// Until when it is waited for a station: its whole patience, from the moment its last on could be
/// sent (contract, section 5). What an on waits for takes nothing of that.
pub(super) fn patience(give_up: BootMs, ids: &[OutletId], outlets: &Outlets) -> BootMs {
    let not_before = ids.iter().filter_map(|id| outlets.get(id)?.on_not_before()).max();
    not_before.map_or(give_up, |at| give_up.max(at + START_PATIENCE_MS))
}

/// Which outlet keeps a station from being powered, and why.
pub(super) fn obstacle(ids: &[OutletId], outlets: &Outlets) -> String {
    let dark = |id: &&OutletId| !outlets.get(*id).is_some_and(Outlet::lit);
    match ids.iter().find(dark) {
        Some(id) => {
            let outlet = outlets.get(id);
            let reason = outlet.and_then(Outlet::fault_message).unwrap_or("no confirmation");
            format!("{id}: {reason}")
        }
        None => "a lease could not be confirmed".to_owned(),
    }
}

/// Outlets that go off in reverse order since an instant: each once the one before is confirmed
/// off, or 200 ms after it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::node) struct Fall {
    /// In the order in which they go on.
    pub(in crate::node) outlets: Vec<OutletId>,
    pub(in crate::node) since: BootMs,
}

impl Fall {
    pub(super) fn new(outlets: &[OutletId], since: BootMs) -> Self {
        Self { outlets: outlets.to_vec(), since }
    }

    pub(in crate::node) fn falling(&self) -> Falling<'_> {
        Falling { outlets: &self.outlets, since: self.since }
    }

    pub(in crate::node) fn over(&self, outlets: &Outlets) -> bool {
        dark(&self.outlets, outlets)
    }
}

/// A [`Fall`] to look at: of outlets that are nobody's any more, or still of their session.
#[derive(Debug, Clone, Copy)]
pub(in crate::node) struct Falling<'a> {
    pub(super) outlets: &'a [OutletId],
    pub(super) since: BootMs,
}

impl<'a> Falling<'a> {
    /// `claim` for those whose turn has come. The others stay as they are: their off time has
    /// passed, so nothing powers them again.
    pub(in crate::node) fn claims(
        self,
        claim: Claim,
        outlets: &Outlets,
        now: BootMs,
    ) -> impl Iterator<Item = (&'a OutletId, Claim)> {
        let turns = self.turns(outlets);
        turns.map(move |(id, turn)| (id, if turn <= now { claim } else { Claim::On(self.since) }))
    }

    /// When the next turn comes, though no outlet answers.
    pub(in crate::node) fn wake_at(self, outlets: &Outlets, now: BootMs) -> Option<BootMs> {
        self.turns(outlets).map(|(_, turn)| turn).find(|turn| *turn > now)
    }

    /// Each outlet's turn, at the latest, in the order of the turns.
    fn turns(self, outlets: &Outlets) -> impl Iterator<Item = (&'a OutletId, BootMs)> {
        self.outlets.iter().rev().scan(self.since, move |next, id| {
            let turn = *next;
            *next = match outlets.get(id) {
                None => turn,
                Some(outlet) if outlet.confirmed_off() => turn,
                Some(outlet) => outlet.off_since().unwrap_or(turn).max(turn) + OFF_STAGGER_MS,
            };
            Some((id, turn))
        })
    }
}
