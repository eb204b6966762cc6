//! What a start finds on disk.

use std::collections::BTreeMap;

use super::{SETTLED_MS, assert_at_rest, assert_waits};
use crate::node::outbox::is_number;
use crate::node::record::Kind;
use crate::node::time::BootMs;
use crate::node::trial::Trial;

/// More than this is no better than this: a start with many rows is measured elsewhere.
const MOST_ROWS: usize = 64;

/// The first byte says when the start is, the rest are rows, each a key and a value behind their
/// lengths: the node starts on them. What can't be read is put aside unchanged and told; of what
/// can be, no session, task or answer is lost; outlets that were on and that nothing covers go
/// to rest; and the next start finds nothing more to complain of.
///
/// # Panics
/// Something of this does not hold.
pub fn records(bytes: &[u8]) {
    let Some((&when, rows)) = bytes.split_first() else { return };
    let found = read_rows(rows);
    let mut trial = Trial::new();
    trial.disk.clone_from(&found);
    if when & 1 != 0 {
        trial.now.synced = false;
    }
    if when & 2 != 0 {
        trial.settings.boot_id = "boot-2".to_owned();
        trial.now.boot = BootMs(5_000);
    }
    if when & 4 != 0 {
        trial.settings.outlets.clear();
        trial.settings.stations.clear();
    }
    trial.lit = lit(&trial, &found);
    let batch = trial.restart();
    assert_waits(&trial);
    let aside = kept_or_put_aside(&trial, &found);
    let told = batch.kinds().contains(&"node.store");
    assert_eq!(told, aside > 0, "{aside} rows were put aside, {:?}", batch.kinds());

    trial.up();
    trial.pass(SETTLED_MS);
    assert_at_rest(&trial);
    let batch = trial.restart();
    assert!(!batch.kinds().contains(&"node.store"), "{:?}", batch.events);
}

/// Every outlet that anything names was on.
fn lit(trial: &Trial, found: &BTreeMap<Vec<u8>, Vec<u8>>) -> std::collections::BTreeSet<String> {
    let stored = found.keys().filter_map(|key| match Kind::of(key) {
        Some((Kind::Outlet, name)) => Some(String::from_utf8_lossy(name).into_owned()),
        Some(_) | None => None,
    });
    trial.settings.outlets.keys().map(ToString::to_string).chain(stored).collect()
}

fn impossible(number: &[u8]) -> bool {
    !<[u8; 8]>::try_from(number).is_ok_and(|number| is_number(u64::from_be_bytes(number)))
}

/// How many rows were put aside; each of the others is there or has become what it may become.
fn kept_or_put_aside(trial: &Trial, found: &BTreeMap<Vec<u8>, Vec<u8>>) -> usize {
    let mut aside = 0;
    for (key, value) in found {
        if trial.disk.get(&Kind::Damaged.key(key)) == Some(value) && !key.starts_with(b"damaged/") {
            aside += 1;
            continue;
        }
        let becomes = match Kind::of(key) {
            Some((Kind::Session, name)) => Some(Kind::Ended.key(name)),
            // Once it has ended, what it was is not needed any more.
            Some((Kind::Task, name)) => Some(Kind::Run.key(name)),
            Some((
                Kind::Life
                | Kind::Run
                | Kind::Command
                | Kind::Schedule
                | Kind::Course
                | Kind::Damaged,
                _,
            )) => None,
            // These end by themselves: with time, at rest, with each start.
            // No node gives such numbers; that there were some is told.
            Some((Kind::Event, name)) if impossible(name) => {
                aside += 1;
                continue;
            }
            Some((Kind::Ended | Kind::Hold | Kind::Outlet | Kind::Event | Kind::Node, _)) => {
                continue;
            }
            None => None,
        };
        let there = |key: &Vec<u8>| trial.disk.contains_key(key);
        assert!(
            there(key) || becomes.as_ref().is_some_and(there),
            "{} is lost",
            key.escape_ascii()
        );
    }
    aside
}

fn read_rows(mut bytes: &[u8]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = BTreeMap::new();
    while let [key, high, low, rest @ ..] = bytes
        && rows.len() < MOST_ROWS
    {
        let (key, rest) = rest.split_at(usize::from(*key).min(rest.len()));
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at(length.min(rest.len()));
        // The store knows events by their number and hands out no others.
        let number = key.strip_prefix(b"event/");
        if number.is_none_or(|number| number.len() == size_of::<u64>()) {
            rows.insert(key.to_vec(), value.to_vec());
        }
        bytes = rest;
    }
    rows
}
