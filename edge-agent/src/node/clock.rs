//! What a node makes of its clocks: steps, the checkpoint that a reboot counts from, how long a
//! reboot took, and the node's running time (contract, sections 6.5 and 6.6).

mod witness;

use std::collections::BTreeMap;

use edge_protocol::id::OutletId;
use serde::{Deserialize, Serialize};

pub(super) use self::witness::Testimony;
use self::witness::{Council, Witness};
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
    gap: Option<Gap>,
    witnesses: BTreeMap<OutletId, Witness>,
}

/// A moment of the boot clock, and what the wall clock showed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Anchor {
    boot: BootMs,
    wall_ms: u64,
}

impl Anchor {
    fn wall_at(self, boot: BootMs) -> u64 {
        self.wall_ms.saturating_add(boot - self.boot)
    }
}

/// A reboot, or several, that took longer than is known so far. Instants of before count as if it
/// had taken only that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Gap {
    /// What a wall clock that could be trusted then would show now, had the reboot taken only that.
    trusted: Option<Anchor>,
}

/// How instants of an earlier boot translate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) by_ms: i64,
    pub(super) away: Away,
}

/// How long a reboot took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Away {
    Known,
    /// What counts on the boot clock stands on a guess now.
    Unknown,
    /// The same, and it did before.
    StillUnknown,
}

/// What the clocks did since they were last looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Moved {
    /// The wall clock was stepped.
    pub(super) step_ms: Option<i64>,
    /// Guessed deadlines lie this much earlier, for good.
    pub(super) earlier_ms: Option<i64>,
    /// The wall clock is trusted from now on.
    pub(super) synced: bool,
}

