//! What people on the machine itself ask of the loop: a moment of it, an order, an errand to a device.

use edge_protocol::event::Code;
use edge_protocol::id::OutletId;
use tokio::sync::oneshot;

use super::{Agent, Ended};
use crate::drivers::{Busy, Errand};
use crate::local::Question;
use crate::node::{Asker, Input, LocalOrder, Rejection};

impl Agent {
    pub(super) fn asked(&mut self, question: Option<Question>) -> Option<Ended> {
        let Some(question) = question else { return Some(Ended::Lost("control socket")) };
        // Whoever asked may have gone.
        match question {
            Question::Look(answer) => {
                let _ = answer.send(self.snapshot());
            }
            Question::Explain(outlet, answer) => {
                let now = self.clock.now().boot;
                let _ = answer.send(self.node.explain(&outlet, now).map(Box::new));
            }
            Question::Order(order, answer) => self.ordered(order, answer),
            Question::Errand { outlet, errand, taken } => {
                let _ = taken.send(self.send_on(&outlet, errand));
            }
        }
        None
    }

    /// The node answers once the order is on disk.
    fn ordered(&mut self, order: LocalOrder, answer: oneshot::Sender<Result<(), Rejection>>) {
        let asker = self.next_asker;
        self.next_asker += 1;
        self.askers.insert(asker, answer);
        tracing::info!(?order, "somebody on this machine orders");
        self.step(Input::Local { asker, order });
    }

    pub(super) fn answer(&mut self, asker: Asker, answer: Result<(), Rejection>) {
        if let Some(waits) = self.askers.remove(&asker) {
            let _ = waits.send(answer);
        }
    }

    /// Gives an errand to the outlet's task. A device is not meddled with in a session.
    fn send_on(&self, outlet: &OutletId, errand: Errand) -> Result<(), Rejection> {
        let Some(driving) = self.drivers.get(outlet) else {
            let message = format!("this node has no outlet {outlet}");
            return Err(Rejection::new(Code::UnknownOutlet, message));
        };
        if let (Errand::Mend(..), Some(session)) = (&errand, self.node.owner(outlet)) {
            let message = format!("session {session} owns {outlet}: mend it once that is over");
            return Err(Rejection::new(Code::Conflict, message));
        }
        driving.run(errand).map_err(|Busy| {
            Rejection::new(Code::Busy, format!("too many ask for {outlet} at once: try again"))
        })
    }
}
