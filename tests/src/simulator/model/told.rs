//! What the events make of the picture.

use edge_protocol::command::End;
use edge_protocol::event::{Clock, Code, Event, Reason, What};

use super::{Context, Held, Model, Phase, off_by};

impl Model {
    /// Whether an event can change the picture.
    pub(in crate::simulator) fn hears(what: &What) -> bool {
        !matches!(
            what,
            What::CommandRejected(_)
                | What::OutletLease(_)
                | What::OutletFault(_)
                | What::OutletRecovered(_)
                | What::NodeLink(_)
                | What::NodeReport(_)
                | What::NodeStore(_)
        )
    }

    /// Takes in what the node told.
    pub(in crate::simulator) fn told(&mut self, event: &Event, context: &Context<'_>) -> Held {
        self.told_of_powering(event, context)?;
        self.told_of_time(event, context)?;
        self.told_of_ends(event, context)?;
        self.told_of_tasks(event)?;
        let real = context.real;
        match &event.what {
            What::OutletChanged(changed) => self.switched(&changed.outlet, changed.on),
            What::CommandAccepted(accepted) if !accepted.repeat => {
                if let Some((request, issued_at_ms)) = context.request {
                    let base = if event.clock == Clock::Synced {
                        event.at_ms
                    } else {
                        issued_at_ms.unwrap_or(0)
                    };
                    let instant = |at_ms: u64| (real + at_ms).saturating_sub(base);
                    return self.accepted(request, context, &instant);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn told_of_powering(&mut self, event: &Event, context: &Context<'_>) -> Held {
        let real = context.real;
        let real_of = |wall_ms: u64| (real + wall_ms).saturating_sub(event.at_ms);
        match &event.what {
            What::SessionStarted(times) => {
                let (lit, deadline) =
                    (times.started_at_ms.map(real_of), times.ends_at_ms.map(real_of));
                let (Some(lit), Some(deadline)) = (lit, deadline) else {
                    return Err("session.started names its start and its end".to_owned());
                };
                let session = self.session(&times.session)?;
                if let Phase::Pending { end, .. } = session.phase
                    && !session.vague
                {
                    let expected = match end {
                        End::After(ms) => lit + ms,
                        End::At(at) => at,
                    };
                    off_by(
                        "a duration runs from the moment all its outlets are confirmed on",
                        deadline,
                        expected,
                    )?;
                }
                let (began, outlets) = (session.starts(), session.outlets.clone());
                session.phase = Phase::Active { deadline, moving: None };
                self.holds.retain(|id, hold| hold.set_at >= began || !outlets.contains(id));
            }
            What::SessionResumed(times) => {
                let session = self.session(&times.session)?;
                let deadline = times.ends_at_ms.map(real_of).unwrap_or(real);
                if let Phase::Paused { rest_ms, resuming } = session.phase
                    && session.skew_ms == 0
                {
                    // From the moment it had power, which a node that died meanwhile tells late.
                    let (least, most) = (resuming.unwrap_or(real) + rest_ms, real + rest_ms);
                    if !(least..=most).contains(&deadline) {
                        let left = deadline.saturating_sub(real);
                        return Err(format!(
                            "a resume runs the rest: {rest_ms} ms were left, now {left}"
                        ));
                    }
                }
                session.phase = Phase::Active { deadline, moving: None };
            }
            What::SessionTransferred(transferred) => {
                let outlets = context
                    .settings
                    .stations
                    .get(&transferred.station)
                    .cloned()
                    .unwrap_or_default();
                let session = self.session(&transferred.session)?;
                let left = std::mem::replace(&mut session.outlets, outlets.clone());
                if let Phase::Active { moving, .. } = &mut session.phase {
                    *moving = None;
                    // What it lets go goes off, and that beats every hold.
                    self.holds.retain(|id, _| !left.contains(id) || outlets.contains(id));
                }
            }
            What::SessionRefused(problem) => {
                let session = self.session(&problem.session)?;
                match &mut session.phase {
                    Phase::Active { moving, .. } => {
                        // It had begun to take them over, and lets them go.
                        let mut begun = moving.take().unwrap_or_default();
                        begun.retain(|id| !session.outlets.contains(id));
                        self.holds.retain(|id, _| !begun.contains(id));
                    }
                    Phase::Paused { resuming, .. } => *resuming = None,
                    Phase::Pending { .. } | Phase::Ending { .. } => {}
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn told_of_time(&mut self, event: &Event, context: &Context<'_>) -> Held {
        let real = context.real;
        let real_of = |wall_ms: u64| (real + wall_ms).saturating_sub(event.at_ms);
        match &event.what {
            What::SessionExtended(times) => {
                let session = self.session(&times.session)?;
                if let Some(ends_at_ms) = times.ends_at_ms {
                    let what = "an extension moves the deadline by exactly that much";
                    session.agree_by_name(what, real_of(ends_at_ms), event.clock)?;
                }
            }
            What::SessionWarning(rest) => {
                let session = self.session(&rest.session)?;
                let (left, all) = session.warnings;
                session.warnings.0 = left.checked_sub(1).ok_or_else(|| {
                    format!("a warning is sent once: {} sent more than {all}", rest.session)
                })?;
                session.agree("a warning tells the remaining time", real + rest.remaining_ms)?;
            }
            What::SessionPaused(rest) => {
                let session = self.session(&rest.session)?;
                session.agree("a pause keeps the remaining time", real + rest.remaining_ms)?;
                session.phase = Phase::Paused { rest_ms: rest.remaining_ms, resuming: None };
            }
            What::NodeClock(clock) if !context.held_back => {
                for named in &clock.sessions {
                    let session = self.session(&named.session)?;
                    session.judged &= context.honest || session.skew_ms == 0;
                    let what = "a wall-clock step moves no deadline of a running session";
                    session.agree_by_name(what, real_of(named.ends_at_ms), event.clock)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn told_of_ends(&mut self, event: &Event, context: &Context<'_>) -> Held {
        let real = context.real;
        let real_of = |wall_ms: u64| (real + wall_ms).saturating_sub(event.at_ms);
        match &event.what {
            What::SessionEnding(ending) => {
                let named = real_of(ending.off_at_ms);
                let session = self.session(&ending.session)?;
                let expired = ending.reason == Reason::Expired;
                if expired {
                    let what = "the off time is the deadline plus the grace";
                    let deadline = named.saturating_sub(session.grace_ms);
                    session.agree_by_name(what, deadline, event.clock)?;
                }
                let (deadline, off) = match session.phase {
                    Phase::Active { deadline, .. } if expired && session.skew_ms == 0 => {
                        (deadline, deadline + session.grace_ms)
                    }
                    Phase::Active { deadline, .. } if expired => (deadline, named),
                    _ => (real, named),
                };
                // What a reboot of unknown length put off counts as late, not as owed.
                let off = if expired { off.saturating_sub(session.skew_ms) } else { off };
                if !expired {
                    session.certain();
                }
                session.phase = Phase::Ending { deadline, off };
            }
            What::SessionEnded(ended) => {
                let session = self.session(&ended.session)?;
                if let Phase::Ending { off, .. } = session.phase
                    && real < off
                    && !session.vague
                {
                    return Err(format!(
                        "session {} ended {} ms before its off time",
                        ended.session,
                        off - real
                    ));
                }
                if let Phase::Ending { off, .. } = session.phase
                    && !session.vague
                    && ended.late_ms != real.saturating_sub(off)
                {
                    return Err(format!(
                        "`session.ended` tells how late it is: {} tells {} ms, {} ms after its off time",
                        ended.session,
                        ended.late_ms,
                        real.saturating_sub(off)
                    ));
                }
                if matches!(session.phase, Phase::Pending { .. }) {
                    self.sessions.remove(&ended.session);
                } else {
                    self.over(&ended.session);
                }
            }
            What::SessionFailed(problem) => {
                let session = self.session(&problem.session)?;
                let begun =
                    matches!(session.phase, Phase::Pending { starts, .. } if starts <= real);
                let outlets = session.outlets.clone();
                match problem.code {
                    Code::Unpowered if begun => self.over(&problem.session),
                    // What it took over, and what was forced upon it, ends with it. Whether it had its
                    // outlets by then, only the node knows.
                    Code::Expired if begun => {
                        self.sessions.remove(&problem.session);
                        for (id, hold) in &mut self.holds {
                            hold.vague |= outlets.contains(id);
                        }
                    }
                    _ => drop(self.sessions.remove(&problem.session)),
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn told_of_tasks(&mut self, event: &Event) -> Held {
        match &event.what {
            What::TaskStarted(news) => {
                let task = self
                    .tasks
                    .get_mut(&news.task)
                    .ok_or_else(|| format!("task {} was never accepted", news.task))?;
                task.running = true;
                task.started = news.attempt;
                if std::mem::take(&mut task.hopeless) {
                    return Err(format!("64 and 65 fail for good: {} runs again", news.task));
                }
                if news.attempt > task.allowed {
                    return Err(format!(
                        "`max_retries` allows {} attempts: {} is at {}",
                        task.allowed, news.task, news.attempt
                    ));
                }
            }
            What::TaskRetrying(news) => {
                self.tasks.entry(news.task.clone()).and_modify(|task| task.running = false);
            }
            What::TaskSucceeded(news) | What::TaskCancelled(news) => {
                self.tasks.remove(&news.task);
            }
            // It may be run again.
            What::TaskFailed(news) => {
                if let Some(task) = self.tasks.get_mut(&news.task) {
                    task.running = false;
                    task.allowed = 0;
                }
            }
            _ => {}
        }
        Ok(())
    }
}
