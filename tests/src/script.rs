//! Scripts of an operator, in the folder that the node runs them from.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use edgectl::lab::site::Site;

use crate::within;

/// Nobody tells when a file is written or a process is gone: so it is looked at this often.
const LOOK: Duration = Duration::from_millis(10);

/// Puts the shell script `name` there. `$0` is its whole path.
///
/// # Errors
/// It can't be written.
pub fn put(site: &Site, name: &str, lines: &str) -> Result<()> {
    // Another process writes it: a story beside this one may fork at any moment, its child would
    // hold our open file for an instant, and a file that is open for writing can't be run.
    let mut writer = Command::new("sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path(site, name))
        .stdin(Stdio::piped())
        .spawn()?;
    let mut input = writer.stdin.take().context("it is piped")?;
    input.write_all(format!("#!/bin/sh\n{lines}\n").as_bytes())?;
    drop(input);
    ensure!(writer.wait()?.success(), "{name} could not be written");
    Ok(())
}

/// Where the script `name`, or a file that it writes beside itself, is.
#[must_use]
pub fn path(site: &Site, name: &str) -> PathBuf {
    site.folder().join("scripts").join(name)
}

/// What a script wrote into the file `name` beside itself, once that is a whole line.
///
/// # Errors
/// It does not.
pub async fn wrote(site: &Site, name: &str) -> Result<String> {
    let path = path(site, name);
    let written = async {
        loop {
            match fs::read_to_string(&path) {
                Ok(text) if text.ends_with('\n') => return Ok(text.trim_end().to_owned()),
                Ok(_) | Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    };
    within(&format!("a script writes {name}"), written).await
}

/// Waits until the process `pid` runs no more.
///
/// # Errors
/// It goes on.
pub async fn gone(pid: &str) -> Result<()> {
    let ended = async {
        while runs(pid) {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    };
    within(&format!("process {pid} ends"), ended).await
}

/// Whether the process `pid` runs: one that has ended and that nobody waited for does not.
#[must_use]
pub fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    // The name stands in parentheses and may be anything; the state is the letter after it.
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}
