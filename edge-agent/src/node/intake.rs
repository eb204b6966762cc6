//! Commands come in: each gets one answer and at most one effect (contract, sections 3 and 4).

use edge_protocol::codec::{Received, Unreadable};
use edge_protocol::command::{
    Command, OutletSet, Request, SessionStart, SessionTransfer, TaskSubmit, Work,
};
use edge_protocol::event::{Code, CommandAccepted, CommandRejected, What};
use edge_protocol::id::{CommandId, OutletId, SessionId, StationId, TaskId};
use edge_protocol::limits::POWERING_COMMAND_LIFE_MS;

use super::answer::{Rejection, Repeat};
use super::power::Hold;
use super::record::{self, Kind};
use super::session::{Defaults, Instants, Session};
use super::task;
use super::{Act, Node, Token};

/// Booked and live sessions of a node: far beyond its outlets, and little memory.
const MAX_SESSIONS: usize = 1_000;
/// On an unsynced clock a powering command that comes so soon after a connect may have waited at the broker.
const QUEUED_AT_BROKER_MS: u64 = 5_000;

type Done = Result<(), Rejection>;

fn reject(code: Code, message: impl Into<String>) -> Done {
    Err(Rejection::new(code, message))
}

impl Node {
    /// Takes a command, or lets it wait at the broker while this node can't remember one more.
    pub(super) fn receive(
        &mut self,
        token: Token,
        received: Result<Received, Unreadable>,
        retained: bool,
    ) {
        let room = self.answers.make_room(self.clock.running_ms());
        match room {
            Ok(deletes) if self.accepting() => {
                self.effects.writes.extend(deletes);
                self.answer(received, retained);
                self.effects.acts.push(Act::Acknowledge(token));
            }
            Ok(_) | Err(_) => self.waiting.push_back((token, received, retained)),
        }
    }

    /// Takes the commands that waited, once that is possible again.
    pub(super) fn receive_waiting(&mut self) {
        for (token, received, retained) in std::mem::take(&mut self.waiting) {
            self.receive(token, received, retained);
        }
    }

    fn answer(&mut self, received: Result<Received, Unreadable>, retained: bool) {
        let received = match received {
            Ok(received) => received,
            Err(unreadable) => {
                let Unreadable { code, message } = unreadable;
                let rejected = CommandRejected { command: None, code, message, repeat: false };
                return self.tell(None, What::CommandRejected(rejected));
            }
        };
        let id = received.id;
        match self.answers.repeat(&id, self.now.boot) {
            Some(Repeat::Answer(answer)) => {
                let what = answered(&id, answer, true);
                return self.tell(Some(id), what);
            }
            Some(Repeat::Silence) => return,
            None => {}
        }
        let mark = self.voice.mark();
        let done = match received.command {
            _ if retained => reject(
                Code::Invalid,
                "the command is retained: it would act again at each reconnect; publish it without the retain flag",
            ),
            Err(refusal) => reject(refusal.code, refusal.message),
            Ok(command) => self.obey(command),
        };
        if !matches!(&done, Err(Rejection { code: Code::Busy, .. })) {
            let remembered =
                self.answers.remember(&id, done.clone().err(), self.clock.running_ms());
            self.effects.writes.push(remembered);
        }
        let what = answered(&id, done, false);
        self.voice.insert(mark, Some(id), what);
        self.voice.state_changed();
    }

    fn obey(&mut self, command: Command) -> Done {
        self.in_time(&command)?;
        let instants = Instants { now: self.now, issued_at_ms: command.issued_at_ms };
        let cause = command.id;
        match command.request {
            Request::SessionStart(start) => self.start(start, cause, instants),
            Request::SessionExtend(extend) => {
                let told =
                    self.session(&extend.session)?.extend(&extend, cause.clone(), instants)?;
                self.moved(&extend.session, cause, told);
                Ok(())
            }
            Request::SessionPause(of) => {
                let now = self.now;
                let progress = self.session(&of.session)?.pause(cause, now)?;
                self.progressed_by_command(&of.session, progress);
                Ok(())
            }
            Request::SessionResume(of) => {
                let now = self.now.boot;
                let outlets = self.session(&of.session)?.outlets.clone();
                let held_off = self.held_off(&outlets);
                let session = self.session(&of.session)?;
                if session.paused()
                    && let Some(held_off) = held_off
                {
                    return reject(Code::Conflict, held_off);
                }
                if session.resume(cause, now)? {
                    self.take_over(&of.session);
                    self.voice.write_session(of.session);
                }
                Ok(())
            }
            Request::SessionTransfer(transfer) => self.transfer(transfer, cause),
            Request::SessionEnd(end) => {
                let now = self.now;
                let progress = self.session(&end.session)?.end(&end, cause, now);
                self.progressed_by_command(&end.session, progress);
                Ok(())
            }
            Request::OutletSet(set) => self.hold(&set),
            Request::OutletRelease(of) => {
                self.known_outlet(&of.outlet)?;
                self.drop_hold(&of.outlet);
                Ok(())
            }
            Request::TaskSubmit(submit) => self.submit(submit, cause, instants),
            Request::TaskCancel(of) => self.cancel(&of.task, cause),
            Request::TaskRetry(of) => self.retry(&of.task, cause),
            Request::SchedulePut(_) | Request::ScheduleRemove(_) => reject(
                Code::Unsupported,
                "schedules are not yet supported by this version of the agent",
            ),
            Request::EventResend(range) => {
                let last = self.outbox.last_seq();
                if range.to_seq > last {
                    return reject(
                        Code::Invalid,
                        format!("body.to_seq: the last event has seq {last}"),
                    );
                }
                self.outbox.resend(range.from_seq, range.to_seq);
                Ok(())
            }
            Request::NodeReport(_) => {
                self.report(cause);
                Ok(())
            }
        }
    }

