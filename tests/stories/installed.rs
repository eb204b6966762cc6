//! `provisioning/install` into a root directory.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Result;
use edgectl::lab::agent::find_agent;
use nix::unistd::geteuid;

fn install(root: &Path, more: &[&str]) -> Result<Output> {
    let installer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../provisioning/install");
    let mut command = Command::new(installer);
    command.arg("--root").arg(root).arg("--binary").arg(find_agent()?).args(more);
    Ok(command.output()?)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The permissions of a file or folder of that root.
fn mode(root: &Path, path: &str) -> Result<u32> {
    Ok(fs::metadata(root.join(path))?.permissions().mode() & 0o7777)
}

fn configuration(root: &Path) -> PathBuf {
    root.join("etc/edge-agent/agent.toml")
}

#[test]
fn an_installation_is_whole_and_once_is_as_good_as_twice() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    fs::create_dir(root.join("etc"))?;
    let first = install(root, &[])?;
    if !geteuid().is_root() {
        assert_eq!(first.status.code(), Some(77), "{}", text(&first.stderr));
        assert!(text(&first.stderr).contains("run it as root"));
        assert_eq!(fs::read_dir(root)?.count(), 1, "nothing half done");
        return Ok(());
    }
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert_eq!(mode(root, "usr/bin/edge-agent")?, 0o755);
    assert_eq!(mode(root, "etc/edge-agent")?, 0o750);
    assert_eq!(mode(root, "etc/edge-agent/agent.toml")?, 0o640);
    assert!(fs::read_to_string(root.join("etc/passwd"))?.contains("edge-agent:"));
    let wanted = root.join("etc/systemd/system/multi-user.target.wants/edge-agent.service");
    assert!(fs::symlink_metadata(wanted)?.is_symlink(), "it starts with the machine");

    fs::write(configuration(root), "# mine\n")?;
    let second = install(root, &[])?;
    assert!(text(&second.stdout).contains("nothing to change"), "{}", text(&second.stdout));
    assert_eq!(fs::read_to_string(configuration(root))?, "# mine\n", "what is there stays");

    let given = folder.path().join("given.toml");
    fs::write(&given, "# theirs\n")?;
    let third = install(root, &["--config", given.to_str().unwrap()])?;
    assert!(third.status.success(), "{}", text(&third.stderr));
    assert_eq!(fs::read_to_string(configuration(root))?, "# theirs\n");
    assert_eq!(mode(root, "etc/edge-agent/agent.toml")?, 0o640);
    Ok(())
}

#[test]
fn an_installation_that_cannot_be_says_why_and_does_nothing() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (arguments, code, reason) in [
        (vec!["--surprise"], 64, "unknown argument --surprise"),
        (vec!["--binary", "/no/such/program"], 66, "there is no /no/such/program"),
        (vec!["--config", "/no/such/file"], 66, "/no/such/file can't be read"),
    ] {
        let output = install(folder.path(), &arguments)?;
        let expected = if code == 66 && !geteuid().is_root() { 77 } else { code };
        assert_eq!(output.status.code(), Some(expected), "{}", text(&output.stderr));
        if expected == code {
            assert!(text(&output.stderr).contains(reason), "{}", text(&output.stderr));
        }
        assert_eq!(fs::read_dir(folder.path())?.count(), 0);
    }
    Ok(())
}
