//! When the power of a plug was cut, held against when it should have been.

use anyhow::{Context as _, Result, ensure};
use plug_sim::{By, FakePlug};
use serde_json::{Value, json};
use tests::desk::Desk;
use tests::metronome::Metronome;
use tests::transcript::number;

/// Never more than this after the off time while the node lives.
pub(crate) const ALIVE_MS: u64 = 1_000;
/// Never more than this after it when the node has died.
pub(crate) const LEASED_MS: u64 = 15_000;
/// What may lie between two looks at the same clock.
pub(crate) const GRAIN_MS: u64 = 5;

/// How power was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cut {
    /// So long after the off time.
    pub(crate) late_ms: u64,
    /// By whom.
    pub(crate) by: By,
}

/// Starts the session `s-NUMBER` on `pc-NUMBER` for so long; returns its off time.
pub(crate) async fn start(desk: &mut Desk, number: usize, duration_ms: u64) -> Result<u64> {
    start_named(desk, &format!("s-{number}"), number, duration_ms).await
}

/// Starts the session `session` on `pc-NUMBER` for so long; returns its off time.
pub(crate) async fn start_named(
    desk: &mut Desk,
    session: &str,
    station: usize,
    duration_ms: u64,
) -> Result<u64> {
    let body = json!({
        "session": session,
        "station": format!("pc-{station}"),
        "duration_ms": duration_ms,
        "warn_before_ms": [],
    });
    desk.ask("session.start", body).await?;
    let started = desk.told_of("session.started", session).await?;
    number(&started, "ends_at_ms")
}

/// The cut that ended what `plug` was on for until `off_at_ms`: not before that, and at most
/// `limit_ms` after it, beside what the machine's own timers were late.
pub(crate) fn judge(
    plug: &FakePlug,
    off_at_ms: u64,
    limit_ms: u64,
    machine: &Metronome,
) -> Result<Cut> {
    let history = plug.history();
    let off = history.iter().rev().find(|switch| !switch.on).context("it was never cut")?;
    let late_ms = off.at_ms.checked_sub(off_at_ms);
    let late_ms = late_ms.with_context(|| format!("cut before {off_at_ms}: {off:?}"))?;
    let cut = Cut { late_ms, by: off.by };
    let excuse_ms = machine.excuse_ms(off_at_ms, off.at_ms);
    ensure!(
        cut.late_ms <= limit_ms + excuse_ms,
        "cut {} ms late, by {:?}; the machine excuses {excuse_ms} ms",
        cut.late_ms,
        cut.by
    );
    Ok(cut)
}

/// What `session.ended` says of the lateness of `session`, once it comes.
pub(crate) async fn told_late_ms(desk: &mut Desk, session: &str) -> Result<u64> {
    let ended: Value = desk.told_of("session.ended", session).await?;
    number(&ended, "late_ms")
}
