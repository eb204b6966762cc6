//! What a session wants of its outlets, and until when (contract, 6.3, 6.8).

use edge_protocol::id::OutletId;

use super::running::Planned;
use super::sequence::{self, Fall};
use super::{Ending, Phase, Session};
use crate::node::outlet::Outlets;
use crate::node::time::BootMs;

/// What is wanted of an outlet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::node) enum Claim {
    /// On until the off time; as it is, once that has passed.
    On(BootMs),
    /// Off, but a hold may say otherwise.
    Off,
    /// Off, whatever a hold says.
    End,
}

impl Session {
    /// The time from which on its power must be gone, where that is known.
    pub(in crate::node) fn off_at(&self) -> Option<BootMs> {
        match &self.phase {
            Phase::Booked { .. } | Phase::Paused { resuming: None, .. } => None,
            Phase::Starting { give_up, end, lit } => Some(match (lit, end) {
                (Some(run), _) => run.deadline + self.grace_ms,
                (None, Planned::After(ms)) => *give_up + *ms + self.grace_ms,
                (None, Planned::At(at)) => *at + self.grace_ms,
            }),
            Phase::Active { run, .. } => Some(run.deadline + self.grace_ms),
            Phase::Paused { resuming: Some(resuming), remaining_ms, .. } => {
                Some(match &resuming.lit {
                    Some(run) => run.deadline + self.grace_ms,
                    None => resuming.give_up + *remaining_ms + self.grace_ms,
                })
            }
            Phase::Ending(ending) => Some(ending.off),
        }
    }

    /// What it wants of each outlet.
    pub(in crate::node) fn claims(&self, outlets: &Outlets, now: BootMs) -> Vec<(OutletId, Claim)> {
        if let Some((fall, claim)) = self.fall() {
            return fall.claims(claim, outlets, now);
        }
        let Some(off) = self.off_at() else { return Vec::new() };
        match &self.phase {
            Phase::Booked { .. } => Vec::new(),
            Phase::Starting { .. } | Phase::Paused { .. } => {
                sequence::rise(&self.outlets, off, outlets)
            }
            Phase::Active { moving, .. } => {
                let new = moving.iter().flat_map(|new| sequence::rise(&new.outlets, off, outlets));
                self.all_on(off).chain(new).collect()
            }
            Phase::Ending(_) => self.all_on(off).collect(),
        }
    }

    fn all_on(&self, off: BootMs) -> impl Iterator<Item = (OutletId, Claim)> {
        self.outlets.iter().map(move |id| (id.clone(), Claim::On(off)))
    }

    /// How its outlets go off, where they do.
    fn fall(&self) -> Option<(Fall, Claim)> {
        match &self.phase {
            Phase::Paused { since, resuming: None, .. } => {
                Some((Fall::new(&self.outlets, *since), Claim::Off))
            }
            Phase::Ending(Ending { begun: Some(begun), .. }) => {
                Some((Fall::new(&self.outlets, *begun), Claim::End))
            }
            Phase::Booked { .. }
            | Phase::Starting { .. }
            | Phase::Active { .. }
            | Phase::Paused { .. }
            | Phase::Ending(_) => None,
        }
    }

    /// When time alone will next change something.
    pub(in crate::node) fn wake_at(&self, outlets: &Outlets, now: BootMs) -> Option<BootMs> {
        match &self.phase {
            Phase::Booked { starts, .. } => Some(*starts),
            Phase::Starting { give_up, lit: Some(run), .. } => Some((*give_up).min(run.deadline)),
            Phase::Starting { give_up, end: Planned::At(at), .. } => Some((*give_up).min(*at)),
            Phase::Starting { give_up, end: Planned::After(_), .. } => Some(*give_up),
            Phase::Active { run, moving, .. } => {
                let give_up = moving.as_ref().map(|moving| moving.give_up);
                [Some(run.deadline), run.warns_at(), give_up].into_iter().flatten().min()
            }
            Phase::Paused { resuming: Some(resuming), .. } => {
                let deadline = resuming.lit.as_ref().map(|run| run.deadline);
                [Some(resuming.give_up), deadline].into_iter().flatten().min()
            }
            Phase::Ending(Ending { begun: None, off, .. }) => Some(*off),
            Phase::Paused { .. } | Phase::Ending(_) => {
                self.fall().and_then(|(fall, _)| fall.wake_at(outlets, now))
            }
        }
    }
}
