//! The broker and the line to it: a persistent session, commands kept until they are
//! acknowledged, events taken as they come, and connections that die without a word.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::chance::{Chance, For};
use super::control::Message;

/// The most commands that are out and not acknowledged: what the node announces to take.
const WINDOW: usize = 20;

/// A message that waits for the node.
#[derive(Debug, Clone)]
pub(super) struct Delivery {
    pub(super) number: u64,
    pub(super) message: Rc<Message>,
}

#[derive(Debug)]
pub(super) struct Broker {
    chance: Chance,
    /// It knows the node.
    pub(super) session: bool,
    waiting: VecDeque<Delivery>,
    next: u64,
    /// How many of those that wait went out over this connection.
    out: BTreeSet<u64>,
    pub(super) connection: u64,
    /// The connection exists and carries nothing any more.
    pub(super) broken: bool,
    /// New connections are refused until then.
    pub(super) away_until: u64,
    /// No message of a connection overtakes another, either way.
    last_in: u64,
    last_out: u64,
    /// What it took, by number.
    pub(super) taken: BTreeMap<u64, Vec<u8>>,
}

impl Broker {
    pub(super) fn new(chance: Chance) -> Self {
        Self {
            chance,
            session: false,
            waiting: VecDeque::new(),
            next: 1,
            out: BTreeSet::new(),
            connection: 0,
            broken: true,
            away_until: 0,
            last_in: 0,
            last_out: 0,
            taken: BTreeMap::new(),
        }
    }

    /// Takes the node in. Returns whether it still knew it.
    pub(super) fn connect(&mut self) -> bool {
        self.connection += 1;
        self.broken = false;
        self.out.clear();
        std::mem::replace(&mut self.session, true)
    }

    /// Whether a connection still carries messages.
    pub(super) fn carries(&self, connection: u64) -> bool {
        self.connection == connection && !self.broken
    }

    /// Forgets the node and what waited for it.
    pub(super) fn forget(&mut self) {
        self.session = false;
        self.waiting.clear();
        self.out.clear();
        self.broken = true;
    }

    /// Keeps a command for the node, where it knows it.
    pub(super) fn keep(&mut self, message: Rc<Message>) {
        if self.session {
            self.waiting.push_back(Delivery { number: self.next, message });
            self.next += 1;
        }
    }

    /// What goes out now.
    pub(super) fn deliver(&mut self) -> Vec<u64> {
        let mut numbers = Vec::new();
        if self.broken {
            return numbers;
        }
        for delivery in &self.waiting {
            if self.out.len() >= WINDOW {
                break;
            }
            if self.out.insert(delivery.number) {
                numbers.push(delivery.number);
            }
        }
        numbers
    }

    pub(super) fn delivery(&self, number: u64) -> Option<Delivery> {
        self.waiting.iter().find(|delivery| delivery.number == number).cloned()
    }

    pub(super) fn acknowledged(&mut self, number: u64) {
        self.waiting.retain(|delivery| delivery.number != number);
        self.out.remove(&number);
    }

    pub(super) fn idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When a message that leaves the node now reaches the broker.
    pub(super) fn inward(&mut self, now: u64) -> u64 {
        self.last_in = self.last_in.max(now + self.chance.at(now, For::Inward).u64(5..80));
        self.last_in
    }

    /// When a message that leaves the broker now reaches the node.
    pub(super) fn outward(&mut self, now: u64) -> u64 {
        self.last_out = self.last_out.max(now + self.chance.at(now, For::Outward).u64(5..80));
        self.last_out
    }
}
