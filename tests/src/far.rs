//! Another machine, reached over ssh: a copy of this one's files that forgets what was written, with a real
//! sshd on a loopback port of its own, its own host key and one user who may come in.
//!
//! It is made by a mount namespace and an overlay, so it needs root. No systemd runs on it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use edgectl::lab::agent::{find_agent, find_built};
use tempfile::TempDir;

use crate::program::Said;
use crate::within;

/// What it becomes before its sshd runs: this machine's files below, a memory above, nothing of its own yet.
const BEGIN: &str = r#"set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount -t tmpfs tmpfs "$1/root/run"
mkdir -p "$1/root/run/sshd" "$1/root/boot/firmware"
rm -rf "$1/root/etc/edge-agent" "$1/root/var/lib/edge-agent" "$1/root/var/lib/edge-provision"
printf 'arm_64bit=1\n' >"$1/root/boot/firmware/config.txt"
exec chroot "$1/root" /usr/sbin/sshd -D -e -f "$2"
"#;

/// A machine that runs. Dropped, it is off, and what it wrote is gone.
#[derive(Debug)]
pub struct Far {
    sshd: Child,
    folder: TempDir,
}

impl Far {
    /// What a config for ssh calls it.
    pub const NAME: &'static str = "far";

    /// A machine without an agent. Its sshd answers.
    ///
    /// # Errors
    /// This machine has no sshd, or it is not let make namespaces.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("edge-far-").tempdir()?;
        let at = folder.path();
        fs::create_dir(at.join("machine"))?;
        for key in ["host", "user"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at.join(key));
            ensure!(keygen.stdin(Stdio::null()).status()?.success(), "ssh-keygen");
        }
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let here = at.display();
        fs::write(
            at.join("sshd_config"),
            format!(
                "ListenAddress 127.0.0.1:{port}\nHostKey {here}/host\nAuthorizedKeysFile {here}/user.pub\n\
                 PermitRootLogin prohibit-password\nPasswordAuthentication no\nStrictModes no\nUsePAM no\n\
                 PidFile none\n"
            ),
        )?;
        fs::write(
            at.join("ssh_config"),
            format!(
                "Host {}\n  HostName 127.0.0.1\n  Port {port}\n  User root\n  IdentityFile {here}/user\n  \
                 IdentitiesOnly yes\n  UserKnownHostsFile {here}/known_hosts\n  GlobalKnownHostsFile /dev/null\n  \
                 HostKeyAlgorithms ssh-ed25519\n",
                Self::NAME
            ),
        )?;
        let log = fs::File::create(at.join("sshd.log"))?;
        let sshd = Command::new("unshare")
            // Its processes end with the first of them.
            .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"])
            .args(["--", "sh", "-c", BEGIN, "far"])
            .arg(at.join("machine"))
            .arg(at.join("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("unshare")?;
        let mut far = Self { sshd, folder };
        let host_key = fs::read_to_string(far.folder.path().join("host.pub"))?;
        far.know(&format!("[127.0.0.1]:{port} {host_key}"))?;
        within("sshd answers", async {
            loop {
                if far.run("true")?.status.success() {
                    return Ok(());
                }
                if let Some(ended) = far.sshd.try_wait()? {
                    let log = fs::read_to_string(far.folder.path().join("sshd.log"))?;
                    bail!("sshd ended, {ended}: {log}");
                }
                tokio::task::yield_now().await;
            }
        })
        .await?;
        Ok(far)
    }

    /// Writes what the tech's machine knows of hosts.
    ///
    /// # Errors
    /// It can't be written.
    pub fn know(&self, hosts: &str) -> Result<()> {
        Ok(fs::write(self.folder.path().join("known_hosts"), hosts)?)
    }

    /// A folder of this machine that goes with it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs a line of shell there, as root.
    ///
    /// # Errors
    /// ssh can't be run.
    pub fn run(&self, line: &str) -> Result<Output> {
        let config = self.folder.path().join("ssh_config");
        let mut ssh = Command::new("ssh");
        ssh.arg("-F").arg(config).args(["-o", "BatchMode=yes", Self::NAME, line]);
        Ok(ssh.stdin(Stdio::null()).output()?)
    }

    /// What a line of shell says there, which has to succeed.
    ///
    /// # Errors
    /// It fails.
    pub fn says(&self, line: &str) -> Result<String> {
        let output = self.run(line)?;
        let err = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{line}: {err}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts a program there, as `user`: what systemd would do. Its end of the line keeps it running.
    ///
    /// # Errors
    /// ssh can't be run.
    pub fn starts(&self, line: &str) -> Result<Child> {
        let config = self.folder.path().join("ssh_config");
        let mut ssh = Command::new("ssh");
        // With a terminal of its own, so that it ends when the line does.
        ssh.arg("-F").arg(config).args(["-tt", Self::NAME, line]);
        Ok(ssh.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?)
    }

    /// `provisioning/provision` for this machine, with these words, ready to run.
    ///
    /// # Errors
    /// There is no edgectl.
    pub fn provision(&self, words: &[&str]) -> Result<tokio::process::Command> {
        self.provision_by(&Self::script(), words)
    }

    /// `provisioning/provision` of the sources.
    #[must_use]
    pub fn script() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../provisioning/provision")
    }

    /// As [`Self::provision`], by that script, which lies somewhere else.
    ///
    /// # Errors
    /// There is no edgectl.
    pub fn provision_by(&self, script: &Path, words: &[&str]) -> Result<tokio::process::Command> {
        let mut provision = tokio::process::Command::new(script);
        provision.arg("--ssh-config").arg(self.folder.path().join("ssh_config"));
        provision.arg(Self::NAME).args(words).env("EDGECTL", find_built("edgectl")?);
        provision.stdin(Stdio::null()).kill_on_drop(true);
        Ok(provision)
    }

    /// As [`Self::provision`], run to its end.
    ///
    /// # Errors
    /// It can't be run, or does not end.
    pub async fn provisioned(&self, words: &[&str]) -> Result<Said> {
        crate::operator::said(self.provision(words)?).await
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        // Its namespace, and with it what was mounted, goes with its last process.
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

/// The agent that was built with these tests as a Debian package: the same scripts, units and folders as
/// `provisioning/package` puts in, in `folder`, under `version`.
///
/// # Errors
/// dpkg-deb can't make it.
pub fn package(folder: &Path, version: &str) -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tree = folder.join("tree");
    let put = |from: PathBuf, to: &str| -> Result<()> {
        let to = tree.join(to);
        fs::create_dir_all(to.parent().expect("every file has a folder"))?;
        fs::copy(&from, &to).with_context(|| from.display().to_string())?;
        Ok(())
    };
    let agent = find_agent()?;
    let arch = architecture(&agent)?;
    put(agent, "usr/bin/edge-agent")?;
    put(sources.join("systemd/sysusers.conf"), "usr/lib/sysusers.d/edge-agent.conf")?;
    put(sources.join("systemd/tmpfiles.conf"), "usr/lib/tmpfiles.d/edge-agent.conf")?;
    for unit in fs::read_dir(sources.join("systemd"))? {
        let unit = unit?;
        let name = unit.file_name().to_string_lossy().into_owned();
        if name.ends_with(".service") {
            put(unit.path(), &format!("usr/lib/systemd/system/{name}"))?;
        }
    }
    for script in ["postinst", "prerm", "postrm"] {
        let from = sources.join("provisioning/debian/edge-agent").join(script);
        put(from, &format!("DEBIAN/{script}"))?;
    }
    fs::write(
        tree.join("DEBIAN/control"),
        format!(
            "Package: edge-agent\nVersion: {version}\nArchitecture: {arch}\nMaintainer: nobody <nobody@localhost>\n\
             Description: the agent under test\n"
        ),
    )?;
    let package = folder.join(format!("edge-agent_{version}_{arch}.deb"));
    let mut build = Command::new("dpkg-deb");
    build.args(["--root-owner-group", "-Znone", "--build"]).arg(&tree).arg(&package);
    let output = build.output().context("dpkg-deb")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(package)
}

/// The Debian architecture that a program is made for, as its ELF header says: it need not be this machine's.
fn architecture(program: &Path) -> Result<&'static str> {
    let machine = fs::read(program)?.get(18).copied().unwrap_or_default();
    match machine {
        0x3e => Ok("amd64"),
        0xb7 => Ok("arm64"),
        other => bail!("{} is for a machine of the number {other}", program.display()),
    }
}
