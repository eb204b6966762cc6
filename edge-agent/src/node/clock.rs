//! What a node makes of its clocks: steps, the checkpoint that a reboot counts from, and the
//! node's running time (contract, sections 6.5 and 6.6).

use serde::{Deserialize, Serialize};

use super::record::{self, Kind, Write};
use super::time::{BootMs, Now};

/// A wall clock that moved by less against the boot clock was slewed, not stepped.
const STEP_MS: u64 = 1_000;
/// How often the clocks are written down while a session lives on an unsynced clock,
const UNSYNCED_CHECKPOINT_MS: u64 = 15_000;
/// and while one lives on a synced one.
const SYNCED_CHECKPOINT_MS: u64 = 300_000;

/// The clocks at one moment, as stored: what instants of this boot mean to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    pub(super) boot_id: String,
    pub(super) boot: BootMs,
    pub(super) wall_ms: u64,
    pub(super) synced: bool,
    pub(super) running_ms: u64,
    /// The agent was stopped in order at this moment.
    pub(super) clean: bool,
    pub(super) version: String,
    guess: Option<Guess>,
}

/// How long the node was away is not known yet: this moment of the wall clock was taken to be that of the boot clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Guess {
    wall_ms: u64,
    boot: BootMs,
}

/// How instants of an earlier boot translate: add `to`, take off `from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) from: u64,
    pub(super) to: u64,
    /// It stands on a guess.
    pub(super) guessed: bool,
}

impl Shift {
    pub(super) fn apply(self, at: BootMs) -> BootMs {
        BootMs(at.0.saturating_add(self.to).saturating_sub(self.from))
    }
}

/// What the clocks did since they were last looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// The wall clock was stepped.
    pub(super) step_ms: Option<i64>,
    /// Guessed deadlines lie this much earlier.
    pub(super) earlier_ms: Option<u64>,
    /// The wall clock is trusted from now on.
    pub(super) synced: bool,
}

#[derive(Debug)]
pub(super) struct Clock {
    boot_id: String,
    version: String,
    last: Now,
    /// Added to a wall clock that started below what it must be by now.
    lift_ms: u64,
    started: BootMs,
    running_before_ms: u64,
    written_at: Option<BootMs>,
    guess: Option<Guess>,
}

impl Clock {
    /// The clock of an agent that starts `now` and last wrote `checkpoint`; with the translation of stored instants.
    pub(super) fn recovered(
        boot_id: &str,
        version: &str,
        checkpoint: Option<&Checkpoint>,
        youngest_answer_ms: u64,
        now: Now,
    ) -> (Self, Option<Shift>) {
        let mut clock = Self {
            boot_id: boot_id.to_owned(),
            version: version.to_owned(),
            last: now,
            lift_ms: 0,
            started: now.boot,
            running_before_ms: youngest_answer_ms,
            written_at: None,
            guess: None,
        };
        let Some(checkpoint) = checkpoint else { return (clock, None) };
        clock.running_before_ms = youngest_answer_ms.max(checkpoint.running_ms);
        let same_boot = checkpoint.boot_id == boot_id;
        clock.last.synced |= same_boot && checkpoint.synced;
        if !clock.last.synced {
            clock.lift_ms = checkpoint.wall_ms.saturating_sub(now.wall_ms);
            clock.last.wall_ms += clock.lift_ms;
        }
        if same_boot {
            clock.guess = checkpoint.guess;
            return (clock, None);
        }
        let both_synced = clock.last.synced && checkpoint.synced;
        let shift = if both_synced {
            let away_ms = now.wall_ms.saturating_sub(checkpoint.wall_ms);
            Shift {
                from: checkpoint.boot.0.saturating_add(away_ms),
                to: now.boot.0,
                guessed: false,
            }
        } else {
            // At least this boot has passed since; a synced clock will tell the rest.
            clock.guess =
                checkpoint.synced.then_some(Guess { wall_ms: checkpoint.wall_ms, boot: BootMs(0) });
            Shift { from: checkpoint.boot.0, to: 0, guessed: checkpoint.synced }
        };
        (clock, Some(shift))
    }

    /// The clocks as decisions see them, and what they did since the last look.
    pub(super) fn observe(&mut self, read: Now) -> (Now, Moved) {
        let mut now = read;
        now.synced |= self.last.synced;
        if now.synced {
            self.lift_ms = 0;
        }
        now.wall_ms += self.lift_ms;
        let mut moved = Moved { synced: now.synced && !self.last.synced, ..Moved::default() };
        let expected = self.last.wall_at(now.boot);
        if now.wall_ms.abs_diff(expected) >= STEP_MS {
            let size = i64::try_from(now.wall_ms.abs_diff(expected)).unwrap_or(i64::MAX);
            moved.step_ms = Some(if now.wall_ms > expected { size } else { -size });
        }
        if now.synced
            && let Some(guess) = self.guess.take()
        {
            let away_ms = now.wall_ms.saturating_sub(guess.wall_ms);
            moved.earlier_ms = Some(away_ms.saturating_sub(now.boot - guess.boot));
        }
        self.last = now;
        (now, moved)
    }

    /// How long agents have run on this node, in milliseconds: what remembering counts in.
    pub(super) fn running_ms(&self) -> u64 {
        self.running_before_ms + (self.last.boot - self.started)
    }

    /// When the next checkpoint is due, while a session lives.
    pub(super) fn checkpoint_at(&self) -> BootMs {
        let every = if self.last.synced { SYNCED_CHECKPOINT_MS } else { UNSYNCED_CHECKPOINT_MS };
        self.written_at.map_or(BootMs(0), |at| at + every)
    }

    /// Writes the clocks down.
    pub(super) fn checkpoint(&mut self, clean: bool) -> Write {
        self.written_at = Some(self.last.boot);
        let checkpoint = Checkpoint {
            boot_id: self.boot_id.clone(),
            boot: self.last.boot,
            wall_ms: self.last.wall_ms,
            synced: self.last.synced,
            running_ms: self.running_ms(),
            clean,
            version: self.version.clone(),
            guess: self.guess,
        };
        record::put(Kind::Node, record::CHECKPOINT, &checkpoint)
    }
}
