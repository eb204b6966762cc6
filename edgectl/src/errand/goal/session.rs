//! What commands about sessions are sent for.

use std::time::Duration;

use edge_protocol::event::{
    Event, OutletFault, Reason, SessionEnded, SessionEnding, SessionProblem, SessionTimes,
    SessionTransferred, What,
};
use edge_protocol::id::{SessionId, StationId};
use edge_protocol::presence::OutletState;
use serde_json::json;

use super::power::{facts, if_the_node_dies, trouble, troubles};
use super::{Goal, Scene, Step};
use crate::instant;
use crate::plain::plain;
use crate::span::{about, said};

/// What a session is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Powered, or booked.
    Started,
    /// Longer or shorter.
    Moved,
    /// Paused and dark.
    Paused,
    /// Powered again.
    Resumed,
    /// On this station.
    At(StationId),
    /// Over and dark.
    Ended,
}

/// A session and what is to become of it.
#[derive(Debug)]
pub(crate) struct SessionGoal {
    session: SessionId,
    /// Where it is, as far as known.
    station: Option<StationId>,
    wanted: Wanted,
    /// What was told already, where the power is still to follow.
    told: bool,
    /// The end that was told.
    ends_at_ms: Option<u64>,
}

impl SessionGoal {
    pub(crate) fn new(session: SessionId, station: Option<StationId>, wanted: Wanted) -> Self {
        Self { session, station, wanted, told: false, ends_at_ms: None }
    }

    fn place(&self) -> String {
        self.station.as_ref().map_or_else(|| self.session.to_string(), ToString::to_string)
    }

    fn outlets<'a>(&self, scene: &Scene<'a>) -> Vec<&'a OutletState> {
        let station = self.station.as_ref();
        station.map_or_else(Vec::new, |station| scene.picture.outlets_of(station))
    }

    /// Powered until then.
    fn on(&self, station: &StationId, ends_at_ms: u64, scene: &Scene<'_>) -> Step {
        let outlets = scene.picture.outlets_of(station);
        let text = format!(
            "{station} is on until {} ({}); {}",
            instant::said(ends_at_ms, scene.now_ms),
            about(ends_at_ms.saturating_sub(scene.now_ms)),
            if_the_node_dies(&outlets, scene.now_ms)
        );
        let mut facts = facts(&outlets);
        facts["session"] = json!(self.session);
        facts["station"] = json!(station);
        facts["ends_at_ms"] = json!(ends_at_ms);
        Step::Done { text, facts }
    }

    fn booked(&self, times: &SessionTimes, scene: &Scene<'_>) -> Step {
        let at = |ms: u64| instant::said(ms, scene.now_ms);
        let from = times.starts_at_ms.map_or_else(String::new, |ms| format!(" from {}", at(ms)));
        let until = times.ends_at_ms.map_or_else(String::new, |ms| format!(" until {}", at(ms)));
        Step::done(format!("{} is booked as {}{from}{until}", times.station, self.session))
    }

    /// Paused: done once every outlet that answers is off.
    fn dark(&self, scene: &Scene<'_>) -> Step {
        let outlets = self.outlets(scene);
        let off = |outlet: &&OutletState| outlet.on == Some(false) && outlet.fault.is_none();
        let rest = scene.picture.session(&self.session).and_then(|session| session.remaining_ms);
        match rest {
            Some(rest) if outlets.iter().all(off) => Step::Done {
                text: format!("{} is off; {} are kept", self.place(), about(rest)),
                facts: json!({ "session": self.session, "remaining_ms": rest }),
            },
            Some(_) | None => Step::Wait,
        }
    }

    fn over(&self, ended: &SessionEnded) -> Step {
        let SessionEnded { station, reason, powered_ms, late_ms, .. } = ended;
        let ran = format!("{} ran for {}", self.session, about(*powered_ms));
        let text = match reason {
            _ if ended.proof.is_none() && *powered_ms == 0 => {
                format!("{} is over; it never had power", self.session)
            }
            Reason::Abandoned => format!(
                "{ran}; it was abandoned although {station} is not confirmed off: the node goes on trying"
            ),
            Reason::Expired | Reason::Ended => {
                format!("{station} is off, read back {} after the off time; {ran}", said(*late_ms))
            }
        };
        match self.wanted {
            Wanted::Ended => Step::done(text),
            Wanted::Started | Wanted::Moved | Wanted::Paused | Wanted::Resumed | Wanted::At(_) => {
                Step::failed(format!("it is over: {text}"))
            }
        }
    }

    fn ending(&self, ending: &SessionEnding, scene: &Scene<'_>) -> Step {
        let at_ms = ending.off_at_ms;
        if self.wanted != Wanted::Ended || at_ms <= scene.now_ms + 1_000 {
            return Step::Wait;
        }
        let note = format!(
            "{} has its grace: the power goes at {} (end it with --immediate to cut it now)",
            ending.station,
            instant::said(at_ms, scene.now_ms)
        );
        Step::Until { at_ms, note }
    }

    fn transferred(&self, transferred: &SessionTransferred, scene: &Scene<'_>) -> Step {
        let SessionTransferred { station, from, ends_at_ms, .. } = transferred;
        let Some(ends_at_ms) = *ends_at_ms else {
            return Step::done(format!("{} is on {station} now, no more on {from}", self.session));
        };
        let on = self.on(station, ends_at_ms, scene);
        let Step::Done { text, facts } = on else { return on };
        Step::Done { text: format!("{text}; {from} goes off"), facts }
    }

    fn problem(&self, problem: &SessionProblem) -> Step {
        let SessionProblem { station, message, .. } = problem;
        Step::failed(match self.wanted {
            Wanted::Started => format!("{station} could not be powered: {}", plain(message)),
            Wanted::Moved | Wanted::Paused | Wanted::Resumed | Wanted::At(_) | Wanted::Ended => {
                format!("refused: {}; the session is as before", plain(message))
            }
        })
    }

    fn moved(&mut self, times: &SessionTimes, scene: &Scene<'_>) -> Step {
        let phase = scene.picture.session(&self.session).map(|session| session.phase.as_str());
        match (times.ends_at_ms, phase) {
            (Some(ends), Some("active")) => self.on(&times.station, ends, scene),
            // Booked, starting or paused, or not known: the next state says which.
            (ends, _) => {
                self.told = true;
                self.ends_at_ms = ends;
                Step::Wait
            }
        }
    }

    fn moved_while_pending(&self, scene: &Scene<'_>) -> Step {
        let Some(session) = scene.picture.session(&self.session) else { return Step::Wait };
        if let ("active", Some(ends)) = (session.phase.as_str(), session.ends_at_ms) {
            return self.on(&session.station, ends, scene);
        }
        let has = match (session.remaining_ms, session.ends_at_ms.or(self.ends_at_ms)) {
            (Some(rest), _) if session.phase == "paused" => {
                format!("it is paused and keeps {}", about(rest))
            }
            (_, Some(at)) => {
                format!("it is {} and ends at {}", session.phase, instant::said(at, scene.now_ms))
            }
            (_, None) => format!("it is {}", session.phase),
        };
        Step::Done {
            text: format!("{} is moved: {has}", self.session),
            facts: json!({ "session": session }),
        }
    }

    fn is_ours(&self, fault: &OutletFault, scene: &Scene<'_>) -> bool {
        fault.session.as_ref() == Some(&self.session)
            || self.outlets(scene).iter().any(|outlet| outlet.outlet == fault.outlet)
    }
}

