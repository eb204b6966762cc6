//! The identity's files: each is there whole or not at all, and belongs to the service's user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};

use nix::unistd::{User, geteuid};

use super::Error;

/// Who runs the agent, and so has to read what root puts there.
const SERVICE_USER: &str = "edge-agent";
/// A long chain of certificates has some 20 KiB.
const MAX_BYTES: u64 = 1024 * 1024;

/// Writes `bytes` to a file that is not there yet, for its owner's eyes only.
///
/// # Errors
/// [`Error::Write`], also where it is there.
pub(super) fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let new = draft(path, bytes, 0o600)?;
    // A link, unlike a rename, never replaces what is there.
    let linked = fs::hard_link(&new, path).and_then(|()| sync_folder(path));
    let _ = fs::remove_file(&new);
    linked.map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Writes `bytes` for everybody's eyes; what was there is replaced. Returns whether it differed.
///
/// # Errors
/// [`Error::Write`], [`Error::Read`].
pub(super) fn write_public(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    if read_if_there(path)?.as_deref() == Some(bytes) {
        return Ok(false);
    }
    let new = draft(path, bytes, 0o644)?;
    let replaced = fs::rename(&new, path).and_then(|()| sync_folder(path));
    replaced.map_err(|source| Error::Write { path: path.to_owned(), source })?;
    Ok(true)
}

/// Makes the folder if need be: the service's group may look into it, and nobody else.
///
/// # Errors
/// [`Error::Write`].
pub(super) fn make_folder(folder: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o750).create(folder);
    made.map_err(|source| Error::Write { path: folder.to_owned(), source })
}

/// What stands in a file, or `None` where there is none.
///
/// # Errors
/// [`Error::Read`], also of a device or a file too large to be what it should.
pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let read = || -> io::Result<Vec<u8>> {
        if !path.metadata()?.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        bounded(File::open(path)?)
    };
    match read() {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Read { path: path.to_owned(), source }),
    }
}

/// All that `source` gives, if it is no more than a file of an identity can have.
///
/// # Errors
/// It gives more, or can't be read.
pub(super) fn bounded(source: impl io::Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_BYTES} bytes")));
    }
    Ok(bytes)
}

/// The bytes on disk beside where they are to be.
fn draft(path: &Path, bytes: &[u8], mode: u32) -> Result<PathBuf, Error> {
    let new = path.with_added_extension("new");
    let write = || -> io::Result<()> {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            // Nobody finished it.
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
        if geteuid().is_root()
            && let Some(user) = User::from_name(SERVICE_USER)?
        {
            fchown(&file, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| Error::Write { path: new.clone(), source })?;
    Ok(new)
}

/// A name is on disk once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}
