//! Which line drives a relay, and the one trait behind which every way to drive it lives.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cdev::{self, CdevLine};
use super::files::FilesLine;
use super::rppal::RppalLine;
use crate::error::{Error, Fault};

/// The highest BCM number on any Raspberry Pi; most bring out 0 to 27.
const HIGHEST_BCM: u16 = 53;
/// No chip of the character device has more lines than this.
const HIGHEST_OFFSET: u16 = 1_023;

/// What a pin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    Low,
    High,
}

/// A line. Dropping one leaves it as it is, as far as the kernel lets it.
pub(super) trait Line: fmt::Debug + Send + Sync {
    /// The level that the line has now. Changes nothing, claimed or not.
    fn level(&mut self) -> Result<Level, Fault>;

    /// Makes the line an output of `level` in one step, so that the relay never sees the other.
    fn drive(&mut self, level: Level) -> Result<(), Fault>;
}

/// Which line drives a relay, and how. Its text is stored with sessions and leases and travels to
/// the keeper: fields are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct LineSettings {
    /// The BCM number on a Raspberry Pi, the line's offset on another chip.
    pub pin: u16,
    /// Whether the relay is on while the line is low.
    pub active_low: bool,
    /// What drives it.
    pub backend: Backend,
}

/// What drives a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Backend {
    /// The registers of a Raspberry Pi, through rppal.
    Rppal,
    /// The kernel's GPIO character device.
    Cdev {
        /// The chip's label (`pinctrl-bcm2711`) or name (`gpiochip0`); `None`: the Raspberry Pi's
        /// header, else `gpiochip0`.
        chip: Option<String>,
    },
    /// No hardware: each line is a file in this folder, which holds `0` or `1`. What becomes of it
    /// when its owner dies is what becomes of a pin under rppal: nothing.
    Files {
        /// The folder; it must be there.
        folder: PathBuf,
    },
}

/// What the kernel does with a driven line whose owner has died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDeath {
    /// It stays as it was driven, until somebody drives it otherwise: a relay stays closed.
    Keeps,
    /// It becomes an input, and its pull decides: a relay falls open at once, if the board is wired so.
    LetsGo,
    /// The kernel promises nothing and does not tell.
    Unknown,
}

impl LineSettings {
    /// What to call it in front of a person.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.backend {
            Backend::Rppal | Backend::Cdev { chip: None } => format!("GPIO {}", self.pin),
            Backend::Cdev { chip: Some(chip) } => format!("line {} of {chip}", self.pin),
            Backend::Files { folder } => {
                format!("the simulated line {} in {}", self.pin, folder.display())
            }
        }
    }

    /// What becomes of the relay when whoever drives it is killed, on this machine and kernel.
    /// Reads what the kernel tells of itself; claims and changes nothing.
    #[must_use]
    pub fn on_death(&self) -> OnDeath {
        match &self.backend {
            Backend::Rppal | Backend::Files { .. } => OnDeath::Keeps,
            Backend::Cdev { chip } => cdev::on_death(chip.as_deref()),
        }
    }

    /// That there can be such a line. No I/O.
    ///
    /// # Errors
    /// If no board has a line of that number.
    pub fn check(&self) -> Result<(), Error> {
        let (highest, remedy) = match self.backend {
            Backend::Rppal => (HIGHEST_BCM, "is on no board; use the BCM number, 0 to 27 on most"),
            Backend::Cdev { .. } | Backend::Files { .. } => {
                (HIGHEST_OFFSET, "is on no chip; use the line's offset, as gpioinfo shows it")
            }
        };
        if self.pin <= highest {
            return Ok(());
        }
        let source = Fault::Setting { setting: "pin", value: self.pin.to_string(), remedy };
        Err(Error::Configure { device: self.name(), source })
    }

    pub(super) fn open(&self) -> Box<dyn Line> {
        match &self.backend {
            Backend::Rppal => Box::new(RppalLine::new(self.pin)),
            Backend::Cdev { chip } => Box::new(CdevLine::new(chip.clone(), self.pin)),
            Backend::Files { folder } => Box::new(FilesLine::new(folder, self.pin)),
        }
    }

    /// The level at which the relay is `on`.
    pub(super) fn level_of(&self, on: bool) -> Level {
        if on == self.active_low { Level::Low } else { Level::High }
    }
}

