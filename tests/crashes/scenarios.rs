//! What a node is asked for while it dies: together, these pass every point there is.

use anyhow::Result;
use edge_protocol::command::{
    Empty, OutletCycle, OutletRef, Request, SessionTransfer, TaskRef, TaskSubmit, Work,
};
use tests::ask::{end, extend, hold_on, pause, resend, resume, run, start_on, start_with_grace};
use tests::ask::{start_with_warning, wait};
use tests::ledger::Ledger;

use crate::judge;
use crate::rig::{Asked, Rig};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// Every kind of command.
    Work,
    /// An orderly stop and a start, with a session and tasks at hand.
    Restart,
    /// A store that can't be opened, and an outlet that somebody switched on meanwhile.
    Damage,
}

impl Scenario {
    pub(crate) const ALL: [Self; 3] = [Self::Work, Self::Restart, Self::Damage];

    /// Plays the round `name` on a rig that has just begun it, stops the agent and judges.
    pub(crate) async fn play(self, rig: &mut Rig, name: &str) -> Result<()> {
        match self {
            Self::Work => work(rig, name).await?,
            Self::Restart => restart(rig, name).await?,
            Self::Damage => damage(rig, name).await?,
        }
        all_over(rig).await?;
        rig.quiet().await?;
        rig.stop().await?;
        judge::round(rig)
    }
}

async fn work(rig: &mut Rig, name: &str) -> Result<()> {
    let [a, b] = ["a", "b"].map(|letter| format!("{name}-{letter}"));
    let task = |kind: &str| format!("{name}-{kind}");
    let start = rig.ask(&a, start_with_warning(&a, 300, 150)).await?;
    rig.ask(&b, start_on("pc-2", &b, 500)).await?;
    rig.ask("", start_on("no-such-station", "nobody", 500)).await?;
    rig.ask("", hold_on("plug-4", 60_000)).await?;
    rig.ask(&task("wait"), wait(&task("wait"), 50)).await?;
    rig.ask(&task("later"), wait(&task("later"), 60_000)).await?;
    rig.ask(&task("twice"), run(&task("twice"), "twice")).await?;
    // A control plane in doubt says it twice.
    let again = rig.row.story.site.command(start_with_warning(&a, 300, 150));
    rig.row.story.publish(&edge_protocol::command::Command { id: start, ..again }).await?;

    reaches(rig, "session.started", &a).await?;
    rig.ask(&a, pause(&a)).await?;
    reaches(rig, "session.started", &b).await?;
    rig.ask(&b, transfer(&b, "pc-3")).await?;
    reaches(rig, "session.paused", &a).await?;
    rig.ask(&a, resume(&a)).await?;
    rig.ask(&a, extend(&a, 50)).await?;
    reaches(rig, "session.transferred", &b).await?;
    rig.ask(&b, end(&b)).await?;

    reaches(rig, "task.succeeded", &task("twice")).await?;
    rig.ask(&task("sleeper"), run(&task("sleeper"), "sleeper")).await?;
    rig.ask(&task("later"), cancel(&task("later"))).await?;
    reaches(rig, "task.started", &task("sleeper")).await?;
    rig.ask(&task("cycle"), cycle(&task("cycle"), "plug-4", 50)).await?;
    rig.ask(&task("sleeper"), cancel(&task("sleeper"))).await?;
    reaches(rig, "task.succeeded", &task("cycle")).await?;
    let plug_4 = "plug-4".parse().expect("a legal id");
    rig.ask("", Request::OutletRelease(OutletRef { outlet: plug_4 })).await?;
    rig.ask("", resend(1, 3)).await?;
    Ok(())
}

async fn restart(rig: &mut Rig, name: &str) -> Result<()> {
    let session = format!("{name}-c");
    let task = |kind: &str| format!("{name}-{kind}");
    rig.ask(&session, start_with_grace(&session, 700, 100)).await?;
    rig.ask(&task("sleeper"), run(&task("sleeper"), "sleeper")).await?;
    rig.ask(&task("wait"), wait(&task("wait"), 700)).await?;
    reaches(rig, "session.started", &session).await?;
    reaches(rig, "task.started", &task("sleeper")).await?;
    reaches(rig, "task.started", &task("wait")).await?;
    rig.stop().await?;
    rig.start().await?;
    rig.ask(&task("sleeper"), cancel(&task("sleeper"))).await?;
    Ok(())
}

async fn damage(rig: &mut Rig, name: &str) -> Result<()> {
    let [before, after] = ["d", "e"].map(|letter| format!("{name}-{letter}"));
    rig.ask(&before, start_on("pc-1", &before, 100)).await?;
    all_over(rig).await?;
    // Behind whatever the broker had to bring again: a new store knows no old command.
    let report = rig.ask("", Request::NodeReport(Empty {})).await?;
    rig.until("a report", |ledger| ledger.answer(&report).is_some()).await?;
    rig.stop().await?;
    std::fs::write(rig.data().join("store/conf"), "segment_size: no number\nxxxx")?;
    rig.row.plug(2).press_button(1);
    let losses = rig.ledger.count("node.store", "");
    rig.start().await?;
    rig.until("the loss is told", |ledger| ledger.count("node.store", "") > losses).await?;
    rig.ask(&after, start_on("pc-1", &after, 100)).await?;
    Ok(())
}

/// Waits until the session or task `subject` gets as far as `kind`, or is over.
async fn reaches(rig: &mut Rig, kind: &'static str, subject: &str) -> Result<()> {
    let asked = rig.round().asked.clone();
    let reached =
        |ledger: &Ledger| ledger.count(kind, subject) > 0 || over(ledger, &asked, subject);
    rig.until(&format!("{kind} {subject}"), reached).await
}

/// Waits until everything that was asked for was answered, and what was accepted is over.
async fn all_over(rig: &mut Rig) -> Result<()> {
    let asked = rig.round().asked.clone();
    let all = |ledger: &Ledger| {
        asked.iter().all(|command| {
            ledger.answer(&command.id).is_some()
                && (command.subject.is_empty() || over(ledger, &asked, &command.subject))
        })
    };
    rig.until("everything accepted is done", all).await
}

/// Whether the session or task `subject` has ended, or what should begin it was rejected.
fn over(ledger: &Ledger, asked: &[Asked], subject: &str) -> bool {
    let rejected = asked.iter().any(|command| {
        command.subject == subject
            && judge::begins(&command.request)
            && ledger.answer(&command.id) == Some(false)
    });
    rejected || judge::ENDS.iter().any(|kind| ledger.count(kind, subject) > 0)
}

fn transfer(session: &str, station: &str) -> Request {
    let (session, station) = (session.parse().expect("an id"), station.parse().expect("an id"));
    Request::SessionTransfer(SessionTransfer { session, station })
}

fn cancel(task: &str) -> Request {
    Request::TaskCancel(TaskRef { task: task.parse().expect("an id") })
}

fn cycle(task: &str, outlet: &str, off_ms: u64) -> Request {
    let Request::TaskSubmit(submit) = wait(task, 0) else { unreachable!("it was just made") };
    let outlet = outlet.parse().expect("an id");
    Request::TaskSubmit(TaskSubmit {
        work: Work::OutletCycle(OutletCycle { outlet, off_ms }),
        ..submit
    })
}
