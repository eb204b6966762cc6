//! What accepted commands make of the picture.

use edge_protocol::command::{End, Extension, Request, SessionExtend, SessionStart, Work};

use super::{Context, FOR_EVER, Held, Hold, Model, Phase, Session, Task};

impl Model {
    /// A command was accepted; `instant` gives the true time of an instant in its body.
    pub(in crate::simulator) fn accepted(
        &mut self,
        request: &Request,
        context: &Context<'_>,
        instant: &dyn Fn(u64) -> u64,
    ) -> Held {
        let real = context.real;
        match request {
            Request::SessionStart(start) => self.starts(start, context, instant)?,
            Request::SessionExtend(extend) => self.extends(extend, real, instant)?,
            Request::SessionPause(of) => {
                if let Phase::Paused { resuming, .. } = &mut self.session(&of.session)?.phase {
                    *resuming = None;
                }
            }
            Request::SessionResume(of) => {
                let session = self.session(&of.session)?;
                session.warnings.0 = session.warnings.1;
                if let Phase::Paused { resuming, .. } = &mut session.phase {
                    resuming.get_or_insert(real);
                }
            }
            Request::SessionTransfer(transfer) => {
                let new = context.settings.stations.get(&transfer.station).cloned();
                if let Phase::Active { moving, .. } = &mut self.session(&transfer.session)?.phase {
                    *moving = new;
                }
            }
            Request::SessionEnd(end) => {
                if let Phase::Ending { off, .. } = &mut self.session(&end.session)?.phase
                    && end.immediate
                {
                    *off = (*off).min(real);
                }
            }
            Request::OutletSet(set) => {
                let until = set.for_ms.map_or(FOR_EVER, |ms| real + ms);
                self.holds.insert(
                    set.outlet.clone(),
                    Hold { on: set.on, until, set_at: real, vague: false },
                );
            }
            Request::OutletRelease(of) => {
                self.holds.remove(&of.outlet);
            }
            Request::TaskSubmit(submit) => {
                let cycles = match &submit.work {
                    Work::OutletCycle(cycle) => Some(cycle.outlet.clone()),
                    Work::Script(_) | Work::Wait(_) => None,
                };
                let (max_retries, allowed) = (submit.max_retries, submit.max_retries + 1);
                let task = Task {
                    cycles,
                    running: false,
                    started: 0,
                    allowed,
                    max_retries,
                    hopeless: false,
                    dated: submit.not_before_ms.is_some(),
                };
                if self.tasks.insert(submit.task.clone(), task).is_some() {
                    return Err(format!("the task id {} was accepted twice", submit.task));
                }
            }
            Request::TaskRetry(of) => {
                if let Some(task) = self.tasks.get_mut(&of.task) {
                    task.allowed = task.started + task.max_retries + 1;
                    task.hopeless = false;
                }
            }
            Request::TaskCancel(_)
            | Request::SchedulePut(_)
            | Request::ScheduleRemove(_)
            | Request::EventResend(_)
            | Request::NodeReport(_) => {}
        }
        Ok(())
    }

    fn starts(
        &mut self,
        start: &SessionStart,
        context: &Context<'_>,
        instant: &dyn Fn(u64) -> u64,
    ) -> Held {
        let real = context.real;
        let outlets = context.settings.stations.get(&start.station).cloned();
        let outlets =
            outlets.ok_or_else(|| format!("{} was accepted for no station", start.session))?;
        let starts = start.starts_at_ms.map_or(real, |at| instant(at).max(real));
        let end = match start.end {
            End::After(ms) => End::After(ms),
            End::At(at) => End::At(instant(at)),
        };
        let grace_ms = start.grace_ms.unwrap_or(context.settings.grace_ms);
        let phase = Phase::Pending { starts, end };
        let warn = start.warn_before_ms.as_ref().unwrap_or(&context.settings.warn_before_ms);
        let warnings = (warn.len(), warn.len());
        let (vague, skew_ms, judged) = (false, 0, true);
        let session = Session { outlets, grace_ms, phase, vague, skew_ms, judged, warnings };
        if starts <= real {
            self.holds.retain(|id, _| !session.outlets.contains(id));
        }
        if self.sessions.insert(start.session.clone(), session).is_some() {
            return Err(format!("the session id {} was accepted twice", start.session));
        }
        Ok(())
    }

    fn extends(&mut self, extend: &SessionExtend, real: u64, instant: &dyn Fn(u64) -> u64) -> Held {
        let session = self.session(&extend.session)?;
        // Warnings ahead re-arm.
        session.warnings.0 = session.warnings.1;
        match &mut session.phase {
            Phase::Pending { end, .. } => {
                *end = match (extend.to, *end) {
                    (Extension::By(ms), End::After(length)) => {
                        End::After(length.saturating_add_signed(ms))
                    }
                    (Extension::By(ms), End::At(at)) => End::At(at.saturating_add_signed(ms)),
                    (Extension::To(at), _) => End::At(instant(at)),
                };
            }
            Phase::Paused { rest_ms, .. } => {
                *rest_ms = match extend.to {
                    Extension::By(ms) => rest_ms.saturating_add_signed(ms),
                    Extension::To(at) => instant(at).saturating_sub(real),
                };
            }
            Phase::Active { deadline, .. } | Phase::Ending { deadline, .. } => {
                let moved = match extend.to {
                    Extension::By(ms) => deadline.saturating_add_signed(ms),
                    Extension::To(at) => instant(at),
                };
                if moved <= real && session.skew_ms == 0 {
                    return Err("an extension never moves a deadline into the past".to_owned());
                }
                match &mut session.phase {
                    Phase::Active { deadline, .. } => *deadline = moved,
                    _ => session.phase = Phase::Active { deadline: moved, moving: None },
                }
            }
        }
        Ok(())
    }
}
