//! What an outlet should be.

use edge_protocol::event::By;

use crate::node::time::BootMs;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::node) enum Want {
    /// As it is.
    Nothing,
    /// Off.
    Off(By),
    /// On; where it has an off time, leased to it. As it is, once that has passed.
    On(By, Option<BootMs>),
}

impl Want {
    pub(super) fn is_off(self) -> bool {
        matches!(self, Self::Off(_))
    }

    pub(super) fn is_on(self) -> bool {
        matches!(self, Self::On(..))
    }

    pub(super) fn off_at(self) -> Option<BootMs> {
        match self {
            Self::On(_, off) => off,
            Self::Off(_) | Self::Nothing => None,
        }
    }

    pub(super) fn by(self) -> Option<By> {
        match self {
            Self::Nothing => None,
            Self::Off(by) | Self::On(by, _) => Some(by),
        }
    }

    /// Whether its off time has come: from then on nothing switches it on.
    pub(super) fn is_past(self, now: BootMs) -> bool {
        self.off_at().is_some_and(|off| now >= off)
    }

    /// Whether a confirmation of `self` confirms `new` too: nobody else wants it on, or it is off anyhow.
    pub(super) fn same_as(self, new: Self) -> bool {
        match (self, new) {
            (Self::On(old, _), Self::On(new, _)) => old == new,
            (Self::Off(_), Self::Off(_)) | (Self::Nothing, Self::Nothing) => true,
            (Self::Nothing | Self::Off(_) | Self::On(..), _) => false,
        }
    }

    /// Whether a reading `on` is what is wanted.
    pub(super) fn is_met_by(self, on: bool) -> bool {
        match self {
            Self::Nothing => true,
            Self::Off(_) => !on,
            Self::On(..) => on,
        }
    }
}
