//! The control plane: commands of every type, valid or not, late, twice, out of order.

use std::fmt;
use std::rc::Rc;

use edge_agent::node::settings::Settings;
use edge_protocol::codec::{Encoding, encode};
use edge_protocol::command::{
    Command, Empty, End, EventResend, Extension, Missed, OutletCycle, OutletRef, OutletSet,
    Request, SchedulePut, ScheduleRef, Script, SessionEnd, SessionExtend, SessionRef, SessionStart,
    SessionTransfer, TaskRef, TaskSubmit, Wait, Work,
};
use edge_protocol::id::{CommandId, OutletId, SessionId, StationId, TaskId};
use fastrand::Rng;
use serde_json::json;

use super::clocks;
use super::script::{Deed, Entry};
use super::site::id;

/// Every way in which a message is sent, by the name under which it is counted.
pub(super) const WAYS: [&str; 9] = [
    "as it should be",
    "late",
    "with an expiry",
    "again",
    "again with another body",
    "out of order",
    "invalid",
    "malformed",
    "retained",
];

/// A message for the node's command topic.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// Its id, where it can be read.
    pub(super) name: Option<CommandId>,
    /// What it asks for, where it can be read.
    pub(super) request: Option<Rc<Request>>,
    pub(super) issued_at_ms: Option<u64>,
    pub(super) payload: Rc<[u8]>,
    pub(super) retained: bool,
    /// One of [`WAYS`].
    pub(super) way: &'static str,
    /// Where it is a whole command.
    pub(super) encoding: Option<Encoding>,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.as_ref().map_or("nameless", CommandId::as_str);
        match &self.request {
            Some(request) => write!(f, "command {name} ({}): {request:?}", self.way),
            None => write!(f, "command {name} ({}), {} bytes", self.way, self.payload.len()),
        }
    }
}

/// A message that nobody can make a command of.
fn unreadable(name: Option<CommandId>, payload: Vec<u8>, way: &'static str) -> Message {
    let payload = payload.into();
    let (request, issued_at_ms, encoding) = (None, None, None);
    Message { name, request, issued_at_ms, payload, retained: false, way, encoding }
}

/// An order to end a session at once, sent when a world is put in order.
pub(super) fn closing(name: CommandId, request: Request, wall_ms: u64) -> Message {
    message(name, request, Encoding::Json, Some(wall_ms), None, "as it should be")
}

fn message(
    name: CommandId,
    request: Request,
    encoding: Encoding,
    issued_at_ms: Option<u64>,
    expires_at_ms: Option<u64>,
    way: &'static str,
) -> Message {
    let command = Command { id: name, issued_at_ms, expires_at_ms, request };
    let payload = encode(encoding, &command).into();
    let (name, request) = (Some(command.id), Some(Rc::new(command.request)));
    let encoding = Some(encoding);
    Message { name, request, issued_at_ms, payload, retained: false, way, encoding }
}

#[derive(Debug)]
pub(super) struct Control {
    rng: Rng,
    issued: Vec<Message>,
    names: u64,
    sessions: u64,
    tasks: u64,
    schedules: u64,
    outlets: Vec<OutletId>,
    stations: Vec<StationId>,
}

impl Control {
    pub(super) fn new(rng: Rng, settings: &Settings) -> Self {
        Self {
            rng,
            issued: Vec::new(),
            names: 0,
            sessions: 0,
            tasks: 0,
            schedules: 0,
            outlets: settings.outlets.keys().cloned().collect(),
            stations: settings.stations.keys().cloned().collect(),
        }
    }

    /// Everything that it sends within so much time.
    pub(super) fn commands(mut self, every_ms: u64, until_ms: u64) -> Vec<Entry> {
        let mut script = Vec::new();
        let mut at_ms = 5_000;
        while at_ms < until_ms {
            let sent = self.send(clocks::true_wall(at_ms));
            script.extend(
                sent.into_iter().map(|sent| Entry { at_ms, deed: Deed::Command(Rc::new(sent)) }),
            );
            at_ms += match self.rng.u8(0..10) {
                0..2 => self.rng.u64(0..100),
                _ => self.rng.u64(every_ms / 20..every_ms * 12 / 5),
            };
        }
        script
    }

    fn send(&mut self, wall_ms: u64) -> Vec<Message> {
        match self.rng.u8(0..40) {
            0..4 if !self.issued.is_empty() => vec![self.again()],
            4..6 => vec![self.garbage()],
            6 => self.out_of_order(wall_ms),
            7 => {
                let burst = self.rng.usize(5..40);
                (0..burst).map(|_| self.command(wall_ms)).collect()
            }
            8..10 => {
                let command = self.command(wall_ms);
                let again = Message { way: "again", ..command.clone() };
                vec![command, again]
            }
            _ => vec![self.command(wall_ms)],
        }
    }

