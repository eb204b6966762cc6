//! A site whose agent dies, and somebody who starts it again: what systemd and a control plane do.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use edge_protocol::command::Request;
use edge_protocol::id::CommandId;
use edgectl::lab::wall::now_ms;
use tests::ledger::Ledger;
use tests::row::Row;
use tests::{script, within};

use crate::fragile::{Fragile, Point};

/// Stations `pc-1` and on, each with a plug of its own: `plug-1` and on.
pub(crate) const STATIONS: usize = 4;

/// Leaves a line behind for each attempt, and fails the first.
const TWICE: &str = "echo \"$EDGE_TASK_ID $EDGE_TASK_ATTEMPT\" >>\"$0.log\"\n\
                     [ \"$EDGE_TASK_ATTEMPT\" -ge 2 ]";

/// A command that was asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) id: CommandId,
    pub(crate) request: Request,
    /// The session or task that it is about.
    pub(crate) subject: String,
}

/// When no agent ran: from, and until the next was ready.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Away {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

/// The site. One round after another is played on it, each with a new store.
#[derive(Debug)]
pub(crate) struct Rig {
    pub(crate) row: Row,
    pub(crate) ledger: Ledger,
    agent: Option<Fragile>,
    round: Round,
}

/// What is known of one round.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Where the first process to get there dies.
    point: Option<Point>,
    /// The folder in which each process notes what it passed.
    passes: Option<PathBuf>,
    starts: usize,
    pub(crate) deaths: usize,
    pub(crate) away: Vec<Away>,
    gone_since_ms: Option<u64>,
    pub(crate) asked: Vec<Asked>,
    /// How often each plug had been switched before.
    pub(crate) switched_before: Vec<usize>,
}

impl Rig {
    /// A site that the broker knows already, so that it keeps what is sent to an absent node.
    pub(crate) async fn new() -> Result<Self> {
        let row = Row::new(STATIONS).await?;
        script::put(&row.story.site, "twice", TWICE)?;
        script::put(&row.story.site, "sleeper", "sleep 60")?;
        let round = Round::default();
        let mut rig = Self { row, ledger: Ledger::default(), agent: None, round };
        rig.begin(None, None).await?;
        rig.until("the first connection", |ledger| ledger.count("node.link", "") > 0).await?;
        rig.stop().await?;
        Ok(rig)
    }

    /// Begins a round with a new store and an agent that dies at `point`.
    pub(crate) async fn begin(
        &mut self,
        point: Option<Point>,
        passes: Option<&Path>,
    ) -> Result<()> {
        let data = self.data();
        if data.exists() {
            std::fs::remove_dir_all(data)?;
        }
        let switched_before = self.row.plugs().map(|(_, plug)| plug.history().len()).collect();
        let passes = passes.map(Path::to_owned);
        self.round = Round { point, passes, switched_before, ..Round::default() };
        self.start().await
    }

    pub(crate) fn round(&self) -> &Round {
        &self.round
    }

    /// The node's data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.row.story.site.folder().join("data")
    }

    /// Starts the agent, once more where it dies on the way.
    pub(crate) async fn start(&mut self) -> Result<()> {
        loop {
            let point = self.round.point.as_ref().filter(|_| self.round.deaths == 0);
            self.round.starts += 1;
            let passes = self.round.passes.as_ref();
            let passes = passes.map(|folder| folder.join(self.round.starts.to_string()));
            let mut agent = Fragile::start(&self.row.story.site, point, passes.as_deref())?;
            if agent.ready().await? {
                self.agent = Some(agent);
                let to_ms = now_ms();
                let from_ms = self.round.gone_since_ms.take();
                self.round.away.extend(from_ms.map(|from_ms| Away { from_ms, to_ms }));
                return Ok(());
            }
            self.round.died()?;
        }
    }

    /// Asks for `request`, which is about the session or task `subject`.
    pub(crate) async fn ask(&mut self, subject: &str, request: Request) -> Result<CommandId> {
        let command = self.row.story.site.command(request.clone());
        self.row.story.publish(&command).await?;
        let asked = Asked { id: command.id.clone(), request, subject: subject.to_owned() };
        self.round.asked.push(asked);
        Ok(command.id)
    }

    /// Listens until `done`, and starts the agent again when it dies.
    pub(crate) async fn until(&mut self, what: &str, done: impl Fn(&Ledger) -> bool) -> Result<()> {
        while !done(&self.ledger) {
            let agent = self.agent.as_mut().context("an agent runs")?;
            tokio::select! {
                heard = self.ledger.next(&mut self.row.story.site) => {
                    heard.with_context(|| what.to_owned())?;
                }
                death = agent.death() => {
                    death?;
                    self.dead().await?;
                }
            }
        }
        Ok(())
    }

    /// Waits until every outlet is off and holds no lease.
    pub(crate) async fn quiet(&mut self) -> Result<()> {
        for number in 1..=STATIONS {
            loop {
                let agent = self.agent.as_mut().context("an agent runs")?;
                let quiet = self
                    .row
                    .plug(number)
                    .until(|plug| !plug.is_on(1) && plug.lease_remaining(1).is_none());
                let what = format!("plug-{number} goes off");
                let quiet = within(&what, async {
                    quiet.await;
                    Ok(())
                });
                tokio::select! {
                    quiet = quiet => break quiet?,
                    death = agent.death() => {
                        death?;
                        self.dead().await?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Stops the agent in order; where it dies on the way, a new one is stopped.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        loop {
            let agent = self.agent.take().context("an agent runs")?;
            if agent.stop().await? {
                self.round.gone_since_ms.get_or_insert_with(now_ms);
                return Ok(());
            }
            self.dead().await?;
        }
    }

    async fn dead(&mut self) -> Result<()> {
        self.agent = None;
        self.round.died()?;
        self.start().await
    }
}

impl Round {
    fn died(&mut self) -> Result<()> {
        ensure!(self.point.is_some() && self.deaths == 0, "killed, but not by a point");
        self.deaths += 1;
        self.gone_since_ms.get_or_insert_with(now_ms);
        Ok(())
    }
}
