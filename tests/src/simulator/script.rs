//! What the world does to a node, as data: each command and each trouble with its moment. A seed
//! decides it before anything runs, so that a failing one can be shortened entry by entry.

use std::fmt;
use std::rc::Rc;

use edge_agent::node::LocalOrder;
use edge_agent::node::settings::Settings;
use edge_protocol::id::OutletId;

use super::chance::{Chance, For};
use super::chaos::{self, Trouble};
use super::control::{Control, Message};
use super::technician;

/// How long the pauses between two commands are on average, in one world or another;
const COMMANDS_EVERY_MS: [u64; 4] = [30_000, 90_000, 180_000, 300_000];
/// between two troubles,
const TROUBLES_EVERY_MS: [u64; 4] = [30_000, 120_000, 300_000, 900_000];
/// and between two orders at the machine itself.
const LOCAL_EVERY_MS: [u64; 3] = [120_000, 600_000, 3_600_000];

/// One thing that the world does.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When, from the world's first moment.
    pub(super) at_ms: u64,
    pub(super) deed: Deed,
}

#[derive(Debug, Clone)]
pub(super) enum Deed {
    /// The control plane sends a message.
    Command(Rc<Message>),
    Trouble(Trouble),
    /// Somebody asks for something at the machine itself.
    Local(LocalOrder),
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6}.{:03} ", self.at_ms / 1_000, self.at_ms % 1_000)?;
        match &self.deed {
            Deed::Command(message) => message.fmt(f),
            Deed::Trouble(trouble) => write!(f, "trouble: {trouble:?}"),
            Deed::Local(order) => write!(f, "asked at the machine itself: {order:?}"),
        }
    }
}

/// Everything that a seed's world does within so much time.
pub(super) fn write(chance: Chance, settings: &Settings, until_ms: u64) -> Vec<Entry> {
    let mut rng = chance.once(For::Control);
    let every_ms = COMMANDS_EVERY_MS[rng.usize(0..COMMANDS_EVERY_MS.len())];
    let mut script = Control::new(rng, settings).commands(every_ms, until_ms);
    let mut rng = chance.once(For::Chaos);
    let every_ms = TROUBLES_EVERY_MS[rng.usize(0..TROUBLES_EVERY_MS.len())];
    let plugs = settings.outlets.len();
    let mut at_ms = 10_000;
    while at_ms < until_ms {
        script.push(Entry { at_ms, deed: Deed::Trouble(chaos::next(&mut rng, plugs)) });
        at_ms += rng.u64(1..every_ms * 2);
    }
    let mut rng = chance.once(For::Technician);
    let every_ms = LOCAL_EVERY_MS[rng.usize(0..LOCAL_EVERY_MS.len())];
    let outlets: Vec<OutletId> = settings.outlets.keys().cloned().collect();
    script.extend(technician::orders(&mut rng, &outlets, every_ms, until_ms));
    script.sort_by_key(|entry| entry.at_ms);
    script
}