    /// What waited at the broker while the node was away must not act late.
    fn in_time(&self, command: &Command) -> Done {
        let powers = command.request.powers();
        let life_ms = powers.then_some(POWERING_COMMAND_LIFE_MS);
        let default =
            command.issued_at_ms.zip(life_ms).map(|(issued, life)| issued.saturating_add(life));
        if let Some(expires_at_ms) = command.expires_at_ms.or(default)
            && self.now.wall_ms >= expires_at_ms
        {
            let message = format!("it expired at {expires_at_ms}, it is {} now", self.now.wall_ms);
            return reject(Code::Expired, message);
        }
        if powers
            && !self.now.synced
            && self.voice.may_have_queued(self.now.boot, QUEUED_AT_BROKER_MS)
        {
            let message =
                "the node's clock is unsynced, and the command may have waited at the broker";
            return reject(Code::Expired, message);
        }
        Ok(())
    }

    fn progressed_by_command(&mut self, id: &SessionId, mut progress: super::session::Progress) {
        progress.changed = true;
        self.progressed(id, progress);
    }

    fn moved(&mut self, id: &SessionId, cause: CommandId, told: Vec<What>) {
        for what in told {
            self.tell(Some(cause.clone()), what);
        }
        self.voice.write_session(id.clone());
    }

    /// A booked or live session; an ended one allows nothing any more.
    fn session(&mut self, id: &SessionId) -> Result<&mut Session, Rejection> {
        if self.has_ended(id) {
            return Err(Rejection::new(Code::Conflict, format!("session {id} is over")));
        }
        let unknown = || Rejection::new(Code::UnknownSession, format!("there is no session {id}"));
        self.sessions.get_mut(id).ok_or_else(unknown)
    }

    fn has_ended(&self, id: &SessionId) -> bool {
        self.ended.iter().any(|(_, ended)| ended == id)
    }

    fn station(&self, id: &StationId) -> Result<Vec<OutletId>, Rejection> {
        let unknown =
            || Rejection::new(Code::UnknownStation, format!("this node has no station {id}"));
        self.settings.stations.get(id).cloned().ok_or_else(unknown)
    }

    fn known_outlet(&self, id: &OutletId) -> Done {
        if self.settings.outlets.contains_key(id) {
            return Ok(());
        }
        reject(Code::UnknownOutlet, format!("this node has no outlet {id}"))
    }

    fn start(&mut self, start: SessionStart, cause: CommandId, instants: Instants) -> Done {
        let outlets = self.station(&start.station)?;
        let id = start.session.clone();
        if self.sessions.contains_key(&id) || self.has_ended(&id) {
            return reject(Code::Conflict, format!("the session id {id} was used before"));
        }
        if self.sessions.len() >= MAX_SESSIONS {
            return reject(
                Code::Conflict,
                format!("this node has {MAX_SESSIONS} sessions already"),
            );
        }
        let defaults = Defaults {
            warn_before_ms: &self.settings.warn_before_ms,
            grace_ms: self.settings.grace_ms,
        };
        let mut session = Session::new(start, outlets, cause.clone(), &defaults, instants)?;
        if session.due(self.now.boot) {
            if let Some(obstacle) = self.obstacle(&session.station, &session.outlets) {
                return reject(Code::Conflict, obstacle);
            }
            session.begin(self.now.boot);
        } else {
            let booked = session.booked(self.now);
            self.tell(Some(cause), booked);
        }
        let live = session.live();
        self.sessions.insert(id.clone(), session);
        if live {
            self.take_over(&id);
        }
        self.voice.write_session(id);
        Ok(())
    }

