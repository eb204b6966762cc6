//! A field tech at the node: outlets held by hand, through the running agent and nothing else.

use anyhow::Result;
use edge_protocol::codec::Encoding;
use plug_sim::{FakePlug, Fault, Profile};
use serde_json::{Value, json};
use tests::desk::{Desk, Layout, Leaf};
use tests::program::{Said, at_site, check, edge_agent};
use tests::transcript::text;

/// `edge-agent outlet` at the desk's node.
async fn outlet(desk: &Desk, arguments: &[&str]) -> Result<Said> {
    at_site(&desk.site, &[&["outlet"], arguments].concat()).await
}

/// `edge-agent explain` at the desk's node.
async fn explain(desk: &Desk, arguments: &[&str]) -> Result<Said> {
    at_site(&desk.site, &[&["explain"], arguments].concat()).await
}

fn said_so(said: &Said, words: &[&str]) {
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    for words in words {
        assert!(said.out.contains(words), "{words} is not in: {}", said.out);
    }
}

#[tokio::test]
async fn a_field_tech_holds_an_outlet_on_and_the_control_plane_learns_who_it_was() -> Result<()> {
    for encoding in [Encoding::Json, Encoding::Cbor] {
        let mut desk = Desk::open(encoding, 1).await?;
        let said = outlet(&desk, &["plug-1", "on", "--for", "90s"]).await?;
        said_so(&said, &["plug-1 is on, read back", "held so for 1 min 30 s", "cuts itself in"]);
        let changed = desk.told("outlet.changed").await?;
        assert_eq!((&changed["body"]["on"], text(&changed, "by")), (&json!(true), "local".into()));
        assert_eq!(changed.get("cause"), None, "no command asked for it");
        desk.says(Leaf::State, |state| state["outlets"][0]["hold"]["on"] == true).await?;
        let said = outlet(&desk, &["plug-1", "read", "--json"]).await?;
        let read: Value = serde_json::from_str(&said.out)?;
        assert_eq!((&read["outlet"], &read["on"]), (&json!("plug-1"), &json!(true)));
        assert!(read["off_in_ms"].as_u64().is_some_and(|ms| ms <= 105_000), "{read}");
        said_so(&outlet(&desk, &["plug-1", "release"]).await?, &["held no more"]);
        desk.goes(1, false).await?;
        assert_eq!(text(&desk.told("outlet.changed").await?, "by"), "rest");
    }
    Ok(())
}

#[tokio::test]
async fn a_local_hold_is_on_disk_when_it_is_answered() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    said_so(&outlet(&desk, &["plug-1", "on"]).await?, &["held so for"]);
    desk.agent.take().expect("it runs").kill()?;
    desk.start().await?;
    let held = desk.says(Leaf::State, |state| {
        state["outlets"][0]["hold"]["on"] == true && state["outlets"][0]["on"] == true
    });
    held.await?;
    assert_eq!(desk.plug(1).history().len(), 1, "it stayed on through the crash");
    Ok(())
}

#[tokio::test]
async fn a_session_s_outlet_is_left_alone_unless_a_field_tech_insists() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    let start = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
    desk.ask("session.start", start).await?;
    desk.told("session.started").await?;
    desk.told("outlet.changed").await?;
    let said = outlet(&desk, &["plug-1", "off", "--json"]).await?;
    assert_eq!((said.code, said.out.as_str()), (Some(65), ""));
    let refused: Value = serde_json::from_str(&said.err)?;
    let message = "session s-1 owns plug-1; --force overrides it";
    assert_eq!(refused, json!({ "error": message, "exit": 65 }));
    assert!(desk.plug(1).is_on(1));
    said_so(&outlet(&desk, &["plug-1", "off", "--force"]).await?, &["plug-1 is off", "release"]);
    let off = desk.told("outlet.changed").await?;
    assert_eq!((text(&off, "by"), text(&off, "session")), ("local".into(), "s-1".into()));
    said_so(&outlet(&desk, &["plug-1", "release"]).await?, &[]);
    desk.goes(1, true).await
}

#[tokio::test]
async fn a_plug_that_does_not_obey_is_told_and_the_hold_stays() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 1).await?;
    desk.plug(1).set_fault(Fault::Unreachable);
    let said = outlet(&desk, &["plug-1", "on", "--for", "1h"]).await?;
    assert_eq!(said.code, Some(69), "{}", said.out);
    assert!(said.err.contains("the hold is stored, but plug-1 is not on yet"), "{}", said.err);
    let said = outlet(&desk, &["plug-1", "read"]).await?;
    assert_eq!(said.code, Some(69), "{}", said.out);
    desk.plug(1).clear_fault();
    desk.goes(1, true).await?;
    desk.says(Leaf::State, |state| state["outlets"][0]["on"] == true).await?;
    Ok(())
}

