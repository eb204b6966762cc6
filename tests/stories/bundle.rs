//! `edge-agent doctor --bundle`: what somebody far away needs to see, and no secret.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context as _, Result};
use edge_protocol::codec::Encoding;
use plug_sim::Profile;
use serde_json::Value;
use tests::desk::{Desk, Layout};
use tests::diagnosis::doctor;

/// The files of a bundle, by name.
fn unpacked(bundle: &std::path::Path) -> Result<BTreeMap<String, String>> {
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(fs::File::open(bundle)?));
    let mut files = BTreeMap::new();
    for entry in tar.entries()? {
        let mut entry = entry?;
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        files.insert(entry.path()?.display().to_string(), text);
    }
    Ok(files)
}

#[tokio::test]
async fn a_bundle_holds_what_support_needs_and_no_secret_of_the_node() -> Result<()> {
    const PASSWORD: &str = "corr\"ect horse/battery";
    let locked = Profile { password: Some(PASSWORD.to_owned()), ..Profile::tasmota_14_4() };
    let mut desk =
        Desk::set_up(Encoding::Json, Layout { plugs: vec![locked], ..Layout::plugs(0) }).await?;
    let folder = desk.site.folder().to_owned();
    let password_file = folder.join("plug-1.password");
    fs::write(&password_file, format!("{PASSWORD}\n"))?;
    fs::set_permissions(&password_file, fs::Permissions::from_mode(0o600))?;
    let path = folder.join("agent.toml");
    let text = fs::read_to_string(&path)?;
    let with = format!("driver = \"tasmota\"\npassword_file = \"{}\"", password_file.display());
    fs::write(&path, text.replace("driver = \"tasmota\"", &with))?;
    desk.start().await?;
    // Somebody wrote it where it does not belong: the configuration is wrong, and is sent all the same.
    let text = fs::read_to_string(&path)?;
    let misplaced = format!("\npassword = \"tr0ub4dor\"\n# it is {PASSWORD}\n");
    fs::write(&path, text.replace("\n[[station]]", &(misplaced + "[[station]]")))?;
    let bundle = folder.join("bundle.tar.gz");
    let diagnosis = doctor(&desk, &["--bundle", bundle.to_str().context("a path")?]).await?;
    assert_eq!(diagnosis.said.code, Some(78));
    let files = unpacked(&bundle)?;
    let names: Vec<_> = files.keys().map(|name| name.trim_start_matches("edge-agent/")).collect();
    for name in ["agent.toml", "doctor.json", "doctor.txt", "machine.json", "status.json"] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    let key = fs::read_to_string(folder.join("node.key"))?;
    let of_key = key.lines().filter(|line| !line.starts_with('-'));
    for secret in of_key.chain([PASSWORD, "corr\\\"ect horse/battery", "tr0ub4dor"]) {
        for (name, text) in &files {
            assert!(!text.contains(secret), "{secret} is in {name}");
        }
    }
    let config = &files["edge-agent/agent.toml"];
    assert!(config.contains("plug-1.password"), "where it is may be told: {config}");
    let status: Value = serde_json::from_str(&files["edge-agent/status.json"])?;
    assert_eq!(status["state"]["node"], "pi-0042");
    let mode = fs::metadata(&bundle)?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for the operator's eyes");
    Ok(())
}
