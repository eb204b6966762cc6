//! A support bundle: what somebody far away needs to see, in one file, and no secret of this node.
//!
//! | file | what |
//! |---|---|
//! | `doctor.txt`, `doctor.json` | the examination |
//! | `status.json` | what the running agent says of itself, where one runs |
//! | `agent.toml` | the configuration, without what may be a secret |
//! | `journal.log` | the agent's last lines, where journalctl gives them |
//! | `machine.json` | versions, board, and the machine's figures |

mod secrets;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

use self::secrets::Secrets;
use super::Examination;
use crate::host::clock::{Clock, ClockSource};
use crate::host::figures::{Agent, Figures, Machine};

/// Enough for a day of a busy node.
const JOURNAL_LINES: &str = "2000";
/// A journal that has not answered by then is left out.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(10);

/// Writes the bundle of an examination to `file`, for its owner's eyes. The configuration is at
/// `config`.
///
/// # Errors
/// The file can't be written.
pub async fn write(file: &Path, config: &Path, examination: &Examination) -> io::Result<()> {
    let secrets = Secrets::of(&examination.sketch);
    let mut parts = vec![
        ("doctor.txt", examination.diagnosis.text() + "\n"),
        ("doctor.json", examination.diagnosis.json()),
        ("machine.json", machine(&examination.sketch.data_dir)),
    ];
    if let Some(report) = &examination.report {
        parts.push(("status.json", crate::status::json(report)));
    }
    if let Ok(text) = fs::read_to_string(config) {
        parts.push(("agent.toml", secrets::of_configuration(&text)));
    }
    if let Some(journal) = journal().await {
        parts.push(("journal.log", journal));
    }
    let target = File::options().create(true).write(true).truncate(true).mode(0o600).open(file)?;
    let mut tar = tar::Builder::new(GzEncoder::new(target, Compression::default()));
    let at_s = examination.diagnosis.at_ms / 1_000;
    for (name, text) in parts {
        let text = secrets.taken_out_of(&text);
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(at_s);
        tar.append_data(&mut header, format!("edge-agent/{name}"), text.as_bytes())?;
    }
    let mut target = tar.into_inner()?.finish()?;
    target.flush()?;
    target.sync_all()
}

fn machine(data_dir: &Path) -> String {
    let machine = Machine::of(data_dir);
    let now = Clock::new(ClockSource::Untrusted).now();
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let os = read("/etc/os-release");
    let os = os.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let machine = json!({
        "edge_agent": env!("CARGO_PKG_VERSION"),
        "os": os.map(|name| name.trim_matches('"')),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "architecture": std::env::consts::ARCH,
        "hardware": machine.hardware(),
        // Of the machine, not of this program, which is not the agent.
        "figures": Figures { agent: Agent::default(), ..machine.read() }.telemetry(now, None),
    });
    machine.to_string()
}

/// The agent's last lines in the journal.
async fn journal() -> Option<String> {
    let mut journalctl = Command::new("journalctl");
    journalctl
        .args([
            "--unit",
            "edge-agent",
            "--lines",
            JOURNAL_LINES,
            "--no-pager",
            "--output",
            "short-iso",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = timeout(JOURNAL_PATIENCE, journalctl.output()).await.ok()?.ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
