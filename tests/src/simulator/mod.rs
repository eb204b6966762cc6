//! The real node and the real order of effects in a world that one seed decides.
//!
//! Virtual time jumps from happening to happening: plugs that go deaf, a card that stalls, a link
//! that is half open, clocks that step, a process killed between any two steps of its loop. After
//! every step a checker that knows the contract, and nothing of the node's insides, compares what
//! the plugs do and the broker heard with what was promised. A seed replays exactly, and a case
//! that fails shrinks to the few things that matter.
//!
//! Nothing in here decides for the node: what it orders is carried out, late, twice or not at all.

mod acts;
mod broker;
mod chance;
mod chaos;
mod checker;
mod clocks;
mod control;
mod disk;
mod errand;
mod ledger;
mod life;
mod meter;
mod model;
mod plug;
mod power;
mod process;
mod queue;
mod rest;
mod sabotage;
mod script;
mod shrink;
mod site;
mod strike;
mod tally;
mod technician;
mod world;

use std::fmt;

use edge_protocol::command::Request;
use edge_protocol::event::What;

pub use self::sabotage::Sabotage;
pub use self::script::Entry;
pub use self::shrink::shrink;
pub use self::tally::Tally;

/// What a run is to be.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Decides everything.
    pub seed: u64,
    /// How much time passes in the world before it is put in order and must come to rest.
    pub hours: u64,
    /// A deliberate bug, that the checker must see.
    pub sabotage: Option<Sabotage>,
}

/// A run, and all that the world does in it.
#[derive(Debug, Clone)]
pub struct Case {
    /// Decides what is no entry: how long messages take, which batch a crash loses.
    pub plan: Plan,
    /// What the world does, in the order of time.
    pub entries: Vec<Entry>,
    /// When the world is put in order.
    pub until_ms: u64,
}

impl Case {
    /// Everything that a plan's world does.
    #[must_use]
    pub fn of(plan: Plan) -> Self {
        let until_ms = plan.hours * 3_600_000;
        let chance = chance::Chance::new(plan.seed);
        let settings = site::settings(&mut chance.once(chance::For::Site));
        Self { plan, entries: script::write(chance, &settings, until_ms), until_ms }
    }
}

/// What a run did.
#[derive(Debug, Clone, Default)]
pub struct Done {
    /// Milliseconds that passed in the world.
    pub virtual_ms: u64,
    /// How often the node decided.
    pub decisions: u64,
    /// Events that were told.
    pub events: u64,
    /// Sessions that were powered.
    pub sessions: u64,
    /// How often each thing happened.
    pub tally: Tally,
}

impl Done {
    /// Takes another run's figures in.
    pub fn merge(&mut self, other: &Self) {
        self.virtual_ms += other.virtual_ms;
        self.decisions += other.decisions;
        self.events += other.events;
        self.sessions += other.sessions;
        self.tally.merge(&other.tally);
    }
}

/// What may happen in a world, by group and name: what never does proves nothing.
#[must_use]
pub fn kinds() -> Vec<(&'static str, &'static str)> {
    let of = |group: &'static str, names: &'static [&'static str]| {
        names.iter().map(move |name| (group, *name))
    };
    of("fault", &chaos::KINDS)
        .chain(of("fault", FAULTS))
        .chain(of("command", &Request::KINDS))
        .chain(of("way", &control::WAYS))
        .chain(of("encoding", &["Json", "Cbor"]))
        .chain(of("event", &What::KINDS))
        .chain(of("local", &["on", "off or release", "done", "turned away"]))
        .chain(of("script", &["succeeds", "fails", "fails for good", "times out", "is killed"]))
        .collect()
}

/// Faults that follow from troubles.
const FAULTS: &[&str] = &[
    "acknowledgement of a command lost",
    "acknowledgement of an event lost",
    "command lost on its way",
    "event lost on its way",
    "order overtaken",
    "unflushed writes kept",
    "unflushed writes lost in part",
    "unflushed writes lost wholly",
];

/// A sentence of the contract did not hold. Shows what happened last: 40 things, or as many as its precision says.
#[derive(Debug)]
pub struct Broken {
    /// Replays it.
    pub seed: u64,
    /// When, from the world's first moment.
    pub at_ms: u64,
    /// Which sentence, and how.
    pub sentence: String,
    /// What happened last, oldest first; empty unless it was told.
    pub happenings: Vec<String>,
}

impl Broken {
    /// The sentence without what is particular to this case.
    #[must_use]
    pub fn rule(&self) -> &str {
        self.sentence.split_once(": ").map_or(self.sentence.as_str(), |(rule, _)| rule)
    }
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
pub fn run(case: &Case) -> Result<Done, Box<Broken>> {
    world::World::new(case, false).run()
}

/// The same, and writes down what happens.
///
/// # Errors
/// As [`run`].
pub fn tell(case: &Case) -> Result<Done, Box<Broken>> {
    world::World::new(case, true).run()
}
