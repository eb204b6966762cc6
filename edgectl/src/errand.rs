//! An errand: one command to one node, from the look at whether the node is there to the
//! sentence that says what came of it.
//!
//! The connection hears the node before the command goes out, so nothing that belongs to the
//! command can be missed. What is decided is in [`goal`], which does no I/O; this module
//! only connects, sends and waits. A command that nobody waits for any more does not act later:
//! unless asked otherwise it expires when the waiting ends.

pub(crate) mod goal;
mod rejection;
mod sent;
mod ulid;
mod wait;
pub(crate) mod words;

use std::time::Duration;

use clap::Args;
use edge_protocol::command::Request;
use edge_protocol::event::{Event, What};
use edge_protocol::id::{CommandId, NodeId};
use edgectl::control::{ControlPlane, Link, Message, PublishError, Taken};
use edgectl::wall;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use self::goal::{Goal, Scene, Step};
use self::sent::Sent;
pub(crate) use self::ulid::ulid;
use self::wait::Wait;
use crate::caller::Caller;
use crate::command::{
    Failure, REJECTED, Report, SOFTWARE, TIMED_OUT, UNAVAILABLE, UNKNOWN_NODE, USAGE,
};
use crate::instant;
use crate::picture::{News, Picture, address};
use crate::profile::Profile;
use crate::span::{Span, said};

/// How long the broker may take to tell what it keeps of a node; it takes milliseconds.
const FIRST_WORD: Duration = Duration::from_secs(5);
/// A node tells its state at most once a second; and some for the way.
const STATE_AGE: Duration = Duration::from_millis(1_500);
/// How long an operator waits without being told for what.
const SILENCE: Duration = Duration::from_secs(2);

/// How a command is sent and waited for.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Sending {
    /// The node it is for; the profile's where none is named.
    #[arg(long, global = true, value_name = "ID")]
    node: Option<NodeId>,
    /// How long to wait for the effect: 1 minute, or what the command takes.
    #[arg(long, global = true, value_name = "SPAN")]
    timeout: Option<Span>,
    /// When the command expires if the node has not got it: after the time that is waited for.
    #[arg(long, global = true, value_name = "SPAN")]
    expires: Option<Span>,
    /// Don't wait for the answer: done when the broker has the command.
    #[arg(long, global = true)]
    no_wait: bool,
}

/// What to ask of a node, and what to wait for.
pub(crate) struct Plan {
    /// The command.
    pub(crate) request: Request,
    /// What it is sent for.
    pub(crate) goal: Box<dyn Goal>,
    /// How long that takes at the longest, as far as known.
    pub(crate) patience: Duration,
    /// Whether another state of the node would make it another command.
    pub(crate) guess: bool,
}

/// Nothing that a node does at once takes longer: it gives a plug 30 s.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Sends what `plan` makes of the node's present state, and waits for its effect.
///
/// # Errors
/// [`Failure`], with the code of what went wrong.
pub(crate) fn run(
    caller: &Caller,
    sending: &Sending,
    plan: impl Fn(&Scene<'_>) -> Result<Plan, Failure>,
) -> Result<Report, Failure> {
    let profile = caller.profile()?;
    let node = sending.node.clone().or_else(|| profile.node.clone()).ok_or_else(|| {
        let path = profile.path.display();
        Failure::new(
            USAGE,
            format!("which node? Name it with --node ID, or as `node = \"ID\"` in {path}"),
        )
    })?;
    caller.until_interrupted(async {
        let mut errand = Errand::begin(caller, profile, node).await?;
        let done = errand.conduct(sending, plan).await;
        errand.control.close().await;
        done
    })
}

/// A connection that hears one node, and what it heard.
struct Errand<'a> {
    caller: &'a Caller,
    node: NodeId,
    root: String,
    control: ControlPlane,
    link: watch::Receiver<Link>,
    picture: Picture,
    /// What was last told of the way there.
    last_note: Option<String>,
}

impl<'a> Errand<'a> {
    async fn begin(caller: &'a Caller, profile: Profile, node: NodeId) -> Result<Self, Failure> {
        let nodes = [node.clone()];
        let control = ControlPlane::visit(&profile.endpoint, &nodes).await?;
        let link = control.link();
        let root = profile.endpoint.root;
        let mut errand = Self {
            caller,
            node,
            root,
            control,
            link,
            picture: Picture::default(),
            last_note: None,
        };
        // Late, the command goes out all the same: only who was never there gets none.
        let _ = timeout(FIRST_WORD, errand.first_word()).await;
        if errand.picture.status.is_some() {
            return Ok(errand);
        }
        let Self { node, root, .. } = &errand;
        Err(Failure::new(
            UNKNOWN_NODE,
            format!(
                "no node {node} was ever seen at this broker under {root}: `edgectl watch` shows those that were; topic_root in the profile says where to look"
            ),
        ))
    }