/// [`LineSettings`] as text. A backend that is not named is rppal: the only one there was at first.
#[derive(Serialize, Deserialize)]
struct Written {
    pin: u16,
    active_low: bool,
    #[serde(default, skip_serializing_if = "BackendName::is_rppal")]
    backend: BackendName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chip: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folder: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BackendName {
    #[default]
    Rppal,
    Cdev,
    Files,
}

impl BackendName {
    fn is_rppal(&self) -> bool {
        *self == Self::Rppal
    }
}

impl TryFrom<Written> for LineSettings {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let backend = match (written.backend, written.chip, written.folder) {
            (BackendName::Rppal, None, None) => Backend::Rppal,
            (BackendName::Cdev, chip, None) => Backend::Cdev { chip },
            (BackendName::Files, None, Some(folder)) => Backend::Files { folder },
            (BackendName::Files, _, None) => return Err("backend files needs its folder"),
            (BackendName::Rppal | BackendName::Files, Some(_), _) => {
                return Err("chip belongs to the backend cdev");
            }
            (BackendName::Rppal | BackendName::Cdev, _, Some(_)) => {
                return Err("folder belongs to the backend files");
            }
        };
        Ok(Self { pin: written.pin, active_low: written.active_low, backend })
    }
}

impl From<LineSettings> for Written {
    fn from(line: LineSettings) -> Self {
        let (backend, chip, folder) = match line.backend {
            Backend::Rppal => (BackendName::Rppal, None, None),
            Backend::Cdev { chip } => (BackendName::Cdev, chip, None),
            Backend::Files { folder } => (BackendName::Files, None, Some(folder)),
        };
        Self { pin: line.pin, active_low: line.active_low, backend, chip, folder }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn the_text_of_a_line_is_frozen() {
        for (text, backend) in [
            (r#"{"pin":17,"active_low":true}"#, Backend::Rppal),
            (r#"{"pin":17,"active_low":true,"backend":"cdev"}"#, Backend::Cdev { chip: None }),
            (
                r#"{"pin":17,"active_low":true,"backend":"cdev","chip":"pinctrl-rp1"}"#,
                Backend::Cdev { chip: Some("pinctrl-rp1".to_owned()) },
            ),
            (
                r#"{"pin":17,"active_low":true,"backend":"files","folder":"/tmp/lines"}"#,
                Backend::Files { folder: "/tmp/lines".into() },
            ),
        ] {
            let line = LineSettings { pin: 17, active_low: true, backend };
            assert_eq!(serde_json::to_string(&line).unwrap(), text);
            assert_eq!(serde_json::from_str::<LineSettings>(text).unwrap(), line);
        }
    }

    #[test]
    fn a_simulated_line_without_its_folder_is_refused() {
        for text in [
            r#"{"pin":17,"active_low":true,"backend":"files"}"#,
            r#"{"pin":17,"active_low":true,"backend":"rppal","folder":"/tmp"}"#,
            r#"{"pin":17,"active_low":true,"chip":"pinctrl-rp1"}"#,
        ] {
            assert!(serde_json::from_str::<LineSettings>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_pin_that_no_board_has_is_refused_before_it_is_claimed() {
        let line = |pin, backend| LineSettings { pin, active_low: false, backend };
        assert!(line(53, Backend::Rppal).check().is_ok());
        assert_eq!(line(54, Backend::Rppal).check().unwrap_err().kind(), Kind::Broken);
        assert!(line(54, Backend::Cdev { chip: None }).check().is_ok());
        assert!(line(1_024, Backend::Cdev { chip: None }).check().is_err());
    }
}
