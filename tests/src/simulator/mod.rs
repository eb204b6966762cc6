//! The real node and the real order of effects in a world that one seed decides.
//!
//! Virtual time jumps from happening to happening: plugs that go deaf, a card that stalls, a link
//! that is half open, clocks that step, a process killed between any two steps of its loop. After
//! every step a checker that knows the contract, and nothing of the node's insides, compares what
//! the plugs do and the broker heard with what was promised. A seed replays exactly.
//!
//! Nothing in here decides for the node: what it orders is carried out, late, twice or not at all.

mod broker;
mod chaos;
mod checker;
mod clocks;
mod control;
mod disk;
mod errand;
mod ledger;
mod life;
mod model;
mod plug;
mod power;
mod process;
mod queue;
mod site;
mod strike;
mod world;

use std::fmt;

/// What a run is to be.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// How much time passes in the world before it is put in order and must come to rest.
    pub hours: u64,
    /// What the world does against its own rules.
    pub sabotage: Option<Sabotage>,
    /// Happenings that are left out, a bit each, in the order of [`TROUBLES`]: for finding the few that matter.
    pub without: u64,
}

/// The world's faults by name, as [`Plan::without`] counts them.
pub const TROUBLES: &[&str] = chaos::NAMES;

/// A fault of the world that no node can make good, so that a checker that sees must see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// Acts don't wait for the disk.
    ActsBeforeWrites,
    /// A crash loses the last batch that was flushed.
    FlushLost,
    /// Plugs confirm leases and never keep them.
    LeasesIgnored,
    /// Plugs cut the power a minute before their lease says so.
    LeasesCutEarly,
    /// Some offs are confirmed and don't happen.
    OffsSwallowed,
    /// A crash loses what was answered to commands.
    AnswersForgotten,
    /// The disk drops an event now and then.
    EventsLost,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Done {
    /// Milliseconds that passed in the world.
    pub virtual_ms: u64,
    /// How often the node decided.
    pub settles: u64,
    /// Events that the broker took.
    pub events: u64,
    /// Sessions that were powered.
    pub sessions: u64,
    /// Times that a process started.
    pub starts: u64,
}

/// A sentence of the contract did not hold. Shows what happened last: 40 things, or as many as its precision says.
#[derive(Debug)]
pub struct Broken {
    /// Replays it.
    pub seed: u64,
    /// Which sentence, and how.
    pub sentence: String,
    /// What happened last, oldest first.
    pub happenings: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.happenings.len().saturating_sub(f.precision().unwrap_or(40));
        for happening in &self.happenings[first..] {
            writeln!(f, "  {happening}")?;
        }
        writeln!(f, "seed {}: {}", self.seed, self.sentence)?;
        write!(
            f,
            "replay: EDGE_AGENT_SIM_SEED={} cargo test -p tests --test simulations",
            self.seed
        )
    }
}

/// Runs a world.
///
/// # Errors
/// The contract was broken.
pub fn run(plan: Plan) -> Result<Done, Box<Broken>> {
    world::World::new(plan).run()
}
