//! Simulated lines: a file each, `gpio17` and so on, which holds `0` or `1`. For trials and tests
//! where there is no GPIO; only a folder that is named in the configuration makes one.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::line::{Level, Line};
use crate::error::Fault;

/// A line that is a file.
#[derive(Debug)]
pub(super) struct FilesLine {
    file: PathBuf,
}

impl FilesLine {
    pub(super) fn new(folder: &Path, pin: u16) -> Self {
        Self { file: folder.join(format!("gpio{pin}")) }
    }

    fn fault(&self, source: std::io::Error) -> Fault {
        Fault::File { file: self.file.clone(), source }
    }
}

impl Line for FilesLine {
    /// Low where nobody has driven it yet: as pulled down.
    fn level(&mut self) -> Result<Level, Fault> {
        let mut first = [0];
        match File::open(&self.file).and_then(|mut file| file.read(&mut first)) {
            Ok(_) if first == *b"1" => Ok(Level::High),
            Ok(_) => Ok(Level::Low),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Level::Low),
            Err(error) => Err(self.fault(error)),
        }
    }

    fn drive(&mut self, level: Level) -> Result<(), Fault> {
        let byte = match level {
            Level::Low => b"0",
            Level::High => b"1",
        };
        // One byte in its place: no reader ever sees less than a level.
        let open = File::options().write(true).create(true).truncate(false).open(&self.file);
        open.and_then(|file| file.write_all_at(byte, 0)).map_err(|error| self.fault(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_as_it_was_driven_whoever_looks_next() {
        let folder = tempfile::tempdir().unwrap();
        let line = || FilesLine::new(folder.path(), 17);
        assert_eq!(line().level().unwrap(), Level::Low);
        line().drive(Level::High).unwrap();
        assert_eq!(line().level().unwrap(), Level::High);
        assert_eq!(std::fs::read(folder.path().join("gpio17")).unwrap(), b"1");
        line().drive(Level::Low).unwrap();
        assert_eq!(line().level().unwrap(), Level::Low);
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let nowhere = folder.path().join("nowhere");
        assert!(FilesLine::new(&nowhere, 17).drive(Level::High).is_err());
        assert!(!nowhere.exists());
    }
}
