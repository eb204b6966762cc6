//! `edgectl` as an operator uses it, against a real broker and a real node: one file a chapter.

mod failures;
mod outlets;
mod profiles;
mod sessions;
mod tasks;
mod terminal;
mod watching;

use anyhow::Result;
use edge_protocol::codec::Encoding;
use edgectl::lab::agent::Agent;
use plug_sim::{FakePlug, Profile};
use tests::operator::Operator;
use tests::{Story, outlet, station};

/// A running node with the stations `pc-1` and `pc-2`, a plug each, and its operator.
struct Shift {
    story: Story,
    /// The plug of `pc-2`.
    other: FakePlug,
    operator: Operator,
    agent: Agent,
}

impl Shift {
    async fn begin() -> Result<Self> {
        let mut story = Story::new(Encoding::Cbor).await?;
        let other = FakePlug::start(Profile::tasmota_14_4()).await?;
        let outlets = outlet("plug-1", &story.plug) + &outlet("plug-2", &other);
        let stations = station("pc-1", &["plug-1"]) + &station("pc-2", &["plug-2"]);
        story.site.configure(&(outlets + &stations))?;
        let agent = story.agent().await?;
        let operator = Operator::of(&story.site)?;
        Ok(Self { story, other, operator, agent })
    }
}

/// Whether `text` has every one of these, in this order.
fn says(text: &str, parts: &[&str]) -> bool {
    let mut rest = text;
    parts.iter().all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}
