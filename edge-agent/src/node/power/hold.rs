//! Holds, and what an outlet's coverage leaves on disk (contract, 6.7, 6.10).

use edge_protocol::event::By;
use edge_protocol::id::{CommandId, OutletId};
use serde::{Deserialize, Serialize};

use crate::node::Node;
use crate::node::record::{self, Kind};
use crate::node::settings::OutletSettings;
use crate::node::time::BootMs;

/// A manual "keep this outlet on / off".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::node) struct Hold {
    pub(in crate::node) on: bool,
    pub(in crate::node) until: Option<BootMs>,
    /// It was set although a session owned the outlet, and lasts to that session's end at most.
    pub(in crate::node) forced: bool,
    /// The command that set it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::node) command: Option<CommandId>,
    /// It was set on the machine itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(in crate::node) local: bool,
}

/// Whence a hold is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::node) enum Asked {
    /// The control plane, by this command.
    ByCommand(CommandId),
    /// A field tech, on the machine itself.
    Locally,
}

impl Asked {
    /// The command that asked, where one did.
    pub(in crate::node) fn command(self) -> Option<CommandId> {
        match self {
            Self::ByCommand(command) => Some(command),
            Self::Locally => None,
        }
    }
}

impl Hold {
    /// Who is told to have switched an outlet that this hold switches.
    pub(in crate::node) fn by(&self) -> By {
        if self.local { By::Local } else { By::Hold }
    }
}

/// An outlet that something covers, or that has not been confirmed off since: its off needs no
/// configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::node) struct Kept {
    pub(in crate::node) settings: OutletSettings,
    /// Somebody switched it off by hand within its session, and may.
    pub(in crate::node) obeyed: bool,
}

impl Node {
    /// Keeps an outlet's settings on disk until it is confirmed off.
    pub(in crate::node) fn keep_settings(&mut self, id: &OutletId) {
        let Some(outlet) = self.outlets.get(id) else { return };
        let kept = Kept { settings: outlet.settings.clone(), obeyed: outlet.obeyed() };
        self.effects.writes.push(record::put(Kind::Outlet, id.as_str(), &kept));
        self.kept.insert(id.clone());
    }

    /// Forgets what was kept of an outlet that is at rest, and the outlet itself where the
    /// configuration doesn't name it.
    pub(super) fn forget_kept(&mut self, id: &OutletId) {
        if self.kept.remove(id) {
            self.effects.writes.push(record::delete(Kind::Outlet, id.as_str()));
        }
        if !self.settings.outlets.contains_key(id) {
            self.outlets.remove(id);
        }
    }

    pub(in crate::node) fn drop_hold(&mut self, outlet: &OutletId) {
        if self.holds.remove(outlet).is_some() {
            self.effects.writes.push(record::delete(Kind::Hold, outlet.as_str()));
        }
    }

    /// Ends holds whose time has come.
    pub(super) fn end_holds(&mut self) {
        let now = self.now.boot;
        let over = |hold: &Hold| hold.until.is_some_and(|until| now >= until);
        let ended: Vec<OutletId> =
            self.holds.iter().filter(|(_, hold)| over(hold)).map(|(id, _)| id.clone()).collect();
        ended.iter().for_each(|id| self.drop_hold(id));
    }

    /// Which of some outlets is held off, as a reason not to power them.
    pub(in crate::node) fn held_off(&self, outlets: &[OutletId]) -> Option<String> {
        let held_off = |id: &&OutletId| self.holds.get(*id).is_some_and(|hold| !hold.on);
        outlets.iter().find(held_off).map(|id| format!("{id} is held off"))
    }
}
