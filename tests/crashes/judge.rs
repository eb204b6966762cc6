//! What must hold at the end of a round, wherever the agent died in it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use edge_protocol::command::Request;
use edge_protocol::event::What;
use plug_sim::By;
use tests::ledger::Ledger;
use tests::script;

use crate::rig::{Asked, Away, Rig, STATIONS};

/// The events that end a session or a task.
pub(crate) const ENDS: [&str; 5] =
    ["session.ended", "session.failed", "task.succeeded", "task.failed", "task.cancelled"];

/// An agent that lives cuts on time; a busy machine may take as long again.
const LATE_MS: u64 = 2_000;
/// Whatever happens, the lease has cut the power by then.
const LEASE_LATE_MS: u64 = 15_000;

/// Whether a command brings a session or a task into the world.
pub(crate) fn begins(request: &Request) -> bool {
    matches!(request, Request::SessionStart(_) | Request::TaskSubmit(_))
}

/// Judges the round that was just played; its agent has stopped.
///
/// # Errors
/// The first thing that is wrong.
pub(crate) fn round(rig: &Rig) -> Result<()> {
    let (ledger, round) = (&rig.ledger, rig.round());
    ledger.judge()?;
    for asked in &round.asked {
        let answers = ledger.answers(&asked.id);
        ensure!(answers == 1, "{asked:?} was answered {answers} times");
        if !asked.subject.is_empty() {
            let accepted = ledger.answer(&asked.id) == Some(true);
            if matches!(asked.request, Request::SessionStart(_)) {
                session(ledger, asked, accepted, &round.away)?;
            } else if begins(&asked.request) {
                task(rig, &asked.subject, accepted)?;
            }
        }
    }
    switches(rig)
}

fn session(ledger: &Ledger, start: &Asked, accepted: bool, away: &[Away]) -> Result<()> {
    let session = &start.subject;
    for kind in ["session.started", "session.ending", "session.ended"] {
        let count = ledger.count(kind, session);
        ensure!(count == usize::from(accepted), "{count} times {kind} of {session}");
    }
    let Some(event) = ledger.about("session.ended", session).next() else { return Ok(()) };
    let What::SessionEnded(ended) = &event.what else { unreachable!("by its kind") };
    // While nobody is there, it is the lease that cuts; afterwards the next start does.
    let due_ms = ended.ended_at_ms - ended.late_ms;
    let over = |away: &&Away| away.from_ms <= due_ms + LATE_MS && away.to_ms >= due_ms;
    let back_ms = away.iter().filter(over).map(|away| away.to_ms).max().unwrap_or(due_ms);
    let late_ms = back_ms - due_ms + LATE_MS;
    ensure!(ended.late_ms <= late_ms.min(LEASE_LATE_MS), "{session} ended late: {ended:?}");
    Ok(())
}

fn task(rig: &Rig, task: &str, accepted: bool) -> Result<()> {
    ensure!(accepted, "nothing speaks against {task}");
    let queued = rig.ledger.count("task.queued", task);
    ensure!(queued == 1, "{queued} times task.queued of {task}");
    let ends: usize = ENDS.iter().map(|kind| rig.ledger.count(kind, task)).sum();
    ensure!(ends == 1, "{task} ended {ends} times");
    let mut attempts = Vec::new();
    for event in rig.ledger.about("task.started", task) {
        let What::TaskStarted(started) = &event.what else { unreachable!("by its kind") };
        attempts.push(started.attempt);
    }
    // An attempt that an orderly stop interrupted does not count: the next has its number.
    ensure!(attempts.is_sorted(), "attempts of {task}: {attempts:?}");
    let highest = attempts.last().copied().unwrap_or(0);
    let each: BTreeSet<u32> = attempts.into_iter().collect();
    ensure!(each.iter().copied().eq(1..=highest), "attempts of {task}: {each:?}");
    let ran = ran(rig, task)?;
    ensure!(ran.iter().all(|attempt| *attempt <= highest), "{task} ran {ran:?}, told {each:?}");
    let mut once = BTreeSet::new();
    ensure!(ran.iter().all(|attempt| once.insert(attempt)), "{task} ran {ran:?}");
    Ok(())
}

/// The attempts that the task's script saw, where it notes them.
fn ran(rig: &Rig, task: &str) -> Result<Vec<u32>> {
    let log = script::path(&rig.row.story.site, "twice.log");
    let log = if log.exists() { std::fs::read_to_string(log)? } else { String::new() };
    let of_task = log.lines().filter_map(|line| line.strip_prefix(task)?.strip_prefix(' '));
    of_task.map(|attempt| attempt.parse().context("an attempt's number")).collect()
}

/// No command switched on twice: each that powers something does so once. But an order goes out
/// beside the flush: the off of a transfer or a pause that a death took back is undone once.
fn switches(rig: &Rig) -> Result<()> {
    let round = rig.round();
    let accepted = |asked: &&Asked| rig.ledger.answer(&asked.id) == Some(true);
    // A power cycle that a death interrupted is attempted again.
    let powers = |asked: &Asked| {
        let cycles = begins(&asked.request) && asked.subject.ends_with("-cycle");
        let times = if cycles { rig.ledger.count("task.started", &asked.subject) } else { 1 };
        times * usize::from(asked.request.powers())
    };
    let allowed: usize = round.asked.iter().filter(accepted).map(powers).sum();
    let allowed = allowed + round.deaths * STATIONS;
    let mut ons = Vec::new();
    for ((number, plug), before) in rig.row.plugs().zip(&round.switched_before) {
        let history = plug.history().split_off(*before);
        ons.extend(history.iter().filter(|it| it.on && it.by == By::Http).map(|_| number));
        ensure!(!plug.is_on(1), "plug-{number} was left on");
    }
    ensure!(ons.len() <= allowed, "{allowed} times at most, but on went the plugs {ons:?}");
    Ok(())
}
