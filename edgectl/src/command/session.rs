//! `edgectl session`: paid time on a station.

use clap::{Args, Subcommand};
use edge_protocol::command::{
    End, Extension, Request, SessionEnd, SessionExtend, SessionRef, SessionStart, SessionTransfer,
};
use edge_protocol::id::{SessionId, StationId};

use super::{Failure, REJECTED, Report, USAGE};
use crate::caller::Caller;
use crate::errand::goal::Scene;
use crate::errand::goal::session::{SessionGoal, Wanted};
use crate::errand::{PATIENCE, Plan, Sending, ulid};
use crate::instant::Instant;
use crate::span::{Shift, Span};

/// What to do with which session.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) what: What,
    #[command(flatten)]
    sending: Sending,
}

/// What to do with a session. SESSION is a session's id, or the station that it is on.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum What {
    /// Power a station for a time.
    Start(Start),
    /// Move the end of a session.
    Extend {
        /// The session, or its station.
        session: SessionId,
        #[command(flatten)]
        to: To,
    },
    /// Power off, and keep the time that is left.
    Pause {
        /// The session, or its station.
        session: SessionId,
    },
    /// Power on, and let the time run again.
    Resume {
        /// The session, or its station.
        session: SessionId,
    },
    /// Move the time that is left to another station.
    Transfer {
        /// The session, or its station.
        session: SessionId,
        /// Where to.
        station: StationId,
    },
    /// End a session now.
    End {
        /// The session, or its station.
        session: SessionId,
        /// Cut the power at once, without the grace.
        #[arg(long)]
        immediate: bool,
        /// Don't wait for an outlet that can't be reached; the node goes on trying to cut it.
        #[arg(long)]
        abandon: bool,
    },
}

/// A session to start.
#[derive(Debug, Clone, Args)]
pub(crate) struct Start {
    /// What to power.
    station: StationId,
    #[command(flatten)]
    length: Length,
    /// When to begin (18:00, or a date and time); at once where absent.
    #[arg(long, value_name = "INSTANT")]
    at: Option<Instant>,
    /// The session's id; a new one is made where none is given.
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
    /// How long before the end to warn (5m,1m); the node's default where absent.
    #[arg(long, value_name = "SPAN", value_delimiter = ',')]
    warn_before: Option<Vec<Span>>,
    /// Time after the end before the power goes, at most 10m; the node's default where absent.
    #[arg(long, value_name = "SPAN")]
    grace: Option<Span>,
    /// Opaque text to go with it, at most 256 bytes.
    #[arg(long)]
    label: Option<String>,
}

#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct Length {
    /// For how long, from the moment it is on: 1h30m.
    #[arg(long = "for", value_name = "SPAN")]
    length: Option<Span>,
    /// Until when: 18:00, or a date and time.
    #[arg(long, value_name = "INSTANT")]
    until: Option<Instant>,
}

/// Where the end of a session moves.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct To {
    /// By how much: 30m longer, -10m shorter.
    #[arg(long, value_name = "SPAN", allow_hyphen_values = true)]
    by: Option<Shift>,
    /// To when: 18:00, or a date and time.
    #[arg(long, value_name = "INSTANT")]
    until: Option<Instant>,
}

/// Does it.
///
/// # Errors
/// [`Failure`].
pub(crate) fn run(caller: &Caller, arguments: Arguments) -> Result<Report, Failure> {
    let Arguments { what, sending } = arguments;
    crate::errand::run(caller, &sending, |scene| plan(what.clone(), scene))
}

/// What to ask, as the node is now.
pub(crate) fn plan(what: What, scene: &Scene<'_>) -> Result<Plan, Failure> {
    let at = |instant: Instant| instant.at_ms(scene.now_ms).map_err(|e| Failure::new(USAGE, e));
    let (request, goal) = match what {
        What::Start(start) => return plan_start(start, scene),
        What::Extend { session, to } => {
            let (session, station) = which(session, scene)?;
            let to = match (to.by, to.until) {
                (Some(by), _) => Extension::By(by.ms()),
                (None, Some(until)) => Extension::To(at(until)?),
                (None, None) => unreachable!("clap requires one of them"),
            };
            let request = Request::SessionExtend(SessionExtend { session: session.clone(), to });
            (request, SessionGoal::new(session, station, Wanted::Moved))
        }
        What::Pause { session } => {
            let (session, station) = which(session, scene)?;
            let request = Request::SessionPause(SessionRef { session: session.clone() });
            (request, SessionGoal::new(session, station, Wanted::Paused))
        }
        What::Resume { session } => {
            let (session, station) = which(session, scene)?;
            let request = Request::SessionResume(SessionRef { session: session.clone() });
            (request, SessionGoal::new(session, station, Wanted::Resumed))
        }
        What::Transfer { session, station: to } => {
            let (session, station) = which(session, scene)?;
            let transfer = SessionTransfer { session: session.clone(), station: to.clone() };
            let goal = SessionGoal::new(session, station, Wanted::At(to));
            (Request::SessionTransfer(transfer), goal)
        }
        What::End { session, immediate, abandon } => {
            let (session, station) = which(session, scene)?;
            let end = SessionEnd { session: session.clone(), immediate, abandon };
            (Request::SessionEnd(end), SessionGoal::new(session, station, Wanted::Ended))
        }
    };
    Ok(Plan { request, goal: Box::new(goal), patience: PATIENCE, guess: true })
}

