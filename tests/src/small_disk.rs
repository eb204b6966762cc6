//! A disk of a few megabytes under a site's data directory: a tmpfs in a mount namespace of its
//! own, so that no other process sees it and nothing is left of it, however the test ends.
//!
//! Root can make one, and so can a user who may make a user namespace. Where neither is allowed
//! [`SmallDisk::mount`] says so. [`refuse_writes`] is for everybody.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use nix::unistd::geteuid;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::BufReader;
use tokio::process::{Child, Command};

use crate::within;

/// What to put before a program that shall survive [`refuse_writes`], which kills by default.
#[must_use]
pub fn bears_refusal() -> Vec<OsString> {
    ["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(OsString::from).to_vec()
}

/// From now on the system refuses every write of the process `pid` to a file, or no longer: its
/// limit on the size of files (EFBIG, which is as good an error as EIO).
///
/// # Errors
/// There is no `prlimit`, or no such process.
pub async fn refuse_writes(pid: u32, refuse: bool) -> Result<()> {
    let limit = if refuse { "--fsize=1:" } else { "--fsize=unlimited:" };
    let set = Command::new("prlimit").arg(limit).args(["--pid", &pid.to_string()]).status();
    let set = set.await.context("prlimit, of util-linux")?;
    ensure!(set.success(), "prlimit: {set}");
    Ok(())
}

/// A mounted disk. Dropped, it is gone once nobody works on it.
#[derive(Debug)]
pub struct SmallDisk {
    /// Keeps the namespace. It ends with its standard input, so with us.
    keeper: Child,
    number: u32,
    folder: PathBuf,
}

/// Why there is no small disk.
#[derive(Debug)]
pub struct NotAllowed(
    /// What the system said.
    pub String,
);

impl SmallDisk {
    /// Mounts a disk of so many bytes on `folder`.
    ///
    /// # Errors
    /// The outer one: something went wrong. The inner one: the system does not allow it.
    pub async fn mount(folder: &Path, bytes: u64) -> Result<Result<Self, NotAllowed>> {
        fs::create_dir_all(folder)?;
        let spaces = if geteuid().is_root() { "-m" } else { "-Urm" };
        let mount =
            format!("mount -t tmpfs -o size={bytes} tmpfs \"$1\" && echo mounted && exec cat");
        let mut keeper = Command::new("unshare")
            .args([spaces, "sh", "-c", &mount, "sh"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("unshare, of util-linux")?;
        let output = keeper.stdout.take().context("its output is a pipe")?;
        let mut said = String::new();
        within("a disk is mounted", async {
            Ok(BufReader::new(output).read_line(&mut said).await?)
        })
        .await?;
        if said != "mounted\n" {
            let output = keeper.wait_with_output().await?;
            return Ok(Err(NotAllowed(String::from_utf8_lossy(&output.stderr).into_owned())));
        }
        let number = keeper.id().context("the keeper lives")?;
        Ok(Ok(Self { keeper, number, folder: folder.to_owned() }))
    }

    /// What to put before a program so that it sees this disk.
    #[must_use]
    pub fn enter(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> =
            ["nsenter", "--target", &self.number.to_string()].map(OsString::from).to_vec();
        if !geteuid().is_root() {
            words.extend(["--user", "--preserve-credentials"].map(OsString::from));
        }
        words.extend(["--mount", "--"].map(OsString::from));
        words
    }

    /// A file of the disk, as seen from outside.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.number));
        root.join(self.folder.strip_prefix("/").unwrap_or(&self.folder)).join(name)
    }

    /// Writes until nothing more fits, after what was written before. Returns the bytes it took.
    ///
    /// # Errors
    /// Anything but a full disk.
    pub fn fill(&self) -> Result<usize> {
        let mut balloon = File::options().create(true).append(true).open(self.file("balloon"))?;
        let mut bytes = 0;
        for piece in [1 << 16, 1 << 12] {
            loop {
                match balloon.write(&vec![0xA5; piece]) {
                    Ok(written) => bytes += written,
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => bail!(error),
                }
            }
        }
        Ok(bytes)
    }

    /// Gives all back that [`Self::fill`] took.
    ///
    /// # Errors
    /// There is nothing.
    pub fn free(&self) -> Result<()> {
        Ok(fs::remove_file(self.file("balloon"))?)
    }

    /// Whether the keeper, and so the disk, is still there.
    ///
    /// # Errors
    /// It is not.
    pub fn is_there(&mut self) -> Result<()> {
        ensure!(self.keeper.try_wait()?.is_none(), "the disk's keeper has ended");
        Ok(())
    }
}