    async fn first_word(&mut self) -> Result<(), Failure> {
        let told = |picture: &Picture| picture.status.is_some() && picture.state.is_some();
        while !told(&self.picture) {
            let message = self.control.next().await;
            self.take(message)?;
        }
        Ok(())
    }

    /// Waits until the state is as the node is: one that is so young may be followed by another
    /// at once.
    async fn settle(&mut self) -> Result<(), Failure> {
        let told_at_ms = self.picture.state.as_ref().map_or(0, |state| state.at_ms);
        let age = Duration::from_millis(wall::now_ms().saturating_sub(told_at_ms));
        let newer = async {
            loop {
                let message = self.control.next().await;
                if self.take(message)? == Some(News::State) {
                    return Ok(());
                }
            }
        };
        timeout(STATE_AGE.saturating_sub(age), newer).await.unwrap_or(Ok(()))
    }

    /// Takes in what came; of other nodes nothing.
    fn take(&mut self, message: Result<Message, PublishError>) -> Result<Option<News>, Failure> {
        let message = message.map_err(|error| self.cut_off(&error))?;
        Ok(address(&self.root, &message.topic)
            .filter(|(node, _)| *node == self.node)
            .map(|(_, leaf)| self.picture.take(leaf, &message)))
    }

    fn cut_off(&self, error: &PublishError) -> Failure {
        let taken_over = *self.link.borrow() == Link::TakenOver;
        let message = if taken_over { words::taken_over() } else { error.to_string() };
        Failure::new(UNAVAILABLE, message)
    }

    fn scene(&self) -> Scene<'_> {
        Scene { node: &self.node, picture: &self.picture, now_ms: wall::now_ms() }
    }

    fn note(&mut self, text: String) {
        self.caller.note(&text);
        self.last_note = Some(text);
    }

    async fn conduct(
        &mut self,
        sending: &Sending,
        plan: impl Fn(&Scene<'_>) -> Result<Plan, Failure>,
    ) -> Result<Report, Failure> {
        let mut first = plan(&self.scene());
        if first.as_ref().map_or_else(|failure| failure.code == REJECTED, |plan| plan.guess) {
            self.settle().await?;
            first = plan(&self.scene());
        }
        let Plan { request, mut goal, patience, .. } = first?;
        let limit = sending.timeout.map_or(patience, |span| Duration::from_millis(span.ms()));
        let deadline = Instant::now() + limit;
        let mut sent = Sent::new(&self.root, &self.node, request, limit, sending.expires)?;
        if !sending.no_wait {
            self.warn_of_waiting(&sent);
        }
        match timeout(limit, self.control.publish(sent.publication.clone())).await {
            Ok(Ok(Taken::ForSomebody)) => {}
            Ok(Ok(Taken::ForNobody)) => {
                return Err(self.unreachable(&sent));
            }
            Ok(Err(error)) => return Err(self.refused(&error)),
            Err(_) => return Err(self.too_late(&sent, &*goal, limit)),
        }
        if sending.no_wait {
            return Ok(sent.on_its_way(&self.scene()));
        }
        let fixed = sending.timeout.is_some();
        self.wait(&mut sent, &mut *goal, Wait { deadline, limit, fixed }).await
    }

    /// Waits until the goal says what came of it.
    async fn wait(
        &mut self,
        sent: &mut Sent,
        goal: &mut dyn Goal,
        mut wait: Wait,
    ) -> Result<Report, Failure> {
        let mut remind = Instant::now() + SILENCE;
        // What is true unless something else is heard by then.
        let mut settles: Option<(Instant, Step)> = None;
        let never = wait.deadline + Duration::from_hours(1);
        loop {
            let settled_at = settles.as_ref().map_or(never, |(at, _)| *at);
            let (step, event) = tokio::select! {
                message = self.control.next() => match self.take(message)? {
                    Some(news) => self.hear(news, sent, goal)?,
                    None => (Step::Wait, None),
                },
                changed = self.link.changed() => {
                    // Its sender lives as long as the connection, whose end `news` tells.
                    if changed.is_ok() {
                        self.link_changed(sent).await;
                    }
                    (Step::Wait, None)
                }
                () = sleep_until(settled_at) => {
                    (settles.take().map_or(Step::Wait, |(_, step)| step), None)
                }
                () = sleep_until(remind), if settles.is_none() => {
                    remind = never;
                    (Step::Note(self.awaited(sent, goal)), None)
                }
                () = sleep_until(wait.deadline) => return Err(self.too_late(sent, goal, wait.limit)),
            };
            match step {
                Step::Wait => {}
                Step::Note(text) => self.note(text),
                Step::Until { at_ms, note } => {
                    wait.extend(at_ms);
                    self.note(note);
                }
                // The last that was seen is so, but each further one would put it off.
                Step::Unless { within, done } => {
                    let at = settles.map_or_else(|| Instant::now() + within, |(at, _)| at);
                    settles = Some((at, *done));
                }
                Step::Done { text, facts } => return Ok(sent.done(&text, &facts, event)),
                Step::Failed { code, text } => {
                    return Err(Failure::new(code, text).with(sent.facts(event)));
                }
            }
        }
    }

    /// What the goal makes of the node's words; and of the answer to the command, this module.
    fn hear(
        &mut self,
        news: News,
        sent: &mut Sent,
        goal: &mut dyn Goal,
    ) -> Result<(Step, Option<Event>), Failure> {
        let event = match news {
            News::Event(event) => *event,
            News::State => {
                // A state tells of the command's effect if it is no older than its acceptance.
                let newer = sent.accepted.zip(self.picture.last_seq()).is_some_and(|(a, s)| s >= a);
                return Ok((if newer { goal.state(&self.scene()) } else { Step::Wait }, None));
            }
            News::Strange(Some(strange)) if sent.accepted.is_some() => {
                return Ok((goal.strange(&strange, &self.scene()), None));
            }
            News::Status | News::Telemetry | News::Strange(_) => return Ok((Step::Wait, None)),
        };
        let answers = |command: Option<&CommandId>| command == Some(&sent.id);
        if let What::CommandRejected(rejected) = &event.what
            && answers(rejected.command.as_ref())
        {
            let text = rejection::said(rejected, &event, &self.scene());
            let failure = Failure::new(rejection::exit_code(rejected.code), text);
            return Err(failure.with(sent.facts(Some(event))));
        }
        if let What::CommandAccepted(accepted) = &event.what
            && answers(Some(&accepted.command))
        {
            sent.accepted = Some(event.seq);
            return Ok((goal.accepted(&self.scene()), Some(event)));
        }
        if sent.accepted.is_none() {
            return Ok((Step::Wait, None));
        }
        let ours = event.cause.as_ref() == Some(&sent.id);
        Ok((goal.event(&event, ours, &self.scene()), Some(event)))
    }

    /// Tells of the link, and sends the command again where the broker forgot us: what was told
    /// in between is lost, and a repeated command is only answered again.
    async fn link_changed(&mut self, sent: &Sent) {
        let link = self.link.borrow_and_update().clone();
        match link {
            Link::Up { forgotten: false } | Link::TakenOver => {}
            Link::Up { forgotten: true } => {
                let again = self.control.publish(sent.publication.clone());
                // A second loss comes here again.
                let _ = timeout(FIRST_WORD, again).await;
            }
            Link::Lost(reason) => {
                self.note(format!("the connection to the broker is lost ({reason}); trying again"));
            }
        }
    }
}

