//! A certificate that came back, beside the key that it was made for.

use std::path::{Path, PathBuf};

use edge_protocol::id::NodeId;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::show::{self, Certificate};
use super::{AUTHORITY, CERTIFICATE, Error, KEY, files, key, request};

/// A certificate that is in its place.
#[derive(Debug)]
pub struct Installed {
    /// What it says.
    pub certificate: Certificate,
    /// Where it is.
    pub path: PathBuf,
    /// Whether another one, or none, was there before.
    pub changed: bool,
}

/// Puts the certificate `pem`, called `name` in errors, beside the key in `folder`, if it is that
/// key's, bears the name `node` (the request's where `None`) and has not ended by `wall_ms`, a time
/// that it is at least.
///
/// # Errors
/// [`Error::NoKey`], [`Error::BadInput`], [`Error::IsAnother`], [`Error::Write`]: the identity is as before.
pub fn install(
    folder: &Path,
    name: &str,
    pem: &[u8],
    node: Option<&NodeId>,
    wall_ms: u64,
) -> Result<Installed, Error> {
    let wrong = |reason: String| Error::BadInput { name: name.to_owned(), reason };
    let key = key(folder)?.ok_or_else(|| Error::NoKey(folder.join(KEY)))?;
    let certificate = show::read(pem, Some(&key)).map_err(wrong)?;
    if !certificate.fits_key {
        let file = folder.join(KEY);
        let reason = format!(
            "it was not made for the key in {}: have {} signed",
            file.display(),
            super::REQUEST
        );
        return Err(wrong(reason));
    }
    let wanted = match node {
        Some(node) => Some(node.clone()),
        None => request::asked_for(folder, &key)?,
    };
    if let Some(wanted) = wanted.filter(|wanted| *wanted != certificate.node) {
        return Err(wrong(format!(
            "it names {}, and this node is to be {wanted}",
            certificate.node
        )));
    }
    show::is_not_another(folder, &certificate.node)?;
    // A clock that runs behind is no reason to refuse; one that can't be ahead is reason enough.
    if certificate.expires_at_ms <= wall_ms {
        return Err(wrong("it has expired: have the request signed again".to_owned()));
    }
    let path = folder.join(CERTIFICATE);
    let changed = files::write_public(&path, pem)?;
    Ok(Installed { certificate, path, changed })
}

/// Puts `pem`, called `name` in errors, where the node looks for who may have signed the broker's
/// certificate. Returns whether it differed.
///
/// # Errors
/// [`Error::BadInput`] when it is no authority's certificate, [`Error::Write`].
pub fn install_authority(folder: &Path, name: &str, pem: &[u8]) -> Result<bool, Error> {
    let wrong = |reason: String| Error::BadInput { name: name.to_owned(), reason };
    let first = show::chain(pem).map_err(wrong)?;
    let (_, parsed) = X509Certificate::from_der(&first)
        .map_err(|error| wrong(format!("the certificate can't be read: {error}")))?;
    if !parsed.is_ca() {
        return Err(wrong("it is no authority's certificate".to_owned()));
    }
    files::make_folder(folder)?;
    files::write_public(&folder.join(AUTHORITY), pem)
}
