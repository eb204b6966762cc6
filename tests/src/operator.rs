//! An operator at a site: `edgectl` as they type it; exit code and words out.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use edgectl::lab::agent::find_built;
use edgectl::lab::site::Site;
use serde_json::Value;
use tokio::process::Command;

use crate::program::Said;
use crate::within;

/// Somebody with a profile.
#[derive(Debug, Clone)]
pub struct Operator {
    /// Their profile.
    pub profile: PathBuf,
}

impl Operator {
    /// The operator of a site.
    ///
    /// # Errors
    /// Their files can't be written.
    pub fn of(site: &Site) -> Result<Self> {
        Ok(Self { profile: site.profile(None)? })
    }

    /// `edgectl` with these words, ready to run; a word with blanks is in single quotes.
    ///
    /// # Errors
    /// There is no edgectl.
    pub fn command(&self, line: &str) -> Result<Command> {
        let mut command = edgectl(&words(line))?;
        command.env("EDGECTL_PROFILE", &self.profile);
        Ok(command)
    }

    /// Runs `edgectl` with these words, to its end.
    ///
    /// # Errors
    /// It can't be run, or does not end.
    pub async fn types(&self, line: &str) -> Result<Said> {
        said(self.command(line)?).await
    }

    /// Runs `edgectl --json` with these words, which must end well, and returns what it told.
    ///
    /// # Errors
    /// It does not end well.
    pub async fn json(&self, line: &str) -> Result<Value> {
        let said = self.types(&format!("--json {line}")).await?;
        anyhow::ensure!(said.code == Some(0) && said.err.is_empty(), "{line}: {said:?}");
        Ok(serde_json::from_str(&said.out)?)
    }

    /// Runs `edgectl` with these words, which must end well, and returns what it told.
    ///
    /// # Errors
    /// It does not end well.
    pub async fn asks(&self, line: &str) -> Result<String> {
        let said = self.types(line).await?;
        anyhow::ensure!(said.code == Some(0), "{line}: {said:?}");
        Ok(said.out.trim_end().to_owned())
    }
}

/// `edgectl`, with no profile but the one that is named.
///
/// # Errors
/// There is no edgectl.
pub fn edgectl(arguments: &[impl AsRef<OsStr>]) -> Result<Command> {
    let mut command = Command::new(find_built("edgectl")?);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.env_remove("EDGECTL_PROFILE").env("XDG_CONFIG_HOME", "/nonexistent");
    command.env("TZ", "UTC").env("TERM", "xterm").env("NO_COLOR", "1");
    Ok(command)
}

/// Runs a program to its end.
///
/// # Errors
/// It can't be run, or does not end.
pub async fn said(mut command: Command) -> Result<Said> {
    let output = within("edgectl ends", async { Ok(command.output().await?) }).await?;
    Ok(Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).context("its output is text")?,
        err: String::from_utf8(output.stderr).context("its complaints are text")?,
    })
}

/// The words of a line, as a shell would take them apart.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('\'').enumerate();
    let words = parts.flat_map(|(place, part)| -> Vec<String> {
        if place % 2 == 1 {
            vec![part.to_owned()]
        } else {
            part.split_whitespace().map(ToOwned::to_owned).collect()
        }
    });
    words.collect()
}

/// Runs `edgectl` with these words and the profile at `profile`.
///
/// # Errors
/// As [`said`].
pub async fn with_profile(profile: &Path, line: &str) -> Result<Said> {
    Operator { profile: profile.to_owned() }.types(line).await
}
