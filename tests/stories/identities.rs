//! Certificates that are wrong on either side: nobody is let in, the agent stays up, ends its
//! sessions, and says what is wrong; it never hammers at the door.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use edge_protocol::codec::Encoding;
use edge_protocol::event::What;
use edgectl::ca::Authority;
use tests::identity::{
    connects, ending_in, expired, foreign, identify, postdate_broker, rename_broker,
};
use tests::plug::goes_off;
use tests::program::{at_site, check, status, status_says};
use tests::{Story, start, within};

/// With reconnects between 50 ms and 1 s, a story of some seconds has no more.
const MOST_CONNECTS: usize = 30;

/// A session lives through a restart after which `spoil` keeps the agent and the broker apart;
/// `says` is why, in the words of `edge-agent status`. Once mended, the control plane hears all.
async fn apart(
    spoil: impl AsyncFn(&mut Story) -> Result<()>,
    says: &str,
    mend: impl AsyncFn(&mut Story) -> Result<()>,
) -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    let agent = story.agent().await?;
    story.send(start("s-1", 3_000)).await?;
    story.told("session.started").await?;
    agent.stop().await?;
    spoil(&mut story).await?;
    let connects_before = connects(&story.site);
    let agent = story.site.agent().await?;
    let said = status_says(&story.site, says).await?;
    assert!(said.contains("\nsession  s-1 on pc-1: active"), "{said}");
    goes_off(&story.plug).await?;
    status_says(&story.site, says).await?;
    let connects = connects(&story.site) - connects_before;
    assert!((1..=MOST_CONNECTS).contains(&connects), "{connects} connects");
    agent.stop().await?;
    mend(&mut story).await?;
    let _agent = story.site.agent().await?;
    let late_ms = story.event("session.ended", |event| match &event.what {
        What::SessionEnded(ended) => Some(ended.late_ms),
        _ => None,
    });
    assert!(late_ms.await? <= 1_000);
    Ok(())
}

async fn identified_again(story: &mut Story) -> Result<()> {
    identify(&story.site, &story.site.authority.issue_node(&story.site.node)?)
}

#[tokio::test]
async fn a_broker_that_does_not_know_the_nodes_authority() -> Result<()> {
    let spoil = async |story: &mut Story| identify(&story.site, &foreign(&story.site)?);
    let says = "the broker does not accept this node's certificate: UnknownCA";
    apart(spoil, says, identified_again).await
}

#[tokio::test]
async fn a_node_whose_certificate_has_expired() -> Result<()> {
    let spoil = async |story: &mut Story| {
        identify(&story.site, &expired(&story.site)?)?;
        let said = check(&story.site.folder().join("agent.toml")).await?;
        assert_eq!(said.code, Some(0), "its sessions must still end: {}", said.err);
        assert!(said.err.contains("has expired: renew it"), "{}", said.err);
        Ok(())
    };
    let says = "the broker does not accept this node's certificate: CertificateExpired";
    apart(spoil, says, identified_again).await
}

#[tokio::test]
async fn a_node_that_does_not_know_the_brokers_authority() -> Result<()> {
    let write_ca = |story: &Story, authority: &Authority| {
        fs::write(story.site.folder().join("ca.pem"), authority.cert_pem())
    };
    let spoil = async |story: &mut Story| Ok(write_ca(story, &Authority::in_memory()?)?);
    let mend = async |story: &mut Story| Ok(write_ca(story, &story.site.authority)?);
    apart(spoil, "this node does not accept the broker's certificate", mend).await
}

#[tokio::test]
async fn a_broker_whose_certificate_bears_another_name() -> Result<()> {
    let spoil = async |story: &mut Story| rename_broker(&mut story.site, "elsewhere.example").await;
    let mend = async |story: &mut Story| rename_broker(&mut story.site, "localhost").await;
    let says = "certificate is only valid for DnsName(\"elsewhere.example\")";
    apart(spoil, says, mend).await
}

#[tokio::test]
async fn a_node_whose_clock_is_behind_the_brokers_certificate() -> Result<()> {
    let spoil = async |story: &mut Story| postdate_broker(&mut story.site).await;
    let mend = async |story: &mut Story| rename_broker(&mut story.site, "localhost").await;
    let says = "this node does not accept the broker's certificate: certificate not valid yet";
    apart(spoil, says, mend).await
}

#[tokio::test]
async fn a_certificate_that_ends_within_a_session_ends_nothing_else() -> Result<()> {
    let mut story = Story::new(Encoding::Cbor).await?;
    identify(&story.site, &ending_in(&story.site, Duration::from_secs(8))?)?;
    let agent = story.agent().await?;
    story.send(start("s-1", 12_000)).await?;
    story.told("session.started").await?;
    // Whoever is connected stays so; a connect after the end has to prove itself anew, and can't.
    let says = "the broker does not accept this node's certificate: CertificateExpired";
    let ended = within("a connect after the certificate's end", async {
        loop {
            let said = status(&story.site).await?.out;
            if said.contains(says) {
                return Ok(said);
            }
            if said.contains("\nbroker   connected") {
                story.site.broker.stop().await?;
                story.site.broker.start_again().await?;
            }
        }
    });
    let said = ended.await?;
    assert!(said.contains("\nsession  s-1 on pc-1: active"), "{said}");
    goes_off(&story.plug).await?;
    identified_again(&mut story).await?;
    let examined = at_site(&story.site, &["doctor"]).await?.out;
    assert!(examined.contains("with another certificate than cert_file has now"), "{examined}");
    agent.stop().await?;
    let _agent = story.site.agent().await?;
    let late_ms = story.event("session.ended", |event| match &event.what {
        What::SessionEnded(ended) => Some(ended.late_ms),
        _ => None,
    });
    assert!(late_ms.await? <= 1_000);
    Ok(())
}

#[tokio::test]
async fn a_node_id_that_is_not_the_certificates_is_found_before_anything_runs() -> Result<()> {
    let story = Story::new(Encoding::Json).await?;
    let path = story.site.folder().join("agent.toml");
    let config = fs::read_to_string(&path)?;
    fs::write(&path, config.replace("[node]\n", "[node]\nid = \"pi-0043\"\n"))?;
    let said = check(&path).await?;
    assert_eq!(said.code, Some(78));
    let place = format!("{}:2: ", path.display());
    assert!(said.err.contains(&place) && said.err.contains("pi-0042"), "{}", said.err);
    let run = ["run", "--config", path.to_str().unwrap()];
    assert_eq!(tests::program::edge_agent(run).await?.code, Some(78));
    Ok(())
}