    fn again(&mut self) -> Message {
        let issued = self.rng.choice(&self.issued).cloned().expect("there are some");
        if self.rng.u8(0..5) == 0 {
            let name = &issued.name;
            let body = json!({"id": name, "type": "node.report", "body": {"surprise": 1}});
            let payload = body.to_string().into_bytes().into();
            return Message { payload, way: "again with another body", ..issued };
        }
        Message { way: "again", ..issued }
    }

    fn garbage(&mut self) -> Message {
        let payload = match self.rng.u8(0..5) {
            0 => b"{\"id\":".to_vec(),
            1 => vec![0xff; 20],
            2 => format!("{{\"id\":\"x\",\"type\":\"{}\"}}", "t".repeat(100)).into_bytes(),
            3 => vec![0x81; 40],
            _ => vec![b' '; 70_000],
        };
        unreadable(None, payload, "malformed")
    }

    /// A session's commands as they come in if nobody keeps their order.
    fn out_of_order(&mut self, wall_ms: u64) -> Vec<Message> {
        let start = self.start(wall_ms);
        let session = id(&format!("s{}", self.sessions));
        let of = |session: &SessionId| SessionRef { session: session.clone() };
        let mut requests = vec![
            start,
            Request::SessionPause(of(&session)),
            Request::SessionResume(of(&session)),
            Request::SessionEnd(SessionEnd { session, immediate: false, abandon: false }),
        ];
        self.rng.shuffle(&mut requests);
        let mut sent = Vec::new();
        for request in requests {
            let (name, encoding) = (self.name(), self.encoding());
            sent.push(message(name, request, encoding, Some(wall_ms), None, "out of order"));
        }
        self.issued.extend(sent.iter().cloned());
        sent
    }

    fn name(&mut self) -> CommandId {
        self.names += 1;
        id(&format!("c{:05}", self.names))
    }

    fn encoding(&mut self) -> Encoding {
        if self.rng.bool() { Encoding::Json } else { Encoding::Cbor }
    }

    fn command(&mut self, wall_ms: u64) -> Message {
        let name = self.name();
        let command = match self.rng.u8(0..100) {
            0..4 => self.invalid(name, wall_ms),
            rare => {
                let request = self.any_request(wall_ms);
                let encoding = self.encoding();
                let (issued_at_ms, way) = match rare {
                    4..8 => {
                        let late_ms = self.rng.u64(50_000..200_000);
                        (Some(wall_ms.saturating_sub(late_ms)), "late")
                    }
                    8..12 if !request.powers() => (None, "as it should be"),
                    80.. => (Some(wall_ms), "with an expiry"),
                    _ => (Some(wall_ms), "as it should be"),
                };
                let expires_at_ms = issued_at_ms
                    .filter(|_| way == "with an expiry")
                    .map(|at| at + self.rng.u64(1_000..3_600_000));
                let sent = message(name, request, encoding, issued_at_ms, expires_at_ms, way);
                match rare {
                    12 => Message { retained: true, way: "retained", ..sent },
                    _ => sent,
                }
            }
        };
        self.issued.push(command.clone());
        command
    }

    fn invalid(&mut self, name: CommandId, wall_ms: u64) -> Message {
        let body = match self.rng.u8(0..4) {
            0 => json!({"id": name, "type": "session.swap", "body": {"session": "s"}}),
            1 => json!({"id": name, "type": "session.start", "issued_at_ms": wall_ms,
                "body": {"session": "s", "station": "pc-1", "duration_ms": -1}}),
            2 => json!({"id": name, "type": "outlet.set", "issued_at_ms": wall_ms,
                "body": {"outlet": "plug-1", "on": true}}),
            _ => json!({"id": name, "type": "task.submit", "body": {"task": "t", "kind": "script",
                "payload": {"name": "missing"}}}),
        };
        unreadable(Some(name), body.to_string().into_bytes(), "invalid")
    }

    fn session(&mut self) -> SessionId {
        let newest = self.sessions.max(1);
        let number = newest - self.rng.u64(0..newest.min(5));
        id(&format!("s{number}"))
    }

    fn task(&mut self) -> TaskId {
        let newest = self.tasks.max(1);
        let number = newest - self.rng.u64(0..newest.min(6));
        id(&format!("t{number}"))
    }

    fn outlet(&mut self) -> OutletId {
        if self.rng.u8(0..50) == 0 {
            id("nowhere")
        } else {
            self.rng.choice(&self.outlets).cloned().expect("there are some")
        }
    }

    fn station(&mut self) -> StationId {
        if self.rng.u8(0..50) == 0 {
            id("nowhere")
        } else {
            self.rng.choice(&self.stations).cloned().expect("there are some")
        }
    }

