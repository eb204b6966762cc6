//! `edgectl completions` and `edgectl man`: what a shell and a manual reader need, out of the
//! arguments' own declarations.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;
use serde_json::json;

use super::{CANNOT_CREATE, Failure, Report};

/// For which shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Which shell.
    shell: Shell,
}

/// Where the pages go.
#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    /// The folder; made if need be.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// The completions of `program` for a shell.
pub(crate) fn completions(mut program: Command, arguments: &CompletionsArguments) -> Report {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "edgectl", &mut script);
    let text = String::from_utf8_lossy(&script).into_owned();
    let json = json!({ "shell": arguments.shell.to_string(), "script": text });
    Report { text, json }
}

/// Writes a page for `program` and one for each of its commands.
///
/// # Errors
/// [`CANNOT_CREATE`].
pub(crate) fn man(program: Command, arguments: &ManArguments) -> Result<Report, Failure> {
    let cannot = |error: std::io::Error| {
        let folder = arguments.out.display();
        Failure::new(CANNOT_CREATE, format!("can't write the pages into {folder}: {error}"))
    };
    fs::create_dir_all(&arguments.out).map_err(cannot)?;
    let program = program.disable_help_subcommand(true);
    clap_mangen::generate_to(program, &arguments.out).map_err(cannot)?;
    let text = format!("wrote the pages into {}: man -l edgectl.1", arguments.out.display());
    Ok(Report { text, json: json!({ "folder": arguments.out }) })
}