#[tokio::test]
async fn without_a_running_agent_nothing_is_switched_and_what_to_do_is_told() -> Result<()> {
    let desk = Desk::set_up(Encoding::Json, Layout::plugs(1)).await?;
    for what in
        [&["plug-1", "on"][..], &["plug-1", "off"], &["plug-1", "read"], &["plug-1", "release"]]
    {
        let said = outlet(&desk, what).await?;
        assert_eq!((said.code, said.out.as_str()), (Some(69), ""), "{what:?}");
        assert!(said.err.contains("systemctl start edge-agent"), "{}", said.err);
    }
    assert_eq!(desk.plug(1).history().len(), 0);
    Ok(())
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_by_its_reason() -> Result<()> {
    let desk = Desk::open(Encoding::Cbor, 1).await?;
    for (arguments, code, words) in [
        (&["plug-1"][..], 64, "Usage"),
        (&["plug-1", "dance"], 64, "possible values"),
        (&["plug 1", "on"], 64, "is not an id"),
        (&["plug-1", "on", "--for", "soon"], 64, "like 90s"),
        (&["plug-1", "read", "--for", "1h"], 64, "belong to on and off"),
        (&["plug-1", "on", "--for", "25h"], 65, "for_ms: 90000000 is not from 1 to"),
        (&["plug-9", "on"], 65, "no outlet plug-9"),
        (&["plug-9", "read"], 65, "no outlet plug-9"),
    ] {
        let said = outlet(&desk, arguments).await?;
        assert_eq!((said.code, said.out.as_str()), (Some(code), ""), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(words), "{words} is not in: {}", said.err);
    }
    assert_eq!(desk.plug(1).history().len(), 0);
    Ok(())
}

#[tokio::test]
async fn an_outlet_is_explained_by_what_decides_and_what_comes_next() -> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    let said = explain(&desk, &["plug-1"]).await?;
    said_so(&said, &["plug-1 is off", "because   nothing covers it, and it rests off"]);
    let start = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 3_600_000 });
    let command = desk.ask("session.start", start).await?;
    desk.told("session.started").await?;
    let said = explain(&desk, &["plug-1"]).await?;
    let because = "because   session s-1 on pc-1 is active, off in ";
    said_so(&said, &["plug-1 is on", because, &command, "the device cuts the power by itself in"]);
    said_so(&outlet(&desk, &["plug-1", "off", "--force"]).await?, &[]);
    let said = explain(&desk, &["plug-1", "--json"]).await?;
    let explanation: Value = serde_json::from_str(&said.out)?;
    assert_eq!(explanation["because"]["what"], "hold", "{explanation}");
    assert_eq!(explanation["because"]["by"], "local", "{explanation}");
    assert_eq!(explanation["overruled"][0]["session"], "s-1", "{explanation}");
    let said = explain(&desk, &["plug-9"]).await?;
    assert_eq!(said.code, Some(65));
    assert!(said.err.contains("no outlet plug-9"), "{}", said.err);
    let agent = desk.agent.take().expect("it runs");
    agent.stop().await?;
    assert_eq!(explain(&desk, &["plug-1"]).await?.code, Some(69));
    Ok(())
}

#[tokio::test]
async fn a_network_is_looked_through_and_printed_as_configuration_without_one() -> Result<()> {
    let plug = FakePlug::start(Profile::tasmota_14_4()).await?;
    let port = plug.address().port().to_string();
    let look = ["discover", "--seconds", "0", "--network", "127.0.0.1/32", "--port", &port];
    let none = ["--config", "/no/such/agent.toml"];
    let said = edge_agent(look.iter().chain(&none)).await?;
    let url = format!("url = \"{}\"", plug.url());
    said_so(&said, &["[[outlet]]", "driver = \"tasmota\"", &url]);
    let site = Desk::set_up(Encoding::Json, Layout::plugs(0)).await?.site;
    let path = site.configure(&said.out)?;
    assert_eq!(check(&path).await?.code, Some(0), "it can be pasted: {}", said.out);
    let said = edge_agent(look.iter().chain(&["--json"]).chain(&none)).await?;
    let found: Value = serde_json::from_str(&said.out)?;
    assert_eq!(found["plugs"][0]["driver"], "tasmota");
    let nobody = ["discover", "--seconds", "0", "--network", "127.0.0.2/32", "--port", "1"];
    let said = edge_agent(nobody.iter().chain(&none)).await?;
    assert_eq!(said.code, Some(69));
    assert!(said.err.contains("no plug was found"), "{}", said.err);
    let said = edge_agent(["discover", "--network", "10.0.0.0/8"]).await?;
    assert!(said.code == Some(64) && said.err.contains("too large"), "{}", said.err);
    assert!(plug.history().is_empty(), "looking switches nothing");
    Ok(())
}

#[tokio::test]
async fn the_program_writes_its_own_manual_and_completions() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("man");
    let said = edge_agent(["man", "--out", out.to_str().expect("a path")]).await?;
    said_so(&said, &["edge-agent.1"]);
    for page in ["edge-agent.1", "edge-agent-outlet.1", "edge-agent-doctor.1", "edge-agent-run.1"] {
        assert!(std::fs::read_to_string(out.join(page))?.contains("edge\\-agent"), "{page}");
    }
    for shell in ["bash", "zsh", "fish"] {
        said_so(&edge_agent(["completions", shell]).await?, &["edge-agent", "doctor"]);
    }
    Ok(())
}
