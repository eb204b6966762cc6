//! The files that a configuration names: certificates, keys, passwords.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A long chain of certificates has some 20 KiB.
const MAX_BYTES: u64 = 1024 * 1024;

/// What stands in the file at `path`.
///
/// # Errors
/// What to say of it behind its name. A device or a pipe is refused: reading it may never end.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("can't be read: {error}");
    if !path.metadata().map_err(unreadable)?.is_file() {
        return Err("is no file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("has more than {MAX_BYTES} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `edge-agent check` never came back, and ate the memory of the node.
    #[test]
    fn what_has_no_end_is_refused() {
        let refusal = |path: &str| read(Path::new(path)).unwrap_err();
        assert_eq!(refusal("/dev/zero"), "is no file");
        assert_eq!(refusal("/dev"), "is no file");
        assert!(refusal("/nowhere").starts_with("can't be read: "));
        let large = tempfile::NamedTempFile::new().unwrap();
        large.as_file().set_len(MAX_BYTES).unwrap();
        assert_eq!(read(large.path()).unwrap().len() as u64, MAX_BYTES);
        large.as_file().set_len(MAX_BYTES + 1).unwrap();
        assert_eq!(read(large.path()).unwrap_err(), "has more than 1048576 bytes");
    }
}
