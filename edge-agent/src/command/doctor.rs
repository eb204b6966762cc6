//! `edge-agent doctor`: what is wrong with this node.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use edge_agent::doctor::{State, bundle, examine};
use edge_agent::status;

use super::{CANNOT_CREATE, CONFIG, Done, Failure, UNAVAILABLE, runtime};

/// What to do beside looking.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Mend the plugs' settings that can be mended, once; never within a session.
    #[arg(long)]
    fix: bool,
    /// One JSON object, for machines.
    #[arg(long)]
    json: bool,
    /// Write what a person far away needs to see into a tar.gz, without secrets.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

/// Looks, and tells. Exit 0 where nothing is wrong, 78 where the configuration is, else 69.
pub(crate) fn run(config: &Path, arguments: &Arguments) -> Done {
    let runtime = runtime().map_err(|failure| failure.for_machine(arguments.json))?;
    let examination = runtime.block_on(examine(config, arguments.fix));
    let diagnosis = &examination.diagnosis;
    status::say(&if arguments.json { diagnosis.json() } else { diagnosis.text() });
    if let Some(file) = &arguments.bundle {
        runtime.block_on(bundle::write(file, config, &examination)).map_err(|error| {
            let message = format!("can't write the bundle {}: {error}", file.display());
            Failure::new(CANNOT_CREATE, message).for_machine(arguments.json)
        })?;
        if !arguments.json {
            status::say(&format!("wrote {}", file.display()));
        }
    }
    let misconfigured = |line: &edge_agent::doctor::Line| {
        line.state == State::Wrong && line.check == "configuration"
    };
    Ok(match diagnosis.passes() {
        true => ExitCode::SUCCESS,
        false if diagnosis.checks.iter().any(misconfigured) => ExitCode::from(CONFIG),
        false => ExitCode::from(UNAVAILABLE),
    })
}
