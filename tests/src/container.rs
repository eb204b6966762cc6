//! A Debian with systemd as its first process, in a container of its own that shares this machine's
//! network: for what only a real systemd does to the agent.
//!
//! Needs root, systemd-nspawn and a root file system: `tests/under-systemd` brings them.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use edgectl::lab::agent::find_agent;
use edgectl::lab::site::Site;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::within;

/// The service, as systemd knows it.
const UNIT: &str = "edge-agent.service";
/// Nobody tells when a unit changes its state: so it is looked at this often.
const LOOK: Duration = Duration::from_millis(50);

/// A machine that is not running yet: a root file system with the agent installed.
#[derive(Debug)]
pub struct Machine {
    folder: TempDir,
}

/// A running machine. Dropped, it is off.
#[derive(Debug)]
pub struct Container {
    supervisor: Child,
    first: Pid,
    // After the processes that use it.
    machine: Machine,
}

impl Machine {
    /// A copy of the root file system that `EDGE_AGENT_CONTAINER_ROOT` names, and the agent in it by
    /// `provisioning/install`.
    ///
    /// # Errors
    /// There is no such root, or the agent can't be installed.
    pub async fn new() -> Result<Self> {
        let machine = Self::bare().await?;
        machine.install().await?;
        Ok(machine)
    }

    /// A copy of that root file system, without the agent.
    ///
    /// # Errors
    /// There is no such root.
    pub async fn bare() -> Result<Self> {
        let base = std::env::var("EDGE_AGENT_CONTAINER_ROOT").context(
            "EDGE_AGENT_CONTAINER_ROOT names no root file system: run tests/under-systemd",
        )?;
        let folder = tempfile::Builder::new().prefix("edge-machine-").tempdir()?;
        let machine = Self { folder };
        let copied = Command::new("cp").arg("-a").arg(base).arg(machine.root()).status().await?;
        ensure!(copied.success(), "the root file system can't be copied");
        fs::write(machine.root().join("etc/hosts"), "127.0.0.1 localhost\n")?;
        Ok(machine)
    }

    /// Its root file system, seen from this machine.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Installs the agent that was built with these tests; says what the installer said.
    ///
    /// # Errors
    /// The installer fails.
    pub async fn install(&self) -> Result<String> {
        let installer = Path::new(env!("CARGO_MANIFEST_DIR")).join("../provisioning/install");
        let mut installing = Command::new(installer);
        installing.arg("--root").arg(self.root()).arg("--binary").arg(find_agent()?);
        let output = installing.output().await?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(said)
    }

    /// Puts the site's configuration and identity where the service reads them, owned as on a node.
    ///
    /// # Errors
    /// They can't be written.
    pub fn configure(&self, site: &Site) -> Result<()> {
        let etc = self.root().join("etc/edge-agent");
        let user = self.number("etc/passwd", "edge-agent")?;
        let group = self.number("etc/group", "edge-agent")?;
        let here = site.folder().display().to_string();
        let config = fs::read_to_string(site.folder().join("agent.toml"))?
            .replace(&format!("{here}/data"), "/var/lib/edge-agent")
            .replace(&format!("{here}/control.sock"), "/run/edge-agent/control.sock")
            .replace(&here, "/etc/edge-agent")
            .replace("source = \"trusted\"", "source = \"auto\"");
        fs::write(etc.join("agent.toml"), config)?;
        for name in ["ca.pem", "node.pem", "node.key"] {
            fs::copy(site.folder().join(name), etc.join(name))?;
            chown(etc.join(name), Some(user), Some(group))?;
        }
        let scripts = site.folder().join("scripts");
        for script in fs::read_dir(scripts)? {
            let script = script?;
            let there = etc.join("scripts").join(script.file_name());
            fs::copy(script.path(), &there)?;
            chown(there, None, Some(group))?;
        }
        Ok(())
    }

    /// The number that its `/etc/passwd` or `/etc/group` gives `name`.
    fn number(&self, table: &str, name: &str) -> Result<u32> {
        let table = fs::read_to_string(self.root().join(table))?;
        let mut lines = table.lines().map(|line| line.split(':').collect::<Vec<_>>());
        let line = lines.find(|line| line[0] == name).context("the installer makes it")?;
        Ok(line[2].parse()?)
    }

