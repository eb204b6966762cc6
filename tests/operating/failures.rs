//! What goes wrong between an operator and a node: each with its exit code and what to do.

use std::process::Stdio;

use anyhow::Result;
use edgectl::ca::Authority;
use edgectl::lab::agent::Agent;
use nix::sys::signal::Signal;
use plug_sim::Fault;
use tests::operator::{Operator, with_profile};
use tests::plug::goes_on;
use tests::within;
use tokio::process::Child;

use crate::{Shift, says};

#[tokio::test]
async fn a_rejection_says_why_and_what_there_is_instead() -> Result<()> {
    let shift = Shift::begin().await?;
    let refusals = [
        ("session start pc-9 --for 1h", "(unknown_station)", "Its stations: pc-1, pc-2"),
        ("outlet on plug-9 --for 1h", "(unknown_outlet)", "Its outlets: plug-1, plug-2"),
        ("session end s-77", "(unknown_session)", "It has no sessions"),
        ("session end pc-1", "there is no session on pc-1 of pi-0042", ""),
        ("task cancel t-77", "(unknown_task)", ""),
        ("session start pc-1 --for 1h --grace 11m", "(invalid): body.grace_ms", ""),
        ("session start pc-1 --for 400d", "(invalid): body.duration_ms", ""),
        ("resend 1 5000", "(invalid): body.to_seq: the last event has seq", ""),
    ];
    for (line, reason, advice) in refusals {
        let said = shift.operator.types(line).await?;
        assert_eq!((said.code, said.out.as_str()), (Some(65), ""), "{line}: {said:?}");
        assert!(says(&said.err, &[reason, advice]), "{line}: {said:?}");
    }
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_understood_is_a_usage_error() -> Result<()> {
    let shift = Shift::begin().await?;
    let wrong = [
        ("session start pc-1", "--for"),
        ("session start pc-1 --for 1h --until 18:00", "cannot be used with"),
        ("session start pc-1 --for 90", "write it like 90s, 15m, 1h30m or 2d"),
        ("session start pc-1 --until 6pm", "write it like 18:00"),
        ("session start pc-1 --until 2001-01-01T00:00:00Z", "is over"),
        ("session start 'pc 1' --for 1h", "is not an id"),
        ("outlet on plug-1", "--for"),
        ("outlet cycle", "<OUTLET>"),
        ("task submit wait '[1]'", "no JSON object"),
        ("task submit wait '{\"wait\":1}'", "payload"),
        ("task submit dance '{}'", "script, outlet.cycle, wait"),
        ("session end s-1 --expires 8d", "7 d at the latest"),
    ];
    for (line, reason) in wrong {
        let said = shift.operator.types(line).await?;
        assert_eq!((said.code, said.out.as_str()), (Some(64), ""), "{line}: {said:?}");
        assert!(said.err.contains(reason), "{line}: {said:?}");
    }
    Ok(())
}

#[tokio::test]
async fn an_effect_that_fails_is_told_apart_from_a_rejection() -> Result<()> {
    let shift = Shift::begin().await?;
    shift.story.plug.set_fault(Fault::Unreachable);
    let said = shift.operator.types("session start pc-1 --for 1h").await?;
    assert_eq!(said.code, Some(76), "{said:?}");
    let told = ["plug-1 is unreachable", "the node goes on trying", "pc-1 could not be powered: "];
    assert!(says(&said.err, &told), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn an_effect_that_does_not_come_in_time_says_what_is_still_waited_for() -> Result<()> {
    let shift = Shift::begin().await?;
    shift.operator.asks("session start pc-1 --for 1h").await?;
    shift.story.plug.set_fault(Fault::Unreachable);
    let said = shift.operator.types("session end pc-1 --timeout 10s").await?;
    assert_eq!(said.code, Some(75), "{said:?}");
    let told = [
        "pi-0042 has accepted the command, but after 10 s still waiting for pc-1 to be off",
        "`edgectl watch pi-0042`",
    ];
    assert!(says(&said.err, &told), "{said:?}");
    let told = shift.operator.asks("session end pc-1 --abandon").await?;
    assert!(says(&told, &["abandoned although pc-1 is not confirmed off"]), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_node_that_is_offline_is_told_at_once_and_its_command_waits_or_expires() -> Result<()> {
    let mut shift = Shift::begin().await?;
    shift.operator.asks("session start pc-1 --for 1h --session s-1").await?;
    let Shift { story, operator, agent, .. } = &mut shift;
    agent.signal(Signal::SIGTERM)?;
    agent.ended().await?;

    let said = operator.types("session pause s-1 --timeout 2s").await?;
    assert_eq!((said.code, said.out.as_str()), (Some(75), ""), "{said:?}");
    let told = [
        "pi-0042 is offline (it was stopped; it last told of itself at ",
        "; the command waits at the broker until ",
        "and has not answered within 2 s; the command has expired and will not act any more",
    ];
    assert!(says(&said.err, &told), "{said:?}");

    let said = operator.types("session end s-1 --no-wait --expires 1h").await?;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert!(says(&said.out, &["pi-0042 is offline (", "waits at the broker until "]), "{said:?}");

    let _back: Agent = story.site.agent().await?;
    // Only the one that was to wait still acts.
    let ended = story.told("session.ended").await?;
    assert_eq!(ended.what.session().map(ToString::to_string).as_deref(), Some("s-1"));
    assert!(!story.plug.is_on(1));
    Ok(())
}

#[tokio::test]
async fn a_node_that_hangs_is_told_apart_from_one_that_is_offline() -> Result<()> {
    let shift = Shift::begin().await?;
    shift.agent.signal(Signal::SIGSTOP)?;
    let said = shift.operator.types("session start pc-1 --for 1h --timeout 2500ms").await?;
    assert_eq!(said.code, Some(75), "{said:?}");
    let told = [
        "waiting for the answer of pi-0042",
        "pi-0042 is connected but has not answered within 2.5 s",
        "the command has expired and will not act any more",
    ];
    assert!(says(&said.err, &told), "{said:?}");
    shift.agent.signal(Signal::SIGCONT)?;
    // And so it is: nothing was powered by the command that came too late.
    shift.operator.asks("report").await?;
    assert!(!shift.story.plug.is_on(1), "a command that nobody waits for does not act");
    Ok(())
}

#[tokio::test]
async fn a_node_that_was_never_there_is_no_host() -> Result<()> {
    let shift = Shift::begin().await?;
    let said = shift.operator.types("session start pc-1 --for 1h --node pi-9").await?;
    assert_eq!(said.code, Some(68), "{said:?}");
    assert!(says(&said.err, &["no node pi-9 was ever seen at this broker", "`edgectl watch`"]));
    Ok(())
}

#[tokio::test]
async fn a_broker_that_is_away_can_not_be_connected_to() -> Result<()> {
    let mut shift = Shift::begin().await?;
    shift.story.site.broker.stop().await?;
    for line in ["session start pc-1 --for 1h", "watch", "profile check"] {
        let said = shift.operator.types(line).await?;
        assert_eq!((said.code, said.out.as_str()), (Some(69), ""), "{line}: {said:?}");
        assert!(
            says(&said.err, &["can't connect to localhost:", "is the broker running"]),
            "{said:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_the_broker_does_not_take_is_no_permission() -> Result<()> {
    let shift = Shift::begin().await?;
    let site = &shift.story.site;
    let validity = edgectl::ca::Validity::days(1)?;
    let foreign = Authority::in_memory()?.issue_operator("lab", validity)?;
    // A node's own certificate is no operator's either.
    let nodes = site.authority.issue_node(&site.node)?;
    for issued in [foreign, nodes] {
        let profile = site.profile(Some(issued))?;
        let said = with_profile(&profile, "session start pc-1 --for 1h").await?;
        assert_eq!((said.code, said.out.as_str()), (Some(77), ""), "{said:?}");
        let told = ["is reached, but does not take our certificate", "`edgectl profile check`"];
        assert!(says(&said.err, &told), "{said:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_broker_of_another_authority_is_not_trusted() -> Result<()> {
    let shift = Shift::begin().await?;
    let ca = shift.story.site.folder().join("ca.pem");
    std::fs::write(ca, Authority::in_memory()?.cert_pem())?;
    let said = shift.operator.types("session start pc-1 --for 1h").await?;
    assert_eq!(said.code, Some(77), "{said:?}");
    assert!(said.err.contains("its certificate is not to be trusted"), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn an_operator_without_rights_is_told_that_nothing_was_sent() -> Result<()> {
    let shift = Shift::begin().await?;
    let site = &shift.story.site;
    let validity = edgectl::ca::Validity::days(1)?;
    // The broker lets it in, but grants it nothing.
    let profile = site.profile(Some(site.operators.issue_operator("guest", validity)?))?;
    let said = with_profile(&profile, "session start pc-1 --for 1h").await?;
    assert_eq!(said.code, Some(68), "it sees no node: {said:?}");
    assert!(!shift.story.plug.is_on(1));
    Ok(())
}

#[tokio::test]
async fn a_broker_that_goes_away_half_way_is_waited_for() -> Result<()> {
    let mut shift = Shift::begin().await?;
    let mut child = begin(&shift.operator, "task submit wait '{\"wait_ms\":4000}' --task t-1")?;
    shift.story.told("task.started").await?;
    shift.story.site.broker.start_again().await?;
    let output = within("edgectl ends", async { Ok(child.wait().await?) }).await?;
    assert_eq!(output.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn ctrl_c_ends_the_waiting_and_says_what_was_sent() -> Result<()> {
    let mut shift = Shift::begin().await?;
    let child = begin(&shift.operator, "task submit wait '{\"wait_ms\":600000}' --task t-1")?;
    shift.story.told("task.started").await?;
    interrupt(&child)?;
    let output = within("edgectl ends", async { Ok(child.wait_with_output().await?) }).await?;
    assert_eq!(output.status.code(), Some(130));
    let words = String::from_utf8(output.stderr)?;
    assert!(says(&words, &["stopped by Ctrl-C", "may still act"]), "{words}");
    shift.operator.asks("task cancel t-1").await?;
    shift.operator.asks("session start pc-1 --for 1h").await?;
    goes_on(&shift.story.plug).await
}

fn begin(operator: &Operator, line: &str) -> Result<Child> {
    let mut command = operator.command(line)?;
    Ok(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?)
}

fn interrupt(child: &Child) -> Result<()> {
    let pid = i32::try_from(child.id().expect("it runs"))?;
    Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), Signal::SIGINT)?)
}
