//! The story: a session is sold, warned of and extended, the agent is killed in the middle of it
//! and started again, and the power goes off when what was paid for is used up.
//!
//! What the node says is never taken for what happened: the plug's own record decides. The first
//! thing that is not as promised ends the story.

use std::time::Duration;

use edge_protocol::codec::Encoding;
use edge_protocol::command::{End, Extension, Request, SessionExtend, SessionStart};
use edge_protocol::event::{Event, StartReason, What};
use edge_protocol::id::SessionId;
use edge_protocol::presence::Status;
use edgectl::lab::agent::Agent;
use edgectl::lab::site::Site;
use nix::time::{ClockId, clock_gettime};
use plug_sim::{FakePlug, Profile, Switch};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::screen::{Gauge, Paint, Screen, Step, Who};
use super::summary::Summary;
use super::{Plan, Trouble, ms, said, tenths};

const NODE: &str = "pi-0042";
const STATION: &str = "pc-07";
/// A small machine under load needs seconds for what takes milliseconds; more means never.
const PATIENCE: Duration = Duration::from_secs(20);
/// How far apart a node's readings of its two clocks may be.
const JITTER: Duration = Duration::from_millis(100);
/// How late the plug may cut it by itself when the node is dead.
const MAX_LEASE: Duration = Duration::from_secs(15);

/// Sets everything up and plays the session. Dropped half way, everything goes: a future of it
/// may be cancelled at any moment.
///
/// # Errors
/// [`Trouble`]; [`Trouble::NotTrue`] when a step was not as promised.
pub(crate) async fn play(plan: Plan, screen: &mut Screen) -> Result<Summary, Trouble> {
    let mut story = Story::set_up(plan, screen).await?;
    story.sell().await?;
    story.extend().await?;
    let lease = story.kill().await?;
    story.come_back().await?;
    story.end(lease).await
}

/// The story so far.
struct Story<'a> {
    screen: &'a mut Screen,
    plan: Plan,
    session: SessionId,
    // Before the site, so that it is gone when its files go.
    agent: Option<Agent>,
    plug: FakePlug,
    site: Site,
    /// When the power was paid for.
    since: Instant,
    /// The deadline, once it is confirmed.
    deadline: Option<Instant>,
}

impl<'a> Story<'a> {
    async fn set_up(plan: Plan, screen: &'a mut Screen) -> Result<Self, Trouble> {
        screen.preparing("setting_up", "setting up certificates, a broker, a plug and a node")?;
        let node = NODE.parse().expect("it is a legal id");
        let site = screen.busy(Site::start(&node, Encoding::Json)).await??;
        let plug = FakePlug::start(Profile::tasmota_14_4()).await.map_err(Trouble::Files)?;
        let url = plug.url();
        let config = format!(
            "[[outlet]]\nid = \"plug-07\"\ndriver = \"tasmota\"\nurl = \"{url}\"\n\n\
             [[station]]\nid = \"{STATION}\"\noutlets = [\"plug-07\"]\n"
        );
        site.configure(&config).map_err(Trouble::Files)?;
        let agent = Some(screen.busy(site.agent()).await??);
        let session = "session-1".parse().expect("it is a legal id");
        let since = Instant::now();
        let mut story = Self { screen, plan, session, agent, plug, site, since, deadline: None };
        let linked = |event: &Event| matches!(event.what, What::NodeLink(_)).then_some(Ok(()));
        story.event("the node reached the broker", since, linked).await?;
        let folders = [story.site.folder(), story.site.broker.folder()];
        let facts = json!({
            "step": "ready",
            "broker_pid": story.site.broker.pid(),
            "agent_pid": story.agent.as_ref().map(Agent::pid),
            "folders": folders.map(|folder| folder.display().to_string()),
        });
        story.screen.facts(&facts)?;
        story.screen.title("")?;
        Ok(story)
    }