impl Goal for SessionGoal {
    fn awaited(&self) -> String {
        let place = self.place();
        match &self.wanted {
            Wanted::Started => format!("{place} to be on"),
            Wanted::Moved => format!("the new end of {place} to be confirmed by its plugs"),
            Wanted::Paused => format!("{place} to be off"),
            Wanted::Resumed => format!("{place} to be on again"),
            Wanted::At(station) => format!("{station} to be on"),
            Wanted::Ended => format!("{place} to be off"),
        }
    }

    fn accepted(&mut self, scene: &Scene<'_>) -> Step {
        troubles(&self.outlets(scene)).map_or(Step::Wait, Step::Note)
    }

    fn event(&mut self, event: &Event, ours: bool, scene: &Scene<'_>) -> Step {
        if let What::OutletFault(fault) = &event.what {
            return if self.is_ours(fault, scene) {
                Step::Note(trouble(fault))
            } else {
                Step::Wait
            };
        }
        if event.what.session() != Some(&self.session) {
            // An outlet that went off may have been the last.
            let told = self.told && self.wanted == Wanted::Paused;
            return if told { self.dark(scene) } else { Step::Wait };
        }
        match (&event.what, &self.wanted) {
            (
                What::SessionStarted(times) | What::SessionResumed(times),
                Wanted::Started | Wanted::Resumed,
            ) => times.ends_at_ms.map_or(Step::Wait, |ends| self.on(&times.station, ends, scene)),
            (What::SessionBooked(times), Wanted::Started) => self.booked(times, scene),
            (What::SessionExtended(times), Wanted::Moved) if ours => self.moved(times, scene),
            (What::SessionExtended(_), Wanted::Ended) => {
                Step::failed(format!("{} was extended meanwhile and goes on", self.session))
            }
            (What::SessionPaused(_), Wanted::Paused) => {
                self.told = true;
                Step::Wait
            }
            (What::SessionTransferred(transferred), Wanted::At(_)) if ours => {
                self.transferred(transferred, scene)
            }
            (What::SessionEnding(ending), _) => self.ending(ending, scene),
            (What::SessionEnded(ended), _) => self.over(ended),
            (What::SessionFailed(problem), _) => self.problem(problem),
            (What::SessionRefused(problem), _) if ours => self.problem(problem),
            _ => Step::Wait,
        }
    }

    fn state(&mut self, scene: &Scene<'_>) -> Step {
        let Some(session) = scene.picture.session(&self.session) else {
            let over = Step::done(format!("{} is over", self.session));
            return if self.wanted == Wanted::Ended { unless_told(over) } else { Step::Wait };
        };
        match (&self.wanted, session.phase.as_str(), session.ends_at_ms) {
            (Wanted::Paused, "paused", _) => self.dark(scene),
            // Accepted, and there was nothing to do.
            (Wanted::Resumed, "active", Some(ends)) => self.on(&session.station, ends, scene),
            (Wanted::Started, "active", Some(ends)) => {
                unless_told(self.on(&session.station, ends, scene))
            }
            (Wanted::At(station), "active", Some(ends)) if *station == session.station => {
                unless_told(self.on(station, ends, scene))
            }
            (Wanted::Moved, ..) if self.told => self.moved_while_pending(scene),
            _ => Step::Wait,
        }
    }
}

/// What a state shows of an effect whose event is still to come, or was lost with a broker that
/// forgot us.
fn unless_told(done: Step) -> Step {
    /// An event goes out before the state that has its effect.
    const EVENT: Duration = Duration::from_secs(2);
    Step::Unless { within: EVENT, done: Box::new(done) }
}

#[cfg(test)]
mod tests;
