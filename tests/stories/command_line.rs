//! The program as an operator types it: what is wrong with a configuration, how the agent is,
//! and what the exit code says.

use std::fs;
use std::path::Path;

use anyhow::Result;
use edge_protocol::codec::Encoding;
use tests::program::{check, edge_agent, status, status_says};
use tests::{Story, start};

/// What is put in place of what, and why `check` does not take it.
const MISTAKES: [(&str, &str, &str); 28] = [
    ("[node]", "[nodes]", "unknown field `nodes`"),
    ("[node]", "[node]\nname = \"x\"", "unknown field `name`"),
    ("[node]", "[node]\nid = \"pi 42\"", "is not an id"),
    ("[node]", "[node", "unclosed table"),
    ("groups = [\"lab\"]", "groups = [\"a/b\"]", "is not an id"),
    ("groups = [\"lab\"]", "groups = \"lab\"", "invalid type"),
    ("mqtts://", "mqtt://", "must be mqtts://"),
    ("endpoints = [", "endpoints = [] #", "at least one broker"),
    ("keep_alive_ms = 5000", "keep_alive_ms = 5", "keep_alive_ms must be"),
    ("reconnect_min_ms = 50", "reconnect_min_ms = 2000", "must not be above"),
    ("reconnect_max_ms = 1000", "reconnect_max_ms = -1", "invalid value"),
    ("encoding = \"cbor\"", "encoding = \"xml\"", "unknown variant `xml`"),
    ("encoding = \"cbor\"", "topic_root = \"a/#\"", "topic_root must be"),
    ("node.key\"", "other.key\"", "can't be read"),
    ("key_file = ", "key_file = \"/dev/null\" #", "is no file"),
    ("key_file = ", "key_file = \"/proc/version\" #", "holds no private key"),
    ("cert_file = ", "cert_file = \"/proc/version\" #", "holds no certificate"),
    ("ca_file = ", "ca_file = \"/no/such\" #", "can't be read"),
    ("source = \"trusted\"", "source = \"gps\"", "unknown variant `gps`"),
    ("[tasks]", "[tasks]\nconcurrency = 0", "concurrency must be 1 to 64"),
    ("[tasks]", "[sessions]\ngrace_ms = 600001\n[tasks]", "grace_ms must be 0 to 600000"),
    ("[tasks]", "[outbox]\nmax_bytes = 1\n[tasks]", "max_bytes must be"),
    ("driver = \"tasmota\"", "driver = \"toaster\"", "unknown variant `toaster`"),
    ("driver = \"tasmota\"", "driver = \"gpio\"", "url is no key of the driver gpio"),
    ("url = \"http://", "url = \"https://", "must be http://"),
    ("driver = \"tasmota\"", "driver = \"tasmota\"\nrelay = 33", "relay must be 1 to 32"),
    ("outlets = [\"plug-1\"]", "outlets = [\"plug-2\"]", "there is no outlet plug-2"),
    ("driver = \"tasmota\"", "driver = \"tasmota\"\nrest = \"on\"", "must have rest = \"off\""),
];

#[tokio::test]
async fn a_bad_configuration_is_refused_by_file_line_and_reason() -> Result<()> {
    let story = Story::new(Encoding::Cbor).await?;
    let path = story.site.folder().join("agent.toml");
    let good = fs::read_to_string(&path)?;
    let said = check(&path).await?;
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "the good one");
    assert!(said.out.contains("agent.toml: ok"), "{}", said.out);
    for (right, wrong, reason) in MISTAKES {
        assert!(good.contains(right), "{right} is in no line");
        fs::write(&path, good.replacen(right, wrong, 1))?;
        let said = check(&path).await?;
        assert_eq!(said.code, Some(78), "{wrong}: {}", said.err);
        assert!(said.err.contains(reason), "{wrong}: {}", said.err);
        assert_eq!(said.out, "", "{wrong}");
        let line = line_in(&said.err, &path);
        let text = fs::read_to_string(&path)?;
        let first = 1 + text[..text.find(wrong).unwrap()].matches('\n').count();
        // A reason that only the whole file shows stands where the other half of it is.
        let lines = first..=first + wrong.matches('\n').count();
        let elsewhere = ["url is no key", "rest = \"off\"", "common name"];
        let told = line.is_some_and(|line| lines.contains(&line));
        assert!(told || elsewhere.iter().any(|known| reason.contains(known)), "{}", said.err);
    }
    Ok(())
}

/// The line that a complaint names in the file at `path`.
fn line_in(complaint: &str, path: &Path) -> Option<usize> {
    let (_, rest) = complaint.split_once(&format!("{}:", path.display()))?;
    rest.split(':').next()?.parse().ok()
}

#[tokio::test]
async fn a_configuration_that_is_not_there_is_refused_by_its_name() -> Result<()> {
    for verb in ["check", "run", "status"] {
        let said = edge_agent([verb, "--config", "/no/such/agent.toml"]).await?;
        assert_eq!(said.code, Some(78), "{verb}");
        assert!(said.err.contains("/no/such/agent.toml: can't be read"), "{}", said.err);
    }
    Ok(())
}

#[tokio::test]
async fn status_tells_a_person_and_a_machine_how_the_agent_is() -> Result<()> {
    let mut story = Story::new(Encoding::Json).await?;
    let said = status(&story.site).await?;
    assert_eq!(said.code, Some(69), "nobody runs yet");
    assert!(said.err.contains("is edge-agent running"), "{}", said.err);
    let agent = story.agent().await?;
    story.send(start("s-1", 60_000)).await?;
    story.told("session.started").await?;
    let text = status_says(&story.site, "session  s-1 on pc-1: active").await?;
    for words in ["pi-0042", "broker   connected", "clock    synced", "outlet   plug-1: on, cuts"] {
        assert!(text.contains(words), "{words} is not in:\n{text}");
    }
    let config = story.site.folder().join("agent.toml");
    let json = edge_agent(["status", "--json", "--config", config.to_str().unwrap()]).await?;
    assert_eq!((json.code, json.err.as_str()), (Some(0), ""));
    let report: serde_json::Value = serde_json::from_str(&json.out)?;
    assert_eq!(report["online"], true);
    assert_eq!(report["state"]["sessions"][0]["session"], "s-1");
    assert_eq!(report["state"]["outlets"][0]["lease"], "armed");
    agent.stop().await?;
    assert_eq!(status(&story.site).await?.code, Some(69), "and nobody runs any more");
    Ok(())
}

#[tokio::test]
async fn help_and_version_are_answers_and_anything_else_wrong_is_a_usage_error() -> Result<()> {
    for ask in ["--help", "--version", "help"] {
        let said = edge_agent([ask]).await?;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{ask}");
        assert!(said.out.contains("edge-agent"), "{ask}: {}", said.out);
    }
    for verb in ["run", "check", "status"] {
        let said = edge_agent([verb, "--help"]).await?;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{verb}");
        assert!(said.out.contains("--config"), "{}", said.out);
    }
    for wrong in [&[][..], &["dance"], &["run", "--fast"], &["status", "now"], &["check", "--json"]]
    {
        let said = edge_agent(wrong).await?;
        assert_eq!((said.code, said.out.as_str()), (Some(64), ""), "{wrong:?}");
        assert!(said.err.contains("Usage"), "{wrong:?}: {}", said.err);
    }
    Ok(())
}
