//! `edge-agent doctor`: each ill of a node is told with the one thing to do about it, and looking
//! disturbs nobody.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context as _, Result, ensure};
use edge_protocol::codec::Encoding;
use edgectl::ca::Authority;
use plug_sim::{Fault, Profile};
use serde_json::json;
use tests::desk::{Desk, Layout, Leaf};
use tests::diagnosis::doctor;
use tests::identity::{expired, foreign, identify, rename_broker};
use tests::program::at_site;

/// How often the node was let in by the broker.
fn logins(desk: &Desk) -> usize {
    let log = desk.site.broker.log();
    log.lines()
        .filter(|line| line.contains("New client connected") && line.contains(" as pi-0042 "))
        .count()
}

#[tokio::test]
async fn a_node_that_is_well_passes_with_and_without_its_agent() -> Result<()> {
    let mut desk = Desk::set_up(Encoding::Cbor, Layout::plugs(0)).await?;
    desk.site.configure("[[outlet]]\nid = \"modem\"\ndriver = \"simulated\"\nrest = \"on\"\n")?;
    doctor(&desk, &[]).await?.passes()?;
    desk.start().await?;
    let diagnosis = doctor(&desk, &[]).await?;
    diagnosis.passes()?;
    diagnosis.says("clock", "ok", &["trusted by [clock] source"])?;
    diagnosis.says("outlet modem", "ok", &["simulated, on"])?;
    let said = at_site(&desk.site, &["doctor"]).await?;
    assert_eq!(said.code, Some(0));
    let last = said.out.lines().last().unwrap_or_default();
    assert!(last.contains("checks: 0 wrong"), "a person reads a table: {}", said.out);
    Ok(())
}

#[tokio::test]
async fn a_running_node_is_examined_without_disturbing_its_session_or_its_link() -> Result<()> {
    let mut desk = Desk::open(Encoding::Cbor, 2).await?;
    let start = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
    desk.ask("session.start", start).await?;
    desk.told("session.started").await?;
    let (before, switched) = (logins(&desk), desk.plug(1).history().len());
    for arguments in [&[][..], &["--fix"]] {
        let diagnosis = doctor(&desk, arguments).await?;
        diagnosis.says("broker link", "ok", &["the running agent is connected"])?;
        diagnosis.says("broker rights", "ok", &[])?;
        diagnosis.says("agent", "ok", &[])?;
        diagnosis.says("outlet plug-1", "ok", &["tasmota, on, cuts itself in"])?;
        diagnosis.says("outlet plug-2", "ok", &["tasmota, off"])?;
        assert_eq!(diagnosis.json["agent_runs"], true);
    }
    assert_eq!(logins(&desk), before, "nobody else logged in as this node");
    assert_eq!(desk.plug(1).history().len(), switched, "and nothing was switched");
    desk.forget(Leaf::State);
    desk.caught_up().await?;
    assert!(desk.all("node.link", "").len() == 1 && desk.all("outlet.fault", "").is_empty());
    let state = desk.says(Leaf::State, |_| true).await?;
    assert_eq!(state["sessions"][0]["phase"], "active");
    Ok(())
}

#[tokio::test]
async fn without_an_agent_the_doctor_logs_in_itself_and_no_command_that_waits_is_lost() -> Result<()>
{
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    let agent = desk.agent.take().context("it runs")?;
    agent.stop().await?;
    let hold =
        desk.command("outlet.set", json!({ "outlet": "plug-1", "on": true, "for_ms": 60_000 }));
    let off = desk.command("outlet.set", json!({ "outlet": "plug-1", "on": false }));
    desk.publish(&hold).await?;
    desk.publish(&off).await?;
    for _ in 0..2 {
        let diagnosis = doctor(&desk, &[]).await?;
        diagnosis.says("agent", "warning", &["none runs"])?;
        diagnosis.says("login", "ok", &["let in as pi-0042; it keeps this node's session"])?;
        diagnosis.says("pi-0042/commands", "ok", &["may be read"])?;
        diagnosis.says("groups/lab/commands", "ok", &["may be read"])?;
        diagnosis.says("pi-0042/telemetry", "ok", &["may be written"])?;
        diagnosis.says("client id", "ok", &["bound to the certificate"])?;
        diagnosis.says("outlet plug-1", "ok", &["tasmota, off"])?;
    }
    assert_eq!(desk.plug(1).history().len(), 0, "nothing was switched");
    desk.start().await?;
    for command in [&hold, &off] {
        let answer = desk.answer(&tests::desk::id(command)).await?;
        assert_eq!(answer["type"], "command.accepted", "{answer}");
    }
    let links = desk.all("node.link", "");
    assert_eq!(links.last().map(|link| &link["body"]["session_present"]), Some(&json!(true)));
    desk.caught_up().await?;
    assert_eq!(desk.all("command.accepted", "").len(), 3, "each once, and the report's");
    Ok(())
}

