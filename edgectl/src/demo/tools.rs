//! What the demo needs on this machine: the agent, built, and mosquitto.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;

use edgectl::lab::agent::find_agent;
use edgectl::lab::mosquitto::{find_mosquitto, install_mosquitto};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};

use super::Trouble;
use super::screen::Screen;

/// Builds the agent where cargo runs us, and looks that it is there.
///
/// # Errors
/// [`Trouble::Build`], [`Trouble::Agent`], [`Trouble::Screen`].
pub(crate) async fn agent(screen: &mut Screen) -> Result<(), Trouble> {
    if let Some(cargo) = env::var_os("CARGO") {
        screen.preparing("building", "building edge-agent; the first time takes a few minutes")?;
        screen.busy(build(&cargo)).await??;
    }
    find_agent()?;
    Ok(())
}

/// Installs mosquitto where it is missing and that is allowed.
///
/// # Errors
/// [`Trouble::Install`], [`Trouble::Screen`].
pub(crate) async fn broker(screen: &mut Screen) -> Result<(), Trouble> {
    if find_mosquitto().is_some() {
        return Ok(());
    }
    screen.preparing("installing", "installing mosquitto, the broker between café and node")?;
    // A package manager that is stopped half way leaves a mess, so this one is waited for even
    // when the demo is interrupted.
    let install = tokio::task::spawn_blocking(install_mosquitto);
    screen.busy(install).await?.expect("nobody aborts it and it does not panic")?;
    let note = "installed; if Debian started one of its own, `apt-get remove mosquitto` ends it";
    screen.preparing("installed", note)
}

async fn build(cargo: &OsStr) -> Result<(), Trouble> {
    let failed = |error: std::io::Error| Trouble::Build(error.to_string());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "edge-agent"]).args(profile());
    if let Some(folder) = env::var_os("CARGO_MANIFEST_DIR") {
        command.arg("--manifest-path").arg(Path::new(&folder).join("Cargo.toml"));
    }
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_our_own_build(name)) {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut build = Build(command.process_group(0).spawn().map_err(failed)?);
    let mut said = String::new();
    let mut stderr = build.0.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut said).await.map_err(failed)?;
    let status = build.0.wait().await.map_err(failed)?;
    if status.success() { Ok(()) } else { Err(Trouble::Build(said)) }
}

/// A build with its compilers. Dropped before its end, all of them are ended.
struct Build(Child);

impl Drop for Build {
    fn drop(&mut self) {
        // None once it was waited for: only a group that is ours is signalled.
        if let Some(pid) = self.0.id().and_then(|pid| i32::try_from(pid).ok()) {
            // Fails only for a group that is gone already.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The profile that we were built with, since the agent is looked for beside us: cargo names the
/// folder of a profile after it, but for `dev`.
fn profile() -> [OsString; 2] {
    let program = env::current_exe().unwrap_or_default();
    let folder = program.parent().and_then(Path::file_name).unwrap_or(OsStr::new("debug"));
    let name = if folder == "debug" { OsStr::new("dev") } else { folder };
    ["--profile".into(), name.into()]
}

/// What cargo tells a program about the program's own package. Build scripts watch some of it, so
/// that passing it on would build much of the workspace again, here and at the next `cargo run`.
fn is_of_our_own_build(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let families = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];
    let names = ["CARGO", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "CARGO_TARGET_TMPDIR"];
    families.iter().any(|family| name.starts_with(family)) || names.contains(&&*name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_inherits_the_users_settings_and_nothing_about_our_own_package() {
        for ours in ["CARGO", "CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_BIN_EXE_edgectl"] {
            assert!(is_of_our_own_build(OsStr::new(ours)), "{ours}");
        }
        for theirs in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_BUILD_JOBS", "RUSTFLAGS"] {
            assert!(!is_of_our_own_build(OsStr::new(theirs)), "{theirs}");
        }
    }
}