    /// Starts it and returns once its services are up.
    ///
    /// # Errors
    /// It does not come up.
    pub async fn boot(self) -> Result<Container> {
        let program = std::env::var("EDGE_AGENT_NSPAWN").unwrap_or("systemd-nspawn".to_owned());
        let supervisor = Command::new(program)
            .args(["--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe"])
            // A container's own filter forbids what a machine's systemd leaves to the unit's.
            .arg("--system-call-filter=adjtimex clock_adjtime")
            .arg("-D")
            .arg(self.root())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .context("systemd-nspawn")?;
        let pid = supervisor.id().context("it runs")?;
        let mut container = Container { first: Pid::from_raw(0), supervisor, machine: self };
        within("the container is up", async {
            loop {
                tokio::time::sleep(LOOK).await;
                if let Some(status) = container.supervisor.try_wait()? {
                    bail!("systemd-nspawn ended: {status}");
                }
                // Not the one that was seen at first: that only makes it.
                let Some(first) = child(pid)? else { continue };
                container.first = first;
                let (_, state) = container.run("systemctl", &["is-system-running"]).await?;
                if matches!(state.trim(), "running" | "degraded") {
                    return Ok(());
                }
            }
        })
        .await?;
        Ok(container)
    }
}

impl Container {
    /// Runs a program in it: whether it succeeded, and all that it said.
    ///
    /// # Errors
    /// It can't be run.
    pub async fn run(&self, program: &str, arguments: &[&str]) -> Result<(bool, String)> {
        let mut inside = Command::new("nsenter");
        inside.arg("--target").arg(self.first.to_string()).args(["--all", program]);
        let output = inside.args(arguments).stdin(Stdio::null()).output().await?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// As [`Self::run`] for a program that has to succeed.
    ///
    /// # Errors
    /// It fails.
    pub async fn must(&self, program: &str, arguments: &[&str]) -> Result<String> {
        let (succeeded, said) = self.run(program, arguments).await?;
        ensure!(succeeded, "{program} {arguments:?}: {said}");
        Ok(said)
    }

    /// What systemd knows of the service under the name `property`.
    ///
    /// # Errors
    /// It can't be asked.
    pub async fn property(&self, property: &str) -> Result<String> {
        let said = self.must("systemctl", &["show", "--value", "-p", property, UNIT]).await?;
        Ok(said.trim().to_owned())
    }

    /// Waits until that property is as wanted.
    ///
    /// # Errors
    /// It never is.
    pub async fn until(&self, property: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        within(property, async {
            while !wanted(&self.property(property).await?) {
                tokio::time::sleep(LOOK).await;
            }
            Ok(())
        })
        .await
    }

    /// Tells systemd to do something with the service and waits until it has.
    ///
    /// # Errors
    /// It fails.
    pub async fn service(&self, verb: &str) -> Result<()> {
        self.must("systemctl", &[verb, UNIT]).await.map(|_| ())
    }

    /// Sends the agent a signal, as somebody on that machine could.
    ///
    /// # Errors
    /// There is no agent.
    pub async fn signal(&self, signal: Signal) -> Result<()> {
        let signal = format!("--signal={}", signal.as_str());
        self.must("systemctl", &["kill", "--kill-whom=main", &signal, UNIT]).await.map(|_| ())
    }

    /// Installs a Debian package that lies on this machine; says what dpkg said.
    ///
    /// # Errors
    /// dpkg fails.
    pub async fn unpack(&self, package: &Path) -> Result<String> {
        // Not in /tmp: the container has one of its own.
        fs::copy(package, self.machine.root().join("root/edge-agent.deb"))?;
        self.must("dpkg", &["-i", "/root/edge-agent.deb"]).await
    }

    /// The machine, to change its files while it runs.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // The end of its first process ends them all; the supervisor, waited for later, follows it.
        if self.first.as_raw() > 0 {
            let _ = kill(self.first, Signal::SIGKILL);
        }
        let _ = self.supervisor.start_kill();
    }
}

/// The process that `pid` started.
fn child(pid: u32) -> Result<Option<Pid>> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(children.split_whitespace().next().map(str::parse).transpose()?.map(Pid::from_raw))
}
