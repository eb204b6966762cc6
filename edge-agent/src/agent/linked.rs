//! What the link tells: the broker is reached or lost, commands come, events arrive or are refused.

use super::{Agent, Ended};
use crate::link;
use crate::node::Input;
use crate::runners::script;
use crate::step::step;

impl Agent {
    pub(super) fn linked(&mut self, news: Option<link::News>) -> Option<Ended> {
        match news {
            Some(link::News::Up { connection, session_present }) => {
                tracing::info!(session_present, "the broker is reached");
                self.connection = connection;
                self.meter.connected();
                self.not_kept.clear();
                if self.offline_because.take().is_some() {
                    self.link_since = self.clock.now().boot;
                }
                self.step(Input::Up { session_present });
                step!("loop.online");
            }
            Some(link::News::Down { reason, session_taken_over }) => {
                if session_taken_over {
                    tracing::error!(reason, "another agent uses this node's identity");
                } else if self.offline_because.as_ref() != Some(&reason) {
                    tracing::warn!(reason, "the broker is not reached");
                }
                self.meter.disconnected();
                if self.offline_because.replace(reason).is_none() {
                    self.link_since = self.clock.now().boot;
                }
                self.tokens.clear();
                self.step(Input::Down);
            }
            Some(link::News::Command { token, payload, retained }) => {
                let number = self.next_token;
                self.next_token += 1;
                self.tokens.insert(number, token);
                if !std::mem::replace(&mut self.scripts_known, true) {
                    let scripts = script::names(&self.config.tasks.scripts_dir);
                    self.step(Input::Scripts(scripts));
                }
                self.step(Input::Command { token: number, payload, retained });
                step!("command.taken_in");
            }
            Some(link::News::Delivered { seq }) => {
                self.step(Input::Delivered { seq });
                step!("event.delivered", seq);
            }
            Some(link::News::Refused { seq, code }) => {
                tracing::warn!(seq, code, "the broker refused an event");
                self.step(Input::Refused { seq, code });
            }
            Some(link::News::Retained { what, refusal: Some(code) }) => {
                tracing::error!(?what, code, "the broker refuses what it is to keep");
                self.not_kept.insert(what, code);
            }
            Some(link::News::Retained { what, refusal: None }) => {
                tracing::info!(?what, "the broker keeps it again");
                self.not_kept.remove(&what);
            }
            None => return Some(Ended::Lost("link")),
        }
        None
    }
}
