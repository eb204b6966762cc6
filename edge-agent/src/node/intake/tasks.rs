//! Commands about tasks (contract, section 7).

use edge_protocol::command::{TaskSubmit, Work};
use edge_protocol::event::{Code, What};
use edge_protocol::id::{CommandId, TaskId};

use super::{Done, reject};
use crate::node::Node;
use crate::node::answer::Rejection;
use crate::node::session::Instants;
use crate::node::task::{Known, New, TaskEnd};

impl Node {
    pub(super) fn submit(
        &mut self,
        submit: &TaskSubmit,
        cause: CommandId,
        instants: Instants,
    ) -> Done {
        let id = &submit.task;
        if self.tasks.known(id).is_some() {
            return reject(Code::Conflict, format!("the task id {id} was used before"));
        }
        match &submit.work {
            Work::OutletCycle(cycle) => self.known_outlet(&cycle.outlet)?,
            Work::Script(script) if !self.tasks.scripts.contains(&script.name) => {
                let message = format!("body.payload.name: this node has no script {}", script.name);
                return reject(Code::Invalid, message);
            }
            Work::Script(_) | Work::Wait(_) => {}
        }
        let ready_at = match submit.not_before_ms {
            Some(at) => instants.boot("not_before_ms", at)?,
            None => self.now.boot,
        };
        let new = New::of(submit, cause.clone(), ready_at);
        self.room_in_queue(new.bytes())?;
        let writes = self.tasks.submit(new);
        self.effects.writes.extend(writes);
        self.tell_task(id, cause, What::TaskQueued);
        Ok(())
    }

    pub(super) fn cancel(&mut self, id: &TaskId, cause: CommandId) -> Done {
        match self.known_task(id)? {
            Known::Queued => self.end_task(id, TaskEnd::Cancelled, cause, What::TaskCancelled),
            Known::Running => self.cancel_attempt(id, cause),
            Known::Failed { .. } | Known::FailedLongAgo | Known::Over => {
                return reject(Code::Conflict, format!("task {id} is over"));
            }
        }
        Ok(())
    }

    pub(super) fn retry(&mut self, id: &TaskId, cause: CommandId) -> Done {
        match self.known_task(id)? {
            Known::Failed { bytes } => self.room_in_queue(bytes)?,
            Known::FailedLongAgo => {
                let message = format!("what task {id} does is forgotten: submit it under a new id");
                return reject(Code::UnknownTask, message);
            }
            Known::Queued | Known::Running | Known::Over => {
                return reject(Code::Conflict, format!("task {id} has not failed"));
            }
        }
        let write = self.tasks.retry(id, self.now.boot);
        self.effects.writes.push(write);
        self.tell_task(id, cause, What::TaskQueued);
        Ok(())
    }

    fn known_task(&self, id: &TaskId) -> Result<Known, Rejection> {
        let unknown = || Rejection::new(Code::UnknownTask, format!("there is no task {id}"));
        self.tasks.known(id).ok_or_else(unknown)
    }

    fn room_in_queue(&self, bytes: u64) -> Done {
        let limits = self.settings.tasks;
        if self.tasks.queued() >= limits.max_queued {
            let message = format!("{} tasks are queued, the most there may be", limits.max_queued);
            return reject(Code::Busy, message);
        }
        if self.tasks.bytes() + bytes > limits.max_bytes {
            let message = format!("tasks fill the {} bytes there are for them", limits.max_bytes);
            return reject(Code::Busy, message);
        }
        Ok(())
    }
}
