//! `edgectl profile`: the file that says where the broker is and who asks.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use edge_protocol::id::NodeId;
use edgectl::control::{ControlPlane, Link};
use edgectl::wall;
use serde_json::json;
use tokio::time::timeout;

use super::{CANNOT_CREATE, CONFIG, Failure, NO_INPUT, Report, UNAVAILABLE, USAGE};
use crate::caller::Caller;
use crate::instant;
use crate::picture::address;
use crate::profile::{self, Error, File};

/// How long to listen for what the broker keeps; it comes within milliseconds.
const LISTEN: Duration = Duration::from_secs(1);

/// What to do with the profile.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write the profile: where the broker is, and what to show there.
    Write(Write),
    /// Look at the profile, its certificate, and whether the broker takes it.
    Check,
}

/// A profile to write.
#[derive(Debug, Args)]
pub(crate) struct Write {
    /// The broker: mqtts://HOST or mqtts://HOST:PORT.
    #[arg(long, value_name = "URL")]
    broker: String,
    /// The certificate of the authority that signed the broker's.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// Your certificate (`edgectl ca sign --operator NAME` makes one).
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its key.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The root of every topic, where it is not edge/v1.
    #[arg(long, value_name = "TOPIC")]
    topic_root: Option<String>,
    /// The node that a command is for where it names none.
    #[arg(long, value_name = "ID")]
    node: Option<NodeId>,
    /// Replace a profile that is there.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(caller: &Caller, command: Command) -> Result<Report, Failure> {
    match command {
        Command::Write(write) => run_write(caller, write),
        Command::Check => run_check(caller),
    }
}

fn run_write(caller: &Caller, write: Write) -> Result<Report, Failure> {
    let path = caller.place()?;
    profile::address(&write.broker).map_err(|error| Failure::new(USAGE, error))?;
    let absolute = |file: PathBuf| {
        let there = fs::canonicalize(&file);
        there.map_err(|e| Failure::new(NO_INPUT, format!("can't read {}: {e}", file.display())))
    };
    let file = File {
        broker: write.broker,
        ca: absolute(write.ca)?,
        cert: absolute(write.cert)?,
        key: absolute(write.key)?,
        topic_root: write.topic_root,
        node: write.node,
    };
    let text = toml::to_string(&file)
        .map_err(|error| Failure::new(USAGE, format!("can't write that down: {error}")))?;
    put(&path, &text, write.force)?;
    let text = format!("wrote {}\n`edgectl profile check` looks whether it works", path.display());
    Ok(Report { text, json: json!({ "profile": path }) })
}

fn put(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| {
        let there = error.kind() == std::io::ErrorKind::AlreadyExists;
        let advice = if there { ": --force replaces it" } else { "" };
        Failure::new(CANNOT_CREATE, format!("can't write {}: {error}{advice}", path.display()))
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(cannot)?;
    }
    let mut options = fs::File::options();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(cannot)
}

fn run_check(caller: &Caller) -> Result<Report, Failure> {
    let profile = caller.profile()?;
    let now_ms = wall::now_ms();
    let (path, name) = (profile.path.display().to_string(), profile.name.clone());
    let expires = instant::day(profile.expires_at_ms);
    if profile.expires_at_ms <= now_ms {
        let text = format!("{path}: the certificate of {name} expired on {expires}: get a new one");
        return Err(Failure::new(CONFIG, text));
    }
    let endpoint = &profile.endpoint;
    let (nodes, alone) = caller.until_interrupted(async {
        let mut control = ControlPlane::visit(endpoint, &[]).await?;
        let mut nodes: Vec<String> = Vec::new();
        let listen = async {
            while let Ok(message) = control.next().await {
                if let Some((node, "status")) = address(&endpoint.root, &message.topic) {
                    nodes.push(node.to_string());
                }
            }
        };
        // It never ends by itself.
        let _ = timeout(LISTEN, listen).await;
        // A broker that gives each certificate one client id knows the second already.
        let second = ControlPlane::visit(endpoint, &[]).await?;
        let alone = *second.link().borrow() == Link::Up { forgotten: true };
        second.close().await;
        control.close().await;
        nodes.sort();
        nodes.dedup();
        Ok((nodes, alone))
    })?;
    if !alone {
        let text = format!(
            "{path}: the broker takes {name}, but gives each certificate one client id, so that two edgectl at a time push each other out: let it keep client ids for operators (docs/edgectl.md)"
        );
        return Err(Failure::new(UNAVAILABLE, text));
    }
    let days = (profile.expires_at_ms - now_ms) / (24 * 3_600_000);
    let known = match nodes.len() {
        0 => format!("no node was ever seen there under {}", endpoint.root),
        1 => format!("1 node is known there: {}", nodes[0]),
        count => format!("{count} nodes are known there"),
    };
    let text = format!(
        "{path}: ok\ncertificate  {name}, until {expires} ({days} days)\nbroker       {}:{} takes it, and several edgectl at a time\nnodes        {known}",
        endpoint.host, endpoint.port
    );
    let json = json!({
        "profile": path, "certificate": name, "expires_at_ms": profile.expires_at_ms, "nodes": nodes,
    });
    Ok(Report { text, json })
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(CONFIG, error.to_string())
    }
}
