//! Dying, restarting, connecting, and what the control plane does about it.

use std::collections::BTreeMap;
use std::rc::Rc;

use edge_agent::node::Input;
use edge_protocol::command::{Request, ScheduleRef, SessionEnd};
use edge_protocol::id::{CommandId, ScheduleId};

use super::broker::Delivery;
use super::chance::For;
use super::control::{self, Message};
use super::process::News;
use super::queue::Happening;
use super::site::id;
use super::world::World;

/// How often the control plane looks whether anything of its own was lost.
const TIDY_MS: u64 = 60_000;

/// What the clocks will be when the board starts again.
#[derive(Debug, Clone, Copy)]
pub(super) struct NextBoot {
    /// The wall clock is so far behind; else right and trusted.
    pub(super) behind_ms: Option<u64>,
    pub(super) synced_after_ms: u64,
}

/// A command that was sent.
#[derive(Debug)]
pub(super) struct Issued {
    message: Rc<Message>,
    /// The broker kept it when it was sent last, and did not forget it since.
    kept: bool,
}

/// The commands that were sent, by their ids: what an answer answers.
#[derive(Debug, Default)]
pub(super) struct Requests {
    issued: BTreeMap<CommandId, Issued>,
    schedules: BTreeMap<ScheduleId, Rc<Request>>,
}

impl Requests {
    /// What an accepted command stands for, and when it was issued. The occurrence of a schedule
    /// is named by that and its moment.
    pub(super) fn of(&self, command: &CommandId) -> Option<(&Request, Option<u64>)> {
        if let Some(issued) = self.issued.get(command) {
            let message = &issued.message;
            return Some((message.request.as_deref()?, message.issued_at_ms));
        }
        let (schedule, at) = command.as_str().rsplit_once('.')?;
        let Request::SchedulePut(put) = self.schedules.get(&schedule.parse().ok()?)?.as_ref()
        else {
            return None;
        };
        let at = chrono::NaiveDateTime::parse_from_str(at, "%Y%m%dT%H%M%SZ").ok()?;
        Some((&put.command, u64::try_from(at.and_utc().timestamp_millis()).ok()))
    }

    fn sent(&mut self, message: &Rc<Message>) {
        let (Some(name), true) = (&message.name, message.way != "again with another body") else {
            return;
        };
        if let Some(request) = &message.request
            && let Request::SchedulePut(put) = request.as_ref()
        {
            self.schedules.insert(put.schedule.clone(), Rc::clone(request));
        }
        let issued = || Issued { message: Rc::clone(message), kept: true };
        self.issued.entry(name.clone()).or_insert_with(issued);
    }
}

impl World {
    /// The process is gone at once; systemd starts it again.
    pub(super) fn die(&mut self, how: &str, down_ms: u64) {
        let Some(process) = self.process.take() else { return };
        self.note(|| format!("the agent {how}"));
        if process.online {
            self.broker.broken = true;
        }
        let survived = self.disk.crash(self.clocks.real);
        if survived.waited > 0 {
            let what = match survived.kept {
                0 => "unflushed writes lost wholly",
                kept if kept < survived.waited => "unflushed writes lost in part",
                _ => "unflushed writes kept",
            };
            self.done.tally.count("fault", what);
        }
        if self.checker.crashed(survived.through) {
            // That somebody switched one on again may be lost with the rest.
            self.plugs.iter_mut().for_each(|plug| plug.thumbed = true);
        }
        self.held_orders.clear();
        self.held_offs.clear();
        self.alive_since = None;
        let mut rng = self.chance.at(self.clocks.real, For::Crash);
        self.sent.retain(|_, _| rng.bool());
        let at = self.clocks.real + down_ms;
        self.queue.at(at, Happening::Start);
    }

    /// The board is without power: its relays fall open, and its clocks start anew.
    pub(super) fn cut_power(
        &mut self,
        plugs_too: bool,
        behind_ms: Option<u64>,
        synced_after_ms: u64,
    ) {
        let real = self.clocks.real;
        for plug in &mut self.plugs {
            if !plug.leases {
                plug.switch(false, real);
                plug.meddled_at = real;
            } else if plugs_too {
                plug.restart(false, real);
            }
        }
        if behind_ms.is_some() {
            self.done.tally.count("fault", "boot with an unsynced clock");
        }
        self.next_boot = Some(NextBoot { behind_ms, synced_after_ms });
    }

    /// Begins an orderly stop.
    pub(super) fn stop(&mut self, down_ms: u64) {
        let real = self.clocks.real;
        let process = self.process.as_ref();
        if process.is_none_or(|process| process.stopping || process.frozen_until > real) {
            return;
        }
        // From here on an attempt may run again, even if the process dies before it has stopped.
        self.ever_stopped = true;
        self.step(Input::Stop);
        self.settle();
        if let Some(process) = self.process.as_mut() {
            process.stopping = true;
            self.stop_down_ms = down_ms;
            self.stop_by = real + 8_000;
            self.alive_since = None;
            self.queue.at(self.stop_by, Happening::Look);
        }
        self.end_in_order();
    }

    /// Ends an orderly stop once everything is on disk, or took too long.
    pub(super) fn end_in_order(&mut self) {
        let stopping = self.process.as_ref().is_some_and(|process| process.stopping);
        if stopping && (self.all_stored() || self.clocks.real >= self.stop_by) {
            self.die("has stopped in order", self.stop_down_ms);
        }
    }

