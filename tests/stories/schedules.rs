//! Schedules, as an operator sees them: at each second, through restarts and kills, with nobody on
//! the line.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use edge_protocol::codec::Encoding;
use serde_json::{Value, json};
use tests::desk::{Desk, Leaf};

fn report(schedule: &str, cron: &str, missed: &str) -> Value {
    json!({ "schedule": schedule, "cron": cron, "missed": missed,
        "command": { "type": "node.report", "body": {} } })
}

/// Waits until `schedule` has run so often once more, and returns the ids of those commands.
async fn runs(desk: &mut Desk, schedule: &str, times: usize) -> Result<Vec<String>> {
    let ran = |desk: &Desk| -> Vec<String> {
        let commands = desk.all("command.accepted", "").into_iter();
        let commands = commands.filter_map(|accepted| accepted["body"]["command"].as_str());
        commands.filter(|command| command.starts_with(schedule)).map(str::to_owned).collect()
    };
    let before = ran(desk).len();
    while ran(desk).len() < before + times {
        desk.told("node.report").await?;
    }
    Ok(ran(desk)[before..].to_vec())
}

/// Each is there once.
fn assert_no_twice(desk: &Desk) {
    let commands = desk.all("command.accepted", "").into_iter();
    let mut once = BTreeSet::new();
    for command in commands.filter_map(|accepted| accepted["body"]["command"].as_str()) {
        assert!(once.insert(command.to_owned()), "{command} ran twice");
    }
}

#[tokio::test]
async fn a_command_runs_each_second_and_state_says_when_next() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        desk.ask("schedule.put", report("tick", "* * * * * *", "skip")).await?;
        desk.ask("schedule.put", report("nightly", "0 4 29 2 *", "once")).await?;
        let ran = runs(&mut desk, "tick.", 3).await?;
        for accepted in desk.all("command.accepted", "") {
            let command = accepted["body"]["command"].as_str().context("a command")?;
            if ran.iter().any(|ran| ran == command) {
                assert_eq!(accepted["cause"], command);
                // Its name is its time, and it never comes before it.
                let second = accepted["at_ms"].as_u64().context("an instant")? / 1_000 % 60;
                assert_eq!(command[command.len() - 3..command.len() - 1], format!("{second:02}"));
            }
        }
        let state = desk.says(Leaf::State, |state| state["schedules"][1].is_object()).await?;
        assert_eq!(state["schedules"][0]["schedule"], "nightly");
        let leap_day = state["schedules"][0]["next_at_ms"].as_u64().context("an instant")?;
        assert_eq!(leap_day % 86_400_000, 4 * 3_600_000, "at four");
        assert_eq!(state["schedules"][1]["schedule"], "tick");
        desk.ask("schedule.remove", json!({ "schedule": "tick" })).await?;
        desk.forget(Leaf::State);
        let left = desk.says(Leaf::State, |state| state["schedules"][1].is_null()).await?;
        assert_eq!(left["schedules"][0]["schedule"], "nightly");
        let (code, _) = desk.refused("schedule.remove", json!({ "schedule": "tick" })).await?;
        assert_eq!(code, "unknown_schedule");
        assert_no_twice(&desk);
    }
    Ok(())
}

#[tokio::test]
async fn kills_and_restarts_double_no_occurrence_and_lose_no_schedule() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    desk.ask("schedule.put", report("tick", "* * * * * *", "once")).await?;
    for round in 0..6 {
        runs(&mut desk, "tick.", 1 + round % 2).await?;
        let agent = desk.agent.take().context("it runs")?;
        if round % 3 == 0 {
            agent.stop().await?;
        } else {
            agent.kill()?;
        }
        desk.start().await?;
    }
    runs(&mut desk, "tick.", 2).await?;
    assert_no_twice(&desk);
    Ok(())
}

#[tokio::test]
async fn a_schedule_powers_a_station_while_the_broker_is_away_and_tells_it_later() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    let start = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
    let body = json!({ "schedule": "opens", "cron": "*/5 * * * * *",
        "command": { "type": "session.start", "body": start } });
    desk.ask("schedule.put", body).await?;
    desk.site.broker.stop().await?;
    desk.goes(1, true).await?;
    desk.site.broker.start_again().await?;
    let started = desk.told("session.started").await?;
    let cause = started["cause"].as_str().context("a cause")?;
    assert!(cause.starts_with("opens.20"), "{cause}");
    // A session's id names one session, in a schedule as well.
    let rejected = desk.told("command.rejected").await?;
    assert_eq!(rejected["body"]["code"], "conflict");
    desk.ask("schedule.remove", json!({ "schedule": "opens" })).await?;
    desk.ask("session.end", json!({ "session": "s-1", "immediate": true })).await?;
    desk.goes(1, false).await
}
