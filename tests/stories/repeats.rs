//! One command, one effect, however often and by whichever way it comes.

use anyhow::Result;
use edge_protocol::codec::{Encoding, encode};
use serde_json::{Value, json};
use tests::desk::{Desk, id};
use tests::transcript::fields;

fn start(session: &str) -> Value {
    json!({ "session": session, "station": "pc-1", "duration_ms": 60_000 })
}

#[tokio::test]
async fn the_same_command_twice_has_one_effect_and_its_answer_says_repeat_once() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let command = desk.command("session.start", start("s-1"));
        for _ in 0..5 {
            desk.publish(&command).await?;
        }
        let answer = desk.answer(&id(&command)).await?;
        assert_eq!(
            (&answer["type"], fields(&answer)),
            (&json!("command.accepted"), vec!["command"])
        );
        let repeat = desk.answer(&id(&command)).await?;
        assert_eq!(repeat["type"], "command.accepted");
        assert_eq!(repeat["body"], json!({ "command": id(&command), "repeat": true }));
        desk.told("session.started").await?;
        desk.caught_up().await?;
        assert_eq!(answers(&desk, &id(&command)), 2, "at most once a minute");
        assert_eq!(desk.all("session.started", "s-1").len(), 1);
    }
    Ok(())
}

fn answers(desk: &Desk, id: &str) -> usize {
    let answers = |event: &&Value| event["body"]["command"] == id;
    desk.events().iter().filter(answers).count()
}

#[tokio::test]
async fn a_repeat_by_the_group_or_with_another_body_changes_nothing() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 2).await?;
        let command = desk.command("session.start", start("s-1"));
        desk.publish(&command).await?;
        desk.told("session.started").await?;
        desk.answer(&id(&command)).await?;
        desk.publish_to_group(&command).await?;
        assert_eq!(desk.answer(&id(&command)).await?["body"]["repeat"], true);

        let refused = desk.command("session.start", start("s-2"));
        assert_eq!(desk.refused_command(&refused).await?.0, "conflict");
        let mut other = refused.clone();
        other["type"] = json!("session.end");
        other["body"] = json!({ "session": "s-1", "immediate": true });
        desk.publish(&other).await?;
        let answer = desk.answer(&id(&other)).await?;
        assert_eq!(
            (&answer["type"], &answer["body"]["repeat"]),
            (&json!("command.rejected"), &json!(true))
        );
        assert_eq!(answer["body"]["code"], "conflict", "as it was answered before");
        // Not even a body that can't be read at all.
        other["body"] = json!("nonsense");
        desk.publish(&other).await?;
        desk.caught_up().await?;
        assert!(desk.all("session.ending", "").is_empty() && desk.plug(1).is_on(1));
    }
    Ok(())
}

#[tokio::test]
async fn a_group_s_command_acts_as_one_of_the_node_s_own() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    let command = desk.command("session.start", start("s-1"));
    desk.publish_to_group(&command).await?;
    let started = desk.told("session.started").await?;
    assert_eq!(started["cause"], id(&command));
    Ok(())
}

#[tokio::test]
async fn a_repeat_after_a_restart_is_still_a_repeat() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    let command = desk.command("session.start", start("s-1"));
    desk.publish(&command).await?;
    desk.told("session.started").await?;
    desk.answer(&id(&command)).await?;
    desk.ask("session.end", json!({ "session": "s-1" })).await?;
    desk.told("session.ended").await?;
    if let Some(agent) = desk.agent.take() {
        assert!(agent.stop().await?.success());
    }
    desk.start().await?;
    desk.publish(&command).await?;
    assert_eq!(desk.answer(&id(&command)).await?["body"]["repeat"], true);
    desk.caught_up().await?;
    assert_eq!(desk.all("session.started", "").len(), 1);
    assert!(!desk.plug(1).is_on(1));
    Ok(())
}

#[tokio::test]
async fn a_retained_command_is_refused_and_does_not_act_at_a_reconnect_either() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let command = desk.command("session.start", start("s-1"));
        desk.publish_bytes(encode(encoding, &command), true).await?;
        let answer = desk.answer(&id(&command)).await?;
        assert_eq!(answer["body"]["code"], "invalid");
        assert!(answer["body"]["message"].as_str().unwrap_or_default().contains("retain"));
        desk.site.broker.stop().await?;
        desk.site.broker.start_again().await?;
        desk.told("node.link").await?;
        if let Some(agent) = desk.agent.take() {
            agent.stop().await?;
        }
        desk.start().await?;
        desk.caught_up().await?;
        assert!(desk.all("session.started", "").is_empty());
        assert!(
            desk.all("command.accepted", "")
                .iter()
                .all(|yes| yes["body"]["command"] != *id(&command))
        );
        assert!(desk.plug(1).history().is_empty(), "nothing went on");
    }
    Ok(())
}

#[tokio::test]
async fn an_empty_payload_is_ignored() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    let before = desk.caught_up().await?;
    for retain in [false, true] {
        desk.publish_bytes(Vec::new(), retain).await?;
    }
    let after = desk.caught_up().await?;
    assert_eq!(after, before + 2, "the report's answer and the report, and nothing else");
    Ok(())
}

#[tokio::test]
async fn a_command_that_waited_at_the_broker_acts_once_if_it_is_in_time() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    if let Some(agent) = desk.agent.take() {
        agent.stop().await?;
    }
    let late = {
        let mut command = desk.command("session.start", start("s-late"));
        command["issued_at_ms"] = json!(command["issued_at_ms"].as_u64().unwrap_or(0) - 60_000);
        command
    };
    let fresh = desk.command("session.start", start("s-1"));
    desk.publish(&late).await?;
    desk.publish(&fresh).await?;
    desk.publish(&fresh).await?;
    desk.start().await?;
    desk.told("session.started").await?;
    assert_eq!(desk.answer(&id(&late)).await?["body"]["code"], "expired");
    assert_eq!(desk.answer(&id(&fresh)).await?["type"], "command.accepted");
    assert_eq!(desk.answer(&id(&fresh)).await?["body"]["repeat"], true);
    desk.caught_up().await?;
    assert_eq!(desk.all("session.started", "").len(), 1);
    Ok(())
}
