//! Commands come in: each gets one answer and at most one effect (contract, sections 3 and 4).

mod local;
mod schedules;
mod sessions;
mod tasks;

use edge_protocol::codec::{self, Unreadable};
use edge_protocol::command::{Command, EventResend, Request};
use edge_protocol::event::{Code, CommandAccepted, CommandRejected, What};
use edge_protocol::id::CommandId;
use edge_protocol::limits::POWERING_COMMAND_LIFE_MS;

use super::answer::{Rejection, Repeat};
use super::power::Asked;
use super::session::Instants;
use super::time::BootMs;
use super::{Act, Node, Token};

/// On an unsynced clock a powering command that comes so soon after a connect, or waited for so
/// long for this node to accept again, may have waited at the broker.
const QUEUED_AT_BROKER_MS: u64 = 5_000;
/// How long commands wait, at the longest, until it is looked again whether there is room for them.
const LOOK_AGAIN_MS: u64 = 60_000;
const RETAINED: &str = "the command is retained: it would act again at each reconnect; publish it without the retain flag";

type Done = Result<(), Rejection>;

fn reject(code: Code, message: impl Into<String>) -> Done {
    Err(Rejection::new(code, message))
}

/// A command that is the broker's until it is acknowledged. It stays in bytes: as a tree it could
/// weigh two hundred times as much.
#[derive(Debug)]
pub(super) struct Arrival {
    token: Token,
    payload: Vec<u8>,
    retained: bool,
    arrived: BootMs,
}

impl Node {
    /// Takes a command, after those that wait already.
    pub(super) fn receive(&mut self, token: Token, payload: Vec<u8>, retained: bool) {
        let arrived = self.now.boot;
        self.waiting.push_back(Arrival { token, payload, retained, arrived });
        self.receive_waiting();
    }

    /// Takes the commands that wait, as long as this node accepts and can remember one more.
    pub(super) fn receive_waiting(&mut self) {
        while !self.waiting.is_empty() && self.accepting() {
            let Ok(deletes) = self.answers.make_room(self.clock.running_ms()) else { break };
            self.effects.writes.extend(deletes);
            let Some(arrival) = self.waiting.pop_front() else { break };
            let token = arrival.token;
            self.answer(&arrival);
            self.effects.acts.push(Act::Acknowledge(token));
        }
    }

    /// When commands that wait are to be looked at again.
    pub(super) fn look_again_at(&self) -> Option<BootMs> {
        let full = !self.waiting.is_empty() && self.accepting();
        full.then(|| self.now.boot + LOOK_AGAIN_MS)
    }

    fn answer(&mut self, arrival: &Arrival) {
        let received = match codec::decode_command(&arrival.payload) {
            Ok(received) => received,
            Err(Unreadable { code, message }) => {
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
            _ if arrival.retained => reject(Code::Invalid, RETAINED),
            Err(refusal) => reject(refusal.code, refusal.message),
            Ok(command) => self.carry_out(command, arrival.arrived),
        };
        if !matches!(&done, Err(Rejection { code: Code::Busy, .. })) {
            let rejection = done.clone().err();
            let write = self.answers.remember(&id, rejection, self.clock.running_ms());
            self.effects.writes.push(write);
        }
        self.tell_answer(mark, id, done);
    }

    /// Does what a command asks for, unless it comes too late.
    fn carry_out(&mut self, command: Command, arrived: BootMs) -> Done {
        self.in_time(&command, arrived).and_then(|()| self.obey(command))
    }

    /// Tells a command's answer, before what it led to since the `mark`.
    fn tell_answer(&mut self, mark: usize, id: CommandId, done: Done) {
        let what = answered(&id, done, false);
        self.tell_at(mark, Some(id), what);
        self.voice.state_changed();
    }

    /// What waited at the broker while the node was away must not act late.
    fn in_time(&self, command: &Command, arrived: BootMs) -> Done {
        let waited_ms = self.now.boot - arrived;
        // An unsynced clock is a lower bound, and so is the time since a command was issued.
        let since_issue =
            command.issued_at_ms.filter(|_| !self.now.synced).map(|at| at + waited_ms);
        let now_ms = since_issue.unwrap_or(0).max(self.now.wall_ms);
        let powers = command.request.powers();
        let life_ms = powers.then_some(POWERING_COMMAND_LIFE_MS);
        let default = command.issued_at_ms.zip(life_ms).map(|(issued, life)| issued + life);
        if let Some(expires_at_ms) = command.expires_at_ms.or(default)
            && now_ms >= expires_at_ms
        {
            let message = format!("it expired at {expires_at_ms}, it is {now_ms} now");
            return reject(Code::Expired, message);
        }
        let queued = self.voice.may_have_queued(arrived, QUEUED_AT_BROKER_MS)
            || waited_ms > QUEUED_AT_BROKER_MS;
        if powers && !self.now.synced && queued {
            let message =
                "the node's clock is unsynced, and the command may have waited at the broker";
            return reject(Code::Expired, message);
        }
        Ok(())
    }

    fn obey(&mut self, command: Command) -> Done {
        let instants = Instants { now: self.now, issued_at_ms: command.issued_at_ms };
        let cause = command.id;
        match command.request {
            Request::SessionStart(start) => self.start(start, cause, instants),
            Request::SessionExtend(extend) => self.extend(&extend, cause, instants),
            Request::SessionPause(of) => self.pause(&of.session, cause),
            Request::SessionResume(of) => self.resume(of.session, cause),
            Request::SessionTransfer(transfer) => self.transfer(transfer, cause),
            Request::SessionEnd(end) => self.end(&end, cause),
            Request::OutletSet(set) => self.hold(&set, Asked::ByCommand(cause)),
            Request::OutletRelease(of) => self.release(&of.outlet),
            Request::TaskSubmit(submit) => self.submit(&submit, cause, instants),
            Request::TaskCancel(of) => self.cancel(&of.task, cause),
            Request::TaskRetry(of) => self.retry(&of.task, cause),
            Request::SchedulePut(put) => self.put_schedule(&put),
            Request::ScheduleRemove(of) => self.remove_schedule(&of.schedule),
            Request::EventResend(range) => self.resend(range, cause),
            Request::NodeReport(_) => {
                self.report(cause);
                Ok(())
            }
        }
    }

    fn resend(&mut self, range: EventResend, cause: CommandId) -> Done {
        let last = self.outbox.last_seq();
        if range.to_seq > last {
            let message = format!("body.to_seq: the last event has seq {last}");
            return reject(Code::Invalid, message);
        }
        if !self.outbox.takes_resend() {
            return reject(Code::Busy, "earlier event.resend commands are still under way");
        }
        self.outbox.resend(range.from_seq, range.to_seq, cause);
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

#[cfg(test)]
mod tests;
