//! What an event is about.

use super::What;
use crate::id::{OutletId, SessionId};

impl What {
    /// The session whose story this event tells.
    #[must_use]
    pub fn session(&self) -> Option<&SessionId> {
        match self {
            Self::SessionBooked(times)
            | Self::SessionStarted(times)
            | Self::SessionExtended(times)
            | Self::SessionResumed(times) => Some(&times.session),
            Self::SessionWarning(rest) | Self::SessionPaused(rest) => Some(&rest.session),
            Self::SessionTransferred(transferred) => Some(&transferred.session),
            Self::SessionEnding(ending) => Some(&ending.session),
            Self::SessionEnded(ended) => Some(&ended.session),
            Self::SessionFailed(problem) | Self::SessionRefused(problem) => Some(&problem.session),
            Self::CommandAccepted(_)
            | Self::CommandRejected(_)
            | Self::OutletChanged(_)
            | Self::OutletLease(_)
            | Self::OutletFault(_)
            | Self::OutletRecovered(_)
            | Self::TaskQueued(_)
            | Self::TaskStarted(_)
            | Self::TaskRetrying(_)
            | Self::TaskSucceeded(_)
            | Self::TaskFailed(_)
            | Self::TaskCancelled(_)
            | Self::NodeStarted(_)
            | Self::NodeClock(_)
            | Self::NodeLink(_)
            | Self::NodeStore(_)
            | Self::NodeDropped(_)
            | Self::NodeReport(_) => None,
        }
    }

    /// The outlet whose story this event tells.
    #[must_use]
    pub fn outlet(&self) -> Option<&OutletId> {
        if let Self::OutletChanged(changed) = self {
            return Some(&changed.outlet);
        }
        if let Self::OutletLease(lease) = self {
            return Some(&lease.outlet);
        }
        if let Self::OutletFault(fault) | Self::OutletRecovered(fault) = self {
            return Some(&fault.outlet);
        }
        None
    }
}