    /// The power is sold, and comes on.
    async fn sell(&mut self) -> Result<(), Trouble> {
        let bought = self.plan.bought;
        self.since = Instant::now();
        let text = format!("sells {} at PC 7", said(bought));
        self.tell("sold", Who::Cafe, self.since, text, json!({ "bought_ms": ms(bought) }))?;
        let start = SessionStart {
            session: self.session.clone(),
            station: STATION.parse().expect("it is a legal id"),
            end: End::After(ms(bought)),
            starts_at_ms: None,
            warn_before_ms: Some(vec![ms(self.plan.warn_before)]),
            grace_ms: Some(0),
            label: None,
        };
        self.send(Request::SessionStart(start)).await?;
        let started = |event: &Event| {
            let What::SessionStarted(times) = &event.what else { return refusal(&event.what) };
            times.ends_at_ms.map(|ends_at_ms| Ok(deadline(event, ends_at_ms)))
        };
        self.deadline = Some(self.event("the session started", self.since, started).await?);
        let Some(on) = self.only_switch(true) else {
            return Err(self.not_true("the node says that it powered the PC, the plug is off"));
        };
        let lease = self.lease()?;
        let text = format!("power is on; {}", self.left_alone(lease));
        self.tell("power_on", Who::Plug, on.at, text, json!({ "lease_ms": self.at_ms(lease) }))?;
        let text = format!("confirms: power is on, and paid for until {}", self.until()?);
        self.now("started", Who::Node, text, json!({}))?;
        self.warned().await
    }

    /// More is sold, so the end moves.
    async fn extend(&mut self) -> Result<(), Trouble> {
        self.wait_until(self.plan.extend_at).await?;
        let more = self.plan.more;
        let text = format!("sells {} more", said(more));
        self.now("sold_more", Who::Cafe, text, json!({ "more_ms": ms(more) }))?;
        let to = Extension::By(i64::try_from(ms(more)).expect("it is minutes"));
        let extend = SessionExtend { session: self.session.clone(), to };
        self.send(Request::SessionExtend(extend)).await?;
        let extended = |event: &Event| {
            let What::SessionExtended(times) = &event.what else { return refusal(&event.what) };
            times.ends_at_ms.map(|ends_at_ms| Ok(deadline(event, ends_at_ms)))
        };
        let told = self.event("the extension took effect", Instant::now(), extended).await?;
        let expected = self.deadline()? + more;
        if told.max(expected) - told.min(expected) > JITTER {
            let what = format!("{} more moved the end to {}", said(more), self.clock(told));
            return Err(self.not_true(&what));
        }
        self.deadline = Some(expected);
        let text = format!("confirms: paid for until {} now", self.until()?);
        self.now("extended", Who::Node, text, json!({}))?;
        let lease = self.lease()?;
        let (text, facts) = (self.left_alone(lease), json!({ "lease_ms": self.at_ms(lease) }));
        self.now("leased", Who::Plug, text, facts)
    }

    /// The agent is killed. Returns when the plug would cut the power by itself.
    async fn kill(&mut self) -> Result<Instant, Trouble> {
        self.wait_until(self.plan.kill_at).await?;
        let agent = self.agent.take().expect("it was started");
        let facts = json!({ "pid": agent.pid() });
        agent.kill().map_err(|error| self.not_true(&error.to_string()))?;
        let text = "kills the program on the node in the middle of it (SIGKILL)".to_owned();
        self.now("killed", Who::Demo, text, facts)?;
        let gauge = self.gauge();
        let Self { screen, site, plug, .. } = self;
        let line = live(gauge, plug, screen.paint());
        let gone = site.status(|status| matches!(status, Status::Offline(_)));
        match screen.during(timeout_at(Instant::now() + PATIENCE, gone), line).await? {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(self.not_true(&error.to_string())),
            Err(_) => return Err(self.not_true("nobody told the café that the node is gone")),
        }
        let text = "hears that the node is gone, and can do nothing about it".to_owned();
        self.now("lost", Who::Cafe, text, json!({}))?;
        self.wait_until(self.plan.start_again_at).await?;
        self.still_on("while the node was dead")?;
        let lease = self.lease()?;
        let text = format!("power is still on; {}", self.left_alone(lease));
        self.now("still_on", Who::Plug, text, json!({ "lease_ms": self.at_ms(lease) }))?;
        Ok(lease)
    }

