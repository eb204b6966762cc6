//! `edge-agent completions` and `edge-agent man`: what a shell and a manual reader need, out of the
//! arguments' own declarations.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::{CANNOT_CREATE, Done, Failure, say};

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
pub(crate) fn completions(mut program: Command, arguments: &CompletionsArguments) -> Done {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut program, "edge-agent", &mut script);
    Ok(say(String::from_utf8_lossy(&script).trim_end()))
}

/// Writes a page for `program` and one for each of its commands.
pub(crate) fn man(program: Command, arguments: &ManArguments) -> Done {
    let folder = arguments.out.display();
    let cannot = |error: std::io::Error| {
        Failure::new(CANNOT_CREATE, format!("can't write the pages into {folder}: {error}"))
    };
    fs::create_dir_all(&arguments.out).map_err(cannot)?;
    let program = program.disable_help_subcommand(true);
    clap_mangen::generate_to(program, &arguments.out).map_err(cannot)?;
    Ok(say(&format!("wrote the pages into {folder}: man -l edge-agent.1")))
}
