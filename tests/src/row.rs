//! A row of stations, `pc-1` and on, each with a plug of its own: `plug-1` and on.

use anyhow::Result;
use edge_protocol::codec::Encoding;
use plug_sim::{FakePlug, Profile};

use crate::{Story, outlet, station};

/// A site with a row of stations.
#[derive(Debug)]
pub struct Row {
    /// The site, with the first plug.
    pub story: Story,
    /// The others.
    more: Vec<FakePlug>,
}

impl Row {
    /// So many stations; the agent is not running yet.
    ///
    /// # Errors
    /// The lab can't be set up.
    pub async fn new(stations: usize) -> Result<Self> {
        Self::with_plugs(vec![Profile::tasmota_14_4(); stations]).await
    }

    /// A station for each of these plugs.
    ///
    /// # Errors
    /// The lab can't be set up.
    ///
    /// # Panics
    /// There is no plug.
    pub async fn with_plugs(plugs: Vec<Profile>) -> Result<Self> {
        let mut plugs = plugs.into_iter();
        let first = plugs.next().expect("a row has a first station");
        let story = Story::with_plug(Encoding::Cbor, first).await?;
        let mut more = vec![];
        for plug in plugs {
            more.push(FakePlug::start(plug).await?);
        }
        let row = Self { story, more };
        let tables = row.plugs().map(|(number, plug)| {
            let (id, pc) = (format!("plug-{number}"), format!("pc-{number}"));
            outlet(&id, plug) + &station(&pc, &[&id])
        });
        row.story.site.configure(&tables.collect::<String>())?;
        Ok(row)
    }

    /// Every plug with its number, from 1.
    pub fn plugs(&self) -> impl Iterator<Item = (usize, &FakePlug)> {
        (1..).zip(std::iter::once(&self.story.plug).chain(&self.more))
    }

    /// The plug `plug-NUMBER`.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn plug(&self, number: usize) -> &FakePlug {
        self.plugs().find(|(other, _)| *other == number).expect("a plug of this row").1
    }
}
