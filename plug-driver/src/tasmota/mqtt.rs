//! One command, one message, and its answer out of all that the plug says meanwhile.
//!
//! A command goes to `cmnd/<topic>/<command>`; the plug answers on `stat/<topic>/RESULT`, a status on
//! `STATUS`, `STATUS1` and on, and with `SetOption4` under the command's own name. So the topic of an
//! answer says little: the key in it tells (see [`question`]). An answer that somebody else asked for
//! looks the same; it is as true, and a switch is read back anyhow. What the plug says unasked is passed
//! over, since the next poll finds it; but for why it switched itself off, which is told only then.
//!
//! A command must never act late, so it goes out at most once (QoS 0), is never retained, and only over a
//! connection that stands: [`Line::Up`] is of one connection, and what has not gone out with it is lost
//! with it. A late *answer* would be believed, so after a question that was given up another one is asked
//! before the same again: the plug answers in order, and with that answer every older one has come.

mod question;
mod topics;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::error::Fault;
use crate::http::{Hurry, Patience, REPLY_LIMIT};
use crate::trip::Trip;
use crate::turn::Turns;
use question::{Gathering, Question};
pub use topics::PlugTopics;

/// A broker that is not there within this is away; less than an off waits.
const LINE_LIMIT: Duration = Duration::from_millis(1_500);
/// An off is tried though the broker says that the plug is gone, which may be an old story; so long.
const GONE_LIMIT: Duration = Duration::from_secs(1);
/// An answer that contradicts may be somebody else's, or an older command's; the own one follows soon.
const CONTRADICTION_LIMIT: Duration = Duration::from_millis(500);
/// What a plug may say while one of us looks the other way; a whole `Status 0` is fourteen messages.
const HEARD_AT_ONCE: usize = 64;
/// Questions that the driver asks for no other reason, to know that all older answers have come.
const BARRIERS: [&str; 2] = ["Status 5", "Status 7"];

/// The connection to a broker, as the plugs there see it.
#[derive(Debug, Clone)]
pub enum Line {
    /// There is none, and why.
    Down(String),
    /// What is put in here goes out over this connection, at most once and not retained, or not at all.
    Up(mpsc::Sender<Message>),
}

/// A command to a plug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it goes.
    pub topic: String,
    /// What it says; empty asks.
    pub payload: String,
}

/// A Tasmota plug at a broker: for its driver, and for whoever has the connection and tells it what the
/// plug says. Clones are the same plug, which several relays may share.
#[derive(Debug, Clone)]
pub struct MqttPlug(Arc<Plug>);

#[derive(Debug)]
struct Plug {
    broker: String,
    topics: PlugTopics,
    line: watch::Receiver<Line>,
    /// What the broker says of it; `None`: nothing yet.
    online: watch::Sender<Option<bool>>,
    /// What it says, to whoever asks it something at that moment. Nothing is kept for later.
    said: broadcast::Sender<Arc<[u8]>>,
    turns: Arc<Turns>,
    trips: watch::Sender<Trips>,
    /// The keys of answers that may still come to questions that were given up.
    owed: Mutex<BTreeSet<String>>,
}

/// How often a plug has told that it switched itself off, and why the last time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Trips {
    pub(super) count: u64,
    pub(super) last: Option<Trip>,
}

impl MqttPlug {
    /// The plug of these `topics` at `broker`, which is `host:port`, over whatever `line` there is.
    #[must_use]
    pub fn new(broker: &str, topics: PlugTopics, line: watch::Receiver<Line>) -> Self {
        let turns = Turns::of(&format!("{broker}/{}", topics.command("")), 0);
        let (online, said) = (watch::channel(None).0, broadcast::channel(HEARD_AT_ONCE).0);
        let (broker, trips, owed) = (broker.to_owned(), watch::Sender::default(), Mutex::default());
        Self(Arc::new(Plug { broker, topics, line, online, said, turns, trips, owed }))
    }

    /// What to subscribe to on its behalf.
    #[must_use]
    pub fn filters(&self) -> [String; 2] {
        [self.0.topics.answers(), self.0.topics.will()]
    }

    /// A message came, whosever it is. What the broker had `retained` tells who is there, and answers
    /// nothing.
    pub fn hear(&self, topic: &str, payload: &[u8], retained: bool) {
        if topic == self.0.topics.will() {
            self.0.online.send_replace(match payload {
                b"Online" => Some(true),
                b"Offline" => Some(false),
                _ => None,
            });
        } else if topic == self.0.topics.warning() {
            // It says so before it switches, and all its relays.
            if let Some(trip) = trip_of(payload).filter(|_| !retained) {
                let once_more = |trips: &mut Trips| {
                    *trips = Trips { count: trips.count + 1, last: Some(trip) };
                };
                self.0.trips.send_modify(once_more);
            }
        } else if self.0.topics.is_answer(topic) && !retained && payload.len() <= REPLY_LIMIT {
            // Nobody may be asking.
            let _ = self.0.said.send(payload.into());
        }
    }

    /// The connection is lost: who is there is not known any more.
    pub fn lose(&self) {
        self.0.online.send_replace(None);
    }

    /// The plug, as errors name it.
    pub(super) fn name(&self) -> String {
        let Plug { broker, topics, .. } = &*self.0;
        format!("{} at mqtt://{broker}", topics.name())
    }