    /// The agent is started again and goes on where it was.
    async fn come_back(&mut self) -> Result<(), Trouble> {
        let config = self.site.folder().join("agent.toml");
        let launched = Agent::launch(&config, self.site.folder());
        let mut agent = launched.map_err(|error| self.not_true(&error.to_string()))?;
        let text = "starts it again, as the service manager of a node does".to_owned();
        self.now("started_again", Who::Demo, text, json!({ "pid": agent.pid() }))?;
        let line = live(self.gauge(), &self.plug, self.screen.paint());
        let ready = self.screen.during(agent.ready(), line).await?;
        self.agent = Some(agent);
        if ready.is_err() {
            return Err(self.not_true("the program on the node did not come back"));
        }
        let back = |event: &Event| {
            let What::NodeStarted(started) = &event.what else { return refusal(&event.what) };
            Some(Ok(started.clone()))
        };
        let started = self.event("the node came back", Instant::now(), back).await?;
        if started.sessions_recovered != 1 || started.reason != StartReason::Crash {
            let what = format!("the node came back without its session: {started:?}");
            return Err(self.not_true(&what));
        }
        self.still_on("when the node came back")?;
        let text = "is back, goes on where it was, and never touched the power".to_owned();
        self.now("recovered", Who::Node, text, json!({}))?;
        self.warned().await
    }

    /// What was paid for is used up.
    async fn end(&mut self, lease: Instant) -> Result<Summary, Trouble> {
        let deadline = self.deadline()?;
        let ended = |event: &Event| {
            let What::SessionEnded(ended) = &event.what else { return refusal(&event.what) };
            Some(Ok(ended.clone()))
        };
        let ended = self.event("the power was cut", deadline, ended).await?;
        let (paid, history) = (self.plan.total, self.plug.history());
        let summary = Summary::of(paid, deadline, lease, &history, &ended);
        let summary = summary.map_err(|instead| self.not_true(&instead))?;
        let off = self.only_switch(false).expect("it was just judged");
        let text = "power is off".to_owned();
        self.tell("power_off", Who::Plug, off.at, text, json!({ "late_ms": ms(summary.late) }))?;
        let text = format!("confirms: read back as off, {} ms after the end", ended.late_ms);
        self.now("ended", Who::Node, text, json!({ "late_ms": ended.late_ms }))?;
        Ok(summary)
    }

    /// The customer is warned.
    async fn warned(&mut self) -> Result<(), Trouble> {
        let deadline = self.deadline()?;
        let warning = |event: &Event| {
            let What::SessionWarning(warning) = &event.what else { return refusal(&event.what) };
            Some(Ok(warning.remaining_ms))
        };
        let due = deadline - self.plan.warn_before;
        let remaining_ms = self.event("the warning came", due, warning).await?;
        let text = format!("warns: {} left", said(tenths(Duration::from_millis(remaining_ms))));
        self.now("warning", Who::Node, text, json!({ "remaining_ms": remaining_ms }))
    }

    /// The next event of which `wanted` makes something, a refusal perhaps, due at `due`.
    async fn event<T>(
        &mut self,
        what: &str,
        due: Instant,
        wanted: impl Fn(&Event) -> Option<Result<T, String>>,
    ) -> Result<T, Trouble> {
        let limit = due.max(Instant::now()) + PATIENCE;
        let gauge = self.gauge();
        let Self { screen, site, plug, .. } = self;
        let line = live(gauge, plug, screen.paint());
        let event = timeout_at(limit, site.event(wanted));
        match screen.during(event, line).await? {
            Ok(Ok(Ok(found))) => Ok(found),
            Ok(Ok(Err(instead))) => Err(self.not_true(&format!("not true: {what}; {instead}"))),
            Ok(Err(error)) => Err(self.not_true(&error.to_string())),
            Err(_) => Err(self.not_true(&format!("not within {}: {what}", said(PATIENCE)))),
        }
    }

    async fn wait_until(&mut self, after: Duration) -> Result<(), Trouble> {
        let gauge = self.gauge();
        let Self { screen, plug, since, .. } = self;
        let line = live(gauge, plug, screen.paint());
        screen.during(sleep_until(*since + after), line).await
    }

