//! What becomes of a request: obeyed, or met by a fault.

use super::{Asked, Device, Kind};
use crate::reply::{Answer, Manner, Reply, Response};
use crate::{Fault, Request};

impl Device {
    /// What happens when this request reaches it now.
    pub fn handle(&mut self, request: &Request) -> Reply {
        let Some(fault) = self.next_fault() else {
            self.ask(request);
            return Reply::whole(self.obey(request));
        };
        if fault != Fault::Unreachable {
            self.ask(request);
        }
        let mut reply = Reply::whole(Answer::Nothing);
        reply.answer = match fault {
            Fault::Unreachable => Answer::Reset,
            Fault::Silent => Answer::Silence,
            Fault::EmptyReply => Answer::Nothing,
            Fault::Html => Response::page().into(),
            Fault::Refuses(body) => Response::text(200, "application/json", &body).into(),
            Fault::WrongPassword => match &mut self.kind {
                Kind::Tasmota(plug) => plug.wrong_password(),
                Kind::Shelly(plug) => plug.wrong_password(),
            },
            Fault::NullResult => {
                let answer = self.obey(request);
                match &self.kind {
                    Kind::Tasmota(_) => answer,
                    Kind::Shelly(plug) => plug.with_null(request, answer),
                }
            }
            Fault::NoHandler => match &mut self.kind {
                Kind::Tasmota(_) => Response::text(404, "text/plain", "Not Found").into(),
                Kind::Shelly(plug) => plug.no_handler(request),
            },
            Fault::Lies => {
                // It dreams of having obeyed, and tells the dream.
                let truth = self.kind.clone();
                let answer = self.obey(request);
                self.kind = truth;
                answer
            }
            Fault::ObeysButReplyLost => {
                self.obey(request);
                Answer::Nothing
            }
            Fault::Stall(delay) => {
                reply.delay = delay;
                self.obey(request)
            }
            Fault::ResetMidBody => {
                reply.manner = Manner::Torn;
                self.obey(request)
            }
            Fault::ChunkedSplits => {
                reply.manner = Manner::Split;
                self.obey(request)
            }
            Fault::SplitAt(bytes) => {
                reply.manner = Manner::SplitAt(bytes);
                self.obey(request)
            }
        };
        reply
    }

    /// Whether a connection is reset before anything is read; counts as a met fault.
    pub(crate) fn is_unreachable(&mut self) -> bool {
        self.fault() == Some(&Fault::Unreachable) && self.next_fault().is_some()
    }

    fn obey(&mut self, request: &Request) -> Answer {
        match &mut self.kind {
            Kind::Tasmota(plug) => plug.obey_request(request),
            Kind::Shelly(plug) => plug.obey_request(request),
        }
    }

    fn ask(&mut self, request: &Request) {
        let command = match &self.kind {
            Kind::Tasmota(_) => request.argument("cmnd").unwrap_or_default(),
            Kind::Shelly(_) if request.body.is_empty() => request.target.clone(),
            Kind::Shelly(_) => format!("{} {}", request.target, request.body),
        };
        let at_ms = self.board().wall_ms(self.now());
        self.asked.push(Asked { at_ms, command });
    }

    /// The fault that the next request meets.
    fn next_fault(&mut self) -> Option<Fault> {
        let (fault, left) = self.fault.clone()?;
        match left {
            None => Some(fault),
            Some(0) => {
                self.fault = None;
                None
            }
            Some(left) => {
                self.fault = Some((fault.clone(), Some(left - 1)));
                Some(fault)
            }
        }
    }
}
