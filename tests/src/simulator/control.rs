//! The control plane: commands of every type, valid or not, late, twice, out of order.

use std::collections::BTreeMap;

use edge_agent::node::settings::Settings;
use edge_protocol::codec::{Encoding, encode};
use edge_protocol::command::{
    Command, Empty, End, EventResend, Extension, OutletCycle, OutletRef, OutletSet, Request,
    Script, SessionEnd, SessionExtend, SessionRef, SessionStart, SessionTransfer, TaskRef,
    TaskSubmit, Wait, Work,
};
use edge_protocol::id::{CommandId, OutletId, SessionId, StationId, TaskId};
use fastrand::Rng;
use serde_json::json;

use super::site::id;

#[derive(Debug)]
pub(super) struct Issued {
    /// What it asks for, where it can be read.
    request: Option<Request>,
    issued_at_ms: Option<u64>,
    pub(super) payload: Vec<u8>,
    pub(super) retained: bool,
    /// The broker kept it when it was sent last, and nobody took it back since.
    pub(super) kept: bool,
}

#[derive(Debug)]
pub(super) struct Control {
    rng: Rng,
    pub(super) issued: BTreeMap<CommandId, Issued>,
    sessions: u64,
    tasks: u64,
    outlets: Vec<OutletId>,
    stations: Vec<StationId>,
    /// It only ends what there is.
    pub(super) closing: Option<Vec<SessionId>>,
}

impl Control {
    pub(super) fn new(seed: u64, settings: &Settings) -> Self {
        Self {
            rng: Rng::with_seed(seed ^ 0xc0),
            issued: BTreeMap::new(),
            sessions: 0,
            tasks: 0,
            outlets: settings.outlets.keys().cloned().collect(),
            stations: settings.stations.keys().cloned().collect(),
            closing: None,
        }
    }

    /// When it sends next.
    pub(super) fn pause_ms(&mut self) -> u64 {
        match self.rng.u8(0..10) {
            0..2 => self.rng.u64(0..100),
            2..7 => self.rng.u64(500..30_000),
            _ => self.rng.u64(30_000..240_000),
        }
    }

    /// What an accepted command stands for.
    pub(super) fn request(&self, command: &CommandId) -> Option<(&Request, Option<u64>)> {
        let issued = self.issued.get(command)?;
        Some((issued.request.as_ref()?, issued.issued_at_ms))
    }

    /// The next messages: payload and retain flag.
    pub(super) fn send(&mut self, wall_ms: u64, last_seq: u64) -> Vec<(Vec<u8>, bool)> {
        if let Some(sessions) = &self.closing {
            let ends = sessions.len();
            return (0..ends).map(|_| self.command(wall_ms, last_seq)).collect();
        }
        match self.rng.u8(0..20) {
            0 | 1 if !self.issued.is_empty() => return self.repeat(),
            2 => return vec![self.garbage()],
            _ => {}
        }
        let burst = if self.rng.u8(0..30) == 0 { self.rng.usize(5..40) } else { 1 };
        let mut sent: Vec<_> = (0..burst).map(|_| self.command(wall_ms, last_seq)).collect();
        if self.rng.u8(0..10) == 0 {
            self.rng.shuffle(&mut sent);
        }
        if self.rng.u8(0..10) == 0 {
            sent.push(sent[0].clone());
        }
        sent
    }

    fn repeat(&mut self) -> Vec<(Vec<u8>, bool)> {
        let number = self.rng.usize(0..self.issued.len());
        let (command, issued) = self.issued.iter().nth(number).expect("it is below the length");
        if self.rng.u8(0..5) == 0 {
            let body = json!({"id": command, "type": "node.report", "body": {"surprise": 1}});
            return vec![(body.to_string().into_bytes(), false)];
        }
        vec![(issued.payload.clone(), issued.retained)]
    }

    fn garbage(&mut self) -> (Vec<u8>, bool) {
        let payload = match self.rng.u8(0..4) {
            0 => b"{\"id\":".to_vec(),
            1 => vec![0xff; 20],
            2 => format!("{{\"id\":\"x\",\"type\":\"{}\"}}", "t".repeat(100)).into_bytes(),
            _ => vec![b' '; 70_000],
        };
        (payload, false)
    }