    fn still_on(&self, when: &str) -> Result<(), Trouble> {
        match self.only_switch(true) {
            Some(_) if self.plug.is_on(1) => Ok(()),
            _ => Err(self.not_true(&format!("the power went off {when}"))),
        }
    }

    /// The one time that the plug was switched this way.
    fn only_switch(&self, on: bool) -> Option<Switch> {
        let switches = self.plug.history();
        let mut these = switches.iter().filter(|switch| switch.on == on);
        these.next().copied().filter(|_| these.next().is_none())
    }

    /// When the plug would cut the power by itself, which must suit the deadline.
    fn lease(&self) -> Result<Instant, Trouble> {
        let deadline = self.deadline()?;
        let lease = self.plug.lease_remaining(1).map(|left| Instant::now() + left);
        match lease {
            Some(at) if at >= deadline && at <= deadline + MAX_LEASE => Ok(at),
            Some(at) => {
                let what =
                    format!("left alone, the plug would cut the power at {}", self.clock(at));
                Err(self.not_true(&what))
            }
            None => Err(self.not_true("left alone, the plug would never cut the power")),
        }
    }

    fn not_true(&self, what: &str) -> Trouble {
        Trouble::not_true(what.to_owned(), self.site.folder())
    }

    fn now(
        &mut self,
        name: &'static str,
        who: Who,
        text: String,
        facts: Value,
    ) -> Result<(), Trouble> {
        self.tell(name, who, Instant::now(), text, facts)
    }

    fn tell(
        &mut self,
        name: &'static str,
        who: Who,
        at: Instant,
        text: String,
        facts: Value,
    ) -> Result<(), Trouble> {
        let at = at.saturating_duration_since(self.since);
        self.screen.tell(&Step { name, who, at, text, facts })
    }

    async fn send(&mut self, request: Request) -> Result<(), Trouble> {
        let sent = self.site.send(request).await;
        sent.map(drop).map_err(|error| self.not_true(&error.to_string()))
    }

    fn deadline(&self) -> Result<Instant, Trouble> {
        self.deadline.ok_or_else(|| self.not_true("the session has no end"))
    }

    fn until(&self) -> Result<String, Trouble> {
        Ok(self.clock(self.deadline()?))
    }

    fn left_alone(&self, lease: Instant) -> String {
        format!("left alone, it goes off by itself at {}", self.clock(lease))
    }

    /// An instant as the story's lines name it.
    fn clock(&self, at: Instant) -> String {
        format!("{:.1} s", at.saturating_duration_since(self.since).as_secs_f64())
    }

    fn at_ms(&self, at: Instant) -> u64 {
        ms(at.saturating_duration_since(self.since))
    }

    fn gauge(&self) -> Gauge {
        Gauge { on: false, node: self.agent.is_some(), since: self.since, until: self.deadline }
    }
}

/// The live line as the plug is at each look.
fn live(gauge: Gauge, plug: &FakePlug, paint: Paint) -> impl Fn() -> String {
    move || Gauge { on: plug.is_on(1), ..gauge }.line(Instant::now(), paint)
}

/// What makes waiting for anything else vain.
fn refusal<T>(what: &What) -> Option<Result<T, String>> {
    if let What::CommandRejected(rejected) = what {
        return Some(Err(format!("the node refused it: {}", rejected.message)));
    }
    if let What::SessionFailed(problem) = what {
        return Some(Err(format!("the node could not power it: {}", problem.message)));
    }
    if let What::SessionEnded(_) = what {
        return Some(Err("the session ended before".to_owned()));
    }
    None
}

/// The deadline that an event names `ends_at_ms`. It is reckoned by the boot clock, so that no
/// wall-clock step fools the demo either.
fn deadline(event: &Event, ends_at_ms: u64) -> Instant {
    // In this order: a pause between the two readings makes the power seem late, never early.
    let now = Instant::now();
    let boot = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has this clock");
    let ends = event.uptime_ms + ends_at_ms.saturating_sub(event.at_ms);
    now + Duration::from_millis(ends).saturating_sub(Duration::from(boot))
}
