//! What must hold of a node, whatever is on its disk and whatever happens to it.
//!
//! The bytes of a fuzzer are read as rows or as deeds, on a [`Trial`]; what a deed leads to is
//! held to the contract's sentences.

#[cfg(test)]
mod found;
mod inputs;
mod records;

pub use self::inputs::inputs;
pub use self::records::records;
use super::settings::Rest;
use super::trial::Trial;

/// So long after everything obeys again, an outlet is where it should be: a thumb is found by a
/// poll after 2 s, an order that got no answer is given up after 20 s.
const SETTLED_MS: u64 = 30_000;

/// Every outlet that nothing covers is at rest, though it was on.
fn assert_at_rest(trial: &Trial) {
    for (id, outlet) in &trial.node.outlets {
        let owned = trial.node.sessions.values().any(|session| session.owns(id));
        let covered = owned || trial.node.holds.contains_key(id);
        let rests_off = outlet.settings.rest == Rest::Off;
        assert!(
            covered || !rests_off || !trial.lit.contains(id.as_str()),
            "{id} is on: {outlet:?}"
        );
    }
}

/// A node that has come to rest waits for something that lies ahead: else the loop spins.
fn assert_waits(trial: &Trial) {
    let wake = trial.node.wake_at();
    assert!(wake.is_none_or(|at| at > trial.now.boot), "{wake:?} at {:?}", trial.now);
}