    fn transfer(&mut self, transfer: SessionTransfer, cause: CommandId) -> Done {
        let outlets = self.station(&transfer.station)?;
        let now = self.now;
        let session = self.session(&transfer.session)?;
        let (live, here) = (session.live(), session.station == transfer.station);
        if live
            && !here
            && let Some(obstacle) = self.obstacle(&transfer.station, &outlets)
        {
            return reject(Code::Conflict, obstacle);
        }
        let new = outlets.clone();
        let session = self.session(&transfer.session)?;
        let told = session.transfer(transfer.station, outlets, cause.clone(), now)?;
        if live {
            for outlet in new {
                self.take_outlet(&outlet);
            }
        }
        self.moved(&transfer.session, cause, told);
        Ok(())
    }

    fn hold(&mut self, set: &OutletSet) -> Done {
        self.known_outlet(&set.outlet)?;
        let owner = self.owner(&set.outlet);
        if let Some(session) = owner.filter(|_| !set.force) {
            return reject(
                Code::Conflict,
                format!("session {session} owns {}; `force` overrides it", set.outlet),
            );
        }
        let hold = Hold {
            on: set.on,
            until: set.for_ms.map(|ms| self.now.boot + ms),
            forced: owner.is_some(),
        };
        self.effects.writes.push(record::put(Kind::Hold, set.outlet.as_str(), &hold));
        // A hold's end is an instant of this boot: the next one needs a checkpoint to read it.
        let checkpoint = self.clock.checkpoint(false);
        self.effects.writes.push(checkpoint);
        self.keep_settings(&set.outlet);
        self.holds.insert(set.outlet.clone(), hold);
        Ok(())
    }

    fn submit(&mut self, submit: TaskSubmit, cause: CommandId, instants: Instants) -> Done {
        let id = &submit.task;
        if self.tasks.get(id).is_some() {
            return reject(Code::Conflict, format!("the task id {id} was used before"));
        }
        if let Work::OutletCycle(cycle) = &submit.work {
            self.known_outlet(&cycle.outlet)?;
        }
        let limits = self.settings.tasks;
        if self.tasks.queued() >= limits.max_queued {
            return reject(
                Code::Busy,
                format!("{} tasks are queued, the most there may be", limits.max_queued),
            );
        }
        if self.tasks.bytes() + task::size(&submit) > limits.max_bytes {
            return reject(
                Code::Busy,
                format!("queued tasks fill the {} bytes there are for them", limits.max_bytes),
            );
        }
        let ready_at = match submit.not_before_ms {
            Some(at) => instants.boot("not_before_ms", at)?,
            None => self.now.boot,
        };
        let id = submit.task.clone();
        let writes = self.tasks.submit(submit, cause.clone(), ready_at);
        self.effects.writes.extend(writes);
        self.tell_task(&id, cause, What::TaskQueued);
        Ok(())
    }

    fn cancel(&mut self, id: &TaskId, cause: CommandId) -> Done {
        let Some(task) = self.tasks.get(id) else {
            return reject(Code::UnknownTask, format!("there is no task {id}"));
        };
        match task.run.phase {
            task::Phase::Ended { .. } => reject(Code::Conflict, format!("task {id} is over")),
            task::Phase::Queued { .. } => {
                self.end_task(id, task::TaskEnd::Cancelled, Some(cause), |news| {
                    What::TaskCancelled(news)
                });
                Ok(())
            }
            task::Phase::Running { .. } => {
                self.cancel_attempt(id, cause);
                Ok(())
            }
        }
    }

    fn retry(&mut self, id: &TaskId, cause: CommandId) -> Done {
        let Some(task) = self.tasks.get(id) else {
            return reject(Code::UnknownTask, format!("there is no task {id}"));
        };
        if !matches!(task.run.phase, task::Phase::Ended { end: task::TaskEnd::Failed, .. }) {
            return reject(Code::Conflict, format!("task {id} has not failed"));
        }
        if self.tasks.queued() >= self.settings.tasks.max_queued {
            return reject(Code::Busy, "the task queue is full");
        }
        let write = self.tasks.retry(id, self.now.boot);
        self.effects.writes.push(write);
        self.tell_task(id, cause, What::TaskQueued);
        Ok(())
    }
}

fn answered(id: &CommandId, answer: Done, repeat: bool) -> What {
    match answer {
        Ok(()) => What::CommandAccepted(CommandAccepted { command: id.clone(), repeat }),
        Err(Rejection { code, message }) => What::CommandRejected(CommandRejected {
            command: Some(id.clone()),
            code,
            message: message.into(),
            repeat,
        }),
    }
}
