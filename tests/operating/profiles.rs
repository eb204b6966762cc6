//! The profile, completions and manual pages: no node is asked.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use anyhow::Result;
use tests::operator::{Operator, edgectl, said, with_profile};
use tests::program::Said;
use tests::within;
use tokio::io::AsyncReadExt as _;
use tokio::process::Child;

use crate::{Shift, says};

/// Runs `edgectl` as a user whose configuration is in `home`.
async fn at_home(home: &Path, words: &[&str]) -> Result<Said> {
    let mut command = edgectl(words)?;
    command.env("XDG_CONFIG_HOME", home.join("config"));
    said(command).await
}

#[tokio::test]
async fn without_a_profile_every_command_says_how_to_make_one() -> Result<()> {
    let home = tempfile::tempdir()?;
    for line in ["watch", "report", "profile check", "session end pc-1"] {
        let words: Vec<&str> = line.split(' ').collect();
        let said = at_home(home.path(), &words).await?;
        assert_eq!((said.code, said.out.as_str()), (Some(78), ""), "{line}: {said:?}");
        let told =
            ["there is no profile at ", "config/edgectl/profile.toml", "edgectl profile write"];
        assert!(says(&said.err, &told), "{line}: {said:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_profile_is_written_checked_and_used_where_xdg_says() -> Result<()> {
    let shift = Shift::begin().await?;
    let home = tempfile::tempdir()?;
    let folder = shift.operator.profile.parent().expect("it is in a folder");
    let broker = format!("mqtts://localhost:{}", shift.story.site.broker.operator_port());
    let (ca, cert, key) =
        (folder.join("../ca.pem"), folder.join("operator.pem"), folder.join("operator.key"));
    let paths = [ca, cert, key].map(|path| path.display().to_string());
    let write = [
        "profile", "write", "--broker", &broker, "--ca", &paths[0], "--cert", &paths[1], "--key",
        &paths[2],
    ];
    let wrote = at_home(home.path(), &write).await?;
    assert_eq!(wrote.code, Some(0), "{wrote:?}");
    let again = at_home(home.path(), &write).await?;
    assert_eq!(again.code, Some(73), "it overwrites nothing: {again:?}");
    assert!(again.err.contains("--force"), "{again:?}");

    let said = at_home(home.path(), &["profile", "check"]).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let told = [
        "profile.toml: ok",
        "operator-lab, until ",
        "several edgectl at a time",
        "1 node is known there: pi-0042",
    ];
    assert!(says(&said.out, &told), "{said:?}");

    let said = at_home(home.path(), &["report"]).await?;
    assert_eq!(said.code, Some(64), "no node is named: {said:?}");
    assert!(says(&said.err, &["which node?", "--node", "profile.toml"]), "{said:?}");
    let said = at_home(home.path(), &["report", "--node", "pi-0042"]).await?;
    assert_eq!(said.code, Some(0), "{said:?}");
    let mut more = write.to_vec();
    more.extend(["--node", "pi-0042", "--force"]);
    assert_eq!(at_home(home.path(), &more).await?.code, Some(0));
    assert_eq!(at_home(home.path(), &["report"]).await?.code, Some(0), "its node is the profile's");
    Ok(())
}

#[tokio::test]
async fn a_profile_that_makes_no_sense_is_refused_by_its_file_and_reason() -> Result<()> {
    let shift = Shift::begin().await?;
    let site = &shift.story.site;
    let path = &shift.operator.profile;
    let good = fs::read_to_string(path)?;
    let mistakes = [
        ("broker = ", "brokers = ", "unknown field `brokers`"),
        ("mqtts://", "mqtt://", "must be mqtts://HOST"),
        ("../ca.pem", "../no.pem", "can't read the authority's certificate (ca)"),
        ("operator.pem", "no.pem", "can't read the certificate (cert)"),
        ("operator.key", "no.key", "can't read the key (key)"),
        ("key = \"operator.key\"", "key = \"../node.key\"", "don't work together"),
        (
            "cert = \"operator.pem\"",
            "cert = \"operator.key\"",
            "cert, operator.key: it is no certificate",
        ),
        ("node = \"pi-0042\"", "node = \"pi 42\"", "is not an id"),
        ("node = ", "topic_root = \"a/#\"\nnode = ", "without wildcards"),
    ];
    for (right, wrong, reason) in mistakes {
        assert!(good.contains(right), "{right}");
        fs::write(path, good.replacen(right, wrong, 1))?;
        let said = shift.operator.types("report").await?;
        assert_eq!((said.code, said.out.as_str()), (Some(78), ""), "{wrong}: {said:?}");
        assert!(says(&said.err, &["profile.toml", reason]), "{wrong}: {said:?}");
    }
    let validity = edgectl::ca::Validity::days(1)?;
    let planes = site.profile(Some(site.operators.issue_control_plane(validity)?))?;
    let said = with_profile(&planes, "report").await?;
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(
        says(&said.err, &["the control plane's own certificate", "ca sign --operator"]),
        "{said:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_broker_that_gives_each_certificate_one_client_id_is_found_out() -> Result<()> {
    let shift = Shift::begin().await?;
    let site = &shift.story.site;
    // The nodes' own port does so; it takes certificates of the nodes' authority.
    let validity = edgectl::ca::Validity::days(1)?;
    let profile = site.profile(Some(site.authority.issue_operator("lab", validity)?))?;
    let ports = (site.broker.operator_port().to_string(), site.broker.port().to_string());
    fs::write(&profile, fs::read_to_string(&profile)?.replace(&ports.0, &ports.1))?;
    let said = with_profile(&profile, "profile check").await?;
    assert_eq!(said.code, Some(69), "{said:?}");
    assert!(
        says(&said.err, &["gives each certificate one client id", "docs/edgectl.md"]),
        "{said:?}"
    );
    // One at a time works there all the same; of two one gives way, and they don't fight.
    assert_eq!(with_profile(&profile, "report").await?.code, Some(0));
    let watch = || -> Result<Child> {
        let mut command = Operator { profile: profile.clone() }.command("--json watch")?;
        Ok(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?)
    };
    let (mut one, mut other) = (watch()?, watch()?);
    let gives_way = within("one gives way", async {
        tokio::select! {
            code = one.wait() => Ok((code?, one.stderr.take(), other)),
            code = other.wait() => Ok((code?, other.stderr.take(), one)),
        }
    });
    let (status, words, mut stays) = gives_way.await?;
    let mut said = String::new();
    words.expect("it is piped").read_to_string(&mut said).await?;
    assert_eq!(status.code(), Some(69), "{said}");
    assert!(said.contains("use a certificate for each edgectl"), "{said}");
    assert_eq!(stays.try_wait()?, None, "the other goes on");
    Ok(())
}

#[tokio::test]
async fn an_expired_certificate_is_told_before_the_broker_is_asked() -> Result<()> {
    let shift = Shift::begin().await?;
    let site = &shift.story.site;
    let profile = site.profile(Some(tests::identity::expired(site)?))?;
    let said = with_profile(&profile, "profile check").await?;
    assert_eq!(said.code, Some(78), "{said:?}");
    assert!(says(&said.err, &["expired on ", "get a new one"]), "{said:?}");
    Ok(())
}

#[tokio::test]
async fn completions_and_manual_pages_know_every_command() -> Result<()> {
    let home = tempfile::tempdir()?;
    for shell in ["bash", "zsh", "fish"] {
        let said = at_home(home.path(), &["completions", shell]).await?;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{shell}");
        for word in ["session", "watch", "extend", "profile"] {
            assert!(said.out.contains(word), "{word} is not in the completions for {shell}");
        }
    }
    let pages = home.path().join("man1");
    let out = pages.display().to_string();
    assert_eq!(at_home(home.path(), &["man", "--out", &out]).await?.code, Some(0));
    for page in ["edgectl.1", "edgectl-session-start.1", "edgectl-watch.1", "edgectl-ca-sign.1"] {
        let text = fs::read_to_string(pages.join(page))?;
        assert!(text.contains(".TH"), "{page}: {text}");
    }
    Ok(())
}

#[tokio::test]
async fn help_is_an_answer_for_every_command() -> Result<()> {
    let lines = [
        "--help",
        "watch --help",
        "session --help",
        "session start --help",
        "outlet cycle --help",
        "task submit --help",
        "schedule put --help",
        "profile write --help",
        "resend --help",
    ];
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        let said = said(edgectl(&words)?).await?;
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{line}");
        assert!(said.out.contains("Usage: edgectl"), "{line}: {}", said.out);
    }
    Ok(())
}
