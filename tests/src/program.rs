//! The program `edge-agent` as an operator types it: arguments in; exit code and words out.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use edgectl::lab::agent::find_agent;
use edgectl::lab::site::Site;
use tokio::process::Command;

use crate::within;

/// What a run of the program left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// Its exit code; `None` where a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// Runs `edge-agent` with these arguments, to its end.
///
/// # Errors
/// It can't be run, or does not end.
pub async fn edge_agent(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Said> {
    let mut command = Command::new(find_agent()?);
    command.args(arguments).env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).kill_on_drop(true);
    let output = within("edge-agent ends", async { Ok(command.output().await?) }).await?;
    Ok(Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).context("its output is text")?,
        err: String::from_utf8(output.stderr).context("its complaints are text")?,
    })
}

/// `edge-agent` with these arguments and a site's configuration.
///
/// # Errors
/// As [`fn@edge_agent`].
pub async fn at_site(site: &Site, arguments: &[&str]) -> Result<Said> {
    let config = site.folder().join("agent.toml");
    let config = [OsStr::new("--config"), config.as_os_str()];
    edge_agent(arguments.iter().map(OsStr::new).chain(config)).await
}

/// `edge-agent check` of the configuration at `config`.
///
/// # Errors
/// As [`fn@edge_agent`].
pub async fn check(config: &Path) -> Result<Said> {
    edge_agent([OsStr::new("check"), OsStr::new("--config"), config.as_os_str()]).await
}

/// `edge-agent status` of a site's agent.
///
/// # Errors
/// As [`fn@edge_agent`].
pub async fn status(site: &Site) -> Result<Said> {
    let config = site.folder().join("agent.toml");
    edge_agent([OsStr::new("status"), OsStr::new("--config"), config.as_os_str()]).await
}

/// Asks for `edge-agent status` until it says `words`; returns what it then said.
///
/// # Errors
/// It never does.
pub async fn status_says(site: &Site, words: &str) -> Result<String> {
    within(words, async {
        loop {
            let said = status(site).await?;
            if said.out.contains(words) {
                return Ok(said.out);
            }
        }
    })
    .await
}
