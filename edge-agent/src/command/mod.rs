//! The commands: what each takes, does and tells.

pub(crate) mod discover;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod identity;
pub(crate) mod manual;
pub(crate) mod outlet;
pub(crate) mod run;
pub(crate) mod status;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use edge_agent::config::{ConfigError, Sketch};
use edge_agent::local::{AskError, RefusedCode};
use edge_agent::{chain, status as shown};
use serde_json::json;
use tokio::runtime::Runtime;

/// The arguments can't be understood (`EX_USAGE`).
pub(crate) const USAGE: u8 = 64;
/// The agent rejects it (`EX_DATAERR`).
pub(crate) const REJECTED: u8 = 65;
/// An input is not what it should be (`EX_DATAERR`, too).
pub(crate) const BAD_DATA: u8 = 65;
/// An input is not there (`EX_NOINPUT`).
pub(crate) const NO_INPUT: u8 = 66;
/// Something that is needed can't be had: the running agent, a plug (`EX_UNAVAILABLE`).
pub(crate) const UNAVAILABLE: u8 = 69;
/// Something inside failed (`EX_SOFTWARE`).
pub(crate) const SOFTWARE: u8 = 70;
/// An output can't be made (`EX_CANTCREAT`).
pub(crate) const CANNOT_CREATE: u8 = 73;
/// Writing failed (`EX_IOERR`).
pub(crate) const IO_ERROR: u8 = 74;
/// Not now; it may work later (`EX_TEMPFAIL`).
pub(crate) const LATER: u8 = 75;
/// The running agent speaks otherwise than this program (`EX_PROTOCOL`).
pub(crate) const PROTOCOL: u8 = 76;
/// The socket is not this user's to open (`EX_NOPERM`).
pub(crate) const NO_PERMISSION: u8 = 77;
/// The configuration can't be used (`EX_CONFIG`).
pub(crate) const CONFIG: u8 = 78;

/// What a command comes to.
pub(crate) type Done = Result<ExitCode, Failure>;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
    /// Whether a machine asked.
    json: bool,
}

impl Failure {
    /// With an exit code out of sysexits(3), and the reason for a person.
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), json: false }
    }

    /// Says it on standard error, as a machine reads it where one asked.
    pub(crate) fn for_machine(self, json: bool) -> Self {
        Self { json, ..self }
    }

    /// Says why, and gives the exit code.
    pub(crate) fn told(self) -> ExitCode {
        let Self { code, message, json } = self;
        if json {
            shown::complain_as_json(&json!({ "error": message, "exit": code }));
        } else {
            shown::complain(&message);
        }
        ExitCode::from(code)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(CONFIG, error.to_string())
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let code = match &error {
            AskError::NotRunning { .. } | AskError::Silent { .. } => UNAVAILABLE,
            AskError::NotAllowed { .. } => NO_PERMISSION,
            AskError::Strange { .. } => PROTOCOL,
            AskError::Refused(refused) => match refused.code {
                RefusedCode::Malformed | RefusedCode::Unsupported => PROTOCOL,
                RefusedCode::Invalid | RefusedCode::UnknownOutlet | RefusedCode::Conflict => {
                    REJECTED
                }
                RefusedCode::Busy => LATER,
                RefusedCode::Device => UNAVAILABLE,
            },
        };
        Self::new(code, chain(&error))
    }
}

/// The control socket that the configuration at `path` names, whatever else is wrong with it: a
/// running agent goes on with the one that it read.
pub(crate) fn socket(path: &Path) -> Result<PathBuf, Failure> {
    Ok(Sketch::of(path)?.socket)
}

/// What runs a command that waits for something.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(SOFTWARE, format!("no runtime: {error}")))
}

/// Says it on standard output.
pub(crate) fn say(text: &str) -> ExitCode {
    shown::say(text);
    ExitCode::SUCCESS
}
