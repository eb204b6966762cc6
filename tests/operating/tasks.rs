//! Queued work, schedules, and what a node tells on demand.

use anyhow::Result;
use serde_json::Value;
use tests::script::put;

use crate::{Shift, says};

#[tokio::test]
async fn a_task_is_waited_for_to_its_end_with_each_attempt_told() -> Result<()> {
    let shift = Shift::begin().await?;
    let (operator, site) = (&shift.operator, &shift.story.site);
    put(site, "menu", "echo '{\"pages\":3}'")?;
    let said = operator.types("task submit script '{\"name\":\"menu\"}' --task t-1").await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(says(&said.out, &["task t-1 is done after ", "; result: {\"pages\":3}"]), "{said:?}");
    assert_eq!(said.err, "attempt 1 runs\n");
    put(site, "hopeless", "echo no paper >&2; exit 64")?;
    let said = operator.types("task submit script '{\"name\":\"hopeless\"}' --task t-2").await?;
    assert_eq!(said.code, Some(76), "{said:?}");
    let failed =
        ["task t-2 failed for good after attempt 1", "`edgectl task retry t-2` runs it again"];
    assert!(says(&said.err, &failed), "{said:?}");
    put(site, "hopeless", "exit 0")?;
    let told = operator.asks("task retry t-2").await?;
    assert!(says(&told, &["task t-2 is done after "]), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_failing_task_is_followed_through_its_retries() -> Result<()> {
    let shift = Shift::begin().await?;
    let site = &shift.story.site;
    put(site, "flaky", "[ \"$EDGE_TASK_ATTEMPT\" = 3 ] || exit 1")?;
    let line = "task submit script '{\"name\":\"flaky\"}' --backoff 1ms --backoff-max 1ms";
    let said = shift.operator.types(line).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains(", attempt 3"), "{said:?}");
    let notes = ["attempt 1 runs", "attempt 1 failed", "attempt 2 failed", "attempt 3 runs"];
    assert!(says(&said.err, &notes), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn a_task_is_cancelled_while_it_runs() -> Result<()> {
    let mut shift = Shift::begin().await?;
    let mut submit =
        shift.operator.command("task submit wait '{\"wait_ms\":600000}' --task t-1")?;
    let waiting = submit.stderr(std::process::Stdio::piped()).spawn()?;
    shift.story.told("task.started").await?;
    assert_eq!(shift.operator.asks("task cancel t-1").await?, "task t-1 is cancelled");
    let output =
        tests::within("the other one ends", async { Ok(waiting.wait_with_output().await?) });
    let output = output.await?;
    assert_eq!(output.status.code(), Some(76), "who waited for it is told, too");
    assert!(String::from_utf8(output.stderr)?.contains("edgectl: task t-1 is cancelled"));
    Ok(())
}

#[tokio::test]
async fn a_schedule_is_written_as_the_command_it_runs() -> Result<()> {
    let mut shift = Shift::begin().await?;
    let schedule = "schedule put modem --cron '30 4 * * *' --timezone Europe/Berlin --missed once";
    let said =
        shift.operator.types(&format!("{schedule} -- outlet cycle plug-1 --off-for 10s")).await?;
    let answer = shift.story.event("the answer", |event| {
        event.what.kind().starts_with("command.").then(|| event.clone())
    });
    // Whichever this node's version says, the operator is told the same.
    match answer.await?.what.kind() {
        "command.accepted" => {
            assert_eq!(said.code, Some(0), "{said:?}");
            let told =
                ["pi-0042 runs task.submit at \"30 4 * * *\" (Europe/Berlin)", "schedule modem"];
            assert!(says(&said.out, &told), "{said:?}");
            let told = shift.operator.asks("schedule remove modem").await?;
            assert_eq!(told, "pi-0042 has no schedule modem any more");
        }
        _ => {
            assert_eq!(said.code, Some(65), "{said:?}");
            assert!(said.err.contains("(unsupported)"), "{said:?}");
        }
    }
    let wrong = [
        ("outlet on plug-1 --until 18:00", "--until names one instant"),
        ("task submit wait {} --not-before=18:00", "--not-before=18:00 names one instant"),
        ("dance", "the command after `--`: unrecognized subcommand 'dance'"),
        ("schedule remove modem", "unrecognized subcommand 'schedule'"),
    ];
    for (command, reason) in wrong {
        let said = shift.operator.types(&format!("{schedule} -- {command}")).await?;
        assert_eq!(said.code, Some(64), "{command}: {said:?}");
        assert!(said.err.contains(reason), "{command}: {said:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_report_names_the_version_the_certificate_and_each_outlet() -> Result<()> {
    let shift = Shift::begin().await?;
    let told = shift.operator.asks("report").await?;
    let parts =
        ["pi-0042  edge-agent ", "hardware ", "certificate    until ", "plug-1 (tasmota): answers"];
    assert!(says(&told, &parts), "{told}");
    let told = shift.operator.json("report").await?;
    assert_eq!(told["event"]["body"]["outlets"][1]["outlet"], "plug-2");
    Ok(())
}

#[tokio::test]
async fn past_events_come_again_each_in_a_line() -> Result<()> {
    let mut shift = Shift::begin().await?;
    shift.operator.asks("session start pc-1 --for 1h --session s-1").await?;
    let started = shift.story.told("session.started").await?;
    let told = shift.operator.asks(&format!("resend 1 {}", started.seq)).await?;
    assert!(
        says(&told, &["#1", &format!("#{} session.started", started.seq), "session=s-1"]),
        "{told}"
    );
    let told: Value = shift.operator.json(&format!("resend {}", started.seq)).await?;
    assert_eq!(told["events"], serde_json::json!([started]), "unchanged");
    for wrong in ["resend 0", "resend 5 4"] {
        assert_eq!(shift.operator.types(wrong).await?.code, Some(64), "{wrong}");
    }
    Ok(())
}
