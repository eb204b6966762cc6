//! `edgectl watch`, as lines: for machines, and for whoever reads a log.

use std::process::Stdio;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tests::within;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

use crate::{Shift, says};

/// A watch that runs, and its lines.
struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    fn begin(shift: &Shift, line: &str) -> Result<Self> {
        let mut command = shift.operator.command(line)?;
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().context("it is piped")?).lines();
        Ok(Self { child, lines })
    }

    /// The next line for which `wanted` says yes.
    async fn line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> Result<String> {
        within(what, async {
            loop {
                let line = self.lines.next_line().await?.context("the watch ended")?;
                if wanted(&line) {
                    return Ok(line);
                }
            }
        })
        .await
    }

    /// The next object for which `wanted` says yes.
    async fn object(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let read = |line: &str| serde_json::from_str::<Value>(line).expect("each line is JSON");
        Ok(read(&self.line(what, |line| wanted(&read(line))).await?))
    }

    /// Ends it; returns its exit code and what it complained of.
    async fn end(self, signal: Signal) -> Result<(Option<i32>, String)> {
        kill(Pid::from_raw(i32::try_from(self.child.id().context("it runs")?)?), signal)?;
        drop(self.lines);
        let output = self.child.wait_with_output();
        let output = within("the watch ends", async { Ok(output.await?) }).await?;
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    }
}

#[tokio::test]
async fn a_machine_gets_a_line_for_each_thing_that_a_node_says() -> Result<()> {
    let shift = Shift::begin().await?;
    let mut watch = Watch::begin(&shift, "--json watch")?;
    let status = watch.object("the retained status", |line| line.get("status").is_some()).await?;
    assert_eq!((&status["node"], &status["status"]["online"]), (&"pi-0042".into(), &true.into()));
    watch.object("the retained state", |line| line.get("state").is_some()).await?;
    shift.operator.asks("session start pc-1 --for 1h --session s-1").await?;
    let started = |line: &Value| line["event"]["type"] == "session.started";
    let event = watch.object("the start", started).await?;
    assert_eq!(event["event"]["body"]["session"], "s-1");
    let active = |line: &Value| line["state"]["sessions"][0]["phase"] == "active";
    watch.object("the state after it", active).await?;
    assert_eq!(watch.end(Signal::SIGINT).await?, (Some(0), String::new()), "that is how it ends");
    Ok(())
}

#[tokio::test]
async fn a_person_without_a_terminal_reads_a_line_for_each_event() -> Result<()> {
    let mut shift = Shift::begin().await?;
    let mut watch = Watch::begin(&shift, "watch")?;
    watch.line("the status", |line| line.contains("pi-0042  online since ")).await?;
    shift.operator.asks("session start pc-1 --for 1h").await?;
    let line = watch.line("the start", |line| line.contains("session.started")).await?;
    assert!(says(&line, &["  pi-0042  session.started ", "station=pc-1"]), "{line}");
    shift.agent.signal(Signal::SIGTERM)?;
    shift.agent.ended().await?;
    watch.line("the end", |line| line.contains("pi-0042  offline (it was stopped")).await?;
    assert_eq!(watch.end(Signal::SIGTERM).await?.0, Some(0));
    Ok(())
}

#[tokio::test]
async fn a_watch_ends_when_nobody_reads_it_any_more() -> Result<()> {
    let shift = Shift::begin().await?;
    for line in ["--json watch", "watch"] {
        let mut watch = Watch::begin(&shift, line)?;
        watch.line("anything", |_| true).await?;
        let Watch { child, lines } = watch;
        drop(lines);
        let ended = within("the watch ends", async { Ok(child.wait_with_output().await?) });
        let output = ended.await?;
        assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn a_watch_outlives_the_broker_and_hears_what_comes_after() -> Result<()> {
    let mut shift = Shift::begin().await?;
    let mut watch = Watch::begin(&shift, "--json watch pi-0042")?;
    watch.object("the retained state", |line| line.get("state").is_some()).await?;
    shift.story.site.broker.stop().await?;
    watch.object("the loss", |line| line["link"] == "lost").await?;
    shift.story.site.broker.start_again().await?;
    watch.object("the return", |line| line["link"] == "up").await?;
    shift.story.told("node.link").await?;
    shift.operator.asks("session start pc-1 --for 1h").await?;
    watch.object("the start", |line| line["event"]["type"] == "session.started").await?;
    Ok(())
}

#[tokio::test]
async fn a_look_shows_every_node_and_a_machine_gets_the_same() -> Result<()> {
    let shift = Shift::begin().await?;
    shift.operator.asks("session start pc-1 --for 1h --session s-1").await?;
    let shown = within("the state has it", async {
        loop {
            let shown = shift.operator.asks("watch --once").await?;
            if shown.contains("active") {
                return Ok(shown);
            }
        }
    });
    let shown = shown.await?;
    let parts = [
        "1 node, 1 in use, 0 away, 0 faults",
        "pi-0042  online since",
        "pc-1",
        "s-1",
        "plug-1  on",
    ];
    assert!(says(&shown, &parts), "{shown}");
    let told = shift.operator.json("watch --once pi-0042 pi-9").await?;
    assert_eq!(told["nodes"][0]["state"]["sessions"][0]["session"], "s-1");
    assert_eq!(told["nodes"][1]["status"], Value::Null, "one that was never there");
    Ok(())
}
