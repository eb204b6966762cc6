//! What a session wants of its outlets, and until when (contract, 6.3, 6.8).

use edge_protocol::id::OutletId;

use super::running::Planned;
use super::sequence::{self, Falling};
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

    /// Adds what it wants of each outlet to what others want.
    pub(in crate::node) fn claim<'a>(
        &'a self,
        outlets: &Outlets,
        now: BootMs,
        claims: &mut Vec<(&'a OutletId, Claim)>,
    ) {
        if let Some((falling, claim)) = self.falling() {
            return claims.extend(falling.claims(claim, outlets, now));
        }
        let Some(off) = self.off_at() else { return };
        match &self.phase {
            Phase::Booked { .. } => {}
            Phase::Starting { .. } | Phase::Paused { .. } => {
                claims.extend(sequence::rise(&self.outlets, off, outlets));
            }
            Phase::Active { moving, .. } => {
                claims.extend(self.all_on(off));
                if let Some(new) = moving {
                    claims.extend(sequence::rise(&new.outlets, off, outlets));
                }
            }
            Phase::Ending(_) => claims.extend(self.all_on(off)),
        }
    }

    fn all_on(&self, off: BootMs) -> impl Iterator<Item = (&OutletId, Claim)> {
        self.outlets.iter().map(move |id| (id, Claim::On(off)))
    }

    /// How its outlets go off, where they do.
    fn falling(&self) -> Option<(Falling<'_>, Claim)> {
        let falling = |since: BootMs| Falling { outlets: &self.outlets, since };
        match &self.phase {
            Phase::Paused { since, resuming: None, .. } => Some((falling(*since), Claim::Off)),
            Phase::Ending(Ending { begun: Some(begun), .. }) => Some((falling(*begun), Claim::End)),
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
                self.falling().and_then(|(falling, _)| falling.wake_at(outlets, now))
            }
        }
    }
}