#[tokio::test]
async fn a_session_that_only_the_doctor_made_is_none() -> Result<()> {
    let mut desk = Desk::set_up(Encoding::Cbor, Layout::plugs(1)).await?;
    let diagnosis = doctor(&desk, &[]).await?;
    diagnosis.says("login", "ok", &["it keeps no session yet"])?;
    diagnosis.says("client id", "ok", &[])?;
    desk.start().await?;
    let links = desk.all("node.link", "");
    assert_eq!(links.last().map(|link| &link["body"]["session_present"]), Some(&json!(false)));
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_has_ended_or_is_of_a_stranger_is_told_by_node_and_by_broker()
-> Result<()> {
    let desk = Desk::set_up(Encoding::Json, Layout::plugs(1)).await?;
    identify(&desk.site, &expired(&desk.site)?)?;
    let diagnosis = doctor(&desk, &[]).await?;
    diagnosis.says("certificate", "wrong", &["pi-0042, expired since", "signed again"])?;
    diagnosis.says(
        "TLS",
        "wrong",
        &["does not accept this node's certificate: CertificateExpired"],
    )?;
    diagnosis.fails()?;
    identify(&desk.site, &foreign(&desk.site)?)?;
    let diagnosis = doctor(&desk, &[]).await?;
    diagnosis.says("certificate", "ok", &["pi-0042, until"])?;
    diagnosis.mistrusts("does not accept this node's certificate: UnknownCA")?;
    diagnosis.fails()
}

#[tokio::test]
async fn a_broker_that_this_node_does_not_trust_is_told_with_the_reason() -> Result<()> {
    let mut desk = Desk::set_up(Encoding::Json, Layout::plugs(1)).await?;
    let ca = desk.site.folder().join("ca.pem");
    fs::write(&ca, Authority::in_memory()?.cert_pem())?;
    let diagnosis = doctor(&desk, &[]).await?;
    diagnosis.says("TLS", "wrong", &["this node does not accept the broker's", "to ca_file"])?;
    diagnosis.fails()?;
    fs::write(&ca, desk.site.authority.cert_pem())?;
    rename_broker(&mut desk.site, "elsewhere.example").await?;
    let diagnosis = doctor(&desk, &[]).await?;
    diagnosis.says("TLS", "wrong", &["elsewhere.example", "name the broker in endpoints"])?;
    diagnosis.fails()
}

#[tokio::test]
async fn a_broker_that_is_away_is_told_by_what_of_it_is() -> Result<()> {
    let mut desk = Desk::set_up(Encoding::Cbor, Layout::plugs(1)).await?;
    desk.site.broker.stop().await?;
    let diagnosis = doctor(&desk, &[]).await?;
    diagnosis.says("name", "ok", &["127.0.0.1"])?;
    diagnosis.says("port", "wrong", &["refused", "firewall"])?;
    diagnosis.fails()?;
    desk.site.broker.start_again().await?;
    desk.agent = Some(desk.site.agent().await?);
    desk.told("node.link").await?;
    desk.site.broker.stop().await?;
    tests::program::status_says(&desk.site, "not connected").await?;
    let diagnosis = doctor(&desk, &[]).await?;
    diagnosis.says("broker link", "wrong", &["the running agent is not connected since"])?;
    diagnosis.says("port", "wrong", &["refused"])?;
    diagnosis.fails()
}

#[tokio::test]
async fn an_endpoint_that_is_away_is_no_emergency_where_another_works() -> Result<()> {
    let desk = Desk::set_up(Encoding::Cbor, Layout::plugs(1)).await?;
    let path = desk.site.folder().join("agent.toml");
    let text = fs::read_to_string(&path)?;
    fs::write(&path, text.replace("endpoints = [", "endpoints = [\"mqtts://127.0.0.1:1\", "))?;
    let diagnosis = doctor(&desk, &[]).await?;
    diagnosis.says("127.0.0.1:1 port", "warning", &["refused"])?;
    diagnosis.says("login", "ok", &[])
}

#[tokio::test]
async fn a_right_that_the_broker_does_not_give_is_told_by_its_topic() -> Result<()> {
    let mut desk = Desk::set_up(Encoding::Cbor, Layout::plugs(1)).await?;
    let rights = desk.site.broker.folder().join("rights");
    let text = fs::read_to_string(&rights)?;
    for leaf in ["telemetry", "events", "state"] {
        desk.site.broker.stop().await?;
        let line = format!("pattern write edge/v1/nodes/%u/{leaf}\n");
        ensure!(text.contains(&line), "{text}");
        fs::write(&rights, text.replace(&line, ""))?;
        desk.site.broker.start_again().await?;
        if leaf == "telemetry" {
            let diagnosis = doctor(&desk, &[]).await?;
            let found = "may not be written: 0x87 (not authorized)";
            diagnosis.says("pi-0042/telemetry", "wrong", &[found, "broker's rules"])?;
            diagnosis.fails()?;
            continue;
        }
        // The others can't be tried without saying something untrue; a running agent knows.
        let _agent = desk.site.agent().await?;
        let refused = async {
            loop {
                let diagnosis = doctor(&desk, &[]).await?;
                let line = diagnosis.line("broker rights");
                if line.is_ok_and(|line| line["state"] == "wrong") {
                    return Ok(diagnosis);
                }
            }
        };
        let diagnosis = tests::within("the agent is refused", refused).await?;
        diagnosis.says(
            "broker rights",
            "wrong",
            &["0x87", &format!("let the node write edge/v1/nodes/pi-0042/{leaf}")],
        )?;
        diagnosis.fails()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_broker_that_lets_a_node_choose_its_client_id_is_told() -> Result<()> {
    let mut desk = Desk::set_up(Encoding::Json, Layout::plugs(1)).await?;
    let config = desk.site.broker.folder().join("mosquitto.conf");
    desk.site.broker.stop().await?;
    let text = fs::read_to_string(&config)?;
    fs::write(&config, text.replace("use_username_as_clientid true", ""))?;
    desk.site.broker.start_again().await?;
    let diagnosis = doctor(&desk, &[]).await?;
    diagnosis.says(
        "client id",
        "warning",
        &["as pi-0042-doctor, too", "use_username_as_clientid"],
    )?;
    diagnosis.says("login", "ok", &["let in as pi-0042"])
}

#[tokio::test]
async fn a_key_that_others_may_read_is_told_with_the_command_that_mends_it() -> Result<()> {
    let desk = Desk::set_up(Encoding::Cbor, Layout::plugs(1)).await?;
    let key = desk.site.folder().join("node.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644))?;
    let diagnosis = doctor(&desk, &[]).await?;
    let remedy = format!("chmod 640 {}", key.display());
    diagnosis.says("key file", "wrong", &["mode 0644", &remedy])?;
    diagnosis.fails()?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640))?;
    doctor(&desk, &[]).await?.says("key file", "ok", &["mode 0640"])
}

#[tokio::test]
async fn a_plug_that_is_not_reached_or_takes_another_password_is_told() -> Result<()> {
    let locked = Profile { password: Some("secret words".to_owned()), ..Profile::tasmota_14_4() };
    let layout = Layout { plugs: vec![locked, Profile::tasmota_14_4()], ..Layout::plugs(0) };
    let mut desk = Desk::set_up(Encoding::Json, layout).await?;
    desk.plug(2).set_fault(Fault::Unreachable);
    for running in [false, true] {
        if running {
            desk.start().await?;
        }
        let diagnosis = doctor(&desk, &[]).await?;
        diagnosis.says("outlet plug-1", "wrong", &["password"])?;
        diagnosis.says("outlet plug-2", "wrong", &["url"])?;
        diagnosis.fails()?;
    }
    Ok(())
}

#[tokio::test]
async fn a_node_without_a_configuration_or_with_a_wrong_one_is_examined_as_far_as_it_goes()
-> Result<()> {
    let desk = Desk::open(Encoding::Json, 1).await?;
    let path = desk.site.folder().join("agent.toml");
    let good = fs::read_to_string(&path)?;
    let wrong_name = good.replace("[node]\n", "[node]\nid = \"pi-0043\"\n");
    for (text, words) in [
        (Some(wrong_name), "id must be the certificate's common name, which is pi-0042"),
        (Some(good.replace("[node]", "[node")), "unclosed table"),
        (None, "can't be read"),
    ] {
        match &text {
            Some(text) => fs::write(&path, text)?,
            None => fs::remove_file(&path)?,
        }
        let diagnosis = doctor(&desk, &[]).await?;
        assert_eq!(diagnosis.said.code, Some(78));
        diagnosis.says("configuration", "wrong", &["agent.toml", words])?;
        diagnosis.line("clock")?;
        diagnosis.line("free space")?;
        diagnosis.line("agent")?;
    }
    // What runs goes on with the configuration that it read, and so do those who only ask it.
    fs::write(&path, good.replace("driver = \"tasmota\"", "driver = \"toaster\""))?;
    let said = at_site(&desk.site, &["outlet", "plug-1", "on"]).await?;
    assert_eq!(said.code, Some(0), "{}", said.err);
    fs::write(&path, format!("{good}\n# changed\n"))?;
    let diagnosis = doctor(&desk, &[]).await?;
    diagnosis.says("agent", "warning", &["the configuration as it was before", "restart"])?;
    desk.goes(1, true).await
}

#[tokio::test]
async fn an_agent_that_hangs_is_neither_taken_for_none_nor_disturbed() -> Result<()> {
    let desk = Desk::open(Encoding::Cbor, 1).await?;
    let (before, asked) = (logins(&desk), desk.plug(1).requests().len());
    let agent = desk.agent.as_ref().context("it runs")?;
    fs::remove_file(desk.site.socket())?;
    agent.signal(nix::sys::signal::Signal::SIGSTOP)?;
    let diagnosis = doctor(&desk, &[]).await?;
    agent.signal(nix::sys::signal::Signal::SIGCONT)?;
    diagnosis.says("agent", "wrong", &["systemctl restart edge-agent"])?;
    assert_eq!(logins(&desk), before);
    assert!(diagnosis.line("outlet plug-1").is_err(), "its plug was left alone");
    assert!(desk.plug(1).requests().len() <= asked + 2, "and was not asked by two");
    Ok(())
}

#[tokio::test]
async fn a_setting_that_makes_a_plug_unsafe_is_told_and_mended_once_and_only_outside_a_session()
-> Result<()> {
    let mut desk = Desk::open(Encoding::Json, 1).await?;
    desk.plug(1).console("PowerOnState 3");
    let diagnosis = doctor(&desk, &[]).await?;
    let why = "is 3 and should be 0: after a power failure the relay comes back on";
    diagnosis.says("outlet plug-1 PowerOnState", "wrong", &[why, "edge-agent doctor --fix"])?;
    diagnosis.fails()?;
    let start = json!({ "session": "s-1", "station": "pc-1", "duration_ms": 60_000 });
    desk.ask("session.start", start).await?;
    desk.told("session.started").await?;
    let writes = desk.plug(1).flash_writes();
    let diagnosis = doctor(&desk, &["--fix"]).await?;
    diagnosis.says("outlet plug-1 PowerOnState", "wrong", &[why])?;
    diagnosis.says("outlet plug-1 settings", "warning", &["session s-1 owns plug-1"])?;
    assert_eq!(diagnosis.json["changed"], json!([]));
    assert_eq!(desk.plug(1).flash_writes(), writes, "nothing is written within a session");
    desk.ask("session.end", json!({ "session": "s-1", "immediate": true })).await?;
    desk.told("session.ended").await?;
    for agent_runs in [true, false] {
        if !agent_runs {
            desk.agent.take().context("it runs")?.stop().await?;
            desk.plug(1).console("PowerOnState 1");
        }
        let diagnosis = doctor(&desk, &["--fix"]).await?;
        assert_eq!(diagnosis.json["agent_runs"], agent_runs);
        let changed = diagnosis.json["changed"].to_string();
        assert!(changed.contains("outlet plug-1: PowerOnState was"), "{changed}");
        diagnosis.says("outlet plug-1 PowerOnState", "ok", &["0"])?;
        let writes = desk.plug(1).flash_writes();
        let diagnosis = doctor(&desk, &["--fix"]).await?;
        assert_eq!(diagnosis.json["changed"], json!([]), "nothing differs any more");
        assert_eq!(desk.plug(1).flash_writes(), writes, "so nothing is written");
    }
    assert!(!desk.plug(1).is_on(1));
    Ok(())
}