impl From<edgectl::control::ConnectError> for Failure {
    fn from(error: edgectl::control::ConnectError) -> Self {
        words::no_connection(&error)
    }
}

impl Errand<'_> {
    fn refused(&self, error: &PublishError) -> Failure {
        match error {
            PublishError::Refused(reason) => words::no_right(&self.node, &format!("{reason:?}")),
            PublishError::BadTopic { .. } => Failure::new(SOFTWARE, error.to_string()),
            PublishError::Closed => self.cut_off(error),
        }
    }

    fn unreachable(&self, sent: &Sent) -> Failure {
        let text = words::nobody(&self.scene());
        Failure::new(UNAVAILABLE, text).with(sent.facts(None))
    }

    fn warn_of_waiting(&mut self, sent: &Sent) {
        if let Some(why) = words::why_it_waits(&self.scene()) {
            let until = instant::said(sent.expires_at_ms, wall::now_ms());
            self.note(format!("{why}; the command waits at the broker until {until}"));
        }
    }

    fn awaited(&self, sent: &Sent, goal: &dyn Goal) -> String {
        match sent.accepted {
            Some(_) => format!("{} has accepted; waiting for {}", self.node, goal.awaited()),
            None => format!("waiting for the answer of {}", self.node),
        }
    }

    fn too_late(&self, sent: &Sent, goal: &dyn Goal, limit: Duration) -> Failure {
        let scene = self.scene();
        let limit = said(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        let text = match sent.accepted {
            Some(_) => {
                let last = self.last_note.as_ref().map_or_else(String::new, |n| format!(" ({n})"));
                format!(
                    "{} has accepted the command, but after {limit} still waiting for {}{last}; `edgectl watch {}` shows how it goes on",
                    self.node,
                    goal.awaited(),
                    self.node
                )
            }
            None => words::no_answer(&scene, &limit, sent.expires_at_ms),
        };
        Failure::new(TIMED_OUT, text).with(sent.facts(None))
    }
}
