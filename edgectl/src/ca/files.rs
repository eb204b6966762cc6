//! The authority and what it signed, as files. Keys are readable by their owner only, and no
//! file is ever overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{Issuer, KeyPair, PublicKeyData as _};
use x509_parser::pem::parse_x509_pem;

use super::{Authority, Error, Issued, Validity};

const CERT_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca.key";

impl Authority {
    /// Makes an authority called `name` in `dir` (made if need be): `ca.pem`, and `ca.key`
    /// with mode 0600.
    ///
    /// # Errors
    /// [`Error::Exists`] when either file is there, [`Error::Write`].
    pub fn init(dir: &Path, name: &str, validity: Validity) -> Result<Self, Error> {
        let authority = Self::new(name, validity)?;
        write_pair(
            &dir.join(CERT_FILE),
            authority.cert_pem(),
            &dir.join(KEY_FILE),
            authority.key_pem(),
        )?;
        Ok(authority)
    }

    /// Opens the authority that [`Self::init`] made in `dir`.
    ///
    /// # Errors
    /// [`Error::NoAuthority`], [`Error::Read`], and [`Error::BadAuthority`] when a file is
    /// damaged, is no authority's, or the key belongs to another certificate.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let (cert_path, key_path) = (dir.join(CERT_FILE), dir.join(KEY_FILE));
        let (cert_pem, key_pem) = (read(&cert_path)?, read(&key_path)?);
        let bad = |path: &Path, reason: &str| Error::BadAuthority {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        let key = KeyPair::from_pem(&key_pem)
            .map_err(|_| bad(&key_path, "it holds no PKCS#8 private key in PEM"))?;
        let not_cert = |_| bad(&cert_path, "it holds no certificate in PEM");
        let (_, pem) = parse_x509_pem(cert_pem.as_bytes())
            .map_err(|_| bad(&cert_path, "it holds no certificate in PEM"))?;
        let cert = pem.parse_x509().map_err(not_cert)?;
        if !cert.is_ca() {
            return Err(bad(&cert_path, "its certificate is no authority's"));
        }
        if cert.public_key().raw != key.subject_public_key_info() {
            return Err(bad(&key_path, "the key belongs to another certificate"));
        }
        let not_after_ms = cert.validity().not_after.timestamp().saturating_mul(1_000);
        let not_after_ms = u64::try_from(not_after_ms).unwrap_or(0);
        let issuer = Issuer::from_ca_cert_pem(&cert_pem, key)
            .map_err(|error| bad(&cert_path, &error.to_string()))?;
        Ok(Self { cert_pem, key_pem, not_after_ms, issuer })
    }
}

/// Writes `NAME.pem` and `NAME.key` (mode 0600) into `dir`, made if need be.
///
/// # Errors
/// [`Error::Exists`] when either is there, [`Error::Write`].
pub fn write_issued(dir: &Path, name: &str, issued: &Issued) -> Result<(PathBuf, PathBuf), Error> {
    let (cert, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}.key")));
    write_pair(&cert, &issued.cert_pem, &key, &issued.key_pem)?;
    Ok((cert, key))
}

/// Writes `NAME.pem` alone, for a key that stayed where it was made.
///
/// # Errors
/// As [`write_issued`].
pub fn write_certificate(dir: &Path, name: &str, cert_pem: &str) -> Result<PathBuf, Error> {
    let cert = dir.join(format!("{name}.pem"));
    make_folder(dir)?;
    write_new(&cert, cert_pem, 0o644)?;
    Ok(cert)
}

/// Both files or neither.
fn write_pair(cert: &Path, cert_pem: &str, key: &Path, key_pem: &str) -> Result<(), Error> {
    // Looked at first, so that no key is written beside a certificate that is not its own.
    if let Some(path) = [cert, key].into_iter().find(|path| path.exists()) {
        return Err(Error::Exists { path: path.to_owned() });
    }
    if let Some(dir) = cert.parent() {
        make_folder(dir)?;
    }
    write_new(key, key_pem, 0o600)?;
    write_new(cert, cert_pem, 0o644).inspect_err(|_| {
        // The first error is the one to tell; a key left over would only block the next try.
        let _ = fs::remove_file(key);
    })
}

fn make_folder(dir: &Path) -> Result<(), Error> {
    fs::create_dir_all(dir).map_err(|source| Error::Write { path: dir.to_owned(), source })
}

fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let write = || -> std::io::Result<()> {
        let mut file: File =
            OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| {
        let path = path.to_owned();
        if source.kind() == ErrorKind::AlreadyExists {
            Error::Exists { path }
        } else {
            Error::Write { path, source }
        }
    })
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| {
        let path = path.to_owned();
        if source.kind() == ErrorKind::NotFound {
            Error::NoAuthority { path }
        } else {
            Error::Read { path, source }
        }
    })
}