    /// The turns at this plug.
    pub(super) fn turns(&self) -> &Turns {
        &self.0.turns
    }

    /// The trips that it has told of.
    pub(super) fn trips(&self) -> Trips {
        *self.0.trips.borrow()
    }

    /// Sends `command` when it is its turn and gives the answer to it: the first that `agrees`, else one
    /// that does not.
    pub(super) async fn ask(
        &self,
        command: &str,
        hurry: Hurry,
        agrees: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<Vec<u8>, Fault> {
        // Who waits here has no clock of its own: each of those before it has one.
        let _turn = match hurry {
            Hurry::Yes => self.0.turns.take_first().await,
            Hurry::No => self.0.turns.take().await,
        };
        let question = Question::of(command);
        if !question.switches() && self.is_owed(&question) {
            let barrier = BARRIERS.map(Question::of).into_iter().find(|it| !self.is_owed(it));
            let barrier = barrier.unwrap_or_else(|| Question::of(BARRIERS[0]));
            self.exchange(&barrier, hurry, &|_| true).await?;
        }
        let answer = self.exchange(&question, hurry, agrees).await;
        let plug = self.0.topics.name();
        match &answer {
            Ok(answer) => tracing::trace!(plug, command, bytes = answer.len()),
            Err(fault) => tracing::debug!(plug, command, %fault),
        }
        answer
    }

    async fn exchange(
        &self,
        question: &Question,
        hurry: Hurry,
        agrees: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<Vec<u8>, Fault> {
        let mut lines = self.0.line.clone();
        let line = self.line(&mut lines).await?;
        let mut online = self.0.online.subscribe();
        let mut said = self.0.said.subscribe();
        let limit = match (*online.borrow(), hurry) {
            (Some(false), Hurry::No) => return Err(self.gone()),
            (Some(false), Hurry::Yes) => GONE_LIMIT,
            (Some(true) | None, Hurry::Yes | Hurry::No) => Patience::PLUG.whole,
        };
        let mut until = Instant::now() + limit;
        let was_owed = self.is_owed(question);
        self.owed().extend(question.keys());
        let topic = self.0.topics.command(question.name());
        let payload = question.payload().to_owned();
        if line.send(Message { topic, payload }).await.is_err() {
            return Err(self.away("the connection was lost".to_owned()));
        }
        let mut gathering = Gathering::of(question);
        loop {
            tokio::select! {
                biased;
                heard = said.recv() => {
                    let payload = match heard {
                        Ok(payload) => payload,
                        // Its sender lives in `self`.
                        Err(RecvError::Lagged(_) | RecvError::Closed) => continue,
                    };
                    if let Some(answer) = gathering.take(&payload, agrees) {
                        // Of two that are alike nobody knows which came.
                        if !(question.switches() && was_owed) {
                            self.owed().clear();
                        }
                        return Ok(answer);
                    }
                    if gathering.contradicts() {
                        until = until.min(Instant::now() + CONTRADICTION_LIMIT);
                    }
                }
                _ = online.wait_for(|online| *online == Some(false)), if hurry == Hurry::No => {
                    return Err(self.gone());
                }
                _ = lines.changed() => return Err(self.away("the connection was lost".to_owned())),
                () = sleep_until(until) => {
                    let gone = *self.0.online.borrow() == Some(false);
                    let late = || if gone { self.gone() } else { Fault::Slow { limit } };
                    return gathering.rest().ok_or_else(late);
                }
            }
        }
    }

    /// The connection that stands, or will within [`LINE_LIMIT`].
    async fn line(
        &self,
        lines: &mut watch::Receiver<Line>,
    ) -> Result<mpsc::Sender<Message>, Fault> {
        let up = |line: &Line| match line {
            Line::Up(line) => Some(line.clone()),
            Line::Down(_) => None,
        };
        let stands = timeout(LINE_LIMIT, lines.wait_for(|line| up(line).is_some())).await;
        if let Ok(Ok(line)) = stands.map(|line| line.map(|line| up(&line)))
            && let Some(line) = line
        {
            return Ok(line);
        }
        let reason = match &*lines.borrow() {
            Line::Down(reason) => reason.clone(),
            Line::Up(_) => "it comes and goes".to_owned(),
        };
        Err(self.away(reason))
    }

    fn is_owed(&self, question: &Question) -> bool {
        let owed = self.owed();
        question.keys().iter().any(|key| owed.contains(key))
    }

    fn owed(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // Nothing is ever half done in here.
        self.0.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gone(&self) -> Fault {
        Fault::Offline { broker: self.0.broker.clone(), topic: self.0.topics.will() }
    }

    fn away(&self, reason: String) -> Fault {
        Fault::NoBroker { broker: self.0.broker.clone(), reason }
    }
}

/// What a warning says of why the plug switches itself off. Tasmota's own words, in no firmware
/// translated (arendst/Tasmota `i18n.h`, `xdrv_03_energy`); the second is its last try.
fn trip_of(warning: &[u8]) -> Option<Trip> {
    if warning.len() > REPLY_LIMIT {
        return None;
    }
    let warning: serde_json::Value = serde_json::from_slice(warning).ok()?;
    let says = |key: &str| warning.get(key).is_some();
    if says("MaxPowerReached") || says("MaxPowerReachedRetry") {
        Some(Trip::Overpower)
    } else {
        says("MaxEnergyReached").then_some(Trip::Other)
    }
}

#[cfg(test)]
mod tests;
