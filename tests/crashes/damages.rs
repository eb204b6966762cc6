//! A card damages the node's files while the agent is away: what nothing covers goes off all the
//! same, and whatever is forgotten is told.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use edge_protocol::command::{Command, Empty, Request};
use tests::ask::{run, start_on};
use tests::figure::{figure, is_long};
use tests::ledger::Ledger;

use crate::rig::Rig;
use crate::seed;

const DAMAGES: usize = 8;
const DAMAGES_LONG: usize = 200;

#[tokio::test]
async fn whatever_was_damaged_outlets_that_nothing_covers_go_off_and_a_loss_is_told() -> Result<()>
{
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut rig = Rig::new().await?;
    let (damages, mut told) = (if is_long() { DAMAGES_LONG } else { DAMAGES }, 0);
    for round in 0..damages {
        let told_lost = Box::pin(damaged(&mut rig, round, &mut random)).await;
        told += usize::from(told_lost.with_context(|| format!("seed {seed}, round {round}"))?);
    }
    figure("damaged stores of a running site", "starts", damages);
    figure("damaged stores of a running site", "told as a loss", told);
    Ok(())
}

/// One round: whether a loss was told.
async fn damaged(rig: &mut Rig, round: usize, random: &mut fastrand::Rng) -> Result<bool> {
    rig.begin(None, None).await?;
    let (session, task) = (format!("damaged-{round}"), format!("task-{round}"));
    let asked = rig.ask(&session, start_on("pc-1", &session, 50)).await?;
    rig.ask(&task, run(&task, "twice")).await?;
    let over = |ledger: &Ledger| {
        ledger.count("session.ended", &session) > 0 && ledger.count("task.succeeded", &task) > 0
    };
    rig.until("a session and a task", over).await?;
    rig.stop().await?;
    let what = damage(&rig.data(), random)?;
    rig.row.plug(2).press_button(1);
    let losses = rig.ledger.count("node.store", "");
    rig.start().await.with_context(|| what.clone())?;
    // Nobody asked for it to be on.
    rig.quiet().await.with_context(|| what.clone())?;
    // The same command once more: remembered, or the loss is told.
    let again = rig.row.story.site.command(start_on("pc-1", &session, 50));
    rig.row.story.publish(&Command { id: asked.clone(), ..again }).await?;
    let report = rig.ask("", Request::NodeReport(Empty {})).await?;
    rig.until("a report", |ledger| ledger.answer(&report).is_some()).await?;
    let lost = rig.ledger.count("node.store", "") > losses;
    let started = rig.ledger.count("session.started", &session);
    ensure!(lost || rig.ledger.answers(&asked) == 1, "{what}: forgotten, and nobody says so");
    ensure!(lost || started == 1, "{what}: {started} times started");
    let counts = |ledger: &Ledger| {
        ["session.started", "session.ended"].map(|kind| ledger.count(kind, &session))
    };
    // A store from before the end tells that end once more.
    let over = |ledger: &Ledger| {
        let [started, ended] = counts(ledger);
        started == ended || lost && started < ended
    };
    let end = rig.until("the session's end", over).await;
    end.with_context(|| format!("{what}: started, ended {:?} times", counts(&rig.ledger)))?;
    rig.stop().await?;
    rig.ledger.judge()?;
    Ok(lost)
}

/// Damages one file of the node's, and says how.
fn damage(data: &Path, random: &mut fastrand::Rng) -> Result<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in [data.to_owned(), data.join("store")] {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let plain = entry.file_type()?.is_file();
            // The reserve holds nothing but room.
            files.extend(Some(entry.path()).filter(|path| plain && !path.ends_with("reserve")));
        }
    }
    files.sort();
    let db = data.join("store/db");
    let victim = if random.bool() { &db } else { &files[random.usize(..files.len())] };
    let mut bytes = fs::read(victim)?;
    let at = random.usize(..bytes.len().max(1));
    let what = match random.u8(..5) {
        0 => {
            bytes.truncate(at);
            "cut short"
        }
        1 => {
            bytes.iter_mut().skip(at).take(20_000).for_each(|byte| *byte = 0);
            "zeroes"
        }
        2 => {
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 0x10);
            "a bit"
        }
        3 => {
            bytes.clear();
            "emptied"
        }
        _ => {
            fs::remove_file(victim)?;
            return Ok(format!("{} missing", victim.display()));
        }
    };
    fs::write(victim, bytes)?;
    Ok(format!("{} at {at}: {what}", victim.display()))
}