fn plan_start(start: Start, scene: &Scene<'_>) -> Result<Plan, Failure> {
    let at = |instant: Instant| instant.at_ms(scene.now_ms).map_err(|e| Failure::new(USAGE, e));
    let Start { station, length, at: begin, session, warn_before, grace, label } = start;
    let new = || format!("s-{}", ulid(scene.now_ms)).parse().expect("it is a legal id");
    let session: SessionId = session.unwrap_or_else(new);
    let end = match (length.length, length.until) {
        (Some(length), _) => End::After(length.ms()),
        (None, Some(until)) => End::At(at(until)?),
        (None, None) => unreachable!("clap requires one of them"),
    };
    let request = Request::SessionStart(SessionStart {
        session: session.clone(),
        station: station.clone(),
        end,
        starts_at_ms: begin.map(at).transpose()?,
        warn_before_ms: warn_before.map(|spans| spans.into_iter().map(Span::ms).collect()),
        grace_ms: grace.map(Span::ms),
        label,
    });
    let goal = SessionGoal::new(session, Some(station), Wanted::Started);
    Ok(Plan { request, goal: Box::new(goal), patience: PATIENCE, guess: false })
}

/// The session that is meant: an id that the node knows, else the one on the station of that name.
/// Any other is for the node to refuse.
fn which(named: SessionId, scene: &Scene<'_>) -> Result<(SessionId, Option<StationId>), Failure> {
    let picture = scene.picture;
    if let Some(session) = picture.session(&named) {
        return Ok((named, Some(session.station.clone())));
    }
    let Some(station) = picture.station(named.as_str()) else { return Ok((named, None)) };
    let sessions = picture.state.as_ref().map_or(&[][..], |state| &state.sessions);
    let here = sessions.iter().filter(|session| session.station == station.station);
    let booked: Vec<&SessionId> = here.map(|session| &session.session).collect();
    match (&station.session, booked.as_slice()) {
        (Some(live), _) => Ok((live.clone(), Some(station.station.clone()))),
        (None, [only]) => Ok(((*only).clone(), Some(station.station.clone()))),
        (None, []) => {
            let text = format!("there is no session on {named} of {}", scene.node);
            Err(Failure::new(REJECTED, text))
        }
        (None, several) => {
            let ids = several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let text = format!("{named} has several booked sessions; name one of them: {ids}");
            Err(Failure::new(USAGE, text))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::picture::Picture;

    fn picture() -> Picture {
        let session = |id: &str, station: &str, phase: &str| json!({ "session": id, "station": station, "phase": phase, "seq": 1 });
        let state = json!({
            "node": "pi-1", "at_ms": 1, "outlets": [],
            "stations": [
                { "station": "pc-1", "outlets": [], "session": "s-1" },
                { "station": "pc-2", "outlets": [] },
                { "station": "pc-3", "outlets": [] },
                { "station": "pc-4", "outlets": [] },
            ],
            "sessions": [
                session("s-1", "pc-1", "active"), session("s-9", "pc-1", "booked"),
                session("s-2", "pc-2", "booked"),
                session("s-3", "pc-3", "booked"), session("s-4", "pc-3", "booked"),
            ],
            "queues": { "tasks_queued": 0, "tasks_running": 0, "outbox_events": 0,
                "outbox_bytes": 0, "last_seq": 1 },
        });
        Picture { state: serde_json::from_value(state).unwrap(), ..Picture::default() }
    }

    #[test]
    fn a_session_is_named_by_its_id_or_by_its_station() {
        let (picture, node) = (picture(), "pi-1".parse().unwrap());
        let scene = Scene { node: &node, picture: &picture, now_ms: 1 };
        let found = |name: &str| {
            which(name.parse().unwrap(), &scene).map(|(session, _)| session.to_string())
        };
        assert_eq!(found("s-1").unwrap(), "s-1");
        assert_eq!(found("pc-1").unwrap(), "s-1", "the live one goes before a booked one");
        assert_eq!(found("pc-2").unwrap(), "s-2", "the only booked one");
        assert!(found("pc-3").unwrap_err().message.ends_with("s-3, s-4"));
        assert_eq!(found("pc-4").unwrap_err().message, "there is no session on pc-4 of pi-1");
        assert_eq!(found("s-77").unwrap(), "s-77", "the node knows best");
    }
}