    fn command(&mut self, wall_ms: u64, last_seq: u64) -> (Vec<u8>, bool) {
        let name: CommandId = id(&format!("c{:05}", self.issued.len() + 1));
        let encoding = if self.rng.bool() { Encoding::Json } else { Encoding::Cbor };
        let rare = self.rng.u8(0..100);
        if rare < 4 && self.closing.is_none() {
            let kind = if rare < 2 { "session.swap" } else { "session.start" };
            let payload =
                json!({"id": name, "type": kind, "body": {"session": "s", "duration_ms": -1}})
                    .to_string()
                    .into_bytes();
            self.keep(name, None, None, payload.clone(), false);
            return (payload, false);
        }
        let request = self.any_request(wall_ms, last_seq);
        let issued_at_ms = match rare {
            4..8 if self.closing.is_none() => {
                Some(wall_ms.saturating_sub(self.rng.u64(50_000..200_000)))
            }
            8..12 if !request.powers() && self.closing.is_none() => None,
            _ => Some(wall_ms),
        };
        let expires_at_ms = issued_at_ms
            .filter(|_| rare > 80 && self.closing.is_none())
            .map(|at| at + self.rng.u64(1_000..3_600_000));
        let retained = rare == 12 && self.closing.is_none();
        let command =
            Command { id: name.clone(), issued_at_ms, expires_at_ms, request: request.clone() };
        let payload = encode(encoding, &command);
        self.keep(name, Some(request), issued_at_ms, payload.clone(), retained);
        (payload, retained)
    }

    fn keep(
        &mut self,
        name: CommandId,
        request: Option<Request>,
        issued_at_ms: Option<u64>,
        payload: Vec<u8>,
        retained: bool,
    ) {
        self.issued.insert(name, Issued { request, issued_at_ms, payload, retained, kept: true });
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

    fn any_request(&mut self, wall_ms: u64, last_seq: u64) -> Request {
        if let Some(session) = self.closing.as_mut().and_then(Vec::pop) {
            return Request::SessionEnd(SessionEnd { session, immediate: true, abandon: false });
        }
        match self.rng.u8(0..100) {
            0..30 => self.start(wall_ms),
            30..42 => {
                let to = match self.rng.u8(0..4) {
                    0 => {
                        Extension::To(wall_ms.saturating_add_signed(self.rng.i64(-20_000..900_000)))
                    }
                    1 => Extension::By(self.rng.i64(-600_000..-1_000)),
                    _ => Extension::By(self.rng.i64(1_000..600_000)),
                };
                Request::SessionExtend(SessionExtend { session: self.session(), to })
            }
            42..48 => Request::SessionPause(SessionRef { session: self.session() }),
            48..55 => Request::SessionResume(SessionRef { session: self.session() }),
            55..60 => Request::SessionTransfer(SessionTransfer {
                session: self.session(),
                station: self.station(),
            }),
            60..66 => {
                let (immediate, abandon) = (self.rng.u8(0..4) == 0, self.rng.u8(0..4) == 0);
                Request::SessionEnd(SessionEnd { session: self.session(), immediate, abandon })
            }
            66..74 => {
                let on = self.rng.u8(0..3) > 0;
                let for_ms = (on || self.rng.u8(0..3) > 0).then(|| self.rng.u64(1_000..300_000));
                Request::OutletSet(OutletSet {
                    outlet: self.outlet(),
                    on,
                    for_ms,
                    force: self.rng.u8(0..3) == 0,
                })
            }
            74..78 => Request::OutletRelease(OutletRef { outlet: self.outlet() }),
            78..90 => self.submit(wall_ms),
            90..93 => Request::TaskCancel(TaskRef { task: self.task() }),
            93..95 => Request::TaskRetry(TaskRef { task: self.task() }),
            95..98 => {
                let from_seq = self.rng.u64(1..=last_seq.max(1));
                let to_seq = from_seq + self.rng.u64(0..40);
                Request::EventResend(EventResend { from_seq, to_seq })
            }
            _ => Request::NodeReport(Empty {}),
        }
    }

    fn start(&mut self, wall_ms: u64) -> Request {
        let session = if self.rng.u8(0..15) == 0 {
            self.session()
        } else {
            self.sessions += 1;
            id(&format!("s{}", self.sessions))
        };
        let length = match self.rng.u8(0..20) {
            0 => self.rng.u64(18 * 3_600_000..40 * 3_600_000),
            1..4 => self.rng.u64(600_000..7_200_000),
            4..8 => self.rng.u64(1_000..20_000),
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
                .then(|| vec![self.rng.u64(1_000..100_000), 5_000]),
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
}
