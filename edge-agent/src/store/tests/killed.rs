//! SIGKILL at any moment.

use std::time::Duration;

use super::child::{Heard, Storing};
use super::*;

#[test]
fn a_kill_at_any_moment_loses_nothing_that_was_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(41);
    let mut heard = Heard::default();
    for round in 0..40 {
        if round % 8 == 0 {
            // A new store now and then, so that kills also hit its making.
            std::fs::remove_dir_all(dir.path()).unwrap();
            heard = Heard::default();
        }
        let storing = Storing::start(dir.path());
        // Some die while they open the store, some after so many groups.
        let early = round % 2 == 0;
        let patience = if early { random.u64(1..60) } else { 30_000 };
        storing.listen(random.u32(1..30), Duration::from_millis(patience), &mut heard);
        storing.kill(&mut heard);
        let store = opened(dir.path());
        heard.check(&store);
        store.journal.close();
    }
}
