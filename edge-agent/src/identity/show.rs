//! What an identity's files say of the node.

use std::path::Path;

use edge_protocol::id::NodeId;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::{CERTIFICATE, Error, KEY, files, fingerprint_of, key, request, sha256};

/// A node with a key.
#[derive(Debug)]
pub struct Shown {
    /// Who it is, or will be once its request is signed; `None` where nothing says so.
    pub node: Option<NodeId>,
    /// SHA-256 of the public key, 64 hexadecimal digits.
    pub key_fingerprint: String,
    /// Its certificate, once it has one.
    pub certificate: Option<Certificate>,
}

/// A node's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its common name.
    pub node: NodeId,
    /// SHA-256 of the certificate, 64 hexadecimal digits.
    pub fingerprint: String,
    /// Who signed it.
    pub issuer: String,
    /// Its first instant, milliseconds since the Unix epoch.
    pub begins_at_ms: u64,
    /// Its last instant, milliseconds since the Unix epoch.
    pub expires_at_ms: u64,
    /// Whether it is the certificate of the key beside it.
    pub fits_key: bool,
}

/// Reads the identity in `folder`.
///
/// # Errors
/// [`Error::NoKey`], [`Error::BadKey`], [`Error::Read`], and [`Error::BadInput`] when the
/// certificate can't be used.
pub fn show(folder: &Path) -> Result<Shown, Error> {
    let own = key(folder)?.ok_or_else(|| Error::NoKey(folder.join(KEY)))?;
    let certificate = certificate(folder, Some(&own))?;
    let node = match &certificate {
        Some(certificate) => Some(certificate.node.clone()),
        None => request::asked_for(folder, &own)?,
    };
    Ok(Shown { node, key_fingerprint: fingerprint_of(&own), certificate })
}

/// Makes sure that no certificate in `folder` gives the node another name than `node`.
///
/// # Errors
/// [`Error::IsAnother`].
pub(super) fn is_not_another(folder: &Path, node: &NodeId) -> Result<(), Error> {
    match certificate(folder, None)? {
        Some(Certificate { node: is, .. }) if is != *node => {
            let path = folder.join(CERTIFICATE);
            Err(Error::IsAnother { is, wanted: node.clone(), path })
        }
        Some(_) | None => Ok(()),
    }
}

fn certificate(folder: &Path, key: Option<&KeyPair>) -> Result<Option<Certificate>, Error> {
    let path = folder.join(CERTIFICATE);
    let Some(pem) = files::read_if_there(&path)? else { return Ok(None) };
    read(&pem, key).map(Some).map_err(|reason| {
        let name = path.display().to_string();
        Error::BadInput { name, reason }
    })
}

/// What the first certificate in `pem` says, and whether it is that of `key`.
///
/// # Errors
/// Why it is no node's.
pub(super) fn read(pem: &[u8], key: Option<&KeyPair>) -> Result<Certificate, String> {
    let first = chain(pem)?;
    let (_, parsed) = X509Certificate::from_der(&first)
        .map_err(|error| format!("the certificate can't be read: {error}"))?;
    if parsed.is_ca() {
        return Err("it is an authority's certificate, not a node's".to_owned());
    }
    let usage = parsed.extended_key_usage().map_err(|error| error.to_string())?;
    if usage.is_some_and(|usage| !usage.value.client_auth && !usage.value.any) {
        return Err("it does not prove a client: it needs the purpose clientAuth".to_owned());
    }
    let name = parsed.subject().iter_common_name().next();
    let name = name.ok_or("it has no common name (CN), which must be the node's id")?;
    let name = name.as_str().map_err(|error| format!("its common name is no text: {error}"))?;
    let ms = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000);
    let fits = |key: &KeyPair| parsed.public_key().raw == key.subject_public_key_info();
    Ok(Certificate {
        node: name.parse().map_err(|error| format!("its common name: {error}"))?,
        fingerprint: sha256(&first),
        issuer: parsed.issuer().to_string(),
        begins_at_ms: ms(parsed.validity().not_before.timestamp()),
        expires_at_ms: ms(parsed.validity().not_after.timestamp()),
        fits_key: key.is_some_and(fits),
    })
}

/// The first of the certificates in `pem`; all must be readable, since all are sent.
pub(super) fn chain(pem: &[u8]) -> Result<CertificateDer<'static>, String> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("it is not PEM: {error}"))?;
    found.into_iter().next().ok_or_else(|| "it holds no certificate in PEM".to_owned())
}
