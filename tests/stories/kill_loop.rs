//! The agent is killed again and again under load: whatever was accepted happens, once.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result};
use edge_protocol::id::CommandId;
use tests::ask::{run, start_on, wait};
use tests::figure::{figure, is_long};
use tests::ledger::Ledger;
use tests::row::Row;

/// How often the agent dies at one site.
const KILLS: usize = 20;
/// How many sites the long version has, one after the other.
const SITES_LONG: usize = 100;
const STATIONS: usize = 4;
const KINDS_OF_ENDS: [&str; 2] = ["session.ended", "task.succeeded"];

/// Leaves a line behind for each attempt.
const SCRIPT: &str = "#!/bin/sh\necho \"$EDGE_TASK_ID $EDGE_TASK_ATTEMPT\" >>\"$0.log\"\n";

#[tokio::test]
async fn twenty_kills_under_load_lose_nothing_that_was_accepted_and_double_nothing() -> Result<()> {
    let sites = if is_long() { SITES_LONG } else { 1 };
    for _ in 0..sites {
        let seed = fastrand::u64(..);
        let site = Box::pin(chaos(fastrand::Rng::with_seed(seed)));
        site.await.with_context(|| format!("seed {seed}"))?;
    }
    figure("kills under load", "kills", sites * KILLS);
    Ok(())
}

async fn chaos(mut chance: fastrand::Rng) -> Result<()> {
    let mut row = Row::new(STATIONS).await?;
    let script = row.story.site.folder().join("scripts/note");
    std::fs::write(&script, SCRIPT)?;
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
    let mut ledger = Ledger::introduced(&mut row.story.site).await?;
    // What each command asked for: a session's or a task's id.
    let mut asked: BTreeMap<CommandId, String> = BTreeMap::new();
    for round in 0..KILLS {
        let agent = row.story.site.agent().await?;
        let mut commands = vec![];
        for station in 1..=STATIONS {
            let (station, session) = (format!("pc-{station}"), format!("s-{round}-{station}"));
            commands.push((start_on(&station, &session, chance.u64(50..300)), session));
        }
        let (rest, note) = (format!("wait-{round}"), format!("note-{round}"));
        commands.push((wait(&rest, chance.u64(1..100)), rest.clone()));
        commands.push((run(&note, "note"), note.clone()));
        chance.shuffle(&mut commands);
        for (request, subject) in commands {
            let command = row.story.site.command(request);
            row.story.publish(&command).await?;
            // A control plane in doubt says it twice.
            if chance.u8(..) < 64 {
                row.story.publish(&command).await?;
            }
            asked.insert(command.id, subject);
        }
        for _ in 0..chance.usize(..20) {
            ledger.next(&mut row.story.site).await?;
        }
        agent.kill()?;
    }
    let _agent = row.story.site.agent().await?;
    let settled = |ledger: &Ledger| {
        asked.iter().all(|(command, subject)| match ledger.answer(command) {
            None => false,
            Some(false) => true,
            Some(true) => KINDS_OF_ENDS.iter().any(|kind| ledger.count(kind, subject) > 0),
        })
    };
    ledger.until(&mut row.story.site, "everything accepted is done", settled).await?;
    ledger.judge()?;
    let sessions = asked.values().filter(|subject| ledger.count("session.ended", subject) == 1);
    let sessions = sessions.filter(|subject| subject.starts_with("s-")).count();
    // Those of the first round at least: how many of the others find their station free is chance.
    assert!(sessions >= STATIONS, "{sessions} sessions are no load");
    for (command, subject) in &asked {
        let accepted = usize::from(ledger.answer(command) == Some(true));
        let once: &[&str] = if subject.starts_with("s-") {
            &["session.started", "session.ending", "session.ended"]
        } else {
            assert_eq!(accepted, 1, "{subject}: nothing speaks against a task");
            &["task.queued", "task.succeeded"]
        };
        for kind in once {
            assert_eq!(ledger.count(kind, subject), accepted, "{kind} of {subject}");
        }
        assert_eq!(ledger.answers(command), 1, "{subject}: one answer, and repeats");
    }
    assert!(row.plugs().all(|(_, plug)| !plug.is_on(1)));
    let log = std::fs::read_to_string(script.with_extension("log"))?;
    for round in 0..KILLS {
        let ran = log.lines().any(|line| line.starts_with(&format!("note-{round} ")));
        assert!(ran, "note-{round} succeeded without having run");
    }
    Ok(())
}