    pub(super) fn lose_link(&mut self, noticed_ms: u64) {
        self.broker.broken = true;
        if let Some(process) = self.process.as_ref().filter(|process| process.online) {
            let noticed = Happening::Noticed { run: process.run, connection: process.connection };
            self.queue.at(self.clocks.real + noticed_ms, noticed);
        }
    }

    pub(super) fn noticed(&mut self, connection: u64) -> bool {
        let Some(process) = self
            .process
            .as_mut()
            .filter(|process| process.online && process.connection == connection)
        else {
            return false;
        };
        process.online = false;
        process.news.push_back(News::Down);
        self.note(|| "the link is gone".to_owned());
        let real = self.clocks.real;
        let at = real + self.chance.at(real, For::Connect).u64(500..30_000);
        self.queue.at(at, Happening::Connect { run: self.run });
        true
    }

    pub(super) fn connect(&mut self) -> bool {
        let real = self.clocks.real;
        if self.process.as_ref().is_none_or(|process| process.online || process.stopping) {
            return false;
        }
        if self.broker.away_until > real {
            let backoff_ms = self.chance.at(real, For::Connect).u64(0..60_000);
            let at = self.broker.away_until + backoff_ms;
            self.queue.at(at, Happening::Connect { run: self.run });
            return false;
        }
        self.refuse_next = None;
        let session_present = self.broker.connect();
        if let Some(process) = self.process.as_mut() {
            process.online = true;
            process.connection = self.broker.connection;
            process.news.push_back(News::Up { session_present });
        }
        self.note(|| format!("the link is up, session_present {session_present}"));
        if !session_present {
            // It learns of it by `node.link`, a little later.
            self.queue.at(real + 3_000, Happening::Tidy { again: false });
        }
        self.deliver();
        true
    }

    /// The broker sends what it may.
    pub(super) fn deliver(&mut self) {
        let connection = self.broker.connection;
        for delivery in self.broker.deliver() {
            let at = self.broker.outward(self.clocks.real);
            self.queue.at(at, Happening::Command { connection, delivery });
        }
    }

    pub(super) fn command(&mut self, connection: u64, delivery: u64) -> bool {
        if !self.broker.carries(connection) {
            self.done.tally.count("fault", "command lost on its way");
            return false;
        }
        let Some(delivery) = self.broker.delivery(delivery) else { return false };
        self.note(|| delivery.message.to_string());
        let Some(process) = self.process.as_mut() else { return false };
        let Delivery { number, message } = delivery;
        process.news.push_back(News::Command { delivery: number, message });
        true
    }

    /// The process's acknowledgement of a command comes to the broker, or not.
    pub(super) fn acknowledged(&mut self, connection: u64, delivery: u64) {
        if self.broker.carries(connection) {
            self.broker.acknowledged(delivery);
            self.deliver();
        } else {
            self.done.tally.count("fault", "acknowledgement of a command lost");
        }
    }

    /// The control plane sends a message.
    pub(super) fn send(&mut self, message: &Rc<Message>) {
        if !self.broker.session {
            return;
        }
        let kind =
            message.request.as_ref().map_or("none that can be read", |request| request.kind());
        self.done.tally.count("command", kind);
        self.done.tally.count("way", message.way);
        if let Some(encoding) = message.encoding {
            self.done.tally.count("encoding", &format!("{encoding:?}"));
        }
        self.requests.sent(message);
        self.broker.keep(Rc::clone(message));
        self.deliver();
    }

    /// The control plane sends again what the broker lost before it was answered; and, once nothing
    /// goes wrong any more, ends what is still there.
    pub(super) fn tidy(&mut self, again: bool) {
        if self.broker.session {
            let lost = self.requests.issued.iter_mut().filter(|(_, issued)| !issued.kept).take(20);
            for (name, issued) in lost {
                if self.checker.ledger.answers(name) == 0 {
                    self.broker.keep(Rc::clone(&issued.message));
                }
                issued.kept = true;
            }
            if self.in_order {
                self.close();
            }
            self.deliver();
        }
        if again {
            self.queue.at(self.clocks.real + TIDY_MS, Happening::Tidy { again });
        }
    }

    /// The broker forgot everything, and the control plane will know.
    pub(super) fn forgotten(&mut self) {
        self.broker.forget();
        self.requests.issued.values_mut().for_each(|issued| issued.kept = false);
        self.lose_link(100);
    }

    fn close(&mut self) {
        // What they stand for is remembered: a removal may be long on its way.
        let schedules = self.requests.schedules.keys().cloned();
        let mut requests: Vec<_> =
            schedules.map(|schedule| Request::ScheduleRemove(ScheduleRef { schedule })).collect();
        requests.extend(self.checker.sessions().map(|session| {
            Request::SessionEnd(SessionEnd { session, immediate: true, abandon: false })
        }));
        let wall_ms = self.clocks.true_wall();
        for (number, request) in requests.into_iter().enumerate() {
            let name = id(&format!("close-{}-{number}", self.clocks.real));
            self.send(&Rc::new(control::closing(name, request, wall_ms)));
        }
    }

    /// The commands that the broker kept and the node has not answered.
    pub(super) fn unanswered(&self) -> Option<&CommandId> {
        let own = self.requests.issued.iter();
        let kept = own.filter(|(_, issued)| issued.kept && !issued.message.retained);
        let ledger = &self.checker.ledger;
        kept.map(|(name, _)| name).find(|name| ledger.answers(name) == 0 && !ledger.busy(name))
    }
}
