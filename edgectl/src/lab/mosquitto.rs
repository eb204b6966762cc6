//! Where mosquitto is on this machine, and getting it where it isn't.
//!
//! Debian's package starts a broker of its own as a system service. It is left as it is: the
//! lab runs a broker of its own on a port of its own.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

/// What an operator types where we may not.
const INSTALL: [&str; 5] = ["apt-get", "install", "-y", "--no-install-recommends", "mosquitto"];

/// Why there is no mosquitto.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// This machine has no apt-get.
    #[error(
        "mosquitto is not installed and this machine has no apt-get: install mosquitto 2 with its package manager"
    )]
    NoApt,
    /// Neither root nor `sudo` without a password.
    #[error(
        "mosquitto is not installed: run `sudo apt-get install -y --no-install-recommends mosquitto`"
    )]
    NotAllowed,
    /// The installer could not be run.
    #[error("can't run {program}: {source}")]
    Run {
        /// Which program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// The installer ended with a failure.
    #[error("`{command}` failed: {message}")]
    Failed {
        /// What was run.
        command: String,
        /// The end of what it said.
        message: String,
    },
}

/// The mosquitto of this machine, if it has one: on the PATH, or in `/usr/sbin`, which is on
/// few users' PATH.
#[must_use]
pub fn find_mosquitto() -> Option<PathBuf> {
    find("mosquitto")
}

/// Installs mosquitto with apt-get, as root or by a `sudo` that asks no password, and tells
/// where it is. Takes up to minutes and blocks.
///
/// # Errors
/// [`InstallError`]; its message names the one command to run.
pub fn install_mosquitto() -> Result<PathBuf, InstallError> {
    let apt = find("apt-get").ok_or(InstallError::NoApt)?;
    let sudo = find("sudo").filter(|sudo| succeeds(sudo, &["-n", "true"]));
    let command = |arguments: &[&str]| -> Result<Vec<String>, InstallError> {
        let mut words = prefix(geteuid().is_root(), sudo.as_deref())?;
        words.push(apt.display().to_string());
        words.extend(arguments.iter().map(|word| (*word).to_owned()));
        Ok(words)
    };
    let install = command(&INSTALL[1..])?;
    if run(&install).is_err() {
        // A fresh image has no package lists; any other failure fails again and is told.
        run(&command(&["update"])?)?;
        run(&install)?;
    }
    find_mosquitto().ok_or_else(|| InstallError::Failed {
        command: install.join(" "),
        message: "it ended well, yet there is no mosquitto".to_owned(),
    })
}

/// What goes before a command that needs root.
fn prefix(root: bool, sudo: Option<&Path>) -> Result<Vec<String>, InstallError> {
    match (root, sudo) {
        (true, _) => Ok(vec![]),
        (false, Some(sudo)) => Ok(vec![sudo.display().to_string(), "-n".to_owned()]),
        (false, None) => Err(InstallError::NotAllowed),
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(usual).map(|dir| dir.join(program)).find(|path| path.is_file())
}

fn succeeds(program: &Path, arguments: &[&str]) -> bool {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn run(words: &[String]) -> Result<(), InstallError> {
    let (program, arguments) = words.split_first().expect("a command has a first word");
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| InstallError::Run { program: program.clone(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(InstallError::Failed { command: words.join(" "), message: last.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_install_is_told_the_one_command_to_run() {
        let refused = prefix(false, None).unwrap_err().to_string();
        assert!(refused.contains(&INSTALL.join(" ")), "{refused}");
        assert_eq!(prefix(true, None).unwrap(), Vec::<String>::new());
        let sudo = Path::new("/usr/bin/sudo");
        assert_eq!(prefix(false, Some(sudo)).unwrap(), ["/usr/bin/sudo", "-n"]);
    }

    #[test]
    fn a_failed_installer_is_told_with_its_last_words() {
        let words = ["sh", "-c", "echo first >&2; echo last >&2; exit 3"].map(str::to_owned);
        let failed = run(&words).unwrap_err().to_string();
        assert!(failed.ends_with("failed: last"), "{failed}");
    }
}
