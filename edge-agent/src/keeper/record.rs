//! What a keeper leaves for the next one: a file for each line that may be on, in its own folder
//! under `/run`, so that no card is written and a reboot forgets it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use plug_driver::{Backend, LineSettings};
use serde::{Deserialize, Serialize};

use super::guard::{MAX_LINES, Place, Right};

/// What these files end with.
const SUFFIX: &str = ".lease";
/// A record is some 100 bytes and a path.
const MAX_BYTES: u64 = 8_192;

/// A line that may be on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The version of this format: 1.
    pub(super) v: u8,
    /// The boot that its instants count in.
    pub(super) boot_id: String,
    /// Which line, and how it is driven: an off needs no configuration.
    pub(super) line: LineSettings,
    /// Until when.
    pub(super) right: Right,
}

/// The folder of the records.
#[derive(Debug)]
pub(super) struct Records {
    folder: PathBuf,
}

impl Records {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Every record that can be read, and a sentence for each that can't: its line has no right.
    pub(super) fn read(&self) -> (Vec<Record>, Vec<String>) {
        let (mut records, mut flaws) = (Vec::new(), Vec::new());
        let Ok(files) = fs::read_dir(&self.folder) else { return (records, flaws) };
        let mut files: Vec<PathBuf> = files.filter_map(|file| Some(file.ok()?.path())).collect();
        files.retain(|file| file.to_string_lossy().ends_with(SUFFIX));
        files.sort();
        for file in files {
            match read(&file) {
                Ok(record) if records.len() < MAX_LINES => records.push(record),
                Ok(_) => flaws.push(format!("{}: more than {MAX_LINES} leases", file.display())),
                Err(reason) => flaws.push(format!("{}: {reason}", file.display())),
            }
        }
        (records, flaws)
    }

    /// Writes a record: whole, or not at all.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let file = self.file(&record.line);
        let new = file.with_extension("new");
        let text = serde_json::to_vec(record).map_err(io::Error::other)?;
        File::create(&new).and_then(|mut file| file.write_all(&text))?;
        fs::rename(&new, &file)
    }

    /// Removes a line's record, if there is one.
    pub(super) fn erase(&self, line: &LineSettings) -> io::Result<()> {
        match fs::remove_file(self.file(line)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Named after its line, for whoever looks into the folder.
    fn file(&self, line: &LineSettings) -> PathBuf {
        let Place { backend, pin } = Place::of(line);
        let name = match backend {
            Backend::Rppal => format!("rppal-{pin}"),
            Backend::Cdev { chip: None } => format!("cdev-{pin}"),
            Backend::Cdev { chip: Some(chip) } => format!("cdev-{pin}-{chip}"),
            Backend::Files { folder } => format!("files-{pin}-{}", folder.display()),
        };
        let legal = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
        let name: String = name.chars().map(legal).take(200).collect();
        self.folder.join(name + SUFFIX)
    }
}

fn read(file: &Path) -> Result<Record, String> {
    let length = fs::metadata(file).map_err(|error| error.to_string())?.len();
    if length > MAX_BYTES {
        return Err(format!("{length} bytes are no lease"));
    }
    let text = fs::read(file).map_err(|error| error.to_string())?;
    let record: Record = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if record.v == 1 { Ok(record) } else { Err(format!("version {} is unknown", record.v)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::time::BootMs;

    fn record(pin: u16, right: Right) -> Record {
        let line = LineSettings { pin, active_low: true, backend: Backend::Rppal };
        Record { v: 1, boot_id: "b".to_owned(), line, right }
    }

    /// A keeper finds what the one before it wrote, perhaps of an older build.
    #[test]
    fn the_bytes_of_a_record_are_frozen() {
        for (text, right) in [
            (
                r#"{"v":1,"boot_id":"b","line":{"pin":17,"active_low":true},"right":{"until":90061001}}"#,
                Right::Until(BootMs(90_061_001)),
            ),
            (
                r#"{"v":1,"boot_id":"b","line":{"pin":17,"active_low":true},"right":"unleased"}"#,
                Right::Unleased,
            ),
        ] {
            assert_eq!(serde_json::to_string(&record(17, right)).unwrap(), text);
            assert_eq!(serde_json::from_str::<Record>(text).unwrap(), record(17, right));
        }
    }

    #[test]
    fn what_was_written_last_is_what_is_found_and_what_was_erased_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path());
        for right in [Right::Until(BootMs(1)), Right::Unleased] {
            records.write(&record(17, right)).unwrap();
        }
        records.write(&record(4, Right::Until(BootMs(2)))).unwrap();
        records.erase(&record(4, Right::None).line).unwrap();
        records.erase(&record(5, Right::None).line).unwrap();
        assert_eq!(records.read(), (vec![record(17, Right::Unleased)], vec![]));
        assert!(folder.path().join("rppal-17.lease").exists());
    }

    #[test]
    fn a_record_that_cant_be_read_is_told_and_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path());
        records.write(&record(17, Right::Unleased)).unwrap();
        for (name, text) in
            [("a.lease", "garbage"), ("b.lease", ""), ("c.lease", "{\"v\":2}"), ("d.txt", "?")]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let large = File::create(folder.path().join("e.lease")).unwrap();
        large.set_len(MAX_BYTES + 1).unwrap();
        let (found, flaws) = records.read();
        assert_eq!(found, [record(17, Right::Unleased)]);
        assert_eq!(flaws.len(), 4, "{flaws:?}");
    }

    #[test]
    fn a_record_that_cant_be_written_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::new(folder.path());
        records.write(&record(17, Right::Unleased)).unwrap();
        // Where the new file should go, something is in the way.
        fs::create_dir(folder.path().join("rppal-17.new")).unwrap();
        assert!(records.write(&record(17, Right::Until(BootMs(1)))).is_err());
        assert_eq!(records.read().0, [record(17, Right::Unleased)]);
    }
}
