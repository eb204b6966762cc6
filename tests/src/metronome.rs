//! How late this machine's own timers are: the measure for what an agent may be late.
//!
//! A promise of one second is none of a machine that gives a sleeping thread its turn a second
//! late. So a plain thread that only sleeps runs beside the agent, and its lateness is added to
//! what the agent is allowed, if it is worth mention.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use edgectl::lab::wall::now_ms;

/// Between two beats.
const BEAT: Duration = Duration::from_millis(10);
/// A machine whose timers are no later is in time, and nothing is added.
const IN_TIME_MS: u64 = 50;

/// A thread that beats until it is dropped.
#[derive(Debug)]
pub struct Metronome {
    /// When each beat came, and how late; shared with nobody else once this is gone.
    beats: Arc<Mutex<Vec<(u64, u64)>>>,
}

impl Metronome {
    /// Starts to beat.
    #[must_use]
    pub fn start() -> Self {
        let beats: Arc<Mutex<Vec<(u64, u64)>>> = Arc::default();
        let heard = Arc::downgrade(&beats);
        std::thread::spawn(move || {
            let mut due = now_ms();
            while let Some(beats) = heard.upgrade() {
                let now = now_ms();
                beats
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((now, now - due.min(now)));
                drop(beats);
                due = now + u64::try_from(BEAT.as_millis()).unwrap_or(u64::MAX);
                std::thread::sleep(BEAT);
            }
        });
        Self { beats }
    }

    /// How much later than usual something due at `due_ms` that happened at `done_ms` may have
    /// been for the machine's sake alone: 0 where its timers were in time.
    #[must_use]
    pub fn excuse_ms(&self, due_ms: u64, done_ms: u64) -> u64 {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let meanwhile = beats.iter().filter(|(at, late)| *at >= due_ms && at - late <= done_ms);
        let worst = meanwhile.map(|(_, late)| *late).max().unwrap_or(0);
        if worst > IN_TIME_MS { worst } else { 0 }
    }

    /// The largest lateness of all.
    #[must_use]
    pub fn worst_ms(&self) -> u64 {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.iter().map(|(_, late)| *late).max().unwrap_or(0)
    }
}