    fn any_request(&mut self, wall_ms: u64) -> Request {
        match self.rng.u8(0..100) {
            0..29 => self.start(wall_ms),
            29..41 => self.extend(wall_ms),
            41..47 => Request::SessionPause(SessionRef { session: self.session() }),
            47..54 => Request::SessionResume(SessionRef { session: self.session() }),
            54..59 => Request::SessionTransfer(SessionTransfer {
                session: self.session(),
                station: self.station(),
            }),
            59..65 => {
                let (immediate, abandon) = (self.rng.u8(0..4) == 0, self.rng.u8(0..4) == 0);
                Request::SessionEnd(SessionEnd { session: self.session(), immediate, abandon })
            }
            65..73 => self.hold(),
            73..76 => Request::OutletRelease(OutletRef { outlet: self.outlet() }),
            76..88 => self.submit(wall_ms),
            88..91 => Request::TaskCancel(TaskRef { task: self.task() }),
            91..93 => Request::TaskRetry(TaskRef { task: self.task() }),
            93 => self.schedule(),
            94 => {
                let number = self.rng.u64(0..=self.schedules);
                Request::ScheduleRemove(ScheduleRef { schedule: id(&format!("cron{number}")) })
            }
            95..98 => {
                // About as many events as there may be by now, now and then more.
                let from_seq = self.rng.u64(1..=4 * self.names);
                let to_seq = from_seq + self.rng.u64(0..40);
                Request::EventResend(EventResend { from_seq, to_seq })
            }
            _ => Request::NodeReport(Empty {}),
        }
    }

    fn extend(&mut self, wall_ms: u64) -> Request {
        let to = match self.rng.u8(0..4) {
            0 => Extension::To(wall_ms.saturating_add_signed(self.rng.i64(-20_000..900_000))),
            1 => Extension::By(self.rng.i64(-600_000..-1_000)),
            _ => Extension::By(self.rng.i64(1_000..600_000)),
        };
        Request::SessionExtend(SessionExtend { session: self.session(), to })
    }

    fn hold(&mut self) -> Request {
        let on = self.rng.u8(0..3) > 0;
        let for_ms = (on || self.rng.u8(0..3) > 0).then(|| self.rng.u64(1_000..300_000));
        let force = self.rng.u8(0..3) == 0;
        Request::OutletSet(OutletSet { outlet: self.outlet(), on, for_ms, force })
    }

    fn start(&mut self, wall_ms: u64) -> Request {
        let session = if self.rng.u8(0..15) == 0 {
            self.session()
        } else {
            self.sessions += 1;
            id(&format!("s{}", self.sessions))
        };
        let length = match self.rng.u8(0..100) {
            0 => self.rng.u64(18 * 3_600_000..40 * 3_600_000),
            1..8 => self.rng.u64(600_000..7_200_000),
            8..30 => self.rng.u64(1_000..20_000),
            _ => self.rng.u64(20_000..600_000),
        };
        let starts_at_ms = (self.rng.u8(0..6) == 0)
            .then(|| wall_ms.saturating_add_signed(self.rng.i64(-60_000..400_000)));
        let end = if self.rng.u8(0..4) == 0 {
            End::At(starts_at_ms.unwrap_or(wall_ms) + length)
        } else {
            End::After(length)
        };
        Request::SessionStart(SessionStart {
            session,
            station: self.station(),
            end,
            starts_at_ms,
            warn_before_ms: (self.rng.u8(0..3) == 0)
                .then(|| vec![self.rng.u64(6_000..100_000), 5_000]),
            grace_ms: (self.rng.u8(0..3) == 0).then(|| self.rng.u64(0..60_000)),
            label: None,
        })
    }

    fn submit(&mut self, wall_ms: u64) -> Request {
        let task = if self.rng.u8(0..15) == 0 {
            self.task()
        } else {
            self.tasks += 1;
            id(&format!("t{}", self.tasks))
        };
        let work = match self.rng.u8(0..4) {
            0 => Work::OutletCycle(OutletCycle {
                outlet: self.outlet(),
                off_ms: self.rng.u64(500..20_000),
            }),
            1 => Work::Wait(Wait { wait_ms: self.rng.u64(100..60_000) }),
            _ => Work::Script(Script { name: "work".to_owned(), args: serde_json::Map::new() }),
        };
        Request::TaskSubmit(TaskSubmit {
            task,
            work,
            not_before_ms: (self.rng.u8(0..5) == 0).then(|| wall_ms + self.rng.u64(0..120_000)),
            max_retries: self.rng.u32(0..4),
            timeout_ms: self.rng.u64(1_000..120_000),
            backoff_ms: self.rng.u64(100..5_000),
            backoff_max_ms: self.rng.u64(5_000..60_000),
            priority: self.rng.u8(0..=9),
        })
    }

    /// A command every few minutes, whoever is listening.
    fn schedule(&mut self) -> Request {
        self.schedules += 1;
        let minutes = self.rng.u8(1..10);
        let command = if self.rng.bool() { self.hold() } else { Request::NodeReport(Empty {}) };
        Request::SchedulePut(SchedulePut {
            schedule: id(&format!("cron{}", self.schedules)),
            cron: format!("*/{minutes} * * * *"),
            timezone: ["UTC", "Europe/Berlin"][self.rng.usize(0..2)].to_owned(),
            command: Box::new(command),
            missed: if self.rng.bool() { Missed::Skip } else { Missed::Once },
            max_late_ms: self.rng.u64(0..120_000),
        })
    }
}
