//! A real browser that looks at a page, where one is installed.

use std::process::Stdio;

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::page::find_program;
use crate::within;

/// What a headless Chromium makes of the page at `url` once its own clock has gone on for so long:
/// the document as it then stands. `None` where there is no Chromium.
///
/// # Errors
/// It does not show the page.
pub async fn look(url: &str, virtual_ms: u32) -> Result<Option<String>> {
    let Some(chromium) = ["chromium", "chromium-browser"].into_iter().find_map(find_program) else {
        return Ok(None);
    };
    let profile = tempfile::tempdir()?;
    let mut command = Command::new(chromium);
    command
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--virtual-time-budget={virtual_ms}"))
        .args(["--lang=en-GB", "--dump-dom", url])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let said = within("a browser shows the page", async { Ok(command.output().await?) }).await?;
    let complaints = String::from_utf8_lossy(&said.stderr);
    ensure!(said.status.success(), "{complaints}");
    Ok(Some(String::from_utf8(said.stdout)?))
}
