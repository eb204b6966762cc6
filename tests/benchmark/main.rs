//! What the agent takes of time, disk and machine, each figure beside its floor in the same run.
//!
//! `cargo bench --package tests` runs it on the release build, `… -- idle start` those parts alone;
//! `docs/performance.md` says how to read it.
//! The machine's own speed moves every time here, so a ratio to a floor says more than a time.

mod figures;
mod floors;
mod idle;
mod lateness;
mod start;
mod throughput;
mod toggle;

use anyhow::{Result, bail, ensure};
use edge_protocol::codec::{Encoding, encode};
use edge_protocol::command::Request;
use edge_protocol::event::Event;
use edgectl::control::Publication;
use edgectl::lab::agent::Agent;
use edgectl::lab::site::Site;
use plug_sim::{FakePlug, Profile};

use figures::Table;
use tests::within;

/// A site for measuring: its plug is `plug-1`, its station `pc-1`, and 64 tasks run at once.
struct Bench {
    site: Site,
    plug: FakePlug,
}

impl Bench {
    async fn new() -> Result<Self> {
        let site = Site::start(&"pi-0042".parse()?, Encoding::Cbor).await?;
        let plug = FakePlug::start(Profile::tasmota_14_4()).await?;
        let rest = tests::outlet("plug-1", &plug) + &tests::station("pc-1", &["plug-1"]);
        site.configure_with("concurrency = 64\nmax_queued = 20000\n", &rest)?;
        Ok(Self { site, plug })
    }

    /// Starts the agent, ready and connected.
    async fn agent(&mut self) -> Result<Agent> {
        let agent = self.site.agent().await?;
        self.told("node.link").await?;
        Ok(agent)
    }

    /// Waits for an event of this type.
    async fn told(&mut self, kind: &str) -> Result<Event> {
        let wanted = |event: &Event| (event.what.kind() == kind).then(|| event.clone());
        within(kind, async { Ok(self.site.event(wanted).await?) }).await
    }

    /// Sends commands without waiting for the broker between them.
    async fn send_all(&mut self, requests: impl IntoIterator<Item = Request>) -> Result<()> {
        let topic = self.site.topics().commands();
        let publications = requests.into_iter().map(|request| {
            let payload = encode(self.site.encoding, &self.site.command(request));
            Publication { topic: topic.clone(), payload, retain: false, expires: None }
        });
        let publications = publications.collect();
        Ok(self.site.control.publish_all(publications).await?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    ensure!(!cfg!(debug_assertions), "figures of a debug build mean nothing: use cargo bench");
    let table = Table::new();
    let parts: Vec<String> = std::env::args().skip(1).filter(|it| !it.starts_with("--")).collect();
    let known = ["toggle", "throughput", "lateness", "start", "idle"];
    if let Some(part) = parts.iter().find(|part| !known.contains(&part.as_str())) {
        bail!("there is no part {part}: {}", known.join(", "));
    }
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let floors = floors::measure(&table).await?;
    if wanted("toggle") {
        toggle::measure(&table, &floors).await?;
    }
    if wanted("throughput") {
        throughput::measure(&table, &floors).await?;
    }
    if wanted("lateness") {
        lateness::measure(&table, &floors).await?;
    }
    if wanted("start") {
        start::measure(&table, &floors).await?;
    }
    if wanted("idle") {
        idle::measure(&table).await?;
    }
    Ok(())
}