#[derive(Debug)]
pub(super) struct Clock {
    boot_id: String,
    version: String,
    last: Now,
    /// While unsynced, the wall clock is not taken below this.
    floor: Option<Anchor>,
    started: BootMs,
    running_before_ms: u64,
    written_at: Option<BootMs>,
    gap: Option<Gap>,
    council: Council,
    /// This start came after a reboot whose length is not known.
    guessing: bool,
    /// How long the node was off, by the word of its plugs, until that is told.
    off_for_ms: Option<u64>,
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
            floor: None,
            started: now.boot,
            running_before_ms: youngest_answer_ms,
            written_at: None,
            gap: None,
            council: Council::default(),
            guessing: false,
            off_for_ms: None,
        };
        let Some(checkpoint) = checkpoint else { return (clock, None) };
        clock.running_before_ms = youngest_answer_ms.max(checkpoint.running_ms);
        clock.council.witnesses.clone_from(&checkpoint.witnesses);
        let same_boot = checkpoint.boot_id == boot_id;
        clock.last.synced |= same_boot && checkpoint.synced;
        let shift = if same_boot {
            clock.gap = checkpoint.gap;
            None
        } else {
            Some(clock.cross_reboot(checkpoint))
        };
        let boot = if same_boot { checkpoint.boot } else { BootMs(0) };
        clock.floor = Some(Anchor { boot, wall_ms: checkpoint.wall_ms });
        if shift.is_none_or(|shift| shift.away != Away::Known) {
            // What the wall clock did meanwhile is a step as any other: deadlines need new names.
            clock.last = Now { boot, wall_ms: checkpoint.wall_ms, synced: clock.last.synced };
        }
        (clock, shift)
    }

    fn cross_reboot(&mut self, checkpoint: &Checkpoint) -> Shift {
        let now = self.last;
        if now.synced && checkpoint.synced {
            let away_ms = now.wall_ms.saturating_sub(checkpoint.wall_ms);
            self.council.witnesses.clear();
            let then = now.boot.shifted(-signed(away_ms));
            return Shift { by_ms: then.0 - checkpoint.boot.0, away: Away::Known };
        }
        // At least this boot has passed since; a plug that stayed up or a synced clock tells the rest.
        let by_ms = -checkpoint.boot.0;
        self.guessing = true;
        for witness in self.council.witnesses.values_mut() {
            witness.shift(by_ms);
            witness.before_gap = true;
        }
        let trusted = Anchor { boot: BootMs(0), wall_ms: checkpoint.wall_ms };
        let (gap, away) = match checkpoint.gap {
            _ if checkpoint.synced => (Gap { trusted: Some(trusted) }, Away::Unknown),
            None => (Gap { trusted: None }, Away::Unknown),
            Some(gap) => {
                let shifted =
                    |trusted: Anchor| Anchor { boot: trusted.boot.shifted(by_ms), ..trusted };
                (Gap { trusted: gap.trusted.map(shifted) }, Away::StillUnknown)
            }
        };
        self.gap = Some(gap);
        Shift { by_ms, away }
    }

    /// What a reading of the clocks is taken for.
    fn lifted(&self, mut now: Now) -> Now {
        if let Some(floor) = self.floor.filter(|_| !now.synced) {
            now.wall_ms = now.wall_ms.max(floor.wall_at(now.boot));
        }
        now
    }

    /// The clocks as decisions see them, and what they did since the last look.
    pub(super) fn observe(&mut self, read: Now) -> (Now, Moved) {
        let now = self.lifted(Now { synced: read.synced || self.last.synced, ..read });
        let mut moved = Moved { synced: now.synced && !self.last.synced, ..Moved::default() };
        let expected = self.last.wall_at(now.boot);
        if now.wall_ms.abs_diff(expected) >= STEP_MS {
            moved.step_ms = Some(signed(now.wall_ms).saturating_sub(signed(expected)));
        }
        let trusted = self.gap.and_then(|gap| gap.trusted).filter(|_| now.synced);
        if let Some(trusted) = trusted {
            self.gap = None;
            let known_ms = signed(trusted.wall_at(now.boot));
            // No reboot took less than is known: then the clock was wrong that was trusted before it.
            moved.earlier_ms = Some(signed(now.wall_ms).saturating_sub(known_ms).max(0));
            // What they told of before it is reckoned with by that.
            self.council.witnesses.retain(|_, witness| !witness.before_gap);
        }
        self.last = now;
        (now, moved)
    }

    /// A plug tells how long it has been up, and what is left of its lease.
    pub(super) fn hear(&mut self, outlet: &OutletId, told: &Testimony, now: BootMs) {
        self.council.hear(outlet, told, self.gap.is_some(), now);
    }

    /// How much longer than known a reboot took by the word of the plugs, where they have more to say.
    pub(super) fn reckon(&mut self, now: BootMs) -> Option<i64> {
        let gap = self.gap.as_mut()?;
        let longer_ms = self.council.verdict(self.started, now)?;
        for anchor in [gap.trusted.as_mut(), self.floor.as_mut()].into_iter().flatten() {
            anchor.wall_ms = anchor.wall_ms.saturating_add_signed(longer_ms);
        }
        // What passed before this boot's first moment, and since.
        let off_ms = u64::try_from(self.council.reckoned_ms).unwrap_or(0);
        self.off_for_ms = self.guessing.then(|| off_ms.saturating_add(self.started.uptime_ms()));
        Some(longer_ms)
    }

    /// How long the node was off, where its plugs have told and it was not said yet.
    pub(super) fn take_off_for_ms(&mut self) -> Option<u64> {
        self.off_for_ms.take()
    }

    /// When the plugs that have answered wait no longer for the others.
    pub(super) fn reckons_at(&self) -> Option<BootMs> {
        self.gap.and_then(|_| self.council.wake_at(self.started, self.last.boot))
    }

    /// How long agents have run on this node, in milliseconds: what remembering counts in.
    pub(super) fn running_ms(&self) -> u64 {
        self.running_before_ms.saturating_add(self.last.boot - self.started)
    }

    /// When the next checkpoint is due, while a session lives.
    pub(super) fn checkpoint_at(&self) -> BootMs {
        let every = if self.last.synced { SYNCED_CHECKPOINT_MS } else { UNSYNCED_CHECKPOINT_MS };
        self.written_at.map_or(self.started, |at| at + every)
    }

    /// Writes the clocks down.
    pub(super) fn checkpoint(&mut self, clean: bool) -> Write {
        self.written_at = Some(self.last.boot);
        self.floor = Some(Anchor { boot: self.last.boot, wall_ms: self.last.wall_ms });
        let checkpoint = Checkpoint {
            boot_id: self.boot_id.clone(),
            boot: self.last.boot,
            wall_ms: self.last.wall_ms,
            synced: self.last.synced,
            running_ms: self.running_ms(),
            clean,
            version: self.version.clone(),
            gap: self.gap,
            witnesses: self.council.witnesses.clone(),
        };
        record::put(Kind::Node, record::CHECKPOINT, &checkpoint)
    }
}

/// Milliseconds that may become negative; saturates far beyond every date.
fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
