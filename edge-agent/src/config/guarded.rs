//! What a keeper needs of `agent.toml`: the GPIO lines and its own socket, whatever else is wrong
//! with the file. A relay must not stay closed because a certificate has expired.

use std::path::{Path, PathBuf};

use plug_driver::LineSettings;
use serde::Deserialize;

use super::{named, pins};
use crate::node::settings::Rest;

/// The lines that a keeper guards, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarded {
    /// Its socket; `None`: no keeper is wanted.
    pub socket: Option<PathBuf>,
    /// The lines.
    pub lines: Vec<GuardedLine>,
    /// What is wrong with outlets that are left out, a sentence each.
    pub flaws: Vec<String>,
}

/// A line, and what it is when nothing covers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardedLine {
    /// The line.
    pub line: LineSettings,
    /// What it rests at.
    pub rest: Rest,
}

/// The file, as far as a keeper reads it.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    keeper: Option<toml::Value>,
    #[serde(default, rename = "outlet")]
    outlets: Vec<toml::Value>,
}

#[derive(Deserialize)]
struct Outlet {
    #[serde(flatten)]
    line: LineSettings,
    #[serde(default)]
    rest: Rest,
}

/// Reads the configuration at `path`, as far as a keeper needs it.
///
/// # Errors
/// The file can't be read, or is no TOML.
pub fn load(path: &Path) -> Result<Guarded, String> {
    let told = |reason: String| format!("{}: {reason}", path.display());
    let text = named::read(path).map_err(told)?;
    let text = String::from_utf8(text).map_err(|_| told("is no text".to_owned()))?;
    guarded(&text).map_err(told)
}

fn guarded(text: &str) -> Result<Guarded, String> {
    let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let socket = file.keeper.as_ref().and_then(|keeper| keeper.get("socket"));
    let socket = socket.and_then(toml::Value::as_str).map(PathBuf::from);
    let mut guarded =
        Guarded { socket: pins::keeper(socket), lines: Vec::new(), flaws: Vec::new() };
    for outlet in file.outlets {
        if outlet.get("driver").and_then(toml::Value::as_str) != Some("gpio") {
            continue;
        }
        let id = outlet.get("id").and_then(toml::Value::as_str).unwrap_or("without an id");
        let id = id.to_owned();
        match guarded_line(outlet) {
            Ok(line) => guarded.lines.push(line),
            Err(reason) => guarded.flaws.push(format!("the outlet {id} is not guarded: {reason}")),
        }
    }
    Ok(guarded)
}

fn guarded_line(mut outlet: toml::Value) -> Result<GuardedLine, String> {
    if let Some(keys) = outlet.as_table_mut() {
        keys.entry("active_low").or_insert(toml::Value::Boolean(false));
    }
    let outlet: Outlet =
        outlet.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    outlet.line.check().map_err(|error| crate::chain(&error))?;
    Ok(GuardedLine { line: outlet.line, rest: outlet.rest })
}

#[cfg(test)]
mod tests {
    use plug_driver::Backend;

    use super::*;

    const RELAY: &str = "[[outlet]]\nid = \"relay-1\"\ndriver = \"gpio\"\npin = 17\n";

    fn line(active_low: bool, backend: Backend) -> LineSettings {
        LineSettings { pin: 17, active_low, backend }
    }

    #[test]
    fn only_the_gpio_outlets_and_the_socket_count() {
        let text = format!(
            "[broker]\nendpoints = 7\n[keeper]\nsocket = \"/k.sock\"\n{RELAY}active_low = true\n\
             button = \"obey\"\nrest = \"on\"\n[[outlet]]\nid = \"p\"\ndriver = \"tasmota\"\nurl = 3\n"
        );
        let guarded = guarded(&text).unwrap();
        assert_eq!(guarded.socket, Some("/k.sock".into()));
        let relay = GuardedLine { line: line(true, Backend::Rppal), rest: Rest::On };
        assert_eq!((guarded.lines, guarded.flaws), (vec![relay], vec![]));
    }

    #[test]
    fn a_flawed_outlet_leaves_the_others_guarded() {
        let flawed = RELAY.replace("pin = 17", "pin = \"seventeen\"").replace("relay-1", "relay-0");
        let guarded = guarded(&format!("{flawed}{RELAY}")).unwrap();
        assert_eq!(guarded.lines.len(), 1);
        assert!(guarded.flaws[0].contains("relay-0"), "{:?}", guarded.flaws);
        assert_eq!(guarded.socket, Some(pins::KEEPER.into()));
    }

    #[test]
    fn a_simulated_line_needs_its_folder_here_as_well() {
        let files = format!("{RELAY}backend = \"files\"\n");
        assert_eq!(guarded(&files).unwrap().lines, vec![]);
        let files = guarded(&format!("{files}folder = \"/tmp/x\"\n")).unwrap();
        let backend = Backend::Files { folder: "/tmp/x".into() };
        assert_eq!(files.lines[0].line, line(false, backend));
    }

    #[test]
    fn an_empty_socket_is_no_keeper_and_what_is_no_toml_is_nothing() {
        assert_eq!(guarded("[keeper]\nsocket = \"\"\n").unwrap().socket, None);
        assert!(guarded("[keeper\n").is_err());
    }
}
