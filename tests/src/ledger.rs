//! Every event that ever arrived, and what the contract says of them all together.

use std::cell::RefCell;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use edge_protocol::event::{Event, What};
use edge_protocol::id::CommandId;
use edgectl::lab::site::Site;

use crate::within;

/// All events of one site's node, each once, by store and `seq`.
#[derive(Debug, Default)]
pub struct Ledger {
    /// In the order of arrival, repeats left out.
    events: Vec<Event>,
    index: BTreeMap<(String, u64), usize>,
    /// By type and what they are about.
    subjects: BTreeMap<(&'static str, String), Vec<usize>>,
    /// Whether each command was accepted, and how often it was answered, repeats left out.
    answers: BTreeMap<CommandId, (bool, usize)>,
    /// What was found wrong as it arrived.
    wrong: Vec<String>,
}

impl Ledger {
    /// Takes in events until `done` is satisfied with all there are.
    ///
    /// # Errors
    /// `what` does not happen.
    pub async fn until(
        &mut self,
        site: &mut Site,
        what: &str,
        done: impl Fn(&Self) -> bool,
    ) -> Result<()> {
        while !done(self) {
            self.next(site).await.with_context(|| what.to_owned())?;
        }
        Ok(())
    }

    /// Takes in one event more.
    ///
    /// # Errors
    /// None comes.
    pub async fn next(&mut self, site: &mut Site) -> Result<()> {
        let arrived = RefCell::new(None);
        let take = |event: &Event| {
            *arrived.borrow_mut() = Some(event.clone());
            Some(())
        };
        within("one event more", async { Ok(site.event(take).await?) }).await?;
        let event = arrived.into_inner().context("it was just taken")?;
        self.take(event);
        Ok(())
    }

    /// Starts and stops the site's agent, so that the broker knows the node from here on.
    ///
    /// # Errors
    /// It does not get that far.
    pub async fn introduced(site: &mut Site) -> Result<Self> {
        let agent = site.agent().await?;
        let mut ledger = Self::default();
        let linked = |ledger: &Self| ledger.events.iter().any(|it| it.what.kind() == "node.link");
        ledger.until(site, "the first connection", linked).await?;
        agent.stop().await?;
        Ok(ledger)
    }

    fn take(&mut self, event: Event) {
        let name = (event.store.clone(), event.seq);
        if let Some(known) = self.index.get(&name) {
            if self.events[*known] != event {
                self.wrong.push(format!("{event:?} came before as {:?}", self.events[*known]));
            }
            return;
        }
        if event.seq > 1 && !self.index.contains_key(&(event.store.clone(), event.seq - 1)) {
            self.wrong.push(format!("{event:?} came before the one that precedes it"));
        }
        let number = self.events.len();
        self.index.insert(name, number);
        self.subjects.entry((event.what.kind(), subject_of(&event))).or_default().push(number);
        let answered = match &event.what {
            What::CommandAccepted(answer) if !answer.repeat => Some((&answer.command, true)),
            What::CommandRejected(answer) if !answer.repeat => {
                answer.command.as_ref().map(|command| (command, false))
            }
            _ => None,
        };
        if let Some((command, accepted)) = answered {
            self.answers.entry(command.clone()).or_insert((accepted, 0)).1 += 1;
        }
        self.events.push(event);
    }

    /// Every event arrived, in order: no gap, and none changed.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn judge(&self) -> Result<()> {
        ensure!(self.wrong.is_empty(), "{}", self.wrong.join("; "));
        Ok(())
    }

    /// All of them, each once, in the order of arrival.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Those of type `kind` that are about `subject`: a session's, task's or command's id.
    pub fn about(&self, kind: &'static str, subject: &str) -> impl Iterator<Item = &Event> {
        let numbers = self.subjects.get(&(kind, subject.to_owned())).into_iter().flatten();
        numbers.map(|number| &self.events[*number])
    }

    /// How many of type `kind` are about `subject`.
    #[must_use]
    pub fn count(&self, kind: &'static str, subject: &str) -> usize {
        self.about(kind, subject).count()
    }

    /// Whether `command` was accepted, once it was answered; repeats of the answer don't count.
    #[must_use]
    pub fn answer(&self, command: &CommandId) -> Option<bool> {
        self.answers.get(command).map(|(accepted, _)| *accepted)
    }

    /// How often `command` was answered, repeats of the answer left out.
    #[must_use]
    pub fn answers(&self, command: &CommandId) -> usize {
        self.answers.get(command).map_or(0, |(_, times)| *times)
    }
}

/// What an event is about, as it stands in its body.
fn subject_of(event: &Event) -> String {
    let body = serde_json::to_value(&event.what).unwrap_or_default()["body"].take();
    let named = ["session", "task", "command"].iter().find_map(|key| body[*key].as_str());
    named.unwrap_or_default().to_owned()
}
