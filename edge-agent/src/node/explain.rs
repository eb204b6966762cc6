//! Why an outlet is as it is: what decided, when, by which command, and what happens next. In parts
//! from which sentences are made; whoever makes them is elsewhere.

use edge_protocol::event::{By, Fault, Lease, Proof};
use edge_protocol::id::{CommandId, OutletId, SessionId, StationId, TaskId};
use serde::{Deserialize, Serialize};

use super::outlet::{Outlet, Wait, Want};
use super::session::{Claim, Session};
use super::settings::Rest;
use super::time::{BootMs, Now};
use super::{Node, power};

/// Why an outlet is as it is. Instants are UTC, in milliseconds since the Unix epoch, as the node's
/// clock names them now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// Which outlet.
    pub outlet: OutletId,
    /// When this was so.
    pub at_ms: u64,
    /// What it was last found to be; absent until it answered once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<bool>,
    /// What it should be; absent where it should be as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<bool>,
    /// What decides that.
    pub because: Because,
    /// What else covers it and is overruled, the strongest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overruled: Vec<Because>,
    /// Somebody switched it off by its button within its session, and may: it stays off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub button: bool,
    /// How sure it is that it is as it was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Its last switch; absent where none was seen since the store was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switched: Option<LastSwitch>,
    /// What its plug does by itself; absent where it does nothing by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuts_itself: Option<CutsItself>,
    /// What its on waits for, where one waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
    /// What is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Trouble>,
    /// What its load draws, in milliwatts, where that is measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_mw: Option<u64>,
}

/// What decides what an outlet should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Because {
    /// A session has it: on, or off while it is paused or its turn has not come.
    Session {
        /// Which.
        session: SessionId,
        /// Where.
        station: StationId,
        /// `starting`, `active`, `paused` or `ending`.
        phase: String,
        /// The command that started it.
        command: CommandId,
        /// Its off time, where it has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        off_at_ms: Option<u64>,
    },
    /// A session's off time has come: it goes off, whatever else is said.
    SessionsEnd {
        /// Which.
        session: SessionId,
        /// The command that started it.
        command: CommandId,
    },
    /// A session that is over, failed, or has moved to another station let it go, and it is not
    /// confirmed off yet.
    LetGo {
        /// Since when.
        since_ms: u64,
    },
    /// A hold.
    Hold {
        /// Held on or held off.
        on: bool,
        /// Who holds it: `hold` is the control plane, `local` a field tech.
        by: By,
        /// The command that set it, where one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<CommandId>,
        /// Until when; absent where it has no end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_ms: Option<u64>,
        /// It was set although a session has the outlet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forced: bool,
    },
    /// A task is power-cycling it.
    Cycle {
        /// Which.
        task: TaskId,
    },
    /// Nothing covers it.
    Rest {
        /// What it is then.
        rest: Rest,
    },
}

/// An outlet's last switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastSwitch {
    /// What it became.
    pub on: bool,
    /// Who did it.
    pub by: By,
    /// When that was found.
    pub at_ms: u64,
    /// The session that had it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionId>,
    /// The command that it goes back to, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandId>,
}

/// What a plug does by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutsItself {
    /// When it cuts the power if nobody renews its lease.
    pub at_ms: u64,
    /// Whether that is when it should.
    pub lease: Lease,
}

/// What an on waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// Its minimum time off, or its turn.
    pub for_what: Wait,
    /// When that is looked at again.
    pub until_ms: u64,
}

/// What is wrong with an outlet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Which fault.
    pub fault: Fault,
    /// What its driver said.
    pub message: String,
    /// Since when.
    pub since_ms: u64,
}

impl Node {
    /// Why an outlet is as it is at `boot`, at or after the last step; `None` where there is no such
    /// outlet.
    #[must_use]
    pub fn explain(&self, id: &OutletId, boot: BootMs) -> Option<Explanation> {
        let outlet = self.outlets.get(id)?;
        let now = Now { boot, wall_ms: self.now.wall_at(boot), ..self.now };
        let mut voices = self.voices(id, outlet, now);
        let wanted = match outlet.want() {
            Want::Nothing => None,
            Want::Off(_) => Some(false),
            Want::On(..) => Some(true),
        };
        let because = voices.remove(0);
        let (lease, off_at) = outlet.told_lease();
        Some(Explanation {
            outlet: id.clone(),
            at_ms: now.wall_ms,
            on: outlet.on(),
            wanted,
            because,
            overruled: voices,
            button: outlet.obeyed(),
            proof: outlet.on().map(|_| outlet.proof(boot)),
            switched: outlet.life.last.clone().map(|last| LastSwitch {
                on: last.on,
                by: last.by,
                at_ms: last.at_ms,
                session: last.session,
                command: last.command,
            }),
            cuts_itself: off_at.map(|at| CutsItself { at_ms: now.wall_at(at), lease }),
            waits: outlet
                .held_back()
                .map(|held| Waits { for_what: held.wait, until_ms: now.wall_at(held.until) }),
            fault: outlet.trouble().map(|trouble| Trouble {
                fault: trouble.fault,
                message: trouble.message.clone(),
                since_ms: now.wall_at(trouble.since),
            }),
            power_mw: outlet.power_mw(),
        })
    }

    /// All that speak for an outlet, the one that decides first: the order of [`Node::want`].
    fn voices(&self, id: &OutletId, outlet: &Outlet, now: Now) -> Vec<Because> {
        let claim = |session: &Session| {
            let mut claims = Vec::new();
            session.claim(&self.outlets, now.boot, &mut claims);
            power::last(&claims, id)
        };
        let mut sessions = self.sessions.values().rev();
        let owner = sessions.find_map(|session| Some((session, claim(session)?)));
        let hold = self.holds.get(id);
        let held = hold.map(|hold| Because::Hold {
            on: hold.on,
            by: hold.by(),
            command: hold.command.clone(),
            until_ms: hold.until.map(|until| now.wall_at(until)),
            forced: hold.forced,
        });
        let (end, session) = match owner {
            Some((session, Claim::End)) => {
                let (session, command) = (session.id.clone(), session.cause.clone());
                (Some(Because::SessionsEnd { session, command }), None)
            }
            Some((session, Claim::On(_) | Claim::Off)) => {
                let because = Because::Session {
                    session: session.id.clone(),
                    station: session.station.clone(),
                    phase: session.state(now).phase,
                    command: session.cause.clone(),
                    off_at_ms: session.off_at().map(|at| now.wall_at(at)),
                };
                (None, Some(because))
            }
            None => (None, None),
        };
        let forced = hold.is_some_and(|hold| hold.forced);
        let (forced, held) = if forced { (held, None) } else { (None, held) };
        let cycle = self.cycled_by(id).map(|task| Because::Cycle { task });
        let fall = self.falls.iter().rfind(|fall| fall.outlets.contains(id));
        let let_go = fall.map(|fall| Because::LetGo { since_ms: now.wall_at(fall.since) });
        let rest = Because::Rest { rest: outlet.settings.rest };
        let voices = [end, forced, cycle, session, held, let_go, Some(rest)];
        voices.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests;
