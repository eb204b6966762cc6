//! What every story stands on: a site with one node, told in the words of an operator.
//!
//! A story file says only what somebody outside the node would see. Everything that waits has
//! one generous limit, here.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a story waits for one kind of event and passes over all others"
)]

pub mod ask;
pub mod browser;
pub mod container;
pub mod desk;
pub mod diagnosis;
pub mod far;
pub mod figure;
pub mod identity;
pub mod keeper;
pub mod ledger;
pub mod metronome;
pub mod operator;
pub mod page;
pub mod plug;
pub mod program;
pub mod prometheus;
pub mod protocol;
pub mod row;
pub mod script;
pub mod service;
pub mod simulator;
pub mod small_disk;
pub mod stall;
pub mod time;
pub mod torrent;
pub mod transcript;
pub mod vitals;

use std::time::Duration;

use anyhow::{Context as _, Result};
use edge_protocol::codec::Encoding;
use edge_protocol::command::{Command, End, Request, SessionRef, SessionStart};
use edge_protocol::event::{Event, What};
use edge_protocol::id::CommandId;
use edgectl::lab::agent::Agent;
use edgectl::lab::site::Site;
use plug_sim::{FakePlug, Family, Profile};

/// Nothing that a story waits for takes longer, on a slow machine either.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A site, its plug, and the station `pc-1` that hangs on it.
#[derive(Debug)]
pub struct Story {
    /// Broker, control plane, folder.
    pub site: Site,
    /// The plug behind outlet `plug-1`.
    pub plug: FakePlug,
}

/// Waits for `future`, but not for ever.
///
/// # Errors
/// `what` did not happen, or the future's own.
pub async fn within<T>(what: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done.with_context(|| what.to_owned()),
        Err(_) => anyhow::bail!("{what}: not within {PATIENCE:?}"),
    }
}

/// The outlet `id` on `plug`, as configured.
#[must_use]
pub fn outlet(id: &str, plug: &FakePlug) -> String {
    let driver = match plug.family() {
        Family::Tasmota => "tasmota",
        Family::ShellyGen1 | Family::ShellyGen2 => "shelly",
    };
    format!("[[outlet]]\nid = \"{id}\"\ndriver = \"{driver}\"\nurl = \"{}\"\n", plug.url())
}

/// The station `id` of `outlets`, as configured.
#[must_use]
pub fn station(id: &str, outlets: &[&str]) -> String {
    format!("[[station]]\nid = \"{id}\"\noutlets = {outlets:?}\n")
}

impl Story {
    /// A site with a plug of today's firmware; the agent is not running yet.
    ///
    /// # Errors
    /// The lab can't be set up.
    pub async fn new(encoding: Encoding) -> Result<Self> {
        Self::with_plug(encoding, Profile::tasmota_14_4()).await
    }

    /// As [`Self::new`], with another plug.
    ///
    /// # Errors
    /// The lab can't be set up.
    pub async fn with_plug(encoding: Encoding, profile: Profile) -> Result<Self> {
        let node = "pi-0042".parse()?;
        let mut site = Site::start(&node, encoding).await?;
        site.inspect(|topics, message| {
            protocol::said(topics, message).map_err(|error| format!("{error:#}"))
        });
        let plug = FakePlug::start(profile).await?;
        site.configure(&(outlet("plug-1", &plug) + &station("pc-1", &["plug-1"])))?;
        Ok(Self { site, plug })
    }

    /// Starts the agent, ready and connected.
    ///
    /// # Errors
    /// It does not get that far.
    pub async fn agent(&mut self) -> Result<Agent> {
        let agent = self.site.agent().await?;
        self.told("node.link").await?;
        Ok(agent)
    }

    /// Sends `request` as a command of its own.
    ///
    /// # Errors
    /// The broker does not take it.
    pub async fn send(&mut self, request: Request) -> Result<CommandId> {
        within("a command is published", async { Ok(self.site.send(request).await?) }).await
    }

    /// Publishes `command`, again perhaps.
    ///
    /// # Errors
    /// The broker does not take it.
    pub async fn publish(&self, command: &Command) -> Result<()> {
        within("a command is published", async { Ok(self.site.publish(command).await?) }).await
    }

    /// The next event of type `kind`.
    ///
    /// # Errors
    /// It does not come.
    pub async fn told(&mut self, kind: &str) -> Result<Event> {
        self.event(kind, |event| (event.what.kind() == kind).then(|| event.clone())).await
    }

    /// The next event of which `wanted` makes something.
    ///
    /// # Errors
    /// It does not come.
    pub async fn event<T>(
        &mut self,
        what: &str,
        wanted: impl Fn(&Event) -> Option<T>,
    ) -> Result<T> {
        within(what, async { Ok(self.site.event(wanted).await?) }).await
    }

    /// The answer to `command`: `Ok`, or the code of its rejection.
    ///
    /// # Errors
    /// It does not come.
    pub async fn answer(&mut self, command: &CommandId) -> Result<std::result::Result<(), String>> {
        let of = |event: &Event| {
            if let What::CommandAccepted(accepted) = &event.what {
                return (accepted.command == *command).then_some(Ok(()));
            }
            let What::CommandRejected(rejected) = &event.what else { return None };
            (rejected.command.as_ref() == Some(command)).then(|| Err(code_name(event)))
        };
        self.event("the answer to a command", of).await
    }
}

/// The code of a rejection, as it stands on the wire.
fn code_name(event: &Event) -> String {
    let wire = serde_json::to_value(&event.what).unwrap_or_default();
    wire["body"]["code"].as_str().unwrap_or_default().to_owned()
}

/// Starts `session` on `pc-1` for so long.
///
/// # Panics
/// `session` is no id.
#[must_use]
pub fn start(session: &str, duration_ms: u64) -> Request {
    Request::SessionStart(SessionStart {
        session: session.parse().expect("a legal id"),
        station: "pc-1".parse().expect("it is a legal id"),
        end: End::After(duration_ms),
        starts_at_ms: None,
        warn_before_ms: None,
        grace_ms: None,
        label: None,
    })
}

/// A body that names `session`.
///
/// # Panics
/// `session` is no id.
#[must_use]
pub fn of(session: &str) -> SessionRef {
    SessionRef { session: session.parse().expect("a legal id") }
}
